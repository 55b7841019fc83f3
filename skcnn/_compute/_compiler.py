"""Networks compiled by torch, anew for each size of images."""

from typing import Any
from weakref import WeakSet

import torch
from torch import nn

# The network that torch keeps compiled code of, if there is one.
_kept: WeakSet[nn.Module] = WeakSet()


def compile_network(network: nn.Module) -> Any:
    """Return a network that compiles itself for each shape of a batch that it meets.

    For many networks, torch cannot make code that is for all shapes. And it compiles nothing more
    once it has code for eight shapes and networks altogether: that of other networks, such as
    those of former fits, is therefore dropped first.

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
