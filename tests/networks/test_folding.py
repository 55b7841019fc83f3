"""Tests of networks whose normalization and shortcuts became parts of convolutions."""

import copy
from itertools import pairwise

import pytest
import torch
from torch import nn

from skcnn.networks import CompactTransformer, ConvBlocks, UNet
from skcnn.networks._efficientnet_lite import SIZES, build_stages
from skcnn.networks._folding import fold
from skcnn.networks._image_network import OwnNetwork

NETWORKS = {
    "default": ConvBlocks((8, 16)),
    "one convolution": ConvBlocks((8, 16), convs_per_block=1),
    "three convolutions": ConvBlocks((8, 16), convs_per_block=3),
    "pooled first": ConvBlocks((8, 16), pool_after="first"),
    "no shortcuts": ConvBlocks((8, 16), residual=False),
    "identity": ConvBlocks((8, 8, 8), convs_per_block=1, pool=None),
    "identity beside two": ConvBlocks((8, 8), pool=None),
    "no normalization": ConvBlocks(
        (8, 8), convs_per_block=1, normalization=None, activation="relu"
    ),
    "even windows": ConvBlocks((8, 8), convs_per_block=1, kernel_size=4),
    "mirror": ConvBlocks((8, 16), convs_per_block=1, symmetry="mirror"),
    "mirror, two convolutions": ConvBlocks((8, 16), symmetry="mirror"),
    "mirror behind a stem": ConvBlocks((8, 8), symmetry="mirror", stem="whitening"),
    "groups": ConvBlocks((8, 16), normalization="ghost"),
    "groups, mirror": ConvBlocks((8, 16), normalization="ghost", symmetry="mirror"),
    "sums": ConvBlocks((8, 8), global_pool="sum"),
    "sums, mirror": ConvBlocks((8, 8), global_pool="sum", symmetry="mirror"),
    "average pooling": ConvBlocks((8, 16), pool="average"),
    "U": UNet(ConvBlocks((8, 16, 16))),
    "transformer": CompactTransformer(depth=1, width=16, heads=2),
}
IMAGES = torch.rand(6, 16, 16, 3, generator=torch.Generator().manual_seed(0)) * 255


def trained(network):
    """Give normalization statistics as after training, negative factors among them."""
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            with torch.no_grad():
                module.running_mean.normal_(generator=generator)
                module.running_var.uniform_(0.2, 3, generator=generator)
                if module.affine:
                    module.weight.normal_(generator=generator)
                    module.bias.normal_(generator=generator)
    return network.eval()


def build(name):
    torch.manual_seed(0)
    return trained(NETWORKS[name].build((16, 16, 3), n_outputs=4))


def kinds(network):
    return [type(module).__name__ for module in network.modules()]


def assert_same_outputs(one, other, images=IMAGES):
    with torch.inference_mode():
        expected = one(images)
        difference = (other(images) - expected).abs().max()
    assert difference <= 2e-6 * expected.abs().max()


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_and_features_stay_the_same(name):
    network = build(name)
    assert_same_outputs(network, fold(network))
    if name != "U":
        assert_same_outputs(network.features, fold(network).features)


@pytest.mark.parametrize(
    "name",
    [
        "one convolution",
        "no shortcuts",
        "identity",
        "even windows",
        "mirror",
        "average pooling",
        "U",
    ],
)
def test_no_normalization_is_left(name):
    assert not [kind for kind in kinds(fold(build(name))) if kind.endswith("Norm2d")]


@pytest.mark.parametrize("name", ["default", "three convolutions", "mirror, two convolutions"])
def test_a_normalization_behind_max_pooling_is_folded_where_its_factors_are_positive(name):
    network = build(name)
    assert [kind for kind in kinds(fold(network)) if kind.endswith("Norm2d")]
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.abs_()
    assert not [kind for kind in kinds(fold(network)) if kind.endswith("Norm2d")]
    assert_same_outputs(network, fold(network))


def test_a_shortcut_beside_one_convolution_is_left_out():
    for name in ("one convolution", "identity", "no normalization", "mirror"):
        found = kinds(fold(build(name)))
        assert found.count("Conv2d") == len(NETWORKS[name].filters)
        # Not even a sum with zero is left, which would take a fifth of the time.
        assert "Residual" not in found
    # Beside windows with an even side there is no middle, and beside two convolutions none of
    # them sees the image alone.
    assert kinds(fold(build("even windows"))).count("Conv2d") == 3
    assert kinds(fold(build("default"))).count("Conv2d") == 6


def test_activations_write_over_nothing_but_outputs_of_convolutions():
    network = fold(build("default"))
    for module in network.modules():
        if isinstance(module, nn.Sequential):
            layers = [layer for layer in module if not isinstance(layer, nn.Identity)]
            for before, layer in pairwise(layers):
                if isinstance(layer, nn.SiLU):
                    assert layer.inplace == isinstance(before, nn.Conv2d)
    assert not any(getattr(module, "inplace", False) for module in build("default").modules())


def test_filters_behind_a_maximum_keep_their_normalization():
    # The maximum of numbers that are multiplied by a negative one is another.
    assert kinds(fold(build("pooled first"))).count("BatchNorm2d") == 2


def test_pretrained_stages_are_folded():
    torch.manual_seed(0)
    stages = trained(nn.Sequential(build_stages(SIZES["efficientnet_lite0"])))
    folded = fold(stages)
    assert "BatchNorm2d" not in kinds(folded)
    assert_same_outputs(stages, folded, torch.rand(2, 3, 64, 64))


def test_nothing_of_the_network_changes():
    network = build("default")
    before = copy.deepcopy(network.state_dict())
    fold(network)
    assert "BatchNorm2d" in kinds(network)
    after = network.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_changed_weights_are_seen():
    network = build("default")
    fold(network)
    with torch.no_grad():
        network.body.block1[0].convolutions[0].weight.mul_(2)
        network.body.block2[0].convolutions[1].running_var.add_(1)
    assert_same_outputs(network, fold(network))


def test_a_network_with_hooks_stays_as_it_is():
    network = build("default")
    network.body.block1.register_forward_hook(lambda *_: None)
    assert fold(network) is network


def test_normalization_by_the_batch_stays_as_it_is():
    network = build("default").train()
    assert kinds(fold(network)) == kinds(network)
    without_statistics = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)
    ).eval()
    assert fold(without_statistics) is without_statistics


class Own(nn.Module):
    """Runs its layers in another order than they stand in."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3))

    def forward(self, x):
        return self.layers[0](self.layers[1](x)).mean((2, 3))


def test_foreign_modules_stay_as_they_are():
    network = trained(OwnNetwork(Own(), [0.0] * 3, [1.0] * 3))
    assert fold(network).own is network.own


def test_a_layer_that_stands_at_two_places_runs_twice():
    relu = nn.ReLU()
    layers = [nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), relu, nn.Conv2d(3, 3, 1), relu]
    own = trained(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)))
    network = OwnNetwork(own, [0.0] * 3, [1.0] * 3).eval()
    assert "BatchNorm2d" not in kinds(fold(network))
    assert_same_outputs(network, fold(network))
    assert_same_outputs(network.features, fold(network).features)


def test_normalization_without_weights_and_convolutions_with_options():
    layers = [
        nn.Conv2d(3, 6, 3, stride=2, padding=2, dilation=2, groups=3, padding_mode="reflect"),
        nn.BatchNorm2d(6, affine=False),
    ]
    own = trained(nn.Sequential(*layers, nn.Flatten()))
    folded = fold(own)
    assert "BatchNorm2d" not in kinds(folded)
    assert_same_outputs(own, folded, IMAGES.permute(0, 3, 1, 2))
