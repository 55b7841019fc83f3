"""Memory of a device: free bytes, sharing among workers, and errors when it is short."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from skcnn._compute._slots import acquire_slots, worker_kind

# Workers share the memory of a device in this many equal parts.
_N_SLOTS = 16
# Fraction of the memory that they may fill together.
_USABLE_FRACTION = 0.9
# Memory that a process takes on a device before it computes anything.
_CONTEXT_BYTES = 2**29
# What torch says in a plain RuntimeError: on the CPU, and on Apple's GPUs.
_SHORT = ("can't allocate memory", "MPS backend out of memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch raised an error because a device has too little memory.

    Examples
    --------
    >>> is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    True
    """
    return isinstance(error, torch.OutOfMemoryError) or any(text in str(error) for text in _SHORT)


@contextmanager
def explain_out_of_memory(device: torch.device, hint: str) -> Iterator[None]:
    """Turn torch's out-of-memory errors into a MemoryError with a hint on what to do."""
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        reason = str(error).strip().splitlines()[0]
        raise MemoryError(
            f"device={str(device)!r} has too little memory. {hint}. {reason}"
        ) from error


def is_device_shared(device: torch.device) -> bool:
    """Whether other workers may compute on a device at the same time; False for the CPU."""
    return device.type != "cpu" and worker_kind() is not None


@contextmanager
def reserve_device_memory(
    device: torch.device, needed: int, *, exclusive: bool = False
) -> Iterator[None]:
    """Wait until a device that several workers share has enough free memory.

    Workers whose tasks fit into the memory together run side by side; others wait. A process that
    is no worker never waits.

    Parameters
    ----------
    device : torch.device
    needed : int
        Expected memory of the task in bytes. If it is more than the device has, or its size is
        unknown, the task gets the device to itself.
    exclusive : bool, default=False
        Whether the task gets the device to itself in any case.
    """
    if not is_device_shared(device):
        yield
        return
    total = None if exclusive else _total_bytes(device)
    wanted = (
        _N_SLOTS
        if total is None
        else -(-(_CONTEXT_BYTES + needed) * _N_SLOTS // int(_USABLE_FRACTION * total))
    )
    with acquire_slots(_name_of(device), _N_SLOTS, wanted):
        try:
            yield
        finally:
            # Other processes cannot use memory that torch caches.
            getattr(torch, device.type).empty_cache()


def _total_bytes(device: torch.device) -> int | None:
    if device.type == "mps":
        return torch.mps.recommended_max_memory()
    module = getattr(torch, device.type)
    if not hasattr(module, "mem_get_info"):
        return None
    return int(module.mem_get_info(device)[1])


def _name_of(device: torch.device) -> str:
    """Return a name of a device that is the same in all processes, whatever its index there."""
    module = getattr(torch, device.type)
    if not hasattr(module, "get_device_properties"):
        return device.type
    index = module.current_device() if device.index is None else device.index
    unique = getattr(module.get_device_properties(index), "uuid", index)
    return f"{device.type}-{unique}"


def free_bytes(device: torch.device) -> int | None:
    """Return the free memory of a device in bytes; None if it is unknown.

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
    # Memory that torch caches but does not use is as good as free.
    unused: int = module.memory_reserved(device) - module.memory_allocated(device)
    return int(free) + unused
