"""Images with their targets and weights: the data set, and one batch of it."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import skorch.dataset
from torch import Tensor


class Batch(NamedTuple):
    """Images of one step, with what belongs to each of them.

    Attributes
    ----------
    images : torch.Tensor of shape (n, height, width, channels)
    target : torch.Tensor of shape (n, ...)
        Encoded targets.
    weight : torch.Tensor of shape (n,) or None
        Weight of each image in the loss; None where all weigh the same.
    covariates : torch.Tensor of shape (n, n_covariates) or None
        Numbers that the network takes beside the images.
    """

    images: Tensor
    target: Tensor
    weight: Tensor | None = None
    covariates: Tensor | None = None

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """Arguments of the network."""
        return (self.images,) if self.covariates is None else (self.images, self.covariates)

    @property
    def pair(self) -> tuple[Tensor, Tensor]:
        """Images and targets, as callbacks of skorch expect a batch."""
        return self.images, self.target

    def part(self, rows: slice) -> "Batch":
        """Return some of the images, with what belongs to them."""
        images, target = self.images[rows], self.target[rows]
        beside = (None if each is None else each[rows] for each in (self.weight, self.covariates))
        return Batch(images, target, *beside)


class ImageDataset(skorch.dataset.Dataset):
    """Images with their encoded targets and weights, as skorch's own tools take them.

    Parameters
    ----------
    X : Images or ndarray of shape (n, height, width, channels)
        An attribute `covariates` are numbers beside the images.
    y : ndarray of shape (n, ...), default=None
        Encoded targets.
    sample_weight : ndarray of shape (n,), default=None
        Weights whose mean is 1.
    """

    def __init__(
        self,
        X: Any,
        y: npt.NDArray[Any] | None = None,
        sample_weight: npt.NDArray[np.float32] | None = None,
    ) -> None:
        super().__init__(X, y, length=len(X))
        self.sample_weight = sample_weight
