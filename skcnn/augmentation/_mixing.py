"""Augmentations that mix pairs of images and their labels."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor

from skcnn.augmentation._base import FRACTION, POSITIVE, MixingAugmentation, cast_saturating
from skcnn.augmentation._sampling import beta, permutation, rectangles, uniform


@dataclass(frozen=True)
class MixUp(MixingAugmentation):
    """Blend each image with another one, and their labels in the same proportions.

    Parameters
    ----------
    alpha : float, default=0.2
        Above 0. The fraction of the image itself is drawn from the distribution Beta(alpha,
        alpha). With a small alpha, most mixtures are close to one of the two images; with
        ``alpha=1``, all fractions are equally likely.

    Raises
    ------
    ValueError
        If alpha is not above 0.

    References
    ----------
    Zhang, Cisse, Dauphin, Lopez-Paz: mixup: beyond empirical risk minimization. ICLR 2018.

    Examples
    --------
    >>> import torch
    >>> images = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1)
    >>> generator = torch.Generator().manual_seed(0)
    >>> mixed, partner, fraction_own = MixUp(1.0).mix(images, generator)
    >>> expected = fraction_own * images.flatten() + (1 - fraction_own) * images.flatten()[partner]
    >>> torch.equal(mixed.flatten(), expected)
    True
    """

    alpha: float = 0.2

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {"alpha": POSITIVE}

    def mix(self, images: Tensor, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Blend each image with another one.

        Parameters
        ----------
        images : torch.Tensor of shape (n, height, width, channels)
            uint8 from 0 to 255, or float32 of any range. They are not modified.
        generator : torch.Generator
            Source of all random numbers.

        Returns
        -------
        images : torch.Tensor of shape (n, height, width, channels)
            Blended images, of the same dtype and on the same device.
        partner : torch.Tensor of shape (n,), int64
            For each image, the index in the batch of the image that was blended in.
        fraction_own : torch.Tensor of shape (n,), float32
            Weight of the image itself in its blend, in [0, 1].
        """
        partner = permutation(images, generator)
        fraction_own = beta(self.alpha, images, generator)
        weight = fraction_own[:, None, None, None]
        mixture = weight * images.float() + (1 - weight) * images[partner].float()
        return cast_saturating(mixture, images.dtype), partner, fraction_own


@dataclass(frozen=True)
class CutMix(MixingAugmentation):
    """Replace a rectangle of each image by that of another one, and mix their labels by area.

    Parameters
    ----------
    probability : float, default=0.5
        Probability that an image gets a rectangle, in [0, 1].
    alpha : float, default=1.0
        Above 0. The area of the rectangle, as a fraction of the image, is drawn from the
        distribution Beta(alpha, alpha).

    Raises
    ------
    ValueError
        If a parameter is out of range.

    References
    ----------
    Yun, Han, Oh, Chun, Choe, Yoo: CutMix: regularization strategy to train strong classifiers
    with localizable features. ICCV 2019.

    Examples
    --------
    >>> import torch
    >>> images = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 8, 8, 1)
    >>> mixed, _, fraction_own = CutMix(1.0).mix(images, torch.Generator().manual_seed(0))
    >>> mixed.unique().tolist()
    [0.0, 1.0]
    """

    probability: float = 0.5
    alpha: float = 1.0

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "probability": FRACTION,
        "alpha": POSITIVE,
    }

    def mix(self, images: Tensor, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Replace a rectangle of some of the images.

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
        partner : torch.Tensor of shape (n,), int64
            For each image, the index in the batch of the image that the rectangle comes from.
        fraction_own : torch.Tensor of shape (n,), float32
            Fraction of the pixels that are the image's own, in [0, 1].
        """
        n, height, width, _ = images.shape
        partner = permutation(images, generator)
        side = (1 - beta(self.alpha, images, generator)).sqrt()
        side = torch.where(uniform(n, images, generator) < self.probability, side, 0)
        replaced = rectangles(images, side * height, side * width, generator)
        # A rectangle may reach beyond the image, so pixels are counted, not its nominal area.
        fraction_own = 1 - replaced.float().mean((1, 2, 3))
        return torch.where(replaced, images[partner], images), partner, fraction_own
