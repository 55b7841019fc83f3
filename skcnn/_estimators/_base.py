"""What every estimator around an image network has: its parameters, its network and features."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from skcnn._compute._allocator import retain_freed_memory
from skcnn._compute._device_memory import explain_out_of_memory, reserve_device_memory
from skcnn._compute._threads import compute_threads
from skcnn._data._arrays import ImageShape, as_shape, check_images
from skcnn._engine._history import as_frame
from skcnn._engine._net import ClassifierNet
from skcnn._engine._predict import run_images
from skcnn._engine._sklearn_callbacks import CallbackSupportMixin
from skcnn._estimators._parameters import check_parameters
from skcnn._utils import as_tuple
from skcnn.networks._conv_blocks import build_network, last_linear
from skcnn.networks._layers import ImageNetwork
from skcnn.networks._summary import NetworkSummary, summarize

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
        check_parameters(type(self).__name__, self.get_params(deep=False))

    def _network_parameters(self) -> dict[str, Any]:
        parameters = {name: getattr(self, name) for name in _NETWORK_PARAMETERS}
        return {
            **{n: v.tolist() if isinstance(v, np.ndarray) else v for n, v in parameters.items()},
            "filters": "auto" if isinstance(self.filters, str) else as_tuple(self.filters),
        }

    def _outputs(self, X: Any, layer: torch.nn.Module | None = None) -> npt.NDArray[np.float32]:
        """Logits of images, or what goes into a layer."""
        images, _ = check_images(self, X, reset=False, data_format=self.data_format)
        net = self.net_
        device = torch.device(net.device)
        work = self._multiply_adds * min(len(images), net.plan.batch_size)
        hint = "Predict fewer images at a time, or free memory there"
        with (
            reserve_device_memory(
                device, torch.float32.itemsize * self._n_values * net.plan.batch_size
            ),
            compute_threads(device, work, training=False),
            retain_freed_memory(),
            explain_out_of_memory(device, hint),
        ):
            # Features are those of the images as they are.
            flip = self.test_time_flip and layer is None
            return run_images(net.module_, images, device, net.plan, layer, flip=flip)
