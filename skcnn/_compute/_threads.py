"""With how many threads to compute, and whose turn it is."""

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any

import joblib
import torch

from skcnn._compute._slots import acquire_slots, cpu_affinity_key, worker_kind

# Below this many multiply-adds a batch, a second thread costs about what it brings, in a step of
# training and in a prediction.
_SINGLE_THREAD_STEP = 64_000_000
_SINGLE_THREAD_PREDICTION = 8_000_000
# Batches of ordinary size keep no more threads than this busy.
_MAX_THREADS = 16
_THREADS_VARIABLE = "SKCNN_NUM_THREADS"

_fits_in_this_process = threading.RLock()


def n_threads(multiply_adds: int, *, training: bool) -> int:
    """Threads for batches of so many multiply-adds.

    It depends on the job and the machine, never on how many processes share the machine:
    summing in another number of threads gives other last bits, and a fit shall come out the
    same whether a search runs it in this process or in one of ten.

    The environment variable SKCNN_NUM_THREADS sets the number for large batches.
    """
    least = _SINGLE_THREAD_STEP if training else _SINGLE_THREAD_PREDICTION
    return 1 if multiply_adds < least else _max_threads()


def _max_threads() -> int:
    expected = os.environ.get(_THREADS_VARIABLE)
    if expected is None:
        return min(_n_cores(), _MAX_THREADS)
    if not expected.isdecimal() or int(expected) < 1:
        raise ValueError(
            f"The environment variable {_THREADS_VARIABLE}={expected!r} is not a number of "
            "threads. Expected a whole number from 1."
        )
    return int(expected)


@cache
def _n_cores() -> int:
    with warnings.catch_warnings():
        # Where the machine does not tell its physical cores, logical ones will do.
        warnings.simplefilter("ignore", UserWarning)
        cores: int = joblib.cpu_count(only_physical_cores=True)
    return cores


@contextmanager
def compute_threads(
    device: torch.device, multiply_adds: int, *, training: bool = True
) -> Iterator[None]:
    """Compute with the threads that the work is worth, and leave the setting as it was.

    Threads of two processes on the same cores wait for each other many times longer than they
    compute. Worker processes therefore claim as many cores as they have threads, and go side by
    side where there are enough of them, else in turns; so do the threads of one process.
    """
    threads = n_threads(multiply_adds, training=training)
    with _fit_lock(threads if device.type == "cpu" else 0), _torch_threads(threads):
        yield


def single_thread() -> AbstractContextManager[None]:
    """Compute what is not worth waiting for cores."""
    return _torch_threads(1)


@contextmanager
def _torch_threads(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _fit_lock(threads: int) -> AbstractContextManager[Any]:
    if threads and worker_kind() is not None:
        return _acquire_cores(threads)
    # A fit within a fit, from a callback for instance, already has its turn.
    return _fits_in_this_process if threads > 1 else nullcontext()


def _acquire_cores(threads: int) -> AbstractContextManager[None]:
    n_slots = joblib.cpu_count()
    # Of two logical cores in a physical one, a second thread of the same sums gets nothing.
    a_thread = max(1, n_slots // _n_cores()) if threads > 1 else 1
    return acquire_slots(cpu_affinity_key(), n_slots, a_thread * threads)


# OpenMP takes a number for each level of nesting; the first is the one that counts here.
_openmp = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
if _openmp.isdecimal() and int(_openmp) > 0 and worker_kind() is None:
    # Whoever limits the threads of a script means its workers too, in which joblib sets the
    # same variable to a share of the cores.
    os.environ.setdefault(_THREADS_VARIABLE, _openmp)
