"""Numbers of threads, and taking turns."""

import contextlib
import itertools
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import joblib
import pytest
import torch
from sklearn.base import clone

from skcnn import ConvNetClassifier
from skcnn._compute import _threads
from skcnn._compute._threads import compute_threads, n_threads, thread_limit

CPU = torch.device("cpu")
SMALL, LARGE = 1, 10**12


def test_small_batches_get_one_thread_whatever_the_limit(monkeypatch):
    monkeypatch.setenv("SKCNN_NUM_THREADS", "5")
    assert n_threads(SMALL, training=True) == 1
    assert n_threads(LARGE, training=True) == 5


def test_predictions_get_several_threads_for_less_work_than_steps(monkeypatch):
    monkeypatch.setenv("SKCNN_NUM_THREADS", "5")
    work = 16_000_000
    assert (n_threads(work, training=True), n_threads(work, training=False)) == (1, 5)
    assert n_threads(SMALL, training=False) == 1


def test_large_batches_get_the_cores_of_the_machine(monkeypatch):
    monkeypatch.delenv("SKCNN_NUM_THREADS", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    threads = n_threads(LARGE, training=True)
    assert 1 <= threads <= min(16, os.cpu_count())
    # A worker's share of the cores makes no difference.
    monkeypatch.setenv("OMP_NUM_THREADS", "77")
    monkeypatch.setattr(_threads, "worker_kind", lambda: "process")
    assert n_threads(LARGE, training=True) == threads


@pytest.mark.parametrize("expected", ["0", "-1", "two", "", "1.5", "²"], ids=repr)
def test_a_wrong_number_of_threads_is_refused(expected, monkeypatch):
    monkeypatch.setenv("SKCNN_NUM_THREADS", expected)
    with pytest.raises(
        ValueError, match=f"SKCNN_NUM_THREADS='{expected}' is not a number of thre"
    ):
        n_threads(LARGE, training=True)


@pytest.fixture
def two_threads(monkeypatch):
    """Large batches get two threads, and torch has another setting before."""
    monkeypatch.setenv("SKCNN_NUM_THREADS", "2")
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("work", "threads"), [(SMALL, 1), (LARGE, 2)], ids=["small", "large"])
@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_the_number_of_threads_is_set_for_a_while(work, threads, error, two_threads):
    def compute():
        with compute_threads(CPU, work):
            assert torch.get_num_threads() == threads
            if error is not None:
                raise error

    if error is None:
        compute()
    else:
        with pytest.raises(error):
            compute()
    assert torch.get_num_threads() == 3


def test_a_wrong_number_of_threads_changes_nothing(two_threads, monkeypatch):
    monkeypatch.setenv("SKCNN_NUM_THREADS", "none")
    with pytest.raises(ValueError, match="SKCNN_NUM_THREADS"), compute_threads(CPU, LARGE):
        pass
    assert torch.get_num_threads() == 3


def test_compute_threads_can_be_nested(two_threads):
    with compute_threads(CPU, LARGE):
        with compute_threads(CPU, SMALL), compute_threads(CPU, LARGE):
            assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == 3


def in_thread(function):
    """Call a function in a new thread and return its result."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result(20)


@pytest.mark.parametrize("outer_ends_first", [True, False])
def test_threads_that_start_during_a_computation_keep_the_usual_number(
    outer_ends_first, two_threads
):
    def number_after_computation():
        with compute_threads(CPU, SMALL):
            assert torch.get_num_threads() == 1
            entered.set()
            assert leave.wait(20)
        return torch.get_num_threads()

    entered, leave = threading.Event(), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        with compute_threads(CPU, LARGE):
            inner = pool.submit(number_after_computation)
            assert entered.wait(20)
            # Another thread does not change the number of this one.
            assert torch.get_num_threads() == 2
            if not outer_ends_first:
                leave.set()
                assert inner.result(20) == 3
        assert torch.get_num_threads() == 3
        leave.set()
        assert inner.result(20) == 3
    assert torch.get_num_threads() == in_thread(torch.get_num_threads) == 3


def test_a_thread_that_is_new_during_a_computation_does_not_pass_its_number_on(two_threads):
    """Torch gives new threads the number that was set last, here for a computation."""
    born, ended = threading.Event(), threading.Event()

    def compute_later():
        assert torch.get_num_threads() == 1
        born.set()
        assert ended.wait(20)
        with compute_threads(CPU, LARGE):
            pass
        return torch.get_num_threads()

    with ThreadPoolExecutor(1) as pool:
        with compute_threads(CPU, SMALL):
            found = pool.submit(compute_later)
            assert born.wait(20)
        ended.set()
        assert found.result(20) == 3
    assert torch.get_num_threads() == in_thread(torch.get_num_threads) == 3


def test_a_number_that_the_user_has_set_since_counts(two_threads):
    with compute_threads(CPU, SMALL):
        pass
    torch.set_num_threads(1)

    def number_after_computation():
        with compute_threads(CPU, LARGE):
            pass
        return torch.get_num_threads()

    assert in_thread(number_after_computation) == 1
    assert torch.get_num_threads() == in_thread(torch.get_num_threads) == 1


def test_threads_born_after_concurrent_predictions_have_the_usual_number(two_threads):
    start = threading.Barrier(8)

    def predict(work):
        start.wait(20)
        for _ in range(20):
            with compute_threads(CPU, work, training=False):
                pass
        return torch.get_num_threads()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(predict, [SMALL, LARGE] * 4)) == {3}
    assert torch.get_num_threads() == in_thread(torch.get_num_threads) == 3


def test_computations_in_one_process_wait_for_nobody(two_threads):
    # All have to be inside at once to get through.
    inside = threading.Barrier(4)

    def run(device, work, training):
        with compute_threads(torch.device(device), work, training=training):
            inside.wait(20)

    with ThreadPoolExecutor(4) as pool:
        jobs = [("cpu", LARGE, True), ("cpu", LARGE, False), ("cpu", SMALL, True)]
        for job in [pool.submit(run, *job) for job in [*jobs, ("cuda", LARGE, True)]]:
            job.result(30)


@pytest.mark.parametrize(
    ("work", "in_all", "training", "waits"),
    [
        (SMALL, None, True, True),
        (LARGE, None, True, True),
        (SMALL, SMALL, False, False),
        # One image in a network of usual size, and in a large one.
        (50_000_000, 50_000_000, False, False),
        (15_000_000_000, 15_000_000_000, False, False),
        # A batch of usual size, and very many of them.
        (4_000_000_000, 4_000_000_000, False, False),
        (4_000_000_000, 400_000_000_000, False, True),
        (LARGE, LARGE, False, True),
        (LARGE, None, False, True),
    ],
)
def test_workers_wait_for_cores_except_for_short_predictions(
    work, in_all, training, waits, monkeypatch
):
    acquired = []

    def acquire(pool, n_slots, n_requested):
        acquired.append(n_requested)
        return contextlib.nullcontext()

    monkeypatch.setattr(_threads, "worker_kind", lambda: "process")
    monkeypatch.setattr(_threads, "acquire_slots", acquire)
    with compute_threads(CPU, work, training=training, in_all=in_all):
        assert bool(acquired) == waits


def overlap(intervals):
    ordered = sorted(intervals)
    return any(later[0] < earlier[1] for earlier, later in itertools.pairwise(ordered))


def _work_in_turns(path, barrier):
    """In a process of its own: first small work beside that of others, then large work."""
    handed_on = os.environ.get("SKCNN_NUM_THREADS")
    os.environ["SKCNN_NUM_THREADS"] = "2"
    with compute_threads(CPU, SMALL):
        barrier.wait(60)
    intervals = []
    for _ in range(5):
        with compute_threads(CPU, LARGE):
            began = time.monotonic()
            time.sleep(0.05)
            intervals.append((began, time.monotonic()))
        with compute_threads(CPU, SMALL):
            time.sleep(0.04)
    path.write_text(repr((handed_on, intervals)))


@pytest.mark.slow
def test_worker_processes_take_turns_with_large_work(tmp_path, monkeypatch):
    # Whoever starts workers often leaves them a share of the cores; it counts for nothing.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("SKCNN_NUM_THREADS", raising=False)
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    paths = [tmp_path / "first", tmp_path / "second"]
    processes = [context.Process(target=_work_in_turns, args=(p, barrier)) for p in paths]
    for process in processes:
        process.start()
    for process in processes:
        process.join(90)
        assert process.exitcode == 0
    found = [eval(path.read_text()) for path in paths]
    assert [handed_on for handed_on, _ in found] == [None, None]
    first, second = (intervals for _, intervals in found)
    assert len(first) == len(second) == 5
    assert not overlap(first + second)
    # They were at it at the same time: neither had to wait for all of the other's work.
    assert first[0][0] < second[-1][0]
    assert second[0][0] < first[-1][0]


@pytest.mark.parametrize(
    ("openmp", "own", "threads"),
    [("3", None, 3), ("3", "5", 5), ("4,2", None, 4), (" 4 ", None, 4)],
    ids=["openmp", "own", "nested_openmp", "spaces"],
)
def test_limits_as_openmp_reads_them(openmp, own, threads, monkeypatch):
    monkeypatch.delenv("SKCNN_NUM_THREADS", raising=False)
    if own is not None:
        monkeypatch.setenv("SKCNN_NUM_THREADS", own)
    monkeypatch.setenv("OMP_NUM_THREADS", openmp)
    assert n_threads(LARGE, training=True) == threads


@pytest.mark.parametrize("openmp", ["", "0", "many", "-1"])
def test_wrong_limits_of_openmp_are_no_limits(openmp, monkeypatch):
    monkeypatch.delenv("SKCNN_NUM_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", openmp)
    assert thread_limit() is None


# ---------------------------------------------------------------- limits in workers


def limit_of(estimator):
    """The limit that a computation of an estimator would have in this process."""
    return thread_limit(estimator._thread_limit)


@pytest.mark.parametrize("openmp", ["3", None])
def test_the_thread_limit_travels_with_estimators(openmp, monkeypatch):
    monkeypatch.delenv("SKCNN_NUM_THREADS", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if openmp is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", openmp)
    limit = None if openmp is None else int(openmp)
    sent = [pickle.dumps(ConvNetClassifier()), pickle.dumps(clone(ConvNetClassifier()))]
    cloned = clone(ConvNetClassifier())
    # What a worker finds in its environment.
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert limit_of(cloned) == 7
    monkeypatch.setattr(_threads, "worker_kind", lambda: "process")
    arrived = [*map(pickle.loads, sent), cloned]
    # Nested searches clone and send on.
    arrived += [clone(clf) for clf in arrived]
    arrived += [pickle.loads(pickle.dumps(clf)) for clf in arrived]
    assert {limit_of(clf) for clf in arrived} == {limit}
    # A worker's own setting goes first.
    monkeypatch.setenv("SKCNN_NUM_THREADS", "5")
    assert {limit_of(clf) for clf in arrived} == {5}


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["loky", "multiprocessing"])
def test_workers_of_joblib_have_the_limit_of_this_process(backend, monkeypatch):
    monkeypatch.delenv("SKCNN_NUM_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    with joblib.parallel_config(backend):
        limits = joblib.Parallel(n_jobs=2)(
            joblib.delayed(limit_of)(ConvNetClassifier()) for _ in range(4)
        )
    assert limits == [3] * 4


@pytest.mark.slow
def test_importing_leaves_the_environment_as_it_was():
    # Only torch, which sets variables itself, is imported before.
    code = (
        "import os, torch, sklearn, skorch; before = dict(os.environ)\n"
        "import skcnn; assert dict(os.environ) == before\n"
        "import skcnn._compute._threads; assert dict(os.environ) == before\n"
        "import skcnn.parallel; assert dict(os.environ) == before\n"
        "from skcnn import *; assert dict(os.environ) == before"
    )
    environment = {k: v for k, v in os.environ.items() if k != "SKCNN_NUM_THREADS"}
    subprocess.run(
        [sys.executable, "-c", code], env={**environment, "OMP_NUM_THREADS": "3"}, check=True
    )
