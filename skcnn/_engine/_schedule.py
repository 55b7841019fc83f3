"""Schedules over the epochs: of the learning rate, and of the size of images."""

import math
from collections.abc import Sequence
from typing import Any

import torch

SCHEDULES = ("onecycle", "cosine")

_WARM_UP = 0.2
# Epochs of a number of images, how they fall where there are more, and their limits.
_N_IMAGES, _EPOCHS, _FALL = 1_000, 30, 0.4
_MOST_EPOCHS, _FEWEST_EPOCHS = 75, 8


def choose_epochs(n_images: int) -> int:
    """Take 30 epochs for 1,000 images, more for fewer, up to 75, and fewer for more, down to 8.

    Few images need many passes for the same number of steps, and many images few.

    Examples
    --------
    >>> choose_epochs(60), choose_epochs(200), choose_epochs(500), choose_epochs(1_000)
    (75, 57, 40, 30)
    >>> choose_epochs(3_000), choose_epochs(10_000), choose_epochs(30_500)
    (19, 12, 8)
    """
    epochs = round(_EPOCHS * math.pow(_N_IMAGES / n_images, _FALL))
    return min(max(epochs, _FEWEST_EPOCHS), _MOST_EPOCHS)


def scale_of(epoch: float, n_epochs: int, scales: Sequence[float]) -> float:
    """Return the fraction of their sides that images are reduced to in an epoch.

    The epochs are spread evenly over the scales, and the last epoch gets the last one.

    Examples
    --------
    >>> [scale_of(epoch, 4, (0.625, 1.0)) for epoch in range(4)]
    [0.625, 0.625, 1.0, 1.0]
    """
    if not scales:
        return 1.0
    return float(scales[math.ceil((epoch + 1) * len(scales) / n_epochs) - 1])


def lr_multiplier(
    schedule: str | None, step: float, n_steps: int, warm_up: float = math.inf
) -> float:
    """Return the fraction of the full learning rate at step number `step` of `n_steps`.

    "onecycle" climbs over a fifth of the steps, but at most `warm_up` of them, and then falls to
    zero, both in straight lines; "cosine" falls from the start, along half a cosine.

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
        top = _top(n_steps, warm_up)
        return min((step + 0.5) / top, (n_steps - step) / (n_steps - top + 1e-12), 1.0)
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * step / n_steps))
    return 1.0


def _top(n_steps: int, warm_up: float) -> float:
    """Step at which "onecycle" stops climbing."""
    return max(1.0, min(_WARM_UP * n_steps, warm_up))


class TrainingPlan:
    """Where the steps of a training stand in the plan for it.

    A training that is shortened still goes through the whole plan, only faster: the learning rate
    falls to zero, and all that is planned for the last epochs happens.

    Parameters
    ----------
    n_steps : int
        Number of steps in the plan.
    schedule : {"onecycle", "cosine"} or None, default=None
        Learning-rate schedule.
    warm_up : float, default=inf
        Most steps over which the learning rate rises.

    Attributes
    ----------
    n_left : int
        Number of steps still to take.

    Examples
    --------
    >>> plan = TrainingPlan(100, "cosine")
    >>> for _ in range(50):
    ...     plan.advance()
    >>> plan.position, plan.n_left, plan.lr_multiplier()
    (50, 50, 0.5)
    >>> plan.shorten(10)
    >>> plan.advance()
    >>> plan.position, plan.n_left
    (55.0, 9)
    """

    def __init__(
        self, n_steps: int, schedule: str | None = None, warm_up: float = math.inf
    ) -> None:
        self.n_steps = self.n_left = n_steps
        self.schedule = schedule
        self.warm_up = warm_up
        self.position: float = 0
        self._speed: float = 1

    def state(self) -> dict[str, float]:
        """Return where the training stands, for `restore`."""
        return {"n_left": self.n_left, "position": self.position, "speed": self._speed}

    def restore(self, n_left: int, position: float, speed: float) -> None:
        """Go on from a stored state."""
        self.n_left, self.position, self._speed = n_left, position, speed

    def advance(self) -> None:
        """Count a step."""
        self.n_left -= 1
        self.position = self.position + self._speed if self.n_left else self.n_steps

    def lr_multiplier(self) -> float:
        """Return the fraction of the full learning rate in the next step."""
        return lr_multiplier(self.schedule, self.position, self.n_steps, self.warm_up)

    def position_after(self, n_more: int) -> float:
        """Return the position after so many more steps."""
        return self.position + n_more * self._speed if n_more < self.n_left else self.n_steps

    def steps_until(self, position: float) -> int:
        """Return the number of steps before a position, which the last step is never among."""
        return max(0, min(self.n_left - 1, math.floor((position - self.position) / self._speed)))

    def shorten(self, n_left: int) -> None:
        """Take at most so many more steps."""
        if n_left >= self.n_left:
            return
        if self.schedule == "onecycle":
            # Where the rate still rises, go on from where it falls and is the same.
            falling = self.n_steps - _top(self.n_steps, self.warm_up)
            self.position = max(self.position, self.n_steps - self.lr_multiplier() * falling)
        self.n_left = n_left
        self._speed = (self.n_steps - self.position) / n_left


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
        self.plan = TrainingPlan(0, schedule)
        self._last_lr: float | torch.Tensor = math.nan
        self._first_factor = float(self.groups[0].get("lr_factor", 1.0))
        for group in self.groups if device is not None else ():
            group["lr"] = torch.tensor(group["lr"], device=device)

    def begin(self, n_steps: int, warm_up: float = math.inf) -> None:
        """Set the number of steps, and over how many of them the rates rise at most."""
        self.plan = TrainingPlan(n_steps, self.schedule, warm_up)

    def advance(self) -> None:
        """Set the rates of the next step."""
        if self.schedule is not None:
            factor = self.plan.lr_multiplier()
            for group, highest in zip(self.groups, self.highest):
                if isinstance(group["lr"], torch.Tensor):
                    group["lr"].fill_(highest * factor)
                else:
                    group["lr"] = highest * factor
        # Read now, since a callback may set the next rate as soon as the step is taken.
        self._last_lr = self.groups[0]["lr"]
        self.plan.advance()

    @property
    def last_lr(self) -> float:
        """The learning rate of the last step."""
        return float(self._last_lr) / self._first_factor

    def restore(self) -> None:
        """Leave the rates as they were."""
        for group, highest in zip(self.groups, self.highest):
            group["lr"] = highest
