"""Early stopping: when to end the training, and which weights to restore."""

import copy
import math
from collections.abc import Mapping

from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import Tensor

from skcnn._utils import StopTraining

# Epochs over which the learning rate falls to zero, in units of the patience.
_ENDING = 2


class StopEarly(Callback):
    """End training when the validation loss no longer falls, and keep the best weights.

    With a constant learning rate, training stops there. With a schedule, stopping there would cut
    off the epochs that make the network good, in which the learning rate falls: it falls to zero
    over twice as many epochs as `patience`, unless fewer are left.

    Parameters
    ----------
    patience : int
        Epochs to wait for an improvement.
    tol : float
        Smallest decrease of the loss that counts as an improvement.

    Attributes
    ----------
    best_epoch_ : int
        Epoch whose weights are restored: the one with the lowest validation loss, or the last one
        of a schedule if its loss is not clearly higher.

    References
    ----------
    Prechelt: Early stopping - but when? Neural Networks: Tricks of the Trade, 1998.
    Hägele, Bakouch, Kosson, Ben Allal, Von Werra, Jaggi: Scaling laws and compute-optimal training
    beyond fixed training durations. NeurIPS 2024.
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
        self.is_ending_ = False
        self.weights_: dict[str, Tensor] | None = None
        self.losses_: Tensor | None = None

    def state(self) -> dict[str, object]:
        """Return what an epoch has left behind, for `restore`."""
        return {name: value for name, value in vars(self).items() if name.endswith("_")}

    def restore(self, net: NeuralNet, state: Mapping[str, object]) -> None:
        """Go on from a stored state, after `on_train_begin`."""
        for name, value in state.items():
            setattr(self, name, value)
        if self.losses_ is not None:
            self.losses_ = self.losses_.to(net.device)

    def on_epoch_end(self, net: NeuralNet, **kwargs: object) -> None:
        """Keep the weights if they are the best so far; end after too many misses."""
        if "valid_loss" not in net.history[-1]:
            # A user continues to train the net itself, with nothing held out.
            return
        loss, losses = net.history[-1, "valid_loss"], net.validation_losses
        if loss < self.lowest_ or self._ends_well(net, loss, losses):
            self.lowest_, self.best_epoch_ = min(loss, self.lowest_), len(net.history)
            self.weights_, self.losses_ = copy.deepcopy(net.module_.state_dict()), losses
        self.misses_ += 1
        if loss < self.reference_ - self.tol:
            self.reference_, self.misses_ = loss, 0
        if self.misses_ >= self.patience and not self.is_ending_:
            self.is_ending_ = True
            if net.schedule is None:
                raise StopTraining
            net.shorten(_ENDING * self.patience)
        if self.is_ending_ and net.is_complete:
            raise StopTraining

    def _ends_well(self, net: NeuralNet, loss: float, losses: Tensor) -> bool:
        """Whether a schedule ends, and at a loss that is not clearly above the lowest one.

        Near the end, the lowest of many losses is low by chance, and the learning rate was higher
        there. "Clearly" is by more than two standard errors of the difference.
        """
        if net.schedule is None or not net.is_complete or self.losses_ is None:
            return False
        difference = losses - self.losses_
        error = difference.std() / math.sqrt(len(difference)) if len(difference) > 1 else 0.0
        return bool(loss - self.lowest_ <= 2 * error)

    def on_train_end(self, net: NeuralNet, **kwargs: object) -> None:
        """Restore the best weights."""
        self.losses_ = None
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
