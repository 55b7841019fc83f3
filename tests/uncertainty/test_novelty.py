"""Images of unknown classes."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score

from skcnn import ConvNetClassifier
from skcnn.datasets import make_organisms
from skcnn.uncertainty import NoveltyDetector, novelty_scores


@pytest.fixture(scope="module")
def known_and_unknown():
    X, y = make_organisms(n_samples=900, n_classes=5, image_size=16, random_state=0)
    known = y < 4
    clf = ConvNetClassifier(filters=(16, 32), max_epochs=8, random_state=0)
    clf.fit(X[known][:400], y[known][:400])
    return clf, X[known][400:], y[known][400:], X[~known]


def test_generalized_entropy_by_hand(fitted):
    proba = np.array([[0.7, 0.2, 0.1, 0.0], [0.25] * 4])
    scores = novelty_scores(fitted, proba)
    expected = (proba**0.1 * (1 - proba) ** 0.1).sum(axis=1)
    np.testing.assert_allclose(scores, expected)
    assert scores[1] > scores[0]


@pytest.mark.parametrize(("method", "least"), [("entropy", 0.6), ("mahalanobis", 0.6)])
def test_unknown_classes_score_lower(known_and_unknown, method, least):
    clf, X, y, X_unknown = known_and_unknown
    detector = NoveltyDetector(clf, method=method).fit(X[:160], y[:160])
    scores = np.r_[detector.score_samples(X[160:]), detector.score_samples(X_unknown)]
    is_known = np.r_[np.ones(len(X) - 160), np.zeros(len(X_unknown))]
    assert roc_auc_score(is_known, scores) > least


@pytest.mark.parametrize("method", ["entropy", "mahalanobis"])
def test_false_alarms_are_as_many_as_asked(known_and_unknown, method):
    clf, X, y, _ = known_and_unknown
    detector = NoveltyDetector(clf, method=method, false_alarms=0.2).fit(X, y)
    answers = detector.predict(X)
    assert set(answers) == {-1, 1}
    if method == "entropy":  # the distances of "mahalanobis" are adapted to the images of fit
        assert np.mean(answers == -1) == pytest.approx(0.2, abs=0.01)
    np.testing.assert_array_equal(detector.decision_function(X) < 0, answers == -1)


class Features(TransformerMixin, BaseEstimator):
    """A network whose features are given in place of images."""

    def fit(self, X, y):
        return self

    def transform(self, X):
        return X

    def __sklearn_is_fitted__(self):
        return True


@pytest.mark.parametrize(
    ("n_features", "n_images"), [(8, 400), (64, 1000), (64, 100), (300, 200), (300, 40)]
)
def test_new_images_raise_as_many_alarms_as_asked(n_features, n_images):
    random = np.random.default_rng(0)
    means = random.normal(size=(4, n_features))

    def draw(n):
        y = np.arange(n) % 4
        return means[y] + random.normal(size=(n, n_features)), y

    detector = NoveltyDetector(Features(), method="mahalanobis", false_alarms=0.2)
    alarms = [
        np.mean(detector.fit(*draw(n_images)).predict(draw(500)[0]) == -1) for _ in range(10)
    ]
    assert np.mean(alarms) == pytest.approx(0.2, abs=0.03)


def test_few_images_raise_as_many_alarms_as_asked(fitted):
    random = np.random.default_rng(0)
    alarms = []
    for _ in range(400):
        proba = random.dirichlet([0.4] * 4, size=1020)
        detector = NoveltyDetector(fitted, false_alarms=0.05).fit(proba[:20])
        alarms.append(np.mean(detector.predict(proba[20:]) == -1))
    assert np.mean(alarms) == pytest.approx(0.05, abs=0.01)


def test_features_that_are_all_the_same_can_be_fitted():
    detector = NoveltyDetector(Features(), method="mahalanobis").fit(np.ones((40, 3)), [0, 1] * 20)
    assert detector.predict(np.ones((2, 3))).tolist() == [1, 1]


def test_probabilities_rounded_above_1_are_certain(fitted):
    proba = np.array([[1.0000001, 0, 0, 0], [0.25] * 4], dtype=np.float32)
    certain, uncertain = novelty_scores(fitted, proba)
    assert certain == 0 < uncertain


def test_relative_mahalanobis_by_hand():
    random = np.random.default_rng(0)
    X = random.normal(size=(300, 3)) + np.repeat(np.eye(3) * 6, 100, axis=0)
    y = np.repeat([0, 1, 2], 100)
    detector = NoveltyDetector(Features(), method="mahalanobis").fit(X, y)
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)

    def inverse(centered):
        covariance = centered.T @ centered / len(centered)
        mean = np.trace(covariance) / 3
        return np.linalg.inv(0.9 * covariance + 0.1 * mean * np.eye(3))

    def distance(one, others, of_others):
        means = np.stack([others[of_others == c].mean(axis=0) for c in range(3)])
        within = inverse(others - means[of_others])
        nearest = min((one - mean) @ within @ (one - mean) for mean in means)
        away = one - others.mean(axis=0)
        return away @ inverse(others - others.mean(axis=0)) @ away - nearest

    part = np.arange(300) % 5
    distances = [
        distance(unit[0], unit[part != left_out], y[part != left_out]) for left_out in range(5)
    ]
    assert detector.score_samples(X[:1])[0] == pytest.approx(np.mean(distances), rel=1e-6)
    by_the_others = [
        distance(one, unit[part != own], y[part != own]) for one, own in zip(unit, part)
    ]
    # A new score is below the 15th of 300 in 15 of 301 cases, at most 5%.
    assert detector.threshold_ == pytest.approx(sorted(by_the_others)[14], rel=1e-6)


def test_wrong_arguments(known_and_unknown, fitted):
    clf, X, y, _ = known_and_unknown
    with pytest.raises(ValueError, match="one of entropy, mahalanobis, got 'knn'"):
        NoveltyDetector(clf, method="knn").fit(X, y)
    with pytest.raises(ValueError, match=r"needs the labels.*fit\(X, y\)"):
        NoveltyDetector(clf, method="mahalanobis").fit(X)
    with pytest.raises(ValueError, match="false_alarms must be between 0 and 1, got 5"):
        NoveltyDetector(clf, false_alarms=5).fit(X)
    with pytest.raises(NotFittedError):
        NoveltyDetector(ConvNetClassifier()).fit(X)
    with pytest.raises(NotFittedError):
        NoveltyDetector(clf).predict(X)


@pytest.mark.parametrize("methods", [("entropy", "mahalanobis"), ("mahalanobis", "entropy")])
def test_a_change_of_the_method_counts_at_the_next_fit(methods, known_and_unknown):
    clf, X, y, _ = known_and_unknown
    first, second = methods
    detector = NoveltyDetector(clf, method=first).fit(X[:160], y[:160])
    scores = detector.decision_function(X)
    np.testing.assert_array_equal(detector.set_params(method=second).decision_function(X), scores)
    changed = detector.fit(X[:160], y[:160]).decision_function(X)
    expected = NoveltyDetector(clf, method=second).fit(X[:160], y[:160]).decision_function(X)
    np.testing.assert_array_equal(changed, expected)
    assert not np.array_equal(changed, scores)
