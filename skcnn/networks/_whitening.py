"""The filters of a whitening stem, computed from the training images before anything is learnt."""

from typing import Any

import numpy as np
import numpy.typing as npt

# Of so many images the statistics are taken, or of fewer large ones, down to a least number; and
# of so many pixels at once, whose patches take twelve times their memory.
_MAX_IMAGES, _LEAST_IMAGES = 2_000, 64
_MAX_PIXELS = 2**21
_PIXELS_AT_ONCE = 2**16
# Added to variances: patches of no variance at all would be blown up to noise.
_EPSILON = 5e-4


def stem_window(image_shape: tuple[int, int, int]) -> tuple[int, int]:
    """Height and width of the stem's filters: 2, but 1 along sides of one pixel.

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
    """Filters whose responses to the training images are uncorrelated and of variance 1.

    They are the eigenvectors of the covariance of small patches, each divided by its standard
    deviation, and all of them once more with the opposite sign.

    Parameters
    ----------
    images : Images or ndarray of shape (n, height, width, channels)
    mean, scale : sequence of float
        What standardises each channel.
    mirrored : bool, default=False
        Whether to count each image's mirror image as well, so that the mirror image of each
        filter is one of them too.

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
    n_images = min(_MAX_IMAGES, max(_LEAST_IMAGES, _MAX_PIXELS // (height * width)))
    numbers = np.arange(0, len(images), max(1, len(images) // n_images))[:n_images]
    window = stem_window((height, width, channels))
    n_values = channels * window[0] * window[1]
    products, n_patches = np.zeros((n_values, n_values)), 0
    n_at_once = max(1, _PIXELS_AT_ONCE // (height * width))
    for start in range(0, len(numbers), n_at_once):
        sample = images[numbers[start : start + n_at_once]]
        pixels = (sample.astype(np.float64) - mean) / scale
        patches = np.lib.stride_tricks.sliding_window_view(pixels, window, axis=(1, 2))
        rows = patches.reshape(-1, n_values)
        products += rows.T @ rows
        n_patches += len(rows)
    if mirrored:
        order = np.arange(n_values).reshape(channels, *window)[:, :, ::-1].ravel()
        products = (products + products[order][:, order]) / 2
    variances, vectors = np.linalg.eigh(products / n_patches)
    filters = (vectors / np.sqrt(np.maximum(variances, 0) + _EPSILON)).T[::-1]
    filters = np.concatenate([filters, -filters])
    return filters.reshape(-1, channels, *window).astype(np.float32)
