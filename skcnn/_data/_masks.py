"""Label images as y: arrays, lists and files."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from skcnn._data._conversion import from_torch
from skcnn._data._label_numbers import check_meanings, read_numbers
from skcnn._data._paths import Paths, read_paths
from skcnn._data._threads import call_in_threads
from skcnn._decode import (
    Path,
    UnreadableImageError,
    centered,
    plan_resizing,
    read_header,
)

Mask = npt.NDArray[Any]
Sides = tuple[int, ...]  # height and width


def read_masks(
    y: npt.ArrayLike,
    n_images: int,
    size: tuple[int, int],
    resize: str,
    name: str = "y",
    images: Paths | None = None,
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
    images : Paths, default=None
        The files of the images. Where only a part of an image is read, so is that of its file
        in y. None if the images are arrays, of that size.

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
    y, paths = _given(y, name)
    if paths is not None:
        labels = read_label_files(paths, [size] * n_images, resize, name, images)
        return stack_masks(labels), False
    if isinstance(y, list | tuple) and len(y) and np.ndim(y[0]) >= 2:
        _check_number(len(y), n_images, name)
        planes = [_plane(mask) for mask in y]
        for row, mask in enumerate(planes):
            check_size(mask.shape, size, row, name)
        return stack_masks(planes), False
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
    check_size(masks.shape[1:], size, None, name)
    return masks, False


def read_mask_list(y: npt.ArrayLike, n_images: int, name: str = "y") -> list[Mask]:
    """Read y as label images, each in its own size.

    Raises
    ------
    ValueError
        If they are no label images, or of another number than the images.
    """
    given, paths = _given(y, name)
    if paths is not None:
        return read_label_files(paths, [None] * n_images, name=name)
    masks = [_plane(mask) for mask in given]
    _check_number(len(masks), n_images, name)
    return masks


def _given(y: npt.ArrayLike, name: str) -> tuple[Any, Paths | None]:
    """Return y without tensors, and the paths that it holds."""
    if y is None:
        raise ValueError(
            f"{name} is None: this estimator requires y to be passed, but the target y is None. "
            "Give a label image for each image."
        )
    y = from_torch(y)
    return y, read_paths(y, name)


def _check_number(n_masks: int, n_images: int, name: str) -> None:
    if n_masks != n_images:
        raise ValueError(
            f"{name} has {n_masks} label images for {n_images} images: inconsistent numbers of "
            "samples. Expected one label image per image."
        )


def check_size(found: tuple[int, ...], size: tuple[int, ...], row: int | None, name: str) -> None:
    """Refuse a label image, or all of them, of another size than the image."""
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


def stack_masks(masks: Sequence[Mask]) -> Mask:
    """Return label images of one size as one array, masked if any of them is."""
    is_masked = any(isinstance(mask, np.ma.MaskedArray) for mask in masks)
    stacked: Mask = np.ma.stack(masks) if is_masked else np.stack(masks)
    return stacked


def read_label_files(
    paths: Paths,
    sizes: Sequence[Sequence[int] | None],
    resize: str = "stretch",
    name: str = "y",
    images: Paths | None = None,
) -> list[Mask]:
    """Read files as label images, each in a size of its own, as `fit_labels` does.

    Of each, the part is read that the box of its image says.

    Raises
    ------
    ValueError
        If a file cannot be read as a label image, one label has several numbers, or there is
        another number of sizes.
    """
    _check_number(len(paths), len(sizes), name)
    labels: list[Any] = [None] * len(paths)
    meanings: list[Any] = [None] * len(paths)
    failures: dict[int, str] = {}

    def read(row: int) -> None:
        try:
            image, box = (None, None) if images is None else (images.names[row], images.box(row))
            found = read_numbers(paths.names[row])
            labels[row] = fit_labels(found.values, sizes[row], resize, box, image)
            meanings[row] = found.meaning
        except UnreadableImageError as error:
            failures[row] = str(error)

    call_in_threads(read, len(paths))
    if failures:
        raise ValueError(
            f"{len(failures)} of {len(paths)} file(s) of {name} cannot be read as label images:"
            f"{paths.describe_failures(failures)}\nExpected paths of gray or palette images, such "
            "as PNG files. For one label per image, use ConvNetClassifier."
        )
    check_meanings(meanings, paths, name)
    return labels


def fit_labels(
    values: Mask,
    size: Sequence[int] | None,
    resize: str = "stretch",
    box: npt.NDArray[np.float64] | None = None,
    image: Path | None = None,
) -> Mask:
    """Check the shape of a label image, and resize it.

    Parameters
    ----------
    values : ndarray of shape (height, width)
        The labels in a file.
    size : (height, width) or None
        Size to resize to, without making new labels. None keeps it.
    resize : str, default="stretch"
        How the size is reached, as for images. The edges that "pad" adds are masked.
    box : ndarray of (x, y, width, height), default=None
        The part to read if there is a size, as for images. None reads all.
    image : str or PathLike, default=None
        The file of the image, whose proportions the label image must have. None means that the
        image is an array of that size.

    Raises
    ------
    UnreadableImageError
        If it has other proportions than its image.
    """
    if image is not None:
        _check_image(values.shape, image, box)
    elif size is not None:
        _check_shape(values.shape, (size[0], size[1]))
    if size is None:
        return values
    x, y, across, down = (0.0, 0.0, 1.0, 1.0) if box is None else box.tolist()
    (left, top, right, bottom), (width, height) = plan_resizing(
        values.shape[::-1], (x, y, across, down), (size[0], size[1], 1), resize
    )
    rows = (top + (np.arange(height) + 0.5) * (bottom - top) / height).astype(np.intp)
    columns = (left + (np.arange(width) + 0.5) * (right - left) / width).astype(np.intp)
    labels: Mask = values[rows][:, columns]
    if resize != "pad":
        return labels
    padded = unlabeled(size, values.dtype)
    padded[centered(labels.shape, size)] = labels
    return padded


def _check_image(shape: Sides, image: Path, box: npt.NDArray[np.float64] | None) -> None:
    """Refuse a label image that is not one of its whole image, as the image is shown."""
    try:
        height, width, _ = read_header(image)
    except UnreadableImageError:
        return  # said of the image itself
    part = None if box is None else (box[3] * height, box[2] * width)
    _check_shape(shape, (height, width), part)


def _check_shape(shape: Sides, size: Sides, part: tuple[float, float] | None = None) -> None:
    """Refuse a label image that lies on its side beside its image, or shows something else.

    Photographs are turned as the camera was held, and programs that do not turn them draw masks of
    photographs on their side. A mask of other proportions was cut, padded or stretched: nothing
    tells which of these.

    Parameters
    ----------
    shape, size : tuple of (height, width)
        Of the label image, and of its image.
    part : tuple of (height, width), default=None
        Of the part of the image that is read.
    """
    height, width = size
    found = f"is {shape[0]} pixels high and {shape[1]} wide"
    fits = _are_alike(shape, size)
    if shape == (width, height) != size or (not fits and _are_alike(shape, (width, height))):
        raise UnreadableImageError(
            f"{found}, and its image is {height} high and {width} wide as the camera was held. "
            "Turn the mask by 90 degrees"
        )
    if fits:
        return
    if part is not None and np.abs(np.subtract(shape, part)).max() <= 1:
        raise UnreadableImageError(
            f"{found}, as large as the box of its image. Expected a mask of the whole image, "
            f"which is {height} high and {width} wide: the part in the box is read. Or cut the "
            "images, too, and pass them without boxes"
        )
    raise UnreadableImageError(
        f"{found}, and its image is {height} high and {width} wide: it was cut, padded or "
        "stretched, or is the mask of another image. Expected a mask of the whole image, in any "
        "size of the same proportions. One that was stretched is that after mask.resize("
        f"({width}, {height}), Image.Resampling.NEAREST) with Pillow"
    )


def _are_alike(one: Sides, other: Sides) -> bool:
    """Return whether two sizes have the same proportions, but for a pixel of rounding."""
    return abs(one[0] * other[1] - one[1] * other[0]) <= max(*one, *other)


def unlabeled(size: Sequence[int], dtype: npt.DTypeLike) -> Mask:
    """Return a label image without a label."""
    return np.ma.array(np.zeros(size, dtype), mask=True)
