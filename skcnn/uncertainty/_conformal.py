"""Conformal prediction: sets of labels and intervals that hold the truth as promised."""

import warnings
from typing import Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted, column_or_1d

from skcnn.uncertainty._checks import (
    check_classes,
    check_codes,
    check_fraction,
    check_probabilities,
)

_METHODS = ("lac", "aps", "raps")
# Of RAPS: what each class further down than this rank costs.
_RANK = 5
_PENALTY = 0.01


def conformal_threshold(
    y: npt.ArrayLike,
    proba: npt.ArrayLike,
    *,
    classes: npt.ArrayLike | None = None,
    method: str = "lac",
    level: float = 0.9,
    per_class: bool = False,
) -> npt.NDArray[np.float64]:
    """Find the threshold with which sets of labels hold the true label as often as asked.

    Parameters
    ----------
    y : array-like of shape (n,)
        True labels of images that the network was not trained on.
    proba : array-like of shape (n, n_classes)
        Their probabilities.
    classes : array-like of shape (n_classes,), default=None
        Label of each column, such as ``clf.classes_``. None takes the sorted labels in y.
    method : {"lac", "aps", "raps"}, default="lac"
        How unlikely a label is. "lac": by its own probability, which makes the smallest sets on
        average [1]_. "aps": by the sum of the probabilities down to it, which makes larger sets
        for difficult images [2]_. "raps": the same, with a penalty for long sets [3]_.
    level : float, default=0.9
        Fraction in (0, 1) of new images whose set holds the true label.
    per_class : bool, default=False
        Whether each class gets its own threshold, so that rare species are covered as often as
        common ones. Needs ``level / (1 - level)`` images of each class at least, 9 for 0.9.

    Returns
    -------
    threshold : ndarray of shape (n_classes,)
        Highest score of labels that belong to a set, the same for all classes unless
        `per_class`. It is infinite, so that sets always hold the class, where there are too few
        images; a warning says so.

    Raises
    ------
    ValueError
        If the arguments do not fit each other, or `method` or `level` are not as described.

    References
    ----------
    .. [1] Sadinle, Lei, Wasserman: Least ambiguous set-valued classifiers with bounded error
       levels. Journal of the American Statistical Association 114, 2019.
    .. [2] Romano, Sesia, Candes: Classification with valid and adaptive coverage. NeurIPS 2020.
    .. [3] Angelopoulos, Bates, Malik, Jordan: Uncertainty sets for image classifiers using
       conformal prediction. ICLR 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.uncertainty import conformal_sets, conformal_threshold
    >>> random = np.random.default_rng(0)
    >>> proba = random.dirichlet([0.3, 0.3, 0.3], size=500)
    >>> y = np.array([random.choice(["ant", "bee", "fly"], p=p) for p in proba])
    >>> threshold = conformal_threshold(y[:250], proba[:250])
    >>> sets = conformal_sets(proba[250:], threshold)
    >>> sets.shape
    (250, 3)
    >>> truth = y[250:, None] == np.array(["ant", "bee", "fly"])
    >>> print(f"{sets[truth].mean():.2f}")
    0.92
    """
    probabilities = check_probabilities(proba)
    check_fraction(level, "level")
    names = check_classes(classes, y, probabilities.shape[1])
    codes = check_codes(y, names, len(probabilities))
    scores = _scores(probabilities, method)[np.arange(len(codes)), codes]
    if not per_class:
        threshold = _quantile(scores, level)
        if np.isinf(threshold):
            _warn_of_few([], len(scores), level)
        return np.full(len(names), threshold)
    thresholds = np.array([_quantile(scores[codes == c], level) for c in range(len(names))])
    if np.isinf(thresholds).any():
        _warn_of_few(names[np.isinf(thresholds)].tolist(), len(scores), level)
    return thresholds


def conformal_sets(
    proba: npt.ArrayLike, threshold: npt.ArrayLike, *, method: str = "lac"
) -> npt.NDArray[np.bool_]:
    """Return the labels that are likely enough for each image.

    Parameters
    ----------
    proba : array-like of shape (n, n_classes)
        Probabilities of new images.
    threshold : array-like of shape (n_classes,)
        As `conformal_threshold` returns it, for the same `method`.
    method : {"lac", "aps", "raps"}, default="lac"
        As in `conformal_threshold`.

    Returns
    -------
    sets : ndarray of shape (n, n_classes), bool
        Whether each label belongs to the set of each image. A set can be empty: no label is
        likely enough then, and the image may be of an unknown class.

    Raises
    ------
    ValueError
        If the arguments do not fit each other.

    Examples
    --------
    >>> from skcnn.uncertainty import conformal_sets
    >>> conformal_sets([[0.9, 0.1], [0.5, 0.5]], [0.6, 0.6])
    array([[ True, False],
           [ True,  True]])
    """
    probabilities = check_probabilities(proba)
    limits = column_or_1d(threshold)
    if len(limits) != probabilities.shape[1]:
        raise ValueError(
            f"threshold has {len(limits)} values, but proba has {probabilities.shape[1]} columns. "
            "Expected one per class, as conformal_threshold returns them."
        )
    sets: npt.NDArray[np.bool_] = _scores(probabilities, method) <= limits
    return sets


def _scores(proba: npt.NDArray[np.float64], method: str) -> npt.NDArray[np.float64]:
    """Return how unlikely each label is."""
    if method not in _METHODS:
        raise ValueError(f"method must be one of {', '.join(_METHODS)}, got {method!r}.")
    if method == "lac":
        return 1 - proba
    order = np.argsort(-proba, axis=1, kind="stable")
    sums = np.take_along_axis(proba, order, axis=1).cumsum(axis=1)
    if method == "raps":
        sums += _PENALTY * np.maximum(np.arange(1, proba.shape[1] + 1) - _RANK, 0)
    scores = np.empty_like(proba)
    np.put_along_axis(scores, order, sums, axis=1)
    return scores


def _quantile(scores: npt.NDArray[np.float64], level: float) -> float:
    """Return the score that the next one does not exceed, with a probability of `level`."""
    rank = int(np.ceil(np.round((len(scores) + 1) * level, 9)))
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else float("inf")


def _warn_of_few(names: list[object], n_images: int, level: float) -> None:
    needed = int(np.ceil(round(level / (1 - level), 9)))
    where = f"the classes {', '.join(map(str, names[:5]))}" if names else f"{n_images} images"
    warnings.warn(
        f"level={level} needs at least {needed} images to calibrate with, and {where} "
        f"{'have' if names else 'are'} fewer. Sets always hold these classes. Give more images, "
        "or a lower level.",
        UserWarning,
        stacklevel=3,
    )


class ConformalClassifier(MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
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
        ValueError
            As in `conformal_threshold`.
        """
        check_is_fitted(self.estimator)
        self.threshold_ = conformal_threshold(
            y,
            self.estimator.predict_proba(X),
            classes=self.estimator.classes_,
            method=self.method,
            level=self.level,
            per_class=self.per_class,
        )
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
            Whether each label of `classes_` belongs to the set of each image.
        """
        check_is_fitted(self)
        return conformal_sets(self.predict_proba(X), self.threshold_, method=self.method)

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


class ConformalRegressor(MetaEstimatorMixin, RegressorMixin, BaseEstimator):
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
    >>> print(f"{np.mean((low <= y[200:]) & (y[200:] <= high)):.1f}")
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
            If `level` is not between 0 and 1, or there are too few images for it.
        """
        check_fraction(self.level, "level")
        for estimator in self._estimators():
            check_is_fitted(estimator)
        numbers = column_or_1d(y).astype(np.float64)
        low, high = self._ends(X)
        if len(numbers) != len(low):
            raise ValueError(f"y has {len(numbers)} numbers, but X has {len(low)} images.")
        margin = _quantile(np.maximum(low - numbers, numbers - high), self.level)
        if np.isinf(margin):
            needed = int(np.ceil(round(self.level / (1 - self.level), 9)))
            raise ValueError(
                f"level={self.level} needs at least {needed} images to calibrate with, got "
                f"{len(numbers)}. Give more images, or a lower level."
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
            Low and high end.
        """
        check_is_fitted(self)
        low, high = self._ends(X)
        return np.column_stack([low - self.margin_, high + self.margin_])

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
        return self.estimator if isinstance(self.estimator, tuple) else (self.estimator,)

    def _ends(self, X: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        ends = [np.asarray(e.predict(X), dtype=np.float64) for e in self._estimators()]
        return ends[0], ends[-1]
