"""How an estimator's network is trained: from its parameters and a data set to a fitted net."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from skorch.helper import predefined_split

from skcnn._compute._allocator import retain_freed_memory
from skcnn._compute._device import deterministic_algorithms, find_device, find_precision
from skcnn._compute._device_memory import (
    explain_out_of_memory,
    is_device_shared,
    reserve_device_memory,
)
from skcnn._compute._process_group import current_group
from skcnn._compute._rng import draw_seed, fork_rng
from skcnn._compute._threads import compute_threads, single_thread
from skcnn._data._dataset import ImageDataset
from skcnn._data._loader import choose_batch_size
from skcnn._data._resize import scaled_size
from skcnn._engine._checkpoints import TrainingCheckpoint
from skcnn._engine._history import whole_epochs
from skcnn._engine._net import ClassifierNet
from skcnn._engine._optimizers import OPTIMIZERS, supports_weight_decay
from skcnn._engine._predict import plan_batches
from skcnn._estimators._base import ImageEstimator
from skcnn._utils import as_tuple, warn
from skcnn.augmentation import as_augmentation
from skcnn.networks._conv_blocks import build_network
from skcnn.networks._layers import ImageNetwork
from skcnn.networks._summary import NetworkSummary, summarize
from skcnn.networks._whitening import whitening_filters


@dataclass(frozen=True)
class Training:
    """What one call of fit trains a network on, and for how long.

    Parameters
    ----------
    images : ImageDataset
    n_outputs : int
        Of the network.
    epochs : int
    again : bool
        Whether the network that is there is trained further.
    fit_pooling : bool
        Whether a new network pools less where nothing is left to pool.
    validation : ImageDataset, default=None
        Scored after each epoch.
    schedule : {"onecycle", "cosine"} or None, default=None
        Course of the learning rate.
    averaging : float, default=0.0
        Share of the steps whose weights are averaged in the end.
    callbacks : sequence of skorch callbacks, default=()
    """

    images: ImageDataset
    n_outputs: int
    epochs: int
    again: bool
    fit_pooling: bool
    validation: ImageDataset | None = None
    schedule: str | None = None
    averaging: float = 0.0
    callbacks: Sequence[Any] = ()


class TrainableEstimator(ImageEstimator):
    """An `ImageEstimator` whose network can be trained."""

    def _train(self, training: Training) -> None:
        """Train the net, and note how it went."""
        device, seed = find_device(self.device), draw_seed(self._random_state)
        try:
            try:
                self.net_ = self._trained_net(training, device, seed, alone=False)
            except MemoryError:
                if not is_device_shared(device):
                    raise
                self.net_ = self._trained_net(training, device, seed, alone=True)
        except Exception as error:
            # A search goes on without this fit, and shows what was raised.
            error.add_note(f"Training {self!r} failed.")
            raise
        self._record_history()

    def _trained_net(
        self, training: Training, device: torch.device, seed: int, *, alone: bool
    ) -> ClassifierNet:
        """Train on a device, beside other workers of a search or `alone`."""
        images = training.images
        batch_size = (
            choose_batch_size(len(images)) if self.batch_size == "auto" else self.batch_size
        )
        with (
            fork_rng(seed, device),
            deterministic_algorithms(device, self.deterministic),
            retain_freed_memory(),
        ):
            net = self.net_ if training.again else self._new_net(training, device)
            with single_thread():
                summary = self._check_output_shape(net.module_, training.n_outputs)
                self._check_smallest_resolution(net.module_)
            self._prepare(net, training, summary, batch_size, seed)
            with ExitStack() as stack:
                group = current_group()
                if group is None:
                    scales = as_tuple(self.progressive_resizing)
                    needed = estimate_training_bytes(summary, images, batch_size, scales)
                    stack.enter_context(reserve_device_memory(device, needed, alone=alone))
                    work = summary.multiply_adds * batch_size
                    stack.enter_context(compute_threads(device, work))
                else:
                    # They compute at the same time. No two shall have the same dropout.
                    group.check_same_on_all_ranks(
                        len(images), batch_size, training.epochs, images.y
                    )
                    torch.manual_seed(seed + group.rank)
                stack.callback(_release_training_state, net, training.epochs)
                if training.again:
                    stack.enter_context(_kept(net))
                hint = f"Use smaller batches than batch_size={batch_size}, or a smaller network"
                stack.enter_context(explain_out_of_memory(device, hint))
                # What looks on may predict in mid-training.
                self._multiply_adds, self._n_values = summary.multiply_adds, summary.n_values
                if not training.again:
                    self._resume(net, training, device)
                net.initialize_callbacks()
                net.partial_fit(images, None)
        return net

    def _prepare(
        self,
        net: ClassifierNet,
        training: Training,
        summary: NetworkSummary,
        batch_size: int,
        seed: int,
    ) -> None:
        """Tell a net, new or not, how to train."""
        device, validation = torch.device(net.device), training.validation
        net.set_params(
            plan=plan_batches(self.image_shape_, summary.multiply_adds, summary.n_values, device),
            lr=self.lr,
            bias_lr_factor=self.bias_lr_factor,
            max_epochs=training.epochs,
            schedule=training.schedule,
            augment=tuple(as_augmentation(change) for change in as_tuple(self.augment)),
            resizing=as_tuple(self.progressive_resizing),
            averaging=training.averaging,
            batch_size=batch_size,
            seed=seed,
            use_torch_compile=self.compile,
            # What else a network of the user's does is not known.
            use_cuda_graphs=self.module is None,
            verbose=int(self.verbose),
            progress=bool(self.verbose),
            train_split=None if validation is None else predefined_split(validation),
        )
        net.set_lr(self.lr)
        net.callbacks = list(training.callbacks)

    def _resume(self, net: ClassifierNet, training: Training, device: torch.device) -> None:
        """Take a new net to where `memory` has a training of the same kind, and keep this one."""
        checkpoint = TrainingCheckpoint.for_estimator(
            self, training.epochs, training.images, training.validation, device
        )
        if checkpoint is not None:
            net.max_epochs = checkpoint.load(net)
            net.callbacks.append(checkpoint)

    def _check_output_shape(self, network: ImageNetwork, n_outputs: int) -> NetworkSummary:
        try:
            summary = summarize(network, self.image_shape_)
        except RuntimeError as error:
            if self.module is None:
                raise
            raise ValueError(
                "The network of module= cannot take an image of height, width and channels "
                f"{self.image_shape_}: {error}"
            ) from error
        if summary.output_shape != (n_outputs,):
            raise ValueError(
                "The network of module= makes outputs of shape "
                f"{('n', *summary.output_shape)}, expected the logits of {n_outputs} classes, "
                f"{('n', n_outputs)}."
            )
        return summary

    def _check_smallest_resolution(self, network: ImageNetwork) -> None:
        height, width, channels = self.image_shape_
        size = scaled_size((height, width), min(as_tuple(self.progressive_resizing), default=1.0))
        if size == (height, width):
            return
        try:
            summarize(network, (*size, channels))
        except RuntimeError as error:
            raise ValueError(
                f"progressive_resizing={self.progressive_resizing!r} trains on images of "
                f"{size[0]}x{size[1]} pixels, which the network cannot take ({error}). Scale them "
                "down to no less than a larger share of their sides, or pool less."
            ) from error

    def _new_net(self, training: Training, device: torch.device) -> ClassifierNet:
        images = training.images.X
        mean, scale = images.channel_statistics()
        stem_filters = None
        if self.stem == "whitening" and self.module is None:
            mirrored = self.symmetry == "mirror"
            stem_filters = whitening_filters(images, mean, scale, mirrored=mirrored)
        network = {
            "stem_filters": stem_filters,
            "image_shape": self.image_shape_,
            "n_classes": training.n_outputs,
            "mean": mean,
            "scale": scale,
            "fit_pooling": training.fit_pooling,
            **self._network_parameters(),
        }
        optimizer, settings = (
            OPTIMIZERS[self.optimizer] if isinstance(self.optimizer, str) else (self.optimizer, {})
        )
        precision = find_precision(self.precision, device)
        if self.optimizer == "muon" and precision == torch.bfloat16 and device.type != "cpu":
            # On a CPU float32 is the faster one for matrices as small as those of filters.
            settings = {**settings, "dtype": precision}
        if supports_weight_decay(self.optimizer):
            settings = {**settings, "weight_decay": self.weight_decay}
        net = ClassifierNet(
            build_network,
            n_classes=training.n_outputs,
            **{f"module__{name}": value for name, value in network.items()},
            optimizer=optimizer,
            **{f"optimizer__{name}": value for name, value in settings.items()},
            criterion__reduction="none",
            criterion__label_smoothing=self.label_smoothing,
            lr=self.lr,
            precision=precision,
            device=str(device),
        )
        net.initialize()
        return net

    def _record_history(self) -> None:
        history = self.net_.history
        rows = whole_epochs(history)
        if len(history) and "dur" not in history[-1]:
            warn(
                f"Training was interrupted in epoch {len(history)}; the network is as the last "
                "batch left it."
            )
        self.n_iter_ = len(rows)
        self.loss_curve_ = [row["train_loss"] for row in rows]


def estimate_training_bytes(
    summary: NetworkSummary, images: ImageDataset, batch_size: int, scales: Sequence[float] = ()
) -> int:
    """Estimate how much memory of a device training takes, images included.

    Of each value of the network there are its gradient and what the layers around it work with;
    of each parameter its gradient and up to two averages of the optimizer. Steps on a GPU are
    recorded for each size of images, and each recording keeps its memory.
    """
    whole_images = sum(scale**2 for scale in set(scales)) if scales else 1
    values = 4 * round(whole_images * summary.n_values) * batch_size + 4 * summary.n_parameters
    return torch.float32.itemsize * values + len(images) * int(images.X[:1].nbytes)


@contextmanager
def _kept(net: ClassifierNet) -> Iterator[None]:
    """Leave a net that was trained before as it was, should further training fail."""
    n_epochs = len(net.history)
    before = copy.deepcopy((net.module_.state_dict(), net.optimizer_.state_dict()))
    try:
        yield
    except Exception:
        net.module_.load_state_dict(before[0])
        net.optimizer_.load_state_dict(before[1])
        del net.history[n_epochs:]
        raise


def _release_training_state(net: ClassifierNet, epochs: int) -> None:
    """Make a net ready to predict, and let go of what only training needs."""
    # The split would keep the validation images alive, and in every pickle.
    net.set_params(train_split=None, initial_rng_states=(), max_epochs=epochs)
    net.module_.eval()
    net.optimizer_.zero_grad()
