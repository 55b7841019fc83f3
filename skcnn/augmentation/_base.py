"""What all random changes have in common."""

from typing import Any

import torch
from torch import Generator, Tensor


class Augmentation:
    """Base of changes that need nothing but the images.

    They compute on the device of the images, wait for nothing and decide nothing by the values
    in them, so that a GPU can record them.
    """

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Return changed images.

        Parameters
        ----------
        images : torch.Tensor of shape (n, height, width, channels)
            uint8, or float32 of any range.
        generator : torch.Generator
            What to draw from.

        Returns
        -------
        images : torch.Tensor
            New ones of the same shape, dtype and device.
        """
        raise NotImplementedError


class MixingAugmentation(Augmentation):
    """Base of changes that mix each image with another one of its batch, and so their labels."""

    def mix(self, images: Tensor, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Return mixed images, the number of each one's partner, and the share of its own.

        Parameters
        ----------
        images : torch.Tensor of shape (n, height, width, channels)
        generator : torch.Generator

        Returns
        -------
        images : torch.Tensor of shape (n, height, width, channels)
        partner : torch.Tensor of shape (n,), int64
            Which image of the batch was mixed in.
        share : torch.Tensor of shape (n,), float32
            Of the image itself in the mixture, in [0, 1].
        """
        raise NotImplementedError

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Return mixed images alone."""
        return self.mix(images, generator)[0]


def check_fraction(change: Any, name: str, *, open_above: bool = False) -> None:
    value = getattr(change, name)
    if not 0 <= value <= 1 or (open_above and value == 1):
        expected = "[0, 1)" if open_above else "[0, 1]"
        raise ValueError(f"{type(change).__name__} got {name}={value!r}, expected {expected}.")


def check_positive(change: Any, name: str) -> None:
    value = getattr(change, name)
    if not 0 < value < float("inf"):
        raise ValueError(
            f"{type(change).__name__} got {name}={value!r}, expected a value above 0."
        )


def cast_saturating(pixels: Tensor, dtype: torch.dtype) -> Tensor:
    """Round and limit pixels to what their type holds."""
    if dtype.is_floating_point:
        return pixels.to(dtype)
    info = torch.iinfo(dtype)
    return pixels.round().clamp(info.min, info.max).to(dtype)
