"""Arrays of a target as tensors on the device where its loss is computed."""

import numpy.typing as npt
import torch
from torch import Tensor


class DeviceConstants:
    """Copies arrays to a device once: a CUDA graph cannot copy them from the CPU at each step.

    Copies and pickles of this object are empty, so that a stored target holds no device memory.

    Examples
    --------
    >>> import numpy as np
    >>> constants = DeviceConstants()
    >>> constants.get("weight", np.array([1.0, 2.0]), like=torch.zeros(1))
    tensor([1., 2.])
    """

    def __init__(self) -> None:
        self._tensors: dict[tuple[str, torch.device, torch.dtype], Tensor] = {}

    def __reduce__(self) -> tuple[type["DeviceConstants"], tuple[()]]:
        return type(self), ()

    def get(self, name: str, values: npt.ArrayLike, *, like: Tensor) -> Tensor:
        """Return an array with the device and type of a tensor; `name` is its key."""
        key = (name, like.device, like.dtype)
        if key not in self._tensors:
            # A tensor of inference mode could not be used in training.
            with torch.inference_mode(False):
                self._tensors[key] = torch.as_tensor(values, dtype=like.dtype, device=like.device)
        return self._tensors[key]
