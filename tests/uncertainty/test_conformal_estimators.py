"""Conformal prediction from fitted estimators."""

import numpy as np
import pytest
from _helpers import CLASSES
from mapie.classification import SplitConformalClassifier
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression, QuantileRegressor

from skcnn import ConvNetClassifier
from skcnn.uncertainty import (
    ConformalClassifier,
    ConformalRegressor,
    NoveltyDetector,
    conformal_sets,
    conformal_threshold,
)


def test_agrees_with_an_independent_implementation(calibrated):
    y, proba = calibrated
    X = np.log(proba)
    clf = LogisticRegression().fit(X[:1000], y[:1000])
    theirs = SplitConformalClassifier(clf, confidence_level=0.9, prefit=True)
    theirs.conformalize(X[1000:2000], y[1000:2000])
    ours = ConformalClassifier(clf, level=0.9).fit(X[1000:2000], y[1000:2000])
    _, sets = theirs.predict_set(X[2000:])
    np.testing.assert_array_equal(ours.predict_set(X[2000:]), sets[:, :, 0])


def test_classifier_is_taken_as_it_is(fitted, calibrated):
    y, proba = calibrated
    conformal = ConformalClassifier(fitted, method="aps").fit(proba[:2000], y[:2000])
    threshold = conformal_threshold(y[:2000], proba[:2000], classes=CLASSES, method="aps")
    np.testing.assert_array_equal(conformal.threshold_, threshold)
    np.testing.assert_array_equal(
        conformal.predict_set(proba[2000:]), conformal_sets(proba[2000:], threshold, method="aps")
    )
    np.testing.assert_array_equal(conformal.predict(proba), fitted.predict(proba))
    assert conformal.classes_ is fitted.classes_
    assert conformal.score(proba, y) == np.mean(fitted.predict(proba) == y)


def test_images_go_straight_through(images, labels):
    clf = ConvNetClassifier(filters=8, max_epochs=3, random_state=0).fit(images[:30], labels[:30])
    conformal = ConformalClassifier(clf).fit(images[30:], labels[30:])
    for form in (images, images.reshape(60, -1)):
        assert conformal.predict_set(form).shape == (60, 3)


def test_unfitted_classifiers_are_refused(images, labels):
    with pytest.raises(NotFittedError):
        ConformalClassifier(ConvNetClassifier()).fit(images, labels)
    with pytest.raises(NotFittedError):
        ConformalClassifier(ConvNetClassifier()).predict_set(images)


@pytest.mark.parametrize("make", [ConformalClassifier, NoveltyDetector])
def test_copies_in_a_search_keep_what_is_frozen(make, calibrated):
    y, proba = calibrated
    X = np.log(proba)
    clf = LogisticRegression().fit(X, y)
    with pytest.raises(NotFittedError, match=r"Searches and cross-validation.*FrozenEstimator"):
        clone(make(clf)).fit(X, y)
    copy = clone(make(FrozenEstimator(clf))).fit(X, y)
    np.testing.assert_array_equal(copy.threshold_, make(clf).fit(X, y).threshold_)


def test_copies_of_regressors_keep_what_is_frozen(numbers):
    X, y = numbers
    regressor = LinearRegression().fit(X, y)
    with pytest.raises(NotFittedError, match="FrozenEstimator"):
        clone(ConformalRegressor(regressor)).fit(X, y)
    copy = clone(ConformalRegressor(FrozenEstimator(regressor))).fit(X, y)
    assert copy.margin_ == ConformalRegressor(regressor).fit(X, y).margin_


@pytest.fixture(scope="module")
def numbers():
    """Numbers whose spread grows with X."""
    random = np.random.default_rng(0)
    X = random.uniform(0, 4, size=(3000, 1))
    return X, X[:, 0] + X[:, 0] * random.normal(size=3000)


def test_intervals_hold_the_truth_as_often_as_promised(numbers):
    X, y = numbers
    fitted = LinearRegression().fit(X[:1000], y[:1000])
    conformal = ConformalRegressor(fitted, level=0.8).fit(X[1000:2000], y[1000:2000])
    low, high = conformal.predict_interval(X[2000:]).T
    assert np.mean((low <= y[2000:]) & (y[2000:] <= high)) == pytest.approx(0.8, abs=0.04)
    np.testing.assert_allclose(high - low, 2 * conformal.margin_)
    np.testing.assert_allclose(conformal.predict(X), fitted.predict(X))


def test_quantiles_make_intervals_that_follow_the_spread(numbers):
    X, y = numbers
    ends = tuple(
        QuantileRegressor(quantile=q, alpha=0).fit(X[:1000], y[:1000]) for q in (0.2, 0.8)
    )
    conformal = ConformalRegressor(ends, level=0.8).fit(X[1000:2000], y[1000:2000])
    low, high = conformal.predict_interval(X[2000:]).T
    held = (low <= y[2000:]) & (y[2000:] <= high)
    small = X[2000:, 0] < 2
    assert held.mean() == pytest.approx(0.8, abs=0.04)
    assert (high - low)[small].mean() < 0.6 * (high - low)[~small].mean()


def test_regressor_errors(numbers):
    X, y = numbers
    fitted = LinearRegression().fit(X, y)
    with pytest.raises(ValueError, match=r"level=0\.9 needs at least 9 images.*got 5"):
        ConformalRegressor(fitted).fit(X[:5], y[:5])
    with pytest.raises(ValueError, match="y has 4 numbers, but X has 5 images"):
        ConformalRegressor(fitted).fit(X[:5], y[:4])
    with pytest.raises(NotFittedError):
        ConformalRegressor(LinearRegression()).fit(X, y)


def test_parameters_can_be_searched(fitted):
    conformal = ConformalClassifier(LogisticRegression(), level=0.8)
    assert clone(conformal).set_params(estimator__C=2.0, per_class=True).estimator.C == 2.0


class Skipping(BaseEstimator):
    """Predictions of files, some of which cannot be read."""

    def __init__(self, estimator, unread):
        self.estimator, self.unread = estimator, unread
        self.classes_ = getattr(estimator, "classes_", None)

    def fit(self, X, y):
        raise NotImplementedError

    def __sklearn_is_fitted__(self):
        return True

    def predict_proba(self, X):
        return self._without(self.estimator.predict_proba(X))

    def predict(self, X):
        return self._without(self.estimator.predict(X))

    def _without(self, found):
        found = found.astype(float)
        found[self.unread] = np.nan
        return found


def test_files_that_were_skipped_do_not_calibrate(images, labels, numbers):
    clf = ConvNetClassifier((4,), max_epochs=1, random_state=0).fit(images, labels)
    known = np.arange(len(labels)) >= 20
    skipping = ConformalClassifier(Skipping(clf, ~known)).fit(images, labels)
    without = ConformalClassifier(clf).fit(images[known], np.asarray(labels)[known])
    np.testing.assert_array_equal(skipping.threshold_, without.threshold_)
    X, y = numbers
    reg = LinearRegression().fit(X, y)
    known = np.arange(len(y)) >= 20
    skipping = ConformalRegressor(Skipping(reg, ~known)).fit(X, y)
    assert skipping.margin_ == ConformalRegressor(reg).fit(X[known], y[known]).margin_


class Wave(RegressorMixin, BaseEstimator):
    """A quantile regressor that errs by a wave of its own."""

    def __init__(self, shift, frequency):
        self.shift = shift
        self.frequency = frequency

    def fit(self, X, y):
        raise NotImplementedError

    def __sklearn_is_fitted__(self):
        return True

    def predict(self, X):
        return X[:, 0] + self.shift + 0.5 * np.sin(self.frequency * X[:, 0])


def test_low_ends_are_never_above_high_ends():
    random = np.random.default_rng(0)
    X = random.normal(size=(2000, 1))
    y = X[:, 0] + 0.1 * random.normal(size=2000)
    crossing = (Wave(-0.1, 100), Wave(0.1, 200))
    conformal = ConformalRegressor(crossing, level=0.5).fit(X[:1000], y[:1000])
    low, high = conformal.predict_interval(X[1000:]).T
    assert (low <= high).all()
    crossed = low == high
    assert 0 < crossed.mean() < 0.5
    np.testing.assert_allclose(low[crossed], conformal.predict(X[1000:])[crossed])
    assert np.mean((low <= y[1000:]) & (y[1000:] <= high)) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("method", ["lac", "aps", "raps"])
def test_a_change_of_the_method_counts_at_the_next_fit(method, fitted, calibrated):
    y, proba = calibrated
    conformal = ConformalClassifier(fitted, method=method).fit(proba[:2000], y[:2000])
    sets = conformal.predict_set(proba)
    for other in ("lac", "aps", "raps"):
        conformal.set_params(method=other)
        np.testing.assert_array_equal(conformal.predict_set(proba), sets)
        again = ConformalClassifier(fitted, method=other).fit(proba[:2000], y[:2000])
        np.testing.assert_array_equal(
            conformal.fit(proba[:2000], y[:2000]).predict_set(proba), again.predict_set(proba)
        )
        # Of so few classes, "aps" and "raps" make the same sets.
        if (other == "lac") != (method == "lac"):
            assert not np.array_equal(again.predict_set(proba), sets)
        conformal.set_params(method=method).fit(proba[:2000], y[:2000])
