"""MAPIE makes sets of labels, of flattened images and, where it takes them, of images."""

import numpy as np
import pytest
from _ecosystem import needs, run_example
from _helpers import small_regressor, stripes

needs("mapie")


def test_sets_hold_the_true_label_as_often_as_they_are_to():
    names = run_example("from mapie.classification import SplitConformalClassifier")
    sets, y_test = names["sets"][..., 0], names["y_test"]
    assert sets.shape == (100, 3)
    assert sets[np.arange(100), y_test].mean() > 0.8
    assert names["clf"].image_shape_ == (16, 16, 3)
    # The page says so.
    refused = names["SplitConformalClassifier"](names["clf"], confidence_level=0.9, prefit=True)
    with pytest.raises(ValueError, match="Invalid mismatch"):
        refused.conformalize(names["X"][200:], names["y"][200:])


def test_a_regressor_takes_images_as_they_are():
    from mapie.regression import SplitConformalRegressor

    X, y = stripes(150)
    net = small_regressor(max_epochs=3).fit(X[:60], y[:60] * 1.0)
    conformal = SplitConformalRegressor(net, confidence_level=0.8, prefit=True)
    conformal.conformalize(X[60:110], y[60:110] * 1.0)
    intervals = conformal.predict_interval(X[110:])[1][..., 0]
    inside = (intervals[:, 0] <= y[110:]) & (y[110:] <= intervals[:, 1])
    assert inside.mean() > 0.6
