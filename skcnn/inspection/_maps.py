"""Displays of filters, feature maps and Grad-CAM maps."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, is_regressor

from skcnn._from_r import whole_arguments
from skcnn._utils import as_tuple
from skcnn.inspection import _drawing
from skcnn.inspection._display import Display
from skcnn.inspection._feature_maps import (
    compute_outputs,
    filters,
    find_layer,
    grad_cam,
    read_images,
)
from skcnn.inspection._images import take_rows
from skcnn.inspection._overlay import OverlayDisplay
from skcnn.inspection._unwrap import unwrap

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MAX_DEFAULT_LAYERS = 8


class FiltersDisplay(Display):
    """Filters of a convolution.

    Filters over images of three channels are shown in color. Others are shown as their mean over
    the channels, from negative (orange) over zero (white) to positive (purple).

    Make one with `from_estimator`.

    Parameters
    ----------
    filters : ndarray of shape (n_filters, height, width, n_channels)
        As returned by `skcnn.inspection.filters`.
    name : str, default=""
        Name of the layer.

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
    @whole_arguments("layer")
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        layer: str | int = 0,
        *,
        ax: "Axes | None" = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the filters of a fitted estimator.

        Parameters
        ----------
        estimator : ConvNetClassifier, Pipeline or search
            A fitted one. The last step of a pipeline must be a ConvNetClassifier.
        layer : str or int, default=0
            As in `skcnn.inspection.filters`.
        ax, **kwargs
            As in `plot`.

        Returns
        -------
        display : FiltersDisplay

        Raises
        ------
        ValueError, NotFittedError, TypeError
            As in `skcnn.inspection.filters`.
        """
        estimator, _ = unwrap(estimator)
        name, _ = find_layer(estimator, layer)
        return cls(filters=filters(estimator, name), name=name).plot(ax, **kwargs)

    @whole_arguments("max_filters")
    def plot(self, ax: "Axes | None" = None, *, max_filters: int = 64) -> Self:
        """Draw the filters.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes whose place is divided among the filters. None makes a new figure.
        max_filters : int, default=64
            Number of filters to draw, from the first.

        Returns
        -------
        display : FiltersDisplay
        """
        shown = self.filters[:max_filters]
        n_columns = math.ceil(math.sqrt(len(shown)))
        axes = _drawing.make_grid(ax, len(shown), n_columns, cell=(0.8, 0.8))
        in_color = shown.shape[3] == 3
        values = shown if in_color else shown.mean(axis=3)
        # One scale for all filters, with zero in its middle, so that weak filters look weak.
        most = max(float(np.abs(values).max()), 1e-12)
        for place, values_of_one in zip(axes.flat, values):
            if in_color:
                place.imshow(0.5 + values_of_one / (2 * most), interpolation="nearest")
            else:
                place.imshow(values_of_one, cmap="PuOr", vmin=-most, vmax=most)
            _drawing.remove_ticks(place)
        if ax is None:
            title = f"{len(self.filters)} filters of {self.name}"
            if len(shown) < len(self.filters):
                title = f"First {len(shown)} of {title}"
            if not in_color:
                title += "\nMean over channels: orange negative, purple positive"
            _drawing.set_title(axes, title)
        return self._set_axes(axes)


class FeatureMapsDisplay(Display):
    """Feature maps of one image, with one row per layer.

    Brighter pixels are higher values. Each map has its own scale.

    Make one with `from_estimator`.

    Parameters
    ----------
    image : ndarray of shape (height, width, n_channels)
    maps : dict of str to ndarray of shape (height, width, n_channels)
        Feature maps of each layer. The keys are the labels of the rows.
    limits : tuple of (low, high), default=(0, 255)
        Pixel values of the image that are shown as black and as white.

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
    (7, 7)
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
    @whole_arguments("layers")
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        image: npt.ArrayLike,
        layers: Sequence[str | int] | None = None,
        *,
        ax: "Axes | None" = None,
        **kwargs: Any,
    ) -> Self:
        """Run an image through a fitted network and draw the feature maps of its layers.

        Parameters
        ----------
        estimator : ConvNetClassifier, Pipeline or search
            A fitted one. The last step of a pipeline must be a ConvNetClassifier.
        image : array-like
            One image, as a row of the X that ``estimator.predict`` takes, or an X of one row.
        layers : sequence of str or int, default=None
            As in `skcnn.inspection.feature_maps`. None takes all convolutions outside of
            shortcuts and all pooling layers except global pooling, but at most eight layers: the
            first seven and the last. Of a U-Net, all blocks of the encoder and the decoder.
        ax, **kwargs
            As in `plot`.

        Returns
        -------
        display : FeatureMapsDisplay

        Raises
        ------
        ValueError
            If a layer does not exist or has no feature maps, or the image does not fit.
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator has no network.
        """
        array = np.asarray(image)
        shape = unwrap(estimator)[0].image_shape_
        estimator, X = unwrap(estimator, array if _is_batch(array, shape) else array[None])
        images = read_images(estimator, X)
        chosen = _convolutions_and_pooling(estimator) if layers is None else as_tuple(layers)
        parts = dict(find_layer(estimator, layer) for layer in chosen)
        maps = {}
        for name, outputs in compute_outputs(estimator, images, list(parts)).items():
            if outputs.ndim != 4:
                raise ValueError(
                    f"layer={name!r} has an output of shape {outputs.shape[1:]} per image, which "
                    "is not a set of feature maps. Choose a layer before the images become "
                    "features."
                )
            kind = parts[name].role or type(parts[name].module).__name__
            named = name in estimator.module_.main_parts
            maps[name if named else f"{kind}\n{name}"] = outputs[0]
        pixels = images[:]
        display = cls(image=pixels[0], maps=maps, limits=_drawing.limits_of(pixels))
        return display.plot(ax, **kwargs)

    @whole_arguments("max_maps")
    def plot(self, ax: "Axes | None" = None, *, max_maps: int = 8) -> Self:
        """Draw the image and its feature maps.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes whose place is divided among the maps. None makes a new figure.
        max_maps : int, default=8
            Number of maps to draw per layer, from the first.

        Returns
        -------
        display : FeatureMapsDisplay
        """
        n_cols = 1 + min(max_maps, max(values.shape[2] for values in self.maps.values()))
        axes = _drawing.make_axes(ax, 1 + len(self.maps), n_cols, cell=(1.0, 1.05))
        _describe(axes[0, 0], "image", self.image)
        _drawing.show_image(axes[0, 1], self.image, self.limits)
        _drawing.hide_rest(axes[0], 2)
        for row, (name, values) in zip(axes[1:], self.maps.items()):
            _describe(row[0], name, values)
            channels = np.moveaxis(values, 2, 0)[:max_maps]
            for place, channel in zip(row[1:], channels):
                place.imshow(channel, cmap="viridis", interpolation="nearest")
                _drawing.remove_ticks(place)
            _drawing.hide_rest(row, 1 + len(channels))
        if ax is None:
            _drawing.set_title(
                axes,
                f"First {n_cols - 1} feature maps per layer (bright is high, scaled per map)",
            )
        return self._set_axes(axes)


class GradCAMDisplay(OverlayDisplay):
    """Images, and below each its Grad-CAM map: the regions that support a class or raise a number.

    Make one with `from_estimator`.

    Parameters
    ----------
    images : ndarray of shape (n, height, width, n_channels)
    maps : ndarray of shape (n, height, width)
        As returned by `grad_cam`.
    labels : ndarray of shape (n,)
        Class that each map explains, or the prediction of a regressor.
    are_predicted : bool, default=False
        Whether these are the predictions for the images, which the titles then say.

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

    _title = "Grad-CAM: bright regions support the class, or raise the number, above"
    _bar_label = "support"

    def __init__(
        self,
        *,
        images: npt.NDArray[Any],
        maps: npt.NDArray[np.floating],
        labels: npt.NDArray[Any],
        are_predicted: bool = False,
    ) -> None:
        super().__init__(images=images, maps=maps, labels=labels)
        self.are_predicted = are_predicted

    @classmethod
    @whole_arguments("layer", "max_images")
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: Any,
        target: npt.ArrayLike | None = None,
        *,
        layer: str | int | None = None,
        max_images: int = 8,
        random_state: int | np.random.RandomState | None = None,
        ax: "Axes | None" = None,
        **kwargs: Any,
    ) -> Self:
        """Compute the maps of images and draw them.

        Parameters
        ----------
        estimator : ConvNetClassifier, Pipeline or search
            A fitted one. The last step of a pipeline must be a ConvNetClassifier.
        X : array-like
            Images, in any form that ``estimator.predict`` takes.
        target, layer
            As in `grad_cam`.
        max_images : int, default=8
            Number of images to draw, from the first.
        random_state : int or RandomState, default=None
            Draws the images at random, for data sorted by class. None takes the first ones.
        ax, **kwargs
            As in `plot`.

        Returns
        -------
        display : GradCAMDisplay

        Raises
        ------
        ValueError, NotFittedError, TypeError
            As in `grad_cam`.
        """
        one_each = np.ndim(target) == 1  # type: ignore[arg-type]
        X, own = take_rows(X, target if one_each else None, max_images, random_state)
        target = np.asarray(own) if one_each else target
        estimator, X = unwrap(estimator, X)
        maps = grad_cam(estimator, X, target, layer=layer)
        are_predicted = target is None or is_regressor(estimator)
        if is_regressor(estimator):
            labels = np.array([_as_text(numbers) for numbers in estimator.predict(X)])
        elif target is None:
            labels = estimator.predict(X)
        else:
            labels = np.broadcast_to(target, len(maps))
        images = read_images(estimator, X)[:]
        display = cls(images=images, maps=maps, labels=labels, are_predicted=are_predicted)
        return display.plot(ax, **kwargs)

    def _shown(self) -> tuple[npt.NDArray[Any], npt.NDArray[np.floating]]:
        if not self.are_predicted:
            return self.labels, self.maps
        return np.array([f"predicted: {label}" for label in self.labels]), self.maps


def _as_text(numbers: npt.ArrayLike) -> str:
    return ", ".join(f"{number:.3g}" for number in np.atleast_1d(np.asarray(numbers)))


def _is_batch(image: npt.NDArray[Any], image_shape: tuple[int, int, int]) -> bool:
    """Whether an array is an X of one row in place of an image."""
    if image.ndim == 4:
        return len(image) == 1
    height, width, channels = image_shape
    return image.shape in [(1, math.prod(image_shape)), (1, height, width)] and (
        image.ndim == 2 or channels == 1
    )


def _describe(ax: "Axes", name: str, values: npt.NDArray[Any]) -> None:
    """Label a row with the name and the shape of what it shows."""
    label = f"{name}\n{'×'.join(map(str, values.shape))}"
    ax.text(1, 0.5, label, ha="right", va="center", fontsize=7)
    ax.set_axis_off()


def _convolutions_and_pooling(estimator: BaseEstimator) -> list[str]:
    if estimator.module_.main_parts:
        return list(estimator.module_.main_parts)
    names = [
        layer.name
        for layer in estimator.summary().layers
        # Global pooling leaves a single pixel.
        if layer.role in ("convolution", "pooling") and math.prod(layer.output_shape[:-1]) > 1
    ]
    if not names:
        raise ValueError(
            "The network has no convolution and no pooling layer whose output has several pixels. "
            "Name the layers to draw with layers=."
        )
    if len(names) > _MAX_DEFAULT_LAYERS:
        names[_MAX_DEFAULT_LAYERS - 1 : -1] = []
    return names
