"""Mean and standard deviation of the pixels of training images."""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from skcnn._utils import RowChoice

# Statistics of so many images are as good as those of all, and limit how much of a memory map is
# read before training begins.
_MAX_STATISTICS_ROWS = 10_000
_STATISTICS_CHUNK_ROWS = 64


class ShapedImages(Protocol):
    """Images that are gathered in slices, and tell the shape of one of them."""

    @property
    def shape(self) -> tuple[int, int, int]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: RowChoice) -> npt.NDArray[Any]: ...


def channel_statistics(images: ShapedImages) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel, over about 10,000 images.

    Of more images, evenly spaced runs are taken. A constant channel gets the standard
    deviation 1, so that dividing by it changes nothing.
    """
    height, width, channels = images.shape
    shift: npt.NDArray[np.float64] = np.zeros(0)
    totals = np.zeros((2, height * width * channels))
    n_images = 0
    for start in _chunk_starts(len(images)):
        sample = images[start : start + _STATISTICS_CHUNK_ROWS].astype(np.float64)
        n_images += len(sample)
        if not shift.size:
            # Sums of squares around a value near the mean lose no digits.
            shift = sample[0].reshape(-1, channels).mean(axis=0)
        values = sample.reshape(len(sample), -1)
        values -= np.tile(shift, height * width)
        # Pixel by pixel first: adding long rows is many times faster than short ones.
        totals += values.sum(axis=0), np.einsum("ij,ij->j", values, values)
    n_values = n_images * height * width
    offset, square = totals.reshape(2, -1, channels).sum(axis=1) / n_values
    deviation = np.sqrt(np.maximum(square - offset**2, 0))
    deviation[deviation <= 1e-7 * np.abs(shift)] = 1
    return (shift + offset).tolist(), deviation.tolist()


def _chunk_starts(n_images: int) -> list[int]:
    """Return the starts of runs of images, which a disk reads many times faster."""
    n_chunks = -(-min(n_images, _MAX_STATISTICS_ROWS) // _STATISTICS_CHUNK_ROWS)
    if n_images <= _MAX_STATISTICS_ROWS:
        return [number * _STATISTICS_CHUNK_ROWS for number in range(n_chunks)]
    last = n_images - _STATISTICS_CHUNK_ROWS
    return [round(place) for place in np.linspace(0, last, n_chunks)]
