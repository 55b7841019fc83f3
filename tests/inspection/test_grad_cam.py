"""Grad-CAM maps, and their display."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
from _helpers import small_blocks, small_net, stripes
from torch import nn

from skcnn import ConvNetClassifier, ConvNetMultiTask, ConvNetSegmenter, recipes
from skcnn.datasets import make_organisms
from skcnn.inspection import GradCAMDisplay, feature_maps, filters, grad_cam
from skcnn.networks import UNet


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


@pytest.mark.slow
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


def test_grad_cam_is_drawn_over_the_images(fitted, organisms):
    X = organisms[0][:3]
    display = GradCAMDisplay.from_estimator(fitted, X, "newt")
    assert [ax.get_title() for ax in display.axes_[0]] == ["newt"] * 3
    for ax, expected in zip(display.axes_[1], grad_cam(fitted, X, "newt")):
        np.testing.assert_array_equal(ax.images[1].get_array(), expected)


def test_grad_cam_is_computed_for_no_more_images_than_are_drawn(fitted, organisms):
    X, y = organisms
    display = GradCAMDisplay.from_estimator(fitted, X, y, max_images=2)
    assert display.axes_.shape == (2, 2)
    np.testing.assert_array_equal(display.maps, grad_cam(fitted, X[:2], y[:2]))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        GradCAMDisplay.from_estimator(fitted, X, y[:2])


SEVERAL = np.arange(120).reshape(60, 2) // 3 % 2


TASKS = {"kind": "classification", "length": "squared_error", "age": "classification"}
# Of each question, the classes and the channel that supports each: the bright one or the dark one.
SUPPORT = {"kind": {"ant": 0, "bug": 1, "fly": 0}, "length": {0: 1}, "age": {3: 0, 8: 1}}


@pytest.fixture(scope="module")
def several():
    """A network for three questions that looks at brightness, images, and the maps by channel."""
    rng = np.random.RandomState(0)
    X, n = rng.rand(42, 6, 8, 1).astype(np.float32), np.arange(42)
    kind, age = np.array(["ant", "bug", "fly"])[n % 3], np.array([3, 8])[n % 2]
    y = pd.DataFrame({"kind": kind, "length": n + 0.5, "age": age})
    net = ConvNetMultiTask(TASKS, module=Bright, max_epochs=1, random_state=0).fit(X, y)
    by_output = [channel for outputs in SUPPORT.values() for channel in outputs.values()]
    with torch.no_grad():
        net.module_.own.conv.weight.copy_(torch.tensor([1.0, -1.0]).view(2, 1, 1, 1))
        net.module_.own.out.weight.copy_(torch.eye(2)[by_output])
    standard = (X[..., 0] - net.module_.mean.item()) / net.module_.scale.item()
    raw = np.maximum([standard, -standard], 0)
    return net, X, raw / raw.max(axis=(2, 3), keepdims=True)


@pytest.mark.parametrize("task", TASKS)
def test_each_of_several_questions_is_explained_by_its_own_outputs(task, several):
    net, X, by_channel = several
    for label, channel in SUPPORT[task].items():
        maps = grad_cam(net, X, label, layer=0, task=task)
        np.testing.assert_allclose(maps, by_channel[channel], atol=1e-5)
    answers = [0] * len(X) if task == "length" else net.predict(X)[task]
    channels = [SUPPORT[task][answer] for answer in answers]
    expected = by_channel[channels, np.arange(len(X))]
    np.testing.assert_allclose(grad_cam(net, X, layer=0, task=task), expected, atol=1e-5)


def test_the_answer_that_is_explained_is_named(several):
    net, X, _ = several
    predicted = net.predict(X[:3])
    shown = {
        task: [
            ax.get_title() for ax in GradCAMDisplay.from_estimator(net, X[:3], task=task).axes_[0]
        ]
        for task in TASKS
    }
    assert shown == {
        "kind": [f"predicted: {label}" for label in predicted["kind"]],
        "length": [f"predicted: {number:.3g}" for number in predicted["length"]],
        "age": [f"predicted: {label}" for label in predicted["age"]],
    }
    display = GradCAMDisplay.from_estimator(net, X[:3], "bug", task="kind")
    assert [ax.get_title() for ax in display.axes_[0]] == ["bug"] * 3


@pytest.mark.parametrize("names", [None, ["tree", "state"]])
def test_a_column_of_labels_is_explained_by_its_name_or_number(names):
    X, y = stripes(60)
    labels = np.column_stack(
        [np.array(["fir", "oak", "yew"])[y], np.array(["old", "young"])[y % 2]]
    )
    labels = labels if names is None else pd.DataFrame(labels, columns=names)
    clf = small_net(max_epochs=2).fit(X, labels)
    one, other = names or (0, 1)
    predicted = clf.predict(X[:9])
    for place, task in enumerate((one, other)):
        maps = grad_cam(clf, X[:9], task=task)
        np.testing.assert_array_equal(maps, grad_cam(clf, X[:9], predicted[:, place], task=task))
        display = GradCAMDisplay.from_estimator(clf, X[:2], task=task)
        assert [ax.get_title() for ax in display.axes_[0]] == [
            f"predicted: {label}" for label in predicted[:2, place]
        ]
    assert not np.array_equal(
        grad_cam(clf, X[:9], "oak", task=one), grad_cam(clf, X[:9], "old", task=other)
    )
    if names is None:
        # As R hands over a number.
        np.testing.assert_array_equal(grad_cam(clf, X[:9], task=1.0), maps)


@pytest.mark.parametrize("function", [grad_cam, GradCAMDisplay.from_estimator])
def test_a_question_must_be_one_of_those_that_are_answered(function, several, fitted, organisms):
    net, X, _ = several
    with pytest.raises(TypeError, match=r"the tasks \['kind', .*for example task='kind'"):
        function(net, X[:2])
    with pytest.raises(ValueError, match=r"task='sex' is none of the tasks \['kind', 'length'"):
        function(net, X[:2], task="sex")
    with pytest.raises(ValueError, match=r"not among the classes: \['ant'\]|same type"):
        function(net, X[:2], "ant", task="age")
    with pytest.raises(ValueError, match=r"answers only one\. Leave task out"):
        function(fitted, organisms[0][:2], task="kind")


def test_label_images_have_no_single_class_to_explain():
    X, _ = stripes(60)
    segmenter = ConvNetSegmenter(UNet(small_blocks()), max_epochs=1).fit(X, X[..., 0] > 128)
    for function in (grad_cam, GradCAMDisplay.from_estimator):
        for target in (None, 3):
            with pytest.raises(TypeError, match=r"grad_cam shows one label.*images. Use MaskDis"):
                function(segmenter, X[:2], target)


@pytest.mark.parametrize("names", [None, ["fox", "elk", "owl"]])
def test_of_several_labels_the_one_that_is_explained_is_named(names):
    X, _ = stripes(60)
    y = np.column_stack([SEVERAL, np.ones(60, dtype=int)])
    y = y if names is None else pd.DataFrame(y, columns=names)
    clf = small_net(max_epochs=1).fit(X, y)
    likeliest = clf.classes_[clf.predict_proba(X[:4]).argmax(axis=1)]
    display = GradCAMDisplay.from_estimator(clf, X[:4])
    titles = [ax.get_title() for ax in display.axes_[0]]
    assert titles == [str(label) for label in likeliest]
    np.testing.assert_array_equal(display.maps, grad_cam(clf, X[:4], likeliest))
    one = GradCAMDisplay.from_estimator(clf, X[:4], clf.classes_[0])
    assert [ax.get_title() for ax in one.axes_[0]] == [str(clf.classes_[0])] * 4
