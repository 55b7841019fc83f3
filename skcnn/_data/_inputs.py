"""X in any of its forms: arrays, or paths of image files."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_X_y

from skcnn._data._arrays import (
    Images,
    ImageShape,
    check_images,
    has_columns,
    has_target,
    set_features,
)
from skcnn._data._covariates import CovariateEncoder, images_alone, split_covariates
from skcnn._data._file_keys import file_keys
from skcnn._data._file_shapes import find_shape
from skcnn._data._files import FileImages, read_files
from skcnn._data._paths import as_pandas, listed, read_paths
from skcnn._data._pixel_range import check_range_as_fitted

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
    takes_covariates: bool = False,
    name: str = "X",
) -> tuple[AnyImages, npt.NDArray[Any] | None]:
    """Read X, in any of its forms, as images, and the covariates beside them.

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
    takes_covariates : bool, default=False
        Whether columns beside the images are covariates, and no error. With `reset`, they set
        the estimator's `_covariates`. `reset` also sets its `_has_image_column`.

    Returns
    -------
    images : Images or FileImages
        Files are not decoded yet. Covariates are encoded; with `reset` they are not, as there are
        no statistics of the training rows yet.
    y : ndarray of shape (n,) or (n, n_columns), sparse matrix, or None

    Raises
    ------
    ValueError
        If X cannot be read as images, or not as images of the fitted shape, or has other columns
        of covariates than in fit.
    """
    X = as_pandas(X)
    is_table = isinstance(X, pd.DataFrame | pd.Series)
    frame = None
    if takes_covariates:
        X, frame = split_covariates(X, name)
    else:
        X = images_alone(X, name, type(estimator).__name__)
    images, labels = _check_images(
        estimator,
        X,
        y,
        reset=reset,
        image_shape=image_shape,
        data_format=data_format,
        any_size=any_size,
        name=name,
    )
    if reset:
        # Names of the columns are then not those of pixels.
        has_pixels = hasattr(estimator, "feature_names_in_")
        estimator._has_image_column = isinstance(images, FileImages) or (
            is_table and not has_pixels
        )
    covariates = _read_covariates(estimator, frame, reset=reset, name=name)
    return images if covariates is None else replace(images, covariates=covariates), labels


def _read_covariates(
    estimator: BaseEstimator, frame: pd.DataFrame | None, *, reset: bool, name: str
) -> npt.NDArray[Any] | None:
    """Return the covariates: values of the columns with `reset`, else the inputs they make."""
    if reset:
        estimator._covariates = None if frame is None else CovariateEncoder.infer(frame, name)
    encoder: CovariateEncoder | None = getattr(estimator, "_covariates", None)
    fitted_by = type(estimator).__name__
    if encoder is None:
        if frame is not None:
            raise ValueError(
                f"{name} has columns beside the images, {listed(list(frame.columns))}, but "
                f"{fitted_by} was fitted on images alone. Pass the images alone, or fit again."
            )
        return None
    if frame is None:
        raise ValueError(
            f"{name} has images alone, but {fitted_by} was fitted with the columns "
            f"{listed(encoder.names)} beside them. Pass a DataFrame with these columns, as "
            "skcnn.datasets.make_images_and_covariates makes from an array."
        )
    if reset:
        return encoder.read(frame, name)
    return encoder.encode(encoder.read(frame, name, fitted_by))


def _check_images(
    estimator: BaseEstimator,
    X: Any,
    y: object,
    *,
    reset: bool,
    image_shape: Sequence[int] | None,
    data_format: str,
    any_size: bool,
    name: str,
) -> tuple[AnyImages, npt.NDArray[Any] | None]:
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
        set_features(estimator, shape)
    else:
        shape = _fitted_shape(estimator, name)
    check_range_as_fitted(estimator, 0.0, 255.0, are_bytes=True, reset=reset, name=name)
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
