"""Images of unequal or large sizes, cut into pieces with their label images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from skcnn._data._conversion import decoded, from_torch
from skcnn._data._masks import Mask, check_size, read_mask_list, stack_masks, unlabeled

# Larger images are cut into pieces of this side for training, unless image_shape says otherwise.
LARGEST_SIDE = 512
PIECE_SIDE = 256


@dataclass(frozen=True)
class Pieces:
    """Parts of images that all have one size, with their label images.

    Attributes
    ----------
    images : ndarray of shape (n_pieces, height, width, channels)
    masks : ndarray of shape (n_pieces, height, width)
        A masked array where pixels were added to small images.
    rows : ndarray of shape (n_pieces,)
        The row of the image that each piece is from.
    """

    images: npt.NDArray[Any]
    masks: Mask
    rows: npt.NDArray[np.intp]


def image_list(X: npt.ArrayLike, data_format: str) -> list[npt.NDArray[Any]] | None:
    """Return images of unequal or large sizes as views (height, width, channels); else None."""
    if isinstance(X, list | tuple):
        X = [decoded(from_torch(image)) for image in X]
        if not X or not all(np.ndim(image) in (2, 3) for image in X):
            return None
        images = [np.asanyarray(image) for image in X]
    else:
        X = from_torch(X)
        if not isinstance(X, np.ndarray) or X.ndim not in (3, 4):
            return None
        images = list(X)
    if data_format == "channels_first":
        images = [np.moveaxis(image, 0, -1) if image.ndim == 3 else image for image in images]
    return [image[..., np.newaxis] if image.ndim == 2 else image for image in images]


def piece_size(
    images: Sequence[npt.NDArray[Any]], asked: tuple[int, int] | None
) -> tuple[int, int] | None:
    """Return the height and width of pieces to cut; None where images are used as they are.

    Examples
    --------
    >>> small, large = np.zeros((80, 90, 3)), np.zeros((700, 200, 3))
    >>> piece_size([small, small], None), piece_size([small, large], None)
    (None, (256, 200))
    """
    sizes = {image.shape[:2] for image in images}
    if not sizes:
        return None
    if asked is not None:
        return None if sizes == {asked} else asked
    height, width = (max(size[axis] for size in sizes) for axis in (0, 1))
    if len(sizes) == 1 and max(height, width) <= LARGEST_SIDE:
        return None
    return min(height, PIECE_SIDE), min(width, PIECE_SIDE)


def starts_of(side: int, piece: int) -> list[int]:
    """Return where pieces begin that cover a side, the last one at its end.

    Examples
    --------
    >>> starts_of(600, 256), starts_of(100, 256)
    ([0, 172, 344], [0])
    """
    n_pieces = max(1, -(-side // piece))
    return [int(start) for start in np.linspace(0, max(0, side - piece), n_pieces)]


def cut_pieces(
    images: Sequence[npt.NDArray[Any]],
    y: npt.ArrayLike,
    size: tuple[int, int],
    ignore_label: object,
    suffix: str = "",
) -> Pieces:
    """Cut images and their label images into pieces of one size, and drop those without labels.

    Messages name them X and y, with a suffix such as "_val".

    Raises
    ------
    ValueError
        If a label image has another size than its image, or images differ in their channels.
    """
    channels = {image.shape[2] for image in images}
    if len(channels) > 1:
        raise ValueError(
            f"X{suffix} holds images with {' and '.join(map(str, sorted(channels)))} channels. "
            "Expected one number of channels."
        )
    name = f"y{suffix}"
    masks = read_mask_list(y, len(images), name)
    parts, labels, rows = [], [], []
    for row, (image, mask) in enumerate(zip(images, masks)):
        check_size(mask.shape, image.shape[:2], row, name)
        for top in starts_of(image.shape[0], size[0]):
            for left in starts_of(image.shape[1], size[1]):
                where = slice(top, top + size[0]), slice(left, left + size[1])
                known = ~np.ma.getmaskarray(mask[where])
                if ignore_label is not None:
                    known &= np.asarray(mask[where] != ignore_label)
                if known.any():
                    parts.append(_padded(image[where], size))
                    labels.append(_padded_labels(mask[where], size))
                    rows.append(row)
    if not parts:
        raise ValueError(f"{name} has no pixel with a label other than the ignore_label.")
    return Pieces(np.stack(parts), stack_masks(labels), np.array(rows))


def _padded(image: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    """Extend an image to a size at the right and at the bottom, by reflection."""
    missing = [(0, most - side) for most, side in zip(size, image.shape)]
    return np.pad(image, [*missing, (0, 0)], mode="reflect")


def _padded_labels(mask: Mask, size: tuple[int, int]) -> Mask:
    if mask.shape == size:
        return mask
    padded = unlabeled(size, mask.dtype)
    padded[: mask.shape[0], : mask.shape[1]] = mask
    return padded
