"""Augmentations that move pixels, and can move masks with their images."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor

from skcnn._utils import ROUNDING
from skcnn.augmentation._base import FRACTION, FRACTION_BELOW_ONE, GeometricAugmentation
from skcnn.augmentation._sampling import uniform

# For each pixel of each image, the row (n, height) and the column (n, width) that it comes from.
# None if nothing moves.
Sources = tuple[Tensor, Tensor] | None


class _PixelMove(GeometricAugmentation):
    """Base class of augmentations that draw where each row and column of pixels comes from."""

    def apply(self, images: Tensor, drawn: Sources) -> Tensor:
        """Move images, or masks, in the way that was drawn.

        Parameters
        ----------
        images : torch.Tensor of shape (n, height, width, channels)
            Images of the shape that `draw` got, or their masks with one channel of labels. Any
            dtype. They are not modified.
        drawn : tuple of torch.Tensor, or None
            Result of `draw`.

        Returns
        -------
        images : torch.Tensor of shape (n, height, width, channels)
            Moved images or masks, of the same dtype. Labels are moved, never interpolated.

        Raises
        ------
        ValueError
            If `draw` got images of another number, height or width.
        """
        if drawn is None:
            return images
        rows, columns = drawn
        expected = (*rows.shape, columns.shape[1])
        if images.ndim != 4 or images.shape[:3] != expected:
            raise ValueError(
                f"{type(self).__name__}.apply got images or masks of shape "
                f"{tuple(images.shape)}. Expected {expected} and channels, as the images that "
                "were passed to draw: resize masks to their images, or draw for each size."
            )
        n, height, width, channels = images.shape
        first = torch.arange(0, n * height, height, device=images.device)
        places = ((first[:, None] + rows) * width)[:, :, None] + columns[:, None, :]
        pixels = images.reshape(-1, channels).index_select(0, places.flatten())
        return pixels.view(images.shape)


@dataclass(frozen=True)
class Flip(_PixelMove):
    """Mirror some of the images left to right, or top to bottom.

    Images one pixel high or wide stay as they are: they are rows of numbers.

    Parameters
    ----------
    probability : float, default=0.5
        Probability that an image is mirrored, in [0, 1].
    vertical : bool, default=False
        If True, mirror top to bottom. Suitable for images taken from above, or of things that
        drift, such as plankton.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    References
    ----------
    Krizhevsky, Sutskever, Hinton: ImageNet classification with deep convolutional neural
    networks. NIPS 2012.

    Examples
    --------
    >>> import torch
    >>> images = torch.arange(3, dtype=torch.uint8).view(1, 1, 3, 1).expand(1, 2, 3, 1)
    >>> Flip(probability=1)(images, torch.Generator())[0, 0, :, 0].tolist()
    [2, 1, 0]
    """

    probability: float = 0.5
    vertical: bool = False

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "probability": FRACTION,
        "vertical": ["boolean"],
    }

    def draw(self, images: Tensor, generator: Generator) -> Sources:
        """Draw which images are mirrored.

        Parameters
        ----------
        images : torch.Tensor of shape (n, height, width, channels)
            Only their shape and device are used.
        generator : torch.Generator
            Source of all random numbers.

        Returns
        -------
        drawn : tuple of torch.Tensor, or None
            Input of `apply`.
        """
        if _is_row(images):
            return None
        n, height, width, _ = images.shape
        mirrored = uniform(n, images, generator) < self.probability
        rows, columns = (
            torch.arange(side, device=images.device).expand(n, -1) for side in (height, width)
        )
        if self.vertical:
            return torch.where(mirrored[:, None], rows.flip(1), rows), columns
        return rows, torch.where(mirrored[:, None], columns.flip(1), columns)


@dataclass(frozen=True)
class Shift(_PixelMove):
    """Move each image along both axes, and fill the gap at the edges by reflection.

    Images one pixel high or wide stay as they are: they are rows of numbers.

    Parameters
    ----------
    fraction : float, default=0.125
        Largest shift as a fraction of the side, in [0, 1). Shifts are whole pixels.

    Raises
    ------
    ValueError
        If the fraction is out of range.

    References
    ----------
    He, Zhang, Ren, Sun: Deep residual learning for image recognition. CVPR 2016.

    Examples
    --------
    >>> import torch
    >>> images = torch.zeros(5, 32, 32, 3, dtype=torch.uint8)
    >>> Shift(0.1)(images, torch.Generator().manual_seed(0)).shape
    torch.Size([5, 32, 32, 3])
    """

    fraction: float = 0.125

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {"fraction": FRACTION_BELOW_ONE}

    def draw(self, images: Tensor, generator: Generator) -> Sources:
        """Draw how far each image is moved.

        Parameters
        ----------
        images : torch.Tensor of shape (n, height, width, channels)
            Only their shape and device are used.
        generator : torch.Generator
            Source of all random numbers.

        Returns
        -------
        drawn : tuple of torch.Tensor, or None
            Input of `apply`.
        """
        if _is_row(images):
            return None
        n, height, width, _ = images.shape
        rows = self._shifted(height, uniform(n, images, generator))
        columns = self._shifted(width, uniform(n, images, generator))
        return rows, columns

    def _shifted(self, side: int, drawn: Tensor) -> Tensor:
        """Return where each pixel along a side comes from: (n, side), reflected at the edges."""
        # As floats, 0.29 of 100 pixels are a little less than 29.
        most = int(side * self.fraction * (1 + ROUNDING))
        offset = (drawn * (2 * most + 1)).long() - most
        place = (torch.arange(side, device=drawn.device) + offset[:, None]).abs()
        return (side - 1) - (side - 1 - place).abs()


def _is_row(images: Tensor) -> bool:
    """Whether images are rows of numbers, in which each position has its own meaning."""
    return min(images.shape[1:3]) == 1
