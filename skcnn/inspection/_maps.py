"""Filters, feature maps and Grad-CAM, drawn."""

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_consistent_length

from skcnn.inspection import _drawing
from skcnn.inspection._feature_maps import (
    CONVOLUTIONS,
    feature_maps,
    filters,
    find_layer,
    grad_cam,
    in_shortcut,
    read_images,
)

_KINDS = {
    **dict.fromkeys(CONVOLUTIONS, "convolution"),
    "MaxPool2d": "max pooling",
    "AvgPool2d": "average pooling",
}


class FiltersDisplay:
    """The filters of a convolution.

    Those over images of three channels are shown in colour, all others with their mean over the
    channels, from negative over zero (white) to positive.

    Make one with `from_estimator`.

    Parameters
    ----------
    filters : ndarray of shape (n_filters, height, width, n_channels)
        As `skcnn.inspection.filters` returns them.
    name : str, default=""
        Of the layer.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure

    Examples
    --------
    >>> from skcnn import ConvNetClassifier
    >>> from skcnn.datasets import make_organisms
    >>> from skcnn.inspection import FiltersDisplay
    >>> X, y = make_organisms(n_samples=60, n_classes=3, image_size=16, random_state=0)
    >>> clf = ConvNetClassifier(filters=(8, 16), max_epochs=2, random_state=0).fit(X, y)
    >>> FiltersDisplay.from_estimator(clf).axes_.shape
    (3, 3)
    """

    def __init__(self, *, filters: npt.NDArray[np.float32], name: str = "") -> None:
        self.filters = filters
        self.name = name

    @classmethod
    def from_estimator(
        cls, estimator: Any, layer: str | int = 0, *, ax: Any = None, **kwargs: Any
    ) -> Self:
        """Draw the filters of a fitted estimator.

        Parameters
        ----------
        estimator : ConvNetClassifier
            A fitted one.
        layer : str or int, default=0
            As in `skcnn.inspection.filters`.
        ax : matplotlib.axes.Axes, default=None
            A place to divide among the filters; None makes a figure.
        **kwargs
            Of `plot`.

        Returns
        -------
        display : FiltersDisplay
        """
        name, _ = find_layer(estimator, layer)
        return cls(filters=filters(estimator, layer), name=name).plot(ax=ax, **kwargs)

    def plot(self, ax: Any = None, *, max_filters: int = 64) -> Self:
        """Draw the filters.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            A place to divide among the filters; None makes a figure.
        max_filters : int, default=64
            The first of them are drawn.

        Returns
        -------
        display : FiltersDisplay
        """
        shown = self.filters[:max_filters]
        n_columns = math.ceil(math.sqrt(len(shown)))
        figure, axes = _drawing.make_grid(ax, len(shown), n_columns, cell=(0.8, 0.8))
        in_colour = shown.shape[3] == 3
        values = shown if in_colour else shown.mean(axis=3)
        # One scale for all, so that weak filters look weak, with zero in its middle.
        most = max(float(np.abs(values).max()), 1e-12)
        for place, values_of_one in zip(axes.flat, values):
            if in_colour:
                place.imshow(0.5 + values_of_one / (2 * most), interpolation="nearest")
            else:
                place.imshow(values_of_one, cmap="PuOr", vmin=-most, vmax=most)
            _drawing.clear(place)
        if ax is None:
            left = len(self.filters) - len(shown)
            more = f", {left} more not shown" if left else ""
            figure.suptitle(f"{len(self.filters)} filters of {self.name}{more}", fontsize=10)
        self.axes_, self.figure_ = axes, figure
        return self


class FeatureMapsDisplay:
    """What the layers of a network make of one image, a row a layer.

    The brighter a pixel, the higher its value; each map has a scale of its own.

    Make one with `from_estimator`.

    Parameters
    ----------
    image : ndarray of shape (height, width, n_channels)
    maps : dict of str to ndarray of shape (height, width, n_channels)
        What each layer makes of the image.
    limits : tuple of (low, high), default=(0, 255)
        What is black and what is white in the image.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure

    Examples
    --------
    >>> from skcnn import ConvNetClassifier
    >>> from skcnn.datasets import make_organisms
    >>> from skcnn.inspection import FeatureMapsDisplay
    >>> X, y = make_organisms(n_samples=60, n_classes=3, image_size=16, random_state=0)
    >>> clf = ConvNetClassifier(filters=(8, 16), max_epochs=2, random_state=0).fit(X, y)
    >>> FeatureMapsDisplay.from_estimator(clf, X[0], max_maps=6).axes_.shape
    (5, 7)
    """

    def __init__(
        self,
        *,
        image: npt.NDArray[Any],
        maps: dict[str, npt.NDArray[np.float32]],
        limits: tuple[float, float] = (0.0, 255.0),
    ) -> None:
        self.image = image
        self.maps = maps
        self.limits = limits

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        image: Any,
        layers: Sequence[str | int] | None = None,
        *,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Run an image through a fitted network and draw what its layers make of it.

        Parameters
        ----------
        estimator : ConvNetClassifier
            A fitted one.
        image : array-like
            One image, as a row of what its `predict` takes.
        layers : sequence of str or int, default=None
            As in `skcnn.inspection.feature_maps`. None takes all convolutions but those of
            shortcuts and all pooling layers, of which eight are drawn at most: the first seven
            and the last.
        ax : matplotlib.axes.Axes, default=None
            A place to divide among the maps; None makes a figure.
        **kwargs
            Of `plot`.

        Returns
        -------
        display : FeatureMapsDisplay
        """
        X = np.asarray(image)[None]
        pixels = read_images(estimator, X)
        if layers is None:
            layers = _convolutions_and_pooling(estimator)
        maps = {}
        for layer in layers:
            name, found = find_layer(estimator, layer)
            values = feature_maps(estimator, X, layer)[0]
            if values.ndim != 3:
                raise ValueError(
                    f"layer={name!r} makes {len(values)} values of an image, and no feature maps. "
                    "Choose layers in front of where images become features."
                )
            kind = type(found).__name__
            maps[f"{_KINDS.get(kind, kind)}\n{name}"] = values
        return cls(image=pixels[0], maps=maps, limits=_drawing.limits_of(pixels)).plot(
            ax=ax, **kwargs
        )

    def plot(self, ax: Any = None, *, max_maps: int = 8) -> Self:
        """Draw the image and its maps.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            A place to divide among the maps; None makes a figure.
        max_maps : int, default=8
            Of each layer, the first are drawn.

        Returns
        -------
        display : FeatureMapsDisplay
        """
        n_cols = 1 + min(max_maps, max(values.shape[2] for values in self.maps.values()))
        figure, axes = _drawing.make_axes(ax, 1 + len(self.maps), n_cols, cell=(1.0, 1.05))
        _describe(axes[0, 0], "image", self.image)
        _drawing.show_image(axes[0, 1], self.image, self.limits)
        _drawing.hide_rest(axes[0], 2)
        for row, (name, values) in zip(axes[1:], self.maps.items()):
            _describe(row[0], name, values)
            channels = np.moveaxis(values, 2, 0)[:max_maps]
            for place, channel in zip(row[1:], channels):
                place.imshow(channel, cmap="viridis", interpolation="nearest")
                _drawing.clear(place)
            _drawing.hide_rest(row, 1 + len(channels))
        self.axes_, self.figure_ = axes, figure
        return self


class GradCAMDisplay:
    """Images beside what in them speaks for a class: Grad-CAM over the image.

    Make one with `from_estimator`.

    Parameters
    ----------
    images : ndarray of shape (n, height, width, n_channels)
    maps : ndarray of shape (n, height, width)
        As `grad_cam` returns them.
    labels : ndarray of shape (n,)
        The classes that were looked for.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure

    References
    ----------
    Selvaraju et al.: Grad-CAM: visual explanations from deep networks via gradient-based
    localization. ICCV 2017, arXiv:1610.02391.

    Examples
    --------
    >>> from skcnn import ConvNetClassifier
    >>> from skcnn.datasets import make_organisms
    >>> from skcnn.inspection import GradCAMDisplay
    >>> X, y = make_organisms(n_samples=60, n_classes=3, image_size=16, random_state=0)
    >>> clf = ConvNetClassifier(filters=(8, 16), max_epochs=2, random_state=0).fit(X, y)
    >>> GradCAMDisplay.from_estimator(clf, X[:4]).axes_.shape
    (2, 4)
    """

    def __init__(
        self,
        *,
        images: npt.NDArray[Any],
        maps: npt.NDArray[np.float32],
        labels: npt.NDArray[Any],
    ) -> None:
        self.images = images
        self.maps = maps
        self.labels = labels

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        target: Any = None,
        *,
        layer: str | int | None = None,
        max_images: int = 8,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Compute the maps of images and draw them.

        Parameters
        ----------
        estimator : ConvNetClassifier
            A fitted one.
        X : array-like
            Images, in any form that its `predict` takes.
        target, layer
            As in `grad_cam`.
        max_images : int, default=8
            The first of them are drawn.
        ax : matplotlib.axes.Axes, default=None
            A place to divide among the images; None makes a figure.
        **kwargs
            Of `plot`.

        Returns
        -------
        display : GradCAMDisplay
        """
        if np.ndim(target) == 1:
            check_consistent_length(X, target)
            target = np.asarray(target)[:max_images]
        X = X[:max_images]
        maps = grad_cam(estimator, X, target, layer=layer)
        labels = estimator.predict(X) if target is None else np.broadcast_to(target, len(maps))
        images = read_images(estimator, X)
        return cls(images=images, maps=maps, labels=labels).plot(ax=ax, **kwargs)

    def plot(self, ax: Any = None, *, alpha: float = 0.55) -> Self:
        """Draw the images, and below each the same with its map over it.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            A place to divide among the images; None makes a figure.
        alpha : float, default=0.55
            How much the highest values of a map cover of the image.

        Returns
        -------
        display : GradCAMDisplay
        """
        figure, axes = _drawing.make_axes(ax, 2, len(self.images), cell=(1.5, 1.65))
        limits = _drawing.limits_of(self.images)
        for above, below, image, values, label in zip(*axes, self.images, self.maps, self.labels):
            _drawing.show_image(above, image, limits)
            above.set_title(_drawing.wrapped(label, 16), fontsize=8)
            # In grey, so that the colours are those of the map.
            _drawing.show_image(below, image.mean(axis=2, keepdims=True), limits)
            below.imshow(values, cmap="viridis", vmin=0, vmax=1, alpha=alpha)
        self.axes_, self.figure_ = axes, figure
        return self


def _describe(ax: Any, name: str, values: npt.NDArray[Any]) -> None:
    """Say in front of a row what it shows."""
    label = f"{name}\n{'×'.join(map(str, values.shape))}"
    ax.text(1, 0.5, label, ha="right", va="center", fontsize=7)
    ax.set_axis_off()


def _convolutions_and_pooling(estimator: Any) -> list[str]:
    layers = [
        layer.name
        for layer in estimator.summary().layers
        if layer.type in _KINDS and not in_shortcut(layer.name)
    ]
    return layers if len(layers) <= 8 else [*layers[:7], layers[-1]]
