"""Changes that mix images with each other, and so their labels."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from skcnn.augmentation._base import (
    MixingAugmentation,
    cast_saturating,
    check_fraction,
    check_positive,
)
from skcnn.augmentation._sampling import beta, permutation, rectangles, uniform


@dataclass(frozen=True)
class MixUp(MixingAugmentation):
    """Blend each image with another one, and their labels in the same proportions.

    Parameters
    ----------
    alpha : float, default=0.2
        Above 0. The shares are drawn from the distribution Beta(alpha, alpha): near 0 most
        images stay almost as they are, at 1 every mixture is as likely.

    Raises
    ------
    ValueError
        Where alpha is not above 0.

    References
    ----------
    Zhang, Cisse, Dauphin, Lopez-Paz: mixup: beyond empirical risk minimization. ICLR 2018.

    Examples
    --------
    >>> import torch
    >>> images = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1)
    >>> mixed, partner, share = MixUp(1.0).mix(images, torch.Generator().manual_seed(0))
    >>> bool((mixed.flatten() == share * images.flatten() + (1 - share) * partner).all())
    True
    """

    alpha: float = 0.2

    def __post_init__(self) -> None:
        check_positive(self, "alpha")

    def mix(self, images: Tensor, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Blend the images."""
        partner = permutation(images, generator)
        share = beta(self.alpha, images, generator)
        own = share[:, None, None, None]
        mixture = own * images.float() + (1 - own) * images[partner].float()
        return cast_saturating(mixture, images.dtype), partner, share


@dataclass(frozen=True)
class CutMix(MixingAugmentation):
    """Put a rectangle of another image into each one, and mix their labels by area.

    Parameters
    ----------
    probability : float, default=0.5
        Share of the images that get one, in [0, 1].
    alpha : float, default=1.0
        Above 0. The area is drawn from the distribution Beta(alpha, alpha).

    Raises
    ------
    ValueError
        Where the probability is not in [0, 1] or alpha is not above 0.

    References
    ----------
    Yun, Han, Oh, Chun, Choe, Yoo: CutMix: regularization strategy to train strong classifiers
    with localizable features. ICCV 2019.

    Examples
    --------
    >>> import torch
    >>> images = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 8, 8, 1)
    >>> mixed, _, share = CutMix(1.0).mix(images, torch.Generator().manual_seed(0))
    >>> mixed.unique().tolist()
    [0.0, 1.0]
    """

    probability: float = 0.5
    alpha: float = 1.0

    def __post_init__(self) -> None:
        check_fraction(self, "probability")
        check_positive(self, "alpha")

    def mix(self, images: Tensor, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Put rectangles into the images."""
        n, height, width, _ = images.shape
        partner = permutation(images, generator)
        side = (1 - beta(self.alpha, images, generator)).sqrt()
        side = torch.where(uniform(n, images, generator) < self.probability, side, 0)
        replaced = rectangles(images, side * height, side * width, generator)
        # What lies outside of the image counts for nothing.
        share = 1 - replaced.float().mean((1, 2, 3))
        return torch.where(replaced, images[partner], images), partner, share
