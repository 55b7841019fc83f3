"""What a fitted net offers: its network, history, summary, features and outputs."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from skcnn._compute._ambient import default_torch_settings
from skcnn._compute._fork import computing
from skcnn._compute._interrupt import hold_interrupts
from skcnn._compute._rng import own_random_numbers
from skcnn._data._arrays import ImageShape, as_shape
from skcnn._data._inputs import AnyImages, check_input
from skcnn._engine._feature_cache import FeatureCache
from skcnn._engine._history import history_frame
from skcnn._engine._inference import infer, plan_inference
from skcnn._engine._net import TrainedNet
from skcnn._from_r import whole
from skcnn._targets import Target
from skcnn.networks import ImageNetwork, NetworkSpec
from skcnn.networks._folding import fold
from skcnn.networks._summary import NetworkSummary, summarize


class ImageFeaturesOutMixin(ClassNamePrefixFeaturesOutMixin):
    """Names of features of images, which may have come as a column of paths or of arrays."""

    def get_feature_names_out(
        self, input_features: npt.ArrayLike | None = None
    ) -> npt.NDArray[np.object_]:
        """Return the names of the features: the name of the class, in small letters, and a number.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the pixels, or of the columns of X, which a
            `sklearn.compose.ColumnTransformer` passes. They are not used.

        Returns
        -------
        names : ndarray of str
        """
        if getattr(self, "_has_image_column", False):
            # As many as there are columns, and not as there are pixels.
            input_features = None
        names: npt.NDArray[np.object_] = super().get_feature_names_out(input_features)
        return names


class FittedNetEstimator(ImageFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Base of estimators that hold a skorch net: what can be asked of it once it is fitted."""

    _takes_covariates: ClassVar[bool]
    _thread_limit: int | None
    image_shape_: ImageShape
    net_: TrainedNet
    _target: Target

    @abstractmethod
    def _spec(self) -> NetworkSpec:
        """Return the specification of the network."""

    @abstractmethod
    def _check_parameters(self) -> None:
        """Raise an error if a parameter is not as described."""

    @property
    def module_(self) -> ImageNetwork:
        """The fitted torch network; it takes images (n, height, width, channels)."""
        check_is_fitted(self, "net_")
        network: ImageNetwork = self.net_.module_
        return network

    @property
    def device_(self) -> torch.device:
        """Device the network is on."""
        check_is_fitted(self, "net_")
        return torch.device(self.net_.device)

    @property
    def history_(self) -> pd.DataFrame:
        """Figures of the training: one row per epoch."""
        check_is_fitted(self, "net_")
        return history_frame(self.net_.history, self._target.score_name)

    def transform(self, X: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Return the features of images: the input of the network's head.

        In a pipeline, the network can therefore act as a feature extractor.

        Parameters
        ----------
        X : array-like
            Images of the fitted shape, in any of the forms of `fit`.

        Returns
        -------
        features : ndarray of shape (n, n_features), float32

        Raises
        ------
        ValueError
            If X does not fit, or the network of `module` does not say what its features are: by
            attributes `body` and `head`, or as a Sequential that ends in a Linear layer.
        """
        return self._outputs(X, features=True)

    def summary(
        self, image_shape: Sequence[int] | None = None, n_classes: int | None = None
    ) -> NetworkSummary:
        """Describe the network: its layers, their output shapes and parameters.

        Parameters
        ----------
        image_shape : sequence of (height, width) or (height, width, channels), default=None
            Shape of the images, for a network that is not fitted yet. None describes the fitted
            network.
        n_classes : int, default=None
            Number of classes or other outputs, needed together with `image_shape`.

        Returns
        -------
        summary : NetworkSummary
            It prints as a table, and has the attributes `layers`, `n_parameters` and
            `multiply_adds`.

        Raises
        ------
        ValueError
            If only one of the arguments is given, or nothing of such an image is left to pool.
        NotFittedError
            If neither is given and the estimator is not fitted.

        Examples
        --------
        >>> from skcnn import ConvNetClassifier
        >>> print(ConvNetClassifier(filters=(8, 16)).summary((28, 28), n_classes=10))
        layer                    type               output shape  parameters
        --------------------------------------------------------------------
        block1.0.convolutions.0  Conv2d             28 x 28 x 8           72
        ...
        head                     Linear             10                   170
        --------------------------------------------------------------------
        4,506 parameters, 1.2 million multiply-adds (MACs) per image
        """
        if image_shape is None and n_classes is None:
            with hold_interrupts(), computing():
                return summarize(self.module_, self.image_shape_)
        if image_shape is None or n_classes is None:
            raise ValueError(
                f"summary got image_shape={image_shape} and n_classes={n_classes}. Expected both, "
                "or neither to describe the fitted network."
            )
        self._check_parameters()
        shape = as_shape(image_shape)
        settings = default_torch_settings(torch.device("cpu"))
        with hold_interrupts(), own_random_numbers(), settings, computing():
            return summarize(self._spec().build(shape, whole(n_classes)), shape)

    @property
    def _n_features_out(self) -> int:
        device = self.device_
        with hold_interrupts(), torch.inference_mode(), computing():
            features = self.module_.features(torch.zeros(1, *self.image_shape_, device=device))
        return features.shape[1]

    def _read_images(self, X: npt.ArrayLike) -> AnyImages:
        """Read images for the fitted network, and make it ready for them."""
        network = self.module_
        images, _ = check_input(
            self,
            X,
            reset=False,
            data_format=self.data_format,
            any_size=network.takes_any_size,
            takes_covariates=self._takes_covariates,
        )
        if network.training:
            network.eval()
        return images

    def _outputs(self, X: npt.ArrayLike, *, features: bool = False) -> npt.NDArray[np.float32]:
        """Return the outputs of the network for images, or their features."""
        check_is_fitted(self, "net_")
        net, network, images = self.net_, self.module_, self._read_images(X)
        device = torch.device(net.device)
        batching, costs = net.batching, net.costs_
        if images.shape != self.image_shape_:
            batching, costs = plan_inference(network, images.shape, device)
        folded, flip = fold(network), self.test_time_flip and not features
        cache_dir = None if flip else self.cache_dir
        return infer(
            folded.features if features else folded,
            images,
            device,
            batching.suited_to(network),
            costs,
            self._thread_limit,
            flip=flip,
            cache=FeatureCache.open(cache_dir, network, images.shape, device),
        )
