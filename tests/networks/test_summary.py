"""The table of layers, and the figures beside it."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from skcnn.networks import ConvBlocks
from skcnn.networks._image_network import OwnNetwork
from skcnn.networks._layers import Residual
from skcnn.networks._summary import summarize


def network(image_shape=(8, 6, 3), n_classes=5, **options):
    options = {"activation": "relu", "residual": False, "global_pool": None} | options
    return ConvBlocks(**{"filters": (4, 10), "convs_per_block": 1} | options).build(
        image_shape, n_classes
    )


def of_module(module, image_shape):
    return OwnNetwork(module, [0.0] * image_shape[2], [1.0] * image_shape[2])


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
        "head         Linear       5                     40",
        "--------------------------------------------------",
        "683 parameters, 0.0 million multiply-adds (MACs) per image",
    ]


def test_the_figures_are_those_of_a_hand_computation():
    summary = summarize(network(dense_units=7), (8, 6, 3))
    work = {layer.name: layer.multiply_adds for layer in summary.layers if layer.multiply_adds > 0}
    assert work == {
        # Places, times what each window holds, times filters.
        "block1.0": (8 * 6) * (3 * 3 * 3) * 4,
        "block2.0": (4 * 3) * (3 * 3 * 4) * 10,
        "dense1": 20 * 7,
        "head": 7 * 5,
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
        (nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2), (5, 7, 4), (5 * 7) * 4 * (3 * 3 * 3)),
        (nn.AvgPool2d(2), (4, 4, 1), 0),
    ],
    ids=[
        *("groups", "depthwise", "stride", "dilation", "dense_at_each_place", "conv1d"),
        *("transposed", "none"),
    ],
)
def test_multiply_adds_count_each_weight_at_each_place(module, image_shape, multiply_adds):
    assert summarize(of_module(module, image_shape), image_shape).multiply_adds == multiply_adds


@pytest.mark.parametrize("named", [False, True])
def test_attention_and_bilinear_layers_of_torch_multiply_too(named):
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.across = nn.MultiheadAttention(6, 2, kdim=3, vdim=4, batch_first=True)
            self.encoder = nn.TransformerEncoderLayer(6, 3, 10, dropout=0, batch_first=True)
            self.query = nn.Linear(3, 6)
            self.value = nn.Linear(3, 4)
            self.both = nn.Bilinear(6, 4, 5)

        def forward(self, x):
            tokens = x.flatten(2).mT
            query, value = self.query(tokens[:, :7]), self.value(tokens)
            if named:
                found, _ = self.across(query=query, key=tokens, value=value, need_weights=False)
            else:
                found, _ = self.across(query, tokens, value, need_weights=False)
            return self.both(self.encoder(found), value[:, :7]).mean(1)

    summary = summarize(of_module(Tokens(), (4, 5, 3)), (4, 5, 3))
    work = {layer.name: layer.multiply_adds for layer in summary.layers if layer.multiply_adds}
    assert work == {
        "query": 7 * 3 * 6,
        "value": 20 * 3 * 4,
        # Queries and the result, keys and values; then matches, and sums of values.
        "across": 2 * 7 * 6 * 6 + 20 * 3 * 6 + 20 * 4 * 6 + 2 * 7 * 20 * 6,
        "encoder.self_attn": 4 * 7 * 6 * 6 + 2 * 7 * 7 * 6,
        "encoder.linear1": 7 * 6 * 10,
        "encoder.linear2": 7 * 10 * 6,
        "both": 7 * 6 * 4 * 5,
    }


def test_attention_of_tokens_to_themselves_may_take_them_once():
    class ToItself(nn.MultiheadAttention):
        def forward(self, tokens):
            return super().forward(tokens, tokens, tokens)[0]

    module = nn.Sequential(nn.Flatten(2), ToItself(6, 2, batch_first=True))
    summary = summarize(of_module(module, (2, 3, 4)), (2, 3, 4))
    assert summary.multiply_adds == 4 * (4 * 6 * 6) + 2 * 4 * 4 * 6


def test_a_layer_that_is_run_twice_works_twice():
    conv = nn.Conv2d(2, 2, 1)
    summary = summarize(of_module(nn.Sequential(conv, nn.ReLU(), conv), (3, 3, 2)), (3, 3, 2))
    assert summary.multiply_adds == 2 * 9 * 4
    assert summary.n_parameters == 6


def test_parameters_that_are_not_trained_are_not_counted():
    net = network()
    for parameter in net.body.block1.parameters():
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


def test_summary_shows_itself_as_text_and_as_a_table():
    summary = summarize(network(), (8, 6, 3))
    assert repr(summary) == str(summary)
    html = summary._repr_html_()
    assert html.count("<tr>") == 2 + len(summary.layers)
    for text in (*summary.layers[0][:2], "8 x 6 x 4", f"{summary.n_parameters:,} parameters"):
        assert text in html


def test_summary_cannot_be_changed():
    with pytest.raises(AttributeError):
        summarize(network(), (8, 6, 3)).n_parameters = 0


def roles(summary):
    return {layer.name: layer.role for layer in summary.layers}


def test_roles_are_those_of_the_modules():
    options = {"dense_units": 7, "dropout": 0.5, "symmetry": "mirror"}
    assert roles(summarize(network(**options), (8, 6, 3))) == {
        "block1.0": "convolution",
        "block1.1": "normalization",
        "block1.2": "pooling",
        "block1.3": "activation",
        "block2.0": "convolution",
        "block2.1": "normalization",
        "block2.2": "pooling",
        "block2.3": "activation",
        "mirror_mean": "",
        "flatten": "",
        "dropout": "",
        "dense1": "dense",
        "activation1": "activation",
        "head": "output",
    }


def test_roles_and_blocks_of_residual_blocks():
    convs = {"convs_per_block": 2, "residual": True}
    layers = summarize(network(**convs), (8, 6, 3)).layers
    shortcuts = {layer.name for layer in layers if layer.role == "shortcut"}
    assert shortcuts == {f"block{b}.0.shortcut.{n}" for b in (1, 2) for n in (0, 1)}
    inside = {layer.name for layer in layers if layer.block == "block2.0"}
    assert inside == {f"block2.0.convolutions.{n}" for n in range(6)}
    assert {layer.block for layer in layers} == {"", "block1.0", "block2.0"}


def test_roles_in_blocks_within_blocks():
    inner = Residual(nn.Sequential(nn.Conv2d(2, 2, 1)), nn.Conv2d(2, 2, 1))
    aside = Residual(nn.Conv2d(2, 2, 1), nn.Identity())
    module = nn.Sequential(Residual(nn.Sequential(inner, nn.ReLU()), aside))
    layers = summarize(of_module(module, (4, 4, 2)), (4, 4, 2)).layers
    assert [(layer.name, layer.role, layer.block) for layer in layers] == [
        ("0.convolutions.0.convolutions.0", "convolution", "0.convolutions.0"),
        ("0.convolutions.0.shortcut", "shortcut", ""),
        ("0.convolutions.1", "activation", "0"),
        ("0.shortcut.convolutions", "shortcut", ""),
    ]


class Attentive(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(2, 1, batch_first=True)

    def forward(self, images):
        tokens = images.flatten(2).transpose(1, 2)
        return self.attention(tokens, tokens, tokens)[0].mean(1)


def test_attention_is_one_layer():
    summary = summarize(of_module(Attentive(), (4, 4, 2)), (4, 4, 2))
    assert roles(summary) == {"attention": "attention"}
    assert summary.layers[0].n_parameters == summary.n_parameters


@pytest.mark.parametrize("place", ["own", "body"])
def test_names_leave_out_the_part_that_holds_all_layers(place):
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            setattr(self, place, nn.Sequential(nn.Flatten(), nn.Linear(48, 5)))
            self.head = nn.Linear(5, 3)

        def forward(self, images):
            return self.head(getattr(self, place)(images))

    assert roles(summarize(Network(), (4, 4, 3))) == {"0": "", "1": "dense", "head": "output"}


def test_other_threads_may_run_the_network():
    net = network().eval()
    expected = summarize(net, (8, 6, 3))
    images = torch.zeros(2, 8, 6, 3)
    with ThreadPoolExecutor(8) as pool:
        others = [pool.submit(net, images) for _ in range(100)]
        found = [pool.submit(summarize, net, (8, 6, 3)) for _ in range(100)]
        assert all(future.result() == expected for future in found)
        assert all(future.result().shape == (2, 5) for future in others)


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
    net.body.block1[1].eval()
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


@pytest.mark.parametrize("global_pool", ["average", "max", "average_max"])
def test_pooling_over_all_places_is_one_row(global_pool):
    summary = summarize(network(global_pool=global_pool), (8, 6, 3))
    names = [layer.name for layer in summary.layers]
    assert [name for name in names if name.startswith("pool")] == ["pool"]
