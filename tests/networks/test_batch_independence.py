"""Batches are filled up only where neither a layer nor a hook notices."""

import numpy as np
import pytest
import torch
from _helpers import small_net, stripes
from torch import nn

from skcnn import FeatureExtractor
from skcnn.networks import Backbone, ConvBlocks, ImageNetwork, NetworkSpec
from skcnn.networks._batch_independence import is_batch_independent

X, Y = stripes(60)


class Centered(nn.Module):
    """Compares each image with the mean of its batch."""

    def forward(self, images):
        return images - images.mean(0)


def _body(*across):
    return [
        nn.Conv2d(3, 4, 3),
        *across,
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    ]


class AcrossSpec(NetworkSpec):
    def build(self, image_shape, n_outputs, *, measured=None, clip_pool_size=False):
        body = nn.Sequential(*_body(Centered()))
        return ImageNetwork(
            body, nn.Linear(4, n_outputs), **(measured or {"mean": [0.0] * 3, "scale": [1.0] * 3})
        )


OWN = {
    "normalized": lambda: nn.Sequential(
        *_body(nn.BatchNorm2d(4, track_running_stats=False)), nn.Linear(4, 3)
    ),
    "centered": lambda: nn.Sequential(*_body(Centered()), nn.Linear(4, 3)),
    "specification": AcrossSpec(),
}


@pytest.mark.parametrize("case", OWN)
def test_modules_that_look_across_the_batch_see_only_its_images(case):
    clf = small_net(module=OWN[case], max_epochs=1).fit(X, Y)
    assert clf.net_.batching.pad
    few = X[:7]
    with torch.inference_mode():
        expected = clf.module_.eval()(torch.from_numpy(few)).softmax(1)
    np.testing.assert_allclose(clf.predict_proba(few), expected, rtol=1e-5, atol=1e-6)
    filled = np.concatenate([few, np.repeat(few[-1:], 50, 0)])
    with torch.inference_mode():
        wrong = clf.module_(torch.from_numpy(filled)).softmax(1)[:7]
    assert not np.allclose(wrong, expected, atol=1e-4)


def test_features_of_a_body_that_looks_across_the_batch_are_those_of_its_images():
    donor = small_net(module=AcrossSpec(), max_epochs=1).fit(X, Y)
    extractor = FeatureExtractor(Backbone(donor)).fit(X)
    with torch.inference_mode():
        expected = extractor.module_.features(torch.from_numpy(X[:7]))
    np.testing.assert_allclose(extractor.transform(X[:7]), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["register_forward_hook", "register_forward_pre_hook"])
def test_hooks_see_the_images_that_were_passed_and_no_others(kind):
    clf = small_net(max_epochs=1).fit(X, Y)
    assert clf.net_.batching.pad
    before = clf.predict_proba(X[:7])
    seen = []
    handle = getattr(clf.module_.head, kind)(lambda *call: seen.append(len(call[1][0])))
    after = clf.predict_proba(X[:7])
    handle.remove()
    assert seen == [7]
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(clf.predict_proba(X[:7]), before)


@pytest.mark.parametrize(
    "parameters",
    [{}, {"normalization": "batch"}, {"residual": True, "normalization": "batch"}],
    ids=str,
)
def test_batches_of_built_in_networks_are_filled(parameters):
    assert is_batch_independent(ConvBlocks((8, 8), **parameters).build((8, 8, 3), n_outputs=3))
