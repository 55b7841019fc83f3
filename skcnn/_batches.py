"""Whole batches of images and labels, gathered at once rather than row by row."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import skorch.dataset
import torch
from torch import Generator, Tensor
from torch.utils.data import Subset

from skcnn._augment import Augmentation

_AUTO_SIZES = (128, 64, 32)
_AUTO_BATCHES = 60


def choose_batch_size(n_images: int) -> int:
    """Take the largest of 32, 64, 128 that makes 60 batches an epoch, and 32 where none does.

    Examples
    --------
    >>> choose_batch_size(30_500), choose_batch_size(5_000), choose_batch_size(200)
    (128, 64, 32)
    """
    fitting = (size for size in _AUTO_SIZES if n_images >= _AUTO_BATCHES * size)
    return next(fitting, _AUTO_SIZES[-1])


class ImageDataset(skorch.dataset.Dataset):
    """Images with their encoded labels and weights, as skorch's own tools take them.

    Parameters
    ----------
    X : Images or ndarray of shape (n, height, width, channels)
    y : ndarray of shape (n,), default=None
        Encoded labels, 0 to n_classes - 1.
    sample_weight : ndarray of shape (n,), default=None
        Weights whose mean is 1.
    """

    def __init__(
        self,
        X: Any,
        y: npt.NDArray[np.int64] | None = None,
        sample_weight: npt.NDArray[np.float32] | None = None,
    ) -> None:
        super().__init__(X, y, length=len(X))
        self.sample_weight = sample_weight


class Batches:
    """Iterate over a data set in whole batches on a device.

    Parameters
    ----------
    dataset : skorch Dataset or a Subset of one
    batch_size : int
    device : torch.device
        Where the batches are wanted.
    generator : torch.Generator, default=None
        Draws the order of the rows and their augmentation; without one they come in order,
        complete and unchanged.
    augment : sequence of callables, default=()
        Applied to each batch in turn, see `skcnn._augment`.

    Notes
    -----
    A last training batch of a single image is left out: batch normalisation cannot take it,
    and the next epoch draws another order.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        *,
        device: torch.device,
        generator: Generator | None = None,
        augment: Sequence[Augmentation] = (),
    ) -> None:
        self.rows: npt.NDArray[Any] | None = None
        while isinstance(dataset, Subset):
            indices = np.asarray(dataset.indices)
            self.rows = indices if self.rows is None else indices[self.rows]
            dataset = dataset.dataset
        self.dataset = dataset
        self.batch_size = batch_size
        self.device = device
        self.generator = generator
        self.augment = augment
        self.n_images = len(dataset) if self.rows is None else len(self.rows)

    def __len__(self) -> int:
        full, rest = divmod(self.n_images, self.batch_size)
        dropped = self.generator is not None and rest == 1 and full > 0
        return full + (rest > 0) - dropped

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        if self.generator is None:
            order = np.arange(self.n_images)
        else:
            order = torch.randperm(self.n_images, generator=self.generator).numpy()
        for number in range(len(self)):
            rows = order[number * self.batch_size : (number + 1) * self.batch_size]
            yield self._batch(rows if self.rows is None else self.rows[rows])

    def _batch(self, rows: npt.NDArray[Any]) -> tuple[Tensor, Tensor]:
        images = torch.from_numpy(np.ascontiguousarray(self.dataset.X[rows])).to(self.device)
        if self.generator is not None:
            for change in self.augment:
                images = change(images, self.generator)
        y = self.dataset.y
        # skorch unpacks a batch into X and y, whatever y is: without labels, zeros as its own
        # data set has them.
        labels = torch.zeros(len(rows)) if y is None else torch.from_numpy(np.asarray(y)[rows])
        labels = labels.to(self.device)
        weight = getattr(self.dataset, "sample_weight", None)
        if weight is not None:
            # Rides along on the labels, since skorch's callbacks know batches of two only.
            labels.sample_weight = torch.from_numpy(weight[rows]).to(self.device)  # type: ignore[attr-defined]
        return images, labels
