"""Image files that were skipped: their rows have no prediction, and do not count."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import is_regressor
from sklearn.metrics import accuracy_score, r2_score

from skcnn._utils import without_missing


def known_rows(proba: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Return which rows are not NaN: image files that were skipped have no probabilities."""
    known: npt.NDArray[np.bool_] = np.logical_not(np.isnan(proba).all(axis=1))
    return known


def without_skipped(
    y: npt.ArrayLike, predicted: npt.NDArray[Any], sample_weight: npt.ArrayLike | None = None
) -> tuple[npt.ArrayLike, npt.NDArray[Any], npt.ArrayLike | None]:
    """Leave out the rows of files that were skipped, whose predictions are None or NaN."""
    missing = pd.isna(predicted).reshape(len(predicted), -1).any(axis=1)
    y, predicted, sample_weight = without_missing(missing, y, predicted, sample_weight)
    if missing.any():
        # Beside None, the others are objects, which scikit-learn does not know as numbers.
        predicted = np.array(predicted.tolist())
    return y, predicted, sample_weight


class ScoreMixin:
    """The score of scikit-learn's mixins, without image files that were skipped."""

    def score(
        self, X: npt.ArrayLike, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> float:
        """Return the accuracy of predicted labels, or R² of predicted numbers.

        Parameters
        ----------
        X : array-like
            Images, in any form that the estimator takes. Files that were skipped do not count.
        y : array-like of shape (n,) or (n, n_labels)
            Their labels or numbers. With several labels per image, all must be right.
        sample_weight : array-like of shape (n,), default=None
            Weights of the images.

        Returns
        -------
        score : float

        Raises
        ------
        ValueError
            If none of the files can be read, or X and y have different lengths.
        """
        predicted = np.asarray(self.predict(X))  # type: ignore[attr-defined]
        y, predicted, sample_weight = without_skipped(y, predicted, sample_weight)
        if not len(predicted):
            raise ValueError("No image file could be read, so that there is nothing to score.")
        metric = r2_score if is_regressor(self) else accuracy_score
        return float(metric(y, predicted, sample_weight=sample_weight))
