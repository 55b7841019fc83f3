"""X in any of its forms: arrays, or paths of image files."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_X_y

from skcnn._data._arrays import (
    Images,
    ImageShape,
    check_images,
    check_range_as_fitted,
    has_columns,
    has_target,
)
from skcnn._data._file_keys import file_keys
from skcnn._data._file_shapes import find_shape
from skcnn._data._files import FileImages, read_files
from skcnn._data._paths import read_paths

AnyImages = Images | FileImages

# Parameters of estimators that say how files are read.
_SETTINGS = ("resize", "on_error", "cache_dir")


def check_input(
    estimator: BaseEstimator,
    X: Any,
    y: object = "no_validation",
    *,
    reset: bool,
    image_shape: Sequence[int] | None = None,
    data_format: str = "auto",
    any_size: bool = False,
    name: str = "X",
) -> tuple[AnyImages, npt.NDArray[Any] | None]:
    """Read X, in any of its forms, as images.

    Parameters
    ----------
    estimator : estimator
        Estimator whose `n_features_in_`, `feature_names_in_` and, unless `reset`, `image_shape_`
        are set or compared. Files are read as its `resize`, `on_error` and `cache_dir`
        say.
    X : array-like, tensor, DataFrame, or paths of image files
    y, reset, image_shape, data_format, any_size, name
        As in `check_images`. Where X are files, `find_shape` completes `image_shape`, and they
        are resized to the fitted shape in any case.

    Returns
    -------
    images : Images or FileImages
        Files are not decoded yet.
    y : ndarray of shape (n,) or (n, n_columns), sparse matrix, or None

    Raises
    ------
    ValueError
        If X cannot be read as images, or not as images of the fitted shape.
    """
    paths = read_paths(X, name)
    if paths is None:
        return check_images(
            estimator,
            X,
            y,
            reset=reset,
            image_shape=image_shape,
            data_format=data_format,
            any_size=any_size,
            name=name,
        )
    labels = None
    if has_target(y):
        # The targets are checked in the same way, whatever the images are.
        _, labels = check_X_y(
            np.zeros((len(paths), 1)), y, multi_output=has_columns(y), estimator=estimator
        )
    given = {key: getattr(estimator, key) for key in _SETTINGS if hasattr(estimator, key)}
    keys = None
    if reset:
        cache_dir = given.get("cache_dir")
        if cache_dir is not None:
            keys = file_keys(paths, np.arange(len(paths)))
        shape = find_shape(paths, image_shape, cache_dir=cache_dir, keys=keys)
    else:
        shape = _fitted_shape(estimator, name)
    if reset:
        estimator.n_features_in_ = int(np.prod(shape))
        if hasattr(estimator, "feature_names_in_"):
            del estimator.feature_names_in_
    check_range_as_fitted(estimator, 0.0, 255.0, reset=reset, name=name)
    return read_files(paths, shape, name=name, keys=keys, **given), labels


def _fitted_shape(estimator: BaseEstimator, name: str) -> ImageShape:
    shape: ImageShape = estimator.image_shape_
    if shape[2] not in (1, 3):
        raise ValueError(
            f"{name} holds paths of image files, which are read with 1 or 3 channels, but "
            f"{type(estimator).__name__} was fitted on images with {shape[2]} channels. Read "
            f"them into an array (n, {shape[0]}, {shape[1]}, {shape[2]})."
        )
    return shape
