"""Random numbers and random rectangles, one for each image of a batch."""

from functools import lru_cache

import torch
from scipy import stats
from torch import Generator, Tensor

# Number of equally probable values that stand for a beta distribution.
_N_QUANTILES = 4096


def uniform(n: int, images: Tensor, generator: Generator) -> Tensor:
    """Draw n numbers from [0, 1), on the device of the images."""
    return torch.rand(n, generator=generator, device=generator.device).to(images.device)


def permutation(images: Tensor, generator: Generator) -> Tensor:
    """Draw a random order of the images."""
    return uniform(len(images), images, generator).argsort()


def beta(alpha: float, images: Tensor, generator: Generator) -> Tensor:
    """Draw from Beta(alpha, alpha) for each image.

    A random quantile is looked up, because torch's own beta distribution takes no generator.
    """
    quantiles = _beta_quantiles(alpha, images.device)
    indices = (uniform(len(images), images, generator) * _N_QUANTILES).long()
    return quantiles[indices]


@lru_cache(maxsize=32)
def _beta_quantiles(alpha: float, device: torch.device) -> Tensor:
    levels = (torch.arange(_N_QUANTILES, dtype=torch.float64) + 0.5) / _N_QUANTILES
    values = stats.beta.ppf(levels.numpy(), alpha, alpha)
    return torch.from_numpy(values).float().to(device)


def rectangles(images: Tensor, height: Tensor, width: Tensor, generator: Generator) -> Tensor:
    """Mark a rectangle (height, width) around a random point of each image: (n, h, w, 1)."""
    n = len(images)
    inside = []
    for side, length in zip(images.shape[1:3], (height, width)):
        center = uniform(n, images, generator) * side
        pixels = torch.arange(side, device=images.device) + 0.5
        inside.append((pixels - center[:, None]).abs() < length[:, None] / 2)
    rows, columns = inside
    return (rows[:, :, None] & columns[:, None, :])[..., None]
