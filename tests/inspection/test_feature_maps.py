"""Feature maps, and their display."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
from _image_files import write_images

from skcnn import ConvNetClassifier
from skcnn.datasets import make_images_and_covariates
from skcnn.inspection import FeatureMapsDisplay, feature_maps


def test_feature_maps_are_what_the_layer_makes(fitted, organisms):
    X = organisms[0][:7]
    maps = feature_maps(fitted, X)
    with torch.inference_mode():
        network = fitted.module_
        standard = (torch.from_numpy(X).float() - network.mean) / network.scale
        layer = network.body.block1[0].convolutions[0]
        expected = layer(standard.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-4)


def test_the_feature_maps_of_the_output_layer_are_the_logits(fitted, organisms):
    X = organisms[0]
    np.testing.assert_allclose(
        feature_maps(fitted, X, "head"), fitted.decision_function(X), rtol=1e-4, atol=1e-4
    )


@pytest.mark.slow
def test_feature_maps_in_threads_are_those_of_the_own_images(fitted, organisms):
    X = organisms[0]
    groups = [X[8 * number : 8 * number + 3 + number % 5] for number in range(16)]
    layers = ["block1", "block2.0.convolutions.0", 0, -1]
    jobs = [(group, layer) for group in groups for layer in layers] * 3
    expected = [feature_maps(fitted, group, layer) for group, layer in jobs]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda job: feature_maps(fitted, *job), jobs))
    for one, other in zip(found, expected):
        np.testing.assert_array_equal(one, other)


def test_feature_maps_display_runs_the_network_once_for_all_layers(fitted, organisms, gathered):
    display = FeatureMapsDisplay.from_estimator(fitted, organisms[0][0])
    assert (len(display.maps), gathered) == (6, [1, 1])
    for label, maps in display.maps.items():
        name = label.partition("\n")[2]
        np.testing.assert_array_equal(maps, feature_maps(fitted, organisms[0][:1], name)[0])


def test_feature_maps_show_convolutions_and_pooling_side_by_side(fitted, organisms):
    display = FeatureMapsDisplay.from_estimator(fitted, organisms[0][0])
    kinds = [name.partition("\n")[0] for name in display.maps]
    assert kinds == ["convolution", "pooling"] * 3
    label = display.axes_[2, 0].texts[0].get_text()
    assert label.splitlines() == ["pooling", "block1.2", "12×12×8"]


def test_feature_maps_of_no_images_are_refused(fitted, organisms):
    with pytest.raises(ValueError, match="layer='head' has an output of shape \\(4,\\) per image"):
        FeatureMapsDisplay.from_estimator(fitted, organisms[0][0], ["head"])


@pytest.mark.parametrize("shape", [(24, 24, 3), (24, 24), (24, 24, 1)], ids=str)
def test_feature_maps_take_an_image_or_a_batch_of_one(shape, organisms):
    X = organisms[0][:32]
    X = X if shape[-1] == 3 else X[..., 0].reshape(-1, *shape)
    clf = ConvNetClassifier(filters=(4,), max_epochs=1, random_state=0)
    clf.fit(X, np.arange(32) % 2)
    for one, batch in ((X[0], X[:1]), (X[0].ravel(), X[:1].reshape(1, -1))):
        drawn = [FeatureMapsDisplay.from_estimator(clf, image).maps for image in (one, batch)]
        for name, maps in drawn[0].items():
            np.testing.assert_array_equal(maps, drawn[1][name])


def test_the_image_may_be_a_row_of_a_table(organisms):
    X, y = organisms[0][:40], organisms[1][:40]
    habitat = pd.Categorical(["bog", "heath"] * 20)
    table = make_images_and_covariates(X, pd.DataFrame({"depth": range(40), "habitat": habitat}))
    clf = ConvNetClassifier((4, 8), max_epochs=1, random_state=0).fit(table, y)
    expected = feature_maps(clf, table[3:4])[0]
    for row in (table[3:4], table.iloc[3]):
        display = FeatureMapsDisplay.from_estimator(clf, row, layers=[0])
        np.testing.assert_array_equal(display.image, X[3])
        np.testing.assert_array_equal(next(iter(display.maps.values())), expected)
    with pytest.raises(ValueError, match="image is a table of 40 rows"):
        FeatureMapsDisplay.from_estimator(clf, table)


def test_a_row_of_paths_with_a_box_is_that_part_of_the_image(fitted, organisms, tmp_path):
    paths = write_images(tmp_path, organisms[0][:2])
    part = {"box_x": 0.0, "box_y": 0.5, "box_width": 0.5, "box_height": 0.5}
    table = pd.DataFrame({"path": paths, **part})
    expected = feature_maps(fitted, table[1:])[0]
    for row in (table[1:], table.iloc[1]):
        display = FeatureMapsDisplay.from_estimator(fitted, row, layers=[0])
        np.testing.assert_array_equal(next(iter(display.maps.values())), expected)
