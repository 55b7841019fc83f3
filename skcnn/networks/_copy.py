"""Copies of networks that share their weights."""

import copy

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
    # Hooks of weight and spectral norm leave here what they last computed, which torch would not
    # copy, and compute it again in each pass.
    computed = [value for module in network.modules() for value in vars(module).values()]
    memo |= {id(v): v.detach() for v in computed if isinstance(v, Tensor) and not v.is_leaf}
    return copy.deepcopy(network, memo=memo)
