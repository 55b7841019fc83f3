"""Images and labels read as a fitted estimator does, and handed to its network in batches."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator
from torch import Tensor

from skcnn._compute._interrupt import check_interrupts
from skcnn._data._files import FileImages
from skcnn._data._inputs import AnyImages
from skcnn._targets._classes import encode

_BATCH_SIZE = 64


def read_images(estimator: BaseEstimator, X: npt.ArrayLike) -> AnyImages:
    """Read images as a fitted estimator does, without gathering their pixels.

    Parameters
    ----------
    estimator : skcnn estimator with a network
        A fitted one.
    X : array-like
        Images, in any form that its `predict` takes.

    Returns
    -------
    images : Images or FileImages
        Slices and arrays of row numbers give uint8 or float32 arrays of shape (n, height, width,
        n_channels).
    """
    images: AnyImages = estimator._read_images(X)
    # There is nothing to show of a file that cannot be read.
    if isinstance(images, FileImages):
        return replace(images, skips=False, may_skip=False)
    return images


def image_batches(
    images: AnyImages, device: torch.device
) -> Iterator[tuple[slice, tuple[Tensor, ...]]]:
    """Gather the arguments of the network batch by batch, and move them to the device."""
    parts = [images] if images.covariates is None else [images, images.covariates]
    for start in range(0, len(images), _BATCH_SIZE):
        check_interrupts()
        rows = slice(start, start + _BATCH_SIZE)
        # Torch warns of arrays that cannot be written to.
        arrays = (np.require(part[rows], requirements=["C", "W"]) for part in parts)
        yield rows, tuple(torch.from_numpy(array).to(device) for array in arrays)


def class_indices(
    labels: npt.ArrayLike, classes: npt.ArrayLike, name: str
) -> npt.NDArray[np.intp]:
    """Number labels by their place among classes in any order."""
    names = np.asarray(classes)
    order = np.argsort(names)
    numbers: npt.NDArray[np.intp] = order[encode(np.asarray(labels), names[order], name)]
    return numbers
