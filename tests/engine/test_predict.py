"""Running images through a fitted network."""

import numpy as np
import pytest
import torch
from _helpers import logits_of, make_net, outputs_of, train
from hypothesis import given
from hypothesis import strategies as st

from skcnn._engine import _predict
from skcnn._engine._predict import PredictionBatching, plan_batches, run_images

CPU = torch.device("cpu")
SIDES = st.integers(1, 2000)


@given(st.tuples(SIDES, SIDES, st.integers(1, 4)), st.integers(0, 10**12))
def test_batches_hold_an_image_at_least(image_shape, multiply_adds):
    batching = plan_batches(image_shape, multiply_adds, 1000, CPU)
    size = batching.batch_size
    assert 1 <= size <= 512
    # Only where the network is small are batches filled, and then with little work.
    assert batching.pad == (multiply_adds <= 250_000)
    assert not batching.pad or size * multiply_adds <= 4_000_000
    assert batching.pad or size == 1 or size * image_shape[0] * image_shape[1] <= 2**18


@given(st.integers(1, 10**9), st.integers(0, 10**12))
def test_on_a_gpu_batches_take_a_share_of_its_memory(n_values, free):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_predict, "free_bytes", lambda device: free)
        batching = plan_batches((32, 32, 3), 10**7, n_values, torch.device("cuda"))
    assert 1 <= batching.batch_size <= 2**14
    assert batching.batch_size == 1 or 4 * n_values * batching.batch_size <= free / 4
    assert not batching.pad


@pytest.mark.parametrize("size", [1, 7, 60, 512])
def test_outputs_are_those_of_the_network(size, images):
    net = make_net()
    outputs = outputs_of(net, images, batch_size=size)
    assert (outputs.shape, outputs.dtype) == ((60, 3), np.float32)
    np.testing.assert_allclose(outputs, logits_of(net, images), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("batching", [{"batch_size": 7}, {"batch_size": 16, "pad": True}], ids=str)
def test_outputs_may_be_the_mean_of_an_image_and_its_mirror_image(batching, images):
    net = make_net()
    batching = PredictionBatching(**batching)
    flipped = run_images(net.module_, images, CPU, batching, flip=True)
    mirrored = np.ascontiguousarray(images[:, :, ::-1])
    expected = (logits_of(net, images) + logits_of(net, mirrored)) / 2
    np.testing.assert_allclose(flipped, expected, rtol=1e-5, atol=1e-6)
    assert not np.allclose(flipped, logits_of(net, images), atol=1e-4)


def test_outputs_of_a_single_batch_are_those_of_the_network_bit_for_bit(images):
    net = make_net()
    outputs = outputs_of(net, images, batch_size=60)
    np.testing.assert_array_equal(outputs, logits_of(net, images))


@pytest.mark.parametrize("pad", [False, True], ids=["as_they_come", "padded"])
def test_features_are_what_goes_into_the_head(pad, images):
    net = make_net(network={"dense_units": 6}, batching=PredictionBatching(25, pad))
    features = outputs_of(net, images, features=True)
    assert features.shape == (60, 6)
    with torch.inference_mode():
        logits = net.module_.head(torch.tensor(features))
    np.testing.assert_allclose(logits, outputs_of(net, images), rtol=1e-5, atol=1e-6)


def test_outputs_are_made_without_dropout_and_with_the_statistics_of_training(images):
    net = train(make_net(network={"normalization": "batch", "dropout": 0.5}), images)
    net.module_.train()
    first = outputs_of(net, images)
    np.testing.assert_array_equal(outputs_of(net, images), first)
    np.testing.assert_allclose(outputs_of(net, images[:1]), first[:1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "network",
    [
        {},
        {"filters": (5, 7), "normalization": "batch"},
        {"filters": (8, 16), "global_pool": None},
        {"filters": (10,), "dense_units": 10},
    ],
    ids=["one_block", "two_blocks", "flatten", "dense"],
)
def test_in_filled_batches_the_company_makes_no_difference(network, images):
    net = make_net(batching=PredictionBatching(16, pad=True), network=network)
    together = outputs_of(net, images)
    np.testing.assert_allclose(together, logits_of(net, images), rtol=1e-4, atol=1e-5)
    for number in range(0, 60, 7):
        np.testing.assert_array_equal(outputs_of(net, images[[number]])[0], together[number])
    backwards = outputs_of(net, images[::-1])[::-1]
    np.testing.assert_array_equal(backwards, together)
    np.testing.assert_array_equal(outputs_of(net, images[5:40]), together[5:40])
