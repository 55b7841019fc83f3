"""The images with the highest losses."""

import numpy as np
import pandas as pd
import pytest

from skcnn.inspection import (
    EmbeddingDisplay,
    PredictionsDisplay,
    ProbabilitiesDisplay,
    TopLossesDisplay,
)


def test_top_losses_are_the_images_whose_label_was_least_expected(fitted, organisms):
    X, y = organisms
    display = TopLossesDisplay.from_estimator(fitted, X, y, max_images=4)
    probability = fitted.predict_proba(X)
    share = probability[np.arange(len(y)), np.searchsorted(fitted.classes_, y)]
    worst = np.argsort(share, kind="stable")
    np.testing.assert_array_equal(display.images, X[worst[:4]])
    np.testing.assert_allclose(display.actual_probability, share[worst[:4]], rtol=1e-4)
    assert display.axes_.size == 4
    same = TopLossesDisplay.from_predictions(X, probability, y, classes=fitted.classes_)
    np.testing.assert_array_equal(same.images, X[worst])


@pytest.mark.parametrize("table", [lambda y: pd.DataFrame({"species": y}), lambda y: y[:, None]])
def test_labels_may_be_a_table_of_one_column(table, fitted, organisms):
    X, y = organisms[0][:20], organisms[1][:20]
    for make in (TopLossesDisplay, PredictionsDisplay, ProbabilitiesDisplay):
        shown = make.from_estimator(fitted, X, table(y), max_images=3).actual
        expected = make.from_estimator(fitted, X, y, max_images=3).actual
        np.testing.assert_array_equal(shown, expected)
    display = EmbeddingDisplay.from_estimator(fitted, X, table(y))
    np.testing.assert_array_equal(display.labels, y)
    probability = fitted.predict_proba(X)
    display = PredictionsDisplay.from_predictions(
        X, probability, table(y), classes=fitted.classes_
    )
    np.testing.assert_array_equal(display.actual, y)
