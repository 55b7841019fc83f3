"""Encoders of a U-Net, made of what other specifications describe."""

import inspect
import math
from collections import OrderedDict
from typing import Any

import torch
from sklearn.base import clone
from torch import Tensor, nn

from skcnn.networks._backbone import Backbone, explained_images, read_stages, trained_parts
from skcnn.networks._block_parameters import block_parameters, choose_filters, dropout_rates, ints
from skcnn.networks._blocks import POOLS, build_block
from skcnn.networks._conv_blocks import ConvBlocks, dirac_init
from skcnn.networks._layers import Dropout
from skcnn.networks._spec import ImageShape, Measured, statistics
from skcnn.networks._stages import cut_after, train_part
from skcnn.networks._unet_network import Level, PoolingEncoder, PretrainedEncoder

# Side of an image that is run through a backbone to see the size of its maps.
_PROBE = 64
# Parameters that describe what a U-Net has no place for, or makes in its own way.
_NOT_OF_ENCODERS: dict[type, tuple[str, ...]] = {
    ConvBlocks: ("stem", "pool_after", "symmetry", "dense_units", "global_pool"),
    Backbone: ("head_first", "pooling", "image_size"),
}
Pixels = dict[str, list[float]]


def _check_unused(spec: ConvBlocks | Backbone, kind: type) -> None:
    defaults = inspect.signature(kind).parameters
    for name in _NOT_OF_ENCODERS[kind]:
        value, default = getattr(spec, name), defaults[name].default
        if value != default:
            raise ValueError(
                f"The encoder of UNet is a {kind.__name__} with {name}={value!r}, which would "
                f"have no effect: the maps of all its blocks are used as they are. Leave "
                f"{name}={default!r}."
            )


def check_blocks(spec: ConvBlocks) -> None:
    """Raise a ValueError if blocks are not as described, or no encoder."""
    spec.check()
    _check_unused(spec, ConvBlocks)
    if not isinstance(spec.filters, str) and not spec.allows_any_size():
        raise ValueError(
            "The encoder of UNet is ConvBlocks(filters=()), which has no convolutions. Give the "
            "filters of at least one block."
        )


def check_backbone(spec: Backbone) -> None:
    """Raise a ValueError if a backbone is not as described, or has options of classifiers."""
    spec.check()
    _check_unused(spec, Backbone)


def pooling_encoder(
    spec: ConvBlocks, image_shape: ImageShape, measured: Measured | None
) -> tuple[PoolingEncoder, Pixels]:
    """Build blocks of convolutions with pooling between them.

    Returns
    -------
    encoder : PoolingEncoder
    pixels : dict
        The `mean` and `scale` of standardization.
    """
    sides, channels = image_shape[:2], image_shape[2]
    filters = choose_filters(sides) if isinstance(spec.filters, str) else ints(spec.filters)
    of_blocks, of_features = dropout_rates(spec.dropout, len(filters))
    rates = [*of_blocks, of_features]
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    levels: list[Level] = []
    stride = [1, 1]
    for number, block in enumerate(block_parameters(spec, filters), start=1):
        kernels = [block.kernel_size if side > 1 else 1 for side in sides]
        parts[f"block{number}"] = built = build_block(
            channels,
            block.filters,
            n_convs=block.n_convs,
            kernel_size=(kernels[0], kernels[1]),
            activation=spec.activation,
            normalization=block.normalization,
            residual=block.residual,
            symmetry=None,
            is_first=number == 1,
            pool=None,
            windows=(1, 1),
            pool_after="last",
        )
        if rates[number - 1]:
            built.append(Dropout(rates[number - 1]))
        channels = block.filters
        is_last = number == len(filters)
        windows = [block.pool_size if side > 1 else 1 for side in sides]
        if is_last or (block.pool is not None and math.prod(windows) > 1):
            levels.append(Level(channels, (stride[0], stride[1])))
        if not is_last and block.pool is not None and math.prod(windows) > 1:
            parts[f"pool{number}"] = POOLS[block.pool]((windows[0], windows[1]))
            stride = [step * w for step, w in zip(stride, windows)]
    encoder = PoolingEncoder(parts, levels)
    if spec.init == "dirac":
        dirac_init(encoder)
    return encoder, statistics(image_shape, measured)


def pretrained_encoder(
    spec: Backbone, image_shape: ImageShape, measured: Measured | None
) -> tuple[PretrainedEncoder, Pixels]:
    """Return the stages of a backbone, whose maps of each size are kept.

    Returns
    -------
    encoder : PretrainedEncoder
    pixels : dict
        The `mean` and `scale` of standardization.
    """
    # Maps, and not what the source's own pooling makes of them.
    unpooled: Backbone = clone(spec).set_params(pooling="average")
    source, pixels = read_stages(unpooled, image_shape, measured)
    kept = source.stages if not spec.layer else cut_after(source.stages, spec.layer)
    stages = nn.Sequential(kept)
    probe = torch.zeros(1, len(pixels["mean"]), _PROBE, _PROBE)
    with explained_images(spec, (_PROBE, _PROBE, probe.shape[1])):
        found = _coarser_maps(stages, source.units, probe)
    if source.set_size is not None or not found:
        divides = source.set_size is not None
        reason = "it divides the image into patches" if divides else "it ends in maps of its size"
        raise ValueError(
            f"The encoder {spec.source!r} of UNet has no feature maps that are smaller than the "
            f"image: {reason}. Use a network that makes them smaller step by step, such as "
            'Backbone("efficientnet_lite0").'
        )
    levels = [Level(probe.shape[1], (1, 1)), *found.values()]
    encoder = PretrainedEncoder(kept, list(found), levels)
    encoder.requires_grad_(False)
    for part in trained_parts(unpooled, source, kept, tuple(probe.shape)):
        train_part(part, float(spec.lr_factor))
    return encoder, pixels


def _coarser_maps(
    stages: nn.Module, units: list[list[nn.Module]], images: Tensor
) -> dict[str, Level]:
    """Find, for each size of maps, the last unit that leaves such maps; return its path."""
    outputs: dict[nn.Module, Any] = {}
    parts = {part for unit in units for part in unit}
    hooks = [
        part.register_forward_hook(lambda part, _, output: outputs.update({part: output}))
        for part in parts
    ]
    with torch.no_grad():
        stages.eval()(images)
    for hook in hooks:
        hook.remove()
    names = {module: name for name, module in stages.named_modules()}
    found: dict[int, tuple[str, Level]] = {}
    for unit in units:
        maps = [
            (part, outputs[part].shape)
            for part in unit
            if isinstance(outputs.get(part), Tensor) and outputs[part].ndim == 4
        ]
        if not maps:
            continue
        part, (_, channels, height, width) = maps[-1]
        stride = _PROBE // height
        if height == width and stride > 1 and stride * height == _PROBE:
            found[stride] = names[part], Level(channels, (stride, stride))
    return {name: level for _, (name, level) in sorted(found.items())}
