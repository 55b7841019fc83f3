"""Copies of networks, which share their weights or have their own."""

import copy
import inspect
from types import FunctionType

from torch import Tensor, nn


def structural_copy(network: nn.Module) -> nn.Module:
    """Copy the modules of a network, but share their parameters and buffers.

    Hooks registered on the copy, and its training mode, do not reach the network itself. Threads
    that work on copies of their own therefore do not disturb each other, at no cost in memory.

    Parameters
    ----------
    network : torch.nn.Module

    Returns
    -------
    network : torch.nn.Module

    Examples
    --------
    >>> from torch import nn
    >>> network = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    >>> copied = structural_copy(network).eval()
    >>> copied[0].weight is network[0].weight, network.training
    (True, True)
    """
    shared = [*network.parameters(), *network.buffers()]
    memo = {id(tensor): tensor for tensor in shared}
    return copy.deepcopy(network, memo=memo | _computed(network))


def independent_copy(network: nn.Module) -> nn.Module:
    """Copy a network with its weights, so that nothing that is done to the copy reaches it.

    Parameters
    ----------
    network : torch.nn.Module

    Returns
    -------
    network : torch.nn.Module

    Examples
    --------
    >>> from torch import nn
    >>> network = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    >>> copied = independent_copy(network)
    >>> copied[0].weight is network[0].weight
    False
    """
    return copy.deepcopy(network, memo=_computed(network))


def copy_of_returned(network: nn.Module) -> nn.Module:
    """Copy a network that a function returned, which may be the same one at each call.

    Otherwise, a fit would begin with what an earlier one has learned, and change it.

    Parameters
    ----------
    network : torch.nn.Module

    Returns
    -------
    network : torch.nn.Module
        The network itself, if a function that was put into it would still compute with the
        weights of the first one.
    """
    return network if _is_used_by_a_closure(network) else independent_copy(network)


def _computed(network: nn.Module) -> dict[int, Tensor]:
    """Return what stands for computed tensors in a copy.

    Hooks of weight and spectral norm leave in modules what they last computed, which torch would
    not copy, and compute it again in each pass.
    """
    values = [value for module in network.modules() for value in vars(module).values()]
    return {id(v): v.detach() for v in values if isinstance(v, Tensor) and not v.is_leaf}


def _is_used_by_a_closure(network: nn.Module) -> bool:
    """Whether a function in a network, such as another `forward`, was defined around a module."""
    return any(
        isinstance(value, FunctionType) and _knows_a_module(value)
        for module in network.modules()
        for place in (vars(module), module._forward_hooks, module._forward_pre_hooks)
        for value in place.values()
    )


def _knows_a_module(function: FunctionType) -> bool:
    try:
        around = inspect.getclosurevars(function)
    except ValueError:  # a variable that has no value yet
        return False
    values = (*around.nonlocals.values(), *around.globals.values())
    return any(isinstance(value, nn.Module) for value in values)
