"""Checkpoints: longer trainings that continue from the end of shorter ones."""

import hashlib
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from numbers import Integral
from pathlib import Path
from typing import Any

import joblib
import torch
from sklearn.utils.validation import check_memory
from skorch import NeuralNet
from skorch.callbacks import Callback

from skcnn._compute._process_group import current_group
from skcnn._data._dataset import ImageDataset
from skcnn._engine._optimizers import OptimizerSpec
from skcnn._utils import warn
from skcnn.augmentation import Augmentation
from skcnn.networks import ConvBlocks

# Parameters that do not influence training, or are part of the key by other means.
_LEFT_OUT = {
    "cache_dir",
    "callbacks",
    "class_weight",
    "data_format",
    "device",
    "early_stopping",
    "image_shape",
    "lr_schedule",
    "max_epochs",
    "checkpoint_dir",
    "n_iter_no_change",
    "on_error",
    "resize",
    "test_time_flip",
    "tol",
    "validation_fraction",
    "verbose",
    "warm_start",
}


@dataclass(frozen=True)
class CheckpointRequest:
    """The wish to continue from shorter trainings, and to keep this one.

    Attributes
    ----------
    folder : str or joblib.Memory
    kind : str
        Name of the estimator's class.
    parameters : dict
        The estimator's parameters.
    """

    folder: str | joblib.Memory
    kind: str
    parameters: dict[str, Any]

    def open(
        self,
        epochs: int,
        training: ImageDataset,
        validation: ImageDataset | None,
        device: str,
    ) -> "TrainingCheckpoint | None":
        """Return the checkpoint of a training; None where none would be sound."""
        reason = _why_not_resumable(self.parameters)
        if reason is not None:
            warn(
                f"checkpoint_dir={self.folder!r} has no effect, and training begins from the "
                f"start: {reason}."
            )
            return None
        deciding = {n: value for n, value in self.parameters.items() if n not in _LEFT_OUT}
        key = joblib.hash(
            [
                deciding,
                [_contents(part) for part in (training, validation) if part is not None],
                # The last bits of a network depend on these, too.
                [self.kind, version("skcnn"), torch.__version__],
                [device, torch.get_num_threads()],
            ]
        )
        return TrainingCheckpoint(check_memory(self.folder), key, epochs)


class TrainingCheckpoint(Callback):
    """Loads the longest training of this kind, and keeps the state after the last epoch.

    It is the last one of the net's callbacks.

    Parameters
    ----------
    memory : joblib.Memory
    key : str
        Differs between trainings that would differ in any epoch.
    epochs : int
        Number of epochs at the end of this training.
    """

    def __init__(self, memory: joblib.Memory, key: str, epochs: int) -> None:
        self.kept = memory.cache(_cached_state, ignore=["train"])
        self.key = key
        self.epochs = epochs

    def load(self, net: NeuralNet) -> int:
        """Load the last stored epoch into a net, and return the number of epochs left to train."""
        for n_epochs in range(self.epochs, 0, -1):
            state = self._read(n_epochs)
            if state is None:
                continue
            net.module_.load_state_dict(state["module"])
            net.optimizer_.load_state_dict(state["optimizer"])
            net.history_ = state["history"]
            net.initial_rng_states = state["generators"]
            if state["scaler"] is not None:
                net.scaler_ = state["scaler"]
            _set_global_states(state["global"], torch.device(net.device))
            return self.epochs - n_epochs
        return self.epochs

    def _read(self, n_epochs: int) -> dict[str, Any] | None:
        """Return the state after so many epochs; None if it is not stored, or damaged."""
        if not self.kept.check_call_in_cache(self.key, n_epochs, None):
            return None
        stored = self.kept.call_and_shelve(self.key, n_epochs, None)
        try:
            return _unpack(stored.get())
        except Exception as error:  # damaged bytes may raise anything
            file = Path(stored.store_backend.location, stored.func_id, stored.args_id)
            warn(
                f"The checkpoint {file / 'output.pkl'} is damaged ({type(error).__name__}: "
                f"{error}). It is deleted, and its epochs are trained again."
            )
            stored.clear()
            return None

    def on_epoch_end(self, net: NeuralNet, **kwargs: object) -> None:
        """Store the state after the last epoch."""
        if len(net.history) == self.epochs:
            state = {
                "module": net.module_.state_dict(),
                "optimizer": net.optimizer_.state_dict(),
                "history": net.history,
                "generators": net.rng_states(),
                "scaler": getattr(net, "scaler_", None),
                "global": _global_states(torch.device(net.device)),
            }
            self.kept(self.key, self.epochs, lambda: _pack(state))

    def on_train_end(self, net: NeuralNet, **kwargs: object) -> None:
        """Leave nothing but a name in the stored net."""
        self.kept = None


Packed = tuple[str, bytes]


def _cached_state(key: str, epochs: int, train: Callable[[], Packed]) -> Packed:
    """Stand for a training of so many epochs; joblib stores the result under its arguments."""
    return train()


def _pack(state: dict[str, Any]) -> Packed:
    """Return a state as bytes, and their checksum: a flipped bit would not be noticed."""
    data = pickle.dumps(state)
    return hashlib.sha256(data).hexdigest(), data


def _unpack(packed: Packed) -> dict[str, Any]:
    checksum, data = packed
    if hashlib.sha256(data).hexdigest() != checksum:
        raise ValueError("its checksum is wrong")
    state: dict[str, Any] = pickle.loads(data)
    return state


def _why_not_resumable(parameters: dict[str, Any]) -> str | None:
    """Say why an epoch would differ in a longer training, or not be recognized."""
    if not isinstance(parameters["random_state"], Integral):
        return "each training has its own random numbers unless random_state is a number"
    if current_group() is not None:
        return "several processes train the network together"
    if parameters["lr_schedule"] is not None:
        return (
            f"with lr_schedule={parameters['lr_schedule']!r} each epoch depends on how many there "
            "are, which it does not with lr_schedule=None"
        )
    for name in ("progressive_resizing", "weight_averaging"):
        if parameters[name]:
            return f"with {name} each epoch depends on how many there are"
    if parameters["early_stopping"]:
        return "early_stopping goes back to the weights of an earlier epoch"
    if parameters["callbacks"] is not None:
        return "callbacks may do something else each time, and it would not be noticed"
    if not (parameters["module"] is None or isinstance(parameters["module"], ConvBlocks)):
        return "your own module may change, and it would not be noticed"
    optimizer = parameters["optimizer"]
    if not (isinstance(optimizer, str | OptimizerSpec) or _is_torchs(optimizer)):
        return "an optimizer of your own may change, and it would not be noticed"
    augment = parameters["augment"]
    changes = augment if isinstance(augment, list | tuple) else [augment]
    if not all(change is None or isinstance(change, str | Augmentation) for change in changes):
        return "augmentations of your own may change, and it would not be noticed"
    return None


def _is_torchs(kind: object) -> bool:
    return str(getattr(kind, "__module__", "")).partition(".")[0] == "torch"


def _contents(dataset: ImageDataset) -> list[Any]:
    return [*dataset.X.contents(), dataset.y, dataset.sample_weight]


def _global_states(device: torch.device) -> list[torch.Tensor]:
    states = [torch.get_rng_state()]
    if device.type != "cpu":
        states.append(getattr(torch, device.type).get_rng_state())
    return states


def _set_global_states(states: list[torch.Tensor], device: torch.device) -> None:
    torch.set_rng_state(states[0])
    if device.type != "cpu":
        getattr(torch, device.type).set_rng_state(states[1])
