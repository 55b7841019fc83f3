"""Optimizers, the course of their learning rate, and when to stop."""

import copy
import math
from inspect import signature
from typing import Any

import torch
from skorch.callbacks import Callback

from skcnn._muon import Muon

# With what serves each best on a CPU and on a GPU.
OPTIMIZERS: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any]]] = {
    "sgd": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True, "fused": True}),
    "rmsprop": (torch.optim.RMSprop, {"alpha": 0.9, "eps": 1e-7, "foreach": True}),
    "adam": (torch.optim.Adam, {"fused": True}),
    "adamw": (torch.optim.AdamW, {"fused": True}),
    "muon": (Muon, {}),
}
SCHEDULES = ("onecycle", "cosine")

_WARM_UP = 0.2


def decays_weights(optimizer: str | type) -> bool:
    """Whether an optimizer has the parameter weight_decay."""
    return isinstance(optimizer, str) or "weight_decay" in signature(optimizer).parameters


def prepare_recording(optimizer: torch.optim.Optimizer, device: torch.device) -> bool:
    """Make an optimizer ready for steps that a GPU records, and tell whether they can be.

    Only those in `OPTIMIZERS` are known to compute everything there.
    """
    on_gpu = device.type == "cuda"
    for group in optimizer.param_groups:
        if "capturable" in group:
            group["capturable"] = on_gpu
    return on_gpu and type(optimizer) in {kind for kind, _ in OPTIMIZERS.values()}


def rate_factor(schedule: str | None, step: int, n_steps: int) -> float:
    """Share of the full learning rate that step number `step` of `n_steps` takes.

    "onecycle" climbs over a fifth of the steps and then falls to zero, both in straight lines;
    "cosine" falls from the start, along half a cosine.

    References
    ----------
    Smith, Topin: Super-convergence: very fast training of neural networks using large
    learning rates. 2018, arXiv:1708.07120.
    Loshchilov, Hutter: SGDR: stochastic gradient descent with warm restarts. ICLR 2017.

    Examples
    --------
    >>> [rate_factor("onecycle", step, 10) for step in (0, 2, 6)]
    [0.25, 1.0, 0.5]
    """
    if schedule == "onecycle":
        top = max(1.0, _WARM_UP * n_steps)
        return min((step + 0.5) / top, (n_steps - step) / (n_steps - top + 1e-12), 1.0)
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * step / n_steps))
    return 1.0


class Rates:
    """The learning rates of an optimizer over the steps of one call of fit.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
    schedule : {"onecycle", "cosine"} or None
        None leaves the rates to whoever else sets them.
    device : torch.device, default=None
        Where the rates shall lie meanwhile, for steps that are recorded there; by default they
        are numbers of Python.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        schedule: str | None,
        device: torch.device | None = None,
    ) -> None:
        self.groups: list[dict[str, Any]] = optimizer.param_groups
        self.schedule = schedule
        self.highest = [float(group["lr"]) for group in self.groups]
        self.n_steps = self.step = 0
        self._taken: Any = math.nan
        for group in self.groups if device is not None else ():
            group["lr"] = torch.tensor(group["lr"], device=device)

    def begin(self, n_steps: int) -> None:
        """Say how many steps there will be."""
        self.n_steps, self.step = n_steps, 0

    def advance(self) -> None:
        """Set the rates of the next step."""
        if self.schedule is not None:
            factor = rate_factor(self.schedule, self.step, self.n_steps)
            for group, highest in zip(self.groups, self.highest):
                if isinstance(group["lr"], torch.Tensor):
                    group["lr"].fill_(highest * factor)
                else:
                    group["lr"] = highest * factor
        # Noted now, since others may set the next one as soon as the step is taken.
        self._taken = self.groups[0]["lr"]
        self.step += 1

    @property
    def taken(self) -> float:
        """The rate of the last step."""
        return float(self._taken)

    def restore(self) -> None:
        """Leave the rates as they were."""
        for group, highest in zip(self.groups, self.highest):
            group["lr"] = highest


class StopEarly(Callback):
    """Stop when the validation loss no longer falls, and restore the weights of its lowest.

    Parameters
    ----------
    patience : int
        Epochs to wait for an improvement.
    tol : float
        By how much the loss must fall below that of the last improvement to be one.
    """

    def __init__(self, patience: int, tol: float) -> None:
        self.patience = patience
        self.tol = tol

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Forget what was before."""
        self.misses_, self.best_epoch_ = 0, 0
        self.reference_ = self.lowest_ = math.inf
        self.weights_: Any = None

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Keep the weights if they are the best so far; stop after too many misses."""
        if "valid_loss" not in net.history[-1]:
            # Somebody trains the net itself on, where nothing is held out.
            return
        loss = net.history[-1, "valid_loss"]
        if loss < self.lowest_:
            self.lowest_, self.best_epoch_ = loss, len(net.history)
            self.weights_ = copy.deepcopy(net.module_.state_dict())
        self.misses_ += 1
        if loss < self.reference_ - self.tol:
            self.reference_, self.misses_ = loss, 0
        if self.misses_ == self.patience:
            # This is how skorch's loop is told to end.
            raise KeyboardInterrupt

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Restore the best weights."""
        if self.weights_ is not None:
            net.module_.load_state_dict(self.weights_)
            self.weights_ = None
