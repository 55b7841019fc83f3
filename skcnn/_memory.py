"""Memory: keep what each batch frees for the next one, and know how much a device has left."""

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch

# Numbers of glibc's mallopt, and how many bytes it takes for its own at most.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEEP = 2**30
# What glibc comes to by itself where large blocks are freed again and again.
_USUAL = {_MMAP_THRESHOLD: 2**25, _TRIM_THRESHOLD: 2**26}
_SETTINGS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")

_lock = threading.Lock()
_n_keeping = 0


@contextmanager
def kept_memory() -> Iterator[None]:
    """Keep freed memory in the process for a while.

    Each batch takes and frees the same blocks. glibc hands large ones back to the system, which
    then clears them page by page when the next batch takes them again: on some machines that
    takes longer than to compute what goes in. Other C libraries are left alone, and so is glibc
    where the environment has settings of its own for this.
    """
    global _n_keeping
    mallopt = _mallopt()
    if mallopt is None:
        yield
        return
    with _lock:
        _n_keeping += 1
        if _n_keeping == 1:
            for setting in _USUAL:
                mallopt(setting, _KEEP)
    try:
        yield
    finally:
        with _lock:
            _n_keeping -= 1
            if _n_keeping == 0:
                for setting, value in _USUAL.items():
                    mallopt(setting, value)


@cache
def _mallopt() -> Any:
    if os.name != "posix" or any(name in os.environ for name in _SETTINGS):
        return None
    library = ctypes.CDLL(None)
    # Other C libraries have a mallopt too, whose numbers mean something else.
    if not hasattr(library, "gnu_get_libc_version"):
        return None
    # What is free now, all the imports have left in bits too small to be of use.
    library.malloc_trim(0)
    return library.mallopt


@contextmanager
def shortage_explained(device: torch.device, way_out: str) -> Iterator[None]:
    """Turn torch's errors about memory into a MemoryError that says what to do."""
    try:
        yield
    except RuntimeError as error:
        # On the CPU it is no class of its own.
        short = isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
        if not short:
            raise
        reason = str(error).strip().splitlines()[0]
        raise MemoryError(
            f"device={str(device)!r} has too little memory. {way_out}. {reason}"
        ) from error


def free_bytes(device: torch.device) -> int | None:
    """Return how much memory is left on a device; None where torch does not tell.

    Examples
    --------
    >>> free_bytes(torch.device("cpu")) is None
    True
    """
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    module = getattr(torch, device.type)
    if not hasattr(module, "mem_get_info"):
        return None
    free, _ = module.mem_get_info(device)
    # What torch holds but does not use is as good as free.
    unused: int = module.memory_reserved(device) - module.memory_allocated(device)
    return int(free) + unused
