"""Ctrl-C: held back, passed on, and whose handler decides."""

import multiprocessing
import os
import signal
import threading

import joblib
import pytest

from skcnn._compute import _interrupt
from skcnn._compute._interrupt import (
    allow_interrupts,
    check_interrupts,
    hold_interrupts,
    is_in_search,
)


def press():
    signal.raise_signal(signal.SIGINT)


@pytest.fixture(autouse=True)
def _as_before():
    handler = signal.getsignal(signal.SIGINT)
    yield
    assert signal.getsignal(signal.SIGINT) is handler
    assert _interrupt._receiver is None


def interrupted(function):
    """Call a function that ends with KeyboardInterrupt, and return what it has reached before."""
    reached = []
    with pytest.raises(KeyboardInterrupt):
        function(reached)
    return reached


def test_ctrl_c_waits_for_a_check():
    def hold(reached):
        with hold_interrupts():
            press()
            reached.append("after")
            check_interrupts()
            reached.append("never")

    assert interrupted(hold) == ["after"]


def test_ctrl_c_waits_for_the_end_where_nothing_checks():
    def hold(reached):
        with hold_interrupts():
            press()
            reached.append("to the end")
        reached.append("never")

    assert interrupted(hold) == ["to the end"]


def test_who_asks_obeys_it_alone():
    with hold_interrupts() as interrupts:
        assert not interrupts.were_raised()
        press()
        assert interrupts.were_raised()
        check_interrupts()
    with hold_interrupts() as interrupts:
        press()
        with pytest.raises(KeyboardInterrupt):
            check_interrupts()
        assert interrupts.were_raised()


def test_an_error_is_named_by_a_ctrl_c_that_came_with_it():
    def fail():
        with hold_interrupts():
            press()
            raise ValueError

    with pytest.raises(KeyboardInterrupt) as caught:
        fail()
    assert isinstance(caught.value.__context__, ValueError)


def test_one_ctrl_c_is_passed_on_where_that_is_allowed():
    def press_twice(reached):
        with hold_interrupts():
            try:
                with allow_interrupts():
                    press()
                    reached.append("never")
            finally:
                # What restores the state is not interrupted any more.
                press()
                reached.append("restored")

    def press_before(reached):
        with hold_interrupts():
            press()
            reached.append("held")
            with allow_interrupts():
                reached.append("never")

    def press_after(reached):
        with hold_interrupts():
            with allow_interrupts():
                reached.append("allowed")
            press()
            reached.append("held")

    assert interrupted(press_twice) == ["restored"]
    assert interrupted(press_before) == ["held"]
    assert interrupted(press_after) == ["allowed", "held"]


def test_who_waits_long_and_presses_again_is_served_at_once(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(_interrupt.time, "monotonic", lambda: now[0])

    def press_again(reached):
        with hold_interrupts():
            press()
            now[0] += 1
            press()
            reached.append("patient")
            now[0] += 1.5
            press()
            reached.append("never")

    assert interrupted(press_again) == ["patient"]


def test_an_inner_hold_is_part_of_the_outer_one():
    def nest(reached):
        with hold_interrupts() as outer:
            press()
            assert outer.were_raised()
            with hold_interrupts() as inner:
                assert (outer.nested, inner.nested) == (False, True)
                # What came before is not its business.
                assert not inner.were_raised()
                press()
            reached.append("after the inner one")
            check_interrupts()

    assert interrupted(nest) == ["after the inner one"]


def test_the_handler_that_was_set_decides():
    seen = []
    before = signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    try:
        with hold_interrupts() as interrupts:
            press()
            assert seen == []
            check_interrupts()
            assert seen == [signal.SIGINT]
            press()
            assert not interrupts.were_raised()
            assert seen == [signal.SIGINT] * 2
    finally:
        signal.signal(signal.SIGINT, before)


def test_where_ctrl_c_is_ignored_it_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with hold_interrupts() as interrupts:
            press()
            check_interrupts()
            assert not interrupts.were_raised()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_handler_that_is_set_meanwhile_stays():
    def own(number, frame):
        raise AssertionError

    before = signal.getsignal(signal.SIGINT)
    try:
        with hold_interrupts():
            signal.signal(signal.SIGINT, own)
        assert signal.getsignal(signal.SIGINT) is own
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_hold_nothing():
    found = []

    def hold():
        with hold_interrupts() as interrupts, allow_interrupts():
            check_interrupts()
            found.append((interrupts.nested, interrupts.were_raised()))

    with hold_interrupts() as interrupts:
        press()
        thread = threading.Thread(target=hold)
        thread.start()
        thread.join()
        assert found == [(False, False)]
        assert interrupts.were_raised()


def _is_interrupted():
    try:
        press()
    except KeyboardInterrupt:
        return
    os._exit(1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no forks")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_is_interrupted_at_once():
    with hold_interrupts():
        child = multiprocessing.get_context("fork").Process(target=_is_interrupted)
        child.start()
        child.join(20)
        assert child.exitcode == 0
        # The parent goes on holding.
        press()
        assert _interrupt._receiver.came_at is not None
        with pytest.raises(KeyboardInterrupt):
            check_interrupts()


def test_searches_are_found_among_the_callers():
    assert not is_in_search()
    assert joblib.Parallel(n_jobs=1)([joblib.delayed(is_in_search)()]) == [True]
    names = {"__name__": "sklearn.model_selection._search", "is_in_search": is_in_search}
    assert eval("is_in_search()", names)
    assert not eval("is_in_search()", names | {"__name__": "sklearn.model_selections"})
