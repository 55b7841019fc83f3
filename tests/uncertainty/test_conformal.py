"""Sets of labels and intervals of numbers: that they hold the truth as often as promised."""

import warnings

import numpy as np
import pytest
from _helpers import CLASSES, draw
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression, QuantileRegressor

from skcnn import ConvNetClassifier
from skcnn.uncertainty import (
    ConformalClassifier,
    ConformalRegressor,
    conformal_sets,
    conformal_threshold,
)


@pytest.mark.parametrize("method", ["lac", "aps", "raps"])
@pytest.mark.parametrize("level", [0.8, 0.9])
def test_sets_hold_the_truth_as_often_as_promised(method, level):
    covered = []
    for seed in range(5):
        y, proba = draw(3000, seed)
        threshold = conformal_threshold(
            y[:1500], proba[:1500], classes=CLASSES, method=method, level=level
        )
        sets = conformal_sets(proba[1500:], threshold, method=method)
        covered.append(sets[y[1500:, None] == CLASSES].mean())
    assert np.mean(covered) == pytest.approx(level, abs=0.02)


def test_per_class_covers_rare_classes():
    # A classifier that hardly believes in the rare class.
    y, proba = draw(8000, seed=1, weights=(1, 1, 1, 0.15))
    proba[:, 3] *= 0.3
    proba /= proba.sum(axis=1, keepdims=True)
    coverage = {}
    for per_class in (False, True):
        threshold = conformal_threshold(
            y[:4000], proba[:4000], classes=CLASSES, per_class=per_class
        )
        rare = y[4000:] == "moth"
        coverage[per_class] = conformal_sets(proba[4000:], threshold)[rare, 3].mean()
    assert coverage[False] < 0.75
    assert coverage[True] == pytest.approx(0.9, abs=0.06)


def test_lac_by_hand():
    # The 4th lowest of 4 scores for 5 x 0.8 = 4.
    y = ["a", "a", "b", "b"]
    proba = [[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.5, 0.5]]
    threshold = conformal_threshold(y, proba, level=0.8)
    np.testing.assert_allclose(threshold, [0.5, 0.5])


def test_aps_by_hand():
    proba = [[0.5, 0.3, 0.2]]
    assert conformal_sets(proba, [0.8] * 3, method="aps").tolist() == [[True, True, False]]
    assert conformal_sets(proba, [0.79] * 3, method="aps").tolist() == [[True, False, False]]


def test_raps_costs_ranks_after_the_fifth():
    proba = [np.full(8, 1 / 8)]
    aps, raps = (conformal_sets(proba, [0.99] * 8, method=m).sum() for m in ("aps", "raps"))
    assert (aps, raps) == (7, 7)
    aps, raps = (conformal_sets(proba, [0.88] * 8, method=m).sum() for m in ("aps", "raps"))
    assert (aps, raps) == (7, 6)


def test_agrees_with_an_independent_implementation(calibrated):
    mapie = pytest.importorskip("mapie.classification", reason="MAPIE is not installed")
    y, proba = calibrated
    X = np.log(proba)
    clf = LogisticRegression().fit(X[:1000], y[:1000])
    theirs = mapie.SplitConformalClassifier(clf, confidence_level=0.9, prefit=True)
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


def test_too_few_images_hold_all_labels():
    y, proba = draw(8, seed=0)
    with pytest.warns(UserWarning, match=r"level=0\.9 needs at least 9 images.*8 images"):
        threshold = conformal_threshold(y, proba, classes=CLASSES)
    assert conformal_sets(proba, threshold).all()


def test_rare_classes_are_named():
    y, proba = draw(400, seed=0, weights=(1, 1, 1, 0.01))
    y[:3] = "moth"
    with pytest.warns(UserWarning, match="at least 9 images.*classes moth have fewer"):
        threshold = conformal_threshold(y, proba, classes=CLASSES, per_class=True)
    assert np.isinf(threshold).tolist() == [False, False, False, True]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        conformal_threshold(y, proba, classes=CLASSES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "best"}, "one of lac, aps, raps, got 'best'"),
        ({"level": 1.0}, r"level must be between 0 and 1, got 1\.0"),
        ({"classes": ["ant", "bee"]}, "2 labels.*4 columns"),
        ({"y": ["wasp"] * 20}, "not among the classes: wasp"),
        ({"y": ["ant"] * 3}, "3 labels.*20 rows"),
        ({"proba": np.zeros((20, 4))}, "rows that sum to 0 to 0.*predict_proba"),
        ({"y": ["ant"] * 20, "classes": None}, r"1 different labels.*classes=clf\.classes_"),
    ],
    ids=["method", "level", "classes", "label", "length", "proba", "no_classes"],
)
def test_wrong_arguments(arguments, message):
    y, proba = draw(20, seed=0)
    given = {"y": y, "proba": proba, "classes": CLASSES} | arguments
    with pytest.raises(ValueError, match=message):
        conformal_threshold(**given)


def test_thresholds_of_other_classes_are_refused():
    with pytest.raises(ValueError, match=r"3 values.*2 columns"):
        conformal_sets([[0.5, 0.5]], [0.1, 0.2, 0.3])


def test_unfitted_classifiers_are_refused(images, labels):
    with pytest.raises(NotFittedError):
        ConformalClassifier(ConvNetClassifier()).fit(images, labels)
    with pytest.raises(NotFittedError):
        ConformalClassifier(ConvNetClassifier()).predict_set(images)


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
