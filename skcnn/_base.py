"""What every estimator around an image network does: build it, train it, run images through."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from skorch.helper import predefined_split

from skcnn._batches import ImageDataset, choose_batch_size, scaled_size
from skcnn._device import find_device, find_precision, gpu_algorithms
from skcnn._history import as_frame, whole_epochs
from skcnn._images import ImageShape, as_shape, check_images
from skcnn._layers import ImageNetwork
from skcnn._memory import device_shared, is_shared, kept_memory, shortage_explained
from skcnn._network import build_network, last_linear
from skcnn._optimization import OPTIMIZERS, decays_weights
from skcnn._parameters import as_tuple, check_each
from skcnn._prediction import plan_batches, run_images
from skcnn._progress import CallbackSupportMixin
from skcnn._random import draw_seed, seeded
from skcnn._resuming import Resumption
from skcnn._summary import NetworkSummary, summarize
from skcnn._threads import compute_threads, single_thread
from skcnn._training import ClassifierNet
from skcnn._warning import warn
from skcnn._whitening import whitening_filters
from skcnn.augmentation import as_augmentation
from skcnn.distributed import current_group

_NETWORK_PARAMETERS = (
    "module",
    "filters",
    "convs_per_block",
    "kernel_size",
    "stem",
    "pool",
    "pool_size",
    "pool_after",
    "activation",
    "normalization",
    "residual",
    "symmetry",
    "dense_units",
    "dropout",
    "head",
    "init",
)

# Of a number in float32.
_BYTES = 4


class ImageEstimator(
    CallbackSupportMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator
):
    """Base of estimators that hold a skorch net; think twice before adding anything here.

    A subclass has the parameters of `ConvNetClassifier` and, once fitted, sets what belongs
    to its targets.
    """

    _parameter_constraints: dict[str, list[Any]]
    image_shape_: ImageShape
    net_: ClassifierNet
    n_features_in_: int
    _random_state: np.random.RandomState

    @property
    def module_(self) -> ImageNetwork:
        """The fitted torch network; it takes images (n, height, width, channels)."""
        check_is_fitted(self, "net_")
        network: ImageNetwork = self.net_.module_
        return network

    @property
    def device_(self) -> torch.device:
        """Where the network lies."""
        check_is_fitted(self, "net_")
        return torch.device(self.net_.device)

    @property
    def history_(self) -> pd.DataFrame:
        """Figures of the training: one row an epoch."""
        check_is_fitted(self, "net_")
        return as_frame(self.net_.history)

    def transform(self, X: Any) -> npt.NDArray[np.float32]:
        """Return the features of images: what goes into the last layer of the network.

        A network in a pipeline so serves the steps behind it as a feature extractor.

        Parameters
        ----------
        X : array-like of shape (n, height, width, channels), (n, height, width) or (n, n_pixels)
            Images of the shape that the network was fitted on.

        Returns
        -------
        features : ndarray of shape (n, n_features), float32

        Raises
        ------
        ValueError
            Where X does not fit, or the network of `module` ends in no torch.nn.Linear.
        """
        check_is_fitted(self, "net_")
        return self._outputs(X, last_linear(self.module_))

    def summary(
        self, image_shape: Sequence[int] | None = None, n_classes: int | None = None
    ) -> NetworkSummary:
        """Describe the network: its layers, their output shapes and parameters.

        Parameters
        ----------
        image_shape : sequence of (height, width) or (height, width, channels), default=None
            Of the images that a network not yet fitted shall take. None describes the fitted
            network.
        n_classes : int, default=None
            How many classes it shall tell apart, needed together with `image_shape`.

        Returns
        -------
        summary : NetworkSummary
            A string to print, with the attributes `layers`, `n_parameters`, `multiply_adds`.

        Raises
        ------
        ValueError
            Where only one of the arguments is given, or an image of that shape is pooled away.
        NotFittedError
            Where neither is given and nothing is fitted.

        Examples
        --------
        >>> from skcnn import ConvNetClassifier
        >>> print(ConvNetClassifier(filters=(8, 16)).summary((28, 28), n_classes=10))
        layer                    type               output shape  parameters
        --------------------------------------------------------------------
        block1.0.convolutions.0  Conv2d             28 x 28 x 8           72
        ...
        output                   Linear             10                   170
        --------------------------------------------------------------------
        1,578 parameters, 0.3 million multiply-adds an image
        """
        if image_shape is None and n_classes is None:
            return summarize(self.module_, self.image_shape_)
        if image_shape is None or n_classes is None:
            raise ValueError(
                f"summary got image_shape={image_shape} and n_classes={n_classes}. Expected both, "
                "or neither to describe the fitted network."
            )
        self._check_parameters()
        shape = as_shape(image_shape)
        blank = [0.0] * shape[2]
        with torch.random.fork_rng(devices=[]):
            network = build_network(shape, n_classes, blank, blank, **self._network_parameters())
        return summarize(network, shape)

    @property
    def _n_features_out(self) -> int:
        return last_linear(self.module_).in_features

    def _check_parameters(self) -> None:
        self._validate_params()
        check_each(type(self).__name__, self.get_params(deep=False))

    def _network_parameters(self) -> dict[str, Any]:
        parameters = {name: getattr(self, name) for name in _NETWORK_PARAMETERS}
        return {
            **{n: v.tolist() if isinstance(v, np.ndarray) else v for n, v in parameters.items()},
            "filters": "auto" if isinstance(self.filters, str) else as_tuple(self.filters),
        }

    def _train(
        self,
        training: ImageDataset,
        validation: ImageDataset | None,
        n_outputs: int,
        *,
        again: bool,
        epochs: int,
        schedule: str | None,
        averaging: float,
        callbacks: Sequence[Any],
        fit_pooling: bool,
    ) -> None:
        """Train the net, a new one unless `again`, for some epochs."""
        device = find_device(self.device)
        train = partial(
            self._train_on,
            device,
            draw_seed(self._random_state),
            training,
            validation,
            n_outputs,
            again=again,
            epochs=epochs,
            schedule=schedule,
            averaging=averaging,
            callbacks=callbacks,
            fit_pooling=fit_pooling,
        )
        try:
            try:
                train(alone=False)
            except MemoryError:
                if not is_shared(device):
                    raise
                train(alone=True)
        except Exception as error:
            # A search goes on without this fit, and shows what was raised.
            error.add_note(f"Training {self!r} failed.")
            raise
        self._note_epochs()

    def _train_on(
        self,
        device: torch.device,
        seed: int,
        training: ImageDataset,
        validation: ImageDataset | None,
        n_outputs: int,
        *,
        alone: bool,
        again: bool,
        epochs: int,
        schedule: str | None,
        averaging: float,
        callbacks: Sequence[Any],
        fit_pooling: bool,
    ) -> None:
        """Train on a device, beside other workers of a search or `alone`."""
        batch_size = (
            choose_batch_size(len(training)) if self.batch_size == "auto" else self.batch_size
        )
        augment = [as_augmentation(change) for change in as_tuple(self.augment)]
        with seeded(seed, device), gpu_algorithms(device, self.deterministic), kept_memory():
            net = self.net_ if again else self._new_net(training, n_outputs, device, fit_pooling)
            with single_thread():
                summary = self._try_out(net.module_, n_outputs)
                self._try_smallest(net.module_)
            net.set_params(
                plan=plan_batches(
                    self.image_shape_, summary.multiply_adds, summary.n_values, device
                ),
                lr=self.lr,
                max_epochs=epochs,
                schedule=schedule,
                augment=tuple(augment),
                resizing=as_tuple(self.progressive_resizing),
                averaging=averaging,
                batch_size=batch_size,
                seed=seed,
                is_compiled=self.compile,
                # What else a network of the user's does is not known.
                is_recorded=self.module is None,
                verbose=int(self.verbose),
                progress=bool(self.verbose),
                train_split=None if validation is None else predefined_split(validation),
            )
            with ExitStack() as stack:
                group = current_group()
                if group is None:
                    needed = training_bytes(summary, training, batch_size)
                    stack.enter_context(device_shared(device, needed, alone=alone))
                    work = summary.multiply_adds * batch_size
                    stack.enter_context(compute_threads(device, work))
                else:
                    # They compute at the same time. No two shall have the same dropout.
                    group.check_alike(len(training), batch_size, epochs, training.y)
                    torch.manual_seed(seed + group.rank)
                stack.callback(_retire, net, epochs)
                if again:
                    stack.enter_context(_kept(net))
                way_out = f"Use smaller batches than batch_size={batch_size}, or a smaller network"
                stack.enter_context(shortage_explained(device, way_out))
                # What looks on may predict in mid-training.
                self._multiply_adds, self._n_values = summary.multiply_adds, summary.n_values
                net.callbacks = list(callbacks)
                resumption = None
                if not again:
                    resumption = Resumption.find(self, epochs, training, validation, device)
                if resumption is not None:
                    net.max_epochs = resumption.resume(net)
                    net.callbacks.append(resumption)
                net.initialize_callbacks()
                net.partial_fit(training, None)
        self.net_ = net

    def _try_out(self, network: ImageNetwork, n_outputs: int) -> NetworkSummary:
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

    def _try_smallest(self, network: ImageNetwork) -> None:
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

    def _new_net(
        self, training: ImageDataset, n_outputs: int, device: torch.device, fit_pooling: bool
    ) -> ClassifierNet:
        mean, scale = training.X.channel_statistics()
        stem_filters = None
        if self.stem == "whitening" and self.module is None:
            mirrored = self.symmetry == "mirror"
            stem_filters = whitening_filters(training.X, mean, scale, mirrored=mirrored)
        network = {
            "stem_filters": stem_filters,
            "image_shape": self.image_shape_,
            "n_classes": n_outputs,
            "mean": mean,
            "scale": scale,
            "fit_pooling": fit_pooling,
            **self._network_parameters(),
        }
        optimizer, settings = (
            OPTIMIZERS[self.optimizer] if isinstance(self.optimizer, str) else (self.optimizer, {})
        )
        precision = find_precision(self.precision, device)
        if self.optimizer == "muon" and precision == torch.bfloat16:
            settings = {**settings, "dtype": precision}
        if decays_weights(self.optimizer):
            settings = {**settings, "weight_decay": self.weight_decay}
        net = ClassifierNet(
            build_network,
            n_classes=n_outputs,
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

    def _note_epochs(self) -> None:
        history = self.net_.history
        rows = whole_epochs(history)
        if len(history) and "dur" not in history[-1]:
            warn(
                f"Training was interrupted in epoch {len(history)}; the network is as the last "
                "batch left it."
            )
        self.n_iter_ = len(rows)
        self.loss_curve_ = [row["train_loss"] for row in rows]

    def _outputs(self, X: Any, layer: torch.nn.Module | None = None) -> npt.NDArray[np.float32]:
        """Logits of images, or what goes into a layer."""
        images, _ = check_images(self, X, reset=False, data_format=self.data_format)
        net = self.net_
        device = torch.device(net.device)
        work = self._multiply_adds * min(len(images), net.plan.batch_size)
        way_out = "Predict fewer images at a time, or free memory there"
        with (
            device_shared(device, _BYTES * self._n_values * net.plan.batch_size),
            compute_threads(device, work, training=False),
            kept_memory(),
            shortage_explained(device, way_out),
        ):
            # Features are those of the images as they are.
            flip = self.test_time_flip and layer is None
            return run_images(net.module_, images, device, net.plan, layer, flip=flip)


def training_bytes(summary: NetworkSummary, training: ImageDataset, batch_size: int) -> int:
    """Estimate how much memory of a device training takes, images included.

    Of each value of the network there are its gradient and what the layers around it work with;
    of each parameter its gradient and up to two averages of the optimizer.
    """
    values = 4 * summary.n_values * batch_size + 4 * summary.n_parameters
    return _BYTES * values + len(training) * int(training.X[:1].nbytes)


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


def _retire(net: ClassifierNet, epochs: int) -> None:
    """Make a net ready to predict, and let go of what only training needs."""
    # The split would keep the validation images alive, and in every pickle.
    net.set_params(train_split=None, generator_states=(), max_epochs=epochs)
    net.module_.eval()
    net.optimizer_.zero_grad()
