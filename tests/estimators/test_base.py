"""What every estimator around an image network has: the summary of its network."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from torch import nn

from skcnn import ConvNetClassifier, recipes


@pytest.fixture(scope="module")
def fitted(images, labels):
    clf = ConvNetClassifier((4, 4), convs_per_block=1, max_epochs=1, random_state=0)
    return clf.fit(images, labels)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_shape": (8, 8)}, r"image_shape=\(8, 8\) and n_classes=None. Expected both"),
        ({"n_classes": 3}, "image_shape=None and n_classes=3. Expected both"),
        ({"image_shape": (8,), "n_classes": 3}, "image_shape must be"),
        ({"image_shape": (1, 2, 0), "n_classes": 3}, "image_shape must be"),
        ({"image_shape": (2, 2), "n_classes": 3}, "pool_size"),
    ],
    ids=["shape", "classes", "short_shape", "empty_shape", "pooled_away"],
)
def test_a_summary_needs_to_know_what_of(arguments, message, fitted):
    for clf in (ConvNetClassifier(filters=(4, 4)), fitted):
        with pytest.raises(ValueError, match=message):
            clf.summary(**arguments)


def test_a_summary_does_not_disturb_a_fit_in_another_thread(images, labels):
    """The summary builds its network while the fit draws the random numbers of its dropout."""
    builds, fitting, main = threading.Event(), threading.Event(), threading.get_ident()

    def module(n_channels, n_outputs):
        if threading.get_ident() != main:
            torch.rand(5)
            builds.set()
            time.sleep(0.3)
        layers = [nn.Conv2d(n_channels, 4, 3), nn.Flatten(), nn.Dropout(0.5)]
        return nn.Sequential(*layers, nn.LazyLinear(n_outputs))

    class Waits(Callback):
        def on_epoch_begin(self, net, **kwargs):
            fitting.set()
            # Where fits and summaries take turns, nothing comes.
            builds.wait(0.3)

    parameters = {"module": module, "max_epochs": 2, "random_state": 0}
    alone = ConvNetClassifier(**parameters).fit(images, labels)

    def summarize():
        fitting.wait()
        return ConvNetClassifier(**parameters).summary((8, 8, 3), 3)

    with ThreadPoolExecutor(1) as pool:
        summary = pool.submit(summarize)
        beside = ConvNetClassifier(**parameters, callbacks=[Waits()]).fit(images, labels)
        assert summary.result().output_shape == (3,)
    assert beside.loss_curve_ == alone.loss_curve_


@pytest.mark.parametrize(("n_classes", "n_parameters"), [(61, 944_509), (56, 941_944)])
def test_summary_counts_the_parameters_of_the_lesson(n_classes, n_parameters):
    summary = ConvNetClassifier(**recipes.lesson).summary((32, 32, 3), n_classes=n_classes)
    assert summary.n_parameters == n_parameters
    assert f"{n_parameters:,} parameters" in str(summary)
    assert summary.output_shape == (n_classes,)


@pytest.mark.parametrize(
    ("parameters", "n_parameters"),
    [
        pytest.param({"filters": (4, 5)}, None, id="flat parameters"),
        pytest.param(recipes.lesson, (944_509, 941_944), id="lesson"),
    ],
)
def test_summary_is_the_same_before_and_after_fit(parameters, n_parameters):
    X = np.random.RandomState(0).randint(256, size=(122, 32, 32, 3)).astype(np.uint8)
    y = np.arange(122) % 61
    clf = ConvNetClassifier(**parameters | {"max_epochs": 1}, device="cpu", random_state=0)
    before = clf.summary((32, 32, 3), n_classes=61)
    assert not hasattr(clf, "image_shape_")
    after = clf.fit(X, y).summary()
    assert after == before
    assert after.layers == before.layers
    assert after.n_parameters == sum(p.numel() for p in clf.module_.parameters())
    # Asking about another network than the fitted one leaves that alone.
    other = clf.summary((32, 32, 3), n_classes=56)
    assert other.n_parameters < after.n_parameters
    assert clf.summary() == before
    if n_parameters:
        assert (after.n_parameters, other.n_parameters) == n_parameters


def test_summary_lists_each_layer(fitted):
    summary = fitted.summary()
    convolutions = [layer for layer in summary.layers if layer.role == "convolution"]
    assert [layer.type for layer in convolutions] == ["Conv2d", "Conv2d"]
    assert sum(layer.n_parameters for layer in summary.layers) == summary.n_parameters
    assert summary.layers[-1].name == "head"
    assert summary.layers[-1].output_shape == (3,)
