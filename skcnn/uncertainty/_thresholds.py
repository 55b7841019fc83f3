"""Thresholds of labels: from which probability on an image counts as having one."""

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.metrics import get_scorer
from sklearn.model_selection import TunedThresholdClassifierCV, check_cv, cross_val_predict
from sklearn.utils import Tags, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_array, check_is_fitted

from skcnn._from_r import whole, whole_arguments
from skcnn._utils import safe_indexing
from skcnn.uncertainty._checks import check_count, check_prefit, check_table
from skcnn.uncertainty._skipped import ScoreMixin, known_rows

Probabilities = npt.NDArray[np.float64]
Scoring = str | Callable[..., float]

_UNTUNED = 0.5


@whole_arguments("thresholds")
def label_thresholds(
    y: npt.ArrayLike, proba: npt.ArrayLike, *, scoring: Scoring = "f1", thresholds: int = 100
) -> Probabilities:
    """Find the threshold of each label with which its predictions are best.

    Parameters
    ----------
    y : array-like of shape (n, n_labels)
        1 where an image has a label, and 0 where not, for images that the network was not
        trained on.
    proba : array-like of shape (n, n_labels)
        Their probabilities.
    scoring : str or callable, default="f1"
        What is best: a metric of scikit-learn for two classes, such as "f1", "precision",
        "recall" or "balanced_accuracy", or the result of `sklearn.metrics.make_scorer`, for
        example ``make_scorer(fbeta_score, beta=2)`` where a missed label is worse than a false
        one.
    thresholds : int, default=100
        How many thresholds are tried per label, evenly spaced over its probabilities.

    Returns
    -------
    thresholds : ndarray of shape (n_labels,)
        ``proba >= thresholds`` says which labels each image has. It is 0.5 for labels that all
        images have, or none, and for those whose probability is the same for all images.

    Raises
    ------
    ValueError
        If y and proba do not fit each other, y has other values than 0 and 1, proba is not from
        0 to 1, or `scoring` is no metric of scikit-learn.

    See Also
    --------
    TunedThresholdsCV : Finds them by cross-validation.
    sklearn.model_selection.TunedThresholdClassifierCV : For classifiers of two classes.

    Examples
    --------
    >>> from skcnn.uncertainty import label_thresholds
    >>> y = [[1, 0], [1, 0], [0, 1], [0, 0]]
    >>> proba = [[0.9, 0.1], [0.6, 0.1], [0.5, 0.3], [0.1, 0.0]]
    >>> thresholds = label_thresholds(y, proba)
    >>> (proba >= thresholds).astype(int).tolist()
    [[1, 0], [1, 0], [0, 1], [0, 0]]
    """
    found, _ = _tune(y, proba, scoring, thresholds)
    return found


def _tune(
    y: npt.ArrayLike, proba: npt.ArrayLike, scoring: Scoring, thresholds: int
) -> tuple[Probabilities, Probabilities]:
    """Return the best threshold of each label, and its score."""
    check_count(thresholds, "thresholds")
    _check_scoring(scoring)
    dense = y.toarray() if hasattr(y, "toarray") else np.asarray(y)
    if len(dense.shape) != 2:
        raise ValueError(
            f"y has shape {dense.shape}. Expected one row per image and one column per label, "
            "with 1 where an image has the label and 0 where not. For classes that exclude each "
            "other, use TunedThresholdClassifierCV of sklearn.model_selection."
        )
    present = check_array(dense, input_name="y")
    probability = check_table(proba)
    if present.shape != probability.shape:
        raise ValueError(
            f"y has shape {present.shape}, but proba has shape {probability.shape}. Expected one "
            "row per image and one column per label in both."
        )
    if not np.isin(present, (0, 1)).all():
        raise ValueError(
            f"y has values from {present.min():g} to {present.max():g}. Expected 1 where an image "
            "has a label, and 0 where it does not. y comes first, then proba."
        )
    if probability.min() < 0 or probability.max() > 1:
        raise ValueError(
            f"proba has values from {probability.min():g} to {probability.max():g}. Expected "
            "probabilities from 0 to 1, as predict_proba returns them."
        )
    best = np.full(present.shape[1], _UNTUNED)
    scores = np.full(present.shape[1], np.nan)
    for label in range(present.shape[1]):
        column = probability[:, label]
        if len(np.unique(present[:, label])) < 2 or np.isclose(column.min(), column.max()):
            continue
        tuned = TunedThresholdClassifierCV(
            _GivenProbability(), scoring=scoring, thresholds=thresholds, cv="prefit", refit=False
        )
        tuned.fit(probability[:, [label]], present[:, label].astype(int))
        best[label], scores[label] = tuned.best_threshold_, tuned.best_score_
    return best, scores


def _check_scoring(scoring: Scoring) -> None:
    """Refuse names that scikit-learn does not know, without a list of all that it does."""
    if callable(scoring):
        return
    try:
        get_scorer(scoring)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"scoring={scoring!r} is not a metric of scikit-learn. Expected a name such as "
            '"f1", "precision", "recall" or "balanced_accuracy", or the result of '
            "sklearn.metrics.make_scorer."
        ) from error


class _GivenProbability(ClassifierMixin, BaseEstimator):
    """A classifier whose X is the probability, for scikit-learn to find its threshold."""

    classes_ = np.array([0, 1])

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Self:
        return self

    def predict_proba(self, X: npt.ArrayLike) -> Probabilities:
        probability = np.asarray(X)
        return np.hstack([1 - probability, probability])


def _estimator_has(method: str) -> Callable[["TunedThresholdsCV"], bool]:
    def check(self: "TunedThresholdsCV") -> bool:
        getattr(getattr(self, "estimator_", self.estimator), method)
        return True

    return check


class TunedThresholdsCV(ScoreMixin, ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """A multilabel classifier with a threshold for each label, tuned by cross-validation.

    A classifier says that an image has a label if its probability is above 0.5. For rare labels,
    and where a missed label is worse than a false one, or the other way around, another threshold
    is better: it is found for each label on images that the network was not trained on.

    Parameters
    ----------
    estimator : classifier
        A multilabel classifier with `predict_proba`, such as `skcnn.ConvNetClassifier`. It is
        cloned, unless ``cv="prefit"``.
    scoring, thresholds
        As in `label_thresholds`.
    cv : int, cross-validation generator, iterable or "prefit", default=5
        How images are divided for tuning. The classifier is then fitted to all of them. With
        "prefit", it is fitted already, and the images of `fit`, which must be others, serve for
        tuning alone.
    n_jobs : int, default=None
        Number of folds that are fitted at the same time.

    Attributes
    ----------
    estimator_ : classifier
        The fitted classifier.
    best_thresholds_ : ndarray of shape (n_labels,)
        The threshold of each label.
    best_scores_ : ndarray of shape (n_labels,)
        The score of each label at its threshold; NaN where all images of `fit` have the label,
        or none.
    classes_ : ndarray of shape (n_labels,)
        Names of the labels.

    See Also
    --------
    label_thresholds : The same for given probabilities.
    sklearn.model_selection.TunedThresholdClassifierCV : For classifiers of two classes.

    Examples
    --------
    >>> from sklearn.datasets import make_multilabel_classification
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from sklearn.metrics import f1_score
    >>> from skcnn.uncertainty import TunedThresholdsCV
    >>> X, y = make_multilabel_classification(n_samples=300, n_labels=1, random_state=0)
    >>> clf = RandomForestClassifier(30, random_state=0)
    >>> plain = clf.fit(X[:200], y[:200]).predict(X[200:])
    >>> tuned = TunedThresholdsCV(clf, cv=3).fit(X[:200], y[:200]).predict(X[200:])
    >>> scores = [f1_score(y[200:], p, average="macro", zero_division=0) for p in (plain, tuned)]
    >>> scores[1] > scores[0]
    True
    """

    def __init__(
        self,
        estimator: BaseEstimator,
        *,
        scoring: Scoring = "f1",
        thresholds: int = 100,
        cv: Any = 5,
        n_jobs: int | None = None,
    ) -> None:
        self.estimator = estimator
        self.scoring = scoring
        self.thresholds = thresholds
        self.cv = cv
        self.n_jobs = n_jobs

    def fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        *,
        groups: npt.ArrayLike | None = None,
        **fit_params: object,
    ) -> Self:
        """Fit the classifier, and tune the thresholds.

        Parameters
        ----------
        X : array-like
            Images, in any form that the estimator takes.
        y : array-like of shape (n, n_labels)
            1 where an image has a label, and 0 where not.
        groups : array-like of shape (n,), default=None
            Groups for ``cv``, such as `sklearn.model_selection.GroupKFold`.
        **fit_params : dict
            Passed to the `fit` of the classifier, such as `sample_weight`.

        Returns
        -------
        self : TunedThresholdsCV

        Raises
        ------
        ValueError
            If y is not an indicator matrix.
        TypeError
            If the estimator has no `predict_proba`.
        """
        if not hasattr(self.estimator, "predict_proba"):
            raise TypeError(
                f"estimator is a {type(self.estimator).__name__}, which has no predict_proba. "
                "Expected a multilabel classifier with predict_proba, such as ConvNetClassifier."
            )
        if isinstance(self.cv, str) and self.cv == "prefit":
            check_prefit(self.estimator, "classes_")
            self.estimator_ = self.estimator
            probability = _of_labels(self.estimator.predict_proba(X))
        else:
            folds = list(check_cv(whole(self.cv), y, classifier=True).split(X, y, groups))
            probability = _of_labels(
                cross_val_predict(
                    self.estimator,
                    X,
                    y,
                    cv=folds,
                    n_jobs=self.n_jobs,
                    params=fit_params,
                    method="predict_proba",
                )
            )
            self.estimator_ = clone(self.estimator).fit(X, y, **fit_params)
        known = np.flatnonzero(known_rows(probability))
        found = _tune(
            safe_indexing(y, known), probability[known], self.scoring, whole(self.thresholds)
        )
        self.best_thresholds_, self.best_scores_ = found
        return self

    @property
    def classes_(self) -> npt.NDArray[Any]:
        """Names of the labels."""
        classes: npt.NDArray[Any] = self.estimator_.classes_
        return classes

    @available_if(_estimator_has("predict_proba"))
    def predict_proba(self, X: npt.ArrayLike) -> Probabilities:
        """Return the probability of each label, as the fitted classifier has it.

        Parameters
        ----------
        X : array-like
            Images, in any form that the estimator takes.

        Returns
        -------
        probability : ndarray of shape (n, n_labels)
        """
        check_is_fitted(self, "best_thresholds_")
        return _of_labels(self.estimator_.predict_proba(X))

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return the labels whose probabilities reach their thresholds.

        Parameters
        ----------
        X : array-like
            Images, in any form that the estimator takes.

        Returns
        -------
        y : ndarray of shape (n, n_labels)
            1 for the labels that an image has, else 0. If image files were skipped, an array of
            objects with None in their rows.
        """
        probability = self.predict_proba(X)
        labels: npt.NDArray[Any] = (probability >= self.best_thresholds_).astype(np.int64)
        unread = ~known_rows(probability)
        if unread.any():
            labels = labels.astype(object)
            labels[unread] = None
        return labels

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(self.estimator).input_tags
        tags.target_tags.single_output = False
        tags.target_tags.multi_output = True
        assert tags.classifier_tags is not None
        tags.classifier_tags.multi_label = True
        tags.classifier_tags.multi_class = False
        return tags


def _of_labels(probability: object) -> Probabilities:
    """Return the probability of each label; forests have one of its absence beside it."""
    if isinstance(probability, list):
        return np.column_stack([both[:, -1] for both in probability])
    return np.asarray(probability, dtype=np.float64)
