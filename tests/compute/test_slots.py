"""Kinds of workers, and the slots that they share."""

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import filelock
import joblib
import pytest

from skcnn._compute import _slots
from skcnn._compute._interrupt import hold_interrupts
from skcnn._compute._slots import acquire_slots, cpu_affinity_key, worker_index, worker_kind


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """Slots of this test alone, whoever else runs it on this machine."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


def test_a_script_is_no_worker():
    assert worker_kind() is None


def test_a_process_of_multiprocessing_is_a_worker():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(worker_kind) == "process"


def test_a_process_of_joblib_is_a_worker():
    kinds = joblib.Parallel(n_jobs=2)(joblib.delayed(worker_kind)() for _ in range(2))
    assert kinds == ["process"] * 2


def test_a_thread_of_joblib_is_not():
    parallel = joblib.Parallel(n_jobs=2, backend="threading")
    assert parallel(joblib.delayed(worker_kind)() for _ in range(2)) == [None] * 2


def hold(log, n_slots, wanted, seconds=0.05):
    """Hold slots for a while, as another process does, and note from when to when."""
    with _slots._ProcessSlots().acquire("test", n_slots, wanted):
        began = time.monotonic()
        time.sleep(seconds)
        log.append((began, time.monotonic(), wanted))


def most_at_once(log):
    return max(
        sum(wanted for began, ended, wanted in log if began <= moment < ended)
        for moment, _, _ in log
    )


def test_no_more_is_held_than_there_is():
    log = []
    threads = [
        threading.Thread(target=hold, args=(log, 5, wanted)) for wanted in (1, 3, 2, 5, 9, 1, 2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(log) == 7
    # More than there is means all of it.
    log = [(began, ended, min(5, wanted)) for began, ended, wanted in log]
    assert most_at_once(log) == 5


def test_what_fits_goes_side_by_side():
    inside = threading.Barrier(2)

    def meet():
        with _slots._ProcessSlots().acquire("test", 4, 2):
            inside.wait(20)

    threads = [threading.Thread(target=meet) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not inside.broken


def test_acquire_slots_serves_large_requests_in_order():
    log, waiting = [], threading.Event()

    def small():
        for _ in range(40):
            hold(log, 2, 1, 0.02)
            waiting.set()

    threads = [threading.Thread(target=small) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert waiting.wait(20)
    start = time.monotonic()
    hold(log, 2, 2, 0)
    waited = time.monotonic() - start
    for thread in threads:
        thread.join(20)
    assert most_at_once(log) == 2
    # Not until both have done all of theirs, which takes 0.8 seconds.
    assert waited < 0.5


def test_a_claim_within_a_claim_takes_no_more():
    done = threading.Event()

    def nested():
        with (
            acquire_slots("test", 2, 1),
            acquire_slots("test", 2, 2),
            acquire_slots("another", 1, 1),
        ):
            done.set()

    threading.Thread(target=nested, daemon=True).start()
    assert done.wait(20)


def test_threads_of_a_process_share_what_it_holds(tmp_path):
    """A thread may wait for another one while it holds all there is."""

    def n_held():
        return sum(not is_free(path) for path in tmp_path.glob("skcnn-*/test-[0-9].lock"))

    def join():
        with acquire_slots("test", 3, 2):
            inside.set()
            leave.wait(20)

    inside, leave = threading.Event(), threading.Event()
    thread = threading.Thread(target=join)
    with acquire_slots("test", 3, 1):
        thread.start()
        assert inside.wait(20)
        # What else is free is taken.
        assert n_held() == 2
        with _slots._ProcessSlots().acquire("test", 3, 1), acquire_slots("test", 3, 3):
            assert n_held() == 3
    # The last one to leave gives all of it back.
    assert n_held() == 2
    leave.set()
    thread.join(20)
    assert n_held() == 0


def is_free(path):
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        return False
    lock.release()
    return True


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no forks")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_does_not_wait_for_what_its_parent_holds(tmp_path):
    """The parent may be waiting for the child."""
    context = multiprocessing.get_context("fork")
    with acquire_slots("test", 2, 2):
        child = context.Process(target=_hold_and_leave)
        child.start()
        child.join(20)
        assert child.exitcode == 0
        # The child has given nothing back.
        assert not any(is_free(path) for path in tmp_path.glob("skcnn-*/test-[0-9].lock"))
    assert all(is_free(path) for path in tmp_path.glob("skcnn-*/test-[0-9].lock"))


def _hold_and_leave():
    with acquire_slots("test", 2, 2):
        pass


def test_an_interruption_ends_the_wait_for_slots():
    interrupts = []

    def interrupt():
        time.sleep(0.1)
        interrupts.append(time.monotonic())
        signal.raise_signal(signal.SIGINT)

    with _slots._ProcessSlots().acquire("test", 2, 1):
        threading.Thread(target=interrupt).start()
        with (
            pytest.raises(KeyboardInterrupt),
            hold_interrupts(),
            _slots._ProcessSlots().acquire("test", 2, 2),
        ):
            pass
        assert time.monotonic() - interrupts[0] < 1
    # Neither the other slot nor the place in the queue is lost.
    with _slots._ProcessSlots().acquire("test", 2, 2):
        pass


def test_an_error_gives_everything_back():
    with pytest.raises(KeyError), acquire_slots("test", 2, 2):
        raise KeyError
    with acquire_slots("test", 2, 2):
        pass


_HOLDS = """
import sys, time
from skcnn._compute._slots import acquire_slots, worker_index
worker_index()
with acquire_slots("test", 2, 2):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(os.name != "posix", reason="kills as POSIX systems do")
def test_a_process_that_is_killed_gives_everything_back(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDS],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert holder.stdout.readline() == "held\n"
    _slots.worker_index.cache_clear()
    assert worker_index() == 1
    log = []
    waiting = threading.Thread(target=hold, args=(log, 2, 1))
    waiting.start()
    time.sleep(0.2)
    assert not log
    holder.send_signal(signal.SIGKILL)
    holder.wait(20)
    holder.stdout.close()
    waiting.join(20)
    assert len(log) == 1
    # Numbers stay with a process, and those of the dead are free again.
    assert worker_index() == 1
    _slots.worker_index.cache_clear()
    assert worker_index() == 0
    _slots.worker_index.cache_clear()
    for lock in _slots._index_locks:
        lock.release()
    _slots._index_locks.clear()


def test_slots_are_files_in_the_folder_for_temporary_files(tmp_path):
    with acquire_slots("test", 1, 1):
        assert {path.name for path in Path(tmp_path).glob("skcnn-*/*")} >= {"test-0.lock"}


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores are not set here")
def test_jobs_with_other_cores_share_nothing():
    cores = os.sched_getaffinity(0)
    if len(cores) < 2:
        pytest.skip("needs two cores")
    here = cpu_affinity_key()
    assert cpu_affinity_key() == here
    try:
        os.sched_setaffinity(0, [min(cores)])
        assert cpu_affinity_key() != here
    finally:
        os.sched_setaffinity(0, cores)
