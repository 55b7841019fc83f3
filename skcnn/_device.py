"""Which device to compute on, how precisely, and with how many threads."""

import multiprocessing
import os
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import filelock
import joblib
import torch

PRECISIONS = ("auto", "float32", "bfloat16")

# Below this many multiply-adds a batch, a second thread costs about what it brings.
_SINGLE_THREAD_WORK = 64_000_000
# Batches of ordinary size keep no more threads than this busy.
_MAX_THREADS = 16
_THREADS_VARIABLE = "SKCNN_NUM_THREADS"

_fits_in_this_process = threading.RLock()
_held = threading.local()


def find_device(device: str | torch.device) -> torch.device:
    """Turn a wish for a device into a device that is there.

    Parameters
    ----------
    device : str or torch.device
        "auto" takes the first of "cuda", "xpu", "mps" and "cpu" that works.

    Raises
    ------
    ValueError
        Where there is no such device, or torch cannot reach it.

    Examples
    --------
    >>> find_device("cpu")
    device(type='cpu')
    """
    available: dict[str, Callable[[], bool]] = {
        "cuda": torch.cuda.is_available,
        "xpu": torch.xpu.is_available,
        "mps": torch.backends.mps.is_available,
        "cpu": lambda: True,
    }
    if device == "auto":
        return torch.device(next(kind for kind, there in available.items() if there()))
    working = [kind for kind, there in available.items() if there()]
    way_out = (
        f'This machine offers {", ".join(map(repr, working))}; device="auto" takes the first.'
    )
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f'device={device!r} is unknown. Expected "auto", "cuda", "cuda:1", "xpu", "mps" or '
            f'"cpu". {way_out}'
        ) from error
    if found.type not in working:
        raise ValueError(f"device={device!r} is not available. {way_out}")
    if found.type == "cuda" and found.index is not None:
        n_gpus = torch.cuda.device_count()
        if found.index >= n_gpus:
            raise ValueError(
                f"device={device!r} is not available: torch sees {n_gpus} CUDA devices, numbered "
                f"from 0. {way_out}"
            )
    return found


def find_precision(precision: str, device: torch.device) -> torch.dtype:
    """Turn a wish for a precision into the type that training computes in.

    "auto" is bfloat16 where the hardware multiplies it natively (CPUs with avx512_bf16 or AMX,
    CUDA GPUs from compute capability 8.0) and float32 elsewhere.
    """
    if precision == "auto":
        return torch.bfloat16 if _multiplies_bfloat16(device) else torch.float32
    dtype: torch.dtype = getattr(torch, precision)
    return dtype


@cache
def _multiplies_bfloat16(device: torch.device) -> bool:
    if device.type == "cpu":
        # Older torch does not tell.
        features: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
        return bool(features.get("avx512_bf16") or features.get("amx_bf16"))
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)


def n_threads(multiply_adds: int) -> int:
    """Threads for batches of so many multiply-adds.

    It depends on the job and the machine, never on how many processes share the machine:
    summing in another number of threads gives other last bits, and a fit shall come out the
    same whether a search runs it in this process or in one of ten.

    The environment variable SKCNN_NUM_THREADS sets the number for large batches.
    """
    return 1 if multiply_adds < _SINGLE_THREAD_WORK else _max_threads()


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
def compute_threads(device: torch.device, multiply_adds: int) -> Iterator[None]:
    """Compute with the threads that the work is worth, and leave the setting as it was.

    Work for several threads wants the whole machine. Where several fits run at once, in
    threads or in the worker processes of one parent, such fits take turns: threads of two
    processes on the same cores wait for each other many times longer than they compute.
    """
    threads = n_threads(multiply_adds)
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
