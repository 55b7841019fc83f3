"""Forked child processes, and predictions beside a fit."""

import hashlib
import os
import signal
import threading
import time

import numpy as np
import pytest
import torch
from _helpers import small_net, stripes
from skorch.callbacks import Callback

from skcnn import ConvNetClassifier
from skcnn._compute import _fork, _threads
from skcnn._compute._allocator import retain_freed_memory
from skcnn._compute._fork import computing
from skcnn._compute._rng import fork_rng

only_forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no forks")
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


def call_in_fork(function, seconds=30):
    """Return what a function returns in a forked child, as text; fail if it takes too long."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        text = "failed"
        try:
            text = str(function())
        finally:
            os.write(writing, text.encode())
            os._exit(0)
    os.close(writing)
    end = time.monotonic() + seconds
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os.close(reading)
            pytest.fail("The child hangs.")
        time.sleep(0.05)
    with os.fdopen(reading) as pipe:
        return pipe.read()


def digest(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


@pytest.fixture
def two_threads(monkeypatch):
    monkeypatch.setenv("SKCNN_NUM_THREADS", "2")


@pytest.fixture(scope="module")
def images():
    rng = np.random.RandomState(0)
    return rng.randint(256, size=(96, 32, 32, 3)).astype(np.uint8), np.arange(96) % 4


def large_net(**parameters):
    """A network whose fits and predictions are computed in two threads."""
    return ConvNetClassifier(
        **{"filters": (32, 64), "max_epochs": 1, "batch_size": 32, "random_state": 0} | parameters,
        device="cpu",
    )


@only_forks
@pytest.mark.slow
def test_a_forked_child_predicts_and_fits_like_its_parent(images, two_threads, monkeypatch):
    counts = []
    set_num_threads = torch.set_num_threads
    monkeypatch.setattr(torch, "set_num_threads", lambda n: counts.append(n) or set_num_threads(n))
    clf = large_net().fit(*images)
    expected = digest(clf.predict_proba(images[0]))
    assert 2 in counts

    def ask():
        again = large_net().fit(*images)
        return digest(clf.predict_proba(images[0])), digest(again.predict_proba(images[0]))

    assert call_in_fork(ask) == str((expected, expected))
    # The parent can still compute, and a child of a child, too.
    assert digest(clf.predict_proba(images[0])) == expected
    assert call_in_fork(lambda: call_in_fork(ask)) == str((expected, expected))


@only_forks
def test_a_forked_child_computes_in_one_thread_where_openmp_cannot_be_paused(monkeypatch):
    monkeypatch.setenv("SKCNN_NUM_THREADS", "2")

    def ask():
        _fork._use_single_thread()
        return _threads.n_threads(10**12, training=False), torch.get_num_threads()

    assert call_in_fork(ask) == "(1, 1)"
    assert _threads.n_threads(10**12, training=False) == 2


@only_forks
@pytest.mark.parametrize(
    "held",
    [
        lambda: fork_rng(0, torch.device("cpu")),
        retain_freed_memory,
        lambda: _threads._settings.lock,
        lambda: _threads.compute_threads(torch.device("cpu"), 10**12),
    ],
    ids=["generators", "checkpoint_dir", "lock", "threads"],
)
def test_a_fork_while_another_thread_computes(held):
    clf = small_net(max_epochs=1)
    X, y = stripes(30)
    inside, leave = threading.Event(), threading.Event()

    def hold():
        with held():
            inside.set()
            leave.wait(60)

    def ask():
        return digest(clf.fit(X, y).predict_proba(X)), len(_threads._settings.computing)

    expected = ask()
    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert inside.wait(20)
        assert call_in_fork(ask) == str(expected)
    finally:
        leave.set()
        thread.join(20)


@only_forks
def test_a_fork_within_a_computation():
    def ask():
        with _threads.compute_threads(torch.device("cpu"), 10**12), retain_freed_memory():
            return len(_threads._settings.computing)

    with (
        fork_rng(0, torch.device("cpu")),
        retain_freed_memory(),
        _threads.compute_threads(torch.device("cpu"), 10**12),
    ):
        assert call_in_fork(ask) == "2"


def hold_while(held, function):
    """Call a function while another thread is inside a context."""
    inside, leave = threading.Event(), threading.Event()

    def hold():
        with held():
            inside.set()
            leave.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert inside.wait(20)
        return function(leave)
    finally:
        leave.set()
        thread.join(20)


@only_forks
def test_a_fork_waits_until_other_threads_have_computed_their_batch():
    """Torch's libraries have locks, which a child could wait for forever."""
    forked = []

    def fork(leave):
        threading.Timer(0.3, lambda: forked.append("no") or leave.set()).start()
        assert call_in_fork(lambda: len(_fork._computing.threads)) == "0"
        return [*forked]

    assert hold_while(computing, fork) == ["no"]
    # Threads can compute again, here and in the child.
    with computing():
        assert call_in_fork(lambda: len(_fork._computing.threads)) == "1"
    assert _fork._computing.threads == []


@only_forks
def test_threads_begin_no_batch_during_a_fork():
    order = []

    def compute():
        with computing():
            order.append("computed")

    _fork._computing.before_fork()
    thread = threading.Thread(target=compute)
    thread.start()
    thread.join(0.2)
    order.append("forked")
    _fork._computing.after_fork()
    thread.join(20)
    assert order == ["forked", "computed"]


@only_forks
def test_a_fork_does_not_wait_forever(monkeypatch):
    """The other thread may wait for it."""
    monkeypatch.setattr(_fork, "_LONGEST_WAIT", 0.2)

    def fork(leave):
        return call_in_fork(lambda: len(_fork._computing.threads))

    assert hold_while(computing, fork) == "0"


class Forking(Callback):
    """Asks a forked child for predictions, in the middle of a fit."""

    def __init__(self, ask):
        self.ask = ask
        self.answers = []

    def on_batch_end(self, net, **kwargs):
        if len(self.answers) < 2:
            self.answers.append(call_in_fork(self.ask))


@only_forks
def test_a_callback_may_fork():
    X, y = stripes(30)
    clf = small_net(max_epochs=1).fit(X, y)
    forking = Forking(lambda: digest(small_net(max_epochs=1).fit(X, y).predict_proba(X)))
    found = small_net(max_epochs=1, callbacks=[forking]).fit(X, y)
    expected = digest(clf.predict_proba(X))
    assert forking.answers == [expected] * 2
    assert digest(found.predict_proba(X)) == expected


@only_forks
def test_a_child_has_the_random_numbers_that_were_there_before_a_fit():
    torch.manual_seed(3)
    expected = torch.rand(2).tolist()
    torch.manual_seed(3)

    def fork(leave):
        return call_in_fork(lambda: torch.rand(2).tolist())

    assert hold_while(lambda: fork_rng(0, torch.device("cpu")), fork) == str(expected)


@pytest.mark.slow
def test_predictions_do_not_wait_for_a_fit_in_another_thread(images, two_threads):
    X, y = images
    clf = large_net().fit(X, y)
    start = time.monotonic()
    expected = clf.predict_proba(X[:64])
    large_net(max_epochs=1).fit(X, y)
    seconds = time.monotonic() - start
    epochs = int(2 / seconds) + 5
    alone = large_net(max_epochs=epochs).fit(X, y).predict_proba(X)

    new = large_net(max_epochs=epochs)
    fit = threading.Thread(target=new.fit, args=(X, y))
    fit.start()
    waited = []
    while fit.is_alive():
        start = time.monotonic()
        np.testing.assert_array_equal(clf.predict_proba(X[:64]), expected)
        waited.append(time.monotonic() - start)
        time.sleep(0.02)
    fit.join()
    assert len(waited) > 10
    assert max(waited) < 0.5
    # Nor do predictions change the fit.
    np.testing.assert_array_equal(new.predict_proba(X), alone)


@pytest.mark.slow
def test_large_predictions_in_threads_that_a_callback_starts(images, two_threads):
    X, y = images
    other = large_net().fit(X, y)
    expected = digest(other.predict_proba(X))
    found = []

    class Ask(Callback):
        def on_epoch_end(self, net, **kwargs):
            thread = threading.Thread(
                target=lambda: found.append(digest(other.predict_proba(X))), daemon=True
            )
            thread.start()
            thread.join(30)

    large_net(callbacks=[Ask()]).fit(X, y)
    assert found == [expected]
