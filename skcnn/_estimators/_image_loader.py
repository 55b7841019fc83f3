"""The transformer from paths of image files to arrays of their pixels."""

import os
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from skcnn._data._arrays import ImageShape
from skcnn._data._covariates import images_alone
from skcnn._data._file_shapes import COLORS, find_shape
from skcnn._data._files import read_files
from skcnn._data._paths import Paths, read_paths
from skcnn._estimators._docs import documented
from skcnn._estimators._parameters import CONSTRAINTS, validate_each
from skcnn._utils import StrOptions

_CHANNEL_NAMES = {1: ("",), 3: ("_red", "_green", "_blue")}


@documented
class ImageLoader(TransformerMixin, BaseEstimator):
    """Paths of image files to an array of pixels, for any estimator of scikit-learn.

    The estimators of skcnn take paths themselves, and decode files in the same way. Use this in
    front of other estimators, alone or in a `sklearn.compose.ColumnTransformer` with other
    columns of a table; or to get the pixels.

    Parameters
    ----------
    image_shape : sequence of (height, width) or (height, width, channels), default=None
        Shape that all images get, in pixels. None keeps the size of the files in `fit` if they
        all have the same and no side is longer than 128 pixels, and makes others 96x96.
    {resize}
    color : {"auto", "rgb", "gray"}, default="auto"
        "auto" is gray if all files in `fit` are gray, else RGB. `image_shape` may say it, too.
    on_error : {"raise", "skip"}, default="raise"
        Whether files that cannot be read are an error, or get rows of NaN, with a warning. The
        array is of float32 then.
    cache_dir : str or PathLike, default=None
        Folder where decoded files are kept, as for `ConvNetClassifier`.
    flatten : bool, default=True
        Whether each image is a row of the result, as scikit-learn's estimators need it. False
        returns images (n, height, width, channels).

    Attributes
    ----------
    {image_shape_}

    See Also
    --------
    skcnn.clear_image_cache : Clears `cache_dir`.
    skcnn.FeatureExtractor : Features in place of pixels.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from sklearn.pipeline import make_pipeline
    >>> from skcnn import ImageLoader
    >>> from skcnn.datasets import make_organisms
    >>> images, y = make_organisms(n_samples=30, n_classes=2, image_size=32, random_state=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     paths = [Path(folder, f"{number}.png") for number in range(30)]
    ...     for path, image in zip(paths, images):
    ...         Image.fromarray(image).save(path)
    ...     pixels = ImageLoader((16, 16)).fit_transform(paths)
    ...     forest = make_pipeline(ImageLoader((16, 16)), RandomForestClassifier(random_state=0))
    ...     predicted = forest.fit(paths[:20], y[:20]).predict(paths[20:])
    >>> pixels.shape, pixels.dtype
    ((30, 768), dtype('uint8'))
    >>> predicted.shape
    (10,)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "image_shape": CONSTRAINTS["image_shape"],
        "resize": CONSTRAINTS["resize"],
        "color": [StrOptions(set(COLORS))],
        "on_error": CONSTRAINTS["on_error"],
        "cache_dir": CONSTRAINTS["cache_dir"],
        "flatten": ["boolean"],
    }

    def __init__(
        self,
        image_shape: Sequence[int] | None = None,
        *,
        resize: str = "pad",
        color: str = "auto",
        on_error: str = "raise",
        cache_dir: str | os.PathLike[str] | None = None,
        flatten: bool = True,
    ) -> None:
        self.image_shape = image_shape
        self.resize = resize
        self.color = color
        self.on_error = on_error
        self.cache_dir = cache_dir
        self.flatten = flatten

    def fit(self, X: npt.ArrayLike, y: object = None) -> Self:
        """Decide on the shape of all images.

        Parameters
        ----------
        X : paths of image files
            One path (str or PathLike), or a list, array, Series or DataFrame of paths, as
            `ConvNetClassifier.fit` takes them, with or without columns of a box.
        y : None
            Ignored.

        Returns
        -------
        self : ImageLoader

        Raises
        ------
        OSError
            If `cache_dir` cannot be written to.
        ValueError
            If a parameter or X is not as described.
        """
        validate_each(self)
        self.image_shape_: ImageShape = find_shape(
            _paths(X), self.image_shape, self.color, cache_dir=self.cache_dir
        )
        return self

    def transform(self, X: npt.ArrayLike) -> npt.NDArray[np.uint8] | npt.NDArray[np.float32]:
        """Read the files.

        Parameters
        ----------
        X : paths of image files
            As in `fit`.

        Returns
        -------
        pixels : ndarray of shape (n, height * width * channels), uint8
            Or (n, height, width, channels) with ``flatten=False``.

        Raises
        ------
        ValueError
            If files cannot be read and ``on_error="raise"``: it names the first ten, their
            reasons, and how many more there are.
        """
        check_is_fitted(self, "image_shape_")
        images = read_files(
            _paths(X),
            self.image_shape_,
            resize=self.resize,
            on_error=self.on_error,
            cache_dir=self.cache_dir,
        )
        pixels: npt.NDArray[Any] = images.to_array()
        if images.failures:
            if not images.skips:
                images.raise_failures()
            pixels = pixels.astype(np.float32)
            images.clear_missing(pixels)
        return pixels.reshape(len(pixels), -1) if self.flatten else pixels

    def get_feature_names_out(self, input_features: object = None) -> npt.NDArray[Any]:
        """Return names of the columns: pixel_0_0_red for the top left corner, and so on.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        names : ndarray of shape (height * width * channels,)
        """
        check_is_fitted(self, "image_shape_")
        height, width, channels = self.image_shape_
        names = [
            f"pixel_{row}_{column}{channel}"
            for row in range(height)
            for column in range(width)
            for channel in _CHANNEL_NAMES[channels]
        ]
        return np.array(names, dtype=object)

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        assert tags.transformer_tags is not None
        tags.transformer_tags.preserves_dtype = []
        return tags


def _paths(X: npt.ArrayLike) -> Paths:
    paths = read_paths(images_alone(X, "X", "ImageLoader"))
    if paths is None or not len(paths):
        raise ValueError(
            f"X is a {type(X).__name__} without paths of image files. Expected one path or "
            "more (str or PathLike), as a list, an array, a Series or a DataFrame."
        )
    return paths
