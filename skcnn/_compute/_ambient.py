"""Settings of torch that a caller may have changed, and that must not change a fit."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch


@contextmanager
def default_torch_settings(device: torch.device) -> Iterator[None]:
    """Compute with torch's own defaults for a while.

    These are the floating-point type float32, gradients, no autocast, and new tensors on the CPU
    unless a device is named. All but the first are settings of this thread alone. The first is
    one for all threads: fits take turns, but a network that is built by `summary` beside a fit in
    another thread may see it change back where the caller has set another type.
    """
    dtype = torch.get_default_dtype()
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(no_autocast(device))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        if dtype != torch.float32:
            torch.set_default_dtype(torch.float32)
            stack.callback(torch.set_default_dtype, dtype)
        yield


@contextmanager
def no_autocast(device: torch.device) -> Iterator[None]:
    """Compute in the types of the tensors, whatever the caller's autocast is."""
    kinds = {device.type, "cpu"}
    with ExitStack() as stack:
        for kind in kinds:
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield


def autocast(device: torch.device, precision: torch.dtype) -> torch.autocast:
    """Compute in a floating-point type, whatever the caller's own autocast is."""
    low = precision != torch.float32
    # Inside a caller's autocast, a cache would keep the weights of earlier steps.
    return torch.autocast(device.type, dtype=precision, enabled=low, cache_enabled=False)
