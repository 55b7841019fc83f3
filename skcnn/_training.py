"""The skorch net: the loop over epochs and batches, schedule, precision, prediction."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import skorch
import torch
from skorch.callbacks import Callback, EpochTimer
from skorch.utils import TeeGenerator
from torch import Tensor, nn

from skcnn._augment import Augmentation
from skcnn._batches import Batches, ImageDataset
from skcnn._optimization import rate_factor

_BATCH_HOOKS = ("on_batch_begin", "on_batch_end", "on_grad_computed")
# As many pixels a batch as keep a prediction's largest feature maps within the caches.
_PREDICTION_PIXELS = 2**18
_PREDICTION_IMAGES = 512
# Up to so many multiply-adds an image, filling a batch up to so many costs less than it takes
# to call the network at all.
_SMALL_NETWORK = 250_000
_FILLED_WORK = 4_000_000


def prediction_batches(image_shape: Sequence[int], multiply_adds: int) -> tuple[int, bool]:
    """How many images are predicted at once, and whether smaller batches are filled up.

    For other numbers of rows the libraries underneath take other paths, whose results differ in
    the last bits. Small networks can afford to run batches of one size only, so that each image
    gets the same outputs in whatever company it comes.
    """
    if multiply_adds <= _SMALL_NETWORK:
        return min(_PREDICTION_IMAGES, _FILLED_WORK // max(1, multiply_adds)), True
    pixels = image_shape[0] * image_shape[1]
    return max(1, min(_PREDICTION_IMAGES, _PREDICTION_PIXELS // pixels)), False


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
        What training computes in. Predictions are always made in float32.
    schedule : {"onecycle", "cosine"} or None, default=None
        Course of the learning rate over one call of fit.
    augment : sequence of callables, default=()
        Applied to training batches only.
    seed : int, default=0
        Decides the order of the images and their augmentation.
    progress : bool, default=False
        Whether to show a progress bar.
    prediction_batch_size : int, default=256
        Images that are validated or predicted at once.
    fill_batches : bool, default=False
        Whether to fill up the batches of `outputs` to their full size.
    **kwargs
        As in `skorch.NeuralNetClassifier`.
    """

    def __init__(
        self,
        module: Any,
        *,
        precision: torch.dtype = torch.float32,
        schedule: str | None = None,
        augment: Sequence[Augmentation] = (),
        seed: int = 0,
        progress: bool = False,
        prediction_batch_size: int = 256,
        fill_batches: bool = False,
        criterion: Any = nn.CrossEntropyLoss,
        dataset: Any = ImageDataset,
        train_split: Any = None,
        verbose: int = 0,
        **kwargs: Any,
    ) -> None:
        self.precision = precision
        self.schedule = schedule
        self.augment = augment
        self.seed = seed
        self.progress = progress
        self.prediction_batch_size = prediction_batch_size
        self.fill_batches = fill_batches
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

    def get_iterator(self, dataset: Any, training: bool = False) -> Batches:
        """Return the batches of a data set; see `skorch.NeuralNet.get_iterator`."""
        device = torch.device(self.device)
        if training:
            generator = torch.Generator().manual_seed(self.seed)
            return Batches(
                dataset,
                self.batch_size,
                device=device,
                generator=generator,
                augment=self.augment,
            )
        return Batches(dataset, self.prediction_batch_size, device=device)

    def get_params_for_optimizer(self, prefix: str, named_parameters: Any) -> Any:
        """Group the parameters: weights decay, biases and the scales of norms do not."""
        _, kwargs = super().get_params_for_optimizer(prefix, iter(()))
        parameters = [p for _, p in named_parameters if p.requires_grad]
        weights = [p for p in parameters if p.ndim > 1]
        others = [p for p in parameters if p.ndim <= 1]
        groups: list[dict[str, Any]] = [{"params": weights}]
        groups.append({"params": others, "weight_decay": 0.0})
        return ([group for group in groups if group["params"]],), kwargs

    def fit_loop(self, X: Any, y: Any = None, epochs: int | None = None, **kwargs: Any) -> Any:
        """Train for some epochs, under a progress bar where one is wanted."""
        epochs = int(self.max_epochs if epochs is None else epochs)
        dataset, _ = self.get_split_datasets(X, y)
        n_batches = len(self.get_iterator(dataset, training=True))
        self._n_steps, self._step = epochs * n_batches, 0
        groups: list[dict[str, Any]] = self.optimizer_.param_groups
        self._rates = [group["lr"] for group in groups]
        self._batch_hooks = any(
            getattr(type(callback), hook) is not getattr(Callback, hook)
            for _, callback in self.callbacks_
            for hook in _BATCH_HOOKS
        )
        self._bar = _progress_bar(self._n_steps) if self.progress else None
        try:
            return super().fit_loop(X, y, epochs, **kwargs)
        finally:
            for group, rate in zip(groups, self._rates):
                group["lr"] = rate
            if self._bar is not None:
                self._bar.close()
                self._bar = None

    def run_single_epoch(
        self, iterator: Any, training: bool, prefix: str, step_fn: Any, **fit_params: Any
    ) -> None:
        """Go through the batches once and record their mean loss and, in validation, hits."""
        if iterator is None:
            return
        self._hits: list[Tensor] = []
        if self._batch_hooks:
            super().run_single_epoch(iterator, training, prefix, step_fn, **fit_params)
        else:
            self._run_without_batch_hooks(iterator, prefix, step_fn, **fit_params)
        batches = [row for row in self.history[-1]["batches"] if f"{prefix}_loss" in row]
        weights = [row[f"{prefix}_batch_size"] for row in batches]
        loss = float(np.average([row[f"{prefix}_loss"] for row in batches], weights=weights))
        self._record(f"{prefix}_loss", loss, lower_is_better=True)
        if training:
            self.history.record("lr", self._rate)
            if not math.isfinite(loss):
                raise ValueError(
                    f"The training loss became {loss} in epoch {len(self.history)}. Try a "
                    f"smaller learning rate than lr={self.lr}, or pixels and sample_weight of "
                    "smaller range."
                )
        else:
            hits = torch.cat(self._hits).float().mean().item()
            self._record("valid_acc", hits, lower_is_better=False)

    def _run_without_batch_hooks(
        self, iterator: Any, prefix: str, step_fn: Any, **fit_params: Any
    ) -> None:
        losses, sizes = [], []
        for batch in iterator:
            losses.append(step_fn(batch, **fit_params)["loss"].detach())
            sizes.append(len(batch[1]))
        # The only time in an epoch that the device is waited for.
        for loss, size in zip(torch.stack(losses).tolist(), sizes):
            self.history.new_batch()
            self.history.record_batch(f"{prefix}_loss", loss)
            self.history.record_batch(f"{prefix}_batch_size", size)
        self.history.record(f"{prefix}_batch_count", len(losses))

    def train_step(self, batch: tuple[Tensor, Tensor], **fit_params: Any) -> dict[str, Tensor]:
        """Take one step down the loss of a batch, at the rate of the schedule."""
        if self.schedule is not None:
            factor = rate_factor(self.schedule, self._step, self._n_steps)
            for group, rate in zip(self.optimizer_.param_groups, self._rates):
                group["lr"] = rate * factor
        self.optimizer_.zero_grad()
        step: dict[str, Tensor] = self.train_step_single(batch, **fit_params)
        if self._batch_hooks:
            named = TeeGenerator(self.get_all_learnable_params())
            self.notify("on_grad_computed", named_parameters=named, batch=batch, training=True)
        self.optimizer_.step()
        self._step += 1
        self._rate = self.optimizer_.param_groups[0]["lr"]
        if self._bar is not None:
            self._bar.update()
        return step

    def validation_step(
        self, batch: tuple[Tensor, Tensor], **fit_params: Any
    ) -> dict[str, Tensor]:
        """Return the loss of a batch and count which of its images are named rightly."""
        step: dict[str, Tensor] = super().validation_step(batch, **fit_params)
        self._hits.append(step["y_pred"].argmax(1) == batch[1])
        return step

    def infer(self, x: Tensor, **fit_params: Any) -> Tensor:
        """Run the network, in the chosen precision while it trains."""
        low = self.precision != torch.float32 and self.module_.training
        kind = torch.device(self.device).type
        with torch.autocast(kind, dtype=self.precision, enabled=low):
            logits: Tensor = super().infer(x, **fit_params)
        return logits.float()

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
        if self._bar is not None:
            row = self.history[-1]
            names = ("train_loss", "valid_loss", "valid_acc")
            figures = {name: f"{row[name]:.3f}" for name in names if name in row}
            self._bar.set_postfix({"epoch": row["epoch"], **figures})

    def outputs(self, images: Any, layer: nn.Module | None = None) -> npt.NDArray[np.float32]:
        """Return the logits of images or, where a layer is named, what goes into that layer.

        Parameters
        ----------
        images : Images or ndarray of shape (n, height, width, channels)
        layer : torch.nn.Module, default=None
            A layer of `module_`.

        Returns
        -------
        outputs : ndarray of shape (n, n_outputs), float32
        """
        taken: list[Tensor] = []

        def take(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            taken.append(inputs[0].flatten(1))

        hooks = [] if layer is None else [layer.register_forward_pre_hook(take)]
        if self.fill_batches:
            dense = [part for part in self.module_.modules() if isinstance(part, nn.Linear)]
            hooks += [part.register_forward_hook(_in_float64) for part in dense]
        batches = self.get_iterator(ImageDataset(images))
        size = batches.batch_size if self.fill_batches else 0
        self.module_.eval()
        try:
            with torch.inference_mode():
                logits = [self.module_(_filled(batch, size)) for batch, _ in batches]
        finally:
            for hook in hooks:
                hook.remove()
        result: npt.NDArray[np.float32] = torch.cat(taken or logits).float().cpu().numpy()
        return result[: len(images)]

    def _record(self, name: str, value: float, *, lower_is_better: bool) -> None:
        """Write down a figure and, as skorch's own scorings do, whether it is the best so far."""
        before = [row[name] for row in self.history[:-1] if name in row]
        best = all(value < other if lower_is_better else value > other for other in before)
        self.history.record(name, value)
        self.history.record(f"{name}_best", best)


def _in_float64(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """Compute a dense layer once more, precisely.

    The last bits of a matrix product in float32 depend on the place of a row among the others.
    """
    assert isinstance(layer, nn.Linear)
    exact = inputs[0].double() @ layer.weight.double().T
    if layer.bias is not None:
        exact += layer.bias.double()
    return exact.to(output.dtype)


def _filled(batch: Tensor, size: int) -> Tensor:
    missing = size - len(batch)
    return batch if missing <= 0 else torch.cat([batch, batch[-1:].expand(missing, -1, -1, -1)])


def _progress_bar(n_steps: int) -> Any:
    from tqdm.auto import tqdm

    return tqdm(total=n_steps, desc="fit", unit="batch")
