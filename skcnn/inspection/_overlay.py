"""Base of displays that lay a map over each image."""

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from skcnn.inspection import _drawing
from skcnn.inspection._display import Display

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class OverlayDisplay(Display):
    """Images with their labels, and below each its map over the image in gray.

    Parameters
    ----------
    images : ndarray of shape (n, height, width, n_channels)
    maps : ndarray of shape (n, height, width)
        From 0 to 1.
    labels : ndarray of shape (n,)
    """

    _title: ClassVar[str]
    # What bright colors mean.
    _bar_label: ClassVar[str]

    def __init__(
        self,
        *,
        images: npt.NDArray[Any],
        maps: npt.NDArray[np.floating],
        labels: npt.NDArray[Any],
    ) -> None:
        self.images = images
        self.maps = maps
        self.labels = labels

    def plot(self, ax: "Axes | None" = None, *, alpha: float = 0.55) -> Self:
        """Draw the images, and below each its map over the image in gray.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes whose place is divided among the images. None makes a new figure.
        alpha : float, default=0.55
            Opacity of the maps, from 0 to 1.

        Returns
        -------
        display : Display
            The display itself, with its axes and its figure as attributes.
        """
        axes = _drawing.make_axes(ax, 2, len(self.images), cell=(1.5, 1.65))
        limits = _drawing.limits_of(self.images)
        labels, maps = self._shown()
        for above, below, image, values, label in zip(*axes, self.images, maps, labels):
            _drawing.show_image(above, image, limits)
            above.set_title(_drawing.wrap_label(label, 16), fontsize=8)
            # In gray, so that all color comes from the map.
            _drawing.show_image(below, image.mean(axis=2, keepdims=True), limits)
            heat = below.imshow(values, cmap="viridis", vmin=0, vmax=1, alpha=alpha)
        if ax is None:
            _drawing.set_title(axes, self._title)
            bar = axes[0, 0].figure.colorbar(
                heat, ax=axes.ravel().tolist(), shrink=0.4, anchor=(0, 0.1), aspect=10
            )
            bar.set_label(self._bar_label, fontsize=8)
            bar.ax.tick_params(labelsize=7)
        return self._set_axes(axes)

    def _shown(self) -> tuple[npt.NDArray[Any], npt.NDArray[np.floating]]:
        """Return what stands above the images, and the maps from 0 to 1."""
        return self.labels, self.maps
