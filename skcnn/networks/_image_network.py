"""The fitted network: standardized pixels, a body that finds features, a head that answers."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from skcnn.networks._covariates import JoinCovariates


class ImageNetwork(nn.Module):
    """Network from images (n, height, width, channels) to outputs, by way of features.

    Images of any dtype go in, on the network's device. The statistics of the training images are
    buffers, so that they are saved and moved together with the weights.

    Parameters
    ----------
    body : torch.nn.Module
        From standardized float images (n, channels, height, width) to features (n, n_features).
    head : torch.nn.Module
        From features to outputs (n, n_outputs).
    mean, scale : sequence of float of shape (channels,)
        Each channel is standardized: ``(pixels - mean) / scale``.
    n_covariates : int, default=0
        Number of standardized numbers beside each image that join its features: before the first
        dense layer of the body, or after the body. Where a batch comes without them, they are
        zeros.

    Examples
    --------
    >>> import torch
    >>> body = torch.nn.Flatten()
    >>> network = ImageNetwork(body, torch.nn.Linear(12, 2), mean=[128] * 3, scale=[64] * 3)
    >>> images = torch.zeros(5, 2, 2, 3, dtype=torch.uint8)
    >>> network.features(images).shape, network(images).shape
    (torch.Size([5, 12]), torch.Size([5, 2]))
    """

    #: Whether predictions for images of another size than those of training mean the same.
    takes_any_size = False
    #: Parts that displays show by default, such as the blocks of a U-Net; () lets them choose.
    main_parts: tuple[str, ...] = ()
    #: Images cut at multiples of this are pooled as the whole image is; None if that is not known.
    stride: tuple[int, int] | None = None
    #: Names of the first parts of the body, if they are never trained.
    frozen_stages: tuple[str, ...] = ()
    #: Number of values per image that they return.
    n_frozen_values = 0
    #: Whether images go to the layers in the layout that convolutions are fastest with.
    is_channels_last = True
    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        body: nn.Module,
        head: nn.Module,
        mean: Sequence[float],
        scale: Sequence[float],
        *,
        n_covariates: int = 0,
    ) -> None:
        super().__init__()
        self._register_statistics(mean, scale)
        self.body = body
        self.is_channels_last = not _has_group_norm(body)
        if n_covariates:
            self.covariates = JoinCovariates(n_covariates)
        self.head = head

    @property
    def n_covariates(self) -> int:
        """Number of covariates that join the features."""
        join = getattr(self, "covariates", None)
        return join.n_covariates if isinstance(join, JoinCovariates) else 0

    def _register_statistics(self, mean: Sequence[float], scale: Sequence[float]) -> None:
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float32))

    def standardize(self, images: Tensor) -> Tensor:
        """Return images as standardized floats (n, channels, height, width)."""
        images = (images.to(self.mean.dtype) - self.mean).div_(self.scale)
        # With permuted axes, channels-last memory is torch's channels_last layout.
        return self._in_layout(images.permute(0, 3, 1, 2))

    def _in_layout(self, standardized: Tensor) -> Tensor:
        """Return images in memory as the layers can take them."""
        return standardized if self.is_channels_last else standardized.contiguous()

    def inner_shape(self, image_shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """Return the shape in which an image runs through the layers."""
        return image_shape

    def frozen_features(self, images: Tensor, covariates: Tensor | None = None) -> Tensor:
        """Return what the frozen stages make of images, flattened to one row per image.

        A network with frozen stages takes such rows in place of images, so that these stages run
        only once for each training image. Covariates join later, and are not used.
        """
        raise NotImplementedError

    def fit_head(self, features: Tensor) -> None:
        """Take what the head needs from features (n, n_features) of training images."""

    def run_body(self, standardized: Tensor, covariates: Tensor | None = None) -> Tensor:
        """Run standardized images through the body, and join covariates on the way."""
        if not self.n_covariates:
            x: Tensor = self.body(standardized)
            return x
        before, after = self.split_body()
        joined: Tensor = after(self.covariates(before(standardized), covariates))
        return joined

    def split_body(self) -> tuple[nn.Module, nn.Module]:
        """Return the part of the body that sees images alone, and the part behind covariates."""
        if not self.n_covariates or not isinstance(self.body, nn.Sequential):
            return self.body, nn.Identity()
        names = [name for name, _ in self.body.named_children()]
        dense = [number for number, name in enumerate(names) if name.startswith("dense")]
        first = dense[0] if dense else len(names)
        return self.body[:first], self.body[first:]

    def features(self, images: Tensor, covariates: Tensor | None = None) -> Tensor:
        """Return the features of images, of shape (n, n_features)."""
        return self.run_body(self.standardize(images), covariates)

    def forward(self, images: Tensor, covariates: Tensor | None = None) -> Tensor:
        """Return the outputs for images, of shape (n, n_outputs)."""
        outputs: Tensor = self.head(self.features(images, covariates))
        return outputs


class OwnNetwork(ImageNetwork):
    """A user's own module behind the standardization of pixels.

    Of what the module returns, the outputs are what is named "logits", in a dict, a named tuple or
    another object, or else the first of a tuple; other outputs, such as auxiliary ones, are not
    trained.

    Its features are defined where the module says so: by attributes `body` and `head`, with
    outputs ``head(body(images))``, or by being a Sequential that ends in a Linear layer.

    Parameters
    ----------
    own : torch.nn.Module
        From standardized float images (n, channels, height, width) to outputs.
    mean, scale : sequence of float of shape (channels,)
        As for `ImageNetwork`.
    n_covariates : int, default=0
        Number of standardized numbers beside each image, which the module then takes as its
        second argument, (n, n_covariates).
    """

    def __init__(
        self,
        own: nn.Module,
        mean: Sequence[float],
        scale: Sequence[float],
        *,
        n_covariates: int = 0,
    ) -> None:
        nn.Module.__init__(self)
        self._register_statistics(mean, scale)
        self.own = own
        self.is_channels_last = not _has_group_norm(own)
        self._n_covariates = n_covariates

    @property
    def n_covariates(self) -> int:
        """Number of covariates that the module takes."""
        return self._n_covariates

    def _run(self, part: nn.Module, images: Tensor, beside: tuple[Tensor, ...]) -> object:
        """Run the module, or a part of it, in the usual layout if it does not take the fastest.

        ``x.view(len(x), -1)`` behind a convolution, as in many tutorials, does not.
        """
        try:
            return part(self.standardize(images), *beside)
        except RuntimeError as error:
            is_of_layout = str(error).startswith("view size is not compatible")
            if not self.is_channels_last or not is_of_layout:
                raise
        self.is_channels_last = False
        return part(self.standardize(images), *beside)

    def _beside(self, images: Tensor, covariates: Tensor | None) -> tuple[Tensor, ...]:
        """Further arguments of the module."""
        if not self.n_covariates:
            return ()
        if covariates is None:
            covariates = self.mean.new_zeros(len(images), self.n_covariates)
        return (covariates,)

    def features(self, images: Tensor, covariates: Tensor | None = None) -> Tensor:
        """Return the features of images, of shape (n, n_features).

        Raises
        ------
        ValueError
            If the module does not say what its features are.
        """
        body = getattr(self.own, "body", None)
        if not isinstance(body, nn.Module) or not hasattr(self.own, "head"):
            own = self.own
            if not isinstance(own, nn.Sequential) or not isinstance(own[-1], nn.Linear):
                raise ValueError(
                    f"The network of module= is a {type(own).__name__} that does not say what "
                    "its features are. Give it the attributes `body` and `head`, two modules "
                    "with outputs head(body(images)), or make it a torch.nn.Sequential whose "
                    "last layer is a torch.nn.Linear."
                )
            body = own[:-1]
        features = self._run(body, images, self._beside(images, covariates))
        assert isinstance(features, Tensor)
        return features.flatten(1)

    def forward(self, images: Tensor, covariates: Tensor | None = None) -> Tensor:
        """Return the outputs for images."""
        beside = self._beside(images, covariates)
        return _main_output(self._run(self.own, images, beside), self.own)


def _main_output(returned: object, own: nn.Module) -> Tensor:
    """Return the outputs among what a user's module returns: the documented rule for several."""
    outputs = getattr(returned, "logits", returned)
    if isinstance(returned, Mapping):
        outputs = returned.get("logits")
    elif outputs is returned and isinstance(returned, tuple | list) and len(returned):
        outputs = returned[0]
    if not isinstance(outputs, Tensor):
        raise TypeError(
            f"The network of module= ({type(own).__name__}) returned {type(returned).__name__}. "
            "Expected a tensor of outputs, a tuple that begins with it, or a dict or another "
            'object in which it is named "logits".'
        )
    return outputs


def _has_group_norm(module: nn.Module) -> bool:
    """Whether there are layers that end the process on a CPU, in torch 2.13.

    Group normalization of images in channels-last layout does so in the backward pass, if the
    layers before it are not trained.
    """
    return any(isinstance(part, nn.GroupNorm) for part in module.modules())
