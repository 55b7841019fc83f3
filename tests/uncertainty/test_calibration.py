"""Calibration: tables, the expected calibration error, and its display."""

import numpy as np
import pytest
from _helpers import CLASSES
from matplotlib import pyplot as plt

from skcnn.uncertainty import (
    ReliabilityDisplay,
    calibration_table,
    expected_calibration_error,
)


def test_true_probabilities_have_a_small_error(calibrated):
    y, proba = calibrated
    assert expected_calibration_error(y, proba, classes=CLASSES) < 0.02


def test_overconfident_probabilities_have_a_large_one(calibrated):
    y, proba = calibrated
    sharp = proba**3 / (proba**3).sum(axis=1, keepdims=True)
    assert expected_calibration_error(y, sharp, classes=CLASSES) > 0.08


def test_table_by_hand():
    proba = [[0.55, 0.45], [0.95, 0.05], [0.05, 0.95], [1.0, 0.0]]
    table = calibration_table(["a", "a", "a", "b"], proba, n_bins=10)
    assert table["images"].tolist() == [1, 3]
    np.testing.assert_allclose(table["low"], [0.5, 0.9])
    np.testing.assert_allclose(table["probability"], [0.55, 2.9 / 3])
    np.testing.assert_allclose(table["accuracy"], [1, 1 / 3])
    error = expected_calibration_error(["a", "a", "a", "b"], proba, n_bins=10)
    assert error == pytest.approx((0.45 + 3 * (2.9 / 3 - 1 / 3)) / 4)


def test_columns_are_read_by_the_names_of_classes():
    proba = [[0.9, 0.1], [0.2, 0.8]]
    y = ["z", "a"]
    assert expected_calibration_error(y, proba, classes=["z", "a"]) == pytest.approx(0.15)
    assert expected_calibration_error(y, proba) == pytest.approx(0.85)


def test_display_shows_the_table(fitted, calibrated):
    y, proba = calibrated
    display = ReliabilityDisplay.from_estimator(fitted, proba, y, n_bins=5)
    points = display.ax_.collections[0].get_offsets()
    np.testing.assert_allclose(points, display.table[["probability", "accuracy"]])
    assert f"{display.error:.3f}" in display.ax_.get_title()
    plt.close(display.figure_)


def test_display_in_given_axes(calibrated):
    y, proba = calibrated
    figure, ax = plt.subplots()
    assert ReliabilityDisplay.from_predictions(y, proba, ax=ax).ax_ is ax
    plt.close(figure)


def test_points_on_the_edge_are_whole_and_clear_of_the_legend():
    # A network that is right more often than it thinks.
    proba = np.linspace(0.55, 0.95, 5).repeat(8)
    both = np.c_[1 - proba, proba]
    table = calibration_table(np.ones(40, dtype=int), both, classes=[0, 1], n_bins=10)
    assert (table["accuracy"] == 1).any()
    ax = ReliabilityDisplay(table=table, error=0.5).plot().ax_
    (points,) = ax.collections
    assert not points.get_clip_on()
    ax.figure.canvas.draw()
    legend = ax.get_legend().get_window_extent()
    places = ax.transData.transform(points.get_offsets())
    assert not any(legend.contains(*place) for place in places)


def test_bins_must_be_there():
    with pytest.raises(ValueError, match="n_bins must be at least 1, got 0"):
        calibration_table(["a", "b"], [[1, 0], [0, 1]], n_bins=0)
