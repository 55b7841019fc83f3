"""Trainings that go on from where a shorter one ended, and when that comes to the same thing."""

from collections.abc import Callable
from importlib.metadata import version
from numbers import Integral
from typing import Any, Self

import joblib
import torch
from sklearn.utils.validation import check_memory
from skorch.callbacks import Callback

from skcnn._compute._process_group import current_group
from skcnn._data._dataset import ImageDataset
from skcnn._utils import warn
from skcnn.augmentation import Augmentation

# What the course of a training does not depend on, or what is part of its key by other means.
_LEFT_OUT = {
    "callbacks",
    "class_weight",
    "data_format",
    "device",
    "early_stopping",
    "image_shape",
    "lr_schedule",
    "max_epochs",
    "memory",
    "n_iter_no_change",
    "test_time_flip",
    "tol",
    "validation_fraction",
    "verbose",
    "warm_start",
}


class TrainingCheckpoint(Callback):
    """Takes up the longest training there is of this kind, and keeps what this one comes to.

    It is one of the net's callbacks, the last one.

    Parameters
    ----------
    memory : joblib.Memory
    key : str
        Tells apart trainings that would differ in any epoch.
    epochs : int
        How many there shall be in the end.
    """

    def __init__(self, memory: joblib.Memory, key: str, epochs: int) -> None:
        self.kept = memory.cache(_cached_state, ignore=["train"])
        self.key = key
        self.epochs = epochs

    @classmethod
    def for_estimator(
        cls,
        estimator: Any,
        epochs: int,
        training: ImageDataset,
        validation: ImageDataset | None,
        device: torch.device,
    ) -> Self | None:
        """Return what `memory` of an estimator asks for; None where nothing can be resumed."""
        if estimator.memory is None:
            return None
        obstacle = _why_not_resumable(estimator)
        if obstacle is not None:
            warn(
                f"memory={estimator.memory!r} has no effect, and training begins afresh: "
                f"{obstacle}."
            )
            return None
        parameters = estimator.get_params(deep=False)
        key = joblib.hash(
            [
                {name: value for name, value in parameters.items() if name not in _LEFT_OUT},
                [_contents(part) for part in (training, validation) if part is not None],
                # What else the last bits of a network depend on.
                [type(estimator).__qualname__, version("skcnn"), torch.__version__],
                [str(device), torch.get_num_threads()],
            ]
        )
        return cls(check_memory(estimator.memory), key, epochs)

    def load(self, net: Any) -> int:
        """Take a net to the last epoch that is kept, and return how many are left to train."""
        lengths = range(self.epochs, 0, -1)
        known = (n for n in lengths if self.kept.check_call_in_cache(self.key, n, None))
        n_known = next(known, 0)
        if n_known:
            state = self.kept(self.key, n_known, None)
            net.module_.load_state_dict(state["module"])
            net.optimizer_.load_state_dict(state["optimizer"])
            net.history_ = state["history"]
            net.initial_rng_states = state["generators"]
            if state["scaler"] is not None:
                net.scaler_ = state["scaler"]
            _set_global_states(state["global"], torch.device(net.device))
        return self.epochs - n_known

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Keep the state after the last epoch."""
        if len(net.history) == self.epochs:
            state = {
                "module": net.module_.state_dict(),
                "optimizer": net.optimizer_.state_dict(),
                "history": net.history,
                "generators": net.rng_states(),
                "scaler": getattr(net, "scaler_", None),
                "global": _global_states(torch.device(net.device)),
            }
            self.kept(self.key, self.epochs, lambda: state)

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Be no more than a name in the net that is stored."""
        self.kept = None


def _cached_state(key: str, epochs: int, train: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Stand for a training of so many epochs; joblib keeps what it returns under its name."""
    return train()


def _why_not_resumable(estimator: Any) -> str | None:
    """Say why an epoch would not be the same in a longer training, or be told from another."""
    if not isinstance(estimator.random_state, Integral):
        return "each training has random numbers of its own unless random_state is a number"
    if current_group() is not None:
        return "several processes train the network together"
    if estimator.lr_schedule is not None:
        return (
            f"with lr_schedule={estimator.lr_schedule!r} each epoch depends on how many there "
            "are, which it does not with lr_schedule=None"
        )
    for name in ("progressive_resizing", "weight_averaging"):
        if getattr(estimator, name):
            return f"with {name} each epoch depends on how many there are"
    if estimator.early_stopping:
        return "early_stopping goes back to the weights of an earlier epoch"
    for name in ("callbacks", "module"):
        if getattr(estimator, name) is not None:
            return f"what {name} does may change without a sign of it"
    if not (isinstance(estimator.optimizer, str) or _is_torchs(estimator.optimizer)):
        return "what an optimizer of your own does may change without a sign of it"
    augment = estimator.augment
    changes = augment if isinstance(augment, list | tuple) else [augment]
    if not all(change is None or isinstance(change, str | Augmentation) for change in changes):
        return "what augment holds of your own may change without a sign of it"
    return None


def _is_torchs(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == "torch"


def _contents(dataset: ImageDataset) -> list[Any]:
    images = dataset.X
    return [images.pixels, images.rows, images.shape_inferred, dataset.y, dataset.sample_weight]


def _global_states(device: torch.device) -> list[torch.Tensor]:
    states = [torch.get_rng_state()]
    if device.type != "cpu":
        states.append(getattr(torch, device.type).get_rng_state())
    return states


def _set_global_states(states: list[torch.Tensor], device: torch.device) -> None:
    torch.set_rng_state(states[0])
    if device.type != "cpu":
        getattr(torch, device.type).set_rng_state(states[1])
