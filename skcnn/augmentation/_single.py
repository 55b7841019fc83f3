"""Changes to each image by itself."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from skcnn.augmentation._base import Augmentation, cast_saturating, check_fraction
from skcnn.augmentation._sampling import rectangles, uniform


@dataclass(frozen=True)
class Flip(Augmentation):
    """Mirror images, left to right unless `vertical`. Rows of numbers stay as they are.

    Parameters
    ----------
    probability : float, default=0.5
        Share of the images that are mirrored, in [0, 1].
    vertical : bool, default=False
        Whether to mirror top to bottom: right for what is seen from above, or drifts.

    Raises
    ------
    ValueError
        Where the probability is not in [0, 1].

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

    def __post_init__(self) -> None:
        check_fraction(self, "probability")

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Mirror some of the images."""
        if _is_row(images):
            return images
        n, height, width, _ = images.shape
        mirrored = uniform(n, images, generator) < self.probability
        sides = [
            torch.arange(side, device=images.device).expand(n, -1) for side in (height, width)
        ]
        axis = 0 if self.vertical else 1
        sides[axis] = torch.where(mirrored[:, None], sides[axis].flip(1), sides[axis])
        return _take(images, *sides)


@dataclass(frozen=True)
class Shift(Augmentation):
    """Move images along both axes; the edge is filled by reflection. Rows stay as they are.

    Parameters
    ----------
    fraction : float, default=0.125
        By how much of each side at most, in [0, 1).

    Raises
    ------
    ValueError
        Where the fraction is not in [0, 1).

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

    def __post_init__(self) -> None:
        check_fraction(self, "fraction", open_above=True)

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Move the images."""
        if _is_row(images):
            return images
        n, height, width, _ = images.shape
        rows = self._shifted(height, uniform(n, images, generator))
        columns = self._shifted(width, uniform(n, images, generator))
        return _take(images, rows, columns)

    def _shifted(self, side: int, drawn: Tensor) -> Tensor:
        """Where each pixel along a side is taken from: (n, side), reflected at the edges."""
        most = int(side * self.fraction)
        offset = (drawn * (2 * most + 1)).long() - most
        place = (torch.arange(side, device=drawn.device) + offset[:, None]).abs()
        return (side - 1) - (side - 1 - place).abs()


@dataclass(frozen=True)
class Cutout(Augmentation):
    """Cover a square of each image with the image's mean colour.

    Parameters
    ----------
    fraction : float, default=0.25
        Side of the square as a share of the image's shorter side, in [0, 1]. Its middle lies
        anywhere in the image, so that a part of it may fall outside.

    Raises
    ------
    ValueError
        Where the fraction is not in [0, 1].

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

    def __post_init__(self) -> None:
        check_fraction(self, "fraction")

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Cover a square of each image."""
        n, height, width, _ = images.shape
        side = torch.full((n,), self.fraction * min(height, width), device=images.device)
        covered = rectangles(images, side, side, generator)
        mean = images.float().mean((1, 2), keepdim=True)
        return torch.where(covered, cast_saturating(mean, images.dtype), images)


@dataclass(frozen=True)
class Color(Augmentation):
    """Change brightness, contrast and, where there are three channels, saturation.

    Parameters
    ----------
    brightness, contrast, saturation : float, default=0.2
        By what share at most, up or down: at 0.2 a factor is drawn from [0.8, 1.2]. Brightness
        multiplies the pixels, contrast their distance from the mean of the image, saturation
        that from the mean of their own three channels.

    Raises
    ------
    ValueError
        Where one of them is not in [0, 1].

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

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation"):
            check_fraction(self, name)

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Change the colours of the images."""
        pixels = images.float()

        def factor(strength: float) -> Tensor:
            drawn = uniform(len(images), images, generator)[:, None, None, None]
            return 1 + strength * (2 * drawn - 1)

        pixels = pixels * factor(self.brightness)
        mean = pixels.mean((1, 2, 3), keepdim=True)
        pixels = mean + (pixels - mean) * factor(self.contrast)
        if images.shape[3] == 3:
            grey = pixels.mean(3, keepdim=True)
            pixels = grey + (pixels - grey) * factor(self.saturation)
        return cast_saturating(pixels, images.dtype)


def _is_row(images: Tensor) -> bool:
    """Whether images are one pixel high or wide: then places in them have a meaning."""
    return min(images.shape[1:3]) == 1


def _take(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Put together images from the pixels in rows (n, height) and columns (n, width)."""
    n, height, width, channels = images.shape
    first = torch.arange(0, n * height, height, device=images.device)
    places = ((first[:, None] + rows) * width)[:, :, None] + columns[:, None, :]
    pixels = images.reshape(-1, channels).index_select(0, places.flatten())
    return pixels.view(images.shape)
