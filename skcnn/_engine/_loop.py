"""What a skorch net holds on to during one call of fit."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import torch
from skorch.callbacks import Callback
from torch import Tensor

from skcnn._compute._process_group import current_group
from skcnn._data._loader import Batches
from skcnn._engine._averaging import WeightAverage
from skcnn._engine._cuda_graphs import CUDAGraphRunner
from skcnn._engine._optimizers import make_capturable
from skcnn._engine._schedule import LRSchedule
from skcnn.augmentation import Augmentation

# Torch's own is so high that the first steps of every network are lost in finding a lower one.
_FIRST_SCALE = 2.0**11
# So many batches tell what averaged weights make of the images.
_BATCHES_LOOKED_AT = 50
_BATCH_HOOKS = ("on_batch_begin", "on_batch_end", "on_grad_computed")


class TrainingLoop:
    """How the steps of one call of fit are taken, and what belongs to them.

    Parameters
    ----------
    net : ClassifierNet
    epochs : int

    Attributes
    ----------
    batch_hooks : bool
        Whether a callback wants to be called for every batch.
    network : callable
        What training runs images through: the network, or what was compiled of it.
    rates : LRSchedule
    scaler : torch.amp.GradScaler or None
        Scales the loss up where training computes in float16, whose small numbers are few.
    """

    def __init__(self, net: Any, epochs: int) -> None:
        self.net = net
        self.epochs = epochs
        self.group = current_group()
        self.batch_hooks = any(
            getattr(type(callback), hook) is not getattr(Callback, hook)
            for _, callback in net.callbacks_
            for hook in _BATCH_HOOKS
        )
        device = torch.device(net.device)
        self.scaler: torch.amp.GradScaler | None = None
        if net.precision == torch.float16:
            # It has found its scale when training goes on.
            self.scaler = getattr(net, "scaler_", None) or torch.amp.GradScaler(
                device.type, init_scale=_FIRST_SCALE
            )
            net.scaler_ = self.scaler
        self.recorded = (
            make_capturable(net.optimizer_, device)
            and net.use_cuda_graphs
            and self.scaler is None
            and not self.batch_hooks
            and self.group is None
        )
        self.rates = LRSchedule(net.optimizer_, net.schedule, device if self.recorded else None)
        self.network = torch.compile(net.module_) if net.use_torch_compile else net.module_
        if self.group is not None:
            self.network = self.group.wrap_ddp(self.network, device)
        self.batches: Batches | None = None
        self.epoch = 0
        self._average: WeightAverage | None = None
        self._steps: dict[float, Callable[..., Tensor]] = {}
        self._bar: Any = None

    def begin(self, batches: Batches) -> None:
        """Get to know the batches in the first epoch, and set the size of images in each."""
        if self.batches is None:
            self._begin_first(batches)
        batches.scale = scale_of(self.epoch, self.epochs, self.net.resizing)
        self.epoch += 1
        if batches.scale not in self._steps:
            self._steps[batches.scale] = self._prepared_step(batches)

    @property
    def step(self) -> Callable[..., Tensor]:
        """Takes one of the `inputs` of the batches and returns the loss of a step.

        It is another one for each size of images, since what is recorded has one size.
        """
        assert self.batches is not None
        return self._steps[self.batches.scale]

    def _begin_first(self, batches: Batches) -> None:
        self.batches = batches
        n_steps = self.epochs * len(batches)
        self.rates.begin(n_steps)
        if self.net.averaging:
            self._average = WeightAverage(self.net.module_, n_steps, self.net.averaging)
        if self.net.progress and (self.group is None or self.group.rank == 0):
            from tqdm.auto import tqdm

            self._bar = tqdm(total=n_steps, desc="fit", unit="batch")

    def _prepared_step(self, batches: Batches) -> Callable[..., Tensor]:
        if not self.recorded:
            return self._load_and_step
        if all(isinstance(change, Augmentation) for change in batches.augment):
            assert batches.augment_rng is not None
            return CUDAGraphRunner(self._load_and_step, [batches.augment_rng])
        # What other functions draw from, and decide by, is not known.
        graphed = CUDAGraphRunner(self.net.train_on_batch)
        return lambda *inputs: graphed(*batches.load(*inputs))

    def _load_and_step(self, *inputs: Tensor) -> Tensor:
        assert self.batches is not None
        loss: Tensor = self.net.train_on_batch(*self.batches.load(*inputs))
        return loss

    def tick(self) -> None:
        """Count a batch, and take note of the weights after it."""
        if self._average is not None:
            self._average.update()
        if self._bar is not None:
            self._bar.update()

    def end_epoch(self) -> None:
        """Put together what the steps, and several processes, have found."""
        if self._average is not None and self.epoch == self.epochs:
            with self.net.autocast():
                self._average.apply(islice(self._images(), _BATCHES_LOOKED_AT))
        if self.group is None:
            return
        self.group.average_buffers(self.net.module_)
        batches = self.net.history[-1]["batches"]
        names = ("train_loss", "train_batch_size")
        figures = torch.tensor(
            [[row[name] for name in names] for row in batches],
            dtype=torch.float64,
        )
        for row, means in zip(batches, self.group.mean(figures).tolist()):
            row.update(zip(names, means))

    def _images(self) -> Iterator[Tensor]:
        assert self.batches is not None
        for inputs in self.batches.inputs():
            yield self.batches.load(*inputs)[0]

    def show(self, figures: dict[str, Any]) -> None:
        """Put figures behind the progress bar."""
        if self._bar is not None:
            self._bar.set_postfix(figures)

    def end(self) -> None:
        """Leave the optimizer as it was, the progress bar complete, and no cycle behind."""
        self.rates.restore()
        # Steps refer to the run, and the run to them: what a GPU recorded, and the images that lie
        # there, would stay until the next collection of garbage.
        self._steps.clear()
        if self._bar is not None:
            self._bar.close()


def scale_of(epoch: int, n_epochs: int, scales: Sequence[float]) -> float:
    """At which share of their sides images are trained on in an epoch.

    The epochs are spread evenly over the scales, and the last epoch gets the last one.

    Examples
    --------
    >>> [scale_of(epoch, 4, (0.625, 1.0)) for epoch in range(4)]
    [0.625, 0.625, 1.0, 1.0]
    """
    if not scales:
        return 1.0
    return float(scales[-(-(epoch + 1) * len(scales) // n_epochs) - 1])
