"""Images of unknown classes: how strange an image is to a classifier."""

from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import linalg
from sklearn.base import BaseEstimator, MetaEstimatorMixin, OutlierMixin
from sklearn.covariance import empirical_covariance, shrunk_covariance
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.utils.validation import check_is_fitted

from skcnn._utils import warn
from skcnn.uncertainty._checks import (
    Labels,
    check_fraction,
    check_labels,
    check_prefit,
    check_probabilities,
    check_same_length,
    class_probabilities,
)
from skcnn.uncertainty._conformal import score_quantile
from skcnn.uncertainty._skipped import known_rows

_METHODS = ("entropy", "mahalanobis")
# Of generalized entropy, as in its source: the exponent, and the share of classes that count.
_GAMMA = 0.1
_TOP_CLASSES = 0.1
# Classes that count at least.
_FEWEST = 10
# Of covariances: there may be fewer images than features, and all features may be constant.
_SHRINKAGE = 0.1
_LEAST_VARIANCE = 1e-12
# Parts that the images of `fit` are divided into, each of which is scored by the others.
_N_PARTS = 5


def novelty_scores(estimator: BaseEstimator, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Compute how strange images are to a classifier, from its probabilities.

    The score is the generalized entropy of the highest probabilities [1]_: high where many
    classes are likely. Nothing has to be fitted. `NoveltyDetector` turns scores into answers, and
    has another method for pretrained networks.

    Expect little of species that resemble known ones: on a public benchmark of similar classes,
    even the best methods order a known and an unknown image rightly in about 80% of pairs [2]_.

    Parameters
    ----------
    estimator : fitted classifier with `predict_proba`
    X : array-like
        Images, in any form that the estimator takes.

    Returns
    -------
    scores : ndarray of shape (n,)
        Higher is stranger. NaN for files that were skipped.

    Raises
    ------
    TypeError
        If the estimator has no `predict_proba`.

    References
    ----------
    .. [1] Liu, Lochman, Zach: GEN: pushing the limits of softmax-based out-of-distribution
       detection. CVPR 2023.
    .. [2] Zhang et al.: OpenOOD v1.5: enhanced benchmark for out-of-distribution detection. 2023,
       arXiv:2306.09301.

    Examples
    --------
    >>> from skcnn import ConvNetClassifier
    >>> from skcnn.datasets import make_organisms
    >>> from skcnn.uncertainty import novelty_scores
    >>> X, y = make_organisms(n_samples=300, n_classes=4, image_size=16, random_state=0)
    >>> known = y < 3
    >>> clf = ConvNetClassifier(filters=(16, 32), max_epochs=20, random_state=0)
    >>> clf = clf.fit(X[known], y[known])
    >>> bool(novelty_scores(clf, X[~known]).mean() > novelty_scores(clf, X[known]).mean())
    True
    """
    proba = class_probabilities(estimator, X)
    scores, known = np.full(len(proba), np.nan), known_rows(proba)
    if known.any():
        scores[known] = _generalized_entropy(check_probabilities(proba[known]))
    return scores


def _generalized_entropy(proba: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    n_classes = proba.shape[1]
    n_top = min(n_classes, max(_FEWEST, round(_TOP_CLASSES * n_classes)))
    # Rounded to float32, a probability may be above 1, which has no power of 0.1 left of it.
    top = np.minimum(np.sort(proba, axis=1)[:, -n_top:], 1)
    scores: npt.NDArray[np.float64] = (top**_GAMMA * (1 - top) ** _GAMMA).sum(axis=1)
    return scores


class NoveltyDetector(MetaEstimatorMixin, OutlierMixin, BaseEstimator):
    """Tells images of unknown classes from those that a classifier knows.

    It behaves as scikit-learn's outlier detectors: `predict` gives 1 for known and -1 for unknown.
    The classifier is taken as it is.

    Parameters
    ----------
    estimator : fitted classifier
        With `predict_proba` for "entropy", and with `transform` for "mahalanobis": for example a
        `ConvNetClassifier`.
    method : {"entropy", "mahalanobis"}, default="entropy"
        "entropy": from the probabilities, as in `novelty_scores`; needs no labels.
        "mahalanobis": the distance of the features to those of the nearest class, relative to
        their distance to all images [1]_; finds more with pretrained networks whose body is
        frozen. Each fifth of the images of `fit` is scored by the others, to set the threshold;
        new images get the mean of the five scores.
    false_alarms : float, default=0.05
        Fraction in (0, 1) of known images that are called unknown.

    Attributes
    ----------
    threshold_ : float
        Scores of `score_samples` below it are called unknown.

    References
    ----------
    .. [1] Ren, Fort, Liu, Roy, Padhy, Lakshminarayanan: A simple fix to Mahalanobis distance for
       improving near-OOD detection. 2021, arXiv:2106.09022.

    Examples
    --------
    >>> from skcnn import ConvNetClassifier
    >>> from skcnn.datasets import make_organisms
    >>> from skcnn.uncertainty import NoveltyDetector
    >>> X, y = make_organisms(n_samples=400, n_classes=4, image_size=16, random_state=0)
    >>> known = y < 3
    >>> X_known, y_known = X[known], y[known]
    >>> clf = ConvNetClassifier(filters=(16, 32), max_epochs=10, random_state=0)
    >>> clf = clf.fit(X_known[:200], y_known[:200])
    >>> detector = NoveltyDetector(clf).fit(X_known[200:], y_known[200:])
    >>> detector.predict(X[~known][:5]).shape
    (5,)
    """

    def __init__(
        self,
        estimator: BaseEstimator,
        method: str = "entropy",
        false_alarms: float = 0.05,
    ) -> None:
        self.estimator = estimator
        self.method = method
        self.false_alarms = false_alarms

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike | None = None) -> Self:
        """Learn what known images look like, and set the threshold.

        Parameters
        ----------
        X : array-like
            Images of known classes that the estimator was not trained on, in any form that it
            takes. Features of its training images lie nearer to their class than those of new
            images, so that a threshold from them would raise too many alarms. At least two, and
            better many more than ``1 / false_alarms``, which is 20 by default: a warning says
            if there are fewer. Files that were skipped are left out.
        y : array-like of shape (n,), default=None
            Their labels, needed for "mahalanobis" only.

        Returns
        -------
        self : NoveltyDetector

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If a parameter is not as described, labels are missing, or there is one image only.
        TypeError
            If the estimator lacks the method that `method` needs.
        """
        check_prefit(self.estimator)
        check_fraction(self.false_alarms, "false_alarms")
        if self.method not in _METHODS:
            raise ValueError(f"method must be one of {', '.join(_METHODS)}, got {self.method!r}.")
        # A change of the parameter counts at the next fit: the threshold is that of these scores.
        self._method = self.method
        if self._method == "mahalanobis":
            if y is None:
                raise ValueError(
                    'method="mahalanobis" needs the labels of the images. Call fit(X, y).'
                )
            features, labels = self._known_features(X, check_labels(y))
            self._check_n_images(len(features))
            self._distances, scores = _cross_fit(features, labels)
        else:
            scores = self._score(X)
            scores = scores[~np.isnan(scores)]
            self._check_n_images(len(scores))
        highest = score_quantile(-scores, 1 - self.false_alarms)
        self.threshold_ = max(-highest, float(scores.min()))
        return self

    def score_samples(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return how familiar images are: lower is stranger.

        Parameters
        ----------
        X : array-like
            Images, in any form that the estimator takes.

        Returns
        -------
        scores : ndarray of shape (n,)
            NaN for files that were skipped.
        """
        check_is_fitted(self)
        return self._score(X)

    def decision_function(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the scores above the threshold: negative for unknown images.

        Parameters
        ----------
        X : array-like
            Images, in any form that the estimator takes.

        Returns
        -------
        scores : ndarray of shape (n,)
            NaN for files that were skipped.
        """
        return self.score_samples(X) - self.threshold_

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[np.intp]:
        """Return 1 for known images and -1 for unknown ones.

        Parameters
        ----------
        X : array-like
            Images, in any form that the estimator takes.

        Returns
        -------
        known : ndarray of shape (n,)
            -1 also for files that were skipped, which nobody has seen.
        """
        return np.where(self.decision_function(X) >= 0, 1, -1)

    def _score(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        if self._method == "entropy":
            return -novelty_scores(self.estimator, X)
        features = self._features(X)
        known = known_rows(features)
        scores = np.full(len(features), np.nan)
        if known.any():
            scores[known] = np.mean([of.score(features[known]) for of in self._distances], axis=0)
        return scores

    def _check_n_images(self, n: int) -> None:
        needed = int(np.ceil(round(1 / self.false_alarms, 9)))
        advice = f"Give at least {needed} images of known classes, better hundreds."
        if n < 2:
            raise ValueError(
                f"X holds {n} image, from which nothing can be learned about others. {advice}"
            )
        if n < needed:
            warn(
                f"X holds {n} images, too few to tell what {self.false_alarms:g} of known images "
                f"look like (false_alarms): the threshold is a guess. {advice}"
            )

    def _features(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        if not hasattr(self.estimator, "transform"):
            raise TypeError(
                f"estimator is a {type(self.estimator).__name__}, which has no transform, and "
                'method="mahalanobis" needs features. Expected a classifier with transform, such '
                'as ConvNetClassifier, or method="entropy".'
            )
        features = np.asarray(self.estimator.transform(X), dtype=np.float64)
        lengths = np.linalg.norm(features, axis=1, keepdims=True)
        normalized: npt.NDArray[np.float64] = features / np.maximum(lengths, 1e-12)
        return normalized

    def _known_features(
        self, X: npt.ArrayLike, labels: Labels
    ) -> tuple[npt.NDArray[np.float64], Labels]:
        """Return the features of files that were read, and their labels."""
        features = self._features(X)
        check_same_length(labels, "y", len(features))
        known = known_rows(features)
        return features[known], labels[known]


class _RelativeDistances:
    """How much nearer features are to those of a class than to those of all images."""

    def __init__(self, features: npt.NDArray[np.float64], labels: Labels) -> None:
        names, codes = np.unique(labels, return_inverse=True)
        self._means = np.stack([features[codes == c].mean(axis=0) for c in range(len(names))])
        self._mean = features.mean(axis=0)
        self._within = _covariance_root(features - self._means[codes])
        self._overall = _covariance_root(features - self._mean)

    def score(self, features: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the relative distances: lower is stranger."""
        overall = _whitened(features - self._mean, self._overall)
        within, means = (_whitened(rows, self._within) for rows in (features, self._means))
        of_classes = euclidean_distances(within, means, squared=True)
        relative: npt.NDArray[np.float64] = (overall**2).sum(axis=1) - of_classes.min(axis=1)
        return relative


def _cross_fit(
    features: npt.NDArray[np.float64], labels: Labels
) -> tuple[list[_RelativeDistances], npt.NDArray[np.float64]]:
    """Leave out each part of the images in turn, and score it by the distances of the others.

    Images that the means and covariances come from are nearer to them than new images are: with as
    many features as images, a threshold from their own scores calls every new image unknown. So
    the distances of the parts are what new images are scored by, too, since those of all images
    together would be smaller.
    """
    n_parts = min(_N_PARTS, len(features))
    parts = np.empty(len(features), dtype=np.intp)
    # Neighbors in the order of labels are of different parts, and each part is of all classes.
    parts[np.argsort(labels, kind="stable")] = np.arange(len(features)) % n_parts
    distances, scores = [], np.empty(len(features))
    for part in range(n_parts):
        others = parts != part
        distances.append(_RelativeDistances(features[others], labels[others]))
        scores[~others] = distances[-1].score(features[~others])
    return distances, scores


def _covariance_root(centered: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the Cholesky factor of the covariance, drawn towards a sphere."""
    covariance = shrunk_covariance(
        empirical_covariance(centered, assume_centered=True), shrinkage=_SHRINKAGE
    )
    covariance += _LEAST_VARIANCE * np.eye(len(covariance))
    root: npt.NDArray[np.float64] = linalg.cholesky(covariance, lower=True)
    return root


def _whitened(
    features: npt.NDArray[np.float64], root: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return features whose Euclidean distances are Mahalanobis distances."""
    whitened: npt.NDArray[np.float64] = linalg.solve_triangular(root, features.T, lower=True).T
    return whitened
