"""Attention maps of a compact transformer, and their display."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt

from skcnn import ConvNetClassifier
from skcnn.inspection import AttentionDisplay, attention_maps
from skcnn.networks import CompactTransformer


@pytest.fixture(scope="module")
def images():
    """Dark noise with one bright square, left or right."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 60, (160, 16, 16, 3), dtype=np.uint8)
    y = np.arange(160) % 2
    rows = rng.integers(0, 12, 160)
    for image, row, side in zip(X, rows, y):
        left = 2 + 8 * side
        image[row : row + 4, left : left + 4] = 250
    return X, y


@pytest.fixture(scope="module")
def fitted(images):
    X, y = images
    # One value per token and one head, so that attention has to find the square.
    spec = CompactTransformer(depth=2, width=16, heads=2, attention_dropout=0.0)
    clf = ConvNetClassifier(
        module=spec, augment=None, lr=0.02, max_epochs=20, batch_size=16, random_state=0
    )
    return clf.fit(X, y)


@pytest.mark.parametrize("method", ["rollout", "pooling"])
def test_maps_are_of_the_size_of_the_images(fitted, images, method):
    maps = attention_maps(fitted, images[0][:5], method=method)
    assert maps.shape == (5, 16, 16)
    assert maps.dtype == np.float32
    np.testing.assert_allclose(maps.max(axis=(1, 2)), 1)
    assert maps.min() >= 0


def test_rollout_by_hand(fitted, images):
    batch = torch.from_numpy(images[0][:1])
    network = fitted.module_.eval()
    body = network.body
    with torch.no_grad():
        maps = body.tokenizer2(body.tokenizer1(network.standardize(batch)))
        tokens = body.positions(maps)
        weights = []
        for layer in (body.layer1, body.layer2):
            attention = layer.attention
            normalized = attention.norm(tokens)
            heads = [
                matrix(normalized).reshape(1, 16, 2, 8).transpose(1, 2)
                for matrix in (attention.query, attention.key)
            ]
            weights.append((heads[0] @ heads[1].mT / 8**0.5).softmax(-1).mean(1)[0])
            tokens = layer(tokens)
        pooling = body.pool.score(body.norm(tokens))[0, :, 0].softmax(0)
        identity = torch.eye(16)
        rolled = pooling @ ((weights[1] + identity) / 2) @ ((weights[0] + identity) / 2)
    large = torch.nn.functional.interpolate(
        rolled.reshape(1, 1, 4, 4), size=(16, 16), mode="bilinear"
    )[0, 0]
    got = attention_maps(fitted, images[0][:1])[0]
    np.testing.assert_allclose(got, (large / large.max()).numpy(), rtol=1e-4, atol=1e-5)


def test_methods_differ(fitted, images):
    X = images[0][:5]
    rollout, pooling = (attention_maps(fitted, X, method=m) for m in ("rollout", "pooling"))
    assert not np.allclose(rollout, pooling)


def test_threads_get_their_own_maps(fitted, images):
    chunks = np.split(images[0][:32], 8)
    alone = [attention_maps(fitted, chunk) for chunk in chunks]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda chunk: attention_maps(fitted, chunk), chunks * 4))
    for got, expected in zip(together, alone * 4):
        np.testing.assert_array_equal(got, expected)


def test_display(fitted, images):
    display = AttentionDisplay.from_estimator(fitted, images[0], max_images=3)
    assert display.axes_.shape == (2, 3)
    titles = [ax.get_title() for ax in display.axes_[0]]
    assert titles == [str(label) for label in fitted.predict(images[0][:3])]
    np.testing.assert_array_equal(display.axes_[1, 2].images[1].get_array(), display.maps[2])
    plt.close(display.figure_)


def test_networks_without_attention_are_refused(images):
    X, y = images
    clf = ConvNetClassifier(filters=4, max_epochs=1).fit(X, y)
    with pytest.raises(ValueError, match=r"CompactTransformer.*grad_cam"):
        attention_maps(clf, X)


def test_unknown_method(fitted, images):
    with pytest.raises(ValueError, match="rollout, pooling, got 'sum'"):
        attention_maps(fitted, images[0], method="sum")
