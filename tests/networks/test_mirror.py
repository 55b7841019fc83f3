"""Layers equivariant to left-right flips."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from torch import nn

from skcnn import ConvNetClassifier, recipes
from skcnn.datasets import make_organisms
from skcnn.inspection import filters
from skcnn.networks import ConvBlocks
from skcnn.networks._layers import AvgPool2d, MaxPool2d
from skcnn.networks._mirror import MirroredBatchNorm2d, MirroredConv2d, MirrorMean

EVEN = st.integers(1, 4).map(lambda pairs: 2 * pairs)


def mirrored(maps):
    """Expected maps of a mirrored image."""
    return maps.flip(3).roll(maps.shape[1] // 2, 1)


@given(
    EVEN,
    EVEN,
    st.integers(1, 7),
    st.integers(1, 7),
    st.sampled_from([1, 3, 5]),
    st.booleans(),
    st.booleans(),
)
def test_mirrored_conv_is_equivariant(
    channels, filters, height, width, kernel, bias, unpaired_input
):
    padding = (kernel // 2, kernel // 2)
    convolve = MirroredConv2d(
        channels, filters, (kernel, kernel), padding, bias, unpaired_input=unpaired_input
    )
    images = torch.rand(2, channels, height, width)
    turned = images.flip(3) if unpaired_input else mirrored(images)
    maps = convolve(images)
    assert maps.shape == (2, filters, height, width)
    torch.testing.assert_close(convolve(turned), mirrored(maps))


def test_mirrored_conv_learns_half_of_its_filters():
    convolve = MirroredConv2d(3, 8, (3, 3), unpaired_input=True)
    assert convolve.weight.shape == (4, 3, 3, 3)
    assert convolve.bias.shape == (4,)
    every = convolve.all_filters()
    assert torch.equal(every[:4], convolve.weight)
    assert torch.equal(every[4:], convolve.weight.flip(3))
    convolve(torch.rand(1, 3, 5, 5)).sum().backward()
    assert convolve.weight.grad.abs().min() > 0


def test_mirrored_conv_mirrors_filters_in_the_precision_of_autocast():
    convolve = MirroredConv2d(4, 8, (3, 3))
    every = convolve.all_filters(torch.bfloat16)
    assert torch.equal(every, convolve.all_filters().bfloat16())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        maps = convolve(torch.rand(1, 4, 5, 5))
    assert maps.dtype == torch.bfloat16
    maps.float().sum().backward()
    assert convolve.weight.grad.dtype == torch.float32


def test_pair_channels_pairs_mirrored_filters():
    made_by = torch.tensor([[[[1.0, 0]]], [[[0, 1.0]]], [[[2.0, 2]]]])
    convolve = MirroredConv2d(3, 2, (1, 1), unpaired_input=True)
    convolve.pair_channels(made_by)
    assert convolve.mirror_index.tolist() == [1, 0, 2]


@given(
    st.integers(2, 5),
    EVEN,
    st.integers(1, 5),
    st.integers(1, 5),
    st.sampled_from([torch.channels_last, torch.contiguous_format]),
)
def test_mirrored_batch_norm_is_equivariant(n, channels, height, width, layout):
    maps = torch.rand(n, channels, height, width).to(memory_format=layout)
    normalize = MirroredBatchNorm2d(channels)
    assert normalize.weight.shape == (channels // 2,)
    out = normalize(maps)
    torch.testing.assert_close(normalize(mirrored(maps)), mirrored(out))
    # Equal to torch's own normalization of the two halves below each other.
    below = torch.cat(maps.chunk(2, 1))
    expected = torch.cat(nn.BatchNorm2d(channels // 2)(below).chunk(2), 1)
    torch.testing.assert_close(out, expected)


@given(st.integers(2, 9), st.integers(2, 9), st.integers(2, 4), st.sampled_from("ma"))
def test_pooling_that_covers_its_input_commutes_with_flips(height, width, window, kind):
    window = min(window, height, width)
    pool = (MaxPool2d if kind == "m" else AvgPool2d)((window, window), cover_input=True)
    images = torch.rand(2, 3, height, width, requires_grad=True)
    pooled = pool(images)
    assert pooled.shape[2:] == (height // window, width // window)
    torch.testing.assert_close(pool(images.flip(3)), pooled.flip(3))
    torch.testing.assert_close(pool(images.flip(2)), pooled.flip(2))
    if kind == "m":
        assert torch.autograd.grad(pooled.sum(), images)[0].sum() == pooled.numel()
    else:
        assert (torch.autograd.grad(pooled.sum(), images)[0] > 0).all()


def test_mirror_mean_averages_channels_and_their_mirror_channels():
    maps = torch.rand(2, 6, 3, 5)
    mean = MirrorMean()(maps)
    torch.testing.assert_close(mean, (maps[:, :3] + maps[:, 3:].flip(3)) / 2)
    torch.testing.assert_close(MirrorMean()(mirrored(maps)), mean)


@pytest.mark.parametrize("side", [(16, 16), (15, 14), (21, 1)], ids=str)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        recipes.fast | {"module": clone(recipes.fast["module"]).set_params(filters=(8, 12))},
        {
            "module": ConvBlocks(
                (6, 8), stem="whitening", pool="average", global_pool=None, dense_units=10
            )
        },
        {
            "module": ConvBlocks((6, 8), normalization=None, convs_per_block=2, global_pool="max"),
            "lr": 0.01,
        },
        {"module": ConvBlocks((6, 8), residual=False, pool_after="first", activation="relu")},
    ],
    ids=["default", "fast", "flatten", "unnormalized", "plain"],
)
def test_mirror_symmetry_predicts_the_same_for_a_mirror_image(side, changes):
    X, y = make_organisms(n_samples=60, n_classes=3, image_size=24, random_state=0)
    X = X[:, : side[0], : side[1]]
    settings = {"module": ConvBlocks((6, 8)), "augment": None} | changes
    settings |= {"max_epochs": 2, "progressive_resizing": None}
    clf = ConvNetClassifier(**settings, random_state=0)
    clf.set_params(module__symmetry="mirror").fit(X, y)
    probability = clf.predict_proba(X)
    assert probability.std(0).min() > 1e-4
    # Rounding of float32 shows in the last digits.
    np.testing.assert_allclose(clf.predict_proba(X[:, :, ::-1]), probability, atol=1e-4)
    np.testing.assert_allclose(clf.transform(X[:, :, ::-1]), clf.transform(X), atol=1e-3)


def test_mirror_symmetry_has_no_activation_in_place():
    blocks = ConvBlocks((4, 6), convs_per_block=2, activation="relu", symmetry="mirror")
    network = blocks.build((8, 8, 3), 4)
    activations = [layer for layer in network.modules() if isinstance(layer, nn.ReLU)]
    assert len(activations) == 4
    assert not any(layer.inplace for layer in activations)


def test_mirror_symmetry_halves_the_parameters():
    plain, symmetric = (
        ConvNetClassifier(module=ConvBlocks((32, 64), symmetry=symmetry)).summary((16, 16, 3), 5)
        for symmetry in (None, "mirror")
    )
    assert symmetric.n_parameters < 0.52 * plain.n_parameters
    assert symmetric.multiply_adds == pytest.approx(plain.multiply_adds, rel=0.01)


def test_mirror_symmetry_refuses_odd_numbers_of_filters():
    X, y = make_organisms(n_samples=30, n_classes=3, image_size=8, random_state=0)
    with pytest.raises(ValueError, match=r'symmetry="mirror".*filters=\(4, 5\).*even numbers'):
        ConvNetClassifier(module=ConvBlocks((4, 5), symmetry="mirror")).fit(X, y)


@pytest.mark.parametrize("kernel_size", [2, (3, 4), 4.0])
def test_mirror_symmetry_refuses_windows_without_a_middle(kernel_size):
    X, y = make_organisms(n_samples=30, n_classes=3, image_size=8, random_state=0)
    blocks = ConvBlocks((4, 6), kernel_size=kernel_size, symmetry="mirror")
    with pytest.raises(ValueError, match=r'symmetry="mirror" and kernel_size=.*odd numbers'):
        ConvNetClassifier(module=blocks).fit(X, y)


def test_filters_returns_learned_filters_and_their_mirror_images():
    X, y = make_organisms(n_samples=30, n_classes=3, image_size=8, random_state=0)
    blocks = ConvBlocks((4, 6), convs_per_block=1, symmetry="mirror")
    clf = ConvNetClassifier(module=blocks, max_epochs=1, random_state=0).fit(X, y)
    first = filters(clf)
    assert first.shape == (4, 3, 3, 3)
    np.testing.assert_array_equal(first[2:], first[:2, :, ::-1])
    assert filters(clf, -1).shape == (6, 3, 3, 4)
