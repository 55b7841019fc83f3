"""One block of a network: convolutions, normalization, activations and pooling."""

from collections.abc import Callable
from functools import partial

from torch import nn

from skcnn.networks._ghost import GhostBatchNorm2d, MirroredGhostBatchNorm2d
from skcnn.networks._layers import AvgPool2d, Conv2d, MaxPool2d, PaddingMode, Residual
from skcnn.networks._mirror import MirroredBatchNorm2d, MirroredConv2d

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": partial(nn.ReLU, inplace=True),
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}
POOLS: dict[str, type[MaxPool2d | AvgPool2d]] = {"max": MaxPool2d, "average": AvgPool2d}
# For each, the layer for plain filters, and the one for filters in mirrored pairs.
NORMALIZATIONS: dict[str, tuple[type[nn.BatchNorm2d], type[nn.BatchNorm2d]]] = {
    "batch": (nn.BatchNorm2d, MirroredBatchNorm2d),
    "ghost": (GhostBatchNorm2d, MirroredGhostBatchNorm2d),
}
SYMMETRIES = ("mirror",)
POOL_AFTER = ("first", "last")
# For these, the activation of a maximum is the maximum of the activations.
_MONOTONIC = {"relu", "leaky_relu", "elu", "tanh"}


def build_block(
    channels: int,
    filters: int,
    *,
    n_convs: int,
    kernel_size: tuple[int, int],
    activation: str,
    normalization: str | None,
    residual: bool,
    symmetry: str | None,
    is_first: bool,
    pool: str | None,
    windows: tuple[int, int],
    pool_after: str,
    padding_mode: PaddingMode = "zeros",
) -> nn.Sequential:
    """Build a block of a network.

    Parameters
    ----------
    channels : int
        Number of input channels.
    filters : int
        Number of filters per convolution, and of output channels.
    n_convs : int
        Number of convolutions.
    kernel_size, windows : tuple of (height, width)
        Size of the kernels and of the pooling windows.
    is_first : bool
        Whether this is the first block of the network.
    activation, normalization, residual, symmetry, pool, pool_after
        As in `ConvNetClassifier`, for this block.
    padding_mode : {"zeros", "replicate"}, default="zeros"
        What convolutions see beyond the edges: zeros, or the outermost pixels again.

    Returns
    -------
    block : torch.nn.Sequential
    """
    mirrored = symmetry == "mirror"
    convolutions = [
        _convolution(
            filters if number else channels,
            filters,
            kernel_size,
            normalization,
            padding_mode,
            mirrored=mirrored,
            unpaired_input=is_first and number == 0,
        )
        for number in range(n_convs)
    ]
    activate = ACTIVATIONS[activation]
    if mirrored and activation == "relu":
        # Mirrored normalization returns views; changing these in place costs a copy in backward.
        activate = nn.ReLU
    # Windows that ignore the last pixels would treat an image and its mirror image differently.
    pooling: list[nn.Module] = []
    if pool is not None and max(windows) > 1:
        pooling = [POOLS[pool](windows, cover_input=mirrored)]
    if pool_after == "first" and (n_convs > 1 or not residual):
        first, *others = convolutions
        # The other convolutions then have fewer pixels to work on.
        block = [*_pool_before_norm(first, pooling), activate()]
        if others:
            block += [
                *_conv_stack(others, activate, nn.Identity() if residual else None),
                activate(),
            ]
        return nn.Sequential(*block)
    shortcut: nn.Module | None = None
    if residual:
        shortcut = _shortcut(channels, filters, mirrored=mirrored, unpaired_input=is_first)
        if pooling and n_convs > 1:
            convolutions[-1] = _pool_before_norm(convolutions[-1], pooling)
            shortcut = nn.Sequential(AvgPool2d(windows, cover_input=mirrored), shortcut)
            pooling = []
    block = _conv_stack(convolutions, activate, shortcut)
    if pool == "max" and activation in _MONOTONIC:
        # Both orders give the same result, and this one activates fewer values.
        return nn.Sequential(*block, *pooling, activate())
    return nn.Sequential(*block, activate(), *pooling)


def _convolution(
    channels: int,
    filters: int,
    kernel_size: tuple[int, int],
    normalization: str | None,
    padding_mode: PaddingMode,
    *,
    mirrored: bool,
    unpaired_input: bool,
) -> list[nn.Module]:
    """Convolution that keeps the size of images, and its normalization."""
    # An even kernel has no center: the extra pixel of padding is at the right and the bottom.
    (top, bottom), (left, right) = [((side - 1) // 2, side // 2) for side in kernel_size]
    even = (top, left) != (bottom, right)
    pad = {"zeros": nn.ZeroPad2d, "replicate": nn.ReplicationPad2d}[padding_mode]
    layers: list[nn.Module] = [pad((left, right, top, bottom))] if even else []
    padding = (0, 0) if even else (top, left)
    bias = normalization is None
    layers.append(
        MirroredConv2d(
            *(channels, filters, kernel_size, padding, bias, padding_mode),
            unpaired_input=unpaired_input,
        )
        if mirrored
        else Conv2d(channels, filters, kernel_size, padding, bias, padding_mode)
    )
    if normalization is not None:
        layers.append(NORMALIZATIONS[normalization][mirrored](filters))
    return layers


def _pool_before_norm(convolution: list[nn.Module], pooling: list[nn.Module]) -> list[nn.Module]:
    """Insert the pooling before the normalization, which then has fewer values to process."""
    n_before = len(convolution) - isinstance(convolution[-1], nn.BatchNorm2d)
    return [*convolution[:n_before], *pooling, *convolution[n_before:]]


def _shortcut(channels: int, filters: int, *, mirrored: bool, unpaired_input: bool) -> nn.Module:
    """Identity, or a 1x1 convolution if the number of channels changes."""
    if mirrored and (unpaired_input or channels != filters):
        return MirroredConv2d(channels, filters, (1, 1), bias=False, unpaired_input=unpaired_input)
    return nn.Identity() if channels == filters else Conv2d(channels, filters, (1, 1), bias=False)


def _conv_stack(
    convolutions: list[list[nn.Module]],
    activate: Callable[[], nn.Module],
    shortcut: nn.Module | None,
) -> list[nn.Module]:
    """Convolutions with activations in between, and the shortcut if there is one."""
    layers: list[nn.Module] = []
    for number, convolution in enumerate(convolutions):
        layers += [activate(), *convolution] if number else convolution
    return layers if shortcut is None else [Residual(nn.Sequential(*layers), shortcut)]
