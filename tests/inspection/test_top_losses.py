"""The images with the highest losses."""

import numpy as np

from skcnn.inspection import TopLossesDisplay


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
