"""Memory: kept from batch to batch, and shared with other processes on a device."""

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch

from skcnn._workers import claimed, worker_kind

# Numbers of glibc's mallopt, and how many bytes it takes for its own at most.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEEP = 2**30
# What glibc comes to by itself where large blocks are freed again and again.
_USUAL = {_MMAP_THRESHOLD: 2**25, _TRIM_THRESHOLD: 2**26}
_SETTINGS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")

# Into how many parts workers divide the memory of a device, how much of it they may fill together,
# and what a process takes there before it has computed anything.
_LOTS = 16
_SHARED = 0.9
_CONTEXT = 2**29

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


def is_shared(device: torch.device) -> bool:
    """Whether other workers may compute on a device at the same time; cores are no device."""
    return device.type != "cpu" and worker_kind() is not None


@contextmanager
def device_shared(device: torch.device, needed: int, *, alone: bool = False) -> Iterator[None]:
    """Have a worker wait until a device that several share has memory for its work.

    Workers claim parts of the memory: those whose work fits into it together go side by side,
    and others wait. Whoever is no worker is never kept waiting.

    Parameters
    ----------
    device : torch.device
    needed : int
        How many bytes the work is expected to take. Where that is more than there is, or nobody
        can tell how much there is, the work has the device to itself.
    alone : bool, default=False
        Whether it has so in any case.
    """
    if not is_shared(device):
        yield
        return
    total = None if alone else _total_bytes(device)
    wanted = _LOTS if total is None else -(-(_CONTEXT + needed) * _LOTS // int(_SHARED * total))
    with claimed(_name_of(device), _LOTS, wanted):
        try:
            yield
        finally:
            # What torch keeps for later, no other process can use.
            getattr(torch, device.type).empty_cache()


def _total_bytes(device: torch.device) -> int | None:
    if device.type == "mps":
        return torch.mps.recommended_max_memory()
    module = getattr(torch, device.type)
    if not hasattr(module, "mem_get_info"):
        return None
    return int(module.mem_get_info(device)[1])


def _name_of(device: torch.device) -> str:
    """Name a device alike in all processes, each of which may number its own from 0."""
    module = getattr(torch, device.type)
    if not hasattr(module, "get_device_properties"):
        return device.type
    index = module.current_device() if device.index is None else device.index
    unique = getattr(module.get_device_properties(index), "uuid", index)
    return f"{device.type}-{unique}"


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
