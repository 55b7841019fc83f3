"""From parameters to a torch network, and the shape arithmetic that goes with it."""

import inspect
import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from skcnn.networks._blocks import ACTIVATIONS, build_block
from skcnn.networks._layers import AdaptiveMaxPool2d, AverageMaxPool2d, Dropout, ImageNetwork
from skcnn.networks._mirror import MirroredConv2d, MirrorMean
from skcnn.networks._whitening import stem_window

GLOBAL_POOLS: dict[str, Callable[[], nn.Module]] = {
    "max": AdaptiveMaxPool2d,
    "average": partial(nn.AdaptiveAvgPool2d, 1),
    "average_max": AverageMaxPool2d,
}
STEMS = ("whitening",)
INITS = ("uniform", "dirac")
_AUTO_FILTERS = (32, 64, 128, 256)


def per_block(name: str, value: Any, n_blocks: int) -> list[Any]:
    """Spread a scalar over the blocks, or check that there is one value for each.

    Examples
    --------
    >>> per_block("kernel_size", 3, 2), per_block("pool", ("max", None), 2)
    ([3, 3], ['max', None])
    """
    if isinstance(value, str) or not isinstance(value, Sequence):
        return [value] * n_blocks
    if len(value) != n_blocks:
        raise ValueError(
            f"{name}={value!r} has {len(value)} values, but filters makes {n_blocks} blocks. "
            "Give one value, or one for each block."
        )
    return list(value)


def choose_filters(sides: Sequence[int]) -> tuple[int, ...]:
    """Filters for images of any size: of 32, 64, 128, 256 as many as the image can be halved.

    Examples
    --------
    >>> choose_filters((32, 32)), choose_filters((8, 8))
    ((32, 64, 128, 256), (32, 64, 128))
    """
    # A side of one pixel is never pooled, and sets no limit.
    halvings = [int(math.log2(side)) for side in sides if side > 1]
    return _AUTO_FILTERS[: min(halvings, default=1)]


def build_layers(
    image_shape: tuple[int, int, int],
    n_classes: int,
    *,
    filters: Sequence[int] | Literal["auto"],
    convs_per_block: int | Sequence[int] = 1,
    kernel_size: int | Sequence[int] = 3,
    stem: str | None = None,
    pool: str | Sequence[str | None] | None = "max",
    pool_size: int | Sequence[int] = 2,
    pool_after: str = "last",
    activation: str = "relu",
    normalization: str | Sequence[str | None] | None = None,
    residual: bool | Sequence[bool] = False,
    symmetry: str | None = None,
    dense_units: int | Sequence[int] | None = None,
    dropout: float | Sequence[float] = 0.0,
    head: str = "flatten",
    init: str = "uniform",
    fit_pooling: bool = False,
) -> nn.Sequential:
    """Stack blocks of [convolutions, pooling], a head, dense layers and the output layer.

    Sides that are one pixel long from the start (rows of numbers read as images) are neither
    convolved along nor pooled.

    Parameters
    ----------
    image_shape : tuple of (height, width, channels)
    n_classes : int
    filters, convs_per_block, ..., head, init
        As in `ConvNetClassifier`.
    fit_pooling : bool, default=False
        Whether to pool less where nothing is left to pool, rather than to raise.

    Returns
    -------
    layers : torch.nn.Sequential
        From images (n, channels, height, width) to logits (n, n_classes).

    Raises
    ------
    ValueError
        Where a per-block parameter has the wrong length, the image is pooled away, or mirrored
        filters are odd in number.
    """
    *sides, channels = image_shape
    if stem is not None:
        stem_size = stem_window(image_shape)
        sides = [side - w + 1 for side, w in zip(sides, stem_size)]
    if isinstance(filters, str):
        filters = choose_filters(sides)
    n_blocks = len(filters)
    if symmetry == "mirror" and any(width % 2 for width in filters):
        raise ValueError(
            f'symmetry="mirror" makes pairs of filters, but filters={tuple(filters)} has an odd '
            "number. Use even numbers of filters, or symmetry=None."
        )
    pools = per_block("pool", pool, n_blocks)
    blocks = zip(
        filters,
        per_block("convs_per_block", convs_per_block, n_blocks),
        per_block("kernel_size", kernel_size, n_blocks),
        pools,
        per_block("pool_size", pool_size, n_blocks),
        per_block("normalization", normalization, n_blocks),
        per_block("residual", residual, n_blocks),
        strict=True,
    )
    if isinstance(dropout, Sequence):
        *block_dropout, head_dropout = per_block("dropout", dropout, n_blocks)
    else:
        block_dropout, head_dropout = [0.0] * (n_blocks - 1), dropout

    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if stem is not None:
        n_filters = 2 * channels * math.prod(stem_size)
        layers["stem"] = nn.Sequential(
            nn.Conv2d(channels, n_filters, stem_size, bias=False).requires_grad_(False),
            ACTIVATIONS[activation](),
        )
        channels = n_filters
    for number, (width, convs, kernel, pooling, window, norm, skip) in enumerate(blocks, start=1):
        # Along a side that was one pixel from the start there is nothing to convolve.
        kernels = (kernel if image_shape[0] > 1 else 1, kernel if image_shape[1] > 1 else 1)
        windows = [1, 1]
        if pooling is not None:
            windows = [_window(side, full, window) for side, full in zip(sides, image_shape[:2])]
            if not fit_pooling and any(w > s for w, s in zip(windows, sides)):
                raise ValueError(_pooling_error(image_shape, sides, number, pools, window))
            windows = [min(w, s) for w, s in zip(windows, sides)]
            sides = [side // w for side, w in zip(sides, windows)]
        block = build_block(
            channels,
            width,
            n_convs=convs,
            kernel_size=kernels,
            activation=activation,
            normalization=norm,
            residual=skip,
            symmetry=symmetry,
            is_first=number == 1,
            pool=pooling,
            windows=(windows[0], windows[1]),
            pool_after=pool_after,
        )
        channels = width
        if number < n_blocks and block_dropout[number - 1]:
            block.append(Dropout(block_dropout[number - 1]))
        layers[f"block{number}"] = block

    if head != "flatten":
        layers["pool"] = GLOBAL_POOLS[head]()
        sides = [1, 1]
    if symmetry == "mirror":
        layers["mirror_mean"] = MirrorMean()
        channels //= 2
    layers["flatten"] = nn.Flatten()
    if head_dropout:
        layers["dropout"] = Dropout(head_dropout)
    features = channels * sides[0] * sides[1]
    units = dense_units if isinstance(dense_units, Sequence) else [dense_units]
    for number, width in enumerate(filter(None, units), start=1):
        layers[f"dense{number}"] = nn.Linear(features, width)
        layers[f"activation{number}"] = ACTIVATIONS[activation]()
        features = width
    layers["output"] = nn.Linear(features, n_classes)
    network = nn.Sequential(layers)
    if init == "dirac":
        _dirac_init(network)
    return network


def build_network(
    image_shape: tuple[int, int, int],
    n_classes: int,
    mean: Sequence[float],
    scale: Sequence[float],
    module: Callable[..., nn.Module] | None = None,
    *,
    stem_filters: npt.NDArray[np.float32] | None = None,
    **parameters: Any,
) -> ImageNetwork:
    """Build the network of the user's module, or of the parameters where there is none.

    Parameters
    ----------
    image_shape : tuple of (height, width, channels)
    n_classes : int
    mean, scale : sequence of float
        The pixel statistics of each channel.
    module : callable, default=None
        A torch.nn.Module class or a function that returns a module. Called with those of
        `image_shape`, `n_channels` and `n_classes` that its signature names.
    stem_filters : ndarray of shape (n_filters, channels, height, width), default=None
        The filters of a stem.
    **parameters
        Of `build_layers`, unused where there is a module.

    Returns
    -------
    network : ImageNetwork
    """
    if module is None:
        layers = build_layers(image_shape, n_classes, **parameters)
        if stem_filters is not None:
            with torch.no_grad():
                stem: Any = layers.stem
                stem[0].weight.copy_(torch.from_numpy(stem_filters))
                for layer in layers.modules():
                    if isinstance(layer, MirroredConv2d) and layer.unpaired_input:
                        layer.pair_channels(stem[0].weight)
        return ImageNetwork(layers, mean, scale)
    offered = {
        "image_shape": image_shape,
        "n_channels": image_shape[2],
        "n_classes": n_classes,
    }
    accepted = inspect.signature(module).parameters
    if getattr(module, "__init__", None) is nn.Module.__init__:
        # What a class without a constructor of its own would hand on is of no use to Module's.
        offered = {}
    elif not any(p.kind is p.VAR_KEYWORD for p in accepted.values()):
        offered = {name: value for name, value in offered.items() if name in accepted}
    own = module(**offered)
    if not isinstance(own, nn.Module):
        raise TypeError(
            f"module={module!r} returned {type(own).__name__}, expected a torch.nn.Module. "
            "Pass a Module class, or a function that returns a Module."
        )
    network = ImageNetwork(own, mean, scale)
    if any(isinstance(p, nn.UninitializedParameter) for p in network.parameters()):
        # Lazy layers take their shape from the first image they see.
        with torch.no_grad():
            network.eval()(torch.zeros(1, *image_shape))
        network.train()
    if not any(p.requires_grad for p in network.parameters()):
        raise ValueError(
            f"The network of module={module!r} has no parameters to train. Expected a Module with "
            "at least one layer that has weights."
        )
    return network


def last_linear(network: nn.Module) -> nn.Linear:
    """Return the last dense layer, whose input are the features a network has learnt."""
    dense = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    if not dense:
        raise ValueError(
            "The network of module= has no torch.nn.Linear layer, so that the features before "
            "its last layer are not defined. End the module with a Linear layer to use transform."
        )
    return dense[-1]


def _dirac_init(network: nn.Module) -> None:
    """Let as many filters of each convolution as it has channels begin as the identity."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and layer.weight.requires_grad:
            nn.init.dirac_(layer.weight.detach()[: layer.in_channels])


def _window(side: int, full_side: int, window: int) -> int:
    return window if full_side > 1 else 1


def _pooling_error(
    image_shape: tuple[int, int, int],
    sides: list[int],
    number: int,
    pools: list[str | None],
    window: int,
) -> str:
    height, width, _ = image_shape
    fewer = (*pools[: number - 1], *[None] * (len(pools) - number + 1))
    return (
        f"filters makes {len(pools)} blocks, and an image of {height}x{width} pixels is down to "
        f"{sides[0]}x{sides[1]} before block {number} pools it by pool_size={window}. Use fewer "
        f"filters, a smaller pool_size, larger images, or less pooling: pool={fewer}."
    )
