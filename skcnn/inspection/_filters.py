"""Filters of a convolution."""

import math
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from torch import nn

from skcnn._from_r import whole_arguments
from skcnn.inspection import _drawing
from skcnn.inspection._display import Display
from skcnn.inspection._layers import find_layer
from skcnn.inspection._unwrap import unwrap
from skcnn.networks._mirror import MirroredConv2d
from skcnn.uncertainty._checks import check_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@whole_arguments("layer")
def filters(estimator: BaseEstimator, layer: str | int = 0) -> npt.NDArray[np.float32]:
    """Return the filters of a convolution.

    Parameters
    ----------
    estimator : skcnn estimator with a network, Pipeline or search
        A fitted one. Of a pipeline, the last step counts.
    layer : str or int, default=0
        Name of a convolution in ``estimator.summary()``, or its number, counted from 0, or
        backwards from -1; convolutions in shortcuts are not counted.

    Returns
    -------
    filters : ndarray of shape (n_filters, height, width, n_channels), float32
        The weights, without biases.

    Raises
    ------
    ValueError
        If the network has no such layer, or the layer is not a 2-D convolution.
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If the estimator has no network.

    See Also
    --------
    FiltersDisplay : Draws them.

    Examples
    --------
    >>> from skcnn import ConvNetClassifier
    >>> from skcnn.datasets import make_organisms
    >>> from skcnn.inspection import filters
    >>> X, y = make_organisms(n_samples=60, n_classes=3, image_size=16, random_state=0)
    >>> clf = ConvNetClassifier(filters=(8, 16), max_epochs=2, random_state=0).fit(X, y)
    >>> filters(clf).shape, filters(clf, -1).shape
    ((8, 3, 3, 3), (16, 3, 3, 16))
    """
    estimator, _ = unwrap(estimator)
    name, part = find_layer(estimator, layer)
    conv = part.module
    if not isinstance(conv, nn.Conv2d):
        raise ValueError(
            f"layer={name!r} is a {type(conv).__name__}, which has no filters. Expected a Conv2d."
        )
    weight = conv.all_filters() if isinstance(conv, MirroredConv2d) else conv.weight
    weight = weight.detach().permute(0, 2, 3, 1)
    array: npt.NDArray[np.float32] = weight.float().cpu().contiguous().numpy()
    return array


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
        estimator : skcnn estimator with a network, Pipeline or search
            A fitted one. Of a pipeline, the last step counts.
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
        shown = self.filters[: check_count(max_filters, "max_filters")]
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
