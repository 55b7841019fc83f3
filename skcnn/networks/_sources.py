"""What a backbone can come from: built-in networks, modules, donors; each read as stages."""

import copy
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import nn

from skcnn.networks import _efficientnet_lite as lite
from skcnn.networks._backbone_network import BYTE, BackboneNetwork, Pool, Preprocessing, unit_of
from skcnn.networks._copy import copy_of_returned, independent_copy
from skcnn.networks._image_network import ImageNetwork, OwnNetwork
from skcnn.networks._model_libraries import (
    LIBRARIES,
    find_library,
    folder_weights,
    from_folder,
    from_timm,
    from_torchvision,
    read_folder,
)
from skcnn.networks._source import (
    PRETRAINED,
    ForwardFeatures,
    Source,
    is_channels_last,
    read_config,
)
from skcnn.networks._spec import check_has_no_scripts
from skcnn.networks._stages import Stages
from skcnn.networks._weights import find_packaged, load_weights, locate, read_weights

BUILT_IN = tuple(lite.SIZES)
# The same networks in timm, whose weights have other names.
_LITE_IN_TIMM = tuple(f"tf_{name}" for name in BUILT_IN)
# What TensorFlow's own training of EfficientNet-Lite did: (pixel - 127) / 128. The packages do not
# say so, and benchmarks/transfer.py measures it.
_LITE_MEAN, _LITE_STD = 127 / 255, 128 / 255
_LITE_IN_TIMM_MEAN = (0.5,) * 3
# Pixels above are no bytes, however bright; below 0 by more than this share, no rounding.
_ABOVE_BYTES = 4 * BYTE
_NEGATIVE = 0.1


def by_name(name: str, weights: str | None, *, pools: bool, whole: bool) -> Source:
    """Return a network by its name or its folder.

    Parameters
    ----------
    name : str
    weights : str or None
        "pretrained", a path, an address, or None for new weights.
    pools : bool
        Whether to pool as the model does.
    whole : bool
        Whether one of the model's layers is what is wanted, and not its features.

    Raises
    ------
    ValueError
        If nothing has this name.
    """
    if name in BUILT_IN:
        return built_in(name, weights)
    folder = Path(name).expanduser()
    if (folder / "config.json").is_file():
        config = read_folder(folder)
        architecture = config["architecture"]
        if architecture in _LITE_IN_TIMM:
            own = str(folder_weights(folder)) if weights == PRETRAINED else weights
            source = built_in(architecture.removeprefix("tf_"), own)
            return replace(source, preprocessing=_lite_preprocessing(source, config))
        return from_folder(folder, weights, pools=pools, whole=whole)
    library, model = find_library(name) or ("", name)
    if library == "timm":
        return from_timm(model, weights, pools=pools, whole=whole)
    if library == "torchvision":
        return from_torchvision(model, weights)
    if folder.is_file():
        raise ValueError(
            f"source={name!r} of Backbone is a file. If it holds weights, give the network that "
            f"they belong to as the source, and weights={name!r}. If skcnn has saved a model in "
            f"it, load this one: Backbone(skcnn.load({name!r}))."
        )
    missing = [library for library in LIBRARIES if find_spec(library) is None]
    install = " or ".join(f'pip install "skcnn[{library}]"' for library in missing)
    raise ValueError(
        f"source={name!r} of Backbone is not known. Expected one of {', '.join(BUILT_IN)}, a "
        "folder with config.json, or the name of a model of timm or torchvision"
        + (f", which need {install}." if missing else ".")
    )


def built_in(name: str, weights: str | None) -> Source:
    """Return a built-in network.

    Parameters
    ----------
    name : str
        One of `BUILT_IN`.
    weights : str or None
        "pretrained", a path, an address, or None for new weights.
    """
    size = lite.SIZES[name]
    stages = lite.build_stages(size)
    if weights is not None:
        path = find_packaged(name) if weights == PRETRAINED else locate(weights, name)
        own = lite.convert_weights(read_weights(path), stages)
        load_weights(nn.Sequential(stages), own, path)
    preprocessing = Preprocessing((_LITE_MEAN,) * 3, (_LITE_STD,) * 3, size.image_size)
    return Source(stages, preprocessing, units=[[stage] for stage in stages.values()])


def _lite_preprocessing(source: Source, config: Mapping[str, Any]) -> Preprocessing | None:
    """Return the preprocessing of a folder: its own, where somebody trained the network again."""
    told = config["pretrained_cfg"]
    if not {"mean", "std"} <= told.keys():
        return source.preprocessing
    theirs = read_config(told)
    if theirs.mean == theirs.std == _LITE_IN_TIMM_MEAN:
        # timm's nearest to that of TensorFlow.
        assert source.preprocessing is not None
        return replace(theirs, mean=source.preprocessing.mean, std=source.preprocessing.std)
    return theirs


def of_module(
    module: nn.Module | Callable[[], nn.Module],
    weights: str | None,
    *,
    pools: bool,
    whole: bool,
) -> Source:
    """Return a user's own module.

    Parameters
    ----------
    module : torch.nn.Module, or a function or class that makes one
    weights : str or None
        "pretrained" takes the module as it is; None is for functions and classes only.
    pools : bool
        Whether to pool as the module does, where it says how.
    whole : bool
        Whether the module's own output, or that of one of its layers, is what is wanted.
    """
    if isinstance(module, nn.Module):
        if weights is None:
            raise ValueError(
                f"Backbone has weights=None, but its source is a {type(module).__name__} that is "
                "already built. Pass its class, or a function that returns a new one."
            )
        check_has_no_scripts(module, "The source of Backbone")
        own = independent_copy(module)
    else:
        own = module()
        if not isinstance(own, nn.Module):
            raise TypeError(
                f"source={module!r} returned {type(own).__name__}, expected a torch.nn.Module."
            )
        check_has_no_scripts(own, "The source of Backbone")
        if not isinstance(module, type):
            own = copy_of_returned(own)
    if weights not in (None, PRETRAINED):
        assert weights is not None
        path = locate(weights, type(own).__name__)
        load_weights(own, read_weights(path), path)
    stages, n_prefix = (_as_stages(own), 0) if whole else _feature_stages(own, pools=pools)
    return Source(
        stages,
        _preprocessing_of(own),
        n_prefix,
        is_channels_last=whole and is_channels_last(own),
    )


def _as_stages(module: nn.Module) -> Stages:
    """Return the parts of a Sequential, or the module as the only stage."""
    if isinstance(module, nn.Sequential):
        return OrderedDict(module.named_children())
    # So that layers are named as in the module.
    return OrderedDict(module=module)


def _feature_stages(module: nn.Module, *, pools: bool) -> tuple[Stages, int]:
    """Return the stages up to what a module says are its features, and its prefix tokens."""
    body = getattr(module, "body", None)
    if isinstance(body, nn.Module) and hasattr(module, "head"):
        return _as_stages(body), 0
    if isinstance(module, nn.Sequential) and isinstance(module[-1], nn.Linear):
        return _as_stages(module[:-1]), 0
    if hasattr(module, "forward_features"):
        pools = pools and hasattr(module, "forward_head")
        n_prefix = int(getattr(module, "num_prefix_tokens", 0))
        return OrderedDict(features=ForwardFeatures(module, pools=pools)), n_prefix
    raise ValueError(
        f"The module {type(module).__name__} of Backbone does not say what its features are. Give "
        'layer=, the path of the layer whose output they are, or layer="" for the output of the '
        "module itself. Modules with a method `forward_features`, with attributes `body` and "
        "`head`, or Sequential modules that end in a Linear layer say so themselves."
    )


def _preprocessing_of(module: nn.Module) -> Preprocessing | None:
    """Read the preprocessing off a module that says it, as timm's models do."""
    for name in ("pretrained_cfg", "default_cfg"):
        config = getattr(module, name, None)
        if isinstance(config, Mapping) and "mean" in config and "std" in config:
            return read_config(config)
    return None


def of_donor(donor: Any) -> Source:
    """Return a network that was trained with skcnn.

    Parameters
    ----------
    donor : fitted estimator or ImageNetwork
    """
    network, exact_size = donor, None
    if not isinstance(donor, ImageNetwork):
        network, net = donor.module_, getattr(donor, "net_", None)
        if net is not None and not net.get_params(deep=False)["module__spec"].allows_any_size():
            exact_size = donor.image_shape_[:2]
    network = copy.deepcopy(network)
    unit = _highest_pixel(donor, network)
    mean, std = ((values / unit).tolist() for values in (network.mean, network.scale))
    if isinstance(network, OwnNetwork):
        if network.n_covariates:
            raise ValueError(
                f"The source of Backbone holds a {type(network.own).__name__} that takes "
                "covariates beside images, which a body of images cannot. Fit one without them."
            )
        stages, _ = _feature_stages(network.own, pools=True)
    else:
        stages = _as_stages(network.split_body()[0])
    pool = Pool("auto", 0)
    if isinstance(network, BackboneNetwork):
        exact_size = network.size
        # The new backbone has its own.
        _, last = stages.popitem()
        assert isinstance(last, Pool)
        pool = last
    return Source(
        stages,
        Preprocessing(tuple(mean), tuple(std), None, exact_size=exact_size),
        n_prefix=pool.n_prefix,
        pooling=pool.kind,
        is_channels_last=pool.image_size is not None,
        units=[[stage] for stage in stages.values() if next(stage.parameters(), None) is not None],
    )


def _highest_pixel(donor: Any, network: ImageNetwork) -> int:
    """Return the highest pixel that the images of a donor could have, 1 or 255.

    Raises
    ------
    ValueError
        If there were other pixels.
    """
    # Of a network alone, nothing else is known. Bytes with a small mean and scale are black.
    of_network = float(network.mean.min()), float(max(network.mean.max(), network.scale.max()))
    lowest, highest = getattr(donor, "_pixel_range", of_network)
    if lowest < -_NEGATIVE * highest or highest > _ABOVE_BYTES:
        raise ValueError(
            f"The source of Backbone, a {type(donor).__name__}, was trained on pixels from "
            f"{lowest:g} to {highest:g}, but a backbone takes pixels from 0 to 255, or from 0 to "
            "1. Train it on such pixels: divide those of 16 bits by 257, and do not standardize "
            "them."
        )
    return unit_of(highest)
