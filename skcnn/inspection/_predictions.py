"""Display of predictions for single images."""

from collections.abc import Sequence
from numbers import Number
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, is_regressor
from sklearn.utils.validation import check_consistent_length

from skcnn._from_r import whole_arguments
from skcnn._utils import number_text
from skcnn.inspection import _drawing
from skcnn.inspection._display import Display
from skcnn.inspection._images import as_labels, take_rows
from skcnn.inspection._reading import class_indices, read_images
from skcnn.inspection._unwrap import check_one_label, unwrap
from skcnn.uncertainty._checks import check_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CORRECT_LINE = "-"
_WRONG_LINE = "--"
# Length of lines below a picture.
_MAX_CHARACTERS = 23


class PredictionsDisplay(Display):
    """Grid of images with their predicted and actual labels, or numbers.

    Correct labels have the sign ✓ and a solid blue frame. Wrong ones have the sign ✗, a dashed
    orange frame, and the actual label below. Numbers, of a regressor, have no frame.

    Make one with `from_estimator` or `from_predictions`.

    Parameters
    ----------
    images : ndarray of shape (n, height, width, n_channels)
    predicted : ndarray of shape (n,)
        Predicted labels or numbers.
    probability : ndarray of shape (n,), default=None
        Probabilities of the predicted labels; None for numbers.
    actual : ndarray of shape (n,), default=None
        Actual labels or numbers, if they are known.
    actual_probability : ndarray of shape (n,), default=None
        Predicted probabilities of the actual labels.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure

    See Also
    --------
    TopLossesDisplay : The worst mistakes among many images.

    Examples
    --------
    >>> from skcnn import ConvNetClassifier
    >>> from skcnn.datasets import make_organisms
    >>> from skcnn.inspection import PredictionsDisplay
    >>> X, y = make_organisms(n_samples=90, n_classes=3, image_size=16, random_state=0)
    >>> clf = ConvNetClassifier(filters=(8, 16), max_epochs=3, random_state=0).fit(X, y)
    >>> PredictionsDisplay.from_estimator(clf, X[:10], y[:10]).axes_.shape
    (2, 5)
    """

    def __init__(
        self,
        *,
        images: npt.NDArray[Any],
        predicted: npt.NDArray[Any],
        probability: npt.NDArray[np.float64] | None = None,
        actual: npt.NDArray[Any] | None = None,
        actual_probability: npt.NDArray[np.float64] | None = None,
    ) -> None:
        self.images = images
        self.predicted = predicted
        self.probability = probability
        self.actual = actual
        self.actual_probability = actual_probability

    @classmethod
    @whole_arguments("max_images")
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: Any,
        y: npt.ArrayLike | None = None,
        *,
        max_images: int = 25,
        random_state: int | np.random.RandomState | None = None,
        ax: "Axes | None" = None,
        **kwargs: Any,
    ) -> Self:
        """Predict images and draw them.

        Parameters
        ----------
        estimator : skcnn estimator with a network, Pipeline or search
            A fitted one: a classifier of one label per image, or a regressor of one number. Of a
            pipeline, the last step counts.
        X : array-like
            Images, in any form that ``estimator.predict`` takes.
        y : array-like of shape (n,), default=None
            Actual labels or numbers, if they are known.
        max_images : int, default=25
            Number of images to predict and draw, from the first.
        random_state : int or RandomState, default=None
            Draws the images at random, for data sorted by class. None takes the first ones.
        ax, **kwargs
            As in `plot`.

        Returns
        -------
        display : PredictionsDisplay

        Raises
        ------
        ValueError
            If the lengths differ, y has labels that the estimator does not know, or a regressor
            predicts several numbers.
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator has no network, or predicts several labels, several answers or label
            images.
        """
        X, y = take_rows(X, y, max_images, random_state)
        estimator, X = unwrap(estimator, X)
        return cls.from_predictions(
            read_images(estimator, X)[:],
            predict_for_display(estimator, X, cls.__name__),
            y,
            classes=getattr(estimator, "classes_", None),
            max_images=max_images,
            ax=ax,
            **kwargs,
        )

    @classmethod
    def from_predictions(
        cls,
        images: npt.NDArray[Any],
        probability: npt.ArrayLike,
        y: npt.ArrayLike | None = None,
        *,
        classes: Sequence[Any] | npt.NDArray[Any] | None = None,
        ax: "Axes | None" = None,
        **kwargs: Any,
    ) -> Self:
        """Draw images with given predictions.

        Parameters
        ----------
        images : ndarray of shape (n, height, width, n_channels)
        probability : array-like of shape (n, n_classes) or (n,)
            As returned by `predict_proba`; or numbers, as `predict` of a regressor returns them.
        y : array-like of shape (n,), default=None
            Actual labels or numbers, if they are known.
        classes : array-like of shape (n_classes,), default=None
            Labels of the columns of `probability`. None numbers them from 0.
        ax, **kwargs
            As in `plot`.

        Returns
        -------
        display : PredictionsDisplay

        Raises
        ------
        ValueError
            If the lengths differ, or y has labels that are not among the classes.
        """
        return cls(**compare_predictions(images, probability, y, classes)).plot(ax, **kwargs)

    @whole_arguments("max_images", "n_columns")
    def plot(
        self,
        ax: "Axes | None" = None,
        *,
        max_images: int = 25,
        n_columns: int = 5,
        stretch: bool = False,
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

        Returns
        -------
        display : PredictionsDisplay
        """
        from matplotlib.patches import Patch

        check_count(n_columns, "n_columns")
        n_images = min(len(self.images), check_count(max_images, "max_images"))
        axes = _drawing.make_grid(ax, n_images, n_columns, cell=(1.85, 2.35))
        limits = _drawing.limits_of(self.images)
        for number, place in enumerate(axes.flat[:n_images]):
            image = self.images[number]
            own = _drawing.stretched_limits(image) if stretch else limits
            _drawing.show_image(place, image, own)
            self._write_labels(place, number)
        if ax is None and self.actual_probability is not None:
            looks: dict[str, Any] = {
                "✓ correct": (_drawing.CORRECT, _CORRECT_LINE),
                "✗ wrong, with the actual label below": (_drawing.WRONG, _WRONG_LINE),
            }
            frames = [
                Patch(facecolor="none", edgecolor=color, linestyle=line, linewidth=2, label=label)
                for label, (color, line) in looks.items()
            ]
            _drawing.set_legend(axes, frames)
        return self._set_axes(axes)

    def _write_labels(self, place: "Axes", number: int) -> None:
        if self.probability is None:
            place.set_title(f"predicted {number_text(self.predicted[number])}", fontsize=8)
            if self.actual is not None:
                place.set_xlabel(f"actual {number_text(self.actual[number])}", fontsize=8)
            return
        name = self.predicted[number]
        # A number alone would look like a count or a share.
        name = f"class {name}" if isinstance(name, Number | np.bool_) else name
        guess = f"{_drawing.wrap_label(name)} {self.probability[number]:.0%}"
        if self.actual is None or self.actual_probability is None:
            place.set_title(guess, fontsize=8)
            return
        actual, share = self.actual[number], self.actual_probability[number]
        if self.predicted[number] == actual:
            color, sign, line = _drawing.CORRECT, "✓", _CORRECT_LINE
        else:
            color, sign, line = _drawing.WRONG, "✗", _WRONG_LINE
            label = _drawing.wrap_label(f"actual: {actual} {share:.0%}", _MAX_CHARACTERS)
            place.set_xlabel(label, fontsize=8)
        place.set_title(f"{sign} {guess}", fontsize=8, color=color)
        _drawing.set_frame(place, color, line)


def predict_for_display(estimator: BaseEstimator, X: Any, display: str) -> npt.NDArray[np.float64]:
    """Return probabilities of classes (n, n_classes), or the numbers of a regressor (n,)."""
    if not is_regressor(estimator):
        check_one_label(estimator, display)
        probability: npt.NDArray[np.float64] = estimator.predict_proba(X)
        return probability
    numbers: npt.NDArray[np.float64] = estimator.predict(X)
    if numbers.ndim > 1:
        raise ValueError(
            f"This {type(estimator).__name__} predicts {numbers.shape[1]} numbers per image, and "
            "the display shows one. Choose it: from_predictions(X, predicted[:, 0], y[:, 0])."
        )
    return numbers


def _actual_probability(
    y: npt.ArrayLike, probability: npt.NDArray[np.float64], classes: npt.NDArray[Any]
) -> npt.NDArray[np.float64]:
    check_consistent_length(y, probability)
    indices = class_indices(y, classes, "y")
    shares: npt.NDArray[np.float64] = probability[np.arange(len(indices)), indices]
    return shares


def compare_predictions(
    images: npt.NDArray[Any],
    probability: npt.ArrayLike,
    y: npt.ArrayLike | None,
    classes: Sequence[Any] | npt.NDArray[Any] | None,
) -> dict[str, npt.NDArray[Any]]:
    """Arguments of a display for given predictions."""
    probability, y = np.asarray(probability), as_labels(y)
    if probability.ndim == 1:
        check_consistent_length(images, probability, y)
        found = {"images": np.asarray(images), "predicted": probability}
        return found if y is None else {**found, "actual": np.asarray(y, dtype=float)}
    names = np.arange(probability.shape[1]) if classes is None else np.asarray(classes)
    check_consistent_length(images, probability, y)
    check_consistent_length(names, probability.T)
    found = {
        "images": np.asarray(images),
        "predicted": names[probability.argmax(axis=1)],
        "probability": probability.max(axis=1),
    }
    if y is None:
        return found
    return {
        **found,
        "actual": np.asarray(y),
        "actual_probability": _actual_probability(y, probability, names),
    }
