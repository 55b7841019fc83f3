"""Models of timm and torchvision by name, and folders in timm's format."""

import json
import math
from collections import OrderedDict
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from skcnn._retrieve import DataFileError
from skcnn.networks._backbone_network import Preprocessing
from skcnn.networks._source import (
    PRETRAINED,
    ForwardFeatures,
    Source,
    is_channels_last,
    read_config,
)
from skcnn.networks._weights import load_weights, locate, read_weights

LIBRARIES = ("timm", "torchvision")
_CONFIG = "config.json"
# Entries of `pretrained_cfg` that networks are built by.
_OF_STRUCTURE = ("input_size", "fixed_input_size")
# Attributes that hold the classifier of a model of torchvision.
_HEADS = ("fc", "classifier", "head", "heads")


def find_library(name: str) -> tuple[str, str] | None:
    """Return the library that has a model, and the model's name there; None if none has it.

    Raises
    ------
    ImportError
        If the name begins with a library that is not installed.
    """
    library, separator, model = name.partition(":")
    if separator and library in LIBRARIES:
        if not _is_installed(library):
            raise ImportError(
                f'source={name!r} of Backbone needs {library}: pip install "skcnn[{library}]".'
            )
        if library == "torchvision" and not _is_of_torchvision(model):
            raise ValueError(
                f"source={name!r} of Backbone is not known: torchvision has no network of this "
                "name that classifies images. Those that find objects, name pixels or look at "
                "videos cannot be used. torchvision.models.list_models() has the names."
            )
        return library, model
    if _is_installed("timm") and import_module("timm").is_model(name):
        return "timm", name
    if _is_installed("torchvision") and _is_of_torchvision(name):
        return "torchvision", name
    return None


def _is_of_torchvision(name: str) -> bool:
    """Whether torchvision has such a network of photographs; it builds others by downloads."""
    models = import_module("torchvision.models")
    return name in models.list_models(module=models)


def _is_installed(library: str) -> bool:
    try:
        return find_spec(library) is not None
    except ValueError:  # a module that was made by hand
        return True


def from_timm(name: str, weights: str | None, *, pools: bool, whole: bool) -> Source:
    """Return a model of timm.

    Parameters
    ----------
    name : str
    weights : str or None
        "pretrained", a path, an address, or None for new weights.
    pools : bool
        Whether to pool as the model does.
    whole : bool
        Whether one of its layers is what is wanted, and not its features.

    Raises
    ------
    DataFileError
        If the weights cannot be downloaded.
    """
    timm = import_module("timm")
    try:
        model: nn.Module = timm.create_model(name, pretrained=weights == PRETRAINED)
    except OSError as error:
        raise DataFileError(
            f'The pretrained weights of timm\'s "{name}" could not be downloaded: {error}. '
            f"{_timm_origin(timm.create_model(name, pretrained=False))}"
        ) from error
    if weights not in (None, PRETRAINED):
        assert weights is not None
        path = locate(weights, name)
        classified = set(model.state_dict())
        _drop_timm_classifier(model)
        _load_features(model, read_weights(path), path, classified)
    config = import_module("timm.data").resolve_model_data_config(model)
    return _timm_source(model, config, pools=pools, whole=whole)


def from_folder(folder: Path, weights: str | None, *, pools: bool, whole: bool) -> Source:
    """Return a model from a folder with `config.json` and its weights.

    Parameters
    ----------
    folder : Path
    weights, pools, whole
        As for `from_timm`; "pretrained" are the weights in the folder.
    """
    if not _is_installed("timm"):
        raise ImportError(
            f'The network in {folder} is one of timm: pip install "skcnn[timm]". Without timm, '
            "folders of tf_efficientnet_lite0, 1 and 2 can be read."
        )
    config = read_folder(folder)
    architecture = str(config["architecture"])
    arguments = dict(config.get("model_args") or {})
    arguments.setdefault("num_classes", config.get("num_classes", 1000))
    pretrained = config["pretrained_cfg"]
    if not {"mean", "std"} <= pretrained.keys():
        raise ValueError(
            f"{folder / _CONFIG} has no entries `mean` and `std` in `pretrained_cfg`. Write those "
            "of the network's own training images there, with pixels from 0 to 1."
        )
    # As timm does with folders of its hub: what is not among the arguments follows from these.
    told = {name: pretrained[name] for name in _OF_STRUCTURE if name in pretrained}
    model = import_module("timm").create_model(
        architecture, pretrained=False, pretrained_cfg_overlay=told, **arguments
    )
    if weights is not None:
        path = folder_weights(folder) if weights == PRETRAINED else locate(weights, architecture)
        load_weights(model, read_weights(path), path)
    return _timm_source(model, config["pretrained_cfg"], pools=pools, whole=whole)


def read_folder(folder: Path) -> dict[str, Any]:
    """Return the configuration of a folder in timm's format.

    Raises
    ------
    ValueError
        If it is none of timm's.
    """
    try:
        config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{folder / _CONFIG} is no JSON: {error}.") from error
    names = ("architecture", "pretrained_cfg")
    if not isinstance(config, dict) or [type(config.get(n)) for n in names] != [str, dict]:
        raise ValueError(
            f"{folder / _CONFIG} has no entries `architecture` and `pretrained_cfg`. Expected the "
            "config.json of a model of timm."
        )
    return config


def folder_weights(folder: Path) -> Path:
    """Return the file of weights in a folder.

    Raises
    ------
    DataFileError
        If there is none.
    """
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (folder / name).is_file():
            return folder / name
    raise DataFileError(f"{folder} has {_CONFIG}, but no model.safetensors beside it.")


def _timm_source(
    model: nn.Module, config: Mapping[str, Any], *, pools: bool, whole: bool
) -> Source:
    _drop_timm_classifier(model)
    preprocessing = read_config(config, _patch_size(model))
    stages: OrderedDict[str, nn.Module] = OrderedDict(
        model=model if whole else ForwardFeatures(model, pools=pools)
    )

    def set_size(size: tuple[int, int]) -> None:
        # It interpolates the table of positions, too.
        model.set_input_size(img_size=size)  # type: ignore[operator]

    return Source(
        stages,
        preprocessing,
        n_prefix=int(getattr(model, "num_prefix_tokens", 0)),
        set_size=set_size if hasattr(model, "set_input_size") else None,
        is_channels_last=whole and is_channels_last(model),
    )


def _drop_timm_classifier(model: nn.Module) -> None:
    """Remove the classifier, which is not needed, nor to be counted among the parameters."""
    if hasattr(model, "reset_classifier"):
        model.reset_classifier(0)  # type: ignore[operator]


def _load_features(
    model: nn.Module, weights: Mapping[str, Tensor], origin: object, classified: set[str]
) -> None:
    """Load weights into a model without its classifier, whatever classes theirs is for.

    Parameters
    ----------
    model : torch.nn.Module
    weights : mapping of str to torch.Tensor
    origin : object
        Where they come from, for errors.
    classified : set of str
        Names of the weights of the model when it had a classifier.
    """
    own = model.state_dict().keys()
    load_weights(
        model, {n: v for n, v in weights.items() if n in own or n not in classified}, origin
    )


def _patch_size(model: nn.Module) -> int:
    patch = getattr(getattr(model, "patch_embed", None), "patch_size", 1)
    return math.lcm(*map(int, patch)) if isinstance(patch, tuple | list) else int(patch)


def _timm_origin(model: nn.Module) -> str:
    config = getattr(model, "pretrained_cfg", {})
    place = config.get("hf_hub_id")
    place = f"https://huggingface.co/{place}" if place else config.get("url")
    return (
        f"On a machine with internet, download config.json and model.safetensors from {place} "
        "into a folder, copy it, and pass the path of this folder as source=."
    )


def from_torchvision(name: str, weights: str | None) -> Source:
    """Return a model of torchvision, whose features are what its last dense layer takes.

    Parameters
    ----------
    name : str
    weights : str or None
        As for `from_timm`.

    Raises
    ------
    DataFileError
        If the weights cannot be downloaded.
    """
    models = import_module("torchvision.models")
    published = models.get_model_weights(name).DEFAULT
    model: nn.Module = models.get_model(name, weights=None)
    classified = set(model.state_dict())
    _remove_classifier(model, name)
    if hasattr(model, "transform_input"):
        # GoogLeNet and Inception were trained on other pixels than those of the presets, which
        # they make of these if told so; torchvision does where it loads the weights itself.
        vars(model).update(transform_input=True)
    if weights == PRETRAINED:
        try:
            state = published.get_state_dict(
                progress=False, check_hash=True, weights_only=True, map_location="cpu"
            )
        except OSError as error:
            raise DataFileError(
                f'The pretrained weights of torchvision\'s "{name}" could not be downloaded from '
                f"{published.url}: {error}. On a machine with internet, download this file, copy "
                "it, and pass its path as weights=."
            ) from error
        _load_features(model, state, published.url, classified)
    elif weights is not None:
        path = locate(weights, name)
        _load_features(model, read_weights(path), path, classified)
    presets = published.transforms()
    mean, std = tuple(map(float, presets.mean)), tuple(map(float, presets.std))
    patch = int(getattr(model, "patch_size", 1))
    preprocessing = Preprocessing(mean, std, int(min(presets.crop_size)), multiple=patch)
    has_positions = hasattr(getattr(model, "encoder", None), "pos_embedding")
    return Source(
        OrderedDict(model=model),
        preprocessing,
        set_size=_PositionResizer(model) if has_positions else None,
        is_channels_last=is_channels_last(model),
    )


def _remove_classifier(model: nn.Module, name: str) -> None:
    model.set_submodule(_classifier(model, name), nn.Identity())


def _classifier(model: nn.Module, name: str) -> str:
    """Return the path of the last dense layer."""
    for attribute in _HEADS:
        head = getattr(model, attribute, None)
        dense = [
            path
            for path, layer in (head.named_modules() if isinstance(head, nn.Module) else ())
            if isinstance(layer, nn.Linear)
        ]
        if dense:
            return f"{attribute}.{dense[-1]}".removesuffix(".")
    raise ValueError(
        f'torchvision\'s "{name}" has no dense layer at its end. Say with layer= which output the '
        "features are."
    )


class _PositionResizer:
    """Sets the size of images that a vision transformer of torchvision takes."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def __call__(self, size: tuple[int, int]) -> None:
        model = self.model
        if size[0] != size[1]:
            raise ValueError(
                f"torchvision's {type(model).__name__} takes square images only, got images of "
                f"{size[0]}x{size[1]} pixels. Use square images, or the same model of timm."
            )
        grid = (size[0] // model.patch_size, size[1] // model.patch_size)
        table = resize_positions(model.encoder.pos_embedding.detach(), grid, n_prefix=1)
        model.encoder.pos_embedding = nn.Parameter(table)
        model.image_size = size[0]


def resize_positions(table: Tensor, grid: tuple[int, int], *, n_prefix: int) -> Tensor:
    """Interpolate the table of positions of a vision transformer for another number of patches.

    Parameters
    ----------
    table : torch.Tensor of shape (1, n_prefix + n_patches, width)
        Of square images.
    grid : tuple of (rows, columns)
        Of patches in the new images.
    n_prefix : int
        Tokens before those of the patches, whose positions stay.

    Returns
    -------
    table : torch.Tensor of shape (1, n_prefix + rows * columns, width)

    Examples
    --------
    >>> resize_positions(torch.zeros(1, 1 + 16, 8), (2, 3), n_prefix=1).shape
    torch.Size([1, 7, 8])
    """
    prefix, patches = table[:, :n_prefix], table[:, n_prefix:]
    side = math.isqrt(patches.shape[1])
    maps = patches.reshape(1, side, side, -1).permute(0, 3, 1, 2)
    resized = nn.functional.interpolate(maps, grid, mode="bicubic", antialias=True)
    return torch.cat([prefix, resized.flatten(2).transpose(1, 2)], dim=1)
