"""With how many threads to compute, and whose turn it is."""

import multiprocessing
import os
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import filelock
import joblib
import torch

# Below this many multiply-adds a batch, a second thread costs about what it brings, in a step of
# training and in a prediction.
_SINGLE_THREAD_STEP = 64_000_000
_SINGLE_THREAD_PREDICTION = 8_000_000
# Batches of ordinary size keep no more threads than this busy.
_MAX_THREADS = 16
_THREADS_VARIABLE = "SKCNN_NUM_THREADS"

_fits_in_this_process = threading.RLock()
_held = threading.local()


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
    wished = os.environ.get(_THREADS_VARIABLE)
    if wished is None:
        return min(_n_cores(), _MAX_THREADS)
    if not wished.isdecimal() or int(wished) < 1:
        raise ValueError(
            f"The environment variable {_THREADS_VARIABLE}={wished!r} is not a number of "
            "threads. Expected a whole number from 1."
        )
    return int(wished)


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

    Work for several threads wants the whole machine. Where several fits run at once, in
    threads or in the worker processes of one parent, such fits take turns: threads of two
    processes on the same cores wait for each other many times longer than they compute.
    """
    threads = n_threads(multiply_adds, training=training)
    before = torch.get_num_threads()
    with _turn(alone=device.type == "cpu" and threads > 1):
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)


@contextmanager
def _turn(*, alone: bool) -> Iterator[None]:
    # A fit within a fit, from a callback for instance, already has its turn.
    if not alone or getattr(_held, "turn", False):
        yield
        return
    with _fits_in_this_process:
        _held.turn = True
        try:
            if _is_worker():
                with filelock.FileLock(_lock_file(), poll_interval=0.01):
                    yield
            else:
                yield
        finally:
            _held.turn = False


def _is_worker() -> bool:
    return multiprocessing.current_process().name != "MainProcess"


def _lock_file() -> str:
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    return os.path.join(tempfile.gettempdir(), f"skcnn-{user}-{os.getppid()}.lock")


# OpenMP takes a number for each level of nesting; the first is the one that counts here.
_openmp = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
if _openmp.isdecimal() and int(_openmp) > 0 and not _is_worker():
    # Whoever limits the threads of a script means its workers too, in which joblib sets the
    # same variable to a share of the cores.
    os.environ.setdefault(_THREADS_VARIABLE, _openmp)
