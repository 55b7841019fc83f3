"""From parameters to a torch network."""

import copy
import functools
import re
from collections import OrderedDict

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.utils._param_validation import InvalidParameterError
from torch import nn
from torch.nn import functional as F

from skcnn._from_r import whole
from skcnn.networks import ConvBlocks, ImageNetwork
from skcnn.networks._layers import Dropout, MaxPool2d, Residual
from skcnn.networks._spec import OwnModule

LESSON = {
    "filters": (32, 64, 128, 256),
    "normalization": None,
    "global_pool": None,
    "dropout": 0.5,
    "dense_units": 512,
}


def blocks(**parameters):
    """A specification of a plain network, whatever the defaults of the class are."""
    plain = {
        "convs_per_block": 1,
        "activation": "relu",
        "normalization": None,
        "residual": False,
        "global_pool": None,
    }
    return ConvBlocks(**plain | parameters)


def build_layers(image_shape, n_outputs, *, clip_pool_size=False, **parameters):
    """The layers of a plain network: from images (n, channels, height, width) to outputs."""
    spec = blocks(**parameters)
    built = spec.build(image_shape, n_outputs, clip_pool_size=clip_pool_size)
    return nn.Sequential(OrderedDict([*built.body.named_children(), ("head", built.head)]))


def n_parameters(module):
    return sum(p.numel() for p in module.parameters())


def layers_of(module, kind):
    return [layer for layer in module.modules() if isinstance(layer, kind)]


def output_shape(layers, image_shape, n=2):
    height, width, channels = image_shape
    with torch.inference_mode():
        return tuple(layers.eval()(torch.zeros(n, channels, height, width)).shape)


@pytest.mark.parametrize(("n_classes", "expected"), [(61, 944_509), (56, 941_944)])
def test_the_network_of_a_textbook_has_its_number_of_parameters(n_classes, expected):
    assert n_parameters(build_layers((32, 32, 3), n_classes, **LESSON)) == expected


def test_layers_stand_in_the_order_of_the_parameters():
    layers = build_layers(
        (8, 8, 3),
        5,
        filters=(4, 6),
        convs_per_block=(1, 2),
        normalization=("batch", None),
        activation="elu",
        pool=("average", "max"),
        dense_units=(7, 9),
        dropout=(0.1, 0.2),
        global_pool="max",
    )
    kinds = [type(layer).__name__ for layer in layers.modules() if not len([*layer.children()])]
    assert kinds == [
        *("Conv2d", "BatchNorm2d", "ELU", "AvgPool2d", "Dropout"),
        *("Conv2d", "ELU", "Conv2d", "MaxPool2d", "ELU"),
        *("AdaptiveMaxPool2d", "Flatten", "Dropout"),
        *("Linear", "ELU", "Linear", "ELU", "Linear"),
    ]
    assert [d.p for d in layers_of(layers, nn.Dropout)] == [0.1, 0.2]
    dense = [(d.in_features, d.out_features) for d in layers_of(layers, nn.Linear)]
    assert dense == [(6, 7), (7, 9), (9, 5)]
    # A bias before batch normalization would be taken off again.
    assert [c.bias is None for c in layers_of(layers, nn.Conv2d)] == [True, False, False]


def test_a_block_may_pool_after_its_first_convolution():
    layers = build_layers(
        (8, 8, 3), 5, filters=(4,), convs_per_block=3, normalization="batch", pool_after="first"
    )
    kinds = [type(layer).__name__ for layer in layers.block1]
    assert kinds == [
        *("Conv2d", "MaxPool2d", "BatchNorm2d", "ReLU"),
        *("Conv2d", "BatchNorm2d", "ReLU"),
        *("Conv2d", "BatchNorm2d", "ReLU"),
    ]


@pytest.mark.parametrize(
    ("convs", "expected"),
    [
        (3, ["Conv2d", "MaxPool2d", "BatchNorm2d", "SiLU", "Residual", "SiLU"]),
        (1, ["Residual", "SiLU", "MaxPool2d"]),
    ],
)
def test_the_shortcut_leads_past_what_comes_after_the_pooling(convs, expected):
    layers = build_layers(
        (8, 8, 3),
        5,
        filters=(4,),
        convs_per_block=convs,
        normalization="batch",
        pool_after="first",
        residual=True,
        activation="silu",
    )
    assert [type(layer).__name__ for layer in layers.block1] == expected
    if convs > 1:
        residual = layers.block1[4]
        inside = [type(layer).__name__ for layer in residual.convolutions]
        assert inside == ["Conv2d", "BatchNorm2d", "SiLU", "Conv2d", "BatchNorm2d"]
        assert isinstance(residual.shortcut, nn.Identity)


def test_a_shortcut_past_the_pooling_takes_the_mean():
    layers = build_layers(
        (8, 8, 3),
        5,
        filters=(4,),
        convs_per_block=2,
        normalization="batch",
        residual=True,
        activation="silu",
    )
    assert [type(layer).__name__ for layer in layers.block1] == ["Residual", "SiLU"]
    residual = layers.block1[0]
    inside = [type(layer).__name__ for layer in residual.convolutions]
    assert inside == ["Conv2d", "BatchNorm2d", "SiLU", "Conv2d", "MaxPool2d", "BatchNorm2d"]
    pooling, convolution = residual.shortcut
    images = torch.rand(2, 3, 8, 8)
    means = images.unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5))
    torch.testing.assert_close(pooling(images), means)
    assert convolution.kernel_size == (1, 1)


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4])
def test_convolutions_may_begin_as_the_identity(kernel_size):
    layers = build_layers(
        (8, 8, 3), 5, filters=(3, 5, 4), kernel_size=kernel_size, init="dirac", pool=None
    )
    images = torch.rand(2, 3, 8, 8)
    for number, channels in ((1, 3), (2, 3), (3, 4)):
        # Windows with an even side come with a layer that pads.
        *before, convolution, _ = layers.get_submodule(f"block{number}")
        with torch.no_grad():
            convolution.bias.zero_()
            passed = nn.Sequential(*before, convolution)(images)
        torch.testing.assert_close(passed[:, :channels], images[:, :channels])
        images = passed


@pytest.mark.parametrize(("side", "n_blocks"), [(8, 2), (9, 3), (32, 4), (3, 1), (2, 1)])
def test_a_stem_leaves_a_pixel_less_to_pool(side, n_blocks):
    layers = build_layers(
        (side, side, 1), 4, filters="auto", stem="whitening", clip_pool_size=side == 2
    )
    assert sum(name.startswith("block") for name, _ in layers.named_children()) == n_blocks
    assert output_shape(layers, (side, side, 1)) == (2, 4)


def test_the_filters_of_a_stem_are_given_and_stay():
    filters = np.random.RandomState(0).rand(24, 3, 2, 2).astype(np.float32)
    measured = {"mean": [0] * 3, "scale": [1] * 3, "stem_filters": filters}
    network = blocks(filters=(4,), stem="whitening").build((8, 8, 3), 4, measured=measured)
    weight = network.body.stem[0].weight
    np.testing.assert_array_equal(weight.detach(), filters)
    assert not weight.requires_grad
    assert network.body.block1[0].in_channels == 24
    assert output_shape(nn.Sequential(network.body, network.head), (8, 8, 3)) == (2, 4)


OPTIONS = {
    "one_filter": {"filters": (1,)},
    "several_convolutions": {"convs_per_block": 3},
    "even_kernel": {"kernel_size": 2},
    "large_even_kernel": {"kernel_size": (4, 6)},
    "kernel_of_one": {"kernel_size": 1},
    "kernel_larger_than_the_image": {"kernel_size": 13},
    "no_pooling": {"pool": None},
    "average_pooling": {"pool": "average"},
    "pooling_in_one_block": {"pool": (None, "max")},
    "large_windows": {"pool_size": (2, 4)},
    "windows_of_one": {"pool_size": 1},
    "windows_that_leave_a_rest": {"pool_size": 3, "pool": ("max", None)},
    "no_normalization": {"normalization": None},
    "normalization_in_one_block": {"normalization": [None, "batch"]},
    "residual": {"residual": True},
    "whitening_stem": {"stem": "whitening"},
    "pooling_after_the_first": {"pool_after": "first", "convs_per_block": 3},
    "pooling_after_the_only_one": {"pool_after": "first"},
    "pooling_after_the_first_beside_a_shortcut": {
        "pool_after": "first",
        "convs_per_block": (1, 3),
        "residual": True,
    },
    "dirac": {"init": "dirac", "convs_per_block": 2},
    "dirac_even_kernel": {"init": "dirac", "kernel_size": 4},
    "average_and_max_head": {"global_pool": "average_max"},
    "residual_convolutions": {"residual": (False, True), "convs_per_block": 2},
    "residual_even_kernel": {"residual": True, "kernel_size": 4},
    "residual_without_normalization": {"residual": True, "normalization": None},
    "dense": {"dense_units": 5},
    "dense_layers": {"dense_units": [5, 6]},
    "no_dense_layers": {"dense_units": ()},
    "dropout": {"dropout": 0.5},
    "dropout_per_block": {"dropout": (0.5, 0.0)},
    "average_head": {"global_pool": "average"},
    "max_head": {"global_pool": "max"},
    **{
        name: {"activation": name}
        for name in ("relu", "leaky_relu", "elu", "gelu", "silu", "tanh")
    },
}


@pytest.mark.parametrize("image_shape", [(8, 8, 3), (9, 12, 1)], ids=str)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_whatever_the_options_images_become_logits(options, image_shape):
    layers = build_layers(
        image_shape, 4, **{"filters": (2, 3), "normalization": "batch"} | options
    )
    assert output_shape(layers, image_shape) == (2, 4)
    logits = layers.train()(torch.rand(3, image_shape[2], *image_shape[:2]))
    logits.square().sum().backward()
    trained = [p for p in layers.parameters() if p.requires_grad]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in trained)


SIDES = st.integers(1, 12)


@given(
    filters=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    kernel_size=st.integers(1, 6),
    pool_size=st.integers(1, 4),
    image_shape=st.tuples(SIDES, SIDES, st.integers(1, 3)),
    global_pool=st.sampled_from([None, "average", "max"]),
    residual=st.booleans(),
)
def test_any_sizes_make_logits_or_an_error_that_says_so(
    filters, kernel_size, pool_size, image_shape, global_pool, residual
):
    options = {"kernel_size": kernel_size, "global_pool": global_pool, "residual": residual}
    build = functools.partial(
        build_layers, image_shape, 4, filters=filters, pool_size=pool_size, **options
    )
    least = min((side for side in image_shape[:2] if side > 1), default=None)
    pooled_away = least is not None and least < pool_size ** len(filters)
    if pooled_away:
        with pytest.raises(ValueError, match="pool_size"):
            build()
    else:
        assert output_shape(build(), image_shape) == (2, 4)
    assert output_shape(build(clip_pool_size=True), image_shape) == (2, 4)


@given(st.integers(1, 9), st.integers(1, 10), st.integers(1, 10), st.booleans())
def test_convolutions_keep_the_size_of_the_image(kernel_size, height, width, residual):
    layers = build_layers(
        (height, width, 2), 2, filters=(3,), kernel_size=kernel_size, pool=None, residual=residual
    )
    with torch.inference_mode():
        assert layers.block1(torch.zeros(1, 2, height, width)).shape == (1, 3, height, width)


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4])
def test_a_convolution_looks_at_the_pixels_around_its_own(kernel_size):
    layers = build_layers(
        (6, 6, 1), 2, filters=(1,), kernel_size=kernel_size, pool=None, normalization=None
    )
    conv = layers_of(layers, nn.Conv2d)[0]
    nn.init.ones_(conv.weight)
    nn.init.zeros_(conv.bias)
    image = torch.zeros(1, 1, 6, 6)
    image[0, 0, 3, 3] = 1
    with torch.inference_mode():
        seen = layers.block1(image)[0, 0]
    # The pixel counts for all whose windows it is in; an even window reaches one further to
    # the right and below.
    first, last = 3 - kernel_size // 2, 3 + (kernel_size - 1) // 2
    expected = torch.zeros(6, 6)
    expected[first : last + 1, first : last + 1] = 1
    assert torch.equal(seen, expected)


PER_BLOCK = {
    "convs_per_block": 1,
    "kernel_size": 3,
    "pool": "max",
    "pool_size": 2,
    "normalization": None,
    "residual": False,
    "dropout": 0.1,
}


@pytest.mark.parametrize("name", PER_BLOCK)
@pytest.mark.parametrize("n_values", [0, 1, 3])
@pytest.mark.parametrize("kind", [list, tuple])
def test_as_many_values_as_blocks_are_asked_for(name, n_values, kind):
    value = kind([PER_BLOCK[name]] * n_values)
    message = re.escape(f"{name}={value!r} has {n_values} values, but filters makes 2 blocks")
    with pytest.raises(ValueError, match=message):
        build_layers((8, 8, 3), 2, filters=(2, 2), **{name: value})


@pytest.mark.parametrize("name", PER_BLOCK)
def test_one_value_is_as_good_as_the_same_for_each_block(name):
    def described(value):
        return repr(build_layers((8, 8, 3), 2, filters=(2, 2), **{name: value}))

    if name == "dropout":
        assert described((0.0, 0.1)) == described(0.1)
    else:
        assert described([PER_BLOCK[name]] * 2) == described(PER_BLOCK[name])


def test_values_are_those_of_their_blocks():
    layers = build_layers(
        (32, 32, 3),
        2,
        filters=(2, 3, 4),
        convs_per_block=(1, 2, 1),
        kernel_size=(1, 3, 5),
        pool_size=(4, 2, 1),
        residual=(False, True, False),
    )
    convs = [
        [c.kernel_size[0] for c in layers_of(block, nn.Conv2d)]
        for block in (layers.block1, layers.block2, layers.block3)
    ]
    # The last of the second block is the shortcut.
    assert convs == [[1], [3, 3, 1], [5]]
    assert [p.kernel_size for p in layers_of(layers, nn.MaxPool2d)] == [(4, 4), (2, 2)]
    assert [isinstance(layers[i][0], Residual) for i in range(3)] == [False, True, False]


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "elu", "gelu", "silu", "tanh"])
@pytest.mark.parametrize("residual", [False, True], ids=["plain", "residual"])
def test_pooling_before_or_after_an_activation_comes_to_the_same(activation, residual):
    layers = build_layers(
        (8, 8, 3),
        2,
        filters=(4,),
        activation=activation,
        residual=residual,
        normalization="batch",
        global_pool=None,
    )
    kinds = [type(layer) for layer in layers.block1]
    rises = activation not in ("gelu", "silu")
    assert (kinds.index(MaxPool2d) == len(kinds) - 2) == rises
    # In the order of the textbook, the network is the same function with the same gradients.
    textbook = copy.deepcopy(layers)
    pool, act = layers.block1[-2:] if rises else layers.block1[-2:][::-1]
    textbook.block1[-2], textbook.block1[-1] = act, pool
    x = torch.randn(6, 3, 8, 8)
    outputs = [network.train()(x) for network in (layers, textbook)]
    torch.testing.assert_close(*outputs, rtol=0, atol=0)
    for logits in outputs:
        logits.square().sum().backward()
    for one, other in zip(layers.parameters(), textbook.parameters()):
        torch.testing.assert_close(one.grad, other.grad, rtol=0, atol=0)


def test_dropout_of_a_block_stands_behind_its_pooling_and_the_last_behind_the_head():
    layers = build_layers((8, 8, 3), 2, filters=(2, 2, 2), dropout=(0.1, 0.2, 0.3))
    assert [type(b[-1]) for b in layers[:3]] == [Dropout, Dropout, nn.ReLU]
    assert (layers.block1[-1].p, layers.block2[-1].p, layers.dropout.p) == (0.1, 0.2, 0.3)
    names = [name for name, _ in layers.named_children()]
    assert names == ["block1", "block2", "block3", "flatten", "dropout", "head"]


def test_dropout_acts_in_training_only():
    torch.manual_seed(0)
    layers = build_layers((4, 4, 1), 2, filters=(2, 2), dropout=(0.5, 0.5))
    x = torch.rand(2, 1, 4, 4)
    assert torch.equal(layers.eval()(x), layers(x))
    assert not torch.equal(layers.train()(x), layers(x))


@pytest.mark.parametrize("width", [2, 3], ids=["same_channels", "other_channels"])
def test_a_residual_block_adds_its_input_before_the_last_activation(width):
    layers = build_layers(
        (5, 5, 2),
        2,
        filters=(width,),
        convs_per_block=2,
        residual=True,
        activation="tanh",
        pool=None,
        normalization="batch",
    ).train()
    block, last = layers.block1
    first, norm1, act, second, norm2 = block.convolutions
    assert isinstance(act, nn.Tanh)
    assert isinstance(last, nn.Tanh)
    x = torch.randn(4, 2, 5, 5)

    def normalized(x, norm):
        mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
        scaled = (x - mean[:, None, None]) / (variance + norm.eps).sqrt()[:, None, None]
        return scaled * norm.weight[:, None, None] + norm.bias[:, None, None]

    hidden = torch.tanh(normalized(F.conv2d(x, first.weight, padding=1), norm1))
    residual = normalized(F.conv2d(hidden, second.weight, padding=1), norm2)
    if width == 2:
        shortcut = x
        assert n_parameters(block.shortcut) == 0
    else:
        shortcut = torch.einsum("oi,nihw->nohw", block.shortcut.weight[:, :, 0, 0], x)
    torch.testing.assert_close(block(x), residual + shortcut)


POOLED_AWAY = {
    "square": ((8, 8, 3), {"filters": (2,) * 4}, 4),
    "narrow": ((64, 4, 3), {"filters": (2,) * 3}, 3),
    "large_window": ((8, 8, 1), {"filters": (2, 2), "pool_size": 3}, 2),
    "too_large_at_once": ((8, 8, 1), {"filters": (2, 2), "pool_size": 9}, 1),
    "windows": ((8, 8, 1), {"filters": (2,) * 3, "pool_size": (2, 2, 4)}, 3),
    "average": ((4, 4, 1), {"filters": (2,) * 3, "pool": "average"}, 3),
    "some_blocks": (
        (8, 8, 1),
        {"filters": (2,) * 3, "pool": (None, "max", "max"), "pool_size": 4},
        3,
    ),
    "some_windows": (
        (8, 8, 1),
        {"filters": (2,) * 3, "pool": (None, "max", "max"), "pool_size": (9, 4, 4)},
        3,
    ),
}


@pytest.mark.parametrize(
    ("image_shape", "options", "block"), POOLED_AWAY.values(), ids=POOLED_AWAY
)
def test_an_image_pooled_away_is_an_error_with_a_way_out(image_shape, options, block):
    with pytest.raises(ValueError, match="pool_size") as caught:
        build_layers(image_shape, 2, **options)
    message = str(caught.value)
    size = options.get("pool_size", 2)
    assert f"filters makes {len(options['filters'])} blocks" in message
    assert f"{image_shape[0]}x{image_shape[1]} pixels" in message
    assert f"before block {block} pools" in message
    assert f"pool_size={size if isinstance(size, int) else size[block - 1]}" in message

    suggested = eval(re.search(r"pool=(\(.*\))\.$", message)[1])
    layers = build_layers(image_shape, 2, **options | {"pool": suggested})
    assert output_shape(layers, image_shape) == (2, 2)


@pytest.mark.parametrize("image_shape", [(1, 20, 1), (20, 1, 1), (1, 1, 5)], ids=str)
@pytest.mark.parametrize("kernel_size", [2, 3])
def test_rows_of_pixels_are_not_convolved_or_pooled_across(image_shape, kernel_size):
    height, width, channels = image_shape
    layers = build_layers(image_shape, 2, filters=(2, 3), kernel_size=kernel_size)
    for conv in layers_of(layers, nn.Conv2d):
        assert conv.kernel_size == tuple(
            kernel_size if side > 1 else 1 for side in (height, width)
        )
    for pool in layers_of(layers, nn.MaxPool2d):
        assert pool.kernel_size == tuple(2 if side > 1 else 1 for side in (height, width))
    with torch.inference_mode():
        x = layers.block1(torch.zeros(1, channels, height, width))
        x = layers.block2(x)
    assert x.shape == (1, 3, max(1, height // 4), max(1, width // 4))


def test_pooling_is_fitted_to_what_is_left_where_that_is_wished():
    layers = build_layers((6, 20, 1), 2, filters=(2,) * 4, pool_size=3, clip_pool_size=True)
    windows = [p.kernel_size for p in layers_of(layers, nn.MaxPool2d)]
    assert windows == [(3, 3), (2, 3), (1, 2)]
    assert output_shape(layers, (6, 20, 1)) == (2, 2)


def test_pooling_that_fits_stays_as_it_is():
    fitted = build_layers((8, 8, 1), 2, filters=(2, 2), clip_pool_size=True)
    assert repr(fitted) == repr(build_layers((8, 8, 1), 2, filters=(2, 2)))


@pytest.mark.parametrize(
    ("global_pool", "reduce"), [("average", "mean"), ("max", "amax"), (None, "flatten")]
)
def test_global_pooling_turns_the_last_block_into_features(global_pool, reduce):
    layers = build_layers((5, 7, 1), 2, filters=(3,), global_pool=global_pool).eval()
    x = torch.rand(2, 1, 5, 7)
    with torch.inference_mode():
        maps = layers.block1(x)
        features = maps.flatten(1) if global_pool is None else getattr(maps, reduce)((2, 3))
        torch.testing.assert_close(layers(x), layers.head(features))


MEAN, SCALE = [100.0, 50.0, 5.0], [10.0, 20.0, 0.5]
MEASURED = {"mean": MEAN, "scale": SCALE}


def network(module=None, **parameters):
    spec = blocks(**{"filters": (2,)} | parameters) if module is None else OwnModule(module)
    return spec.build((6, 6, 3), 4, measured=MEASURED).eval()


def test_the_network_standardizes_pixels(images):
    net = ImageNetwork(nn.Flatten(), nn.Identity(), MEAN, SCALE)
    with torch.inference_mode():
        got = net(torch.tensor(images))
    expected = (images.astype(np.float64) - MEAN) / SCALE
    expected = expected.transpose(0, 3, 1, 2).reshape(len(images), -1)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-6, atol=1e-6)


def test_the_statistics_are_saved_with_the_weights():
    state = network().state_dict()
    assert state["mean"].tolist() == MEAN
    assert state["scale"].tolist() == SCALE
    other = blocks(filters=(2,)).build((6, 6, 3), 4).eval()
    assert other.mean.tolist() != MEAN
    other.load_state_dict(state)
    images = torch.rand(2, 6, 6, 3) * 255
    with torch.inference_mode():
        assert torch.equal(other(images), network_of(state)(images))


def network_of(state):
    net = network()
    net.load_state_dict(state)
    return net


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int16"])
def test_the_type_of_the_pixels_makes_no_difference(dtype):
    images = torch.randint(256, (3, 6, 6, 3), dtype=torch.uint8)
    net = network()
    with torch.inference_mode():
        assert torch.equal(net(images), net(images.to(getattr(torch, dtype))))


def test_statistics_are_no_parameters():
    assert {name.partition(".")[0] for name, _ in network().named_parameters()} == {"body", "head"}


class Linear(nn.Module):
    """A module of one's own that knows the number of classes only."""

    def __init__(self, n_classes):
        super().__init__()
        self.dense = nn.Linear(108, n_classes)

    def forward(self, x):
        return self.dense(x.flatten(1))


def from_keywords(**offered):
    sizes = {"image_shape": (6, 6, 3), "n_channels": 3, "n_classes": 4, "n_outputs": 4}
    assert offered == sizes
    return nn.Sequential(nn.Flatten(), nn.Linear(108, offered["n_classes"]))


def from_shape(image_shape, n_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(image_shape)), n_classes))


def from_channels(n_channels, n_classes=7, width=5):
    return nn.Sequential(
        nn.Conv2d(n_channels, width, 6), nn.Flatten(), nn.Linear(width, n_classes)
    )


def from_nothing():
    return nn.Sequential(nn.Flatten(), nn.Linear(108, 4))


@pytest.mark.parametrize(
    "module",
    [
        Linear,
        from_keywords,
        from_shape,
        from_channels,
        from_nothing,
        functools.partial(from_channels, width=2),
        functools.partial(from_shape, n_classes=4),
        lambda n_classes: Linear(n_classes),
    ],
    ids=[
        "class",
        "keywords",
        "shape",
        "channels",
        "nothing",
        "partial",
        "partial_of_what_is_offered",
        "lambda",
    ],
)
def test_a_module_is_given_what_its_signature_names(module):
    net = network(module=module)
    with torch.inference_mode():
        assert net(torch.zeros(2, 6, 6, 3)).shape == (2, 4)


def test_a_module_receives_standardized_pixels_with_channels_first():
    taken = []

    class Spy(Linear):
        def forward(self, x):
            taken.append(x)
            return super().forward(x)

    images = torch.randint(256, (2, 6, 6, 3), dtype=torch.uint8)
    network(module=Spy)(images)
    expected = (images - torch.tensor(MEAN)) / torch.tensor(SCALE)
    torch.testing.assert_close(taken[0], expected.permute(0, 3, 1, 2))


def test_what_a_module_partial_fixes_is_kept():
    # Seven classes where four are offered: its own keyword is not overridden silently.
    net = network(module=functools.partial(from_channels, width=2))
    assert layers_of(net, nn.Conv2d)[0].out_channels == 2
    assert layers_of(net, nn.Linear)[-1].out_features == 4


@pytest.mark.parametrize("returned", [None, nn.Linear, [nn.Flatten()]], ids=repr)
def test_what_is_no_module_is_refused(returned):
    def factory(n_classes):
        return returned

    with pytest.raises(TypeError, match=r"factory.*returned .*, expected a torch\.nn\.Module"):
        network(module=factory)


def test_the_features_are_what_goes_into_the_head():
    net = network(dense_units=(5, 6))
    images = torch.rand(2, 6, 6, 3)
    with torch.inference_mode():
        features = net.features(images)
        assert features.shape == (2, 6)
        torch.testing.assert_close(net.head(features), net(images))


class WithBody(nn.Module):
    """A module that says what its features are; its names of layers do not."""

    def __init__(self, n_classes):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 7, 6), nn.Flatten())
        self.head = nn.Sequential(nn.Linear(7, 9), nn.ReLU(), nn.Linear(9, n_classes))

    def forward(self, x):
        return self.head(self.body(x))


@pytest.mark.parametrize(("module", "n_features"), [(WithBody, 7), (from_shape, 108)])
def test_a_module_says_what_its_features_are(module, n_features):
    net = network(module=module)
    images = torch.rand(2, 6, 6, 3)
    with torch.inference_mode():
        features = net.features(images)
        head = net.own.head if module is WithBody else net.own[-1]
        assert features.shape == (2, n_features)
        torch.testing.assert_close(head(features), net(images))


@pytest.mark.parametrize(
    "module",
    [Linear, lambda: nn.Sequential(nn.Conv2d(3, 4, 6), nn.Flatten())],
    ids=["class", "row"],
)
def test_features_that_a_module_does_not_name_are_not_guessed(module):
    with pytest.raises(ValueError, match=r"does not say what its features are\. Give it the attr"):
        network(module=module).features(torch.zeros(2, 6, 6, 3))


def test_the_seed_of_torch_decides_the_weights():
    def weights(seed):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return network().head.weight

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


@given(
    image_shape=st.tuples(st.integers(2, 16), st.integers(2, 16), st.just(1)),
    blocks=st.lists(
        st.tuples(st.sampled_from(["max", "average", None]), st.integers(2, 5)),
        min_size=1,
        max_size=4,
    ),
)
def test_every_suggested_pooling_works(image_shape, blocks):
    pool, pool_size = zip(*blocks)
    options = {"filters": (1,) * len(blocks), "pool_size": pool_size}
    try:
        build_layers(image_shape, 2, **options, pool=pool)
    except ValueError as error:
        message = str(error)
    else:
        assume(False)
    suggested = eval(re.search(r"pool=(\(.*\))\.$", message)[1])
    assert output_shape(build_layers(image_shape, 2, **options, pool=suggested), image_shape)


# ---------------------------------------------------------------- the specification


WRONG = {
    "filters": ["8", 0, -1, 8.5, None, (8, 0), [8, "16"], np.array([8, -1])],
    "convs_per_block": ["1", 0, None, 1.5, (1, 1.5)],
    "kernel_size": ["3", 0, None, (3, 2.5)],
    "stem": ["whiten", True, 3],
    "pool": ["mean", 2, True, ("max", "mean")],
    "pool_size": [0, "2", None, 2.5, (2, -2)],
    "pool_after": ["second", None, 1],
    "activation": ["softmax", None, nn.ReLU],
    "normalization": ["layer", True, ("batch", "layer")],
    "residual": ["yes", 2, (True, 2)],
    "symmetry": ["mirrored", True, ("mirror",)],
    "dense_units": [0, "64", 6.4, (64, 0)],
    "dropout": [1, 1.5, -0.1, "0.5", None, np.nan, (0.5, 1.5)],
    "global_pool": ["mean", "flatten", True],
    "init": ["orthogonal", None],
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param(name, value, id=f"{name}-{value!r}")
        for name, values in WRONG.items()
        for value in values
    ],
)
def test_conv_blocks_wrong_values_are_refused_by_name(name, value):
    spec = ConvBlocks().set_params(**{name: value})
    refused = f"The '{name}' parameter of ConvBlocks must be .* Got "
    if not isinstance(value, tuple | list | np.ndarray) or name == "symmetry":
        refused += re.escape(f"{whole(value)!r} instead.")
    with pytest.raises(InvalidParameterError, match=refused):
        spec.check()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("stem", ["whitening"]),
        ("pool_after", ["first", "last"]),
        ("symmetry", ["mirror"]),
        ("init", ["uniform", "dirac"]),
        ("global_pool", ["average", "max", "average_max"]),
    ],
)
def test_conv_blocks_messages_name_what_there_is(name, options):
    with pytest.raises(InvalidParameterError, match="Got 'other' instead") as caught:
        ConvBlocks().set_params(**{name: "other"}).check()
    assert all(f"'{option}'" in str(caught.value) for option in options)


def test_conv_blocks_wrong_values_are_listed_for_each_parameter():
    assert set(WRONG) == set(ConvBlocks().get_params())


@pytest.mark.parametrize("filters", [(), [], np.array([], int)], ids=repr)
@pytest.mark.parametrize("dense_units", [None, (5, 6)])
def test_without_filters_all_pixels_go_to_the_dense_layers(filters, dense_units):
    spec = ConvBlocks(filters, dense_units=dense_units)
    spec.check()
    network = spec.build((4, 6, 3), 7)
    linear = [(d.in_features, d.out_features) for d in layers_of(network, nn.Linear)]
    assert linear == ([(72, 7)] if dense_units is None else [(72, 5), (5, 6), (6, 7)])
    assert network(torch.zeros(2, 4, 6, 3)).shape == (2, 7)
    assert not spec.allows_any_size()


@pytest.mark.parametrize(("name", "value"), [("stem", "whitening"), ("symmetry", "mirror")])
def test_without_filters_there_is_nothing_that_needs_convolutions(name, value):
    with pytest.raises(ValueError, match=rf"has filters=\(\) and {name}='{value}', which needs"):
        ConvBlocks((), **{name: value}).check()


def test_conv_blocks_defaults_are_valid():
    ConvBlocks().check()


@pytest.mark.parametrize("sequence", [tuple, list, np.array])
def test_conv_blocks_take_sequences_of_any_kind(sequence):
    spec = ConvBlocks(sequence([2, 3]), kernel_size=sequence([1, 3]), dropout=sequence([0.1, 0.2]))
    spec.check()
    expected = ConvBlocks((2, 3), kernel_size=(1, 3), dropout=(0.1, 0.2))
    assert repr(spec.build((8, 8, 3), 2)) == repr(expected.build((8, 8, 3), 2))


def test_conv_blocks_can_be_cloned_and_stay_as_they_are():
    spec = ConvBlocks([2, 3], symmetry=None, stem="whitening", init="dirac")
    before = repr(spec.get_params())
    copied = clone(spec).set_params(filters=(4,), stem=None)
    copied.build((8, 8, 3), 2)
    spec.build((8, 8, 3), 2)
    assert repr(spec.get_params()) == before
    assert vars(spec).keys() == spec.get_params().keys()
    assert (copied.filters, copied.stem, copied.init) == ((4,), None, "dirac")
