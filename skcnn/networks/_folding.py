"""Networks for inference: normalization and shortcuts become parts of convolutions."""

import copy
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from skcnn.networks._ghost import GhostBatchNorm2d, MirroredGhostBatchNorm2d
from skcnn.networks._layers import Conv2d, Residual
from skcnn.networks._mirror import MirroredBatchNorm2d, MirroredConv2d

Module = TypeVar("Module", bound=nn.Module)

_NORMALIZATIONS = (
    nn.BatchNorm2d,
    MirroredBatchNorm2d,
    GhostBatchNorm2d,
    MirroredGhostBatchNorm2d,
)
_ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.SiLU)
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
_HOOKS = ("_forward_hooks", "_forward_pre_hooks")


def fold(network: Module) -> Module:
    """Return a network with the same outputs that takes fewer steps.

    In evaluation mode, batch normalization multiplies each channel by a number and adds another.
    The convolution before it can do both [1]_. A shortcut of one pixel adds to the middle of the
    filters beside it [2]_. Outputs differ from those of the network by rounding only.

    Parts that are not known to be a sequence of such layers stay as they are, and so does a
    network with hooks, which may want to see every layer.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode. It is not changed; weights that stay are shared.

    Returns
    -------
    network : torch.nn.Module

    References
    ----------
    .. [1] Jacob, Kligys, Chen, Zhu, Tang, Howard, Adam, Kalenichenko: Quantization and training
       of neural networks for efficient integer-arithmetic-only inference. CVPR 2018.
    .. [2] Ding, Zhang, Ma, Han, Ding, Sun: RepVGG: making VGG-style ConvNets great again.
       CVPR 2021.

    Examples
    --------
    >>> from skcnn.networks import ConvBlocks
    >>> network = ConvBlocks((8,)).build((8, 8, 3), n_outputs=2).eval()
    >>> images = torch.rand(5, 8, 8, 3)
    >>> torch.allclose(fold(network)(images), network(images), atol=1e-6)
    True
    """
    if has_hooks(network):
        return network
    with torch.no_grad():
        return _folded(network)


def has_hooks(network: nn.Module, *, but: Callable[..., Any] | None = None) -> bool:
    """Whether any layer of a network has hooks that see what goes through it, but for one."""
    return any(
        hook is not but
        for module in network.modules()
        for name in _HOOKS
        for hook in getattr(module, name).values()
    )


def _folded(module: Module) -> Module:
    """Fold the parts of a module whose way through its parts is known."""
    if not type(module).__module__.startswith("skcnn.") and type(module) not in _CONTAINERS:
        return module
    # One module may stand at several places, and `children` would give it once.
    before = {name: part for name, part in module._modules.items() if part is not None}
    parts = {name: _without_shortcut(_folded(part)) for name, part in before.items()}
    if type(module) is nn.Sequential:
        parts = _write_over(_fold_sequence(parts))
    if all(part is before[name] for name, part in parts.items()):
        return module
    return _with_parts(module, parts)


def _with_parts(module: Module, parts: Mapping[str, nn.Module]) -> Module:
    """Return a module with other parts, which shares its own weights."""
    copied = copy.copy(module)
    copied._modules = {**module._modules, **parts}
    return copied


def _fold_sequence(parts: dict[str, nn.Module]) -> dict[str, nn.Module]:
    """Fold each normalization into a convolution before it, past a pooling between them."""
    names = list(parts)
    for number, name in enumerate(names):
        if _is_normalization(parts[name]):
            factor, added = _factors(parts[name])
            before = number - 1
            while before > 0 and _may_come_after(parts[names[before]], factor):
                before -= 1
            if before >= 0 and _is_convolution(parts[names[before]]):
                parts[names[before]] = _scaled(parts[names[before]], factor, added)
                parts[name] = nn.Identity()
    return parts


def _write_over(parts: dict[str, nn.Module]) -> dict[str, nn.Module]:
    """Let activations write their values over those of a convolution before them."""
    layers = [name for name, part in parts.items() if not isinstance(part, nn.Identity)]
    for name, following in pairwise(layers):
        if _is_convolution(parts[name]) and type(parts[following]) in _ACTIVATIONS:
            activation = copy.copy(parts[following])
            setattr(activation, "inplace", True)  # noqa: B010 - not declared by every module
            parts[following] = activation
    return parts


def _without_shortcut(module: nn.Module) -> nn.Module:
    """Fold a shortcut of one pixel into the only convolution beside it, if that is possible."""
    if type(module) is not Residual:
        return module
    shortcut = module.shortcut
    layers = [
        layer for layer in _layers(module.convolutions) if not isinstance(layer, nn.Identity)
    ]
    if len(layers) != 1 or not _keeps_size(layers[0]):
        return module
    main = layers[0]
    weight, bias = _filters(main)
    if isinstance(shortcut, nn.Identity):
        n_channels = weight.shape[1]
        if len(weight) != n_channels:
            return module
        added = torch.eye(n_channels, dtype=weight.dtype, device=weight.device)
    elif _keeps_size(shortcut) and shortcut.kernel_size == (1, 1):
        pixel, more = _filters(shortcut)
        added, bias = pixel[:, :, 0, 0], bias + more
    else:
        return module
    weight = weight.clone()
    weight[:, :, weight.shape[2] // 2, weight.shape[3] // 2] += added
    return _with_filters(main, weight, bias)


def _layers(module: nn.Module) -> list[nn.Module]:
    return list(module) if type(module) is nn.Sequential else [module]


def _is_convolution(module: nn.Module) -> bool:
    """Whether a module is a convolution that computes no more than torch's does."""
    is_known = type(module) is nn.Conv2d or type(module).__module__.startswith("skcnn.")
    return is_known and isinstance(module, nn.Conv2d)


def _is_normalization(module: nn.Module) -> bool:
    known = type(module) in _NORMALIZATIONS
    return known and not module.training and module.running_mean is not None


def _may_come_after(module: nn.Module, factor: Tensor) -> bool:
    """Whether a module is a pooling that gives the same after its inputs are scaled as before.

    The largest of several values is another one if they are multiplied by a negative number.
    """
    if not isinstance(module, nn.MaxPool2d | nn.AvgPool2d) or module.padding not in (0, (0, 0)):
        return False
    return isinstance(module, nn.AvgPool2d) or bool((factor > 0).all())


def _keeps_size(module: nn.Module) -> bool:
    """Whether a module is a convolution whose middle stands on the pixel that it computes."""
    return (
        type(module) in (nn.Conv2d, Conv2d, MirroredConv2d)
        and isinstance(module, nn.Conv2d)
        and all(side % 2 == 1 for side in module.kernel_size)
        and module.padding == tuple(side // 2 for side in module.kernel_size)
        and (module.stride, module.dilation, module.groups) == ((1, 1), (1, 1), 1)
    )


def _factors(normalization: nn.Module) -> tuple[Tensor, Tensor]:
    """Return what a normalization multiplies each channel by, and what it adds."""
    assert isinstance(normalization, nn.BatchNorm2d)
    mean, variance = normalization.running_mean, normalization.running_var
    assert mean is not None
    assert variance is not None
    factor = (variance.double() + normalization.eps).rsqrt()
    if normalization.affine:
        factor = factor * normalization.weight.double()
    added = -mean.double() * factor
    if normalization.affine:
        added = added + normalization.bias.double()
    if isinstance(normalization, MirroredBatchNorm2d):
        return factor.repeat(2), added.repeat(2)
    return factor, added


def _filters(convolution: nn.Module) -> tuple[Tensor, Tensor]:
    """Return the filters of a convolution, and what it adds in float64."""
    assert isinstance(convolution, nn.Conv2d)
    weight, bias = convolution.weight, convolution.bias
    if isinstance(convolution, MirroredConv2d):
        weight = convolution.all_filters()
        bias = None if bias is None else bias.repeat(2)
    return weight, bias.double() if bias is not None else weight.new_zeros(
        len(weight), dtype=torch.float64
    )


def _scaled(convolution: nn.Module, factor: Tensor, added: Tensor) -> nn.Module:
    """Return a convolution whose outputs are multiplied by a factor before something is added."""
    weight, bias = _filters(convolution)
    weight = weight * factor.to(weight.dtype)[:, None, None, None]
    return _with_filters(convolution, weight, bias * factor + added)


def _with_filters(convolution: nn.Module, weight: Tensor, bias: Tensor) -> nn.Module:
    """Return a convolution with other filters."""
    assert isinstance(convolution, nn.Conv2d)
    if isinstance(convolution, MirroredConv2d):
        # Its filters and their mirror images are no longer made for each batch.
        copied: nn.Conv2d = Conv2d(
            convolution.in_channels,
            convolution.out_channels,
            (convolution.kernel_size[0], convolution.kernel_size[1]),
            (convolution.padding[0], convolution.padding[1]),
            padding_mode="zeros" if convolution.padding_mode == "zeros" else "replicate",
        ).eval()
    else:
        copied = copy.copy(convolution)
    copied._parameters = {
        "weight": nn.Parameter(weight, requires_grad=False),
        "bias": nn.Parameter(bias.to(weight.dtype), requires_grad=False),
    }
    return copied
