"""Random changes to training images: pure functions (images, generator) -> images.

Each takes a batch of images (n, height, width, channels) of any dtype, draws for every image on
its own from the generator, and returns a batch of the same shape, dtype and device.
"""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

Augmentation = Callable[[Tensor, Generator], Tensor]


def flip(images: Tensor, generator: Generator) -> Tensor:
    """Mirror half of the images left to right, but not rows of numbers."""
    if _is_row(images):
        return images
    n, height, width, _ = images.shape
    mirrored = _uniform(n, images, generator) < 0.5
    columns = torch.arange(width, device=images.device)
    columns = torch.where(mirrored[:, None], columns.flip(0), columns)
    rows = torch.arange(height, device=images.device).expand(n, -1)
    return _take(images, rows, columns)


def shift(images: Tensor, generator: Generator) -> Tensor:
    """Move images by up to an eighth of each side; the edge is filled by reflection.

    Rows of numbers stay as they are.
    """
    if _is_row(images):
        return images
    n, height, width, _ = images.shape
    rows = _shifted(height, _uniform(n, images, generator))
    columns = _shifted(width, _uniform(n, images, generator))
    return _take(images, rows, columns)


AUGMENTATIONS: dict[str, Augmentation] = {"flip": flip, "shift": shift}


def _is_row(images: Tensor) -> bool:
    """Whether images are one pixel high or wide: then places in them have a meaning."""
    return min(images.shape[1:3]) == 1


def _uniform(n: int, images: Tensor, generator: Generator) -> Tensor:
    return torch.rand(n, generator=generator, device=generator.device).to(images.device)


def _shifted(side: int, uniform: Tensor) -> Tensor:
    """Where each pixel along a side is taken from: (n, side), reflected at the edges."""
    most = side // 8
    offset = (uniform * (2 * most + 1)).long() - most
    place = (torch.arange(side, device=uniform.device) + offset[:, None]).abs()
    return (side - 1) - (side - 1 - place).abs()


def _take(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Put together images from the pixels in rows (n, height) and columns (n, width)."""
    n, height, width, channels = images.shape
    first = torch.arange(0, n * height, height, device=images.device)
    places = ((first[:, None] + rows) * width)[:, :, None] + columns[:, None, :]
    pixels = images.reshape(-1, channels).index_select(0, places.flatten())
    return pixels.view(images.shape)
