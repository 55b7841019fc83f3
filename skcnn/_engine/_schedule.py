"""Learning-rate schedules."""

import math
from typing import Any

import torch

SCHEDULES = ("onecycle", "cosine")

_WARM_UP = 0.2


def lr_multiplier(schedule: str | None, step: int, n_steps: int) -> float:
    """Return the fraction of the full learning rate at step number `step` of `n_steps`.

    "onecycle" climbs over a fifth of the steps and then falls to zero, both in straight lines;
    "cosine" falls from the start, along half a cosine.

    References
    ----------
    Smith, Topin: Super-convergence: very fast training of neural networks using large
    learning rates. 2018, arXiv:1708.07120.
    Loshchilov, Hutter: SGDR: stochastic gradient descent with warm restarts. ICLR 2017.

    Examples
    --------
    >>> [lr_multiplier("onecycle", step, 10) for step in (0, 2, 6)]
    [0.25, 1.0, 0.5]
    """
    if schedule == "onecycle":
        top = max(1.0, _WARM_UP * n_steps)
        return min((step + 0.5) / top, (n_steps - step) / (n_steps - top + 1e-12), 1.0)
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * step / n_steps))
    return 1.0


class LRSchedule:
    """Learning rates of an optimizer over the steps of one call of fit.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
    schedule : {"onecycle", "cosine"} or None
        None leaves the rates to callbacks.
    device : torch.device, default=None
        Device that holds the rates during training, for CUDA graphs; by default they are numbers
        of Python.
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
        self._last_lr: float | torch.Tensor = math.nan
        self._first_factor = float(self.groups[0].get("lr_factor", 1.0))
        for group in self.groups if device is not None else ():
            group["lr"] = torch.tensor(group["lr"], device=device)

    def begin(self, n_steps: int) -> None:
        """Set the number of steps."""
        self.n_steps, self.step = n_steps, 0

    def advance(self) -> None:
        """Set the rates of the next step."""
        if self.schedule is not None:
            factor = lr_multiplier(self.schedule, self.step, self.n_steps)
            for group, highest in zip(self.groups, self.highest):
                if isinstance(group["lr"], torch.Tensor):
                    group["lr"].fill_(highest * factor)
                else:
                    group["lr"] = highest * factor
        # Read now, since a callback may set the next rate as soon as the step is taken.
        self._last_lr = self.groups[0]["lr"]
        self.step += 1

    @property
    def last_lr(self) -> float:
        """The learning rate of the last step."""
        return float(self._last_lr) / self._first_factor

    def restore(self) -> None:
        """Leave the rates as they were."""
        for group, highest in zip(self.groups, self.highest):
            group["lr"] = highest
