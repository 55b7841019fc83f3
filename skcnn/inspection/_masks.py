"""Label images over their images, with their errors."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_consistent_length

from skcnn._from_r import whole_arguments
from skcnn.inspection import _drawing
from skcnn.inspection._display import Display
from skcnn.inspection._images import take_rows
from skcnn.inspection._reading import read_images
from skcnn.inspection._unwrap import unwrap
from skcnn.masks import iou_score
from skcnn.masks._scores import LabelImages

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Colors that people with any color vision tell apart; lines do so in gray print.
_COLORS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
_LINES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)))
# Kinds of errors: name, color, hatching.
_MISSED = ("missed", "#D55E00", "////")
_FALSE = ("found where there is none", "#0072B2", "\\\\\\\\")
_CONFUSED = ("taken for another", "#000000", "xxxx")
_FADED = 0.45

Mask = npt.NDArray[Any]


class MaskDisplay(Display):
    """Images with the outlines of what is in their label images, and the errors below.

    Each class has an outline of its own color and line. With the true label images, there is a
    second row: true outlines, and over them the pixels that are wrong, hatched by the kind of
    error, with the mean intersection over union of the image.

    Make one with `from_estimator` or `from_predictions`.

    Parameters
    ----------
    images : sequence of ndarray of shape (height, width, n_channels)
    masks : sequence of ndarray of shape (height, width)
        Predicted labels.
    actual : sequence of ndarray of shape (height, width), default=None
        True labels, if they are known.
    background : label, default=None
        The class that gets no outline. None takes the one with the most pixels.
    ignore_label : label, default=None
        Label of pixels whose true label is not known.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If the numbers of images and label images differ.

    Examples
    --------
    >>> from skcnn import ConvNetSegmenter
    >>> from skcnn.datasets import make_scenes
    >>> from skcnn.inspection import MaskDisplay
    >>> scenes = make_scenes(20, image_size=32, random_state=0)
    >>> X, masks = scenes.data, scenes.masks
    >>> seg = ConvNetSegmenter(max_epochs=2, random_state=0).fit(X, masks)
    >>> MaskDisplay.from_estimator(seg, X[:3], masks[:3]).axes_.shape
    (2, 3)
    """

    def __init__(
        self,
        *,
        images: Sequence[npt.NDArray[Any]],
        masks: Sequence[Mask],
        actual: Sequence[Mask] | None = None,
        background: object = None,
        ignore_label: object = None,
    ) -> None:
        check_consistent_length(images, masks, actual)
        self.images = images
        self.masks = masks
        self.actual = actual
        self.background = background
        self.ignore_label = ignore_label

    @classmethod
    @whole_arguments("max_images")
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: npt.ArrayLike,
        y: LabelImages | None = None,
        *,
        max_images: int = 4,
        random_state: int | np.random.RandomState | None = None,
        background: object = None,
        ax: "Axes | None" = None,
    ) -> Self:
        """Predict images and draw their label images.

        Parameters
        ----------
        estimator : ConvNetSegmenter, Pipeline or search
            A fitted one. The last step of a pipeline must be a ConvNetSegmenter.
        X : array-like
            Images, in any form that ``estimator.predict`` takes.
        y : array-like, default=None
            True label images, in any form that ``estimator.score`` takes.
        max_images : int, default=4
            Number of images to predict and draw, from the first.
        random_state : int or RandomState, default=None
            Draws the images at random, for data sorted by class. None takes the first ones.
        background
            As in the class.
        ax
            As in `plot`.

        Returns
        -------
        display : MaskDisplay

        Raises
        ------
        ValueError
            If the lengths differ.
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator predicts no label images.
        """
        rows, own = take_rows(X, y, max_images, random_state)
        estimator, rows = unwrap(estimator, rows)
        if not hasattr(estimator, "_label_images"):
            raise TypeError(
                f"MaskDisplay draws label images, and {type(estimator).__name__} predicts none. "
                "Expected a ConvNetSegmenter."
            )
        masks = estimator.predict(rows)
        images = [
            read_images(estimator, rows[row : row + 1])[:][0]
            for row in range(len(masks))
            if masks[row] is not None
        ]
        true = None if own is None else estimator._label_images(own, masks, rows)
        there = [row for row in range(len(masks)) if masks[row] is not None]
        return cls(
            images=images,
            masks=[_plane(masks[row], image) for row, image in zip(there, images)],
            actual=None if true is None else [_plane(true[r], i) for r, i in zip(there, images)],
            background=background,
            ignore_label=estimator.ignore_label,
        ).plot(ax)

    @classmethod
    def from_predictions(
        cls,
        images: Sequence[npt.ArrayLike] | npt.NDArray[Any],
        masks: LabelImages,
        y: LabelImages | None = None,
        *,
        background: object = None,
        ignore_label: object = None,
        ax: "Axes | None" = None,
    ) -> Self:
        """Draw given label images over their images.

        Parameters
        ----------
        images : ndarray of shape (n, height, width, n_channels) or list of images
        masks : array-like of shape (n, height, width), or list of label images
            Predicted, or true ones.
        y : array-like or list of the same shape, default=None
            True label images, to compare with.
        background, ignore_label
            As in the class.
        ax
            As in `plot`.

        Returns
        -------
        display : MaskDisplay
        """
        shown = [np.asarray(image) for image in images]
        shown = [image[..., None] if image.ndim == 2 else image for image in shown]
        check_consistent_length(shown, masks, y)
        return cls(
            images=shown,
            masks=[_plane(mask, image) for mask, image in zip(masks, shown)],
            actual=None if y is None else [_plane(mask, i) for mask, i in zip(y, shown)],
            background=background,
            ignore_label=ignore_label,
        ).plot(ax)

    def _draw(self, ax: "Axes | None") -> npt.NDArray[Any]:
        from matplotlib.lines import Line2D
        from matplotlib.patches import Patch

        n_rows = 1 if self.actual is None else 2
        axes = _drawing.make_axes(ax, n_rows, len(self.images), cell=(2.6, 2.8))
        limits = _drawing.limits_of(np.concatenate([image.ravel() for image in self.images]))
        classes, background = self._classes()
        outlined = [name for name in classes if name != background]
        looks = {
            name: (_COLORS[n % len(_COLORS)], _LINES[n % len(_LINES)])
            for n, name in enumerate(outlined)
        }
        kinds: dict[str, Patch] = {}
        for number, (image, mask) in enumerate(zip(self.images, self.masks)):
            _drawing.show_image(axes[0, number], image, limits)
            _outline(axes[0, number], mask, looks)
            if self.actual is None:
                continue
            actual = self.actual[number]
            place = axes[1, number]
            faded = 1 - _FADED * (1 - _drawing.as_shown(image, limits))
            gray = faded.mean(axis=2) if faded.ndim == 3 else faded
            place.imshow(gray, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            _drawing.remove_ticks(place)
            _outline(place, actual, looks)
            for kind, wrong in self._errors(actual, mask, background).items():
                _hatch(place, wrong, kind)
                kinds[kind[0]] = Patch(
                    facecolor="none", edgecolor=kind[1], hatch=kind[2], label=kind[0]
                )
            score = iou_score([actual], [mask], ignore_label=self.ignore_label)
            place.set_title(f"mean IoU {score:.2f}", fontsize=8)
        names = [
            Line2D([], [], color=color, linestyle=line, linewidth=2, label=label)
            for label, (color, line) in zip(map(_drawing.legend_text, looks), looks.values())
        ]
        if n_rows == 2:
            for place, title in zip(axes[:, 0], ("predicted", "true, and errors")):
                place.set_ylabel(title, fontsize=9)
        if ax is None:
            _drawing.set_legend(axes, [*names, *kinds.values()])
        return axes

    def _classes(self) -> tuple[list[Any], object]:
        """Return all labels, and the one of the background."""
        shown = [*self.masks, *(self.actual or ())]
        counts: dict[Any, int] = {}
        for mask in shown:
            for name, count in zip(
                *(part.tolist() for part in np.unique(mask, return_counts=True))
            ):
                counts[name] = counts.get(name, 0) + count
        if self.ignore_label is not None:
            counts.pop(self.ignore_label, None)
        most = max(counts, key=lambda name: counts[name])
        return sorted(counts), most if self.background is None else self.background

    def _errors(
        self, actual: Mask, guess: Mask, background: object
    ) -> dict[tuple[str, str, str], npt.NDArray[np.bool_]]:
        """Return the wrong pixels of each kind of error that there is."""
        wrong = np.asarray(actual != guess)
        if self.ignore_label is not None:
            wrong &= np.asarray(actual != self.ignore_label)
        nothing, none_found = np.asarray(actual == background), np.asarray(guess == background)
        kinds = {
            _MISSED: wrong & none_found,
            _FALSE: wrong & nothing,
            _CONFUSED: wrong & ~none_found & ~nothing,
        }
        return {kind: pixels for kind, pixels in kinds.items() if pixels.any()}


def _plane(mask: npt.ArrayLike, image: npt.NDArray[Any]) -> Mask:
    """Return a label image of the size of its image, also if it came as a row of pixels."""
    return np.asarray(mask).reshape(image.shape[:2])


def _outline(ax: "Axes", mask: Mask, looks: dict[Any, tuple[str, Any]]) -> None:
    """Draw the edges of the regions of each class, on white for every ground."""
    from matplotlib.patheffects import withStroke

    height, width = mask.shape
    for name, (color, line) in looks.items():
        region = np.pad(np.asarray(mask == name, dtype=float), 1)
        if not region.any():
            continue
        drawn = ax.contour(
            np.arange(-1, width + 1),
            np.arange(-1, height + 1),
            region,
            levels=[0.5],
            colors=[color],
            linestyles=[line],
            linewidths=1.6,
        )
        drawn.set_path_effects([withStroke(linewidth=2.6, foreground="white", alpha=0.8)])
    ax.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))


def _hatch(ax: "Axes", region: npt.NDArray[np.bool_], kind: tuple[str, str, str]) -> None:
    """Hatch the pixels of a region, each as the square that it is."""
    from matplotlib.collections import PolyCollection

    rows, columns = np.nonzero(region)
    low = np.stack([columns, rows], axis=1)[:, None] - 0.5
    squares = low + np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    _, color, hatch = kind
    ax.add_collection(PolyCollection(squares, facecolor=color, alpha=0.35, linewidth=0))
    ax.contourf(
        region.astype(float), levels=[0.5, 1.5], colors="none", hatches=[hatch]
    ).set_edgecolor(color)
