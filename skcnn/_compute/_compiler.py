"""Networks compiled by torch, anew for each size of images."""

from threading import Lock
from typing import Any
from weakref import WeakSet

import torch
from torch import nn

# Networks that torch keeps compiled code of, and what runs such code.
_kept: WeakSet[nn.Module] = WeakSet()
_running: WeakSet[nn.Module] = WeakSet()
_lock = Lock()


def compile_network(network: nn.Module) -> Any:
    """Return a network that compiles itself for each shape of a batch that it meets.

    For many networks, torch cannot make code that is for all shapes. And it compiles nothing more
    once it has code for eight shapes and networks altogether: that of other networks, such as
    those of former fits, is therefore dropped first, unless another thread trains with it.

    Parameters
    ----------
    network : torch.nn.Module
        It stays as it is.

    Returns
    -------
    torch.nn.Module
        With the same parameters. To be let go once training is over.
    """
    with _lock:
        # Python crashes where code is dropped while it runs.
        if network not in _kept and not _running:
            torch.compiler.reset()
            _kept.clear()
        _kept.add(network)
        compiled: Any = torch.compile(network, dynamic=False)
        _running.add(compiled)
    return compiled
