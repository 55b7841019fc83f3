"""Base of the displays of predictions."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator

from skcnn._utils import safe_indexing
from skcnn.uncertainty._checks import check_same_length, class_probabilities
from skcnn.uncertainty._skipped import known_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure


class ProbabilityDisplay(ABC):
    """A drawing of how far to trust probabilities.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure
    """

    ax_: "Axes"
    figure_: "Figure | SubFigure"

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        *,
        ax: "Axes | None" = None,
        **kwargs: Any,
    ) -> Self:
        """Predict images that the estimator was not trained on, and draw the display.

        Parameters
        ----------
        estimator : fitted classifier with `predict_proba`
        X : array-like
            Images, in any form that the estimator takes.
        y : array-like of shape (n,)
            True labels. Files that were skipped are left out.
        ax : matplotlib.axes.Axes, default=None
            Where to draw. None makes a new figure.
        **kwargs
            As in `from_predictions`.

        Returns
        -------
        display : ProbabilityDisplay
        """
        proba = class_probabilities(estimator, X)
        check_same_length(np.asarray(y), "y", len(proba))
        known = np.flatnonzero(known_rows(proba))
        return cls.from_predictions(
            safe_indexing(y, known), proba[known], classes=estimator.classes_, ax=ax, **kwargs
        )

    @classmethod
    @abstractmethod
    def from_predictions(
        cls,
        y: npt.ArrayLike,
        proba: npt.ArrayLike,
        *,
        classes: npt.ArrayLike | None = None,
        ax: "Axes | None" = None,
    ) -> Self:
        """Draw the display of predictions."""
