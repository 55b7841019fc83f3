"""Batch normalization of small groups of images in large batches."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from skcnn import ConvNetClassifier
from skcnn._engine._averaging import WeightAverage
from skcnn.datasets import make_organisms
from skcnn.networks import ConvBlocks, UNet
from skcnn.networks._folding import fold
from skcnn.networks._ghost import GROUP_SIZE, GhostBatchNorm2d, MirroredGhostBatchNorm2d
from skcnn.networks._mirror import MirroredBatchNorm2d

SIZES = [2, 31, 63, 64, 96, 100, 127]


def groups_of(n):
    """The slices of a batch that are normalized by themselves, by hand."""
    starts = [GROUP_SIZE * number for number in range(max(1, n // 32))]
    return [slice(start, stop) for start, stop in zip(starts, [*starts[1:], n])]


def with_factors(layer):
    with torch.no_grad():
        layer.weight.copy_(torch.linspace(-1, 2, len(layer.weight)))
        layer.bias.copy_(torch.linspace(3, 1, len(layer.bias)))
    return layer


def maps_of(n, channels=4):
    generator = torch.Generator().manual_seed(n)
    maps = torch.rand(n, channels, 3, 2, generator=generator) * 5
    # Groups differ, so that it makes a difference what is in which.
    return maps + torch.arange(n)[:, None, None, None] / 10


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("n", SIZES)
def test_each_group_is_normalized_by_itself(n, layout):
    maps = maps_of(n)
    layer = with_factors(GhostBatchNorm2d(4))
    expected = []
    for group in groups_of(n):
        images = maps[group]
        mean = images.mean((0, 2, 3), keepdim=True)
        deviation = (images.var((0, 2, 3), correction=0, keepdim=True) + layer.eps).sqrt()
        factors, shifts = (p[:, None, None] for p in (layer.weight, layer.bias))
        expected.append((images - mean) / deviation * factors + shifts)
    assert sum(map(len, expected)) == n
    assert n < 64 or 32 <= len(expected[-1]) < 64
    found = layer(maps.to(memory_format=layout))
    torch.testing.assert_close(found, torch.cat(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n", SIZES)
def test_gradients_are_those_of_the_groups_one_by_one(n):
    maps, weight = maps_of(n).requires_grad_(), maps_of(n + 1)[:n]
    ghost, plain = with_factors(GhostBatchNorm2d(4)), with_factors(nn.BatchNorm2d(4))
    (ghost(maps).square() * weight).sum().backward()
    found = [maps.grad, ghost.weight.grad, ghost.bias.grad]
    maps.grad = None
    for group in groups_of(n):
        (plain(maps[group]).square() * weight[group]).sum().backward()
    for one, other in zip(found, (maps.grad, plain.weight.grad, plain.bias.grad)):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("momentum", [0.1, None])
def test_running_statistics_and_evaluation_are_those_of_batch_normalization(momentum, dtype):
    ghost, plain = GhostBatchNorm2d(4), nn.BatchNorm2d(4)
    for layer in (ghost, plain):
        with_factors(layer).to(dtype).momentum = momentum
        for n in SIZES:
            layer(maps_of(n).to(dtype))
    for (name, one), other in zip(ghost.named_buffers(), plain.buffers()):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5, msg=name)
    maps = maps_of(100).to(dtype)
    torch.testing.assert_close(ghost.eval()(maps), plain.eval()(maps), rtol=1e-4, atol=1e-5)
    assert int(ghost.num_batches_tracked) == len(SIZES)


@given(st.integers(2, 130), st.sampled_from([torch.channels_last, torch.contiguous_format]))
def test_mirrored_halves_are_normalized_together(n, layout):
    maps = maps_of(n, 8)
    found = with_factors(MirroredGhostBatchNorm2d(8))(maps.to(memory_format=layout))
    plain = with_factors(MirroredBatchNorm2d(8))
    expected = torch.cat([plain(maps[group]) for group in groups_of(n)])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_half_precision_keeps_statistics_in_float32():
    layer = GhostBatchNorm2d(4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        normalized = layer(maps_of(100).bfloat16())
    assert normalized.dtype == torch.bfloat16
    assert layer.running_mean.dtype == torch.float32
    exact = GhostBatchNorm2d(4)(maps_of(100))
    torch.testing.assert_close(normalized.float(), exact, rtol=0.05, atol=0.1)


def test_averaged_weights_take_statistics_of_whole_batches():
    network = nn.Sequential(GhostBatchNorm2d(4)).eval()
    average = WeightAverage(network, 1, 1.0)
    average.update()
    batches = [maps_of(64), maps_of(70)]
    average.apply((batch,) for batch in batches)
    means = torch.stack([batch.mean((0, 2, 3)) for batch in batches])
    torch.testing.assert_close(network[0].running_mean, means.mean(0))


X, Y = make_organisms(n_samples=150, n_classes=3, image_size=12, random_state=0)


@pytest.mark.parametrize("symmetry", [None, "mirror"])
def test_a_network_is_folded_and_stored(symmetry):
    # Pooling would come between a convolution and its normalization.
    module = ConvBlocks((8, 16), normalization="ghost", symmetry=symmetry, pool=None)
    clf = ConvNetClassifier(module=module, batch_size=100, max_epochs=3, random_state=0).fit(X, Y)
    layers = [m for m in clf.module_.modules() if isinstance(m, nn.BatchNorm2d)]
    kind = MirroredGhostBatchNorm2d if symmetry else GhostBatchNorm2d
    assert {type(layer) for layer in layers} == {kind}
    network = clf.module_.eval()
    folded = fold(network)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    with torch.inference_mode():
        images = torch.from_numpy(X)
        torch.testing.assert_close(folded(images), network(images), rtol=1e-4, atol=1e-4)
    again = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(again.predict_proba(X), clf.predict_proba(X))
    summary = clf.summary()
    assert sum(layer.role == "normalization" for layer in summary.layers) == len(layers)


def test_groups_matter_in_large_batches_alone():
    def losses(normalization, batch_size):
        clf = ConvNetClassifier(
            (8,), normalization=normalization, batch_size=batch_size, max_epochs=2, random_state=0
        )
        return clf.fit(X, Y).loss_curve_

    assert losses("ghost", 50) == losses("batch", 50)
    assert losses("ghost", 150) != losses("batch", 150)


def test_one_image_is_no_batch():
    clf = ConvNetClassifier((8,), normalization="ghost", batch_size=1)
    with pytest.raises(ValueError, match="batch_size=1 and normalization='ghost'"):
        clf.fit(X, Y)


def test_a_decoder_normalizes_as_its_encoder_does():
    network = UNet(ConvBlocks((8, 16), normalization="ghost")).build((16, 16, 3), 2)
    kinds = {type(m) for m in network.modules() if isinstance(m, nn.BatchNorm2d)}
    assert kinds == {GhostBatchNorm2d}
