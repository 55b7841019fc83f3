"""Predictions for single images, and their display."""

import numpy as np
import pytest
from _helpers import small_net

from skcnn import ConvNetRegressor
from skcnn.inspection import DensityDisplay, GradCAMDisplay, PredictionsDisplay


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


@pytest.mark.parametrize(
    ("actual", "text"),
    [(2023, "2023"), (45123.4, "45123"), (738000.0, "738000"), (0.01234, "0.01234"), (-2, "-2")],
)
def test_numbers_have_all_digits_before_the_point(actual, text, organisms):
    """As powers of ten, the years 2018 and 2023 would look the same."""
    X, _ = organisms
    display = PredictionsDisplay.from_predictions(X[:1], np.array([actual]), [actual])
    (ax,) = display.axes_.flat
    assert (ax.get_title(), ax.get_xlabel()) == (f"predicted {text}", f"actual {text}")
    maps = np.full((1, *X.shape[1:3]), actual / X[0, ..., 0].size)
    if actual > 0:
        display = DensityDisplay(images=X[:1], maps=maps, actual=np.array([actual]))
        assert f"actual {text}" in str(display.labels[0])


def test_maps_of_a_regressor_name_its_predictions_in_full(organisms):
    X, _ = organisms
    years = 2000.0 + np.arange(40)
    reg = small_net(ConvNetRegressor, max_epochs=1).fit(X[:40], years)
    display = GradCAMDisplay.from_estimator(reg, X[:2])
    titles = [ax.get_title().replace("\n", " ") for ax in display.axes_[0]]
    assert titles == [f"predicted: {number:.0f}" for number in reg.predict(X[:2])]
    counting = small_net(ConvNetRegressor, loss="poisson", global_pool="sum", max_epochs=1)
    counting = counting.fit(X[:40], years * 1e-6)
    display = DensityDisplay.from_estimator(counting, X[:1])
    assert float(str(display.labels[0]).removeprefix("predicted ")) == pytest.approx(
        counting.predict(X[:1])[0], rel=0.01
    )
    for output in (1, -1, "b"):
        with pytest.raises(ValueError, match=f"output={output!r} is no output.*from 0 to 0"):
            DensityDisplay.from_estimator(counting, X[:1], output=output)
