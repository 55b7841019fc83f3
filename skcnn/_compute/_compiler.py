"""Networks compiled by torch, one for each size of images."""

from typing import Any
from weakref import WeakSet

import torch
from torch import nn

# What torch keeps compiled code of.
_kept: WeakSet[nn.Module] = WeakSet()


def compile_network(network: nn.Module) -> Any:
    """Return a network that compiles itself for each shape of a batch that it meets.

    Code for one shape of all sizes would have to be compiled once only, but torch cannot make it
    for every network. And torch keeps code for eight shapes and networks altogether, after which
    nothing more is compiled: code of other networks, such as those of former fits, is dropped.

    Parameters
    ----------
    network : torch.nn.Module
        It stays as it is.

    Returns
    -------
    torch.nn.Module
        With the same parameters.
    """
    if network not in _kept:
        torch.compiler.reset()
        _kept.clear()
        _kept.add(network)
    return torch.compile(network, dynamic=False)
