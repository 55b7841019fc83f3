"""Predictions for single images, and their display."""

import numpy as np

from skcnn.inspection import PredictionsDisplay


def test_predictions_are_told_apart_without_colour(organisms):
    X, _ = organisms
    probability = np.array([[0.7, 0.3], [0.6, 0.4]])
    display = PredictionsDisplay.from_predictions(
        X[:2], probability, ["elk", "oak"], classes=["elk", "oak"]
    )
    right, wrong = display.axes_.flat
    assert right.get_title() == "✓ elk 70%"
    assert right.get_xlabel() == ""
    assert wrong.get_title() == "✗ elk 60%"
    assert wrong.get_xlabel() == "actual: oak 40%"
    lines = [ax.spines["top"].get_linestyle() for ax in (right, wrong)]
    assert lines == ["-", "--"]


def test_predictions_need_no_labels(fitted, organisms):
    X, _ = organisms
    display = PredictionsDisplay.from_estimator(fitted, X[:3])
    probability = fitted.predict_proba(X[:3])
    for ax, label, share in zip(display.axes_.flat, fitted.predict(X[:3]), probability.max(1)):
        title = ax.get_title().replace("\n", "").replace("_ ", "_")
        assert title == f"{label} {share:.0%}"
