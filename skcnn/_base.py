"""What every estimator around an image network does: build it, train it, run images through."""

import copy
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from skorch.helper import predefined_split

from skcnn._augment import AUGMENTATIONS
from skcnn._batches import ImageDataset, choose_batch_size
from skcnn._device import compute_threads, find_device, find_precision
from skcnn._images import ImageShape, as_shape, check_images
from skcnn._network import ImageNetwork, build_network, last_linear
from skcnn._optimization import OPTIMIZERS, decays_weights
from skcnn._parameters import as_tuple, check_each
from skcnn._summary import NetworkSummary, summarize
from skcnn._training import ClassifierNet, prediction_batches

_NETWORK_PARAMETERS = (
    "module",
    "filters",
    "convs_per_block",
    "kernel_size",
    "pool",
    "pool_size",
    "activation",
    "normalization",
    "residual",
    "dense_units",
    "dropout",
    "head",
)
_HISTORY_NAMES = {"valid_acc": "valid_accuracy", "dur": "seconds"}
_HISTORY_COLUMNS = ("train_loss", "valid_loss", "valid_accuracy", "lr", "seconds")

_global_generators = threading.RLock()


class ImageEstimator(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
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
        callbacks: Sequence[Any],
        fit_pooling: bool,
    ) -> None:
        """Train the net, a new one unless `again`, for some epochs."""
        device = find_device(self.device)
        seed = draw_seed(self._random_state)
        batch_size = (
            choose_batch_size(len(training)) if self.batch_size == "auto" else self.batch_size
        )
        with _seeded(seed):
            net = self.net_ if again else self._new_net(training, n_outputs, device, fit_pooling)
            with compute_threads(device, 0):
                summary = self._try_out(net.module_)
            if summary.output_shape != (n_outputs,):
                raise ValueError(
                    "The network of module= makes outputs of shape "
                    f"{('n', *summary.output_shape)}, expected the logits of {n_outputs} classes, "
                    f"{('n', n_outputs)}."
                )
            size, fill = prediction_batches(self.image_shape_, summary.multiply_adds)
            net.set_params(
                prediction_batch_size=size,
                fill_batches=fill,
                lr=self.lr,
                max_epochs=epochs,
                schedule=schedule,
                augment=tuple(AUGMENTATIONS.get(a, a) for a in as_tuple(self.augment)),
                batch_size=batch_size,
                seed=seed,
                verbose=int(self.verbose),
                progress=bool(self.verbose),
                train_split=None if validation is None else predefined_split(validation),
            )
            net.callbacks = list(callbacks)
            net.initialize_callbacks()
            with compute_threads(device, summary.multiply_adds * batch_size), _kept(net):
                net.partial_fit(training, None)
        self._multiply_adds = summary.multiply_adds
        self.net_ = net
        self._note_history()

    def _try_out(self, network: ImageNetwork) -> NetworkSummary:
        try:
            return summarize(network, self.image_shape_)
        except RuntimeError as error:
            if self.module is None:
                raise
            raise ValueError(
                "The network of module= cannot take an image of height, width and channels "
                f"{self.image_shape_}: {error}"
            ) from error

    def _new_net(
        self, training: ImageDataset, n_outputs: int, device: torch.device, fit_pooling: bool
    ) -> ClassifierNet:
        mean, scale = training.X.channel_statistics()
        network = {
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
        if decays_weights(self.optimizer):
            settings = {**settings, "weight_decay": self.weight_decay}
        net = ClassifierNet(
            build_network,
            **{f"module__{name}": value for name, value in network.items()},
            optimizer=optimizer,
            **{f"optimizer__{name}": value for name, value in settings.items()},
            criterion__reduction="none",
            criterion__label_smoothing=self.label_smoothing,
            lr=self.lr,
            precision=find_precision(self.precision, device),
            device=str(device),
        )
        net.initialize()
        return net

    def _note_history(self) -> None:
        history = self.net_.history
        rows = [row for row in history if "dur" in row]
        if len(history) and "dur" not in history[-1]:
            warnings.warn(
                f"Training was interrupted in epoch {len(history)}; the network is as the last "
                "batch left it.",
                UserWarning,
                stacklevel=5,
            )
        figures = pd.DataFrame(
            [
                {
                    _HISTORY_NAMES.get(name, name): value
                    for name, value in row.items()
                    if name != "batches" and not name.endswith(("_best", "_batch_count"))
                }
                for row in rows
            ],
            columns=None if rows else ["epoch"],
        ).set_index("epoch")
        others = [name for name in figures if name not in _HISTORY_COLUMNS]
        self.history_ = figures.reindex(columns=[*_HISTORY_COLUMNS, *others])
        self.n_iter_ = len(rows)
        self.loss_curve_ = self.history_["train_loss"].tolist()

    def _outputs(self, X: Any, layer: torch.nn.Module | None = None) -> npt.NDArray[np.float32]:
        """Logits of images, or what goes into a layer."""
        images, _ = check_images(self, X, reset=False, data_format=self.data_format)
        n_at_once = min(len(images), self.net_.prediction_batch_size)
        with compute_threads(self.device_, self._multiply_adds * n_at_once):
            return self.net_.outputs(images, layer)


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
    finally:
        # The split would keep the validation images alive, and in every pickle.
        net.set_params(train_split=None)
        net.module_.eval()


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed torch for a while, and give its global generators back as they were.

    There is one set of them a process: fits in several threads take turns.
    """
    with _global_generators, torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


def own_random_state(random_state: Any) -> np.random.RandomState:
    """Return a generator of our own: None draws fresh entropy, not from numpy's global state."""
    if random_state is None:
        return np.random.RandomState(np.random.SeedSequence().generate_state(4))
    rng: np.random.RandomState = check_random_state(random_state)
    return rng


def draw_seed(rng: np.random.RandomState) -> int:
    """Draw a number to seed another generator with."""
    return int(rng.randint(np.iinfo(np.int32).max))
