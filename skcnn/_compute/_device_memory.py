"""The memory of a device: how much is free, sharing it with other processes, running out of it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from skcnn._compute._slots import acquire_slots, worker_kind

# Into how many parts workers divide the memory of a device, how much of it they may fill together,
# and what a process takes there before it has computed anything.
_N_SLOTS = 16
_USABLE_FRACTION = 0.9
_CONTEXT_BYTES = 2**29


@contextmanager
def explain_out_of_memory(device: torch.device, hint: str) -> Iterator[None]:
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
            f"device={str(device)!r} has too little memory. {hint}. {reason}"
        ) from error


def is_device_shared(device: torch.device) -> bool:
    """Whether other workers may compute on a device at the same time; cores are no device."""
    return device.type != "cpu" and worker_kind() is not None


@contextmanager
def reserve_device_memory(
    device: torch.device, needed: int, *, alone: bool = False
) -> Iterator[None]:
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
    if not is_device_shared(device):
        yield
        return
    total = None if alone else _total_bytes(device)
    wanted = (
        _N_SLOTS
        if total is None
        else -(-(_CONTEXT_BYTES + needed) * _N_SLOTS // int(_USABLE_FRACTION * total))
    )
    with acquire_slots(_name_of(device), _N_SLOTS, wanted):
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
