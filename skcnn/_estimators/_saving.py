"""Fitted estimators as files without code: `save` and `load`."""

import dataclasses
import inspect
import os
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import cast

import skorch.callbacks
import torch
from sklearn import config_context
from sklearn.base import BaseEstimator
from skorch.callbacks import Callback, training
from torch import Tensor

from skcnn._compute._device import find_device
from skcnn._data._covariates import CovariateColumn, CovariateEncoder
from skcnn._engine._muon import Muon as MuonOptimizer
from skcnn._engine._optimizers import OptimizerSpec
from skcnn._engine._stored_net import make_net, net_parts
from skcnn._estimators._base import ConvNetEstimator, is_fitted_state
from skcnn._estimators._classifier import ConvNetClassifier
from skcnn._estimators._feature_extractor import FeatureExtractor
from skcnn._estimators._image_loader import ImageLoader
from skcnn._estimators._multi_task import ConvNetMultiTask
from skcnn._estimators._regressor import ConvNetRegressor
from skcnn._estimators._segmenter import ConvNetSegmenter
from skcnn._from_r import as_path
from skcnn._storage._codec import Decoder, Encoder, Family, Parts, Registry, UnknownTypeError
from skcnn._storage._container import Content, Json, read_file, write_file
from skcnn._targets import Target
from skcnn._utils import warn
from skcnn.augmentation import Augmentation
from skcnn.networks import ConvBlocks, NetworkSpec

Estimator = ConvNetEstimator | FeatureExtractor | ImageLoader

# A file may hold any of them, whatever a script has imported so far: a class has to be imported
# to be among the subclasses of its base.
_NETS: tuple[type[ConvNetEstimator], ...] = (
    ConvNetClassifier,
    ConvNetMultiTask,
    ConvNetRegressor,
    ConvNetSegmenter,
)
_KIND = "model"
# What set_output asks for: a setting outside of the constructor.
_OUTPUT_CONFIG = "_sklearn_output_config"
# Where scikit-learn keeps what set_fit_request and its siblings ask for, once they are called.
_REQUESTS = "_metadata_request"
_SETS_REQUEST = re.compile(r"set_(\w+)_request")
# It would read a pickle once training goes on.
_UNSAFE_CALLBACKS = {"LoadInitState"}


def save(estimator: Estimator, path: str | os.PathLike[str]) -> None:
    """Save an estimator, fitted or not, to one file that holds no code.

    The file has weights, parameters, labels, history and everything else that predictions and
    `load` need, and a checksum. It is small: without images, and without the state of optimizer
    and callbacks. After a crash there is the former file, or the new one.

    Parameters
    ----------
    estimator : ConvNetClassifier, FeatureExtractor or another estimator of skcnn
    path : str or path-like
        A file that is there is replaced. Its folder must exist. Any name will do, for example
        "birds.skcnn".

    Raises
    ------
    TypeError
        If the estimator is none of skcnn, such as a pipeline; or if one of its parameters cannot
        be stored.
    OSError
        If the file cannot be written.

    See Also
    --------
    load : Read the file.

    Notes
    -----
    The file is a safetensors file [1]_, whose weights other tools can read. All else is JSON in
    its metadata.

    Classes and functions of your own, as for `module`, are not in the file: `load` asks for them.

    References
    ----------
    .. [1] https://huggingface.co/docs/safetensors

    Examples
    --------
    >>> import os, tempfile
    >>> import skcnn
    >>> from skcnn.datasets import make_organisms
    >>> X, y = make_organisms(n_samples=60, n_classes=2, image_size=16, random_state=0)
    >>> clf = skcnn.ConvNetClassifier(filters=(8,), max_epochs=2, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "organisms.skcnn")
    ...     skcnn.save(clf, path)
    ...     again = skcnn.load(path)
    >>> bool((again.predict_proba(X) == clf.predict_proba(X)).all())
    True
    """
    if not isinstance(estimator, Estimator):
        raise TypeError(
            f"save got a {type(estimator).__name__}. Expected an estimator of skcnn: of a "
            "pipeline, its step (pipeline[-1]); of a search, its best_estimator_."
        )
    encoder = Encoder(_registry())
    try:
        encoded = encoder.encode(estimator, type(estimator).__name__)
    except UnknownTypeError as error:
        raise TypeError(
            f"{type(estimator).__name__} cannot be saved without code: {error}. Set another "
            "value, or store the estimator with joblib.dump."
        ) from None
    own: Json = {name: _kind_of(thing) for name, thing in encoder.own.items()}
    content: Content = {"own": own, "estimator": encoded}
    write_file(as_path(path), _KIND, content, encoder.tensors)


def load(
    path: str | os.PathLike[str], *, custom_objects: Mapping[str, object] | None = None
) -> Estimator:
    """Load an estimator that `save` has written.

    Nothing in the file is run: a file from the internet can be wrong, but does no harm. The
    network is put on the device that the parameter `device` asks for, or on the CPU with a
    warning if this machine has no such device.

    Parameters
    ----------
    path : str or path-like
        The file.
    custom_objects : dict of str to object, default=None
        Classes and functions of your own that the estimator uses, by their names, such as
        ``{"MyNetwork": MyNetwork}`` for ``module=MyNetwork``. An error names those that are
        missing. Their code is run.

    Returns
    -------
    estimator : ConvNetClassifier, FeatureExtractor or another estimator of skcnn

    Raises
    ------
    ValueError
        If the file is damaged, incomplete, something else, or written by a later version; or if
        `custom_objects` lacks one.
    TypeError
        If `custom_objects` is no dict.
    OSError
        If there is no such file.

    See Also
    --------
    save : Write the file.

    Examples
    --------
    >>> import os, tempfile
    >>> import skcnn
    >>> clf = skcnn.ConvNetClassifier(filters=(8, 16))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "settings.skcnn")
    ...     skcnn.save(clf, path)
    ...     skcnn.load(path).filters
    (8, 16)
    """
    path = as_path(path)
    _check_is_file(path)
    if not isinstance(custom_objects, Mapping | None):
        raise TypeError(
            f"custom_objects is of type {type(custom_objects).__name__}. Expected a dict of names "
            'and what they stand for, such as {"MyNetwork": MyNetwork}.'
        )
    content, tensors = read_file(path, _KIND)
    given = dict(custom_objects or {})
    _check_custom_objects(path, content, given)
    hint = (
        "Are custom_objects those that it was saved with?"
        if given
        else "It was made by other means, or by another version of skcnn."
    )
    try:
        estimator = Decoder(_registry(), tensors, given).decode(content["estimator"])
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is complete, but cannot be turned into an estimator: {error} {hint}"
        ) from error
    if not isinstance(estimator, Estimator):
        raise ValueError(f"{path} holds no estimator of skcnn. {hint}")
    return estimator


def _check_is_file(path: Path) -> None:
    if path.is_file():
        return
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder. Give the name of the file in it.")
    if path.exists():
        raise OSError(f"{path} is no file, but a device or the like. Give the name of a file.")
    hint = ""
    if not path.is_absolute():
        hint = f" It was looked for in the working folder, {Path.cwd()}. Give its whole path."
    raise FileNotFoundError(f"There is no file {path}.{hint}")


def _check_custom_objects(path: Path, content: Content, given: Mapping[str, object]) -> None:
    needed = cast(dict[str, str], content["own"])
    missing = {name: kind for name, kind in needed.items() if name not in given}
    if missing:
        names = ", ".join(f"the {kind} {name}" for name, kind in missing.items())
        pairs = ", ".join(f'"{name}": {name}' for name in missing)
        raise ValueError(
            f"{path} needs {names}, which is your own and not in the file. Pass it by its name: "
            f"skcnn.load({str(path)!r}, custom_objects={{{pairs}}})."
        )


def _kind_of(own: object) -> str:
    if isinstance(own, type):
        return "class"
    return "function" if inspect.isroutine(own) else "object"


def _registry() -> Registry:
    """Return what files may hold: each class of the package that belongs to a family."""
    classes: dict[str, type] = {kind.__name__: kind for kind in _NETS}
    for family in _FAMILIES:
        if family.base is not Callback:
            classes |= {c.__name__: c for c in _subclasses(family.base) if _is_ours(c)}
    names = set(skorch.callbacks.__all__) - _UNSAFE_CALLBACKS
    optimizers, schedules = vars(torch.optim), vars(torch.optim.lr_scheduler)
    return Registry(
        _FAMILIES,
        {
            **classes,
            **{f"skorch.{name}": getattr(skorch.callbacks, name) for name in sorted(names)},
            **_named("torch.optim", optimizers, torch.optim.Optimizer),
            **_named("torch.lr", schedules, torch.optim.lr_scheduler.LRScheduler),
            "steps.Muon": MuonOptimizer,
            # Its own callbacks have some of these as parameters.
            **{f"skorch.{n}": f for n, f in vars(training).items() if inspect.isfunction(f)},
        },
    )


def _named(prefix: str, names: Mapping[str, object], base: type) -> dict[str, type]:
    return {
        f"{prefix}.{name}": kind
        for name, kind in names.items()
        if isinstance(kind, type) and issubclass(kind, base) and not name.startswith("_")
    }


def _subclasses(kind: type) -> list[type]:
    found = [kind]
    for child in cast(list[type], kind.__subclasses__()):
        found += _subclasses(child)
    return found


def _is_ours(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == "skcnn"


# ---------------------------------------------------------------------- taking apart and making


def _parameters(thing: BaseEstimator | Augmentation | Callback) -> Parts:
    parameters: Parts = thing.get_params(deep=False)
    return parameters


def _with_todays_defaults(parameters: Parts) -> Parts:
    """Set what has no effect beside a module to the default, which was 1 in earlier files."""
    if parameters.get("module") is None or parameters.get("convs_per_block") != 1:
        return parameters
    return parameters | {"convs_per_block": ConvBlocks().convs_per_block}


def _changed_parameters(callback: Callback) -> Parts:
    """Return what is not as by default: defaults may be functions, which no file can hold."""
    names = inspect.signature(type(callback)).parameters
    parts: Parts = {}
    for name, value in _parameters(callback).items():
        if isinstance(value, partial) and _is_method_of(callback, value.func):
            # A Freezer that was used has such a function in place of the epoch.
            value = value.keywords.get("epoch")
        is_default = name in names and value is names[name].default
        if not is_default and not _is_method_of(callback, value):
            parts[name] = value
    return parts


def _is_method_of(callback: Callback, value: object) -> bool:
    return getattr(value, "__self__", None) is callback


def _make_from_parameters(kind: Callable[..., object], parts: Parts) -> object:
    return kind(**parts)


def _fields(thing: object) -> Parts:
    if not dataclasses.is_dataclass(thing):
        raise UnknownTypeError(f"{type(thing).__name__} is no dataclass")
    return {f.name: getattr(thing, f.name) for f in dataclasses.fields(thing) if f.init}


def _take_estimator(estimator: ConvNetEstimator) -> Parts:
    fitted = _fitted(estimator)
    if "net_" in fitted:
        fitted["net_"] = net_parts(estimator.net_)
    parts: Parts = {"parameters": _parameters(estimator), "fitted": fitted}
    if hasattr(estimator, _REQUESTS):
        parts["requests"] = _requests(estimator)
    return parts


def _make_estimator(kind: Callable[..., ConvNetEstimator], parts: Parts) -> ConvNetEstimator:
    estimator = kind(**_with_todays_defaults(cast(Parts, parts["parameters"])))
    fitted = cast(Parts, parts["fitted"])
    if "net_" in fitted:
        device = _device_here(estimator.device)
        fitted = {**fitted, "net_": make_net(cast(Parts, fitted["net_"]), device)}
    _set(estimator, fitted)
    with config_context(enable_metadata_routing=True):
        for method, requests in cast(dict[str, Parts], parts.get("requests", {})).items():
            getattr(estimator, f"set_{method}_request")(**requests)
    return estimator


def _requests(estimator: ConvNetEstimator) -> Parts:
    """Return which metadata each method asks a meta-estimator for."""
    routing = estimator.get_metadata_routing()
    found = map(_SETS_REQUEST.fullmatch, dir(estimator))
    return {match[1]: dict(getattr(routing, match[1]).requests) for match in found if match}


def _take_extractor(extractor: FeatureExtractor) -> Parts:
    fitted = _fitted(extractor)
    if "module_" in fitted:
        del fitted["device_"]
        fitted["module_"] = dict(extractor.module_.state_dict())
    return {"parameters": _parameters(extractor), "fitted": fitted}


def _make_extractor(kind: Callable[..., FeatureExtractor], parts: Parts) -> FeatureExtractor:
    extractor = kind(**cast(Parts, parts["parameters"]))
    fitted = cast(Parts, parts["fitted"])
    weights = fitted.pop("module_", None)
    _set(extractor, fitted)
    if weights is not None:
        extractor._load_network(cast(dict[str, Tensor], weights), _device_here(extractor.device))
    return extractor


def _take_plain(estimator: ImageLoader) -> Parts:
    return {"parameters": _parameters(estimator), "fitted": _fitted(estimator)}


def _make_plain(kind: Callable[..., ImageLoader], parts: Parts) -> ImageLoader:
    estimator = kind(**cast(Parts, parts["parameters"]))
    _set(estimator, cast(Parts, parts["fitted"]))
    return estimator


def _set(estimator: Estimator, attributes: Parts) -> None:
    for name, value in attributes.items():
        if not _is_stored(name):
            raise ValueError(f"No fit sets the attribute {name}.")
        setattr(estimator, name, value)


def _fitted(estimator: Estimator) -> Parts:
    """Return what a fit has set, and `set_output`."""
    return {name: value for name, value in vars(estimator).items() if _is_stored(name)}


def _is_stored(attribute: str) -> bool:
    return is_fitted_state(attribute) or attribute == _OUTPUT_CONFIG


def _device_here(wanted: str | torch.device) -> torch.device:
    try:
        return find_device(wanted)
    except ValueError as error:
        warn(f"{error} The network is loaded to the CPU.")
        return torch.device("cpu")


_FAMILIES = (
    Family(ConvNetEstimator, _take_estimator, _make_estimator),
    Family(FeatureExtractor, _take_extractor, _make_extractor),
    Family(ImageLoader, _take_plain, _make_plain),
    Family(CovariateEncoder, _fields, _make_from_parameters),
    Family(CovariateColumn, _fields, _make_from_parameters),
    Family(Target, _fields, _make_from_parameters),
    Family(NetworkSpec, _parameters, _make_from_parameters),
    Family(OptimizerSpec, _parameters, _make_from_parameters),
    Family(Augmentation, _parameters, _make_from_parameters),
    Family(Callback, _changed_parameters, _make_from_parameters),
)
