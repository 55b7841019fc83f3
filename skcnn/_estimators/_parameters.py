"""What each constructor parameter may be, and what errors say where it is not."""

import inspect
import math
import os
from collections.abc import Sequence
from functools import partial
from numbers import Integral, Real
from typing import Any

import joblib
import numpy as np
import torch
from sklearn.base import BaseEstimator, is_regressor
from skorch.callbacks import Callback, LRScheduler

from skcnn._compute._device import PRECISIONS
from skcnn._data._files import ON_ERROR
from skcnn._decode import RESIZE
from skcnn._engine._optimizer_checks import check_optimizer
from skcnn._engine._optimizers import OPTIMIZERS, OptimizerSpec
from skcnn._engine._schedule import SCHEDULES
from skcnn._from_r import whole
from skcnn._targets._answers import TASKS
from skcnn._targets._losses import LOSSES
from skcnn._utils import InstancesOf, Interval, StrOptions, as_tuple, check_values
from skcnn.augmentation import (
    AUGMENTATIONS,
    Augmentation,
    MixingAugmentation,
    as_augmentation,
)
from skcnn.networks import ConvBlocks, NetworkSpec, UNet
from skcnn.networks._conv_blocks import GLOBAL_POOLS
from skcnn.networks._spec import OwnModule

#: Flat parameters of the estimators that are shorthand for those of `ConvBlocks`.
NETWORK_PARAMETERS = (
    "filters",
    "convs_per_block",
    "kernel_size",
    "pool",
    "pool_size",
    "activation",
    "normalization",
    "residual",
    "dense_units",
    "dropout",
    "global_pool",
)

_POSITIVE = Interval(Integral, 1, None, closed="left")
_FRACTION = Interval(Real, 0, 1, closed="left")
_AUGMENT = [StrOptions(set(AUGMENTATIONS)), callable]
_SEQUENCES = [tuple, list, np.ndarray]
NETWORK_SPEC = InstancesOf(
    NetworkSpec,
    "a specification such as skcnn.networks.ConvBlocks() or Backbone('efficientnet_lite0')",
)

#: Those of the classifier; most of them hold for all estimators.
CONSTRAINTS: dict[str, list[Any]] = {
    **{name: ConvBlocks._parameter_constraints[name] for name in NETWORK_PARAMETERS},
    "global_pool": [StrOptions(set(GLOBAL_POOLS)), None],
    "module": [NETWORK_SPEC, callable, None],
    "image_shape": [
        InstancesOf((tuple, list), "(height, width), (height, width, channels)"),
        None,
    ],
    "data_format": [StrOptions({"auto", "channels_last", "channels_first"})],
    "resize": [StrOptions(set(RESIZE))],
    "on_error": [StrOptions(set(ON_ERROR))],
    "cache_dir": [str, os.PathLike, None],
    "augment": [StrOptions({"auto", *AUGMENTATIONS}), callable, *_SEQUENCES, None],
    "progressive_resizing": [*_SEQUENCES, None],
    "test_time_flip": ["boolean"],
    "optimizer": [
        StrOptions(set(OPTIMIZERS)),
        InstancesOf(OptimizerSpec, "a specification such as skcnn.optimizers.SGD()"),
        InstancesOf(type, "a class (not an object) such as torch.optim.SGD"),
        InstancesOf(partial, "a functools.partial of such a class"),
    ],
    "lr": [Interval(Real, 0, None, closed="neither")],
    "bias_lr_factor": [Interval(Real, 0, None, closed="neither")],
    "lr_schedule": [StrOptions(set(SCHEDULES)), None],
    "weight_decay": [Interval(Real, 0, None, closed="left")],
    "weight_averaging": [Interval(Real, 0, 1, closed="both")],
    "label_smoothing": [_FRACTION],
    "max_epochs": [_POSITIVE, StrOptions({"auto"})],
    "batch_size": [_POSITIVE, StrOptions({"auto"})],
    "class_weight": [dict, list, StrOptions({"balanced"}), None],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [_POSITIVE],
    "tol": [Interval(Real, 0, None, closed="left")],
    "warm_start": ["boolean"],
    "checkpoint_dir": [str, os.PathLike, joblib.Memory, None],
    "callbacks": [list, tuple, None],
    "device": [str, torch.device],
    "precision": [StrOptions(set(PRECISIONS))],
    "compile": ["boolean"],
    "deterministic": ["boolean"],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}
_OF_CLASSES = ("label_smoothing", "class_weight")
SEGMENTER_CONSTRAINTS: dict[str, list[Any]] = {
    **{
        name: each
        for name, each in CONSTRAINTS.items()
        if name not in (*NETWORK_PARAMETERS, "label_smoothing", "progressive_resizing")
    },
    "class_weight": [dict, StrOptions({"balanced"}), None],
    "ignore_label": [str, Real, np.generic, "boolean", None],
}
REGRESSOR_CONSTRAINTS: dict[str, list[Any]] = {
    **{name: each for name, each in CONSTRAINTS.items() if name not in _OF_CLASSES},
    "global_pool": [StrOptions({*GLOBAL_POOLS, "sum", "auto"}), None],
    "augment": [*_AUGMENT, *_SEQUENCES, None],
    "loss": [StrOptions(set(LOSSES))],
    "quantile": [Interval(Real, 0, 1, closed="both"), None],
}

MULTI_TASK_CONSTRAINTS: dict[str, list[Any]] = {
    **CONSTRAINTS,
    "tasks": [dict],
    "task_weights": [dict, None],
    "class_weight": [dict, StrOptions({"balanced"}), None],
}


# Parameters that hold several values: the constraints of each of them.
_EACH: dict[str, list[Any]] = {
    "augment": _AUGMENT,
    "progressive_resizing": [Interval(Real, 0, 1, closed="right")],
}


def parameters_of(estimator: BaseEstimator) -> dict[str, Any]:
    """Return the parameters of an estimator, also those that a subclass sets by itself.

    Whole floats, which R sends, and numbers of numpy come out as numbers of Python.
    """
    missing = [n for n in estimator._parameter_constraints if not hasattr(estimator, n)]
    if missing:
        raise AttributeError(
            f"{type(estimator).__name__} has no {', '.join(missing)}. A constructor with fewer "
            "parameters has to set all of them: call super().__init__() in it first."
        )
    return {name: whole(getattr(estimator, name)) for name in estimator._parameter_constraints}


def validate_each(estimator: BaseEstimator) -> None:
    """Check each parameter by itself, by scikit-learn's constraints."""
    given = estimator.get_params(deep=False)
    for name, value in given.items():
        if isinstance(value, dict) and value and value.keys() <= CONSTRAINTS.keys():
            raise ValueError(
                f"The {name!r} parameter of {type(estimator).__name__} is a dict of parameters. "
                f"Unpack it with two asterisks: {type(estimator).__name__}(**recipes.fast)."
            )
    check_values(type(estimator).__name__, estimator._parameter_constraints, given)
    for name in ("cache_dir", "checkpoint_dir"):
        folder = given.get(name)
        if isinstance(folder, str | os.PathLike) and "\0" in str(folder):
            raise ValueError(
                f"The {name!r} parameter of {type(estimator).__name__} is {folder!r}, which no "
                "folder can be called: it holds a null character. Expected the path of a folder."
            )


def flat_spec(parameters: dict[str, Any]) -> NetworkSpec:
    """Return the network of an estimator without `module`: that of its flat parameters, if any."""
    if "filters" not in parameters:
        return UNet()
    flat = {name: parameters[name] for name in NETWORK_PARAMETERS}
    if flat["global_pool"] == "auto":
        flat["global_pool"] = "sum" if parameters["loss"] == "poisson" else "average"
    return ConvBlocks(**flat)


def check_parameters(estimator: BaseEstimator) -> None:
    """Check the values of sequences, the objects in parameters, and combinations.

    Parameters
    ----------
    estimator : estimator
        Each of its parameters by itself is checked already.

    Raises
    ------
    ValueError
        Naming the parameter, what it is and what was expected.
    """
    caller, parameters = type(estimator).__name__, parameters_of(estimator)
    for name, each in _EACH.items():
        value = getattr(estimator, name, None)
        if not isinstance(value, str):
            for one in as_tuple(value):
                check_values(caller, {name: each}, {name: one})
    spec = _check_network(caller, {name: getattr(estimator, name) for name in parameters})
    shrinks = any(scale < 1 for scale in as_tuple(parameters.get("progressive_resizing")))
    if shrinks and not spec.allows_any_size():
        raise ValueError(
            f"{caller} has progressive_resizing={parameters['progressive_resizing']} and "
            "global_pool=None, which takes images of one size only. Use a global pooling, such as "
            'global_pool="average", or progressive_resizing=None.'
        )
    if shrinks and spec.adds_up:
        raise ValueError(
            f"{caller} has progressive_resizing={parameters['progressive_resizing']} and "
            'global_pool="sum", but a sum over a smaller image is smaller. Set '
            "progressive_resizing=None."
        )
    if spec.adds_up and not is_regressor(estimator):
        raise ValueError(
            f'{caller} has a network with global_pool="sum", which adds up positive numbers, as '
            'ConvNetRegressor does. Use global_pool="average".'
        )
    normalizes = isinstance(spec, ConvBlocks) and spec.uses_batch_normalization()
    if parameters["batch_size"] == 1 and normalizes:
        raise ValueError(
            f"{caller} has batch_size=1 and normalization={spec.normalization!r}, but one image "
            "has no batch to normalize over. Set batch_size to 2 or more, or normalization=None."
        )
    _check_callbacks(caller, parameters["callbacks"] or (), parameters["lr_schedule"])
    check_optimizer(caller, parameters["optimizer"], parameters["weight_decay"])


def _check_network(caller: str, parameters: dict[str, Any]) -> NetworkSpec:
    """Check the network's parameters, and return its specification."""
    module = parameters["module"]
    if module is None:
        flat = flat_spec(parameters)
        if isinstance(flat, ConvBlocks):
            flat.check(caller)
        return flat
    if isinstance(module, torch.nn.Module):
        raise ValueError(
            f"The 'module' parameter of {caller} is a network already built. Pass the Module "
            "class or a function that returns a new network, so that each fit starts with new "
            "weights."
        )
    defaults = inspect.signature(ConvBlocks.__init__).parameters
    changed = [
        name
        for name in NETWORK_PARAMETERS
        if name in parameters
        and not any(
            _is_same(parameters[name], unset) for unset in (defaults[name].default, "auto")
        )
    ]
    if changed:
        instead = (
            f"set them as module__{changed[0]} and so on"
            if isinstance(module, NetworkSpec)
            else "leave them at their defaults, since your own module decides"
        )
        raise ValueError(
            f"{caller} has module={module!r} and also {', '.join(changed)}, which would have no "
            f"effect: {instead}."
        )
    if isinstance(module, NetworkSpec):
        module.check()
        return module
    try:
        inspect.signature(module)
    except ValueError as error:
        raise ValueError(
            f"The 'module' parameter of {caller} is {module!r}, whose arguments are not known: "
            f"{error}. Expected a Module class, or a function that returns a network."
        ) from error
    return OwnModule(module)


def check_augmentation_of_masks(caller: str, augment: object) -> None:
    """Refuse changes to images of which it is not known what they would do to masks."""
    for change in () if augment == "auto" else as_tuple(augment):
        made = as_augmentation(change)
        if isinstance(made, MixingAugmentation):
            raise ValueError(
                f"{caller} has augment={change!r}, which mixes images; their masks cannot be "
                'mixed. Use "flip", "shift", "color" or "cutout".'
            )
        if not isinstance(made, Augmentation):
            raise ValueError(
                f"{caller} has augment={change!r}. Expected augmentations of "
                "skcnn.augmentation: another one may move the pixels of images, and would leave "
                "their masks behind. Make it a subclass of "
                "skcnn.augmentation.GeometricAugmentation."
            )


def _is_same(value: object, default: object) -> bool:
    value, default = whole(value), whole(default)
    return type(value) is type(default) and bool(value == default)


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


def check_tasks(
    caller: str,
    tasks: dict[str, str],
    task_weights: dict[str, float] | None,
    class_weight: dict[str, object] | str | None,
) -> None:
    """Check the questions of `ConvNetMultiTask`, and what is set for each of them.

    Raises
    ------
    ValueError
        Naming the parameter, what it is and what was expected.
    """
    if not tasks or not all(isinstance(name, str) for name in tasks):
        raise ValueError(
            f"The 'tasks' parameter of {caller} is {tasks!r}. Expected the name of a column of y "
            'for each question, and what its answer is, such as {"species": "classification"}.'
        )
    for name, task in tasks.items():
        if task not in TASKS:
            raise ValueError(
                f"The 'tasks' parameter of {caller} has {task!r} for {name!r}. Expected one of "
                f"{', '.join(map(repr, TASKS))}."
            )
    for name, weight in (task_weights or {}).items():
        if name not in tasks:
            raise ValueError(_no_such_task(caller, "task_weights", name, list(tasks)))
        if not isinstance(weight, Real) or not 0 <= weight < math.inf:
            raise ValueError(
                f"The 'task_weights' parameter of {caller} has {weight!r} for {name!r}. Expected "
                "a number from 0."
            )
    if task_weights and not any(task_weights.get(name, 1) for name in tasks):
        raise ValueError(
            f"The 'task_weights' parameter of {caller} is zero for all tasks. Expected at least "
            "one positive weight."
        )
    classifications = [name for name, task in tasks.items() if task == "classification"]
    for name in class_weight if isinstance(class_weight, dict) else ():
        if name not in classifications:
            raise ValueError(_no_such_task(caller, "class_weight", name, classifications))


def _no_such_task(caller: str, parameter: str, name: object, expected: list[str]) -> str:
    return (
        f"The {parameter!r} parameter of {caller} names {name!r}. Expected some of {expected}, "
        "which are in tasks."
    )
