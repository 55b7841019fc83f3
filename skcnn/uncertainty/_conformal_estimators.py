"""Conformal prediction from fitted estimators: sets of labels, and intervals of numbers."""

from typing import Self

import numpy as np
import numpy.typing as npt
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    MetaEstimatorMixin,
    RegressorMixin,
    is_classifier,
)
from sklearn.utils.validation import check_is_fitted

from skcnn._utils import safe_indexing
from skcnn.uncertainty._checks import (
    check_fraction,
    check_labels,
    check_prefit,
    check_same_length,
    class_probabilities,
)
from skcnn.uncertainty._conformal import (
    conformal_sets,
    conformal_threshold,
    images_needed,
    score_quantile,
)
from skcnn.uncertainty._skipped import ScoreMixin, known_rows


class ConformalClassifier(ScoreMixin, MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
    """Sets of labels that hold the true one as often as promised, from a fitted classifier.

    The classifier is taken as it is: `fit` calibrates on images that it was not trained on. The
    promise holds for new images of the same kind, such as other images of the same sites. For new
    sites, calibrate with images of sites that the classifier was not trained on.

    Parameters
    ----------
    estimator : fitted classifier with `predict_proba`
        For example a `ConvNetClassifier`, a pipeline or a search.
    method : {"lac", "aps", "raps"}, default="lac"
        How unlikely a label is; see `conformal_threshold`.
    level : float, default=0.9
        Fraction in (0, 1) of new images whose set holds the true label.
    per_class : bool, default=False
        Whether this is to hold for each class by itself.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Those of the estimator.
    threshold_ : ndarray of shape (n_classes,)
        As `conformal_threshold` returns it.

    References
    ----------
    Angelopoulos, Bates: Conformal prediction: a gentle introduction. Foundations and Trends in
    Machine Learning 16, 2023.

    Examples
    --------
    >>> from sklearn.model_selection import train_test_split
    >>> from skcnn import ConvNetClassifier
    >>> from skcnn.datasets import make_organisms
    >>> from skcnn.uncertainty import ConformalClassifier
    >>> X, y = make_organisms(n_samples=400, n_classes=3, image_size=16, random_state=0)
    >>> X_train, X_held, y_train, y_held = train_test_split(X, y, random_state=0)
    >>> clf = ConvNetClassifier(filters=(8, 16), max_epochs=2, random_state=0)
    >>> clf = clf.fit(X_train, y_train)
    >>> conformal = ConformalClassifier(clf, level=0.9).fit(X_held[:50], y_held[:50])
    >>> conformal.predict_set(X_held[50:]).shape
    (50, 3)
    """

    def __init__(
        self,
        estimator: BaseEstimator,
        method: str = "lac",
        level: float = 0.9,
        per_class: bool = False,
    ) -> None:
        self.estimator = estimator
        self.method = method
        self.level = level
        self.per_class = per_class

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Self:
        """Calibrate on images that the estimator was not trained on.

        Parameters
        ----------
        X : array-like
            Images, in any form that the estimator takes.
        y : array-like of shape (n,)
            Their labels.

        Returns
        -------
        self : ConformalClassifier

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator is no classifier with `predict_proba`.
        ValueError
            As in `conformal_threshold`.
        """
        proba = class_probabilities(self.estimator, X)
        check_same_length(np.asarray(y), "y", len(proba))
        known = np.flatnonzero(known_rows(proba))
        self.threshold_ = conformal_threshold(
            safe_indexing(y, known),
            proba[known],
            classes=self.estimator.classes_,
            method=self.method,
            level=self.level,
            per_class=self.per_class,
        )
        # A change of the parameter counts at the next fit: the threshold is one of these scores.
        self._method = self.method
        self.classes_ = self.estimator.classes_
        return self

    def predict_set(self, X: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Return the set of labels of each image.

        Parameters
        ----------
        X : array-like
            Images, in any form that the estimator takes.

        Returns
        -------
        sets : ndarray of shape (n, n_classes), bool
            Whether each label of `classes_` belongs to the set of each image. Of a file that was
            skipped, none does.
        """
        check_is_fitted(self)
        proba = self.predict_proba(X)
        sets, known = np.zeros(proba.shape, dtype=bool), known_rows(proba)
        if known.any():
            sets[known] = conformal_sets(proba[known], self.threshold_, method=self._method)
        return sets

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[np.generic]:
        """Return the label that the estimator predicts for each image.

        Parameters
        ----------
        X : array-like
            Images, in any form that the estimator takes.

        Returns
        -------
        labels : ndarray of shape (n,)
        """
        check_is_fitted(self)
        labels: npt.NDArray[np.generic] = self.estimator.predict(X)
        return labels

    def predict_proba(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the probabilities of the estimator.

        Parameters
        ----------
        X : array-like
            Images, in any form that the estimator takes.

        Returns
        -------
        proba : ndarray of shape (n, n_classes)
        """
        check_is_fitted(self)
        proba: npt.NDArray[np.float64] = self.estimator.predict_proba(X)
        return proba


class ConformalRegressor(ScoreMixin, MetaEstimatorMixin, RegressorMixin, BaseEstimator):
    """Intervals that hold the true number as often as promised, from fitted regressors.

    With one regressor, all intervals have the same width: the prediction plus and minus what its
    errors on held-out images say [1]_. With two regressors of quantiles, intervals are wider where
    the numbers vary more [2]_.

    Parameters
    ----------
    estimator : fitted regressor, or tuple of two
        A regressor, or the regressors of a low and of a high quantile, fitted with
        ``loss="quantile"`` for example.
    level : float, default=0.9
        Fraction in (0, 1) of new images whose interval holds the true number.

    Attributes
    ----------
    margin_ : float
        What is added on both sides of a prediction, or of the interval between the quantiles,
        where it may be negative.

    References
    ----------
    .. [1] Lei, G'Sell, Rinaldo, Tibshirani, Wasserman: Distribution-free predictive inference for
       regression. Journal of the American Statistical Association 113, 2018.
    .. [2] Romano, Patterson, Candes: Conformalized quantile regression. NeurIPS 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> from skcnn.uncertainty import ConformalRegressor
    >>> random = np.random.default_rng(0)
    >>> X = random.normal(size=(300, 1))
    >>> y = X[:, 0] + random.normal(size=300)
    >>> fitted = LinearRegression().fit(X[:100], y[:100])
    >>> conformal = ConformalRegressor(fitted).fit(X[100:200], y[100:200])
    >>> low, high = conformal.predict_interval(X[200:]).T
    >>> print(f"{np.mean((low <= y[200:]) & (y[200:] <= high)):.1f}")  # doctest: -NUMBER
    0.9
    """

    def __init__(
        self, estimator: BaseEstimator | tuple[BaseEstimator, BaseEstimator], level: float = 0.9
    ) -> None:
        self.estimator = estimator
        self.level = level

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Self:
        """Calibrate on images that the estimators were not trained on.

        Parameters
        ----------
        X : array-like
            Images, in any form that the estimators take.
        y : array-like of shape (n,)
            Their numbers.

        Returns
        -------
        self : ConformalRegressor

        Raises
        ------
        NotFittedError
            If an estimator is not fitted.
        ValueError
            If `level` is not between 0 and 1, there are too few images for it, or y does not
            hold a number for each image.
        TypeError
            If an estimator is a classifier, or there are not one or two of them.
        """
        check_fraction(self.level, "level")
        for estimator in self._estimators():
            check_prefit(estimator)
            _check_is_no_classifier(estimator)
        numbers = _check_numbers(y)
        low, high = self._ends(X)
        _check_ends(low, high)
        if len(numbers) != len(low):
            raise ValueError(f"y has {len(numbers)} numbers, but X has {len(low)} images.")
        scores = np.maximum(low - numbers, numbers - high)
        # Files that were skipped have no prediction.
        scores = scores[~np.isnan(scores)]
        margin = score_quantile(scores, self.level)
        if np.isinf(margin):
            raise ValueError(
                f"level={self.level} needs at least {images_needed(self.level)} images to "
                f"calibrate with, got {len(scores)}. Give more images, or a lower level."
            )
        self.margin_ = margin
        return self

    def predict_interval(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the interval of each image.

        Parameters
        ----------
        X : array-like
            Images, in any form that the estimators take.

        Returns
        -------
        intervals : ndarray of shape (n, 2)
            Low and high end. Where two quantiles cross, or a negative margin leaves nothing of
            the interval between them, both are the middle.
        """
        check_is_fitted(self)
        low, high = self._ends(X)
        ends = np.column_stack([low - self.margin_, high + self.margin_])
        crossed = ends[:, 0] > ends[:, 1]
        ends[crossed] = ends[crossed].mean(axis=1, keepdims=True)
        return ends

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the prediction of the regressor, or the middle between two quantiles.

        Parameters
        ----------
        X : array-like
            Images, in any form that the estimators take.

        Returns
        -------
        numbers : ndarray of shape (n,)
        """
        check_is_fitted(self)
        low, high = self._ends(X)
        middle: npt.NDArray[np.float64] = (low + high) / 2
        return middle

    def _estimators(self) -> tuple[BaseEstimator, ...]:
        several = isinstance(self.estimator, tuple | list)
        estimators = tuple(self.estimator) if several else (self.estimator,)
        if several and len(estimators) != 2:
            raise TypeError(
                f"estimator holds {len(estimators)} of the two regressors for intervals between "
                "quantiles. Expected estimator=(low, high), or one regressor by itself."
            )
        return estimators

    def _ends(self, X: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        ends = [np.asarray(e.predict(X), dtype=np.float64) for e in self._estimators()]
        return ends[0], ends[-1]


def _check_is_no_classifier(estimator: BaseEstimator) -> None:
    if is_classifier(estimator):
        raise TypeError(
            f"estimator is a classifier, {type(estimator).__name__}, and intervals are for "
            "numbers. Expected a fitted regressor, such as ConvNetRegressor. For sets of labels, "
            "use ConformalClassifier."
        )


def _check_numbers(y: npt.ArrayLike) -> npt.NDArray[np.float64]:
    values = check_labels(y)
    if values.dtype.kind in "mM":
        raise ValueError(
            f"y has dates or durations such as {values[0]}. Expected the numbers that the "
            "estimator was fitted to, such as the day of the year, y.dt.dayofyear."
        )
    try:
        numbers = values.astype(np.float64)
    except ValueError as error:
        raise ValueError(
            f"y holds values such as {values.tolist()[0]!r}. Expected a number for each image."
        ) from error
    if np.isinf(numbers).any():
        raise ValueError("y has infinite values. Expected a finite number for each image.")
    return numbers


def _check_ends(low: npt.NDArray[np.float64], high: npt.NDArray[np.float64]) -> None:
    if low.ndim != 1 or low.shape != high.shape:
        raise ValueError(
            f"estimator predicts numbers of shape {low.shape} and {high.shape}. Expected one "
            "number per image: a regressor of one target."
        )
    known = ~np.isnan(low) & ~np.isnan(high)
    if known.any() and low[known].mean() > high[known].mean():
        raise ValueError(
            "The first regressor of estimator predicts higher numbers than the second. Expected "
            "that of the low quantile first: estimator=(low, high)."
        )
