"""Feature maps: the outputs of layers for images."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator

from skcnn._data._paths import PATH_COLUMN
from skcnn._from_r import whole_arguments
from skcnn._other_tables import is_frame, to_frame
from skcnn._utils import IMAGE_COLUMN, as_tuple
from skcnn.inspection import _drawing
from skcnn.inspection._display import Display
from skcnn.inspection._layers import compute_outputs, find_layer
from skcnn.inspection._reading import read_images
from skcnn.inspection._unwrap import unwrap
from skcnn.uncertainty._checks import check_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MAX_DEFAULT_LAYERS = 8


@whole_arguments("layer")
def feature_maps(
    estimator: BaseEstimator, X: npt.ArrayLike, layer: str | int = 0
) -> npt.NDArray[np.float32]:
    """Compute the outputs of a layer for images.

    Several threads may call it with the same estimator.

    Parameters
    ----------
    estimator : skcnn estimator with a network, Pipeline or search
        A fitted one. Of a pipeline, the last step counts.
    X : array-like of shape (n, height, width, n_channels), (n, height, width) or (n, n_pixels)
        Images, in any form that ``estimator.predict`` takes.
    layer : str or int, default=0
        Name of a layer in ``estimator.summary()``, or of a part that holds several layers, such
        as "block2". Or the number of a convolution, counted from 0, or backwards from -1;
        convolutions in shortcuts are not counted.

    Returns
    -------
    maps : ndarray of shape (n, height, width, n_channels) or (n, n_units), float32

    Raises
    ------
    ValueError
        If the network has no such layer or does not use it, or X does not fit the network.
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If the estimator has no network.

    See Also
    --------
    FeatureMapsDisplay : Draws the maps of one image, layer by layer.

    Examples
    --------
    >>> from skcnn import ConvNetClassifier
    >>> from skcnn.datasets import make_organisms
    >>> from skcnn.inspection import feature_maps
    >>> X, y = make_organisms(n_samples=60, n_classes=3, image_size=16, random_state=0)
    >>> clf = ConvNetClassifier(filters=(8, 16), max_epochs=2, random_state=0).fit(X, y)
    >>> feature_maps(clf, X[:5]).shape, feature_maps(clf, X[:5], "block2").shape
    ((5, 16, 16, 8), (5, 4, 4, 16))
    """
    estimator, X = unwrap(estimator, X)
    name, _ = find_layer(estimator, layer)
    return compute_outputs(estimator, read_images(estimator, X), [name])[name]


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
        estimator : skcnn estimator with a network, Pipeline or search
            A fitted one. Of a pipeline, the last step counts.
        image : array-like
            One image, as a row of the X that ``estimator.predict`` takes, or an X of one row. For
            a network with numbers beside the images, a table of one row, such as ``X[:1]``.
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
        estimator, X = unwrap(estimator, _as_batch(image, unwrap(estimator)[0].image_shape_))
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
        check_count(max_maps, "max_maps")
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


def _as_batch(image: Any, image_shape: tuple[int, int, int]) -> Any:
    """Return an X of one row: of an image, of a row of a table, or as it is."""
    image = to_frame(image)
    names = {IMAGE_COLUMN, PATH_COLUMN}
    if isinstance(image, pd.Series) and not names.isdisjoint(image.index):
        return image.to_frame().T
    if is_frame(image) and not names.isdisjoint(image.columns) and len(image) != 1:
        raise ValueError(
            f"image is a table of {len(image)} rows. Expected one row, such as image[:1]."
        )
    if is_frame(image) and len(image) == 1:
        return image
    array = np.asarray(image)
    return array if _is_batch(array, image_shape) else array[None]


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
