"""Arrays as X: every form in which images come in memory, and every error about them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array, check_X_y, validate_data

from skcnn._data._conversion import as_array
from skcnn._data._pixel_range import check_fits_float32, compare_ranges
from skcnn._data._statistics import channel_statistics
from skcnn._from_r import whole
from skcnn._targets._columns import count_columns
from skcnn._utils import RowChoice, warn

ImageShape = tuple[int, int, int]

# Numbers of channels of color and grayscale images. Any other number in the last place, with one
# of these in the second, is a channels-first array whose owner forgot to say so.
_USUAL_CHANNELS = (1, 3, 4)
_MOST_CHANNELS = 16


@dataclass(frozen=True)
class Images:
    """Images that are gathered row by row from whatever holds them.

    Nothing is converted before use: a memory map stays on disk and uint8 stays uint8.

    Attributes
    ----------
    pixels : ndarray of shape (n_images, height, width, channels)
        The images, of any real dtype; often a view of an array of another shape.
    shape_inferred : bool
        Whether the shape was inferred from the length of rows.
    rows : ndarray of int, or None
        Rows of `pixels` to use; None uses all.
    covariates : ndarray of shape (n_rows, n_covariates), or None
        Numbers beside the images, one row for each of `rows`.
    """

    pixels: npt.NDArray[Any]
    shape_inferred: bool = False
    rows: npt.NDArray[np.intp] | None = None
    covariates: npt.NDArray[Any] | None = None

    def check(self) -> None:
        """Look for images that are missing: never in memory."""

    def clear_missing(self, outputs: npt.NDArray[np.float32]) -> None:
        """Set the outputs of images that could not be read to NaN: never in memory."""

    def __len__(self) -> int:
        return len(self.pixels if self.rows is None else self.rows)

    @property
    def shape(self) -> ImageShape:
        """The shape of one image."""
        _, height, width, channels = self.pixels.shape
        return height, width, channels

    def take(self, rows: npt.NDArray[np.intp]) -> "Images":
        """Return some of the images, without a copy of their pixels."""
        return replace(
            self,
            rows=rows if self.rows is None else self.rows[rows],
            covariates=None if self.covariates is None else self.covariates[rows],
        )

    def __getitem__(self, rows: RowChoice) -> npt.NDArray[Any]:
        """Gather images as a contiguous uint8 or float32 array (n, height, width, channels)."""
        pixels = self.pixels[rows if self.rows is None else self.rows[rows]]
        dtype = np.uint8 if pixels.dtype in (np.uint8, np.bool_) else np.float32
        array = np.ascontiguousarray(pixels, dtype=dtype)
        # A side of one element counts as contiguous whatever its stride, but torch refuses it.
        return array.copy() if min(array.strides, default=0) < 0 else array

    def window(self, row: int, rows: slice, columns: slice) -> "Images":
        """Return a part of one image as the only image, without a copy of its pixels."""
        number = row if self.rows is None else int(self.rows[row])
        return Images(self.pixels[number : number + 1, rows, columns])

    def channel_statistics(self) -> tuple[list[float], list[float]]:
        """Mean and standard deviation of each channel."""
        return channel_statistics(self)

    def contents(self) -> list[object]:
        """Return what tells these images from others, for hashing."""
        beside = [] if self.covariates is None else [self.covariates]
        return [self.pixels, self.rows, self.shape_inferred, *beside]


def check_images(
    estimator: BaseEstimator,
    X: Any,
    y: Any = "no_validation",
    *,
    reset: bool,
    image_shape: Sequence[int] | None = None,
    data_format: str = "auto",
    any_size: bool = False,
    name: str = "X",
) -> tuple[Images, npt.NDArray[Any] | None]:
    """Read X, in any of its forms, as images.

    Parameters
    ----------
    estimator : estimator
        Estimator whose `n_features_in_`, `feature_names_in_` and, unless `reset`, `image_shape_`
        are set or compared.
    X : array-like, tensor or DataFrame
        Images (n, height, width, channels), grayscale images (n, height, width) or flattened
        images (n, n_pixels).
    y : array-like of shape (n,) or (n, n_columns), default="no_validation"
        Targets, checked to fit X; the default leaves them out.
    reset : bool
        Whether this X decides what later ones must look like.
    image_shape : sequence of (height, width) or (height, width, channels), default=None
        The shape of one image where X is flattened, and a check on it otherwise. Without
        channels, flattened images are gray or RGB, and others have any number.
    data_format : {"auto", "channels_last", "channels_first"}, default="auto"
        Position of the channels.
    any_size : bool, default=False
        Whether images may have another height and width than the fitted ones, unless they are
        flattened.
    name : str, default="X"
        Name of the images in messages.

    Returns
    -------
    images : Images
    y : ndarray of shape (n,) or (n, n_columns), sparse matrix, or None

    Raises
    ------
    ValueError
        If X cannot be read as images, or not as images of the fitted shape.
    """
    expected = None if image_shape is None else as_shape(image_shape)
    any_channels = reset and image_shape is not None and len(image_shape) == 2
    if not reset:
        expected = estimator.image_shape_
    X = as_array(X, name)
    if getattr(X, "ndim", 2) < 3:
        if not reset:
            _refuse_single_image(estimator, X, name)
        X, labels = _check_flat(estimator, X, y, reset=reset, name=name)
        shape = expected or infer_shape(X.shape[1])
        if any_channels and X.shape[1] == 3 * np.prod(shape):
            shape = (*shape[:2], 3)
        if expected is None:
            _warn_of_other_shapes(X.shape[1], shape, name)
        if X.shape[1] != np.prod(shape):
            in_color = f", or {3 * np.prod(shape)} in RGB" if any_channels else ""
            raise ValueError(
                f"{name} has {X.shape[1]} features, but image_shape={tuple(image_shape or ())} "
                f"needs {np.prod(shape)}{in_color}. Set image_shape to the (height, width, "
                f"channels) that {name} was flattened from."
            )
        images = Images(_unflatten(X, shape, data_format), expected is None)
        compare_ranges(estimator, images.pixels, reset=reset, name=name)
        return images, labels

    if reset and not has_target(y):
        _refuse_single_color_image(X, name)
    X = _channels_last(X, data_format, name)
    compared = slice(3, None) if any_size else slice(1, None)
    if any_channels and expected is not None:
        expected = (*expected[:2], X.shape[3])
    if expected is not None and X.shape[compared] != (1, *expected)[compared]:
        raise ValueError(_shape_error(estimator, X, name, expected, fitted=not reset))
    labels = None
    with _say_where_nan_is(X, name):
        if has_target(y):
            X, labels = check_X_y(
                X, y, allow_nd=True, multi_output=has_columns(y), estimator=estimator
            )
        elif X.dtype.kind not in "biu" or not len(X):
            X = check_array(X, allow_nd=True, input_name=name, estimator=estimator)
    check_fits_float32(X, name)
    if reset:
        set_features(estimator, X.shape[1:])
    images = Images(X)
    compare_ranges(estimator, images.pixels, reset=reset, name=name)
    return images, labels


def infer_shape(n_features: int) -> ImageShape:
    """Infer the shape of a flattened image: square grayscale, square RGB or one row.

    Examples
    --------
    >>> infer_shape(64), infer_shape(3072), infer_shape(20)
    ((8, 8, 1), (32, 32, 3), (1, 20, 1))
    """
    for channels in (1, 3):
        side = int(np.sqrt(n_features // channels) + 0.5)
        if side * side * channels == n_features:
            return side, side, channels
    return 1, n_features, 1


# Width to height of photographs.
_ASPECTS = ((4, 3), (3, 2), (16, 9))
# Smaller images are not cut to the shape of photographs.
_SMALLEST_PHOTOGRAPH = 1000


def _warn_of_other_shapes(n_features: int, shape: ImageShape, name: str) -> None:
    """Warn if rows read as square grayscale images could as well be RGB photographs."""
    if shape[2] != 1 or n_features % 3 or n_features // 3 < _SMALLEST_PHOTOGRAPH:
        return
    for wide, high in _ASPECTS:
        unit = int(np.sqrt(n_features // 3 / (wide * high)) + 0.5)
        if unit * unit * wide * high * 3 == n_features:
            warn(
                f"{name} has {n_features} features per row, read as grayscale images of "
                f"{shape[0]}x{shape[1]} pixels. They could also be color images of "
                f"{unit * high}x{unit * wide} pixels: set image_shape to say which."
            )
            return


def as_shape(image_shape: Sequence[int]) -> ImageShape:
    shape = tuple(whole(value) for value in image_shape)
    if len(shape) == 2:
        shape = (*shape, 1)
    are_whole = all(isinstance(n, int) and not isinstance(n, bool) for n in shape)
    if len(shape) != 3 or not are_whole or min(shape) < 1:
        raise ValueError(
            f"image_shape must be (height, width) or (height, width, channels) in positive "
            f"whole numbers, got {image_shape!r}."
        )
    height, width, channels = (int(n) for n in shape)
    return height, width, channels


def _channels_last(X: npt.NDArray[Any], data_format: str, name: str) -> npt.NDArray[Any]:
    """View an array of images as (n, height, width, channels)."""
    if X.ndim > 4 or 0 in X.shape[1:]:
        raise ValueError(
            f"{name} has {X.ndim} dimensions, shape {X.shape}, with {np.prod(X.shape[1:])} "
            "feature(s) per image. Expected images of shape (n, height, width, channels), (n, "
            "height, width) or flattened (n, n_pixels), of at least one pixel."
        )
    if X.ndim == 3:
        return X[..., np.newaxis]
    if data_format == "channels_first":
        return np.moveaxis(X, 1, -1)
    _, first, middle, last = X.shape
    looks_first = first in _USUAL_CHANNELS and last not in (*_USUAL_CHANNELS, 2)
    # Bands of a satellite, for example: a low and wide image with many channels is less likely.
    looks_first |= first < middle == last and last > _MOST_CHANNELS
    if data_format == "auto" and looks_first and max(first, middle) > 1:
        raise ValueError(
            f"{name} of shape {X.shape} looks like images with their channels first. Set "
            'data_format="channels_first" if they are, or data_format="channels_last" if '
            f"they really are {first} pixels high with {last} channels."
        )
    return X


def _unflatten(X: npt.NDArray[Any], shape: ImageShape, data_format: str) -> npt.NDArray[Any]:
    if data_format == "channels_first":
        height, width, channels = shape
        return np.moveaxis(X.reshape(-1, channels, height, width), 1, -1)
    return X.reshape(-1, *shape)


def _check_flat(
    estimator: BaseEstimator, X: Any, y: Any, *, reset: bool, name: str
) -> tuple[npt.NDArray[Any], Any]:
    if not reset and not hasattr(estimator, "feature_names_in_") and hasattr(X, "to_numpy"):
        # The fitted pixels had no names: those of a DataFrame are no reason to warn.
        X = X.to_numpy()
    labels = None
    with _say_where_nan_is(X, name):
        if has_target(y):
            X, labels = validate_data(estimator, X, y, reset=reset, multi_output=has_columns(y))
        else:
            X = validate_data(estimator, X, reset=reset)
    check_fits_float32(X, name)
    return X, labels


@contextmanager
def _say_where_nan_is(X: Any, name: str) -> Iterator[None]:
    """Say which images have pixels without a value, in place of scikit-learn's advice.

    It recommends estimators that know missing values, but know nothing of images.
    """
    try:
        yield
    except ValueError as error:
        if not str(error).startswith((f"Input {name} contains NaN", "Input X contains NaN")):
            raise
        missing = np.asarray(pd.isna(np.asarray(X))).reshape(len(X), -1).any(axis=1)
        raise ValueError(
            f"Input {name} contains NaN, in {missing.sum()} of {len(X)} image(s), the first in "
            f"row {missing.argmax()}. A network needs a number for every pixel: give those "
            "without a value the mean of their channel, for example, or leave the images out."
        ) from error


def _refuse_single_image(estimator: BaseEstimator, X: Any, name: str) -> None:
    """Say what to do with one grayscale image, which looks like flattened ones."""
    height, width, channels = estimator.image_shape_
    shape = np.shape(X) if isinstance(X, list | tuple) else getattr(X, "shape", None)
    if channels == 1 and shape == (height, width) and width != estimator.n_features_in_:
        raise ValueError(
            f"{name} has {width} features, but {type(estimator).__name__} is expecting "
            f"{estimator.n_features_in_} features as input. {name} has the shape of one image, "
            f"({height}, {width}): for a single image pass {name}[None]."
        )


def _refuse_single_color_image(X: npt.NDArray[Any], name: str) -> None:
    """Refuse a photograph, which looks like grayscale images that are a few pixels wide.

    Beside labels it would have another length than they.
    """
    if X.ndim == 3 and X.shape[2] in _USUAL_CHANNELS[1:] and min(X.shape[:2]) > _MOST_CHANNELS:
        raise ValueError(
            f"{name} of shape {X.shape} looks like a single color image. Pass {name}[None] if it "
            f"is, or {name}[..., None] if it really holds {len(X)} grayscale images that are "
            f"{X.shape[2]} pixels wide."
        )


def _shape_error(
    estimator: BaseEstimator, X: npt.NDArray[Any], name: str, expected: ImageShape, *, fitted: bool
) -> str:
    shape = X.shape[1:]
    got = f"{name} holds images of height {shape[0]}, width {shape[1]}, channels {shape[2]}"
    want = f"height {expected[0]}, width {expected[1]}, channels {expected[2]}"
    if not fitted:
        return f"{got}, but image_shape asks for {want}. Resize the images or drop image_shape."
    hint = "Resize the images to that shape."
    if X.shape == (*expected, 1):
        hint = f"For a single image pass {name}[None]; in R, keep its dimension with drop = FALSE."
    elif shape == (expected[2], expected[0], expected[1]):
        hint = 'If the channels come first, set data_format="channels_first".'
    elif shape[:2] == expected[:2]:
        hint = _CHANNEL_HINTS.get((shape[2], expected[2]), "Give images of the same channels.")
        hint = hint.format(name=name)
    return f"{got}, but {type(estimator).__name__} was fitted on images of {want}. {hint}"


# What to do with images of some channels for a network of others.
_CHANNEL_HINTS = {
    (1, 3): 'Read the files with Image.convert("RGB"), or repeat the gray channel three times.',
    (3, 1): "Take the mean of the channels with {name}.mean(axis=-1), or read the files with "
    'Image.convert("L").',
    (4, 3): "Leave out the opacity with {name}[..., :3], or read the files with "
    'Image.convert("RGB").',
}


def set_features(estimator: BaseEstimator, shape: tuple[int, ...]) -> None:
    """Set what `validate_data` sets, which takes no images."""
    estimator.n_features_in_ = int(np.prod(shape))
    if hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_


def has_target(y: object) -> bool:
    return not (isinstance(y, str) and y == "no_validation")


def has_columns(y: object) -> bool:
    """Whether y has several columns. scikit-learn flattens a single one, and warns."""
    return count_columns(y) > 1
