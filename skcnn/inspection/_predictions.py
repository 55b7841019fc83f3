"""What a network makes of single images, right or wrong."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_consistent_length

from skcnn._utils import safe_indexing
from skcnn.inspection import _drawing
from skcnn.inspection._feature_maps import class_indices, read_images


class PredictionsDisplay:
    """A grid of images with the label that was predicted and the actual one.

    Right and wrong differ in the sign in front of the prediction and in the line of the frame,
    besides its colour.

    Make one with `from_estimator` or `from_predictions`.

    Parameters
    ----------
    images : ndarray of shape (n, height, width, n_channels)
    predicted : ndarray of shape (n,)
        Predicted labels.
    probability : ndarray of shape (n,)
        Their probabilities.
    actual : ndarray of shape (n,), default=None
        Actual labels, where they are known.
    actual_probability : ndarray of shape (n,), default=None
        The probabilities that these were given.

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
        probability: npt.NDArray[np.float64],
        actual: npt.NDArray[Any] | None = None,
        actual_probability: npt.NDArray[np.float64] | None = None,
    ) -> None:
        self.images = images
        self.predicted = predicted
        self.probability = probability
        self.actual = actual
        self.actual_probability = actual_probability

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        max_images: int = 25,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Predict images and draw them.

        Parameters
        ----------
        estimator : ConvNetClassifier
            A fitted one.
        X : array-like
            Images, in any form that its `predict` takes.
        y : array-like of shape (n,), default=None
            Actual labels, where they are known.
        max_images : int, default=25
            The first of them are predicted and drawn.
        ax : matplotlib.axes.Axes, default=None
            A place to divide among the images; None makes a figure.
        **kwargs
            Of `plot`.

        Returns
        -------
        display : PredictionsDisplay
        """
        check_consistent_length(X, y)
        X, y = X[:max_images], None if y is None else np.asarray(y)[:max_images]
        return cls.from_predictions(
            read_images(estimator, X),
            estimator.predict_proba(X),
            y,
            classes=estimator.classes_,
            max_images=max_images,
            ax=ax,
            **kwargs,
        )

    @classmethod
    def from_predictions(
        cls,
        images: npt.NDArray[Any],
        probability: npt.NDArray[np.float64],
        y: Any = None,
        *,
        classes: Sequence[Any] | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw images that were predicted before.

        Parameters
        ----------
        images : ndarray of shape (n, height, width, n_channels)
        probability : ndarray of shape (n, n_classes)
            Of each class, as `predict_proba` returns it.
        y : array-like of shape (n,), default=None
            Actual labels, where they are known.
        classes : array-like of shape (n_classes,), default=None
            The labels of the columns of `probability`; None numbers them.
        ax : matplotlib.axes.Axes, default=None
            A place to divide among the images; None makes a figure.
        **kwargs
            Of `plot`.

        Returns
        -------
        display : PredictionsDisplay

        Raises
        ------
        ValueError
            Where the lengths differ, or y has labels that are not among the classes.
        """
        return cls(**_judged(images, probability, y, classes)).plot(ax=ax, **kwargs)

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
        display : PredictionsDisplay
        """
        n_images = min(len(self.images), max_images)
        figure, axes = _drawing.make_grid(ax, n_images, n_columns, cell=(1.85, 2.35))
        limits = _drawing.limits_of(self.images)
        for number, place in enumerate(axes.flat[:n_images]):
            _drawing.show_image(place, self.images[number], limits)
            self._caption(place, number)
        self.axes_, self.figure_ = axes, figure
        return self

    def _caption(self, place: Any, number: int) -> None:
        guess = f"{_drawing.wrapped(self.predicted[number])} {self.probability[number]:.0%}"
        if self.actual is None or self.actual_probability is None:
            place.set_title(guess, fontsize=8)
            return
        actual, share = self.actual[number], self.actual_probability[number]
        if self.predicted[number] == actual:
            colour, sign, line = _drawing.RIGHT, "✓", "-"
        else:
            colour, sign, line = _drawing.WRONG, "✗", "--"
            place.set_xlabel(f"is {_drawing.wrapped(actual)} {share:.0%}", fontsize=8)
        place.set_title(f"{sign} {guess}", fontsize=8, color=colour)
        _drawing.framed(place, colour, line)


class TopLossesDisplay(PredictionsDisplay):
    """The images that a network is most wrong about, the worst first.

    Make one with `from_estimator` or `from_predictions`, which take actual labels and sort the
    images by the loss: minus the logarithm of the probability of the actual class.

    Parameters
    ----------
    images, predicted, probability, actual, actual_probability
        As in `PredictionsDisplay`.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure

    Examples
    --------
    >>> from skcnn import ConvNetClassifier
    >>> from skcnn.datasets import make_organisms
    >>> from skcnn.inspection import TopLossesDisplay
    >>> X, y = make_organisms(n_samples=90, n_classes=3, image_size=16, random_state=0)
    >>> clf = ConvNetClassifier(filters=(8, 16), max_epochs=3, random_state=0).fit(X, y)
    >>> display = TopLossesDisplay.from_estimator(clf, X, y, max_images=5)
    >>> bool((display.actual_probability[:-1] <= display.actual_probability[1:]).all())
    True
    """

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        max_images: int = 25,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Predict images and draw those whose label was least expected.

        Parameters
        ----------
        estimator, ax, **kwargs
            As in `PredictionsDisplay.from_estimator`.
        X : array-like
            Images, in any form that its `predict` takes.
        y : array-like of shape (n,)
            Actual labels.
        max_images : int, default=25
            So many of them are drawn.

        Returns
        -------
        display : TopLossesDisplay

        Raises
        ------
        ValueError
            Where the lengths differ, y is missing, or has labels that the estimator does not
            know.
        """
        _check_has_labels(y)
        probability, y = estimator.predict_proba(X), np.asarray(y)
        worst = _worst(_actual_probability(y, probability, estimator.classes_))[:max_images]
        return cls.from_predictions(
            read_images(estimator, safe_indexing(X, worst)),
            probability[worst],
            y[worst],
            classes=estimator.classes_,
            max_images=max_images,
            ax=ax,
            **kwargs,
        )

    @classmethod
    def from_predictions(
        cls,
        images: npt.NDArray[Any],
        probability: npt.NDArray[np.float64],
        y: Any = None,
        *,
        classes: Sequence[Any] | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Sort images that were predicted before, and draw the worst.

        Parameters
        ----------
        images, probability, classes, ax, **kwargs
            As in `PredictionsDisplay.from_predictions`.
        y : array-like of shape (n,)
            Actual labels.

        Returns
        -------
        display : TopLossesDisplay

        Raises
        ------
        ValueError
            As `PredictionsDisplay.from_predictions`, and without y.
        """
        _check_has_labels(y)
        judged = _judged(images, probability, y, classes)
        worst = _worst(judged["actual_probability"])
        return cls(**{name: values[worst] for name, values in judged.items()}).plot(
            ax=ax, **kwargs
        )


def _check_has_labels(y: Any) -> None:
    if y is None:
        raise ValueError(
            "TopLossesDisplay got y=None, expected the actual labels: there is no loss without "
            "them. PredictionsDisplay draws images without labels."
        )


def _worst(actual_probability: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    return np.argsort(actual_probability, kind="stable")


def _actual_probability(
    y: Any, probability: npt.NDArray[np.float64], classes: Any
) -> npt.NDArray[np.float64]:
    check_consistent_length(y, probability)
    shares: npt.NDArray[np.float64] = probability[
        np.arange(len(y)), class_indices(y, classes, "y")
    ]
    return shares


def _judged(
    images: npt.NDArray[Any],
    probability: npt.NDArray[np.float64],
    y: Any,
    classes: Sequence[Any] | None,
) -> dict[str, Any]:
    """The attributes of a display."""
    probability = np.asarray(probability)
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
