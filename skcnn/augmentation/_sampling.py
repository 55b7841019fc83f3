"""What random changes draw for each image of a batch."""

from functools import lru_cache

import torch
from scipy import stats
from torch import Generator, Tensor

# Beta distributions are drawn from by so many equally probable values.
_QUANTILES = 4096


def uniform(n: int, images: Tensor, generator: Generator) -> Tensor:
    return torch.rand(n, generator=generator, device=generator.device).to(images.device)


def permutation(images: Tensor, generator: Generator) -> Tensor:
    return uniform(len(images), images, generator).argsort()


def beta(alpha: float, images: Tensor, generator: Generator) -> Tensor:
    """Draw from Beta(alpha, alpha) for each image.

    By its quantiles, since torch draws from this distribution by no generator of ours.
    """
    quantiles = _beta_quantiles(alpha, images.device)
    places = (uniform(len(images), images, generator) * _QUANTILES).long()
    return quantiles[places]


@lru_cache(maxsize=32)
def _beta_quantiles(alpha: float, device: torch.device) -> Tensor:
    levels = (torch.arange(_QUANTILES, dtype=torch.float64) + 0.5) / _QUANTILES
    values = stats.beta.ppf(levels.numpy(), alpha, alpha)
    return torch.from_numpy(values).float().to(device)


def rectangles(images: Tensor, height: Tensor, width: Tensor, generator: Generator) -> Tensor:
    """Mark a rectangle (height, width) around a random place of each image: (n, h, w, 1)."""
    n = len(images)
    inside = []
    for side, length in zip(images.shape[1:3], (height, width)):
        middle = uniform(n, images, generator) * side
        pixels = torch.arange(side, device=images.device) + 0.5
        inside.append((pixels - middle[:, None]).abs() < length[:, None] / 2)
    rows, columns = inside
    return (rows[:, :, None] & columns[:, None, :])[..., None]
