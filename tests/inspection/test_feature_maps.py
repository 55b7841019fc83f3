"""Filters, feature maps and Grad-CAM as arrays."""

import copy
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from torch import nn

from skcnn import ConvNetClassifier, recipes
from skcnn._data._arrays import Images
from skcnn.datasets import make_organisms
from skcnn.inspection import (
    EmbeddingDisplay,
    FeatureMapsDisplay,
    GradCAMDisplay,
    PredictionsDisplay,
    TopLossesDisplay,
    feature_maps,
    filters,
    grad_cam,
)
from skcnn.inspection._feature_maps import read_images


def test_filters_are_the_weights_of_the_layer_with_channels_last(fitted):
    weight = fitted.module_.body.block2[0].convolutions[0].weight.detach()
    found = filters(fitted, "block2.0.convolutions.0")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, weight.permute(0, 2, 3, 1))
    found[:] = 0
    assert weight.abs().max() > 0


def test_a_convolution_can_be_named_by_its_number(fitted):
    convolutions = [layer for layer in fitted.summary().layers if layer.role == "convolution"]
    for number, layer in enumerate(convolutions):
        by_name = filters(fitted, layer.name)
        np.testing.assert_array_equal(filters(fitted, number), by_name)
        np.testing.assert_array_equal(filters(fitted, number - len(convolutions)), by_name)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("block9", "layer='block9' is not a layer of the network. Expected one of .*block1, "),
        (99, r"layer=99 is not a convolution of the network, which has \d+. Expected a number"),
        ("head", "layer='head' is a Linear, which has no filters"),
    ],
)
def test_a_layer_that_there_is_not_is_named(fitted, layer, message):
    with pytest.raises(ValueError, match=message):
        filters(fitted, layer)


@pytest.mark.parametrize("function", [filters, lambda clf: grad_cam(clf, np.zeros((1, 8, 8)))])
def test_an_estimator_that_is_not_fitted_is_refused(function):
    with pytest.raises(NotFittedError):
        function(ConvNetClassifier())


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


@pytest.mark.parametrize("flips", [False, True])
def test_images_come_through_every_door_once(fitted, organisms, flips):
    X = organisms[0][:9]
    clf = copy.copy(fitted).set_params(test_time_flip=flips)
    maps = feature_maps(clf, X, "block1")
    assert len(maps) == 9
    np.testing.assert_array_equal(feature_maps(clf, X.reshape(9, -1), "block1"), maps)
    np.testing.assert_array_equal(read_images(clf, X.reshape(9, -1))[:], X)
    assert clf.test_time_flip == flips


def test_looking_changes_nothing(fitted, organisms):
    X = organisms[0][:20]
    before = (
        fitted.predict_proba(X),
        {k: v.clone() for k, v in fitted.module_.state_dict().items()},
    )
    grad_cam(fitted, X)
    feature_maps(fitted, X)
    np.testing.assert_array_equal(fitted.predict_proba(X), before[0])
    assert all(torch.equal(v, before[1][k]) for k, v in fitted.module_.state_dict().items())
    assert all(p.grad is None for p in fitted.module_.parameters())
    hooks = [(m._forward_hooks, m._forward_pre_hooks) for m in fitted.module_.modules()]
    assert not any(a or b for a, b in hooks)


class Bright(nn.Module):
    """Says "bright" by the mean of a convolution that passes brightness on."""

    def __init__(self, n_channels, n_classes):
        super().__init__()
        self.conv = nn.Conv2d(n_channels, 2, 1, bias=False)
        self.out = nn.Linear(2, n_classes, bias=False)

    def forward(self, x):
        return self.out(self.conv(x).mean((2, 3)))


def test_grad_cam_is_the_weighted_sum_that_the_paper_defines():
    rng = np.random.RandomState(0)
    X, y = rng.rand(40, 6, 8, 1).astype(np.float32), np.arange(40) % 2
    clf = ConvNetClassifier(module=Bright, max_epochs=1, random_state=0).fit(X, y)
    with torch.no_grad():
        clf.module_.own.conv.weight.copy_(torch.tensor([1.0, -1.0]).view(2, 1, 1, 1))
        clf.module_.own.out.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    standard = (X[..., 0] - clf.module_.mean.item()) / clf.module_.scale.item()
    # The gradient of a mean is the same at all places.
    for target, sign in ((0, 1), (1, -1)):
        raw = np.maximum(sign * standard / 48, 0)
        expected = raw / raw.max(axis=(1, 2), keepdims=True)
        np.testing.assert_allclose(grad_cam(clf, X, target, layer=0), expected, atol=1e-5)
    each = grad_cam(clf, X, y, layer=0)
    np.testing.assert_array_equal(each[y == 1], grad_cam(clf, X[y == 1], 1, layer=0))


def test_grad_cam_looks_for_what_is_predicted_unless_told_otherwise(fitted, organisms):
    X = organisms[0][:70]
    maps = grad_cam(fitted, X)
    assert maps.shape == (70, 24, 24)
    assert maps.dtype == np.float32
    assert 0 <= maps.min() <= maps.max() <= 1 + 1e-6
    np.testing.assert_allclose(grad_cam(fitted, X, fitted.predict(X)), maps, atol=1e-6)
    assert np.abs(grad_cam(fitted, X, "newt") - maps).max() > 0.1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": "dodo"}, r"target holds labels that are not among the classes: \['dodo'\]"),
        (
            {"target": ["newt"]},
            r"target has shape \(1,\), expected one label for all images, or 3",
        ),
        (
            {"layer": "head"},
            r"layer='head' has an output of shape \(4,\) per image, which is not",
        ),
        ({"layer": "block7"}, "layer='block7' is not a layer"),
    ],
)
def test_bad_arguments_of_grad_cam(fitted, organisms, arguments, message):
    with pytest.raises(ValueError, match=message):
        grad_cam(fitted, organisms[0][:3], **arguments)


def test_a_stem_that_nothing_was_learnt_before_has_no_gradient(organisms):
    X, y = organisms
    clf = ConvNetClassifier(**recipes.fast, random_state=0)
    clf.set_params(module__filters=(8, 8), max_epochs=3).fit(X[:60], y[:60])
    with pytest.raises(ValueError, match="comes before all trained layers"):
        grad_cam(clf, X[:2], layer=0)
    assert grad_cam(clf, X[:2]).shape == (2, 24, 24)


def test_shortcuts_that_are_pooled_are_not_looked_through(organisms):
    X, y = organisms
    clf = ConvNetClassifier(**recipes.fast, random_state=0)
    clf.set_params(module__filters=(8, 12), module__stem=None, max_epochs=1).fit(X[:60], y[:60])
    last = "block2.0.convolutions.6"
    # Of 12x12 pixels, of which pooling leaves 6x6 on both ways.
    assert feature_maps(clf, X[:2], -1).shape[1:3] == (12, 12)
    np.testing.assert_array_equal(filters(clf, -1), filters(clf, last))
    np.testing.assert_array_equal(grad_cam(clf, X[:2]), grad_cam(clf, X[:2], layer=last))


def test_a_network_without_convolutions_has_nothing_to_look_through(organisms):
    X, y = organisms

    def dense(image_shape, n_classes):
        return nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(image_shape)), n_classes))

    clf = ConvNetClassifier(module=dense, max_epochs=1, random_state=0).fit(X[:40], y[:40])
    with pytest.raises(ValueError, match="The network has no convolution"):
        grad_cam(clf, X[:2])


def test_grad_cam_finds_the_object():
    """Organisms anywhere in noise."""
    rng = np.random.RandomState(0)
    n, side, box = 700, 40, 16
    organisms, y = make_organisms(
        n_samples=n, n_classes=5, image_size=box, difficulty=0.4, random_state=0
    )
    X = rng.randint(60, 180, size=(n, side, side, 3)).astype(np.uint8)
    inside = np.zeros((n, side, side), dtype=bool)
    for number, organism in enumerate(organisms):
        top, left = rng.randint(side - box, size=2)
        place = slice(top, top + box), slice(left, left + box)
        X[number][place] = organism
        inside[number][place] = True
    blocks = {"filters": (16, 32, 64), "convs_per_block": 1}
    clf = ConvNetClassifier(**blocks, max_epochs=18, random_state=0).fit(X[200:], y[200:])
    assert clf.score(X[:200], y[:200]) > 0.9
    maps = grad_cam(clf, X[:200], y[:200])
    mass = (maps * inside[:200]).sum((1, 2)) / np.maximum(maps.sum((1, 2)), 1e-12)
    # By chance it would be the share of the box.
    assert mass.mean() > 2 * box**2 / side**2


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


def test_grad_cam_in_threads_is_that_of_the_own_images_and_class(fitted, organisms):
    X = organisms[0]
    jobs = [(X[5 * n : 5 * n + 2 + n % 4], label) for n in range(12) for label in fitted.classes_]
    expected = [grad_cam(fitted, *job) for job in jobs]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda job: grad_cam(fitted, *job), jobs))
        maps = pool.map(lambda job: feature_maps(fitted, job[0]), jobs)
        assert [len(one) for one in maps] == [len(images) for images, _ in jobs]
    for one, other in zip(found, expected):
        np.testing.assert_array_equal(one, other)
    assert all(p.grad is None for p in fitted.module_.parameters())


@pytest.fixture
def gathered(monkeypatch):
    """Numbers of images that are gathered at once."""
    counts = []
    gather = Images.__getitem__

    def counting(images, rows):
        found = gather(images, rows)
        counts.append(len(found))
        return found

    monkeypatch.setattr(Images, "__getitem__", counting)
    return counts


@pytest.mark.parametrize("function", [feature_maps, grad_cam])
def test_images_are_gathered_in_batches(function, fitted, organisms, gathered):
    X = organisms[0][:150]
    assert len(function(fitted, X)) == 150
    assert gathered == [64, 64, 22]


def test_reading_images_runs_and_gathers_nothing(fitted, organisms, gathered, monkeypatch):
    monkeypatch.setattr(type(fitted.module_), "forward", None)
    images = read_images(fitted, organisms[0])
    assert (len(images), gathered) == (300, [])


@pytest.mark.parametrize(
    ("display", "n_predictions"),
    [(PredictionsDisplay, 1), (TopLossesDisplay, 1), (EmbeddingDisplay, 1), (GradCAMDisplay, 2)],
)
def test_displays_gather_only_the_images_that_they_show(
    display, n_predictions, fitted, organisms, gathered
):
    X, y = organisms
    target = () if display is GradCAMDisplay else (y,)
    drawn = display.from_estimator(fitted, X, *target, max_images=4)
    n_read = 300 if display in (TopLossesDisplay, EmbeddingDisplay) else 4
    assert sum(gathered) == n_predictions * n_read + 4
    assert gathered[-1] == 4
    assert len(drawn.images) == (300 if display is EmbeddingDisplay else 4)


def test_feature_maps_display_runs_the_network_once_for_all_layers(fitted, organisms, gathered):
    display = FeatureMapsDisplay.from_estimator(fitted, organisms[0][0])
    assert (len(display.maps), gathered) == (6, [1, 1])
    for label, maps in display.maps.items():
        name = label.partition("\n")[2]
        np.testing.assert_array_equal(maps, feature_maps(fitted, organisms[0][:1], name)[0])


class WithSpare(Bright):
    """Has a layer that it does not use."""

    def __init__(self, n_channels, n_classes):
        super().__init__(n_channels, n_classes)
        self.spare = nn.Conv2d(n_channels, 2, 1)


def test_layers_that_are_not_used_have_no_feature_maps(organisms):
    X, y = organisms
    clf = ConvNetClassifier(module=WithSpare, max_epochs=1, random_state=0).fit(X[:40], y[:40])
    for function in (feature_maps, lambda clf, X, layer: grad_cam(clf, X, layer=layer)):
        with pytest.raises(ValueError, match="layer='spare' is not used when the network runs"):
            function(clf, X[:2], "spare")


def test_feature_maps_are_those_before_a_layer_that_works_in_place(organisms):
    X, y = organisms

    def in_place(n_channels, n_classes):
        conv = nn.Conv2d(n_channels, 4, 3, stride=6)
        return nn.Sequential(conv, nn.ReLU(inplace=True), nn.Flatten(), nn.LazyLinear(n_classes))

    clf = ConvNetClassifier(module=in_place, max_epochs=1, random_state=0).fit(X[:40], y[:40])
    assert feature_maps(clf, X[:2]).min() < 0
