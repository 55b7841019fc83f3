"""The skorch net around a network and its target: epochs, batches, figures, callbacks."""

import math
import pickle
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import skorch
import torch
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import ClassifierTags, Tags
from skorch.callbacks import Callback, EpochTimer
from skorch.utils import TeeGenerator, to_numpy, to_tensor
from torch import Generator, Tensor, nn

from skcnn._compute._ambient import autocast
from skcnn._compute._fork import computing
from skcnn._compute._interrupt import check_interrupts
from skcnn._compute._process_group import current_group
from skcnn._compute._rng import lend_generators
from skcnn._data._dataset import Batch, ImageDataset
from skcnn._data._loader import Batches
from skcnn._engine._best_weights import BestWeights, NotFiniteError, better_weights
from skcnn._engine._figures import (
    batch_row,
    in_words,
    loss_figures,
    record,
    record_loss,
    weighted_mean,
)
from skcnn._engine._light_optimizers import light
from skcnn._engine._loop import LoopOptions, LoopState, TrainingLoop
from skcnn._engine._parameter_groups import parameter_groups, set_lr
from skcnn._engine._pickling import dump_apart, load_apart
from skcnn._engine._predict import PredictionBatching
from skcnn._engine._step import FIRST_LOSS_SCALE
from skcnn._engine._storing import without_state
from skcnn._targets import Target
from skcnn._utils import StopTraining

_BATCH_HOOKS = ("on_batch_begin", "on_batch_end", "on_grad_computed")
# Where a pickle holds what may be on a GPU, as skorch names it, and the code for that.
_APART = "__cuda_dependent_attributes__"
_CODE = "__code__"


class TargetLoss(nn.Module):
    """The loss of a target as the criterion of a skorch net."""

    def __init__(self, target: Target) -> None:
        super().__init__()
        self.target = target

    def forward(self, outputs: Tensor, encoded: Tensor) -> Tensor:
        """Return the mean loss of a batch in training."""
        return self.target.loss(outputs, encoded, training=True).mean()


class TrainedNet(skorch.NeuralNet):
    """A skorch net for images, trained in whole batches, whatever the target.

    It takes images (n, height, width, channels) and encoded targets, arrays or an
    `ImageDataset`, wherever skorch's own classes take X and y. Callbacks work as with any net;
    the loop calls them for each batch only where one of them asks for that.

    Parameters
    ----------
    module : callable
        Returns the network, as in skorch.
    target : Target
        What y is.
    precision : {"float32", "bfloat16", "float16"}, default="float32"
        Floating-point type of training and validation. Predictions are made in float32.
    bias_lr_factor : float, default=1.0
        Multiplier on `lr` for biases and normalization layers.
    schedule : {"onecycle", "cosine"} or None, default=None
        Learning-rate schedule over one call of fit.
    augment : sequence of callables, default=()
        Applied to training batches only.
    resizing : sequence of float, default=()
        Fractions of their sides that training images are reduced to, over the epochs.
    averaging : float, default=0.0
        Fraction of the steps, the last ones, whose weights are averaged at the end.
    seed : int, default=0
        Decides the order of the images and their augmentation.
    initial_rng_states : sequence of torch.Tensor, default=()
        Result of `rng_states`, for order and augmentation to continue from there.
    initial_loop_state : LoopState, default=None
        State of the loop in the same training, which goes on from there: `max_epochs` is then the
        number of epochs that are left.
    use_torch_compile : bool, default=False
        Whether training runs the network through `torch.compile`.
    use_cuda_graphs : bool, default=False
        Whether steps on a GPU are captured once and replayed: only where each step does the same
        operations.
    progress : bool, default=False
        Whether to show a progress bar.
    open_ended : bool, default=False
        Whether a callback may shorten the training, see `shorten`.
    divides : bool, default=True
        Whether batches that memory is too small for are computed in parts.
    batching : PredictionBatching, default=PredictionBatching(256)
        How images are batched in validation and prediction.
    **kwargs
        As in `skorch.NeuralNet`.
    """

    def __init__(
        self,
        module: object,
        *,
        target: Target,
        precision: str = "float32",
        bias_lr_factor: float = 1.0,
        schedule: str | None = None,
        augment: Sequence[Callable[[Tensor, Generator], Tensor]] = (),
        resizing: Sequence[float] = (),
        averaging: float = 0.0,
        seed: int = 0,
        initial_rng_states: Sequence[Tensor] = (),
        initial_loop_state: LoopState | None = None,
        use_torch_compile: bool = False,
        use_cuda_graphs: bool = False,
        progress: bool = False,
        open_ended: bool = False,
        divides: bool = True,
        batching: PredictionBatching = PredictionBatching(256),  # noqa: B008  (cannot be changed)
        dataset: object = ImageDataset,
        train_split: object = None,
        verbose: int = 0,
        **kwargs: Any,
    ) -> None:
        self.target = target
        self.precision = precision
        self.bias_lr_factor = bias_lr_factor
        self.schedule = schedule
        self.augment = augment
        self.resizing = resizing
        self.averaging = averaging
        self.seed = seed
        self.initial_rng_states = initial_rng_states
        self.initial_loop_state = initial_loop_state
        self.use_torch_compile = use_torch_compile
        self.use_cuda_graphs = use_cuda_graphs
        self.progress = progress
        self.open_ended = open_ended
        self.divides = divides
        self.batching = batching
        self._losses: list[Tensor] = []
        self._scores: list[Tensor] = []
        super().__init__(
            module,
            **{
                "criterion": TargetLoss,
                "criterion__target": target,
                "predict_nonlinearity": target.probabilities,
                **kwargs,
            },
            dataset=dataset,
            train_split=train_split,
            verbose=verbose,
        )

    @property
    def _default_callbacks(self) -> list[tuple[str, Callback]]:
        return [("epoch_timer", EpochTimer())]

    def __getstate__(self) -> dict[str, Any]:
        # Callbacks store nets during training. The loop is no part of a stored net: graphs,
        # compiled networks and progress bars cannot be stored. Nor are validation images and the
        # state of callbacks. Nor may this net change meanwhile: other threads use it.
        dropped = ("_loop", "best_weights_")
        state = {n: value for n, value in vars(self).items() if n not in dropped}
        state |= {"train_split": None, "_losses": [], "_scores": []}
        state |= {"callbacks": without_state(self.callbacks), "callbacks_": []}
        prefixes = tuple(self.cuda_dependent_attributes_)
        apart = {n: state.pop(n) for n in list(state) if n.startswith(prefixes)}
        # skorch pickles tensors apart, for `__setstate__` to choose their device. Its pickle would
        # hold classes by their names, which another process may not know.
        state[_APART], state[_CODE] = dump_apart(apart)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        rest = {n: value for n, value in state.items() if n not in (_APART, _CODE)}
        super().__setstate__({**rest, _APART: pickle.dumps({})})
        device = torch.device(self.device)
        self.__dict__ |= load_apart(state[_APART], state.get(_CODE, ()), device)

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.estimator_type = self.target.kind
        if self.target.kind == "classifier":
            tags.classifier_tags = ClassifierTags()
        return tags

    @property
    def _dtype(self) -> torch.dtype:
        """Floating-point type of training."""
        dtype: torch.dtype = getattr(torch, self.precision)
        return dtype

    @property
    def classes_(self) -> npt.NDArray[np.intp]:
        """Encoded classes, which scorers of callbacks ask for."""
        if self.target.kind != "classifier":
            raise AttributeError(f"{type(self.target).__name__} has no classes.")
        return np.arange(self.target.n_outputs)

    def predict(self, X: object) -> npt.NDArray[Any]:
        """Return encoded predictions."""
        return self.target.predict(to_numpy(self.forward(X)))

    def score(self, X: object, y: Any) -> float:
        """Return the accuracy of a classifier, and R² for other targets."""
        metric = accuracy_score if self.target.kind == "classifier" else r2_score
        return float(metric(y, self.predict(X)))

    def get_iterator(self, dataset: object, training: bool = False) -> Batches:
        """Return the batches of a data set; see `skorch.NeuralNet.get_iterator`."""
        device = torch.device(self.device)
        if not training:
            return Batches(dataset, self.batching.batch_size, device=device)
        batches = Batches(
            dataset,
            self.batch_size,
            device=device,
            generator=torch.Generator().manual_seed(self.seed),
            augment=self.augment,
            mix=self.target.mix,
            moved=self.target.moved,
            group=current_group(),
        )
        for rng, state in zip(batches.rngs, self.initial_rng_states):
            rng.set_state(state)
        return batches

    def rng_states(self) -> list[Tensor]:
        """Return, during training, what order and augmentation of the next epoch depend on."""
        assert self._loop.batches is not None
        return [rng.get_state() for rng in self._loop.batches.rngs]

    def initialize_optimizer(self, triggered_directly: object = None) -> "TrainedNet":
        """Make the optimizer, without torch's compiler where that is not needed."""
        groups, options = self.get_params_for_optimizer(
            "optimizer", self.get_all_learnable_params()
        )
        self.optimizer_ = light(self.optimizer)(*groups, **options)
        return self

    def get_params_for_optimizer(self, prefix: str, named_parameters: Any) -> Any:
        """Group the parameters by role; see `parameter_groups`."""
        _, kwargs = super().get_params_for_optimizer(prefix, iter(()))
        return (parameter_groups(self.module_),), kwargs

    def replace_optimizer(self, optimizer: object, options: dict[str, Any]) -> None:
        """Start with a new optimizer, which has no state yet.

        Parameters
        ----------
        optimizer : torch.optim.Optimizer class
        options : dict
            Named ``optimizer__<name>``, in place of all former ones.
        """
        # skorch's set_params would leave the options that only the former optimizer has.
        for name in [name for name in vars(self) if name.startswith("optimizer__")]:
            delattr(self, name)
        self.optimizer = optimizer
        for name, value in options.items():
            setattr(self, name, value)
        self.initialize_optimizer()

    def set_lr(self, lr: float) -> None:
        """Set the learning rate of weights, and in proportion that of biases and norms."""
        set_lr(self.optimizer_, lr, self.bias_lr_factor)

    def fit_loop(self, X: Any, y: Any = None, epochs: int | None = None, **kwargs: Any) -> Any:
        """Train for some epochs, with a progress bar if one is asked for."""
        epochs = int(self.max_epochs if epochs is None else epochs)
        self.batch_hooks_ = any(
            getattr(type(callback), hook) is not getattr(Callback, hook)
            for _, callback in self.callbacks_
            for hook in _BATCH_HOOKS
        )
        self.best_weights_: BestWeights | None = None
        precision = self._dtype
        state = self.initial_loop_state
        options = LoopOptions(
            epochs=epochs if state is None else epochs + state["epoch"],
            device=torch.device(self.device),
            precision=precision,
            schedule=self.schedule,
            resizing=self.resizing,
            averaging=self.averaging,
            compiles=self.use_torch_compile,
            captures=self.use_cuda_graphs and not self.batch_hooks_,
            shows_progress=self.progress,
            open_ended=self.open_ended,
            divides=self.divides,
            state=state,
        )
        if precision == torch.float16 and not hasattr(self, "scaler_"):
            # It is kept, since it has found its scale when training continues.
            self.scaler_ = torch.amp.GradScaler(options.device.type, init_scale=FIRST_LOSS_SCALE)
        self._loop = TrainingLoop(
            self.module_,
            self.optimizer_,
            self.target,
            options,
            scaler=self.scaler_ if precision == torch.float16 else None,
            group=current_group(),
        )
        try:
            return super().fit_loop(X, y, epochs, **kwargs)
        except StopTraining:
            if "dur" not in self.history[-1]:
                # An epoch that a callback has ended was not interrupted.
                del self.history[-1]
            raise
        finally:
            self._loop.close()
            del self._loop
            self._losses, self._scores = [], []

    def loop_state(self) -> LoopState:
        """Return, during training, where the loop stands."""
        return self._loop.state()

    def shorten(self, n_epochs: int) -> None:
        """Go through the rest of the training in at most so many more epochs.

        The learning rate falls to zero all the same. Only during training.
        """
        self._loop.shorten(n_epochs)

    def plan_steps(self, n_steps: int) -> None:
        """Plan the learning rates of the training that begins for so many steps.

        Otherwise they are planned for all epochs. Before the first step, by a callback.
        """
        self._loop.lr_schedule.begin(n_steps)

    @property
    def is_complete(self) -> bool:
        """Whether the training that is running has taken all its steps."""
        return self._loop.is_complete

    @property
    def validation_losses(self) -> Tensor:
        """Weighted loss of each validation image in the epoch that ends."""
        return torch.cat(self._losses)

    def notify(self, method_name: str, **cb_kwargs: object) -> None:
        """Call callbacks, which may start a fit in another thread and wait for it."""
        with lend_generators():
            super().notify(method_name, **cb_kwargs)

    def run_single_epoch(
        self, iterator: Any, training: bool, prefix: str, step_fn: Any, **fit_params: object
    ) -> None:
        """Process the batches once and record their mean loss and, in validation, the score."""
        if iterator is None:
            return
        if training:
            self._loop.start_epoch(iterator)
        self._losses, self._scores = [], []
        if self.batch_hooks_:
            self._run_with_batch_hooks(iterator, training, prefix, step_fn)
        else:
            self._run_without_batch_hooks(iterator, training, prefix)
        rows = [row for row in self.history[-1]["batches"] if f"{prefix}_loss" in row]
        if training:
            self._loop.end_epoch(rows)
        loss = record_loss(self.history, self.target, prefix, rows)
        if training:
            self.history.record("lr", self._loop.lr_schedule.last_lr)
            if not math.isfinite(loss):
                what = f"The training loss became {loss} in epoch {len(self.history)}"
                raise NotFiniteError(what, self.lr, self.best_weights_)
        elif self._scores:
            score = torch.cat(self._scores).float().mean().item()
            record(
                self.history,
                f"valid_{self.target.score_name}",
                score,
                lower_is_better=self.target.lower_score_is_better,
            )

    def _run_with_batch_hooks(
        self, batches: Iterable[Batch], training: bool, prefix: str, step_fn: Any
    ) -> None:
        # As skorch does it, but for batches that have weights as well.
        n_batches = 0
        for batch in batches:
            self.notify("on_batch_begin", batch=batch.pair, training=training)
            step = step_fn(batch)
            for name, value in batch_row(self.target, prefix, step["figures"].tolist()).items():
                self.history.record_batch(name, value)
            self.history.record_batch(f"{prefix}_batch_size", len(batch.images))
            self.notify("on_batch_end", batch=batch.pair, training=training, **step)
            n_batches += 1
            check_interrupts()
        self.history.record(f"{prefix}_batch_count", n_batches)

    def _run_without_batch_hooks(self, batches: Batches, training: bool, prefix: str) -> None:
        losses, sizes = [], []
        self._set_training(training)
        if training:
            for inputs in batches.inputs():
                self._loop.lr_schedule.advance()
                with computing():
                    losses.append(self._loop.step(*inputs))
                sizes.append(len(inputs[0]))
                self._loop.on_step_end()
                check_interrupts()
        else:
            for batch in batches:
                losses.append(self.validation_step(batch)["figures"])
                sizes.append(len(batch.images))
                check_interrupts()
        # The only time in an epoch that the CPU waits for the device.
        self.history[-1]["batches"] += [
            {**batch_row(self.target, prefix, figures), f"{prefix}_batch_size": size}
            for figures, size in zip(torch.stack(losses).tolist(), sizes)
        ]
        self.history.record(f"{prefix}_batch_count", len(losses))

    def train_step(self, batch: Batch, **fit_params: object) -> dict[str, Tensor]:
        """Take one step of the optimizer, where callbacks ask for every batch."""
        self._set_training(True)
        self._loop.lr_schedule.advance()
        step = self._loop.training_step
        with computing():
            loss, outputs = step.compute_gradients(batch)
        step.unscale_gradients()
        named = TeeGenerator(self.get_all_learnable_params())
        self.notify("on_grad_computed", named_parameters=named, batch=batch.pair, training=True)
        with computing():
            step.update_weights()
        self._loop.on_step_end()
        figures = loss_figures(self.target, loss, outputs, batch, training=True)
        return {"loss": loss, "figures": figures, "y_pred": outputs}

    def validation_step(self, batch: Batch, **fit_params: object) -> dict[str, Tensor]:
        """Return the loss and the outputs of a batch, and keep its scores."""
        self._set_training(False)
        with torch.no_grad(), computing():
            with autocast(torch.device(self.device), self._dtype):
                outputs = self._loop.validation_parts.outputs(self.infer, batch.inputs)
            losses = self.target.loss(outputs, batch.target, training=False)
            if self.target.score_name is not None:
                self._scores.append(self.target.score(outputs, batch.target))
            loss = weighted_mean(losses, batch.weight)
            figures = loss_figures(self.target, loss, outputs, batch, training=False)
        self._losses.append(losses if batch.weight is None else losses * batch.weight)
        return {"loss": loss, "figures": figures, "y_pred": outputs}

    def evaluation_step(self, batch: Batch, training: bool = False) -> Tensor:
        """Return the outputs for a batch; see `skorch.NeuralNet.evaluation_step`."""
        self.check_is_fitted()
        with torch.set_grad_enabled(training):
            self._set_training(training)
            return self.infer(*batch.inputs)

    def infer(self, x: Any, *beside: Tensor, **fit_params: object) -> Tensor:
        """Run the network on images, and what it takes beside them."""
        outputs: Tensor = self.module_(to_tensor(x, device=self.device), *beside, **fit_params)
        return outputs.float()

    def on_train_begin(
        self, net: object, X: object = None, y: object = None, **kwargs: object
    ) -> None:
        """Initialize the callbacks of a net that was stored, which come without their state."""
        if not self.callbacks_:
            self.initialize_callbacks()

    def on_epoch_end(self, net: object, **kwargs: object) -> None:
        """Show the epoch's figures in the progress bar, and keep the best weights."""
        self.best_weights_ = better_weights(self.best_weights_, self)
        self._loop.show(in_words(self.history[-1], self.target.score_name))
