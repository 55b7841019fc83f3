"""Running images through a fitted network: in large batches, with one copy of the results back."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from skcnn._compute._device_memory import free_bytes
from skcnn._data._dataset import ImageDataset
from skcnn._data._loader import Batches

# As many pixels a batch as keep a prediction's largest feature maps near the caches of a CPU.
_CPU_PIXELS = 2**18
_CPU_IMAGES = 512
# What a batch may take of the memory that is left on another device.
_DEVICE_SHARE = 0.25
_DEVICE_IMAGES = 2**14
# Up to so many multiply-adds an image, filling a batch up to so many costs less than it takes
# to call the network at all.
_SMALL_NETWORK = 250_000
_FILLED_WORK = 4_000_000


@dataclass(frozen=True)
class PredictionBatching:
    """How images are run through a network.

    Attributes
    ----------
    batch_size : int
        Images at once.
    pad : bool
        Whether smaller batches are filled up to that size.
    """

    batch_size: int
    pad: bool = False


def plan_batches(
    image_shape: Sequence[int], multiply_adds: int, n_values: int, device: torch.device
) -> PredictionBatching:
    """Choose the size of batches for a network.

    For other numbers of rows the libraries underneath take other paths, whose results differ in
    the last bits. Small networks can afford to run batches of one size only, so that each image
    gets the same outputs in whatever company it comes.

    Parameters
    ----------
    image_shape : sequence of (height, width, channels)
    multiply_adds : int
        Of the network, for one image.
    n_values : int
        How many values its layers make of one image.
    device : torch.device
        Where it runs.

    Examples
    --------
    >>> plan_batches((32, 32, 3), 15_000_000, 100_000, torch.device("cpu"))
    PredictionBatching(batch_size=256, pad=False)
    """
    # Filling takes numbers in float64, which not every device has.
    if multiply_adds <= _SMALL_NETWORK and device.type in ("cpu", "cuda"):
        return PredictionBatching(
            min(_CPU_IMAGES, _FILLED_WORK // max(1, multiply_adds)), pad=True
        )
    free = None if device.type == "cpu" else free_bytes(device)
    if free is None:
        size = min(_CPU_IMAGES, _CPU_PIXELS // (image_shape[0] * image_shape[1]))
    else:
        size = min(_DEVICE_IMAGES, int(_DEVICE_SHARE * free) // (4 * n_values))
    return PredictionBatching(max(1, size))


def run_images(
    network: nn.Module,
    images: Any,
    device: torch.device,
    plan: PredictionBatching,
    layer: nn.Module | None = None,
    *,
    flip: bool = False,
) -> npt.NDArray[np.float32]:
    """Return the logits of images or, where a layer is named, what goes into that layer.

    Parameters
    ----------
    network : torch.nn.Module
        From images (n, height, width, channels) to logits, on the device.
    images : Images or ndarray of shape (n, height, width, channels)
    device : torch.device
    plan : PredictionBatching
    layer : torch.nn.Module, default=None
        A layer of the network.
    flip : bool, default=False
        Whether to take the mean of each image and its mirror image.

    Returns
    -------
    outputs : ndarray of shape (n, n_outputs), float32
    """
    size = plan.batch_size if plan.pad else 0
    if network.training:
        network.eval()
    with torch.inference_mode(), _capture_inputs(network, layer, exact=plan.pad) as taken:
        batches = _batches(images, plan.batch_size, device)
        filled = (_pad_batch(batch, size) for batch in batches)
        logits = [_mean_with_mirrored(network, b) if flip else network(b) for b in filled]
    outputs = taken or logits
    result = outputs[0] if len(outputs) == 1 else torch.cat(outputs)
    array: npt.NDArray[np.float32] = result.float().cpu().numpy()
    return array[: len(images)]


def _mean_with_mirrored(network: nn.Module, images: Tensor) -> Tensor:
    logits: Tensor = network(images) + network(images.flip(2))
    return logits / 2


def _batches(images: Any, size: int, device: torch.device) -> Iterator[Tensor]:
    if device.type != "cpu":
        staged = Batches(ImageDataset(images), size, device=device, resident=False)
        yield from (batch for batch, _ in staged)
        return
    for start in range(0, len(images), size):
        # Without a copy, unless nobody may write to them: torch warns of tensors like that.
        yield torch.from_numpy(np.require(images[start : start + size], requirements=["C", "W"]))


@contextmanager
def _capture_inputs(
    network: nn.Module, layer: nn.Module | None, *, exact: bool
) -> Iterator[list[Tensor]]:
    """Collect what goes into a layer, and compute dense layers exactly where that is wanted."""
    taken: list[Tensor] = []

    def take(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        taken.append(inputs[0].flatten(1))

    hooks = [] if layer is None else [layer.register_forward_pre_hook(take)]
    if exact:
        dense = [part for part in network.modules() if isinstance(part, nn.Linear)]
        hooks += [part.register_forward_hook(_in_float64) for part in dense]
    try:
        yield taken
    finally:
        for hook in hooks:
            hook.remove()


def _in_float64(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """Compute a dense layer once more, precisely.

    The last bits of a matrix product in float32 depend on the place of a row among the others.
    """
    assert isinstance(layer, nn.Linear)
    exact = inputs[0].double() @ layer.weight.double().T
    if layer.bias is not None:
        exact += layer.bias.double()
    return exact.to(output.dtype)


def _pad_batch(batch: Tensor, size: int) -> Tensor:
    missing = size - len(batch)
    return batch if missing <= 0 else torch.cat([batch, batch[-1:].expand(missing, -1, -1, -1)])
