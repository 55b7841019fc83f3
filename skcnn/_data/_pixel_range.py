"""The range of pixels: that of training, and what comes in another one."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator

from skcnn._from_r import check_no_na
from skcnn._utils import warn

# Images whose pixels tell the range of all.
_RANGE_ROWS = 32
_RANGE_PIXELS = 2**20
# Pixels above are not those of 8 bits, with room for images that somebody made brighter.
_ABOVE_BYTES = 4 * 255
# Pixels below 0 by more than this share of the highest are no rounding or noise.
_NEGATIVE = 0.1


def pixel_range(pixels: npt.NDArray[Any]) -> tuple[float, float]:
    """Return the lowest and highest pixel of a few of the images (n, height, width, channels)."""
    n_images, height, width, _ = pixels.shape
    rows = np.unique(np.linspace(0, n_images - 1, min(n_images, _RANGE_ROWS)).astype(int))
    # Of large images, which may be on a disk, some rows and columns are enough.
    step = max(1, int(np.sqrt(height * width / _RANGE_PIXELS)))
    sample = pixels[:, ::step, ::step][rows]
    # As the network will see them.
    return float(np.float32(sample.min())), float(np.float32(sample.max()))


def compare_ranges(
    estimator: BaseEstimator, pixels: npt.NDArray[Any], *, reset: bool, name: str
) -> None:
    """Warn if images come in another range of pixels than those of training."""
    are_bytes = pixels.dtype == np.uint8
    fitted_low, fitted_high = getattr(estimator, "_pixel_range", (0.0, 255.0))
    if not reset and are_bytes and fitted_low >= 0 and 2 < fitted_high <= _ABOVE_BYTES:
        return
    low, high = pixel_range(pixels)
    check_range_as_fitted(estimator, low, high, are_bytes=are_bytes, reset=reset, name=name)


def check_range_as_fitted(
    estimator: BaseEstimator, low: float, high: float, *, are_bytes: bool, reset: bool, name: str
) -> None:
    """Store the pixel range of training, or warn if new images have another one.

    Darker or brighter photographs have other ranges, too: the warning is only for what they cannot
    explain.
    """
    if reset:
        estimator._pixel_range = low, high
        return
    fitted_low, fitted_high = getattr(estimator, "_pixel_range", (0.0, 255.0))
    of_one, of_bytes = low >= 0 and high <= 1, high > 2
    was_of_one, was_of_bytes = fitted_low >= 0 and fitted_high <= 1, fitted_high > 2
    was_centered = fitted_low < -_NEGATIVE * fitted_high
    is_centered = low < -_NEGATIVE * fitted_high or (low < 0 and high < _NEGATIVE * fitted_high)
    # Black images are in every range.
    if (
        # From 0 to 1 in place of bytes, and the reverse.
        (of_one and high > 0 and was_of_bytes)
        or (of_bytes and was_of_one and fitted_high > 0)
        # 16 bits in place of 8, and the reverse: floats may be dark images of 16 bits.
        or (high > _ABOVE_BYTES and was_of_bytes and fitted_high <= 255)
        or (are_bytes and high > 0 and (fitted_high > _ABOVE_BYTES or was_centered))
        # Around 0 in place of others, and the reverse: images without dark parts may have none
        # below 0, but are not several times as bright.
        or (is_centered and fitted_low >= 0 and fitted_high > 0)
        or (was_centered and low >= 0 and high > 4 * max(-fitted_low, fitted_high))
    ):
        warn(
            f"{name} has pixels from {low:g} to {high:g}, but the network was trained on pixels "
            f"from {fitted_low:g} to {fitted_high:g}. Scale them alike."
        )


def check_fits_float32(X: npt.NDArray[Any], name: str) -> None:
    """Refuse values that would become infinite in the network, and missing ones."""
    limit = np.finfo(np.float32).max
    if X.dtype.kind == "f" and X.dtype.itemsize > 4 and max(X.max(), -X.min()) > limit:
        raise ValueError(
            f"{name} contains a value too large for float32, in which the network computes. "
            "Scale the pixels down."
        )
    if X.dtype == np.int32:
        check_no_na(X, name)
