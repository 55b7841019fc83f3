"""Figures and displays of images that come as paths of files."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from _helpers import small_net, stripes
from _image_files import photograph, write_images
from numpy.testing import assert_array_equal
from sklearn.pipeline import make_pipeline

from skcnn.inspection import (
    ChannelsDisplay,
    ConfusionDisplay,
    EmbeddingDisplay,
    FeatureMapsDisplay,
    GradCAMDisplay,
    ImageGridDisplay,
    LearningRateDisplay,
    PredictionsDisplay,
    ProbabilitiesDisplay,
    TopLossesDisplay,
    feature_maps,
    find_duplicates,
    grad_cam,
    learning_rate_curve,
)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    X, y = stripes(60)
    paths = write_images(tmp_path_factory.mktemp("images"), X)
    return X, y, paths, small_net(max_epochs=2).fit(X, y)


@pytest.mark.parametrize("form", [list, np.array, pd.Series, lambda p: pd.DataFrame({"path": p})])
def test_figures_are_those_of_arrays(form, data):
    X, _, paths, clf = data
    files = form(paths)
    assert_array_equal(feature_maps(clf, files), feature_maps(clf, X))
    assert_array_equal(grad_cam(clf, files), grad_cam(clf, X))
    assert_array_equal(grad_cam(make_pipeline(clf), paths[3]), grad_cam(clf, X[3:4]))


def test_learning_rates_are_tried_on_files(data):
    X, y, paths, clf = data
    found = learning_rate_curve(clf, paths, y, n_steps=12)
    assert_array_equal(found.loss, learning_rate_curve(clf, X, y, n_steps=12).loss)
    LearningRateDisplay.from_estimator(clf, paths, y, n_steps=12)


@pytest.mark.parametrize("form", [list, lambda p: pd.DataFrame({"path": p})])
def test_displays_of_predictions_draw_files(form, data):
    X, y, paths, clf = data
    files = form(paths)
    for display in (PredictionsDisplay, ProbabilitiesDisplay, TopLossesDisplay):
        found = display.from_estimator(clf, files, y, max_images=5)
        expected = display.from_estimator(clf, X, y, max_images=5)
        assert_array_equal(found.images, expected.images)
    assert_array_equal(
        GradCAMDisplay.from_estimator(clf, files, y, max_images=3).maps,
        GradCAMDisplay.from_estimator(clf, X, y, max_images=3).maps,
    )
    ConfusionDisplay.from_estimator(clf, files, y)
    assert EmbeddingDisplay.from_estimator(clf, files, y).embedding.shape == (60, 2)


def test_one_path_is_drawn(data):
    X, _, paths, clf = data
    for display in (PredictionsDisplay, ProbabilitiesDisplay, GradCAMDisplay):
        assert len(display.from_estimator(clf, paths[0]).images) == 1
    found = FeatureMapsDisplay.from_estimator(clf, paths[0])
    assert_array_equal(found.image, X[0])


def test_top_losses_leave_out_what_cannot_be_read(data):
    X, y, paths, _ = data
    skipping = small_net(max_epochs=2, on_error="skip").fit(X, y)
    mixed = [*paths[:4], "missing.jpg"]
    with pytest.warns(UserWarning, match="1 of 5"):
        display = TopLossesDisplay.from_estimator(skipping, mixed, y[:5])
    assert len(display.images) == 4
    # Skipping is what this network does, and nothing to offer.
    with pytest.raises(ValueError, match=r"missing\.jpg does not exist\nRepair.* out\.$"):
        grad_cam(skipping, mixed)
    with (
        pytest.warns(UserWarning, match="1 of 1"),
        pytest.raises(ValueError, match="No image has a prediction and a known label"),
    ):
        TopLossesDisplay.from_estimator(skipping, mixed[4:], y[4:5])


def test_displays_without_a_network_offer_no_skipping(data):
    *_, paths, _ = data
    for make in (find_duplicates, lambda X: ImageGridDisplay(X).plot()):
        with pytest.raises(ValueError, match=r"missing\.jpg does not exist\nRepair.* out\.$"):
            make([*paths[:2], "missing.jpg"])


def test_grid_reads_the_files_that_it_draws(data, tmp_path):
    X, y, paths, _ = data
    display = ImageGridDisplay([*paths[:6], "missing.jpg"], [*y[:6], 0]).plot(max_images=6)
    drawn = [ax.images[0].get_array() for ax in display.axes_.flat if ax.images]
    assert_array_equal(np.round(255 * np.array(drawn)), X[:6])
    photograph(300, 150).save(tmp_path / "wide.jpg")
    display = ImageGridDisplay([tmp_path / "wide.jpg"]).plot()
    assert display.axes_.flat[0].images[0].get_array().shape == (96, 96, 3)
    assert len(ChannelsDisplay(tmp_path / "wide.jpg").plot().axes_.flat) >= 4
