"""Images as they are, before any network: in a grid, and channel by channel."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_consistent_length

from skcnn.inspection import _drawing


class ImageGridDisplay:
    """A grid of images with their labels.

    Parameters
    ----------
    images : array-like of shape (n, height, width, n_channels) or (n, height, width)
        uint8 of 0 to 255, or other numbers: those from 0 to 1 are shown as they are, others from
        the lowest to the highest.
    labels : array-like of shape (n,), default=None
        Written above the images.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure

    Raises
    ------
    ValueError
        Where the images have another shape, or there is another number of labels.

    Examples
    --------
    >>> from skcnn.datasets import make_organisms
    >>> from skcnn.inspection import ImageGridDisplay
    >>> X, y = make_organisms(n_samples=30, n_classes=3, image_size=16, random_state=0)
    >>> ImageGridDisplay(X, y).plot().axes_.shape
    (5, 5)
    """

    def __init__(self, images: Any, labels: Any = None) -> None:
        self.images = _as_images(images)
        self.labels = labels
        check_consistent_length(self.images, labels)

    def plot(self, ax: Any = None, *, max_images: int = 25, n_columns: int = 5) -> Self:
        """Draw the grid.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            A place to divide among the images; None makes a figure.
        max_images : int, default=25
            The first of them are drawn.
        n_columns : int, default=5

        Returns
        -------
        display : ImageGridDisplay
        """
        shown = self.images[:max_images]
        figure, axes = _drawing.make_grid(ax, len(shown), n_columns, cell=(1.7, 1.9))
        limits = _drawing.limits_of(self.images)
        labels = [""] * len(shown) if self.labels is None else list(self.labels)
        for place, image, label in zip(axes.flat, shown, labels):
            _drawing.show_image(place, image, limits)
            place.set_title(_drawing.wrapped(label), fontsize=8)
        self.axes_, self.figure_ = axes, figure
        return self


class ChannelsDisplay:
    """One image, and each of its channels in grey.

    Parameters
    ----------
    image : array-like of shape (height, width, n_channels)
        As in `ImageGridDisplay`.
    names : sequence of str, default=None
        Of the channels. None names three of them red, green and blue, and numbers others.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure

    Raises
    ------
    ValueError
        Where the image has another shape, or there is another number of names.

    Examples
    --------
    >>> from skcnn.datasets import make_organisms
    >>> from skcnn.inspection import ChannelsDisplay
    >>> X, y = make_organisms(n_samples=3, n_classes=3, image_size=16, random_state=0)
    >>> [ax.get_title() for ax in ChannelsDisplay(X[0]).plot().axes_.flat]
    ['image', 'red', 'green', 'blue']
    """

    def __init__(self, image: Any, names: Sequence[str] | None = None) -> None:
        self.image = _as_images(np.asarray(image)[None])[0]
        n_channels = self.image.shape[2]
        if names is None:
            names = [f"channel {number}" for number in range(n_channels)]
            names = ["red", "green", "blue"] if n_channels == 3 else names
        if len(names) != n_channels:
            raise ValueError(
                f"names={list(names)!r} are {len(names)} names, but the image has {n_channels} "
                "channels. Give one for each."
            )
        self.names = list(names)

    def plot(self, ax: Any = None) -> Self:
        """Draw the image and its channels.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            A place to divide among them; None makes a figure.

        Returns
        -------
        display : ChannelsDisplay
        """
        channels = np.moveaxis(self.image, 2, 0)[..., None]
        pictures = [self.image, *channels]
        figure, axes = _drawing.make_grid(ax, len(pictures), 5, cell=(2.0, 2.2))
        limits = _drawing.limits_of(self.image)
        for place, picture, name in zip(axes.flat, pictures, ["image", *self.names]):
            _drawing.show_image(place, picture, limits)
            place.set_title(name, fontsize=9)
        self.axes_, self.figure_ = axes, figure
        return self


def _as_images(images: Any) -> npt.NDArray[Any]:
    array = np.asarray(images)
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or 0 in array.shape:
        raise ValueError(
            f"images have the shape {np.shape(images)}, expected (n, height, width, n_channels) "
            "or (n, height, width), and none of it empty."
        )
    return array
