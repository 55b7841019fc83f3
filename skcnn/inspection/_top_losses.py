"""Display of the images with the highest losses."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_consistent_length

from skcnn._data._paths import as_rows
from skcnn._from_r import whole_arguments
from skcnn.inspection._images import as_labels
from skcnn.inspection._predictions import (
    PredictionsDisplay,
    compare_predictions,
    predict_for_display,
)
from skcnn.inspection._reading import read_images
from skcnn.inspection._unwrap import unwrap
from skcnn.uncertainty._checks import check_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class TopLossesDisplay(PredictionsDisplay):
    """Images with the highest losses, the worst first.

    The loss of an image is minus the logarithm of the predicted probability of its actual class.
    With a regressor, it is the distance between the predicted and the actual number.

    Make one with `from_estimator` or `from_predictions`, which need the actual labels and sort
    the images.

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
    @whole_arguments("max_images")
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: Any,
        y: npt.ArrayLike | None = None,
        *,
        max_images: int = 25,
        ax: "Axes | None" = None,
        **kwargs: Any,
    ) -> Self:
        """Predict images and draw those with the highest losses.

        Parameters
        ----------
        estimator, ax, **kwargs
            As in `PredictionsDisplay.from_estimator`.
        X : array-like
            Images, in any form that ``estimator.predict`` takes. All are predicted.
        y : array-like of shape (n,)
            Actual labels or numbers.
        max_images : int, default=25
            Number of images to draw.

        Returns
        -------
        display : TopLossesDisplay

        Raises
        ------
        ValueError
            If y is missing, the lengths differ, y has labels that the estimator does not know, or
            no file can be read.
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator has no network.
        """
        labels = _check_has_labels(y)
        check_count(max_images, "max_images")
        X = as_rows(X)
        check_consistent_length(X, labels)
        estimator, X = unwrap(estimator, X)
        predicted = predict_for_display(estimator, X, cls.__name__)
        classes = getattr(estimator, "classes_", None)
        losses = _losses(compare_predictions(labels, predicted, labels, classes))
        # Files that cannot be read have no predictions, and come last.
        worst = _worst_first(losses)[: min(max_images, np.isfinite(losses).sum())]
        if not len(worst):
            raise ValueError(
                "No image has a prediction and a known label or number, so that there is no loss. "
                "Expected an image file that can be read, and y without NaN, at least once."
            )
        return cls.from_predictions(
            read_images(estimator, X)[worst],
            predicted[worst],
            labels[worst],
            classes=classes,
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
        """Sort images by the losses of given predictions, and draw the worst.

        Parameters
        ----------
        images, probability, classes, ax, **kwargs
            As in `PredictionsDisplay.from_predictions`.
        y : array-like of shape (n,)
            Actual labels or numbers.

        Returns
        -------
        display : TopLossesDisplay

        Raises
        ------
        ValueError
            If y is missing, and as in `PredictionsDisplay.from_predictions`.
        """
        compared = compare_predictions(images, probability, _check_has_labels(y), classes)
        worst = _worst_first(_losses(compared))
        return cls(**{name: values[worst] for name, values in compared.items()}).plot(ax, **kwargs)


def _check_has_labels(y: npt.ArrayLike | None) -> npt.NDArray[Any]:
    if y is None:
        raise ValueError(
            "TopLossesDisplay got y=None, but there is no loss without the actual labels. Give "
            "them as y, or use PredictionsDisplay, which draws images without labels."
        )
    return np.asarray(as_labels(y))


def _losses(compared: dict[str, npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
    """Return a number per image that rises with its loss."""
    if "actual_probability" in compared:
        losses: npt.NDArray[np.float64] = -compared["actual_probability"]
    else:
        losses = np.abs(compared["predicted"] - compared["actual"])
    return losses


def _worst_first(losses: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    return np.argsort(-losses, kind="stable")
