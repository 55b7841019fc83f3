"""Compact transformer: convolutions make tokens, attention relates them to each other."""

from collections import OrderedDict
from numbers import Integral, Real
from typing import Any, ClassVar

from torch import nn

from skcnn._from_r import whole
from skcnn._utils import Interval, check_values
from skcnn.networks._attention import EncoderLayer, Positions, SequencePooling
from skcnn.networks._image_network import ImageNetwork
from skcnn.networks._layers import Conv2d, Dropout
from skcnn.networks._spec import ImageShape, Measured, NetworkSpec, statistics

_POSITIVE = [Interval(Integral, 1, None, closed="left")]
_RATE = [Interval(Real, 0, 1, closed="left")]
_POOL_WINDOW = 3


class CompactTransformer(NetworkSpec):
    """A few convolutions that make tokens, and attention between the tokens.

    A token is a vector of `width` values that describes a small region of the image. In each of
    the `depth` layers, every token gathers from all others what it needs, however far apart they
    are; a convolution sees its neighborhood only. The features are a weighted mean of the last
    tokens [1]_.

    A transformer knows less about images before it has seen any than a convolutional network
    does. It needs more images, more epochs and more augmentation: `skcnn.recipes.transformer`
    has settings that work.

    Pass it as ``module=CompactTransformer(...)``; a grid search reaches its parameters as
    ``module__depth`` and so on.

    Parameters
    ----------
    depth : int, default=6
        Number of layers, each with attention and two dense layers.
    width : int, default=192
        Values per token.
    heads : int, default=3
        Attention heads, which attend to different things. `width` must be a multiple.
    mlp_ratio : float, default=2.0
        Units of the dense layer between, as a multiple of `width`.
    tokenizer_layers : int, default=2
        Convolutions that make tokens. Each is followed by a pooling that halves the sides of the
        maps, so that an image of 32x32 pixels makes 8x8 tokens with two.
    kernel_size : int, default=3
        Side of the convolution windows in pixels; odd.
    dropout : float, default=0.0
        Fraction in [0, 1) of values set to zero at random in training, after attention and after
        the dense layers.
    attention_dropout : float, default=0.1
        The same for attention weights.
    stochastic_depth : float, default=0.1
        Fraction in [0, 1) of images that the last layer leaves out at random in training;
        earlier layers leave out fewer, in proportion [2]_.

    References
    ----------
    .. [1] Hassani, Walton, Shah, Abuduweili, Li, Shi: Escaping the big data paradigm with compact
       transformers. 2021, arXiv:2104.05704.
    .. [2] Huang, Sun, Liu, Sedra, Weinberger: Deep networks with stochastic depth. ECCV 2016.

    Examples
    --------
    >>> from skcnn import ConvNetClassifier
    >>> from skcnn.networks import CompactTransformer
    >>> clf = ConvNetClassifier(module=CompactTransformer(depth=2, width=64, heads=2))
    >>> summary = clf.summary((32, 32, 3), n_classes=10)
    >>> summary.output_shape, f"{summary.n_parameters:,}"
    ((10,), '90,987')
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "depth": _POSITIVE,
        "width": _POSITIVE,
        "heads": _POSITIVE,
        "mlp_ratio": [Interval(Real, 0, None, closed="neither")],
        "tokenizer_layers": _POSITIVE,
        "kernel_size": _POSITIVE,
        "dropout": _RATE,
        "attention_dropout": _RATE,
        "stochastic_depth": _RATE,
    }

    def __init__(
        self,
        depth: int = 6,
        *,
        width: int = 192,
        heads: int = 3,
        mlp_ratio: float = 2.0,
        tokenizer_layers: int = 2,
        kernel_size: int = 3,
        dropout: float = 0.0,
        attention_dropout: float = 0.1,
        stochastic_depth: float = 0.1,
    ) -> None:
        self.depth = depth
        self.width = width
        self.heads = heads
        self.mlp_ratio = mlp_ratio
        self.tokenizer_layers = tokenizer_layers
        self.kernel_size = kernel_size
        self.dropout = dropout
        self.attention_dropout = attention_dropout
        self.stochastic_depth = stochastic_depth

    def check(self) -> None:
        """Raise a ValueError if a parameter is not as described."""
        parameters = {name: whole(value) for name, value in self.get_params(deep=False).items()}
        check_values(type(self).__name__, self._parameter_constraints, parameters)
        if parameters["width"] % parameters["heads"]:
            raise ValueError(
                f"CompactTransformer has width={self.width} and heads={self.heads}. Expected a "
                f"width that is a multiple of heads, for example "
                f"width={-(-self.width // self.heads) * self.heads}."
            )
        if parameters["kernel_size"] % 2 == 0:
            raise ValueError(
                f"CompactTransformer has kernel_size={self.kernel_size}. Expected an odd number, "
                "so that a window has a pixel in its middle: for example 3."
            )

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
            If the image is too small to be halved by each layer of the tokenizer.
        """
        width = int(self.width)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        sides, channels = list(image_shape[:2]), image_shape[2]
        for number in range(1, int(self.tokenizer_layers) + 1):
            if not clip_pool_size and 1 in sides and max(image_shape[:2]) > 1:
                remedy = f"Use tokenizer_layers={number - 1}, or larger images."
                if number == 1:
                    remedy = "Give images of at least 2 pixels on each side."
                raise ValueError(
                    f"tokenizer_layers={self.tokenizer_layers} halves an image of "
                    f"{image_shape[0]}x{image_shape[1]} pixels until one side has one pixel, and "
                    f"layer {number} has nothing left to halve. {remedy}"
                )
            is_last = number == int(self.tokenizer_layers)
            filters = width if is_last else max(width // 2, 1)
            layers[f"tokenizer{number}"] = self._tokenizer(channels, filters)
            sides, channels = [-(-side // 2) for side in sides], filters
        layers["positions"] = Positions(width, (sides[0], sides[1]))
        depth = int(self.depth)
        for number in range(1, depth + 1):
            layers[f"layer{number}"] = EncoderLayer(
                width,
                int(self.heads),
                max(round(width * self.mlp_ratio), 1),
                dropout=self.dropout,
                attention_dropout=self.attention_dropout,
                stochastic_depth=self.stochastic_depth * number / depth,
            )
        layers["norm"] = nn.LayerNorm(width)
        layers["pool"] = SequencePooling(width)
        if self.dropout:
            layers["dropout"] = Dropout(self.dropout)
        return ImageNetwork(
            nn.Sequential(layers),
            nn.Linear(width + n_covariates, n_outputs),
            **statistics(image_shape, measured),
            n_covariates=n_covariates,
        )

    def _tokenizer(self, channels: int, filters: int) -> nn.Sequential:
        kernel = int(self.kernel_size)
        convolution = Conv2d(
            channels, filters, (kernel, kernel), padding=(kernel // 2, kernel // 2), bias=False
        )
        pool = nn.MaxPool2d(_POOL_WINDOW, stride=2, padding=_POOL_WINDOW // 2)
        return nn.Sequential(
            OrderedDict(
                convolution=convolution,
                norm=nn.BatchNorm2d(filters),
                activation=nn.ReLU(),
                pool=pool,
            )
        )
