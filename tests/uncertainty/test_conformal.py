"""Sets of labels: that they hold the truth as often as promised."""

import warnings

import numpy as np
import pytest
from _helpers import CLASSES, draw

from skcnn.uncertainty import (
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


@pytest.mark.parametrize("method", ["aps", "raps"])
def test_sets_of_certain_images_hold_the_most_likely_label(method):
    # A classifier that is right more often than asked, and often nearly certain.
    covered = []
    for seed in range(5):
        y, proba = draw(3000, seed, concentration=0.02)
        threshold = conformal_threshold(
            y[:1500], proba[:1500], classes=CLASSES, method=method, level=0.9
        )
        sets = conformal_sets(proba[1500:], threshold, method=method)
        assert sets[np.arange(1500), proba[1500:].argmax(axis=1)].all()
        covered.append(sets[y[1500:, None] == CLASSES].mean())
    assert np.mean(covered) >= 0.9


def test_raps_costs_ranks_after_the_fifth():
    proba = [np.full(8, 1 / 8)]
    aps, raps = (conformal_sets(proba, [0.99] * 8, method=m).sum() for m in ("aps", "raps"))
    assert (aps, raps) == (7, 7)
    aps, raps = (conformal_sets(proba, [0.88] * 8, method=m).sum() for m in ("aps", "raps"))
    assert (aps, raps) == (7, 6)


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
