"""Inference: images through a network in large batches, with one copy of the results back."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from skcnn._compute._ambient import no_autocast
from skcnn._compute._device_memory import free_bytes
from skcnn._compute._fork import computing
from skcnn._compute._interrupt import check_interrupts
from skcnn._data._dataset import ImageDataset
from skcnn._data._loader import Batches
from skcnn._engine._parts import BatchParts
from skcnn._utils import RowChoice
from skcnn.networks._batch_independence import is_batch_independent

# Pixels per batch that keep the largest feature maps near the caches of a CPU.
_CPU_PIXELS = 2**18
_CPU_IMAGES = 512
# Fraction of the free memory of another device that a batch may take.
_DEVICE_SHARE = 0.25
_DEVICE_IMAGES = 2**14
# Outputs that take more memory do not stay on the device.
_DEVICE_OUTPUT_BYTES = 2**28
# For networks of up to so many multiply-adds per image, padding a batch to so many multiply-adds
# costs less than calling the network does.
_SMALL_NETWORK = 250_000
_PADDED_WORK = 4_000_000


class ImageSource(Protocol):
    """Images that are gathered in slices."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: RowChoice) -> npt.NDArray[Any]: ...


@dataclass(frozen=True)
class PredictionBatching:
    """How images are run through a network.

    Attributes
    ----------
    batch_size : int
        Images at once.
    pad : bool
        Whether smaller batches are padded to that size.
    """

    batch_size: int
    pad: bool = False

    def suited_to(self, network: nn.Module) -> "PredictionBatching":
        """Return the same, without padding where padding would change results.

        A module that looks across the batch would compute other outputs, and hooks would see
        images that nobody passed.
        """
        return self if not self.pad or is_batch_independent(network) else replace(self, pad=False)


def plan_batches(
    image_shape: Sequence[int], multiply_adds: int, n_values: int, device: torch.device
) -> PredictionBatching:
    """Choose the size of batches for a network.

    BLAS and cuDNN choose kernels by batch size, so that results differ in the last bits. Small
    networks therefore pad every batch to one size, which makes predictions independent of the
    other images.

    Parameters
    ----------
    image_shape : sequence of (height, width, channels)
    multiply_adds : int
        Of the network, for one image.
    n_values : int
        Number of activations of all layers for one image.
    device : torch.device
        Where it runs.

    Examples
    --------
    >>> plan_batches((32, 32, 3), 15_000_000, 100_000, torch.device("cpu"))
    PredictionBatching(batch_size=256, pad=False)
    """
    # Padding needs float64, which not every device has.
    if multiply_adds <= _SMALL_NETWORK and device.type in ("cpu", "cuda"):
        return PredictionBatching(
            min(_CPU_IMAGES, _PADDED_WORK // max(1, multiply_adds)), pad=True
        )
    free = None if device.type == "cpu" else free_bytes(device)
    if free is None:
        size = min(_CPU_IMAGES, _CPU_PIXELS // (image_shape[0] * image_shape[1]))
    else:
        size = min(_DEVICE_IMAGES, int(_DEVICE_SHARE * free) // (4 * n_values))
    return PredictionBatching(max(1, size))


def run_images(
    function: Callable[..., Tensor],
    images: ImageSource,
    device: torch.device,
    batching: PredictionBatching,
    *,
    flip: bool = False,
) -> npt.NDArray[np.float32]:
    """Return the outputs of a network, or its features, for images.

    Where a batch is too large for the memory of the device, it is computed in halves, and so on.
    It changes nothing in the network, so that several threads can do it at a time.

    Parameters
    ----------
    function : callable
        From a batch of images (n, height, width, channels) on the device to one row per image:
        a network in evaluation mode, or its `features`. It also gets the covariates of the batch,
        where images have any.
    images : Images or ndarray of shape (n, height, width, channels)
    device : torch.device
    batching : PredictionBatching
    flip : bool, default=False
        Whether to average over each image and its mirror image.

    Returns
    -------
    outputs : ndarray of shape (n, n_outputs), float32
    """
    size = batching.batch_size if batching.pad else 0
    exact = _ExactDense() if batching.pad else nullcontext()
    # Small outputs that stay between the large blocks of batches would keep an allocator from
    # using these again, so that memory would grow with every batch.
    whole = torch.empty(0)
    n_done = 0
    parts = BatchParts()
    with torch.inference_mode(), no_autocast(device), exact:
        for batch, *beside in _batches(images, batching.batch_size, device):
            padded, *rest = (_pad_batch(part, size) for part in (batch, *beside))
            run = partial(_mean_with_mirrored, function) if flip else function
            with computing():
                result = parts.outputs(run, (padded, *rest))
            if not n_done:
                shape = len(images), *result.shape[1:]
                n_bytes = torch.float32.itemsize * math.prod(shape)
                place = device if n_bytes <= _DEVICE_OUTPUT_BYTES else torch.device("cpu")
                whole = torch.empty(shape, dtype=torch.float32, device=place)
            whole[n_done : n_done + len(batch)] = result[: len(batch)]
            n_done += len(batch)
            check_interrupts()
    array: npt.NDArray[np.float32] = whole.cpu().numpy()
    return array


def _mean_with_mirrored(
    function: Callable[..., Tensor], images: Tensor, *beside: Tensor
) -> Tensor:
    return (function(images, *beside) + function(images.flip(2), *beside)) / 2


def _batches(images: ImageSource, size: int, device: torch.device) -> Iterator[tuple[Tensor, ...]]:
    """Iterate over the arguments of a network."""
    if device.type != "cpu" or getattr(images, "decodes", False):
        staged = Batches(ImageDataset(images), size, device=device, resident=False)
        yield from (batch.inputs for batch in staged)
        return
    covariates = getattr(images, "covariates", None)
    parts = [images] if covariates is None else [images, covariates]
    for start in range(0, len(images), size):
        rows = slice(start, start + size)
        # Copied only if read-only: torch warns of tensors like that.
        arrays = (np.require(part[rows], requirements=["C", "W"]) for part in parts)
        yield tuple(torch.from_numpy(array) for array in arrays)


class _ExactDense(TorchFunctionMode):
    """Compute dense layers in float64, in this thread alone.

    The last bits of a matrix product in float32 depend on the position of a row among the others.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is not nn.functional.linear:
            return func(*args, **(kwargs or {}))
        return _linear_in_float64(*args, **(kwargs or {}))


def _linear_in_float64(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    exact = input.double() @ weight.double().T
    if bias is not None:
        exact += bias.double()
    return exact.to(input.dtype)


def _pad_batch(batch: Tensor, size: int) -> Tensor:
    missing = size - len(batch)
    return (
        batch if missing <= 0 else torch.cat([batch, batch[-1:].expand(missing, *batch.shape[1:])])
    )
