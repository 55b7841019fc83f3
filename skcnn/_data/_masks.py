"""Label images as y: arrays, lists and files; and large images with theirs, cut into pieces."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from skcnn._data._conversion import decoded, from_torch
from skcnn._data._decode import (
    Path,
    UnreadableImageError,
    displayed_size,
    orientation,
    plan_resizing,
    reading,
    turned,
)
from skcnn._data._paths import Paths, read_paths
from skcnn._data._threads import call_in_threads

# Larger images are cut into pieces of this side for training, unless image_shape says otherwise.
LARGEST_SIDE = 512
PIECE_SIDE = 256
_N_NAMED = 10

Mask = npt.NDArray[Any]


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


def read_masks(
    y: npt.ArrayLike, n_images: int, size: tuple[int, int], resize: str, name: str = "y"
) -> tuple[Mask, bool]:
    """Read y, in any of its forms, as label images of one size.

    Parameters
    ----------
    y : array-like of shape (n, height, width), (n, height, width, 1) or (n, height * width), \
            sequence of these, or paths of files
    n_images : int
    size : tuple of (height, width)
        Of the images.
    resize : {"crop", "pad", "stretch"}
        How files of other proportions get this size.
    name : str, default="y"

    Returns
    -------
    masks : ndarray of shape (n, height, width)
        A masked array where files were padded.
    is_flat : bool
        Whether they came as rows of pixels.

    Raises
    ------
    ValueError
        If they are no label images, or of another size or number than the images.
    """
    if y is None:
        raise ValueError(
            f"{name} is None: this estimator requires y to be passed, but the target y is None. "
            "Give a label image for each image."
        )
    y = from_torch(y)
    paths = read_paths(y, name)
    if paths is not None:
        _check_number(len(paths), n_images, name)
        return _read_files(paths, size, resize, name), False
    if isinstance(y, list | tuple) and len(y) and np.ndim(y[0]) >= 2:
        _check_number(len(y), n_images, name)
        for row, mask in enumerate(map(_plane, y)):
            _check_size(mask.shape, size, row, name)
        y = [_plane(mask) for mask in y]
        stack = np.ma.stack if any(isinstance(mask, np.ma.MaskedArray) for mask in y) else np.stack
        return stack(y), False
    masks: Mask = np.asanyarray(y)
    if masks.ndim < 2:
        raise ValueError(
            f"{name} has shape {masks.shape}: bad input shape for label images. Expected one "
            "label per pixel, (n, height, width) or (n, height * width). For one label per "
            "image, use ConvNetClassifier."
        )
    _check_number(len(masks), n_images, name)
    if masks.ndim == 4 and masks.shape[3] == 1:
        masks = masks[..., 0]
    if masks.ndim == 2:
        if masks.shape[1] != size[0] * size[1]:
            raise ValueError(
                f"{name} has {masks.shape[1]} pixels per row: bad input shape for images of "
                f"{size[0]}x{size[1]}. Expected label images (n, height, width), or rows of "
                f"{size[0] * size[1]} pixels."
            )
        return masks.reshape(-1, *size), True
    if masks.ndim != 3:
        raise ValueError(
            f"{name} has shape {masks.shape}. Expected label images (n, height, width). Images "
            f"with a channel per class become labels by {name}.argmax(axis=3)."
        )
    _check_size(masks.shape[1:], size, None, name)
    return masks, False


def _check_number(n_masks: int, n_images: int, name: str) -> None:
    if n_masks != n_images:
        raise ValueError(
            f"{name} has {n_masks} label images for {n_images} images: inconsistent numbers of "
            "samples. Expected one label image per image."
        )


def _check_size(found: tuple[int, ...], size: tuple[int, ...], row: int | None, name: str) -> None:
    if tuple(found) != tuple(size):
        where = "" if row is None else f" in row {row}"
        raise ValueError(
            f"{name} has label images of shape {tuple(found)}{where}, but the images are "
            f"{size[0]} pixels high and {size[1]} wide. Expected one label per pixel."
        )


def _plane(mask: npt.ArrayLike) -> Mask:
    """Return one label image as an array (height, width)."""
    plane: Mask = np.asanyarray(from_torch(mask))
    return plane[..., 0] if plane.ndim == 3 and plane.shape[2] == 1 else plane


def _read_files(paths: Paths, size: tuple[int, int], resize: str, name: str) -> Mask:
    decoded: list[Any] = [None] * len(paths)
    failures: dict[int, str] = {}

    def read(row: int) -> None:
        try:
            decoded[row] = decode_labels(paths.names[row], size, resize)
        except UnreadableImageError as error:
            failures[row] = str(error)

    call_in_threads(read, len(paths))
    if failures:
        lines = [f"row {row}: {paths.names[row]} {failures[row]}" for row in sorted(failures)]
        shown = "\n  ".join(["", *lines[:_N_NAMED]])
        raise ValueError(
            f"{len(failures)} of {len(paths)} file(s) of {name} cannot be read as label images:"
            f"{shown}\nExpected paths of gray or palette images, such as PNG files. For one "
            "label per image, use ConvNetClassifier."
        )
    stack = np.ma.stack if resize == "pad" else np.stack
    masks: Mask = stack(decoded)
    return masks


def decode_labels(
    path: Path, size: tuple[int, int] | None = None, resize: str = "stretch"
) -> Mask:
    """Read a file as a label image: the numbers of a gray or palette image, as they are.

    Parameters
    ----------
    path : str or PathLike
    size : tuple of (height, width), default=None
        Each pixel takes the label of the nearest one. None keeps the size of the file.
    resize : {"crop", "pad", "stretch"}, default="stretch"
        As for images. "pad" adds masked pixels.

    Raises
    ------
    UnreadableImageError
    """
    with reading(path) as file:
        displayed_size(file)
        file.load()
        values = np.asarray(turned(file, orientation(file)))
    if values.ndim == 3:
        colors = values[..., : 3 if values.shape[2] > 2 else 1]
        if (colors != colors[..., :1]).any():
            raise UnreadableImageError("is a color image, which has no number per pixel")
        values = colors[..., 0]
    if values.dtype == bool:
        values = values.astype(np.uint8)
    if size is None:
        return values
    full = (0.0, 0.0, 1.0, 1.0)
    (left, top, right, bottom), (width, height) = plan_resizing(
        values.shape[::-1], full, (*size, 1), resize
    )
    rows = (top + (np.arange(height) + 0.5) * (bottom - top) / height).astype(np.intp)
    columns = (left + (np.arange(width) + 0.5) * (right - left) / width).astype(np.intp)
    labels: Mask = values[rows][:, columns]
    if resize != "pad":
        return labels
    padded = _unlabelled(size, values.dtype)
    up, aside = (size[0] - height) // 2, (size[1] - width) // 2
    padded[up : up + height, aside : aside + width] = labels
    return padded


# ---------------------------------------------------------------------- pieces of large images


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
    name: str = "y",
) -> Pieces:
    """Cut images and their label images into pieces of one size, and drop those without labels.

    Raises
    ------
    ValueError
        If a label image has another size than its image, or images differ in their channels.
    """
    channels = {image.shape[2] for image in images}
    if len(channels) > 1:
        raise ValueError(
            f"X holds images with {' and '.join(map(str, sorted(channels)))} channels. Expected "
            "one number of channels."
        )
    masks = _mask_list(y, len(images), name)
    parts, labels, rows = [], [], []
    for row, (image, mask) in enumerate(zip(images, masks)):
        _check_size(mask.shape, image.shape[:2], row, name)
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
    stack = np.ma.stack if any(np.ma.isMaskedArray(mask) for mask in labels) else np.stack
    return Pieces(np.stack(parts), stack(labels), np.array(rows))


def _mask_list(y: npt.ArrayLike, n_images: int, name: str) -> list[Mask]:
    if y is None:
        raise ValueError(f"{name} is None. Expected a label image for each image.")
    given: Sequence[npt.ArrayLike] = from_torch(y)
    paths = read_paths(given, name)
    if paths is not None:
        _check_number(len(paths), n_images, name)
        try:
            return [decode_labels(path) for path in paths.names]
        except UnreadableImageError as error:
            raise ValueError(f"A file of {name} cannot be read: it {error}.") from error
    masks = [_plane(mask) for mask in given]
    _check_number(len(masks), n_images, name)
    return masks


def _padded(image: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    """Extend an image to a size at the right and at the bottom, by reflection."""
    missing = [(0, most - side) for most, side in zip(size, image.shape)]
    return np.pad(image, [*missing, (0, 0)], mode="reflect")


def _unlabelled(size: tuple[int, int], dtype: npt.DTypeLike) -> Mask:
    return np.ma.array(np.zeros(size, dtype), mask=True)


def _padded_labels(mask: Mask, size: tuple[int, int]) -> Mask:
    if mask.shape == size:
        return mask
    padded = _unlabelled(size, mask.dtype)
    padded[: mask.shape[0], : mask.shape[1]] = mask
    return padded
