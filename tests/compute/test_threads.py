"""How many threads, and whose turn it is."""

import itertools
import multiprocessing
import os
import runpy
import subprocess
import sys
import threading
import time

import pytest
import torch

from skcnn._compute import _threads
from skcnn._compute._threads import compute_threads, n_threads

CPU = torch.device("cpu")
SMALL, LARGE = 1, 10**12


def test_small_batches_get_one_thread_whatever_is_wished(monkeypatch):
    monkeypatch.setenv("SKCNN_NUM_THREADS", "5")
    assert n_threads(SMALL, training=True) == 1
    assert n_threads(LARGE, training=True) == 5


def test_a_prediction_gets_more_threads_sooner_than_a_step(monkeypatch):
    monkeypatch.setenv("SKCNN_NUM_THREADS", "5")
    work = 16_000_000
    assert (n_threads(work, training=True), n_threads(work, training=False)) == (1, 5)
    assert n_threads(SMALL, training=False) == 1


def test_large_batches_get_the_cores_of_the_machine(monkeypatch):
    monkeypatch.delenv("SKCNN_NUM_THREADS", raising=False)
    threads = n_threads(LARGE, training=True)
    assert 1 <= threads <= min(16, os.cpu_count())
    # In how many ways the machine is shared makes no difference.
    monkeypatch.setenv("OMP_NUM_THREADS", "77")
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
    # And the turn is given back.
    with compute_threads(CPU, work):
        pass


def test_a_wrong_number_of_threads_changes_nothing(two_threads, monkeypatch):
    monkeypatch.setenv("SKCNN_NUM_THREADS", "none")
    with pytest.raises(ValueError, match="SKCNN_NUM_THREADS"), compute_threads(CPU, LARGE):
        pass
    assert torch.get_num_threads() == 3


def test_work_within_work_has_its_turn_already(two_threads):
    done = threading.Event()

    def nested():
        with compute_threads(CPU, LARGE):
            with compute_threads(CPU, SMALL), compute_threads(CPU, LARGE):
                assert torch.get_num_threads() == 2
            # The inner work does not give the turn of the outer one away.
            other = threading.Thread(target=enter, daemon=True)
            other.start()
            assert not entered.wait(0.2)
        other.join(20)
        done.set()

    entered = threading.Event()

    def enter():
        with compute_threads(CPU, LARGE):
            entered.set()

    thread = threading.Thread(target=nested, daemon=True)
    thread.start()
    assert done.wait(20)
    thread.join(20)
    assert entered.is_set()


def overlap(intervals):
    ordered = sorted(intervals)
    return any(later[0] < earlier[1] for earlier, later in itertools.pairwise(ordered))


def test_threads_take_turns_with_large_work(two_threads):
    intervals, start = [], threading.Barrier(3)

    def work():
        start.wait(20)
        for _ in range(3):
            with compute_threads(CPU, LARGE):
                began = time.monotonic()
                time.sleep(0.01)
                intervals.append((began, time.monotonic()))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(intervals) == 9
    assert not overlap(intervals)
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize(("device", "work"), [("cpu", SMALL), ("cuda", LARGE)])
def test_small_work_and_work_elsewhere_waits_for_nobody(device, work, two_threads):
    # Both have to be inside at once to get through.
    inside, through = threading.Barrier(2), []

    def run(device, work):
        with compute_threads(torch.device(device), work):
            inside.wait(20)
            through.append(work)

    threads = [
        threading.Thread(target=run, args=(device, work)),
        threading.Thread(target=run, args=("cpu", LARGE)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(through) == sorted([work, LARGE])


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


@pytest.mark.slow
def test_a_limit_on_openmp_is_one_on_large_batches():
    code = (
        "import os; from skcnn._compute._threads import n_threads;"
        "print(os.environ['SKCNN_NUM_THREADS'], n_threads(10**12, training=True))"
    )
    environment = {k: v for k, v in os.environ.items() if k != "SKCNN_NUM_THREADS"}
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "OMP_NUM_THREADS": "3"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split() == ["3", "3"]


@pytest.mark.parametrize(
    ("openmp", "own", "threads"),
    [("3", None, 3), ("3", "5", 5), ("4,2", None, 4), (" 4 ", None, 4)],
    ids=["openmp", "own", "nested_openmp", "spaces"],
)
def test_limits_as_openmp_reads_them(openmp, own, threads, monkeypatch):
    # Set first, so that whatever becomes of it is undone.
    monkeypatch.setenv("SKCNN_NUM_THREADS", own or "")
    if own is None:
        monkeypatch.delenv("SKCNN_NUM_THREADS")
    monkeypatch.setenv("OMP_NUM_THREADS", openmp)
    fresh = runpy.run_path(_threads.__file__)
    assert fresh["n_threads"](LARGE, training=True) == threads
