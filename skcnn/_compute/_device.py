"""Which device to compute on, and how precisely."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import torch

from skcnn._compute._slots import worker_index, worker_kind

PRECISIONS = ("auto", "float32", "bfloat16", "float16")


def find_device(device: str | torch.device) -> torch.device:
    """Turn a wish for a device into a device that is there.

    Parameters
    ----------
    device : str or torch.device
        "auto" takes the first of "cuda", "xpu", "mps" and "cpu" that works. Of several CUDA
        GPUs the worker processes of joblib take one after the other.

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
        found = torch.device(next(kind for kind, there in available.items() if there()))
        return _device_of_worker() if found.type == "cuda" else found
    working = [kind for kind, there in available.items() if there()]
    hint = f'This machine offers {", ".join(map(repr, working))}; device="auto" takes the first.'
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f'device={device!r} is unknown. Expected "auto", "cuda", "cuda:1", "xpu", "mps" or '
            f'"cpu". {hint}'
        ) from error
    if found.type not in working:
        raise ValueError(f"device={device!r} is not available. {hint}")
    if found.type == "cuda" and found.index is not None:
        n_gpus = torch.cuda.device_count()
        if found.index >= n_gpus:
            raise ValueError(
                f"device={device!r} is not available: torch sees {n_gpus} CUDA devices, numbered "
                f"from 0. {hint}"
            )
    return found


def _device_of_worker() -> torch.device:
    """Spread worker processes over the GPUs that they see.

    The first GPU is the one that workers of Dask and Ray were given.
    """
    n_gpus = torch.cuda.device_count()
    if n_gpus > 1 and worker_kind() == "process":
        return torch.device("cuda", worker_index() % n_gpus)
    return torch.device("cuda")


def find_precision(precision: str, device: torch.device) -> torch.dtype:
    """Turn a wish for a precision into the type that training computes in.

    "auto" is the lowest that the hardware multiplies fast: bfloat16 on CPUs with avx512_bf16 or
    AMX, where a quick trial bears it out, and on CUDA GPUs from compute capability 8.0; float16
    on those from 7.0; float32 elsewhere.
    """
    if precision == "auto":
        return _fast_precision(device)
    dtype: torch.dtype = getattr(torch, precision)
    return dtype


@cache
def _fast_precision(device: torch.device) -> torch.dtype:
    if device.type == "cpu":
        # Older torch does not tell.
        features: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
        told = features.get("avx512_bf16") or features.get("amx_bf16")
        return torch.bfloat16 if told and _gains_from(torch.bfloat16) else torch.float32
    if device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        # Older ones do not have the units that make it fast.
        if capability >= (8, 0):
            return torch.bfloat16
        if capability >= (7, 0):
            return torch.float16
    return torch.float32


def _gains_from(dtype: torch.dtype) -> bool:
    """Whether matrix products on the CPU are faster in a type than in float32.

    It comes out the same in every process: where the hardware has the type it takes half of
    the time, and of several trials the shortest counts, which others on the machine disturb
    the least.
    """
    matrices = {kind: torch.ones(384, 384, dtype=kind) for kind in (torch.float32, dtype)}
    seconds = {kind: float("inf") for kind in matrices}
    for _ in range(8):
        for kind, matrix in matrices.items():
            start = time.perf_counter()
            torch.mm(matrix, matrix)
            seconds[kind] = min(seconds[kind], time.perf_counter() - start)
    return seconds[dtype] < 0.85 * seconds[torch.float32]


@contextmanager
def deterministic_algorithms(device: torch.device, deterministic: bool) -> Iterator[None]:
    """Leave a GPU its algorithms for a while, or have it take those that repeat their bits.

    It is the current one meanwhile. On the CPU all algorithms repeat their bits.

    cuDNN could try out its algorithms on the first steps. On an H200 that took longer than all
    epochs after it, and these were no shorter than with what cuDNN takes unasked.
    """
    if device.type != "cuda":
        yield
        return
    cudnn = torch.backends.cudnn
    before = cudnn.benchmark, cudnn.deterministic
    strict = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    if deterministic:
        cudnn.benchmark, cudnn.deterministic = False, True
        # Without it, cuBLAS may take another algorithm each time.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    try:
        with torch.cuda.device(device):
            yield
    finally:
        cudnn.benchmark, cudnn.deterministic = before
        torch.use_deterministic_algorithms(strict, warn_only=warns)
