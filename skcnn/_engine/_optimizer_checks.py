"""Whether torch and the training can work with an optimizer, and why it has failed."""

import difflib
from collections.abc import Mapping
from functools import partial
from inspect import Parameter, signature
from typing import Any

import torch

from skcnn._engine._optimizers import (
    OPTIMIZERS,
    OptimizerSpec,
    resolve_optimizer,
    supports_weight_decay,
)

# Classes of torch that cannot train these networks: why, and what can.
_UNFIT = {
    "LBFGS": (
        "which evaluates each batch several times. Expected an optimizer that takes one step per "
        "batch, such as AdamW."
    ),
    "Muon": (
        "torch's own, which steps matrices alone, and the filters of convolutions are none. Pass "
        'optimizer="muon", or optimizer=skcnn.optimizers.Muon(...) with options.'
    ),
    "SparseAdam": (
        'which is for sparse gradients, and those of images are dense. Pass optimizer="adam".'
    ),
}
_STEPS = "Expected a class whose step() updates the weights from their gradients."


def check_optimizer(caller: str, optimizer: object, weight_decay: float) -> None:
    """Check a value of the parameter `optimizer`, and that it takes what the estimator gives it.

    Parameters
    ----------
    caller : str
        Name of the estimator's class.
    optimizer : str, OptimizerSpec, class or partial
    weight_decay : float

    Raises
    ------
    ValueError
        Naming the optimizer, what is wrong with it, and what to do.
    """
    if isinstance(optimizer, OptimizerSpec):
        optimizer.check()
    kind, options = resolve_optimizer(optimizer)
    subject = f"The 'optimizer' parameter of {caller} is"
    if not isinstance(kind, type) or not issubclass(kind, torch.optim.Optimizer):
        name = getattr(kind, "__name__", repr(kind))
        raise ValueError(
            f"{subject} the class {name}. Expected one of {sorted(OPTIMIZERS)}, a specification "
            "of skcnn.optimizers, or a subclass of torch.optim.Optimizer."
        )
    if isinstance(optimizer, partial):
        _check_partial(caller, subject, optimizer)
    for name, reason in _UNFIT.items():
        unfit = getattr(torch.optim, name, None)
        if unfit is not None and issubclass(kind, unfit):
            raise ValueError(f"{subject} {kind.__name__}, {reason}")
    _check_step(subject, kind)
    if weight_decay and not supports_weight_decay(optimizer):
        raise ValueError(
            f"{caller} has weight_decay={weight_decay}, but {kind.__name__} "
            "has no weight decay. Set weight_decay=0, or use another optimizer."
        )
    if isinstance(optimizer, partial | type):
        _check_options(subject, kind, options)


def _check_partial(caller: str, subject: str, optimizer: partial[Any]) -> None:
    """Refuse options that the estimator itself gives to the optimizer."""
    taken = [name for name in ("params", "lr") if name in optimizer.keywords]
    if taken or optimizer.args:
        given = ", ".join(taken) or "arguments without a name"
        raise ValueError(
            f"{subject} a partial class with {given}, which would have no effect. Set the "
            f"learning rate as {caller}(lr=...), and give other options by name."
        )


def _check_step(subject: str, kind: type[torch.optim.Optimizer]) -> None:
    if kind.step is torch.optim.Optimizer.step:
        raise ValueError(f"{subject} the class {kind.__name__}, which has no step(). {_STEPS}")
    try:
        signature(kind.step).bind(None)
    except TypeError as error:
        raise ValueError(
            f"{subject} the class {kind.__name__}, whose step() needs arguments, and the training "
            f"calls it without any. {_STEPS}"
        ) from error


def _check_options(
    subject: str, kind: type[torch.optim.Optimizer], options: Mapping[str, object]
) -> None:
    """Check that a class takes a learning rate and the options of a partial class."""
    if options.get("differentiable"):
        raise ValueError(
            f"{subject} {kind.__name__} with differentiable=True, which is for gradients of "
            "whole trainings. Leave it out."
        )
    parameters = signature(kind).parameters
    takes_all = any(p.kind is Parameter.VAR_KEYWORD for p in parameters.values())
    if "lr" not in parameters and not takes_all:
        raise ValueError(
            f"{subject} the class {kind.__name__}, which takes no learning rate. Give its "
            "__init__ a parameter `lr`, and store it in the defaults: "
            'super().__init__(params, {"lr": lr}).'
        )
    for name in options:
        if name not in parameters and not takes_all:
            close = difflib.get_close_matches(name, parameters, n=1)
            hint = f" Do you mean {close[0]}?" if close else ""
            known = [option for option in parameters if option not in ("params", "lr")]
            raise ValueError(
                f"{subject} a partial class with {name}={options[name]!r}, which {kind.__name__} "
                f"does not take.{hint} Expected options among {', '.join(known)}."
            )
    needed = [
        name
        for name, parameter in list(parameters.items())[1:]
        if parameter.default is Parameter.empty
        and parameter.kind not in (Parameter.VAR_KEYWORD, Parameter.VAR_POSITIONAL)
        and name not in options
        and name != "lr"
    ]
    if needed:
        raise ValueError(
            f"{subject} the class {kind.__name__}, which needs a value of {', '.join(needed)}. "
            f"Pass functools.partial({kind.__name__}, {needed[0]}=...)."
        )
    _check_values(subject, kind, options)


def _check_values(
    subject: str, kind: type[torch.optim.Optimizer], options: Mapping[str, object]
) -> None:
    """Let a class of torch look at its options; one of the user's own may do anything."""
    if not kind.__module__.startswith("torch."):
        return
    try:
        kind([torch.nn.Parameter(torch.zeros(1))], lr=0.1, **options)  # type: ignore[arg-type, call-arg]
    except (ValueError, TypeError, RuntimeError) as error:
        given = ", ".join(f"{name}={value!r}" for name, value in options.items())
        raise ValueError(
            f"{subject} {kind.__name__} with {given}, which torch refuses: {error}. Change these "
            "options."
        ) from error


def explain_step(optimizer: torch.optim.Optimizer, error: RuntimeError) -> None:
    """Tell what an optimizer cannot step, if this is why its step has failed.

    Gradients show it, so that it is not known before.

    Raises
    ------
    ValueError
        From `error`, if there are complex parameters or sparse gradients.
    """
    stepped = [p for group in optimizer.param_groups for p in group["params"]]
    has_sparse = any(p.grad is not None and p.grad.is_sparse for p in stepped)
    if has_sparse or any(p.is_complex() for p in stepped):
        found = "layers with sparse=True" if has_sparse else "complex parameters"
        raise ValueError(
            f"{type(optimizer).__name__} cannot step all parameters of the network of module=, "
            f"which has {found}. Expected real numbers and dense gradients. Change these layers, "
            "or pass a class of torch that takes them, such as optimizer=torch.optim.SGD."
        ) from error
