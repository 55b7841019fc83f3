"""What to accept and what to look at."""

import numpy as np
import pytest
from _helpers import CLASSES, draw
from matplotlib import pyplot as plt
from scipy import stats

from skcnn.uncertainty import ReviewDisplay, review_table, review_threshold


def test_table_by_hand():
    proba = [[0.95, 0.05], [0.9, 0.1], [0.6, 0.4], [0.45, 0.55]]
    table = review_table(["a", "b", "b", "b"], proba, thresholds=[0, 0.6, 0.99])
    assert table["to_check"].tolist() == [0, 0.25, 1]
    assert table["accepted"].tolist() == [4, 3, 0]
    np.testing.assert_allclose(table["error"], [0.5, 2 / 3, np.nan])
    exact = stats.binomtest(2, 4).proportion_ci(0.95, method="exact")
    np.testing.assert_allclose(table.loc[0, ["error_low", "error_high"]].tolist(), exact)
    assert table.loc[2, ["error_low", "error_high"]].tolist() == [0, 1]


def test_the_promise_holds_on_new_images():
    kept = 0
    n_surveys = 60
    for seed in range(n_surveys):
        y, proba = draw(6000, seed)
        threshold = review_threshold(y[:1000], proba[:1000], classes=CLASSES, error=0.1)
        new_y, new_proba = y[1000:], proba[1000:]
        accepted = new_proba.max(axis=1) >= threshold
        wrong = CLASSES[new_proba.argmax(axis=1)] != new_y
        kept += wrong[accepted].sum() <= 0.1 * accepted.sum()
    assert kept / n_surveys >= 0.88


def test_a_stricter_promise_accepts_less(calibrated):
    y, proba = calibrated
    thresholds = [
        review_threshold(y, proba, classes=CLASSES, error=error) for error in (0.2, 0.05, 0.02)
    ]
    assert thresholds == sorted(thresholds)
    assert thresholds[0] < thresholds[-1]


def test_nothing_is_accepted_where_no_promise_can_be_kept():
    y, proba = draw(20, seed=0)
    assert review_threshold(y, proba, classes=CLASSES, error=0.01) == float("inf")


def test_perfect_predictions_are_all_accepted():
    proba = np.eye(4)[np.arange(400) % 4]
    assert review_threshold(CLASSES[np.arange(400) % 4], proba, classes=CLASSES) == 0


def test_display_shows_the_table(fitted, calibrated):
    y, proba = calibrated
    display = ReviewDisplay.from_estimator(fitted, proba, y)
    to_check, error = display.ax_.lines
    table = review_table(y, proba, classes=CLASSES, thresholds=[0.9])
    place = np.flatnonzero(np.isclose(to_check.get_xdata(), 0.9))[0]
    assert to_check.get_ydata()[place] == table.loc[0, "to_check"]
    assert error.get_ydata()[place] == table.loc[0, "error"]
    plt.close(display.figure_)


def test_wrong_arguments():
    y, proba = draw(20, seed=0)
    with pytest.raises(ValueError, match="error must be between 0 and 1, got 5"):
        review_threshold(y, proba, classes=CLASSES, error=5)
    with pytest.raises(ValueError, match="level must be between 0 and 1, got 95"):
        review_table(y, proba, classes=CLASSES, level=95)
