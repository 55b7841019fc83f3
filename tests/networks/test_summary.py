"""The table of layers, and the figures beside it."""

import copy
import pickle

import pytest
import torch
from torch import nn

from skcnn.networks._conv_blocks import build_network
from skcnn.networks._layers import ImageNetwork
from skcnn.networks._summary import summarize


def network(image_shape=(8, 6, 3), n_classes=5, **options):
    blank = [0.0] * image_shape[2]
    options = {"filters": (4, 10), "normalization": "batch"} | options
    return build_network(image_shape, n_classes, blank, blank, **options)


def of_module(module, image_shape):
    return ImageNetwork(module, [0.0] * image_shape[2], [1.0] * image_shape[2])


def test_the_table_names_each_layer():
    summary = summarize(network(dense_units=7, dropout=0.5), (8, 6, 3))
    assert str(summary).splitlines() == [
        "layer        type         output shape  parameters",
        "--------------------------------------------------",
        "block1.0     Conv2d       8 x 6 x 4            108",
        "block1.1     BatchNorm2d  8 x 6 x 4              8",
        "block1.2     MaxPool2d    4 x 3 x 4              0",
        "block1.3     ReLU         4 x 3 x 4              0",
        "block2.0     Conv2d       4 x 3 x 10           360",
        "block2.1     BatchNorm2d  4 x 3 x 10            20",
        "block2.2     MaxPool2d    2 x 1 x 10             0",
        "block2.3     ReLU         2 x 1 x 10             0",
        "flatten      Flatten      20                     0",
        "dropout      Dropout      20                     0",
        "dense1       Linear       7                    147",
        "activation1  ReLU         7                      0",
        "output       Linear       5                     40",
        "--------------------------------------------------",
        "683 parameters, 0.0 million multiply-adds an image",
    ]


def test_the_figures_are_those_of_a_hand_computation():
    summary = summarize(network(dense_units=7), (8, 6, 3))
    work = {layer.name: layer.multiply_adds for layer in summary.layers if layer.multiply_adds > 0}
    assert work == {
        # Places, times what each window holds, times filters.
        "block1.0": (8 * 6) * (3 * 3 * 3) * 4,
        "block2.0": (4 * 3) * (3 * 3 * 4) * 10,
        "dense1": 20 * 7,
        "output": 7 * 5,
    }
    assert summary.multiply_adds == sum(work.values())
    assert summary.n_parameters == sum(p.numel() for p in network(dense_units=7).parameters())
    assert summary.output_shape == (5,)


@pytest.mark.parametrize(
    ("module", "image_shape", "multiply_adds"),
    [
        (nn.Conv2d(4, 6, 3, groups=2), (5, 5, 4), (3 * 3) * (3 * 3 * 2) * 6),
        (nn.Conv2d(4, 4, 3, groups=4, padding=1), (5, 5, 4), (5 * 5) * (3 * 3) * 4),
        (nn.Conv2d(2, 3, (1, 3), stride=2), (5, 7, 2), (3 * 3) * (3 * 2) * 3),
        (nn.Conv2d(1, 1, 3, dilation=2), (5, 5, 1), 9),
        (nn.Linear(6, 2), (5, 6, 3), (3 * 5) * 6 * 2),
        (nn.Sequential(nn.Flatten(2), nn.Conv1d(3, 2, 4)), (2, 3, 3), 3 * (4 * 3) * 2),
        (nn.AvgPool2d(2), (4, 4, 1), 0),
    ],
    ids=["groups", "depthwise", "stride", "dilation", "dense_at_each_place", "conv1d", "none"],
)
def test_multiply_adds_count_each_weight_at_each_place(module, image_shape, multiply_adds):
    assert summarize(of_module(module, image_shape), image_shape).multiply_adds == multiply_adds


def test_a_layer_that_is_run_twice_works_twice():
    conv = nn.Conv2d(2, 2, 1)
    summary = summarize(of_module(nn.Sequential(conv, nn.ReLU(), conv), (3, 3, 2)), (3, 3, 2))
    assert summary.multiply_adds == 2 * 9 * 4
    assert summary.n_parameters == 6


def test_parameters_that_are_not_trained_are_not_counted():
    net = network()
    for parameter in net.layers.block1.parameters():
        parameter.requires_grad_(False)
    summary = summarize(net, (8, 6, 3))
    assert summary.n_parameters == summarize(network(), (8, 6, 3)).n_parameters - 116
    assert summary.layers[0].n_parameters == 0


def test_shortcuts_of_residual_blocks_are_listed():
    summary = summarize(network(residual=True), (8, 6, 3))
    shortcuts = [layer for layer in summary.layers if "shortcut" in layer.name]
    assert [layer.n_parameters for layer in shortcuts] == [3 * 4, 4 * 10]
    assert summary.n_parameters == sum(layer.n_parameters for layer in summary.layers)


def test_the_output_shape_is_that_of_whatever_comes_out():
    assert summarize(of_module(nn.Flatten(), (4, 5, 3)), (4, 5, 3)).output_shape == (60,)
    assert summarize(of_module(nn.Conv2d(3, 2, 1), (4, 5, 3)), (4, 5, 3)).output_shape == (2, 4, 5)


def test_it_is_a_string_that_shows_itself():
    summary = summarize(network(), (8, 6, 3))
    assert repr(summary) == str(summary)
    assert summary.count("\n") == len(summary.splitlines()) - 1


@pytest.mark.parametrize(
    "copied", [lambda s: pickle.loads(pickle.dumps(s)), copy.copy, copy.deepcopy]
)
def test_copies_keep_the_figures(copied):
    summary = summarize(network(), (8, 6, 3))
    other = copied(summary)
    assert other == summary
    assert other.layers == summary.layers
    assert vars(other) == vars(summary)


def modes(net):
    return {name: module.training for name, module in net.named_modules()}


@pytest.mark.parametrize("fails", [False, True], ids=["in_order", "failing"])
def test_the_network_is_left_as_it_was(fails):
    net = network().train()
    net.layers.block1[1].eval()
    mode, state = modes(net), copy.deepcopy(net.state_dict())
    if fails:
        with pytest.raises(RuntimeError):
            summarize(net, (8, 6, 5))
    else:
        summarize(net, (8, 6, 3))
    assert modes(net) == mode
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert all(not module._forward_hooks for module in net.modules())
    assert not any(parameter.is_inference() for parameter in net.parameters())


def test_dropout_is_not_drawn_for_it():
    net = network(dropout=(0.5, 0.5)).train()
    before = torch.random.get_rng_state()
    summarize(net, (8, 6, 3))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("head", ["average", "max", "average_max"])
def test_pooling_over_all_places_is_one_row(head):
    summary = summarize(network(head=head), (8, 6, 3))
    names = [layer.name for layer in summary.layers]
    assert [name for name in names if name.startswith("pool")] == ["pool"]
