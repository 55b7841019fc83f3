"""Where a network counts: the map of numbers that it adds up, and a display of it."""

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator
from torch import nn

from skcnn._compute._ambient import no_autocast
from skcnn._compute._fork import computing
from skcnn._compute._interrupt import hold_interrupts
from skcnn._from_r import whole_arguments
from skcnn._utils import number_text
from skcnn.inspection._images import take_rows
from skcnn.inspection._overlay import OverlayDisplay
from skcnn.inspection._reading import image_batches, read_images
from skcnn.inspection._unwrap import unwrap
from skcnn.networks._density import DensityNetwork

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def density_map(estimator: BaseEstimator, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Compute where in an image a regressor finds what it counts.

    A regressor with ``global_pool="sum"``, which ``loss="poisson"`` has by default, adds up a
    number for each place of the image [1]_. The map has these numbers, spread over the pixels of
    their places. The sum of a map is the prediction.

    Parameters
    ----------
    estimator : ConvNetRegressor, Pipeline or search
        A fitted one. The last step of a pipeline must be a ConvNetRegressor.
    X : array-like of shape (n, height, width, n_channels), (n, height, width) or (n, n_pixels)
        Images, in any form that ``estimator.predict`` takes. They may be larger or smaller than
        those of training.

    Returns
    -------
    maps : ndarray of shape (n, height, width) or (n, height, width, n_outputs)
        Number per pixel; for several outputs, a map for each.

    Raises
    ------
    ValueError
        If the network does not add up a map, or X does not fit the network.
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If the estimator has no network.

    See Also
    --------
    DensityDisplay : Draws the maps over the images.

    References
    ----------
    .. [1] Lempitsky, Zisserman: Learning to count objects in images. NIPS 2010.

    Examples
    --------
    >>> from skcnn import ConvNetRegressor
    >>> from skcnn.datasets import make_scenes
    >>> from skcnn.inspection import density_map
    >>> scenes = make_scenes(60, image_size=32, count=(0, 9), random_state=0)
    >>> reg = ConvNetRegressor((8, 16), loss="poisson", max_epochs=2, random_state=0)
    >>> maps = density_map(reg.fit(scenes.data, scenes.count), scenes.data[:5])
    >>> maps.shape
    (5, 32, 32)
    >>> np.allclose(maps.sum(axis=(1, 2)), reg.predict(scenes.data[:5]), rtol=1e-4)
    True
    """
    estimator, X = unwrap(estimator, X)
    network = estimator.module_
    if not isinstance(network, DensityNetwork):
        raise ValueError(
            f"The network of this {type(estimator).__name__} does not add up a map. Fit a "
            'ConvNetRegressor with global_pool="sum", which loss="poisson" has by default.'
        )
    images_read, device = read_images(estimator, X), estimator.device_
    parts = []
    with hold_interrupts(), no_autocast(device), torch.inference_mode():
        for _, inputs in image_batches(images_read, device):
            with computing():
                places = network.density(*inputs).movedim(3, 1)
            height, width = inputs[0].shape[1:3]
            spread = nn.functional.interpolate(places, (height, width), mode="bilinear")
            # Interpolation changes sums a little at the edges.
            total, by_pixel = (maps.sum((2, 3), keepdim=True) for maps in (places, spread))
            spread = spread * (total / by_pixel.clamp_min(torch.finfo(by_pixel.dtype).tiny))
            parts.append(spread.movedim(1, 3).cpu().numpy())
    maps = np.concatenate(parts)
    decoded: npt.NDArray[np.float64] = estimator._target.decode(maps.reshape(-1, maps.shape[3]))
    return decoded.reshape(*maps.shape[:3], *decoded.shape[1:])


class DensityDisplay(OverlayDisplay):
    """Images, and below each the map of what a network counts in it.

    All maps have the same scale, so that an empty image has an empty map. Make one with
    `from_estimator`.

    Parameters
    ----------
    images : ndarray of shape (n, height, width, n_channels)
    maps : ndarray of shape (n, height, width)
        As returned by `density_map`.
    actual : ndarray of shape (n,), default=None
        Actual numbers, if they are known.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure

    Examples
    --------
    >>> from skcnn import ConvNetRegressor
    >>> from skcnn.datasets import make_scenes
    >>> from skcnn.inspection import DensityDisplay
    >>> scenes = make_scenes(60, image_size=32, count=(0, 9), random_state=0)
    >>> reg = ConvNetRegressor((8, 16), loss="poisson", max_epochs=2, random_state=0)
    >>> reg = reg.fit(scenes.data, scenes.count)
    >>> DensityDisplay.from_estimator(reg, scenes.data[:4], scenes.count[:4]).axes_.shape
    (2, 4)
    """

    _bar_label = "share of the largest value"
    _title = "Bright where the network counts: the sum of a map is the prediction"

    def __init__(
        self,
        *,
        images: npt.NDArray[Any],
        maps: npt.NDArray[np.float64],
        actual: npt.NDArray[Any] | None = None,
    ) -> None:
        labels = [f"predicted {number_text(density.sum(), 3)}" for density in maps]
        if actual is not None:
            labels = [
                f"{text} actual {number_text(number)}" for text, number in zip(labels, actual)
            ]
        super().__init__(images=images, maps=maps, labels=np.array(labels))
        self.actual = actual

    @classmethod
    @whole_arguments("output", "max_images")
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: Any,
        y: npt.ArrayLike | None = None,
        *,
        output: int = 0,
        max_images: int = 6,
        random_state: int | np.random.RandomState | None = None,
        ax: "Axes | None" = None,
        **kwargs: Any,
    ) -> Self:
        """Compute the maps of images and draw them.

        Parameters
        ----------
        estimator : ConvNetRegressor, Pipeline or search
            A fitted one. The last step of a pipeline must be a ConvNetRegressor.
        X : array-like
            Images, in any form that ``estimator.predict`` takes.
        y : array-like of shape (n,) or (n, n_outputs), default=None
            Actual numbers, if they are known.
        output : int, default=0
            Which output to draw, by its number, if there are several.
        max_images : int, default=6
            Number of images to draw, from the first.
        random_state : int or RandomState, default=None
            Draws the images at random, for data sorted by class. None takes the first ones.
        ax, **kwargs
            As in `plot`.

        Returns
        -------
        display : DensityDisplay

        Raises
        ------
        ValueError, NotFittedError, TypeError
            As in `density_map`; and if the lengths differ, or there is no such output.
        """
        X, y = take_rows(X, y, max_images, random_state)
        estimator, X = unwrap(estimator, X)
        maps = density_map(estimator, X)
        actual = None if y is None else np.asarray(y)
        if output not in range(maps.shape[3] if maps.ndim == 4 else 1):
            raise ValueError(
                f"output={output!r} is no output of this {type(estimator).__name__}. Expected "
                f"its number, from 0 to {maps.shape[3] - 1 if maps.ndim == 4 else 0}."
            )
        if maps.ndim == 4:
            maps = maps[..., output]
            actual = None if actual is None else actual[:, output]
        images = read_images(estimator, X)[:]
        return cls(images=images, maps=maps, actual=actual).plot(ax, **kwargs)

    def _shown(self) -> tuple[npt.NDArray[Any], npt.NDArray[np.floating]]:
        # One scale for all images, so that an empty image has an empty map.
        shown = (self.maps / max(float(self.maps.max()), 1e-12)).astype(np.float32)
        return self.labels, shown
