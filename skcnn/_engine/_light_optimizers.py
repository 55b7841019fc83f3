"""Optimizers of torch that start without its compiler."""

import inspect
import sys
from functools import cache
from typing import Any

import torch

from skcnn._engine._muon import Muon

_Optimizer = torch.optim.Optimizer
# What torch wraps in functions that import its compiler when they are called first.
_WRAPPED = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")


def light(kind: Any) -> Any:
    """Return a class like an optimizer's, whose use does not import torch's compiler.

    The import takes time and memory in each process, only to keep the compiler away from
    the optimizer. Whatever is no optimizer of torch's own or `Muon` is returned as it is, and so
    is all where the compiler is imported already. Steps are the same bit for bit.

    Parameters
    ----------
    kind : class or callable

    Returns
    -------
    kind : class or callable
        A class has the name of the one that was given, and is a subclass of it.

    Examples
    --------
    >>> weight = torch.nn.Parameter(torch.ones(2))
    >>> optimizer = light(torch.optim.SGD)([weight], lr=0.1)
    >>> type(optimizer).__name__, isinstance(optimizer, torch.optim.SGD)
    ('SGD', True)
    """
    own = kind is Muon or getattr(torch.optim, getattr(kind, "__name__", ""), None) is kind
    return _subclass(kind) if own and not _has_compiler() else kind


def plain_class(optimizer: torch.optim.Optimizer) -> type[torch.optim.Optimizer]:
    """Return the class of an optimizer that `light` was given, or else its own."""
    kind = type(optimizer)
    return kind.__base__ if "_is_light" in vars(kind) else kind  # type: ignore[return-value]


def _has_compiler() -> bool:
    return "torch._dynamo" in sys.modules


@cache
def _subclass(kind: type[torch.optim.Optimizer]) -> type[torch.optim.Optimizer]:
    methods: dict[str, Any] = {"_is_light": True, "__reduce_ex__": _reduce_as_plain}
    for name in _WRAPPED:
        if getattr(kind, name) is getattr(_Optimizer, name):
            methods[name] = inspect.unwrap(getattr(kind, name))
    # torch tracks gradients through steps only for `differentiable`, which nothing here sets.
    methods["step"] = torch.no_grad()(inspect.unwrap(kind.step))
    light_class = type(kind.__name__, (kind,), methods)
    light_class.__module__, light_class.__qualname__ = kind.__module__, kind.__qualname__
    return light_class


def _reduce_as_plain(optimizer: torch.optim.Optimizer, protocol: int) -> tuple[Any, ...]:
    """Pickle and copy as the class that can be found by its name."""
    kind = plain_class(optimizer)
    return _new, (kind,), optimizer.__getstate__()


def _new(kind: type[torch.optim.Optimizer]) -> torch.optim.Optimizer:
    return kind.__new__(kind)
