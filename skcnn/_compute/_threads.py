"""Number of threads for a computation, and taking turns with other processes."""

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any

import joblib
import torch

from skcnn._compute._fork import call_in_forked_children, is_single_threaded
from skcnn._compute._slots import acquire_slots, cpu_affinity_key, worker_kind
from skcnn._utils import ignore_warning

# Batches of fewer multiply-adds are computed in one thread: a second one costs about as much time
# as it saves.
_MIN_PARALLEL_STEP = 64_000_000
_MIN_PARALLEL_PREDICTION = 8_000_000
# Batches of usual size do not keep more threads than this busy.
_MAX_THREADS = 16
# Predictions of fewer multiply-adds take about a second or less, and do not wait for cores.
_MIN_WAITING_PREDICTION = 20_000_000_000

_SKCNN_VARIABLE = "SKCNN_NUM_THREADS"
_OPENMP_VARIABLE = "OMP_NUM_THREADS"


class ThreadLimitMixin:
    """An estimator that takes the thread limit of this process along to worker processes.

    The limit changes the last bits of a fit, so it must be the same in all workers of a search.
    Workers cannot find it in their own environment, because joblib, Dask and Ray set
    OMP_NUM_THREADS there to a share of the cores. It is therefore part of what is pickled, and of
    clones, which a search makes before it hands them out.
    """

    _thread_limit: int | None = None

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = dict(super().__getstate__())  # type: ignore[call-overload]
        limit = thread_limit(self._thread_limit)
        # Not the one that this estimator came with: it may be another's.
        state.pop("_thread_limit", None)
        return state if limit is None else {**state, "_thread_limit": limit}

    def __sklearn_clone__(self) -> Any:
        clone = super().__sklearn_clone__()  # type: ignore[misc]
        limit = thread_limit(self._thread_limit)
        if limit is not None:
            clone._thread_limit = limit
        return clone


def thread_limit(inherited: int | None = None) -> int | None:
    """Return the limit on the number of threads for large batches; None for no limit.

    It is the first of these:

    1. the environment variable SKCNN_NUM_THREADS;
    2. in a worker process, `inherited`: the limit of the process that has sent the work, or that
       of the process from which it was forked;
    3. in other processes, the environment variable OMP_NUM_THREADS.

    Raises
    ------
    ValueError
        If SKCNN_NUM_THREADS is not a whole number from 1.
    """
    expected = os.environ.get(_SKCNN_VARIABLE)
    if expected is not None:
        if not expected.isdecimal() or int(expected) < 1:
            raise ValueError(
                f"The environment variable {_SKCNN_VARIABLE}={expected!r} is not a number of "
                "threads. Expected a whole number from 1."
            )
        return int(expected)
    if worker_kind() is not None:
        return inherited or _limit_before_fork
    return _openmp_limit()


def _openmp_limit() -> int | None:
    # OpenMP takes one number per level of nesting; only the first matters here.
    openmp = os.environ.get(_OPENMP_VARIABLE, "").partition(",")[0].strip()
    return int(openmp) if openmp.isdecimal() and int(openmp) > 0 else None


# Objects reach a forked child without being pickled.
_limit_before_fork: int | None = None


def _keep_limit() -> None:
    global _limit_before_fork
    # This is called before multiprocessing turns the child into a worker.
    if worker_kind() is None:
        _limit_before_fork = _openmp_limit()


call_in_forked_children(_keep_limit)


def n_threads(multiply_adds: int, *, training: bool, inherited: int | None = None) -> int:
    """Return the number of threads for batches of so many multiply-adds.

    It depends on the work, the machine and the `thread_limit`, never on how many processes share
    the machine: sums in another number of threads have other last bits, and a fit must come out
    the same whether a search runs it in this process or in one of ten.
    """
    least = _MIN_PARALLEL_STEP if training else _MIN_PARALLEL_PREDICTION
    if multiply_adds < least or is_single_threaded():
        return 1
    return thread_limit(inherited) or min(_n_cores(), _MAX_THREADS)


@cache
def _n_cores() -> int:
    # Logical cores count where the machine does not report its physical ones.
    with ignore_warning(""):
        cores: int = joblib.cpu_count(only_physical_cores=True)
    return cores


@contextmanager
def compute_threads(
    device: torch.device,
    multiply_adds: int,
    *,
    training: bool = True,
    inherited: int | None = None,
    in_all: int | None = None,
) -> Iterator[None]:
    """Compute with a suitable number of threads, and restore the setting of torch afterwards.

    Threads of two processes on the same cores wait for each other many times longer than they
    compute. Worker processes therefore acquire as many cores as they have threads, and run side
    by side if there are enough of them, else in turns. Short predictions, and all computations
    outside of workers, never wait here: OpenMP's threads within one process yield to each other.

    Parameters
    ----------
    device : torch.device
    multiply_adds : int
        Of a batch.
    training : bool, default=True
        Whether this is a fit, or a prediction.
    inherited : int or None
        As in `thread_limit`.
    in_all : int or None
        Multiply-adds of all batches of a prediction; None for a single batch.
    """
    threads = n_threads(multiply_adds, training=training, inherited=inherited)
    waits = (
        device.type == "cpu"
        and worker_kind() is not None
        and (training or (in_all or multiply_adds) >= _MIN_WAITING_PREDICTION)
    )
    with _acquire_cores(threads) if waits else nullcontext(), _torch_threads(threads):
        yield


def single_thread() -> AbstractContextManager[None]:
    """Compute something short in one thread, without waiting for cores."""
    return _torch_threads(1)


def _acquire_cores(threads: int) -> AbstractContextManager[None]:
    n_slots = joblib.cpu_count()
    # Of two logical cores in a physical one, a second thread of the same sums gains nothing.
    slots_per_thread = max(1, n_slots // _n_cores()) if threads > 1 else 1
    return acquire_slots(cpu_affinity_key(), n_slots, slots_per_thread * threads)


class _TorchThreads:
    """Torch's number of threads while several threads of Python change and restore it.

    Torch has one number per thread of Python. A thread starts with the number that was set last
    in any thread, which may be one that is in force only for a computation elsewhere.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.seen = threading.local()
        # Identifiers of the threads that compute, once per nested computation.
        self.computing: list[int] = []
        # Number in force when nothing is computed, and those set for computations since then.
        self.usual = 0
        self.temporary: set[int] = set()

    def enter(self, threads: int) -> int:
        """Set the number for this thread, and return the one to restore."""
        with self.lock:
            before = torch.get_num_threads()
            is_new = not hasattr(self.seen, "yes")
            if not self.computing:
                # A thread that was new during a computation has kept the number of that.
                inherited = is_new and before in self.temporary
                self.usual = _number_of_new_threads() if inherited else before
            if is_new and before in self.temporary:
                before = self.usual
            self.seen.yes = True
            self.computing.append(threading.get_ident())
            self.temporary.add(threads)
            torch.set_num_threads(threads)
        return before

    def leave(self, before: int) -> None:
        """Restore the number for this thread."""
        with self.lock:
            self.computing.remove(threading.get_ident())
            torch.set_num_threads(before)

    def forget_other_threads(self) -> None:
        """Start again in a forked child, which has only the thread that forked."""
        self.lock = threading.Lock()
        here = threading.get_ident()
        self.computing = [thread for thread in self.computing if thread == here]


def _number_of_new_threads() -> int:
    """Return the number with which threads start that are new now."""
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return found[0]


_settings = _TorchThreads()
call_in_forked_children(_settings.forget_other_threads)


@contextmanager
def _torch_threads(threads: int) -> Iterator[None]:
    before = _settings.enter(threads)
    try:
        yield
    finally:
        _settings.leave(before)
