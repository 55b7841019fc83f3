"""One step of training: gradients, in parts where memory is short, the optimizer, CUDA graphs."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from skcnn._compute._ambient import autocast
from skcnn._data._dataset import Batch
from skcnn._data._loader import Batches
from skcnn._engine._cuda_graphs import CUDAGraphRunner
from skcnn._engine._figures import loss_figures, weighted_mean
from skcnn._engine._optimizer_checks import explain_step
from skcnn._engine._optimizers import add_missing_momenta
from skcnn._engine._parts import BatchParts, warn_of_parts
from skcnn._targets import Target
from skcnn.augmentation import Augmentation

# Torch's default is so high that the first steps of every network are lost in finding a lower one.
FIRST_LOSS_SCALE = 2.0**11

Step = Callable[..., Tensor]


class TrainingStep:
    """How a network learns from a batch.

    Parameters
    ----------
    network : torch.nn.Module
        What images are run through: the network itself, compiled, or shared among processes.
    optimizer : torch.optim.Optimizer
    target : Target
    device : torch.device
    precision : torch.dtype
        Floating-point type of the network's computations.
    scaler : torch.amp.GradScaler or None
        Scales the loss up where training computes in float16, which has few small numbers.
    parts : BatchParts
        Into which parts batches are divided where memory is short.
    divides : bool
        Whether they may be.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        target: Target,
        device: torch.device,
        precision: torch.dtype,
        *,
        scaler: torch.amp.GradScaler | None,
        parts: BatchParts,
        divides: bool,
    ) -> None:
        self.network = network
        self.optimizer = optimizer
        self.target = target
        self.device = device
        self.precision = precision
        self.scaler = scaler
        self.parts = parts
        self.divides = divides

    def of_inputs(self, batches: Batches, *, captures: bool) -> Step:
        """Return a function from one of the `inputs` of the batches to the figures of a step.

        Parameters
        ----------
        batches : Batches
        captures : bool
            Whether the step is captured in a CUDA graph.
        """

        def load_and_train(*inputs: Tensor) -> Tensor:
            return self.train_on_batch(*batches.load(*inputs))

        if not captures:
            return load_and_train
        if all(isinstance(change, Augmentation) for change in batches.augment):
            assert batches.augment_rng is not None
            return CUDAGraphRunner(load_and_train, [batches.augment_rng])
        # Which generator a user's own augmentation uses is not known: it runs outside the graph.
        present: list[str] = []
        runner = CUDAGraphRunner(
            lambda *parts: self.train_on_batch(**dict(zip(present, parts, strict=True)))
        )

        def load_then_replay(*inputs: Tensor) -> Tensor:
            batch = batches.load(*inputs)
            present[:] = [name for name, part in batch._asdict().items() if part is not None]
            return runner(*(part for part in batch if part is not None))

        return load_then_replay

    def train_on_batch(
        self,
        images: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        covariates: Tensor | None = None,
    ) -> Tensor:
        """Take one step of the optimizer, and return the figures of the loss before it."""
        batch = Batch(images, target, weight, covariates)
        loss, outputs = self.compute_gradients(batch)
        figures = loss_figures(self.target, loss, outputs, batch, training=True)
        self.update_weights()
        return figures

    def compute_gradients(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the loss of a batch, whose gradients are in the parameters, and the outputs."""
        n_images, before = len(batch.images), self.parts.most
        if not self.divides:
            return self._compute_in_parts(batch, [slice(0, n_images)])
        found = self.parts.run(partial(self._compute_in_parts, batch), n_images)
        if before is None and self.parts.most is not None:
            warn_of_parts(n_images, self.parts.most, self.device)
        return found

    def _compute_in_parts(self, batch: Batch, slices: Sequence[slice]) -> tuple[Tensor, Tensor]:
        """Add up the gradients of parts of a batch, in which each image counts as in the whole."""
        self.optimizer.zero_grad()
        if len(slices) == 1:
            return self._add_gradients(batch)
        losses, outputs = [], []
        for rows in slices:
            part = batch.part(rows)
            share = len(part.images) / len(batch.images)
            loss, output = self._add_gradients(part, share)
            losses.append(loss.detach())
            outputs.append(output.detach())
        return torch.stack(losses).sum(), torch.cat(outputs)

    def _add_gradients(self, batch: Batch, share: float | None = None) -> tuple[Tensor, Tensor]:
        """Add the gradients of a batch, or of a share of one, to those of the parameters."""
        with autocast(self.device, self.precision):
            outputs = self.network(*batch.inputs)
        outputs = outputs.float()
        if not outputs.requires_grad:
            raise ValueError(
                "The outputs of the network have no gradient, so that nothing can be trained. "
                "Expected outputs that depend on parameters with requires_grad: leave out "
                "torch.no_grad(), .detach() and .data in the forward of module=, and train at "
                "least one layer that its outputs come from."
            )
        loss = weighted_mean(self.target.loss(outputs, batch.target, training=True), batch.weight)
        loss = loss if share is None else loss * share
        torch.autograd.backward(loss if self.scaler is None else self.scaler.scale(loss))
        return loss, outputs

    def unscale_gradients(self) -> None:
        """Give gradients their true size, for callbacks that look at them."""
        if self.scaler is not None:
            self.scaler.unscale_(self.optimizer)

    def update_weights(self) -> None:
        """Let the optimizer take its step."""
        add_missing_momenta(self.optimizer)
        try:
            if self.scaler is None:
                self.optimizer.step()
            else:
                self.scaler.step(self.optimizer)
                self.scaler.update()
        except RuntimeError as error:
            explain_step(self.optimizer, error)
            raise
