"""Early stopping: when to end the training, and which weights to restore."""

import copy
import math

from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import Tensor


class StopTraining(KeyboardInterrupt):
    """Raised by a callback to end the training; skorch's loop ends on KeyboardInterrupt."""


class StopEarly(Callback):
    """Stop when the validation loss no longer falls, and keep the best weights.

    Parameters
    ----------
    patience : int
        Epochs to wait for an improvement.
    tol : float
        Smallest decrease of the loss that counts as an improvement.
    """

    def __init__(self, patience: int, tol: float) -> None:
        self.patience = patience
        self.tol = tol

    def __getstate__(self) -> dict[str, object]:
        # Other callbacks store nets during training.
        return {"patience": self.patience, "tol": self.tol}

    def on_train_begin(self, net: NeuralNet, **kwargs: object) -> None:
        """Reset the state of an earlier training."""
        self.misses_, self.best_epoch_ = 0, 0
        self.reference_ = self.lowest_ = math.inf
        self.weights_: dict[str, Tensor] | None = None

    def on_epoch_end(self, net: NeuralNet, **kwargs: object) -> None:
        """Keep the weights if they are the best so far; stop after too many misses."""
        if "valid_loss" not in net.history[-1]:
            # A user continues to train the net itself, with nothing held out.
            return
        loss = net.history[-1, "valid_loss"]
        if loss < self.lowest_:
            self.lowest_, self.best_epoch_ = loss, len(net.history)
            self.weights_ = copy.deepcopy(net.module_.state_dict())
        self.misses_ += 1
        if loss < self.reference_ - self.tol:
            self.reference_, self.misses_ = loss, 0
        if self.misses_ == self.patience:
            raise StopTraining

    def on_train_end(self, net: NeuralNet, **kwargs: object) -> None:
        """Restore the best weights."""
        if math.isinf(self.lowest_) and self.misses_:
            raise ValueError(
                "early_stopping=True found no epoch with a finite validation loss, of "
                f"{self.misses_}. Try a smaller learning rate than lr={net.lr}, or look for "
                "extreme pixels in the validation images."
            )
        if self.weights_ is not None:
            net.module_.load_state_dict(self.weights_)
            self.weights_ = None


class RestoreBest(Callback):
    """Restores the best weights when training ends; first, so that the other callbacks see them.

    Parameters
    ----------
    stopper : StopEarly
        The last of the callbacks, so that the others see the epoch in which it stops.
    """

    def __init__(self, stopper: StopEarly) -> None:
        self.stopper = stopper

    def on_train_end(self, net: NeuralNet, **kwargs: object) -> None:
        """Restore the best weights."""
        self.stopper.on_train_end(net)
