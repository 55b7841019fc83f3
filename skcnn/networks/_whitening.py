"""Filters of a whitening stem, computed from the training images before training."""

from typing import Any

import numpy as np
import numpy.typing as npt

# The covariance is that of a sample: so many pixels in all, but no fewer images than the minimum.
_MAX_IMAGES = 2_000
_MIN_IMAGES = 64
_MAX_PIXELS = 2**21
# The patches of a chunk take 12 times the memory of its pixels.
_CHUNK_PIXELS = 2**16
# Keeps patches without variance from being scaled to noise.
_EPSILON = 5e-4


def stem_window(image_shape: tuple[int, int, int]) -> tuple[int, int]:
    """Return height and width of the filters: 2, or 1 along sides of one pixel.

    Examples
    --------
    >>> stem_window((32, 32, 3)), stem_window((1, 90, 1))
    ((2, 2), (1, 2))
    """
    height, width, _ = image_shape
    return min(2, height), min(2, width)


def whitening_filters(
    images: Any, mean: Any, scale: Any, *, mirrored: bool = False
) -> npt.NDArray[np.float32]:
    """Compute filters whose responses on the training images are uncorrelated with unit variance.

    They are the eigenvectors of the covariance of small patches, divided by their standard
    deviations, and the negatives of these.

    Parameters
    ----------
    images : Images or ndarray of shape (n, height, width, channels)
    mean, scale : sequence of float
        Pixel mean and standard deviation per channel.
    mirrored : bool, default=False
        Whether to include the mirror images of the training images. The mirror image of each
        filter is then one of the filters.

    Returns
    -------
    filters : ndarray of shape (n_filters, channels, height, width), float32

    References
    ----------
    Page: How to train your ResNet 8: bag of tricks. 2019,
    https://myrtle.ai/learn/how-to-train-your-resnet-8-bag-of-tricks/.

    Examples
    --------
    >>> images = np.random.RandomState(0).randint(256, size=(50, 8, 8, 3), dtype=np.uint8)
    >>> whitening_filters(images, [128] * 3, [74] * 3).shape
    (24, 3, 2, 2)
    """
    height, width, channels = images[:1].shape[1:]
    n_images = min(_MAX_IMAGES, max(_MIN_IMAGES, _MAX_PIXELS // (height * width)))
    rows = np.arange(0, len(images), max(1, len(images) // n_images))[:n_images]
    window = stem_window((height, width, channels))
    n_values = channels * window[0] * window[1]
    products, n_patches = np.zeros((n_values, n_values)), 0
    chunk_size = max(1, _CHUNK_PIXELS // (height * width))
    for start in range(0, len(rows), chunk_size):
        sample = images[rows[start : start + chunk_size]]
        pixels = (sample.astype(np.float64) - mean) / scale
        patches = np.lib.stride_tricks.sliding_window_view(pixels, window, axis=(1, 2))
        vectors = patches.reshape(-1, n_values)
        products += vectors.T @ vectors
        n_patches += len(vectors)
    if mirrored:
        order = np.arange(n_values).reshape(channels, *window)[:, :, ::-1].ravel()
        products = (products + products[order][:, order]) / 2
    variances, eigenvectors = np.linalg.eigh(products / n_patches)
    filters = (eigenvectors / np.sqrt(np.maximum(variances, 0) + _EPSILON)).T[::-1]
    filters = np.concatenate([filters, -filters])
    return filters.reshape(-1, channels, *window).astype(np.float32)
