"""What each constructor parameter may be, and what errors say where it is not."""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import joblib
import numpy as np
import torch
from skorch.callbacks import Callback, LRScheduler

from skcnn._compute._device import PRECISIONS
from skcnn._engine._optimizers import OPTIMIZERS, supports_weight_decay
from skcnn._engine._schedule import SCHEDULES
from skcnn._utils import Interval, StrOptions, as_tuple, validate_parameter_constraints
from skcnn.augmentation import AUGMENTATIONS
from skcnn.networks._blocks import ACTIVATIONS, NORMALIZATIONS, POOL_AFTER, POOLS, SYMMETRIES
from skcnn.networks._conv_blocks import GLOBAL_POOLS, INITS, STEMS

_POSITIVE = Interval(Integral, 1, None, closed="left")
_FRACTION = Interval(Real, 0, 1, closed="left")

# Parameters with a value for each block, dense layer or augmentation: what each value may be.
_EACH: dict[str, list[Any]] = {
    "filters": [_POSITIVE],
    "convs_per_block": [_POSITIVE],
    "kernel_size": [_POSITIVE],
    "pool": [StrOptions(set(POOLS)), None],
    "pool_size": [_POSITIVE],
    "normalization": [StrOptions(set(NORMALIZATIONS)), None],
    "residual": ["boolean"],
    "dense_units": [_POSITIVE, None],
    "dropout": [_FRACTION],
    "augment": [StrOptions(set(AUGMENTATIONS)), callable],
    "progressive_resizing": [Interval(Real, 0, 1, closed="right")],
}
_SEQUENCES = [tuple, list, np.ndarray]

CONSTRAINTS: dict[str, list[Any]] = {
    **{name: [*each, *_SEQUENCES] for name, each in _EACH.items()},
    "filters": [*_EACH["filters"], *_SEQUENCES, StrOptions({"auto"})],
    "stem": [StrOptions(set(STEMS)), None],
    "pool_after": [StrOptions(set(POOL_AFTER))],
    "symmetry": [StrOptions(set(SYMMETRIES)), None],
    "activation": [StrOptions(set(ACTIVATIONS))],
    "head": [StrOptions({"flatten", *GLOBAL_POOLS})],
    "init": [StrOptions(set(INITS))],
    "module": [callable, None],
    "image_shape": [tuple, list, None],
    "data_format": [StrOptions({"auto", "channels_last", "channels_first"})],
    "augment": [*_EACH["augment"], *_SEQUENCES, None],
    "progressive_resizing": [*_SEQUENCES, None],
    "test_time_flip": ["boolean"],
    "optimizer": [StrOptions(set(OPTIMIZERS)), type],
    "lr": [Interval(Real, 0, None, closed="neither")],
    "bias_lr_factor": [Interval(Real, 0, None, closed="neither")],
    "lr_schedule": [StrOptions(set(SCHEDULES)), None],
    "weight_decay": [Interval(Real, 0, None, closed="left")],
    "weight_averaging": [Interval(Real, 0, 1, closed="both")],
    "label_smoothing": [_FRACTION],
    "max_epochs": [_POSITIVE],
    "batch_size": [_POSITIVE, StrOptions({"auto"})],
    "class_weight": [dict, StrOptions({"balanced"}), None],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [_POSITIVE],
    "tol": [Interval(Real, 0, None, closed="left")],
    "warm_start": ["boolean"],
    "memory": [str, joblib.Memory, None],
    "callbacks": [list, tuple, None],
    "device": [str, torch.device],
    "precision": [StrOptions(set(PRECISIONS))],
    "compile": ["boolean"],
    "deterministic": ["boolean"],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}


def check_parameters(caller: str, parameters: dict[str, Any]) -> None:
    """Check what sequences of parameters hold, and what parameters must be to each other.

    Parameters
    ----------
    caller : str
        The name of the estimator, for the messages.
    parameters : dict
        The estimator's parameters, each checked by itself already.

    Raises
    ------
    ValueError
        Naming the parameter, what it is and what it should be.
    """
    for name, each in _EACH.items():
        scalar = not isinstance(parameters[name], tuple(_SEQUENCES))
        for value in () if scalar else as_tuple(parameters[name]):
            validate_parameter_constraints({name: each}, {name: value}, caller_name=caller)
    if not as_tuple(parameters["filters"]):
        raise ValueError(
            f"The 'filters' parameter of {caller} is empty. Expected the number of filters of at "
            "least one block, for example filters=(32, 64)."
        )
    shrinks = any(scale < 1 for scale in as_tuple(parameters["progressive_resizing"]))
    if shrinks and parameters["module"] is None and parameters["head"] == "flatten":
        raise ValueError(
            f"{caller} has progressive_resizing={parameters['progressive_resizing']} and "
            'head="flatten", which takes images of one size only. Use another head, such as '
            '"average", or progressive_resizing=None.'
        )
    _check_callbacks(caller, parameters["callbacks"] or (), parameters["lr_schedule"])
    if parameters["module"] is not None and isinstance(parameters["module"], torch.nn.Module):
        raise ValueError(
            f"The 'module' parameter of {caller} is a network already built. Pass the Module "
            "class or a function that returns a new network, so that each fit begins afresh."
        )
    optimizer = parameters["optimizer"]
    if isinstance(optimizer, type) and not issubclass(optimizer, torch.optim.Optimizer):
        raise ValueError(
            f"The 'optimizer' parameter of {caller} is the class {optimizer.__name__}. Expected "
            f"one of {sorted(OPTIMIZERS)} or a subclass of torch.optim.Optimizer."
        )
    if isinstance(optimizer, type) and issubclass(optimizer, torch.optim.LBFGS):
        raise ValueError(
            f"The 'optimizer' parameter of {caller} is LBFGS, which evaluates each batch several "
            "times over. Expected an optimizer that takes one step a batch, such as AdamW."
        )
    if parameters["weight_decay"] and not supports_weight_decay(optimizer):
        raise ValueError(
            f"{caller} has weight_decay={parameters['weight_decay']}, but {optimizer.__name__} "
            "knows no weight decay. Set weight_decay=0, or take another optimizer."
        )
    normalizes = parameters["module"] is None and "batch" in as_tuple(parameters["normalization"])
    if parameters["batch_size"] == 1 and normalizes:
        raise ValueError(
            f'{caller} has batch_size=1 and normalization="batch", but one image has no batch '
            "to normalise over. Set batch_size to 2 or more, or normalization=None."
        )


def _check_callbacks(caller: str, callbacks: Sequence[Any], schedule: str | None) -> None:
    for entry in callbacks:
        callback = entry[1] if isinstance(entry, tuple | list) and len(entry) == 2 else entry
        kind = callback if isinstance(callback, type) else type(callback)
        if not issubclass(kind, Callback):
            raise ValueError(
                f"The 'callbacks' parameter of {caller} holds {entry!r}. Expected skorch "
                "callbacks: classes, instances or (name, callback) pairs."
            )
        if issubclass(kind, LRScheduler) and schedule is not None:
            raise ValueError(
                f"{caller} has lr_schedule={schedule!r} and the callback {kind.__name__}, which "
                "would both set the learning rate. Set lr_schedule=None, or drop the callback."
            )
