"""Displays of images without a network: a grid, and the channels of one image."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_consistent_length, column_or_1d

from skcnn._data._covariates import split_covariates
from skcnn._data._file_shapes import find_shape
from skcnn._data._files import FileImages
from skcnn._data._paths import as_rows, read_paths
from skcnn._from_r import as_column, whole_arguments
from skcnn._utils import (
    RowChoice,
    as_tuple,
    as_values,
    check_random_state,
    number_text,
    safe_indexing,
)
from skcnn.inspection import _drawing
from skcnn.inspection._display import Display
from skcnn.uncertainty._checks import check_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class ImageGridDisplay(Display):
    """Grid of images with their labels.

    Parameters
    ----------
    images : array-like of shape (n, height, width, n_channels) or (n, height, width), or paths
        uint8 from 0 to 255, or other numbers: those from 0 to 1 are shown as they are, others
        are scaled from the lowest (black) to the highest (white). Paths of image files are read
        when they are drawn, with their whole width and height.
    labels : array-like of shape (n,), default=None
        Titles of the images.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If the images have another shape, or the number of labels differs from theirs.

    Examples
    --------
    >>> from skcnn.datasets import make_organisms
    >>> from skcnn.inspection import ImageGridDisplay
    >>> X, y = make_organisms(n_samples=30, n_classes=3, image_size=16, random_state=0)
    >>> ImageGridDisplay(X, y).plot().axes_.shape
    (5, 5)
    """

    def __init__(self, images: npt.ArrayLike, labels: npt.ArrayLike | None = None) -> None:
        self.images = as_images(images)
        self.labels = as_labels(labels)
        check_consistent_length(range(len(self.images)), labels)

    @whole_arguments("max_images", "n_columns")
    def plot(
        self,
        ax: "Axes | None" = None,
        *,
        max_images: int = 25,
        n_columns: int = 5,
        stretch: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> Self:
        """Draw the grid.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes whose place is divided among the images. None makes a new figure.
        max_images : int, default=25
            Number of images to draw, from the first.
        n_columns : int, default=5
            Number of images per row.
        stretch : bool, default=False
            Whether each image gets the full contrast, from its darkest to its brightest pixels,
            so that dim images can be seen.
        random_state : int or RandomState, default=None
            Draws the images at random, for data sorted by class. None takes the first ones.

        Returns
        -------
        display : ImageGridDisplay
        """
        check_count(n_columns, "n_columns")
        rows = choose_rows(len(self.images), max_images, random_state)
        shown = self.images[rows]
        axes = _drawing.make_grid(ax, len(shown), n_columns, cell=(1.7, 1.9))
        limits = _drawing.limits_of(shown if isinstance(self.images, FileImages) else self.images)
        labels = [""] * len(shown) if self.labels is None else list(np.asarray(self.labels)[rows])
        for place, image, label in zip(axes.flat, shown, labels):
            own = _drawing.stretched_limits(image) if stretch else limits
            _drawing.show_image(place, image, own)
            is_number = isinstance(label, float | np.floating) and not float(label).is_integer()
            text = number_text(float(label)) if is_number else label
            place.set_title(_drawing.wrap_label(text), fontsize=8)
        return self._set_axes(axes)


class ChannelsDisplay(Display):
    """One image, and each of its channels in gray.

    Parameters
    ----------
    image : array-like of shape (height, width, n_channels), or a path
        Pixel values as in `ImageGridDisplay`.
    names : sequence of str, default=None
        Names of the channels. None names three channels red, green and blue, and numbers others.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If the image has another shape, or the number of names differs from its channels.

    Examples
    --------
    >>> from skcnn.datasets import make_organisms
    >>> from skcnn.inspection import ChannelsDisplay
    >>> X, y = make_organisms(n_samples=3, n_classes=3, image_size=16, random_state=0)
    >>> [ax.get_title() for ax in ChannelsDisplay(X[0]).plot().axes_.flat]
    ['image', 'red', 'green', 'blue']
    """

    def __init__(self, image: npt.ArrayLike, names: Sequence[str] | None = None) -> None:
        self.image = as_images(np.asarray(image)[None])[:][0]
        n_channels = self.image.shape[2]
        if names is None:
            names = [f"channel {number}" for number in range(n_channels)]
            names = ["red", "green", "blue"] if n_channels == 3 else names
        names = as_tuple(names)
        if len(names) != n_channels:
            raise ValueError(
                f"names={list(names)!r} are {len(names)} names, but the image has {n_channels} "
                "channels. Give one name per channel."
            )
        self.names = list(names)

    def _draw(self, ax: "Axes | None") -> npt.NDArray[Any]:
        channels = np.moveaxis(self.image, 2, 0)[..., None]
        # The only channel of a gray image is the image.
        pictures = [self.image, *channels] if len(channels) > 1 else [self.image]
        axes = _drawing.make_grid(ax, len(pictures), 5, cell=(2.0, 2.2))
        limits = _drawing.limits_of(self.image)
        for place, picture, name in zip(axes.flat, pictures, ["image", *self.names]):
            _drawing.show_image(place, picture, limits)
            place.set_title(_drawing.plain_text(name), fontsize=9)
        return axes


def choose_rows(
    n: int, max_images: int, random_state: int | np.random.RandomState | None
) -> RowChoice:
    """Return the rows to draw: the first ones, or some at random in ascending order."""
    max_rows = check_count(max_images, "max_images")
    if random_state is None or n <= max_rows:
        return slice(max_rows)
    return np.sort(check_random_state(random_state).permutation(n)[:max_rows])


def take_rows(
    X: Any, y: Any, max_images: int, random_state: int | np.random.RandomState | None
) -> tuple[Any, Any]:
    """Return the rows to draw, of images in any form and of their labels."""
    X, y = as_rows(X), as_labels(y)
    check_consistent_length(X, y)
    rows = choose_rows(len(X), max_images, random_state)
    return safe_indexing(X, rows), None if y is None else safe_indexing(y, rows)


def as_labels(y: Any) -> Any:
    """Return the label of one image as a list of one, and a table of one column as an array.

    Examples
    --------
    >>> as_labels("fox"), as_labels([["fox"], ["elk"]])
    (['fox'], array(['fox', 'elk'], dtype='<U3'))
    """
    y = as_column(y)
    return column_or_1d(as_values(y)) if y is not None and np.shape(y)[1:] == (1,) else y


def as_images(images: Any, name: str = "images") -> npt.NDArray[Any] | FileImages:
    """Return images as an array (n, height, width, n_channels), or to be read from files."""
    images, _ = split_covariates(images, name)
    paths = read_paths(images, name)
    if paths is not None:
        return FileImages(paths, find_shape(paths), resize="pad", name=name, may_skip=False)
    array = np.asarray(images)
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or 0 in array.shape:
        which = "images" if name == "images" else f"images in {name}"
        raise ValueError(
            f"{which} have the shape {np.shape(images)}, expected (n, height, width, n_channels) "
            "or (n, height, width), with at least one image and one pixel."
        )
    return array
