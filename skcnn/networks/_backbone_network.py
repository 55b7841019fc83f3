"""The network around a pretrained body: image size, frozen stages, head on scaled features."""

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from skcnn.networks._image_network import ImageNetwork
from skcnn.networks._stages import train_part

# With the default learning rate of 0.1, features of this length are learned in 15 epochs, whether
# there are 100 or 1,000 of them: benchmarks/transfer.py.
_LENGTH = 3.6
# As many images' worth of the mean variance is added to the variance of each feature: of a few
# images, rare features would be scaled up too far.
_PRIOR_IMAGES = 30
POOLINGS = ("auto", "average", "max", "average_max", "class_token")
_COLOR = 3
BYTE = 255
# Pixels from 0 to 1, with what rounding and resizing add.
_HIGHEST_OF_ONE = 1.01


def unit_of(highest: float) -> int:
    """Return the highest pixel that images can have, 1 or 255, by the highest one of some.

    Examples
    --------
    >>> unit_of(0.9), unit_of(130)
    (1, 255)
    """
    return 1 if highest <= _HIGHEST_OF_ONE else BYTE


@dataclass(frozen=True)
class Preprocessing:
    """What images a pretrained network expects.

    Attributes
    ----------
    mean, std : tuple of float of shape (channels,)
        Of its training images, with pixels from 0 to 1.
    image_size : int or None
        Shorter side of its training images; None for a network that takes images as they are.
    multiple : int
        Sides have to be multiples of this.
    exact_size : tuple of (height, width) or None
        The only size that the network takes.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    image_size: int | None
    multiple: int = 1
    exact_size: tuple[int, int] | None = None

    def size_of(self, size: tuple[int, int], shortest: int | None = None) -> tuple[int, int]:
        """Return height and width of images inside the network.

        Parameters
        ----------
        size : tuple of (height, width)
            Of the images outside.
        shortest : int, default=None
            Shorter side inside. None enlarges images whose shorter side is smaller than
            `image_size`, and leaves larger ones.

        Examples
        --------
        >>> preprocessing = Preprocessing((0.5,), (0.5,), image_size=224, multiple=16)
        >>> preprocessing.size_of((32, 32)), preprocessing.size_of((300, 500))
        ((224, 224), (304, 496))
        >>> preprocessing.size_of((300, 600), shortest=96)
        (96, 192)
        """
        if self.exact_size is not None:
            return self.exact_size
        target = shortest
        if target is None and self.image_size is not None and min(size) < self.image_size:
            target = self.image_size
        scale = 1.0 if target is None else target / min(size)
        height, width = (
            max(1, round(scale * side / self.multiple)) * self.multiple for side in size
        )
        return height, width


class Pool(nn.Module):
    """Features (n, n_features) from feature maps, tokens of a transformer, or features.

    Parameters
    ----------
    kind : {"auto", "average", "max", "average_max", "class_token"}
        "auto" is the average of maps, the class token of a transformer that has one, and else
        the average of its patches.
    n_prefix : int
        Number of tokens before those of the patches.
    image_size : tuple of (height, width) or None
        Where maps may come as (n, height, width, channels): the size of the images inside the
        network, whose proportions maps have.
    """

    def __init__(
        self, kind: str, n_prefix: int, image_size: tuple[int, int] | None = None
    ) -> None:
        super().__init__()
        self.kind = kind
        self.n_prefix = n_prefix
        self.image_size = image_size

    def forward(self, x: Tensor) -> Tensor:
        """Return one row per image.

        Raises
        ------
        ValueError
            If it gets anything else than one tensor, with a row for each image.
        """
        if not isinstance(x, Tensor) or x.ndim < 2:
            returned = f"shape {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
            raise ValueError(
                f"The network of Backbone returned features of {returned}, expected one tensor "
                "('n', n_features) or of maps ('n', channels, height, width). Choose a layer= "
                "whose output is one, or put the network into a torch.nn.Module that returns it."
            )
        if x.ndim == 2:
            return x
        kind = self.kind
        if x.ndim == 4:
            if self._is_channels_last(*x.shape[1:3]):
                x = x.permute(0, 3, 1, 2)
            places = x.flatten(2)
        else:
            kind = "class_token" if kind == "auto" and self.n_prefix else kind
            if kind == "class_token":
                return x[:, 0]
            places = x[:, self.n_prefix :].transpose(1, 2)
        if kind == "max":
            return places.amax(2)
        if kind == "average_max":
            return (places.mean(2) + places.amax(2)) / 2
        return places.mean(2)

    def _is_channels_last(self, rows: int, columns: int) -> bool:
        """Whether the first two sides of maps have the proportions of images, but for rounding."""
        if self.image_size is None:
            return False
        height, width = self.image_size
        return abs(rows * width - columns * height) <= height + width


class FeatureHead(nn.Linear):
    """A linear layer on features that it standardizes, with statistics of the training images.

    Parameters
    ----------
    n_features, n_outputs : int
    n_covariates : int, default=0
        Number of inputs behind the features, which are standardized already.
    """

    feature_mean: Tensor
    feature_scale: Tensor

    def __init__(self, n_features: int, n_outputs: int, n_covariates: int = 0) -> None:
        super().__init__(n_features + n_covariates, n_outputs)
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)
        self.n_features = n_features
        self.register_buffer("feature_mean", torch.zeros(self.in_features))
        self.register_buffer("feature_scale", torch.ones(self.in_features))

    def set_statistics(self, features: Tensor) -> None:
        """Take mean and standard deviation from features (n, n_features) of training images."""
        features = features[:, : self.n_features]
        variance = features.double().var(0, correction=0)
        n_images = len(features)
        shrunk = n_images * variance + _PRIOR_IMAGES * variance.mean()
        scale = (shrunk / (n_images + _PRIOR_IMAGES)).sqrt()
        scale *= math.sqrt(self.n_features) / _LENGTH
        scale = torch.where(scale > 0, scale, torch.ones_like(scale))
        self.feature_mean[: self.n_features].copy_(features.double().mean(0))
        self.feature_scale[: self.n_features].copy_(scale)

    def forward(self, input: Tensor) -> Tensor:
        """Return the outputs for features."""
        return super().forward((input - self.feature_mean) / self.feature_scale)


class BackboneNetwork(ImageNetwork):
    """A body that was trained elsewhere, whose first stages are frozen, and a new head.

    Parameters
    ----------
    body : OrderedDict of torch.nn.Module
        Stages that run one after the other, from standardized images to features
        (n, n_features).
    mean, scale : sequence of float of shape (channels,)
        Each channel is standardized: ``(pixels - mean) / scale``.
    image_shape : tuple of (height, width, channels)
        Of the images outside.
    size : tuple of (height, width)
        Of the images inside.
    n_outputs : int
    trained : sequence of torch.nn.Module
        Parts of the body that are trained as well.
    lr_factor : float
        Multiplier on their learning rate.
    n_covariates : int, default=0
        As for `ImageNetwork`.
    """

    body: nn.Sequential
    head: FeatureHead

    def __init__(
        self,
        body: "OrderedDict[str, nn.Module]",
        mean: Sequence[float],
        scale: Sequence[float],
        *,
        image_shape: tuple[int, int, int],
        size: tuple[int, int],
        n_outputs: int,
        trained: Sequence[nn.Module] = (),
        lr_factor: float = 1.0,
        n_covariates: int = 0,
    ) -> None:
        super().__init__(
            nn.Sequential(body), nn.Identity(), mean, scale, n_covariates=n_covariates
        )
        self.size = size
        self.body.requires_grad_(False)
        self.trained = tuple(trained)
        for part in self.trained:
            train_part(part, lr_factor)
        frozen = [not any(p.requires_grad for p in stage.parameters()) for stage in self.body]
        self.n_frozen = frozen.index(False) if False in frozen else len(frozen)
        self.frozen_stages = tuple(body)[: self.n_frozen]
        with torch.no_grad():
            maps = self.eval()._run_frozen(torch.zeros(1, *image_shape))
            self._frozen_shape = maps.shape[1:]
            self.n_frozen_values = maps[0].numel()
            features = self.body[self.n_frozen :](maps)
        if features.ndim != 2:
            raise ValueError(
                f"The features have shape {('n', *features.shape[1:])}, expected ('n', "
                "n_features). Choose another layer=, or a pooling=."
            )
        if len(features) != 1:
            # Windows of an image, or tokens before images: rows would go to other images.
            raise ValueError(
                f"The network of Backbone returned {len(features)} rows for one image, expected "
                "one row for each image. Choose another layer=, or put the network into a "
                "torch.nn.Module that returns features ('n', n_features)."
            )
        self.head = FeatureHead(features.shape[1], n_outputs, n_covariates)
        self.train()

    def train(self, mode: bool = True) -> "BackboneNetwork":
        """Set the mode of the head; the body keeps the batch statistics of its own training."""
        self.training = mode
        for part in self.children():
            if part is not self.body:
                part.train(mode)
            elif part.training:
                # All of its many layers are told once.
                part.eval()
        return self

    def inner_shape(self, image_shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """Return the shape in which an image runs through the layers."""
        return (*self.size, _COLOR)

    def standardize(self, images: Tensor) -> Tensor:
        """Return images as standardized floats (n, channels, height, width), of the inner size."""
        pixels = images.to(self.mean.dtype).permute(0, 3, 1, 2)
        if pixels.shape[2:] != self.size:
            pixels = nn.functional.interpolate(
                pixels, self.size, mode="bilinear", antialias=True
            ).contiguous(memory_format=torch.channels_last)
        return self._in_layout((pixels - self.mean[:, None, None]) / self.scale[:, None, None])

    def frozen_features(self, images: Tensor, covariates: Tensor | None = None) -> Tensor:
        """Return what the frozen stages make of images, flattened to one row per image."""
        return self._run_frozen(images).flatten(1)

    def _run_frozen(self, images: Tensor) -> Tensor:
        x = self.standardize(images)
        with torch.no_grad():
            maps: Tensor = self.body[: self.n_frozen](x)
        return maps

    def fit_head(self, features: Tensor) -> None:
        """Standardize features by those of the training images."""
        self.head.set_statistics(features)

    def features(self, images: Tensor, covariates: Tensor | None = None) -> Tensor:
        """Return the features of images, or of rows of `frozen_features`."""
        if images.ndim == 2:
            maps = images.view(-1, *self._frozen_shape)
        else:
            maps = self._run_frozen(images)
        features: Tensor = self.body[self.n_frozen :](maps)
        return self.covariates(features, covariates) if self.n_covariates else features
