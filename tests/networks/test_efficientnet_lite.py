"""EfficientNet-Lite: against the same network written as plain calls of functions."""

from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from skcnn.networks._efficientnet_lite import (
    SIZES,
    SameConv2d,
    build_stages,
    convert_weights,
)

# The first convolution of lite0's blocks with a stride of 2, counted over all blocks.
STRIDED = {1, 3, 5, 11}


def same(x, weight, stride=1, groups=1):
    """Convolution with padding as TensorFlow documents it."""
    height, width = (
        max((-(-side // stride) - 1) * stride + weight.shape[2] - side, 0) for side in x.shape[2:]
    )
    x = F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))
    return F.conv2d(x, weight, stride=stride, groups=groups)


def norm(x, weights, name):
    values = [weights[f"{name}.{kind}"] for kind in ("running_mean", "running_var")]
    return F.batch_norm(x, *values, weights[f"{name}.weight"], weights[f"{name}.bias"], eps=1e-3)


def reference(x, weights):
    """Feature maps of lite0, from weights named as in its package."""
    x = F.hardtanh(norm(same(x, weights["_conv_stem.weight"], 2), weights, "_bn0"), 0, 6)
    for number in range(16):
        block, before = f"_blocks.{number}.", x
        if f"{block}_expand_conv.weight" in weights:
            x = same(x, weights[f"{block}_expand_conv.weight"])
            x = F.hardtanh(norm(x, weights, f"{block}_bn0"), 0, 6)
        stride = 2 if number in STRIDED else 1
        x = same(x, weights[f"{block}_depthwise_conv.weight"], stride, x.shape[1])
        x = F.hardtanh(norm(x, weights, f"{block}_bn1"), 0, 6)
        x = norm(same(x, weights[f"{block}_project_conv.weight"]), weights, f"{block}_bn2")
        x = x + before if x.shape == before.shape else x
    return F.hardtanh(norm(same(x, weights["_conv_head.weight"]), weights, "_bn1"), 0, 6)


def package_weights(seed=0):
    """Random weights of lite0, named as in its package."""
    generator = torch.Generator().manual_seed(seed)
    weights = OrderedDict()

    def add(name, channels, filters, kernel):
        size = (filters, channels, kernel, kernel)
        scale = (channels * kernel**2) ** -0.5
        weights[f"{name}.weight"] = torch.randn(size, generator=generator) * scale

    def add_norm(name, filters):
        for kind in ("weight", "bias", "running_mean", "running_var"):
            weights[f"{name}.{kind}"] = torch.rand(filters, generator=generator) + 0.5
        weights[f"{name}.num_batches_tracked"] = torch.tensor(1)

    add("_conv_stem", 3, 32, 3)
    add_norm("_bn0", 32)
    channels, number = 32, 0
    plan = [(1, 3, 16), (2, 3, 24), (2, 5, 40), (3, 3, 80), (3, 5, 112), (4, 5, 192), (1, 3, 320)]
    for n_blocks, kernel, filters in plan:
        for _ in range(n_blocks):
            block, wide = f"_blocks.{number}.", channels * (6 if number else 1)
            if number:
                add(f"{block}_expand_conv", channels, wide, 1)
                add_norm(f"{block}_bn0", wide)
            add(f"{block}_depthwise_conv", 1, wide, kernel)
            add_norm(f"{block}_bn1", wide)
            add(f"{block}_project_conv", wide, filters, 1)
            add_norm(f"{block}_bn2", filters)
            channels, number = filters, number + 1
    add("_conv_head", 320, 1280, 1)
    add_norm("_bn1", 1280)
    weights["_fc.weight"] = torch.zeros(1000, 1280)
    weights["_fc.bias"] = torch.zeros(1000)
    return weights


@pytest.mark.parametrize("size", [(64, 64), (65, 71)])
def test_maps_are_those_of_the_plain_functions(size):
    weights = package_weights()
    stages = build_stages(SIZES["efficientnet_lite0"])
    network = nn.Sequential(stages)
    network.load_state_dict(convert_weights(weights, stages))
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = reference(images, weights)
        torch.testing.assert_close(network.eval()(images), expected, rtol=1e-4, atol=1e-4)
    assert expected.std() > 0.1


def test_the_halves_of_an_odd_padding_go_to_the_right_and_the_bottom():
    layer = SameConv2d(1, 1, 3, 2, bias=False)
    nn.init.ones_(layer.weight)
    image = torch.zeros(1, 1, 4, 4)
    image[..., -1, -1] = 1
    assert layer(image)[0, 0].tolist() == [[0, 0], [0, 1]]
    image = torch.zeros(1, 1, 4, 4)
    image[..., 0, 0] = 1
    assert layer(image)[0, 0].tolist() == [[1, 0], [0, 0]]


@pytest.mark.parametrize(
    ("name", "millions"),
    # Published parameters without the classifier of 1.281 million.
    [("efficientnet_lite0", 4.652), ("efficientnet_lite1", 5.417), ("efficientnet_lite2", 6.092)],
)
def test_number_of_parameters_is_the_published_one(name, millions):
    stages = build_stages(SIZES[name])
    n_parameters = sum(p.numel() for stage in stages.values() for p in stage.parameters())
    assert n_parameters / 1e6 + 1.281 == pytest.approx(millions, abs=0.001)


def test_each_stage_halves_the_image():
    x = torch.zeros(1, 3, 64, 64)
    sides = []
    for stage in build_stages(SIZES["efficientnet_lite2"]).values():
        x = stage.eval()(x)
        sides.append(x.shape[2])
    assert sides == [32, 16, 8, 4, 2]


def test_weights_of_another_network_are_refused():
    stages = build_stages(SIZES["efficientnet_lite1"])
    with pytest.raises(ValueError, match=r"weights of 98 layers.*has 128"):
        convert_weights(package_weights(), stages)
