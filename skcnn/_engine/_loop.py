"""The training loop of one fit: its epochs, their schedule, averaging and progress bar."""

import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypedDict

import torch
from torch import Tensor, nn

from skcnn._compute._ambient import autocast
from skcnn._compute._compiler import compile_network
from skcnn._compute._interrupt import check_interrupts
from skcnn._compute._process_group import ProcessGroup
from skcnn._data._loader import Batches
from skcnn._engine._averaging import WeightAverage
from skcnn._engine._optimizers import make_capturable
from skcnn._engine._parts import BatchParts, smallest_batch
from skcnn._engine._schedule import LRSchedule, scale_of
from skcnn._engine._step import Step, TrainingStep
from skcnn._targets import Target

# Batches that batch normalization sees after weights were averaged.
_STATISTICS_BATCHES = 50
# Without batches and their number per second, which leave no room for the figures of the epoch.
_BAR_FORMAT = "{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"
# Most epochs over which the learning rate rises if the training is open-ended.
_WARM_UP_EPOCHS = 5


class LoopState(TypedDict):
    """Where the loop stands after an epoch.

    Attributes
    ----------
    epoch : int
        Number of epochs so far.
    plan : dict
        State of the `TrainingPlan`.
    average : dict or None
        State of the `WeightAverage`.
    """

    epoch: int
    plan: dict[str, Any]
    average: dict[str, Any] | None


@dataclass(frozen=True)
class LoopOptions:
    """How the steps of a fit are taken.

    Attributes
    ----------
    epochs : int
    device : torch.device
    precision : torch.dtype
        Floating-point type of training.
    schedule : {"onecycle", "cosine"} or None
        Learning-rate schedule.
    resizing : sequence of float
        Fractions of their sides that images are reduced to, over the epochs.
    averaging : float
        Fraction of the steps, the last ones, whose weights are averaged.
    compiles : bool
        Whether to train through `torch.compile`.
    captures : bool
        Whether steps on a GPU may be captured in a CUDA graph: every step does the same
        operations, and no callback asks for each batch.
    shows_progress : bool
        Whether to show a progress bar.
    open_ended : bool
        Whether the training may turn out shorter than `epochs`: its learning rate does not take
        long to rise, however many epochs there are.
    divides : bool
        Whether a batch that memory is too small for is computed in parts. Where several processes
        train together it never is: all of them would have to do so.
    state : LoopState or None
        Where the training goes on from, if it was interrupted.
    """

    epochs: int
    device: torch.device
    precision: torch.dtype = torch.float32
    schedule: str | None = None
    resizing: Sequence[float] = ()
    averaging: float = 0.0
    compiles: bool = False
    captures: bool = False
    shows_progress: bool = False
    open_ended: bool = False
    divides: bool = True
    state: LoopState | None = None


class TrainingLoop:
    """State of one training run.

    Parameters
    ----------
    network : torch.nn.Module
    optimizer : torch.optim.Optimizer
    target : Target
    options : LoopOptions
    scaler : torch.amp.GradScaler, default=None
        Scales the loss up where training computes in float16, which has few small numbers.
    group : ProcessGroup, default=None
        Processes that train the network together.

    Attributes
    ----------
    lr_schedule : LRSchedule
    training_step : TrainingStep
    captures : bool
        Whether steps are captured in CUDA graphs.
    parts, validation_parts : BatchParts
        Into which parts batches are divided where memory is short.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        target: Target,
        options: LoopOptions,
        *,
        scaler: torch.amp.GradScaler | None = None,
        group: ProcessGroup | None = None,
    ) -> None:
        self.module = network
        self.options = options
        self.group = group
        self.captures = (
            make_capturable(optimizer, options.device)
            and options.captures
            and scaler is None
            and group is None
        )
        self.lr_schedule = LRSchedule(
            optimizer, options.schedule, options.device if self.captures else None
        )
        # What training runs images through: the module itself, or what was compiled from it.
        trained: Any = compile_network(network) if options.compiles else network
        if group is not None:
            trained = group.wrap_ddp(trained, options.device)
        self.parts = BatchParts(smallest_batch(network))
        self.validation_parts = BatchParts()
        self.training_step = TrainingStep(
            trained,
            optimizer,
            target,
            options.device,
            options.precision,
            scaler=scaler,
            parts=self.parts,
            divides=options.divides and group is None,
        )
        self.batches: Batches | None = None
        self.epoch = 0
        # Which parameters are trained, and the size of images: a CUDA graph is for one of each.
        self._kind: tuple[Any, ...] = ()
        self._average: WeightAverage | None = None
        self._steps: dict[tuple[Any, ...], Step] = {}
        self._bar: Any = None

    def start_epoch(self, batches: Batches) -> None:
        """Take the batches in the first epoch, and set the size of images in each."""
        if self.batches is None:
            self._start_first_epoch(batches)
        plan = self.lr_schedule.plan
        planned = plan.position_after(len(batches)) / len(batches) - 1
        batches.scale = scale_of(planned, self.options.epochs, self.options.resizing)
        self.epoch += 1
        trained = tuple(p.requires_grad for p in self.module.parameters())
        if not any(trained):
            raise ValueError(
                f"No parameter of the network is trained in epoch {self.epoch}: all of them are "
                "frozen. Leave at least one to train, such as those of the head."
            )
        self._kind = (batches.scale, *trained)
        if self._kind not in self._steps:
            self._steps[self._kind] = self.training_step.of_inputs(batches, captures=self.captures)

    @property
    def step(self) -> Step:
        """Function from one of the `inputs` of the batches to the `loss_figures` of a step.

        There is one for each size of images, since a CUDA graph has one size, and for each choice
        of parameters that callbacks freeze.
        """
        return self._steps[self._kind]

    def _start_first_epoch(self, batches: Batches) -> None:
        self.batches = batches
        n_steps = self.options.epochs * len(batches)
        warm_up = _WARM_UP_EPOCHS * len(batches) if self.options.open_ended else n_steps
        self.lr_schedule.begin(n_steps, warm_up)
        if self.options.averaging:
            self._average = WeightAverage(self.module, n_steps, self.options.averaging)
        if self.options.state is not None:
            self._restore(self.options.state)
        # A service, and pythonw of Windows, have no place for messages.
        is_seen = self.options.shows_progress and sys.stderr is not None
        if is_seen and (self.group is None or self.group.rank == 0):
            done = self.epoch * len(batches)
            total = done + self.lr_schedule.plan.n_left
            self._bar = _progress_bar()(
                total=total, initial=done, desc="fit", unit="batch", bar_format=_BAR_FORMAT
            )

    def state(self) -> LoopState:
        """Return where the loop stands after an epoch, for a training that goes on from there."""
        average = None if self._average is None else self._average.state()
        return {"epoch": self.epoch, "plan": self.lr_schedule.plan.state(), "average": average}

    def _restore(self, state: LoopState) -> None:
        self.epoch = state["epoch"]
        self.lr_schedule.plan.restore(**state["plan"])
        if self._average is not None and state["average"] is not None:
            self._average.restore(**state["average"])

    def on_step_end(self) -> None:
        """Count a batch, and include the weights after it in their average."""
        if self._average is not None:
            self._average.update()
        if self._bar is not None:
            self._bar.update()

    @property
    def is_complete(self) -> bool:
        """Whether all steps are taken."""
        return self.lr_schedule.plan.n_left == 0

    def shorten(self, n_epochs: int) -> None:
        """Go through the rest of the training in at most so many more epochs."""
        assert self.batches is not None
        plan = self.lr_schedule.plan
        plan.shorten(n_epochs * len(self.batches))
        if self._average is not None:
            self._average.n_before = plan.steps_until(self._average.start)
        if self._bar is not None:
            self._bar.total = self._bar.n + plan.n_left

    def end_epoch(self, rows: list[dict[str, float]]) -> None:
        """Average weights after the last epoch, and figures over several processes.

        Parameters
        ----------
        rows : list of dict
            Figures of the losses of each batch, and its size; changed in place.
        """
        if self._average is not None and self.is_complete:
            with autocast(self.options.device, self.options.precision):
                self._average.apply(self._statistics_inputs())
        if self.group is None:
            return
        self.group.average_buffers(self.module)
        names = list(rows[0])
        figures = torch.tensor([[row[name] for name in names] for row in rows]).double()
        for row, means in zip(rows, self.group.mean(figures).tolist()):
            row.update(zip(names, means))

    def _statistics_inputs(self) -> Iterator[tuple[Tensor, ...]]:
        assert self.batches is not None
        for inputs in islice(self.batches.inputs(), _STATISTICS_BATCHES):
            check_interrupts()
            batch = self.batches.load(*inputs)
            for rows in self.parts.slices(len(batch.images)):
                yield batch.part(rows).inputs

    def show(self, figures: str) -> None:
        """Show figures behind the progress bar."""
        if self._bar is not None:
            self._bar.set_postfix_str(figures)

    def close(self) -> None:
        """Restore the optimizer's learning rates, and release what the GPU captured."""
        self.lr_schedule.restore()
        # Captured graphs and the images on the GPU are not to stay as long as the loop.
        self._steps.clear()
        if self._bar is not None:
            self._bar.close()


def _progress_bar() -> Any:
    """Return tqdm's bar of a notebook, or its plain one where that lacks a package."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "IProgress not found")
        from tqdm.auto import tqdm
    return tqdm
