"""The specification `UNet`: an encoder out of another specification, and a decoder."""

from collections import OrderedDict
from collections.abc import Sequence
from numbers import Integral
from typing import Any, ClassVar, Literal, Self

from torch import nn

from skcnn._from_r import whole
from skcnn._utils import Interval, StrOptions, as_tuple, check_values
from skcnn.networks._backbone import Backbone
from skcnn.networks._block_parameters import choose_filters
from skcnn.networks._conv_blocks import ConvBlocks
from skcnn.networks._image_network import ImageNetwork
from skcnn.networks._spec import ImageShape, Measured, NetworkSpec, TrainingImages
from skcnn.networks._unet_encoders import (
    check_backbone,
    check_blocks,
    pooling_encoder,
    pretrained_encoder,
)
from skcnn.networks._unet_network import (
    PixelHead,
    PoolingEncoder,
    PretrainedEncoder,
    UNetBody,
    UNetNetwork,
    UpBlock,
)

_POSITIVE = Interval(Integral, 1, None, closed="left")
# Of the decoder of a backbone, by the number of times that it enlarges maps.
_PRETRAINED_FILTERS = (16, 16, 32, 64, 128)


class UNet(NetworkSpec):
    """A network that answers for each pixel: the specification for `ConvNetSegmenter`.

    The encoder pools the image step by step, so that it sees more of the surroundings of each
    place. The decoder enlarges the maps again, step by step, and joins them with those of the
    encoder of the same size, so that no edge is lost [1]_. Images may have any height and width:
    inside the network, they are extended to a multiple of its stride by reflection.

    Pass it as ``module=UNet(...)``; a grid search reaches its parameters as
    ``module__decoder_filters`` and so on.

    Parameters
    ----------
    encoder : ConvBlocks, Backbone or None, default=None
        The half that pools.

        - `ConvBlocks`: its blocks, with pooling between them. ``ConvBlocks((16, 32, 64))`` pools
          twice. A single rate of `dropout` acts on the coarsest maps.
        - `Backbone`: a pretrained network, whose stages stay frozen unless its `unfreeze` says
          otherwise. Images keep their size.
        - None: as many of 16, 32, 64, 128 filters as the image can be halved.
    decoder_filters : int, sequence of int or "auto", default="auto"
        Filters of each block of the decoder, from the coarsest to the finest. "auto" takes those
        of the encoder's block of the same size; for a backbone, 128, 64, 32, 16, 16.

    References
    ----------
    .. [1] Ronneberger, Fischer, Brox: U-Net: convolutional networks for biomedical image
       segmentation. MICCAI 2015.

    Examples
    --------
    >>> from skcnn.networks import ConvBlocks, UNet
    >>> network = UNet(ConvBlocks((8, 16, 32))).build((50, 70, 3), n_outputs=2)
    >>> import torch
    >>> network(torch.zeros(1, 50, 70, 3)).shape
    torch.Size([1, 2, 50, 70])
    """

    default_augment: tuple[str, ...] = ("flip", "shift")
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "encoder": [ConvBlocks, Backbone, None],
        "decoder_filters": [_POSITIVE, StrOptions({"auto"}), tuple, list],
    }

    def __init__(
        self,
        encoder: ConvBlocks | Backbone | None = None,
        *,
        decoder_filters: int | Sequence[int] | Literal["auto"] = "auto",
    ) -> None:
        self.encoder = encoder
        self.decoder_filters = decoder_filters

    def set_params(self, **params: object) -> Self:
        """Set parameters, also those of the encoder, such as ``encoder__filters=(16, 32)``."""
        inner = [name for name in params if name.startswith("encoder__")]
        if inner and params.get("encoder", self.encoder) is None:
            raise ValueError(
                f"{inner[0]} cannot be set, since encoder=None has no parameters of its own. Give "
                "an encoder first: UNet(ConvBlocks()) or UNet(Backbone(...))."
            )
        super().set_params(**params)
        return self

    @property
    def is_static(self) -> bool:
        """Whether each training step does the same operations, so that a GPU can replay them."""
        return self.encoder is None or self.encoder.is_static

    def check(self) -> None:
        """Raise a ValueError if a parameter is not as described."""
        parameters = {name: whole(value) for name, value in self.get_params(deep=False).items()}
        check_values(type(self).__name__, self._parameter_constraints, parameters)
        if not isinstance(self.decoder_filters, str):
            for value in as_tuple(self.decoder_filters):
                check_values("UNet", {"decoder_filters": [_POSITIVE]}, {"decoder_filters": value})
        if isinstance(self.encoder, ConvBlocks):
            check_blocks(self.encoder)
        elif self.encoder is not None:
            check_backbone(self.encoder)

    def measure(self, images: TrainingImages) -> dict[str, Any]:
        """Compute what the encoder takes from the training images."""
        return super().measure(images) if self.encoder is None else self.encoder.measure(images)

    def build(
        self,
        image_shape: ImageShape,
        n_outputs: int,
        *,
        measured: Measured | None = None,
        clip_pool_size: bool = False,
        n_covariates: int = 0,
    ) -> ImageNetwork:
        """Build a network with new weights; see `NetworkSpec.build`.

        Raises
        ------
        ValueError
            If `decoder_filters` has another number of values than the encoder asks for, or a
            backbone has no maps; or if there are covariates, which it has no place for.
        """
        if n_covariates:
            raise ValueError(
                f"UNet got {n_covariates} covariates, but it names pixels by the image alone. "
                "Pass the images without the other columns."
            )
        blocks = self.encoder
        if blocks is None:
            filters = tuple(width // 2 for width in choose_filters(image_shape[:2]))
            blocks = ConvBlocks(filters, convs_per_block=2)
        encoder: PoolingEncoder | PretrainedEncoder
        if isinstance(blocks, Backbone):
            encoder, pixels = pretrained_encoder(blocks, image_shape, measured)
            n_convs, style = 2, ConvBlocks(activation="relu")
            automatic = _PRETRAINED_FILTERS[: len(encoder.levels) - 1][::-1]
        else:
            encoder, pixels = pooling_encoder(blocks, image_shape, measured)
            n_convs, style = max(as_tuple(whole(blocks.convs_per_block))), blocks
            automatic = tuple(level.channels for level in encoder.levels[-2::-1])
        widths = self._decoder_widths(automatic)
        decoder: OrderedDict[str, nn.Module] = OrderedDict()
        kernels = tuple(3 if side > 1 else 1 for side in image_shape[:2])
        channels = encoder.levels[-1].channels
        for number in range(len(widths), 0, -1):
            coarse, finer = encoder.levels[number], encoder.levels[number - 1]
            width = widths[len(widths) - number]
            decoder[f"block{number}"] = UpBlock(
                channels,
                finer.channels,
                width,
                (coarse.stride[0] // finer.stride[0], coarse.stride[1] // finer.stride[1]),
                n_convs=n_convs,
                kernel_size=(kernels[0], kernels[1]),
                activation=style.activation,
                normalization=next(filter(None, as_tuple(style.normalization)), None),
                residual=any(as_tuple(style.residual)),
            )
            channels = width
        return UNetNetwork(UNetBody(encoder, decoder), PixelHead(channels, n_outputs), **pixels)

    def _decoder_widths(self, automatic: tuple[int, ...]) -> tuple[int, ...]:
        given = whole(self.decoder_filters)
        if isinstance(given, str):
            return automatic
        if isinstance(given, int):
            return (given,) * len(automatic)
        if len(given) != len(automatic):
            raise ValueError(
                f"decoder_filters={self.decoder_filters!r} has {len(given)} values, but the "
                f"encoder pools {len(automatic)} times. Give one value, or one per pooling, from "
                f"the coarsest to the finest: for example {automatic}."
            )
        return tuple(int(width) for width in given)
