"""Batches in parts, where a device has too little memory for a whole one."""

import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor, nn

from skcnn._compute._device_memory import is_out_of_memory

Result = TypeVar("Result")


class BatchParts:
    """Into which parts batches are divided: none at first, and halves each time memory is short.

    What was found stays for all later batches.

    Parameters
    ----------
    smallest : int, default=1
        Fewest images that a part may have.

    Attributes
    ----------
    most : int or None
        Most images of a part; None where batches are not divided.
    """

    def __init__(self, smallest: int = 1) -> None:
        self.smallest = smallest
        self.most: int | None = None

    def slices(self, n: int) -> list[slice]:
        """Return the parts of a batch of n images, which differ by at most one image."""
        if self.most is None or n <= self.most:
            return [slice(0, n)]
        n_parts = max(1, min(-(-n // self.most), n // self.smallest))
        ends = [n * number // n_parts for number in range(n_parts + 1)]
        return [slice(start, end) for start, end in pairwise(ends)]

    def run(self, compute: Callable[[list[slice]], Result], n: int) -> Result:
        """Return what a function computes of the parts of a batch of n images.

        It is called again, with smaller parts, until there is memory enough, and must give the
        same result after a call that failed.

        Raises
        ------
        RuntimeError
            That of the function, if it has other reasons, or if the parts cannot be smaller.
        """
        while True:
            slices = self.slices(n)
            try:
                return compute(slices)
            except RuntimeError as error:
                largest = max(part.stop - part.start for part in slices)
                most = max(self.smallest, -(-largest // 2))
                if most == largest or not is_out_of_memory(error) or _is_recorded():
                    raise
            # Only here are the tensors of the failed call gone, which the error held.
            self.most = most
            _release_cached_memory()

    def outputs(self, network: Callable[..., Tensor], inputs: Sequence[Tensor]) -> Tensor:
        """Return the outputs of a network for a batch.

        Parameters
        ----------
        network : callable
            From a batch to one row per image.
        inputs : sequence of torch.Tensor of shape (n, ...)
            Its arguments.
        """

        def compute(slices: list[slice]) -> Tensor:
            if len(slices) == 1:
                return network(*inputs)
            return torch.cat([network(*(part[rows] for part in inputs)) for rows in slices])

        return self.run(compute, len(inputs[0]))


def smallest_batch(network: nn.Module) -> int:
    """Return how many images a network needs at once in training: one is no batch to normalize."""
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    return 2 if any(isinstance(layer, kinds) for layer in network.modules()) else 1


def warn_of_parts(batch_size: int, most: int, device: torch.device) -> None:
    """Say that training computes batches in parts, and what to do about it."""
    warnings.warn(
        f"device={str(device)!r} has too little memory for a batch of {batch_size} images. Each "
        f"step now computes at most {most} at once and adds up their gradients, which gives the "
        "same step up to rounding, except that batch normalization sees fewer images at a time, "
        f"and dropout draws other numbers. To train without this, set batch_size={most}, or use "
        "smaller images or a smaller network.",
        stacklevel=2,
    )


def _is_recorded() -> bool:
    """Whether a CUDA graph is being captured, which has to be given up before anything else."""
    return torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()


def _release_cached_memory() -> None:
    """Give back memory in pieces that no longer fit."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()
