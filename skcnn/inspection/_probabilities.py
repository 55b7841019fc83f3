"""How a network spreads its belief over all classes, image by image."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_consistent_length

from skcnn.inspection import _drawing
from skcnn.inspection._feature_maps import class_indices, read_images

# Inches: of the picture above the bars, of each bar, of the least that all bars take.
_PICTURE, _BAR, _LEAST = 1.8, 0.17, 1.2


class ProbabilitiesDisplay:
    """Images, and below each the probabilities of all classes.

    The bar of the class that is predicted is dark; a diamond marks the actual class, where it is
    known.

    Make one with `from_estimator`, or with predictions made before.

    Parameters
    ----------
    images : ndarray of shape (n, height, width, n_channels)
    probability : ndarray of shape (n, n_classes)
        As `predict_proba` returns it.
    classes : array-like of shape (n_classes,)
        The labels of its columns.
    actual : array-like of shape (n,), default=None
        Actual labels, where they are known.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes of shape (2, n)
    figure_ : matplotlib.figure.Figure

    Raises
    ------
    ValueError
        Where the lengths differ, or `actual` has labels that are not among the classes.

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
        classes: Any,
        actual: Any = None,
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
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any = None, *, max_images: int = 4, ax: Any = None
    ) -> Self:
        """Predict images and draw the probabilities.

        Parameters
        ----------
        estimator : ConvNetClassifier
            A fitted one.
        X : array-like
            Images, in any form that its `predict` takes.
        y : array-like of shape (n,), default=None
            Actual labels, where they are known.
        max_images : int, default=4
            The first of them are predicted and drawn.
        ax : matplotlib.axes.Axes, default=None
            A place to divide among the images; None makes a figure.

        Returns
        -------
        display : ProbabilitiesDisplay
        """
        check_consistent_length(X, y)
        X = X[:max_images]
        return cls(
            images=read_images(estimator, X),
            probability=estimator.predict_proba(X),
            classes=estimator.classes_,
            actual=None if y is None else np.asarray(y)[:max_images],
        ).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the images and their bars.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            A place to divide among the images; None makes a figure.

        Returns
        -------
        display : ProbabilitiesDisplay
        """
        n_images, n_classes = self.probability.shape
        heights = [_PICTURE, max(_LEAST, _BAR * n_classes)]
        figure, axes = _drawing.make_axes(
            ax, 2, n_images, cell=(2.4, sum(heights) / 2), height_ratios=heights
        )
        limits = _drawing.limits_of(self.images)
        places = np.arange(n_classes)
        for number, (above, below) in enumerate(axes.T):
            _drawing.show_image(above, self.images[number], limits)
            shares = self.probability[number]
            guess = shares.argmax()
            colours = np.where(places == guess, _drawing.RIGHT, "0.7")
            below.barh(places, shares, color=colours.tolist())
            if self.actual is not None:
                above.set_title(f"is {_drawing.wrapped(self.actual[number])}", fontsize=8)
                place = self._actual_places[number]
                below.plot(shares[place], place, "D", color=_drawing.WRONG, clip_on=False, ms=4)
            names = [str(label) for label in self.classes] if number == 0 else []
            below.set_yticks(places if number == 0 else [], names, fontsize=7)
            below.set(xlim=(0, 1), ylim=(n_classes - 0.5, -0.5))
            below.set_xticks([0, 0.5, 1], ["0", "0.5", "1"], fontsize=7)
            below.set_xlabel("probability", fontsize=8)
            below.spines[["top", "right"]].set_visible(False)
        self.axes_, self.figure_ = axes, figure
        return self
