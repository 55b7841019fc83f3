"""Groups of parameters that an optimizer treats alike, and the learning rate of each."""

from typing import Any

import torch
from torch import Tensor, nn

from skcnn.networks._summary import role_of


def parameter_groups(network: nn.Module) -> list[dict[str, Any]]:
    """Group the trained parameters of a network by what an optimizer does with them.

    The role of a parameter follows from the module that holds it, not from its number of
    dimensions alone: a table of positions or a scale per channel is not a filter.

    Returns
    -------
    groups : list of dict
        Each with `params` and `role`: "filters" of convolutions and of layers that say so by
        `steps_as_filters`, other "weights", and "others", which are biases, normalization layers
        and scales, whose `weight_decay` is 0. Filters are in two groups, by `keeps_norm`:
        whether training may rescale them. Parts of a network that have an attribute `lr_factor`
        are in groups of their own, whose `part_factor` it is.
    """
    factors = _lr_factors(network)
    groups: dict[tuple[object, ...], dict[str, Any]] = {}
    # Parameters of new layers first, and in the same order in every network.
    kind: tuple[object, ...]
    for factor in sorted({1.0, *factors.values()}, reverse=True):
        for kind in (("filters", True), ("filters", False), ("weights",), ("others",)):
            groups[factor, *kind] = {"params": [], "role": kind[0], "part_factor": factor}
    seen: set[int] = set()
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad or id(parameter) in seen:
                continue
            seen.add(id(parameter))
            kind = ("others",)
            if name == "weight" and _steps_as_filters(module):
                kind = ("filters", getattr(module, "keeps_norm", False))
            elif _holds_weights(module, name, parameter):
                kind = ("weights",)
            groups[factors.get(module, 1.0), *kind]["params"].append(parameter)
    for (_, role, *keeps_norm), group in groups.items():
        if keeps_norm:
            group["keeps_norm"] = keeps_norm[0]
        if role == "others":
            group["weight_decay"] = 0.0
    return [group for group in groups.values() if group["params"]]


def _holds_weights(module: nn.Module, name: str, parameter: Tensor) -> bool:
    """Whether a parameter of a module is neither a bias nor a scale."""
    role = role_of(module)
    # Those of a norm are scales and shifts, whatever their shape.
    if name == "bias" or role == "normalization":
        return False
    # The weights of a dense layer with one output are a single row.
    return role == "dense" or parameter.squeeze().ndim > 1


def _lr_factors(network: nn.Module) -> dict[nn.Module, float]:
    """Multipliers on the learning rate of modules that, or whose parents, have an `lr_factor`."""
    factors: dict[nn.Module, float] = {}
    for part in network.modules():
        factor = getattr(part, "lr_factor", None)
        if isinstance(factor, float):
            factors |= dict.fromkeys(part.modules(), factor)
    return factors


def _steps_as_filters(module: nn.Module) -> bool:
    is_convolution = isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d)
    return is_convolution or getattr(module, "steps_as_filters", False)


def set_lr(optimizer: torch.optim.Optimizer, lr: float, bias_lr_factor: float = 1.0) -> None:
    """Set the learning rate of filters, and in proportion those of all other groups."""
    for group in optimizer.param_groups:
        of_role = {"others": bias_lr_factor, "weights": group.get("head_lr_factor", 1.0)}
        role = group.get("role", "filters")
        group["lr_factor"] = group.get("part_factor", 1.0) * of_role.get(role, 1.0)
        group["lr"] = lr * group["lr_factor"]
