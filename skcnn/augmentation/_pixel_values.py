"""Augmentations that change the values of pixels and leave masks as they are."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor

from skcnn.augmentation._base import FRACTION, Augmentation, cast_saturating
from skcnn.augmentation._sampling import rectangles, uniform


@dataclass(frozen=True)
class Cutout(Augmentation):
    """Cover a square of each image with the image's mean color.

    Masks stay as they are: a label under the square still has to be predicted, from what
    surrounds it.

    Parameters
    ----------
    fraction : float, default=0.25
        Side of the square as a fraction of the image's shorter side, in [0, 1]. The center of
        the square can be anywhere in the image, so part of the square may fall outside.

    Raises
    ------
    ValueError
        If the fraction is out of range.

    References
    ----------
    DeVries, Taylor: Improved regularization of convolutional neural networks with cutout. 2017,
    arXiv:1708.04552.

    Examples
    --------
    >>> import torch
    >>> images = torch.tensor([0, 200], dtype=torch.uint8).repeat(2, 4, 2)[..., None]
    >>> covered = Cutout(0.5)(images, torch.Generator().manual_seed(0))
    >>> covered.unique().tolist()
    [0, 100, 200]
    """

    fraction: float = 0.25

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {"fraction": FRACTION}

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Return images in which a square is covered.

        Parameters
        ----------
        images : torch.Tensor of shape (n, height, width, channels)
            uint8 from 0 to 255, or float32 of any range. They are not modified.
        generator : torch.Generator
            Source of all random numbers.

        Returns
        -------
        images : torch.Tensor of shape (n, height, width, channels)
            Changed images, of the same dtype and on the same device.
        """
        n, height, width, _ = images.shape
        side = torch.full((n,), self.fraction * min(height, width), device=images.device)
        covered = rectangles(images, side, side, generator)
        mean = images.float().mean((1, 2), keepdim=True)
        return torch.where(covered, cast_saturating(mean, images.dtype), images)


@dataclass(frozen=True)
class Color(Augmentation):
    """Change brightness, contrast and, for images with three channels, saturation.

    Masks stay as they are.

    Parameters
    ----------
    brightness, contrast, saturation : float, default=0.2
        Largest relative change in [0, 1]: 0.2 means a factor from [0.8, 1.2]. Brightness
        multiplies the pixels, contrast their difference from the mean of the image, saturation
        the difference of each channel from the mean of the pixel's three channels.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    Notes
    -----
    Results are clipped for uint8 images only: float images from 0 to 1 may come to exceed 1.

    References
    ----------
    Howard: Some improvements on deep convolutional neural network based image classification.
    ICLR 2014.

    Examples
    --------
    >>> import torch
    >>> images = torch.full((100, 2, 2, 3), 100, dtype=torch.uint8)
    >>> brighter = Color(brightness=0.5)(images, torch.Generator().manual_seed(0))
    >>> bool(brighter.min() >= 50), bool(brighter.max() <= 150)
    (True, True)
    """

    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "brightness": FRACTION,
        "contrast": FRACTION,
        "saturation": FRACTION,
    }

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Return images with changed colors.

        Parameters
        ----------
        images : torch.Tensor of shape (n, height, width, channels)
            uint8 from 0 to 255, or float32 of any range. They are not modified.
        generator : torch.Generator
            Source of all random numbers.

        Returns
        -------
        images : torch.Tensor of shape (n, height, width, channels)
            Changed images, of the same dtype and on the same device.
        """
        pixels = images.float()

        def factor(strength: float) -> Tensor:
            drawn = uniform(len(images), images, generator)[:, None, None, None]
            return 1 + strength * (2 * drawn - 1)

        pixels = pixels * factor(self.brightness)
        mean = pixels.mean((1, 2, 3), keepdim=True)
        pixels = mean + (pixels - mean) * factor(self.contrast)
        if images.shape[3] == 3:
            gray = pixels.mean(3, keepdim=True)
            pixels = gray + (pixels - gray) * factor(self.saturation)
        return cast_saturating(pixels, images.dtype)
