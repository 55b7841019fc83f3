"""Predicted probabilities of all classes, image by image."""

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_consistent_length

from skcnn._from_r import whole_arguments
from skcnn._targets import MultilabelTarget
from skcnn.inspection import _drawing
from skcnn.inspection._display import Display
from skcnn.inspection._images import take_rows
from skcnn.inspection._reading import class_indices, read_images
from skcnn.inspection._unwrap import check_one_label, unwrap

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Sizes in inches.
_PICTURE_HEIGHT = 1.8
_BAR_HEIGHT = 0.17
_MIN_BARS_HEIGHT = 1.2
_LEGEND_AND_LABELS_HEIGHT = 1.4


class ProbabilitiesDisplay(Display):
    """Images, and below each the predicted probabilities of all classes.

    The bar of the predicted class is dark. A diamond marks the actual class, if it is known.

    Make one with `from_estimator`, or from given predictions.

    Parameters
    ----------
    images : ndarray of shape (n, height, width, n_channels)
    probability : ndarray of shape (n, n_classes)
        As returned by `predict_proba`.
    classes : array-like of shape (n_classes,)
        Labels of the columns of `probability`.
    actual : array-like of shape (n,), default=None
        Actual labels, if they are known.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes of shape (2, n)
    figure_ : matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If the lengths differ, or `actual` has labels that are not among the classes.

    Examples
    --------
    >>> from skcnn import ConvNetClassifier
    >>> from skcnn.datasets import make_organisms
    >>> from skcnn.inspection import ProbabilitiesDisplay
    >>> X, y = make_organisms(n_samples=90, n_classes=3, image_size=16, random_state=0)
    >>> clf = ConvNetClassifier(filters=(8, 16), max_epochs=3, random_state=0).fit(X, y)
    >>> ProbabilitiesDisplay.from_estimator(clf, X[:2], y[:2]).axes_.shape
    (2, 2)
    """

    def __init__(
        self,
        *,
        images: npt.NDArray[Any],
        probability: npt.NDArray[np.float64],
        classes: npt.ArrayLike,
        actual: npt.ArrayLike | None = None,
    ) -> None:
        check_consistent_length(images, probability, actual)
        check_consistent_length(classes, np.transpose(probability))
        self.images = images
        self.probability = probability
        self.classes = np.asarray(classes)
        self.actual = None if actual is None else np.asarray(actual)
        if actual is not None:
            self._actual_places = class_indices(actual, classes, "actual")

    @classmethod
    @whole_arguments("max_images")
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: Any,
        y: npt.ArrayLike | None = None,
        *,
        max_images: int = 4,
        random_state: int | np.random.RandomState | None = None,
        ax: "Axes | None" = None,
    ) -> Self:
        """Predict images and draw the probabilities.

        Parameters
        ----------
        estimator : skcnn estimator with a network, Pipeline or search
            A fitted one: a classifier of one label per image or, without y, of several labels in a
            matrix of 0 and 1. Of a pipeline, the last step counts.
        X : array-like
            Images, in any form that ``estimator.predict`` takes.
        y : array-like of shape (n,), default=None
            Actual labels, if they are known.
        max_images : int, default=4
            Number of images to predict and draw, from the first.
        random_state : int or RandomState, default=None
            Draws the images at random, for data sorted by class. None takes the first ones.
        ax
            As in `plot`.

        Returns
        -------
        display : ProbabilitiesDisplay

        Raises
        ------
        ValueError
            If the lengths differ, or y has labels that the estimator does not know.
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator has no network, or predicts something else than these labels.
        """
        X, y = take_rows(X, y, max_images, random_state)
        estimator, X = unwrap(estimator, X)
        # A bar for each of several labels says what it should; which one is right does not.
        allowed = (MultilabelTarget,) if y is None else ()
        check_one_label(estimator, cls.__name__, allowed=allowed)
        return cls(
            images=read_images(estimator, X)[:],
            probability=estimator.predict_proba(X),
            classes=estimator.classes_,
            actual=None if y is None else np.asarray(y),
        ).plot(ax)

    def _draw(self, ax: "Axes | None") -> npt.NDArray[Any]:
        from matplotlib.lines import Line2D
        from matplotlib.patches import Patch

        n_images, n_classes = self.probability.shape
        heights = [_PICTURE_HEIGHT, max(_MIN_BARS_HEIGHT, _BAR_HEIGHT * n_classes)]
        axes = _drawing.make_axes(
            ax,
            2,
            n_images,
            cell=(2.4, (sum(heights) + _LEGEND_AND_LABELS_HEIGHT) / 2),
            height_ratios=heights,
        )
        limits = _drawing.limits_of(self.images)
        places = np.arange(n_classes)
        for number, (above, below) in enumerate(axes.T):
            _drawing.show_image(above, self.images[number], limits)
            shares = self.probability[number]
            guess = shares.argmax()
            colors = np.where(places == guess, _drawing.CORRECT, "0.7")
            below.barh(places, shares, color=colors.tolist())
            if self.actual is not None:
                above.set_title(
                    _drawing.wrap_label(f"actual: {self.actual[number]}", 23), fontsize=8
                )
                place = self._actual_places[number]
                below.plot(shares[place], place, "D", color=_drawing.WRONG, clip_on=False, ms=4)
            names = [_drawing.plain_text(label) for label in self.classes] if number == 0 else []
            below.set_yticks(places if number == 0 else [], names, fontsize=7)
            below.set(xlim=(0, 1), ylim=(n_classes - 0.5, -0.5))
            below.set_xticks([0, 0.5, 1], ["0", "0.5", "1"], fontsize=7)
            below.set_xlabel("probability", fontsize=8)
            below.spines[["top", "right"]].set_visible(False)
        if ax is None:
            marks: list[Any] = [Patch(color=_drawing.CORRECT, label="predicted class")]
            if self.actual is not None:
                style: dict[str, Any] = {
                    "color": _drawing.WRONG,
                    "linestyle": "none",
                    "markersize": 4,
                }
                marks.append(Line2D([], [], marker="D", label="actual class", **style))
            _drawing.set_legend(axes, marks)
        return axes
