"""One block of a network: convolutions, what normalises and activates them, and pooling."""

from collections.abc import Callable
from functools import partial

from torch import nn

from skcnn._layers import MaxPool2d, Residual

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": partial(nn.ReLU, inplace=True),
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}
POOLS: dict[str, type[nn.Module]] = {"max": MaxPool2d, "average": nn.AvgPool2d}
NORMALIZATIONS: dict[str, type[nn.Module]] = {"batch": nn.BatchNorm2d}
POOL_AFTER = ("first", "last")
# They never fall: the activation of the largest value is the largest activation.
_RISING = {"relu", "leaky_relu", "elu", "tanh"}


def build_block(
    channels: int,
    filters: int,
    *,
    n_convs: int,
    kernel_size: tuple[int, int],
    activation: str,
    normalization: str | None,
    residual: bool,
    pool: str | None,
    windows: tuple[int, int],
    pool_after: str,
) -> nn.Sequential:
    """Build a block of a network.

    Parameters
    ----------
    channels : int
        Of the images that come in.
    filters : int
        Of each convolution, and so the channels of the images that leave.
    n_convs : int
        How many convolutions there are.
    kernel_size, windows : tuple of (height, width)
        Of the convolutions and of the pooling.
    activation, normalization, residual, pool, pool_after
        As in `ConvNetClassifier`, for this block.

    Returns
    -------
    block : torch.nn.Sequential
    """
    convolutions = [
        _convolution(channels if number == 0 else filters, filters, kernel_size, normalization)
        for number in range(n_convs)
    ]
    activate = ACTIVATIONS[activation]
    pooling = [POOLS[pool](windows)] if pool is not None and max(windows) > 1 else []
    if pool_after == "first" and (n_convs > 1 or not residual):
        first, *others = convolutions
        # Fewer values to normalise and to activate, and fewer places for the other convolutions.
        n_before = len(first) - (normalization is not None)
        block = [*first[:n_before], *pooling, *first[n_before:], activate()]
        if others:
            block += [*_joined(others, activate, residual, filters, filters), activate()]
        return nn.Sequential(*block)
    block = _joined(convolutions, activate, residual, channels, filters)
    if pool == "max" and activation in _RISING:
        # Both orders come to the same, and this one has fewer values to activate.
        return nn.Sequential(*block, *pooling, activate())
    return nn.Sequential(*block, activate(), *pooling)


def _convolution(
    channels: int, filters: int, kernel_size: tuple[int, int], normalization: str | None
) -> list[nn.Module]:
    """A convolution that keeps the size of images, and what normalises it."""
    # An even kernel has no middle: the odd pixel of padding goes to the right and below.
    (top, bottom), (left, right) = [((side - 1) // 2, side // 2) for side in kernel_size]
    even = (top, left) != (bottom, right)
    layers: list[nn.Module] = [nn.ZeroPad2d((left, right, top, bottom))] if even else []
    padding = (0, 0) if even else (top, left)
    bias = normalization is None
    layers.append(nn.Conv2d(channels, filters, kernel_size, padding=padding, bias=bias))
    if normalization is not None:
        layers.append(NORMALIZATIONS[normalization](filters))
    return layers


def _joined(
    convolutions: list[list[nn.Module]],
    activate: Callable[[], nn.Module],
    residual: bool,
    channels: int,
    filters: int,
) -> list[nn.Module]:
    """Convolutions with activations between them, beside a shortcut where one is wanted."""
    layers: list[nn.Module] = []
    for number, convolution in enumerate(convolutions):
        layers += [activate(), *convolution] if number else convolution
    return [Residual(nn.Sequential(*layers), channels, filters)] if residual else layers
