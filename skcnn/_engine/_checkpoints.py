"""Checkpoints: trainings that continue after an interruption, or from the end of shorter ones."""

import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import nn

from skcnn._compute._process_group import current_group
from skcnn._data._dataset import ImageDataset
from skcnn._engine._net import TrainedNet
from skcnn._engine._optimizers import OptimizerSpec, resolve_optimizer
from skcnn._engine._training_state import (
    decode_state,
    encode_state,
    put_state,
    put_stopper_state,
    take_state,
)
from skcnn._storage._container import read_file, write_file
from skcnn._storage._replacing import remove_unfinished
from skcnn._utils import as_tuple, warn
from skcnn.augmentation import Augmentation
from skcnn.networks import NetworkSpec

# Parameters that do not influence training, or are part of the key by other means.
_LEFT_OUT = {
    "cache_dir",
    "callbacks",
    "data_format",
    "device",
    "image_shape",
    "module",
    "checkpoint_dir",
    "on_error",
    "resize",
    "test_time_flip",
    "validation_fraction",
    "verbose",
    "warm_start",
}
# Parameters that only decide over epochs to come, where no epoch depends on how many there are.
_OF_THE_END = {"early_stopping", "lr_schedule", "max_epochs", "n_iter_no_change", "tol"}
_KIND = "checkpoint"
# States after the last epoch of a fit, from which longer fits go on, and those after others.
_FINISHED, _RUNNING = "finished", "running"
# Writing a state must take at most the twentieth part of the time since the last one.
_MOST_WRITING = 20


@dataclass(frozen=True)
class CheckpointRequest:
    """Request to resume an earlier training, and to save this one.

    Attributes
    ----------
    folder : str, PathLike or joblib.Memory
    kind : str
        Name of the estimator's class.
    parameters : dict
        The estimator's parameters.
    listeners : sequence of callbacks of scikit-learn
        Those that `set_callbacks` has attached to the estimator.
    """

    folder: str | os.PathLike[str] | joblib.Memory
    kind: str
    parameters: dict[str, Any]
    listeners: Sequence[object] = ()

    def open(
        self,
        net: TrainedNet,
        epochs: int,
        training: ImageDataset,
        validation: ImageDataset | None,
    ) -> "TrainingCheckpoint | None":
        """Return the checkpoint of the training of a new net; None where none would be sound."""
        folder = self.folder.location if isinstance(self.folder, joblib.Memory) else self.folder
        if folder is None:
            return None
        reason = _why_not_resumable(self.parameters, self.listeners)
        if reason is not None:
            warn(
                f"checkpoint_dir={self.folder!r} has no effect, and training begins from the "
                f"start: {reason}."
            )
            return None
        left_out = _LEFT_OUT | (_OF_THE_END if _is_extendable(self.parameters) else set())
        key = joblib.hash(
            [
                {n: value for n, value in self.parameters.items() if n not in left_out},
                _description(self.parameters["module"], net.module_),
                [_contents(part) for part in (training, validation) if part is not None],
                # The last bits of a network depend on these, too.
                [self.kind, version("skcnn"), torch.__version__],
                [net.device, torch.get_num_threads()],
                # That of `partial_fit` is not what the parameters say.
                [net.schedule, net.averaging, net.target.n_outputs],
            ]
        )
        return TrainingCheckpoint(Path(folder).expanduser() / "skcnn", str(key), epochs)


class TrainingCheckpoint(Callback):
    """Loads the longest training of this kind, and keeps the state after each epoch.

    It is the last one of the net's callbacks.

    Parameters
    ----------
    folder : Path
    key : str
        Differs between trainings that would differ in any epoch.
    epochs : int
        Number of epochs at the end of this training.
    """

    def __init__(self, folder: Path, key: str, epochs: int) -> None:
        self.folder = folder
        self.key = key
        self.epochs = epochs
        self._state: dict[str, Any] | None = None
        self._former: Path | None = None
        self._due = 0.0
        self._failed = False

    def __getstate__(self) -> dict[str, object]:
        # Nothing but names in a stored net.
        return {**vars(self), "_state": None}

    def load(self, net: TrainedNet) -> int:
        """Load the last stored epoch into a net, and return the number of epochs left to train."""
        remove_unfinished(self.folder, f"{self.key}-")
        for n_epochs, path in self._stored():
            state = _read(path)
            if state is not None:
                put_state(net, state)
                self._state = state
                self._former = path if path.suffix == f".{_RUNNING}" else None
                return self.epochs - n_epochs
        return self.epochs

    def _stored(self) -> list[tuple[int, Path]]:
        """Return the numbers of epochs of stored states, and their files, the longest first."""
        found = []
        for path in self.folder.glob(f"{self.key}-*"):
            match = re.fullmatch(rf"-(\d+)\.({_FINISHED}|{_RUNNING})", path.name[len(self.key) :])
            if match is not None and int(match[1]) <= self.epochs:
                found.append((int(match[1]), path))
        return sorted(found, reverse=True)

    def on_train_begin(self, net: NeuralNet, **kwargs: object) -> None:
        """Let early stopping, which has begun again, go on from the stored state."""
        if self._state is not None:
            put_stopper_state(net, self._state)
            self._state = None

    def on_epoch_end(self, net: NeuralNet, **kwargs: object) -> None:
        """Store the state, always after the last epoch, and else if it takes little time."""
        n_epochs, started = len(net.history), time.monotonic()
        is_last = n_epochs == self.epochs
        if self._failed or (not is_last and started < self._due):
            return
        path = self.folder / f"{self.key}-{n_epochs}.{_FINISHED if is_last else _RUNNING}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_file(path, _KIND, *encode_state(take_state(net)))
            if self._former is not None:
                self._former.unlink(missing_ok=True)
        except (OSError, TypeError) as error:
            warn(f"The checkpoint {path} cannot be written, and training goes on: {error}.")
            self._failed = True
            return
        self._former = None if is_last else path
        ended = time.monotonic()
        self._due = ended + _MOST_WRITING * (ended - started)


def _read(path: Path) -> dict[str, Any] | None:
    """Return the state in a file; None if it is damaged, or no longer there."""
    try:
        return decode_state(*read_file(path, _KIND))
    except FileNotFoundError:
        return None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        warn(
            f"The checkpoint {path} is damaged ({error}). It is deleted, and its epochs are "
            "trained again."
        )
        path.unlink(missing_ok=True)
        return None


def _is_extendable(parameters: dict[str, Any]) -> bool:
    """Whether each epoch is the same, however many there are."""
    return parameters["lr_schedule"] is None and not any(
        parameters.get(name)
        for name in ("early_stopping", "progressive_resizing", "weight_averaging")
    )


def _why_not_resumable(parameters: dict[str, Any], listeners: Sequence[object]) -> str | None:
    """Say why an epoch would differ another time, or not be recognized."""
    if not isinstance(parameters["random_state"], Integral):
        return "each training has its own random numbers unless random_state is a number"
    if current_group() is not None:
        return "several processes train the network together"
    # Those of scikit-learn itself only look on; others may end the training.
    own_listeners = [each for each in listeners if not _is_of("sklearn", type(each))]
    if parameters["callbacks"] or own_listeners:
        return "callbacks may do something else each time, and it would not be noticed"
    if not _is_known(parameters["module"]):
        return "your own module may change, and it would not be noticed"
    optimizer = parameters["optimizer"]
    if not (isinstance(optimizer, str | OptimizerSpec) or _is_of_torch(optimizer)):
        return "an optimizer of your own may change, and it would not be noticed"
    augment = parameters["augment"]
    changes = augment if isinstance(augment, list | tuple) else [augment]
    if not all(change is None or isinstance(change, str | Augmentation) for change in changes):
        return "augmentations of your own may change, and it would not be noticed"
    return None


def _is_of_torch(optimizer: object) -> bool:
    """Whether an optimizer is a class of torch, alone or with options that are plain values."""
    kind, options = resolve_optimizer(optimizer)
    values = [one for value in options.values() for one in as_tuple(value)]
    return _is_of("torch", kind) and all(isinstance(v, Real | str | None) for v in values)


def _is_known(module: object) -> bool:
    """Whether the code of a network is that of this package, or of a library of models."""
    if module is None:
        return True
    # The encoder of a U-Net may have one, too.
    source = getattr(getattr(module, "encoder", module), "source", "")
    is_own = isinstance(source, nn.Module | type) or callable(source)
    return isinstance(module, NetworkSpec) and _is_of("skcnn", type(module)) and not is_own


def _is_of(package: str, kind: object) -> bool:
    return str(getattr(kind, "__module__", "")).partition(".")[0] == package


def _description(module: NetworkSpec | None, network: nn.Module) -> list[Any]:
    """Return what tells a network from others, beside the flat parameters."""
    if module is None:
        return []
    parameters = module.get_params()
    # That of a U-Net is a parameter of its encoder.
    sources = [name for name in parameters if "source" in name.split("__")]
    if not sources:
        return [type(module).__name__, module.get_params(deep=False)]
    # The network that it starts from may be large, and be another one under the same name.
    weights = [values.cpu().numpy() for values in network.state_dict().values()]
    told = {n: v for n, v in parameters.items() if n not in sources and not hasattr(v, "source")}
    return [type(module).__name__, told, weights]


def _contents(dataset: ImageDataset) -> list[Any]:
    X = dataset.X
    images = [X] if isinstance(X, np.ndarray) else X.contents()
    return [*images, dataset.y, dataset.sample_weight]
