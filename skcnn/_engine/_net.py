"""The skorch net: the loop over epochs and batches, its schedule, precision and figures."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import skorch
import torch
from skorch.callbacks import Callback, EpochTimer
from skorch.utils import TeeGenerator, to_tensor
from torch import Generator, Tensor, nn

from skcnn._compute._process_group import current_group
from skcnn._data._dataset import ImageDataset
from skcnn._data._loader import Batches, weighted
from skcnn._engine._loop import TrainingLoop
from skcnn._engine._predict import PredictionBatching


class ClassifierNet(skorch.NeuralNetClassifier):
    """A skorch classifier of images, trained in whole batches.

    It takes images (n, height, width, channels) and encoded labels, arrays or an
    `ImageDataset`, wherever skorch's own classes take X and y. Callbacks work as with any net;
    only where one of them asks for every batch does the loop call them for each.

    Parameters
    ----------
    module : callable
        Returns the network, as in skorch.
    precision : torch.dtype, default=torch.float32
        What training, validation included, computes in. Predictions are made in float32.
    bias_lr_factor : float, default=1.0
        How many times `lr` the rate of biases and norms is, once `set_lr` was called.
    schedule : {"onecycle", "cosine"} or None, default=None
        Course of the learning rate over one call of fit.
    augment : sequence of callables, default=()
        Applied to training batches only.
    n_classes : int, default=0
        How many there are, for labels that are mixed.
    resizing : sequence of float, default=()
        Shares of their sides that training images are reduced to, epoch after epoch.
    averaging : float, default=0.0
        Share of the steps, the last ones, whose weights are averaged in the end.
    seed : int, default=0
        Decides the order of the images and their augmentation.
    initial_rng_states : sequence of torch.Tensor, default=()
        What `rng_states` returned, for order and augmentation to go on from there.
    use_torch_compile : bool, default=False
        Whether training runs the network through `torch.compile`.
    use_cuda_graphs : bool, default=False
        Whether steps on a GPU are recorded once and replayed: only where the network does the
        same at each.
    progress : bool, default=False
        Whether to show a progress bar.
    plan : PredictionBatching, default=PredictionBatching(256)
        How images are validated and predicted.
    **kwargs
        As in `skorch.NeuralNetClassifier`.
    """

    def __init__(
        self,
        module: Any,
        *,
        precision: torch.dtype = torch.float32,
        bias_lr_factor: float = 1.0,
        schedule: str | None = None,
        augment: Sequence[Callable[[Tensor, Generator], Tensor]] = (),
        n_classes: int = 0,
        resizing: Sequence[float] = (),
        averaging: float = 0.0,
        seed: int = 0,
        initial_rng_states: Sequence[Tensor] = (),
        use_torch_compile: bool = False,
        use_cuda_graphs: bool = False,
        progress: bool = False,
        plan: PredictionBatching = PredictionBatching(256),  # noqa: B008  (cannot be changed)
        criterion: Any = nn.CrossEntropyLoss,
        dataset: Any = ImageDataset,
        train_split: Any = None,
        verbose: int = 0,
        **kwargs: Any,
    ) -> None:
        self.precision = precision
        self.bias_lr_factor = bias_lr_factor
        self.schedule = schedule
        self.augment = augment
        self.n_classes = n_classes
        self.resizing = resizing
        self.averaging = averaging
        self.seed = seed
        self.initial_rng_states = initial_rng_states
        self.use_torch_compile = use_torch_compile
        self.use_cuda_graphs = use_cuda_graphs
        self.progress = progress
        self.plan = plan
        super().__init__(
            module,
            criterion=criterion,
            dataset=dataset,
            train_split=train_split,
            verbose=verbose,
            **kwargs,
        )

    @property
    def _default_callbacks(self) -> list[tuple[str, Callback]]:
        return [("epoch_timer", EpochTimer())]

    def __getstate__(self) -> dict[str, Any]:
        # Callbacks store nets in mid-training. What only the loop needs is no part of a net:
        # graphs, compiled networks and progress bars cannot be stored.
        whole = self.__dict__
        self.__dict__ = {name: value for name, value in whole.items() if name != "_run"}
        try:
            state: dict[str, Any] = super().__getstate__()
        finally:
            self.__dict__ = whole
        return state

    def get_iterator(self, dataset: Any, training: bool = False) -> Batches:
        """Return the batches of a data set; see `skorch.NeuralNet.get_iterator`."""
        device = torch.device(self.device)
        if training:
            generator = torch.Generator().manual_seed(self.seed)
            batches = Batches(
                dataset,
                self.batch_size,
                device=device,
                generator=generator,
                augment=self.augment,
                n_classes=self.n_classes,
                group=current_group(),
            )
            for drawn, state in zip(batches.rngs, self.initial_rng_states):
                drawn.set_state(state)
            return batches
        return Batches(dataset, self.plan.batch_size, device=device)

    def rng_states(self) -> list[Tensor]:
        """Return, in mid-training, what order and augmentation of the next epoch depend on."""
        assert self._run.batches is not None
        return [generator.get_state() for generator in self._run.batches.rngs]

    def get_params_for_optimizer(self, prefix: str, named_parameters: Any) -> Any:
        """ProcessGroup the parameters: weights decay, biases and the scales of norms do not."""
        _, kwargs = super().get_params_for_optimizer(prefix, iter(()))
        parameters = [p for _, p in named_parameters if p.requires_grad]
        weights = [p for p in parameters if has_weight_decay(p)]
        others = [p for p in parameters if not has_weight_decay(p)]
        groups: list[dict[str, Any]] = [{"params": weights}]
        groups.append({"params": others, "weight_decay": 0.0})
        return ([group for group in groups if group["params"]],), kwargs

    def set_lr(self, rate: float) -> None:
        """Set the learning rate of weights, and that of biases and norms to what belongs to it."""
        for group in self.optimizer_.param_groups:
            factor = 1.0 if has_weight_decay(group["params"][0]) else self.bias_lr_factor
            group["lr"] = rate * factor

    def fit_loop(self, X: Any, y: Any = None, epochs: int | None = None, **kwargs: Any) -> Any:
        """Train for some epochs, under a progress bar where one is wanted."""
        epochs = int(self.max_epochs if epochs is None else epochs)
        self._run = TrainingLoop(self, epochs)
        try:
            return super().fit_loop(X, y, epochs, **kwargs)
        finally:
            self._run.end()
            del self._run

    def run_single_epoch(
        self, iterator: Any, training: bool, prefix: str, step_fn: Any, **fit_params: Any
    ) -> None:
        """Go through the batches once and record their mean loss and, in validation, hits."""
        if iterator is None:
            return
        if training:
            self._run.begin(iterator)
        self._hits: list[Tensor] = []
        if self._run.batch_hooks:
            super().run_single_epoch(iterator, training, prefix, step_fn, **fit_params)
        else:
            self._run_without_batch_hooks(iterator, training, prefix)
        if training:
            self._run.end_epoch()
        batches = [row for row in self.history[-1]["batches"] if f"{prefix}_loss" in row]
        weights = [row[f"{prefix}_batch_size"] for row in batches]
        loss = float(np.average([row[f"{prefix}_loss"] for row in batches], weights=weights))
        self._record(f"{prefix}_loss", loss, lower_is_better=True)
        if training:
            self.history.record("lr", self._run.rates.last_lr)
            if not math.isfinite(loss):
                raise ValueError(
                    f"The training loss became {loss} in epoch {len(self.history)}. Try a "
                    f"smaller learning rate than lr={self.lr}, or pixels and sample_weight of "
                    "smaller range."
                )
        else:
            hits = torch.cat(self._hits).float().mean().item()
            self._record("valid_acc", hits, lower_is_better=False)

    def _run_without_batch_hooks(self, batches: Batches, training: bool, prefix: str) -> None:
        losses, sizes = [], []
        self._set_training(training)
        if training:
            for inputs in batches.inputs():
                self._run.rates.advance()
                losses.append(self._run.step(*inputs))
                sizes.append(len(inputs[0]))
                self._run.tick()
        else:
            for batch in batches:
                losses.append(self.validation_step(batch)["loss"])
                sizes.append(len(batch[0]))
        # The only time in an epoch that the device is waited for.
        self.history[-1]["batches"] += [
            {f"{prefix}_loss": loss, f"{prefix}_batch_size": size}
            for loss, size in zip(torch.stack(losses).tolist(), sizes)
        ]
        self.history.record(f"{prefix}_batch_count", len(losses))

    def train_on_batch(
        self, images: Tensor, labels: Tensor, weight: Tensor | None = None
    ) -> Tensor:
        """Take one step down the loss of a batch, and return that loss."""
        loss = self.train_step_single((images, weighted(labels, weight)))["loss"]
        self._update()
        return loss.detach()

    def train_step(self, batch: tuple[Tensor, Tensor], **fit_params: Any) -> dict[str, Tensor]:
        """Take one step down the loss of a batch, where callbacks ask for every batch."""
        self._set_training(True)
        self._run.rates.advance()
        step = self.train_step_single(batch, **fit_params)
        if self._run.scaler is not None:
            self._run.scaler.unscale_(self.optimizer_)
        named = TeeGenerator(self.get_all_learnable_params())
        self.notify("on_grad_computed", named_parameters=named, batch=batch, training=True)
        self._update()
        self._run.tick()
        return step

    def train_step_single(
        self, batch: tuple[Tensor, Tensor], **fit_params: Any
    ) -> dict[str, Tensor]:
        """Compute the gradients of the loss of a batch."""
        images, labels = batch
        self.optimizer_.zero_grad()
        with self.autocast():
            logits = self.infer(images, **fit_params)
        loss = self.get_loss(logits, labels, X=images, training=True)
        scaler = self._run.scaler
        torch.autograd.backward(loss if scaler is None else scaler.scale(loss))
        return {"loss": loss, "y_pred": logits}

    def _update(self) -> None:
        scaler = self._run.scaler
        if scaler is None:
            self.optimizer_.step()
        else:
            scaler.step(self.optimizer_)
            scaler.update()

    def validation_step(
        self, batch: tuple[Tensor, Tensor], **fit_params: Any
    ) -> dict[str, Tensor]:
        """Return the loss of a batch and count which of its images are named rightly."""
        with self.autocast():
            step: dict[str, Tensor] = super().validation_step(batch, **fit_params)
        self._hits.append(step["y_pred"].argmax(1) == batch[1])
        return step

    def infer(self, x: Any, **fit_params: Any) -> Tensor:
        """Run the network, or what was compiled of it for training."""
        training = self.module_.training and hasattr(self, "_run")
        network = self._run.network if training else self.module_
        logits: Tensor = network(to_tensor(x, device=self.device), **fit_params)
        return logits.float()

    def autocast(self) -> torch.autocast:
        """Let torch compute in what training computes in."""
        kind = torch.device(self.device).type
        low = self.precision != torch.float32
        return torch.autocast(kind, dtype=self.precision, enabled=low)

    def get_loss(
        self, y_pred: Tensor, y_true: Tensor, X: Any = None, training: bool = False
    ) -> Tensor:
        """Weighted cross-entropy of logits, in training with its labels smoothed."""
        loss: Tensor
        if training:
            loss = self.criterion_(y_pred, y_true)
        else:
            loss = nn.functional.cross_entropy(y_pred, y_true, reduction="none")
        weight = getattr(y_true, "sample_weight", None)
        return loss.mean() if weight is None else (loss * weight).mean()

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Show the epoch's figures in the progress bar."""
        row = self.history[-1]
        names = ("train_loss", "valid_loss", "valid_acc")
        figures = {name: f"{row[name]:.3f}" for name in names if name in row}
        self._run.show({"epoch": row["epoch"], **figures})

    def _record(self, name: str, value: float, *, lower_is_better: bool) -> None:
        """Write down a figure and, as skorch's own scorings do, whether it is the best so far."""
        before = [row[name] for row in self.history[:-1] if name in row]
        best = all(value < other if lower_is_better else value > other for other in before)
        self.history.record(name, value)
        self.history.record(f"{name}_best", best)


def has_weight_decay(parameter: Tensor) -> bool:
    """Whether a parameter is of filters or of a dense layer, rather than a bias or of a norm."""
    return parameter.ndim > 1
