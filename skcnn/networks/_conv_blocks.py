"""Blocks of convolutions and pooling: the specification `ConvBlocks`, and how it is built."""

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar, Literal

import torch
from torch import nn

from skcnn._from_r import whole
from skcnn._utils import Interval, StrOptions, as_tuple, check_values
from skcnn.networks._block_parameters import (
    BlockParameters,
    block_parameters,
    choose_filters,
    dropout_rates,
    ints,
)
from skcnn.networks._blocks import (
    ACTIVATIONS,
    NORMALIZATIONS,
    POOL_AFTER,
    POOLS,
    SYMMETRIES,
    build_block,
)
from skcnn.networks._density import DensityNetwork, SumHead
from skcnn.networks._image_network import ImageNetwork
from skcnn.networks._layers import AdaptiveMaxPool2d, AverageMaxPool2d, Dropout
from skcnn.networks._mirror import MirroredConv2d, MirrorMean
from skcnn.networks._spec import ImageShape, Measured, NetworkSpec, TrainingImages, statistics
from skcnn.networks._whitening import stem_window, whitening_filters

GLOBAL_POOLS: dict[str, Callable[[], nn.Module]] = {
    "max": AdaptiveMaxPool2d,
    "average": partial(nn.AdaptiveAvgPool2d, 1),
    "average_max": AverageMaxPool2d,
}
STEMS = ("whitening",)
INITS = ("uniform", "dirac")

_POSITIVE = Interval(Integral, 1, None, closed="left")
_SEQUENCES = [tuple, list]
# Parameters with a value per block or dense layer: the constraints of each value.
_EACH: dict[str, list[Any]] = {
    "filters": [_POSITIVE],
    "convs_per_block": [_POSITIVE],
    "kernel_size": [_POSITIVE],
    "pool": [StrOptions(set(POOLS)), None],
    "pool_size": [_POSITIVE],
    "normalization": [StrOptions(set(NORMALIZATIONS)), None],
    "residual": ["boolean"],
    "dense_units": [_POSITIVE, None],
    "dropout": [Interval(Real, 0, 1, closed="left")],
}
_WHOLE: dict[str, list[Any]] = {
    "stem": [StrOptions(set(STEMS)), None],
    "pool_after": [StrOptions(set(POOL_AFTER))],
    "activation": [StrOptions(set(ACTIVATIONS))],
    "symmetry": [StrOptions(set(SYMMETRIES)), None],
    "global_pool": [StrOptions({*GLOBAL_POOLS, "sum"}), None],
    "init": [StrOptions(set(INITS))],
}


class ConvBlocks(NetworkSpec):
    """Blocks of convolutions and pooling, global pooling, dense layers and a head.

    The specification of the network that the flat parameters of the estimators describe, with
    four more. Pass it as ``module=ConvBlocks(...)``; a grid search reaches its parameters as
    ``module__filters`` and so on.

    Parameters
    ----------
    filters : int, sequence of int or "auto", default="auto"
        Convolution filters of each block. There are as many blocks as values. Each block halves
        the sides of the image unless `pool` or `pool_size` say otherwise. "auto" takes as many
        of 32, 64, 128, 256 as the image can be halved. ``()`` is a network without convolutions:
        all pixels go to `dense_units`, if any, and to the head.
    convs_per_block : int or sequence of int, default=2
        Convolution layers per block, before its pooling.
    kernel_size : int or sequence of int, default=3
        Side of the convolution windows in pixels, the same for height and width. Images are
        padded with zeros so that a convolution keeps their size.
    stem : {"whitening"} or None, default=None
        Layer before the blocks. "whitening" is a fixed 2x2 convolution that whitens patches of
        the image: its outputs are uncorrelated with unit variance [1]_. Its filters are computed
        from the training images and not trained.
    pool : {"max", "average"}, None, or a sequence of these, default="max"
        Pooling at the end of each block. None means no pooling.
    pool_size : int or sequence of int, default=2
        Side of the pooling windows in pixels, and their stride.
    pool_after : {"first", "last"}, default="last"
        Convolution of a block after which it pools. "first" makes the remaining convolutions
        cheaper, and the shortcut spans only those. With "last" and several convolutions the
        shortcut is average-pooled [2]_.
    activation : {"relu", "leaky_relu", "elu", "gelu", "silu", "tanh"}, default="silu"
        Activation function after each convolution and each dense layer.
    normalization : {"batch", "ghost"}, None, or a sequence of these, default="batch"
        Batch normalization [3]_ between convolution and activation, or none. "ghost" normalizes
        each 32 images of a training batch by themselves, so that batches of several hundred
        images regularize as small ones do [9]_.
    residual : bool or sequence of bool, default=True
        Whether a shortcut spans the convolutions of a block [4]_.
    symmetry : {"mirror"} or None, default=None
        Symmetry built into the network. "mirror" makes predictions identical for an image and
        its left-right mirror image: half of the filters of each convolution are trained, and the
        other half are their mirror images [5]_. For as many filters that is half of the
        parameters. Pooling windows grow to cover pixels left over at the edges. Needs even
        numbers of filters, and odd `kernel_size`. Wrong for letters and digits.
    dense_units : int, sequence of int or None, default=None
        Units of the dense layers between global pooling and the head.
    dropout : float or sequence of float, default=0.0
        Fraction in [0, 1) of values set to zero at random in training [6]_. A single rate acts
        on the features after global pooling. With one rate per block, each of the others acts on
        the output of its block, and the last one on the features.
    global_pool : {"average", "max", "average_max", "sum"} or None, default="average"
        Pooling of the last block's feature maps into features: the average or the maximum of
        each channel, or a quarter of the sum of both (global pooling [7]_). None flattens the
        maps: each pixel of each channel is a feature. "sum" is for `ConvNetRegressor`: dense
        layers and head see each place of the maps by itself, and the outputs are sums of a
        positive number per place, which grow with the area of the image.
    init : {"uniform", "dirac"}, default="uniform"
        Initialization of convolutions: torch's default, or Dirac (identity) for the first
        `in_channels` filters [8]_.

    References
    ----------
    .. [1] Page: How to train your ResNet 8: bag of tricks. 2019,
       https://myrtle.ai/learn/how-to-train-your-resnet-8-bag-of-tricks/.
    .. [2] He, Zhang, Zhang, Zhang, Xie, Li: Bag of tricks for image classification with
       convolutional neural networks. CVPR 2019.
    .. [3] Ioffe, Szegedy: Batch normalization: accelerating deep network training by reducing
       internal covariate shift. ICML 2015.
    .. [4] He, Zhang, Ren, Sun: Deep residual learning for image recognition. CVPR 2016.
    .. [5] Cohen, Welling: Group equivariant convolutional networks. ICML 2016.
    .. [6] Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov: Dropout: a simple way to
       prevent neural networks from overfitting. JMLR 15, 2014.
    .. [7] Lin, Chen, Yan: Network in network. ICLR 2014.
    .. [8] Zagoruyko, Komodakis: DiracNets: training very deep neural networks without
       skip-connections. 2017, arXiv:1706.00388.
    .. [9] Hoffer, Hubara, Soudry: Train longer, generalize better: closing the generalization
       gap in large batch training of neural networks. NIPS 2017.

    Examples
    --------
    >>> from skcnn.networks import ConvBlocks
    >>> network = ConvBlocks(filters=(8, 16)).build((28, 28, 1), n_outputs=10)
    >>> network.head
    Linear(in_features=16, out_features=10, bias=True)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **{name: [*each, *_SEQUENCES] for name, each in _EACH.items()},
        "filters": [*_EACH["filters"], *_SEQUENCES, StrOptions({"auto"})],
        **_WHOLE,
    }

    def __init__(
        self,
        filters: int | Sequence[int] | Literal["auto"] = "auto",
        *,
        convs_per_block: int | Sequence[int] = 2,
        kernel_size: int | Sequence[int] = 3,
        stem: str | None = None,
        pool: str | Sequence[str | None] | None = "max",
        pool_size: int | Sequence[int] = 2,
        pool_after: str = "last",
        activation: str = "silu",
        normalization: str | Sequence[str | None] | None = "batch",
        residual: bool | Sequence[bool] = True,
        symmetry: str | None = None,
        dense_units: int | Sequence[int] | None = None,
        dropout: float | Sequence[float] = 0.0,
        global_pool: str | None = "average",
        init: str = "uniform",
    ) -> None:
        self.filters = filters
        self.convs_per_block = convs_per_block
        self.kernel_size = kernel_size
        self.stem = stem
        self.pool = pool
        self.pool_size = pool_size
        self.pool_after = pool_after
        self.activation = activation
        self.normalization = normalization
        self.residual = residual
        self.symmetry = symmetry
        self.dense_units = dense_units
        self.dropout = dropout
        self.global_pool = global_pool
        self.init = init

    def check(self, caller: str = "ConvBlocks") -> None:
        """Check each parameter, and each value of sequences.

        Parameters
        ----------
        caller : str, default="ConvBlocks"
            Class named in messages: an estimator, where its flat parameters are checked.

        Raises
        ------
        ValueError
            If a parameter is not as described.
        """
        parameters = self.get_params(deep=False)
        check_values(caller, self._parameter_constraints, parameters)
        for name, each in _EACH.items():
            if not isinstance(parameters[name], str):
                for value in as_tuple(parameters[name]):
                    check_values(caller, {name: each}, {name: value})
        if not as_tuple(parameters["filters"]):
            for name in ("stem", "symmetry"):
                if parameters[name] is not None:
                    raise ValueError(
                        f"{caller} has filters=() and {name}={parameters[name]!r}, which needs "
                        f"convolutions. Set {name}=None, or give the filters of a block."
                    )
        if self.symmetry == "mirror" and any(side % 2 == 0 for side in ints(self.kernel_size)):
            raise ValueError(
                f'{caller} has symmetry="mirror" and kernel_size={self.kernel_size!r}. Expected '
                "odd numbers: a window with an even side has no pixel in its middle, and an image "
                "and its mirror image would get different predictions. Use kernel_size=3, for "
                "example, or symmetry=None."
            )

    def uses_batch_normalization(self) -> bool:
        """Whether a training batch needs more than one image."""
        return bool(as_tuple(self.filters)) and any(as_tuple(self.normalization))

    def allows_any_size(self) -> bool:
        """Whether the network takes images of any size: flattened maps have one size only."""
        return self.global_pool is not None and bool(as_tuple(self.filters))

    @property
    def adds_up(self) -> bool:
        """Whether outputs are sums of positive numbers over the places of the image."""
        return self.global_pool == "sum" and bool(as_tuple(self.filters))

    def measure(self, images: TrainingImages) -> dict[str, Any]:
        """Compute the statistics of the channels, and the filters of a whitening stem."""
        measured = super().measure(images)
        if self.stem == "whitening":
            measured["stem_filters"] = whitening_filters(
                images,
                measured["mean"],
                measured["scale"],
                mirrored=self.symmetry == "mirror",
            )
        return measured

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

        Sides of one pixel (rows of numbers read as images) are neither convolved along nor
        pooled.

        Raises
        ------
        ValueError
            If a parameter has the wrong number of values, nothing is left to pool, or mirrored
            filters are odd in number.
        """
        layers, n_features, n_places = self._build_body(
            image_shape, clip_pool_size=clip_pool_size, n_covariates=n_covariates
        )
        body, pixels = nn.Sequential(layers), statistics(image_shape, measured)
        options: Any = {**pixels, "n_covariates": n_covariates}
        network: ImageNetwork
        if self.adds_up:
            network = DensityNetwork(body, SumHead(n_features, n_outputs, n_places), **options)
        else:
            network = ImageNetwork(body, nn.Linear(n_features, n_outputs), **options)
        if self.init == "dirac":
            dirac_init(network)
        if measured is not None and "stem_filters" in measured:
            _set_stem(network, layers["stem"], torch.from_numpy(measured["stem_filters"]))
        return network

    def _build_body(
        self, image_shape: ImageShape, *, clip_pool_size: bool, n_covariates: int
    ) -> tuple[OrderedDict[str, nn.Module], int, int]:
        """Return the layers before the head, and the numbers of its inputs and of places."""
        *sides, channels = image_shape
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        activate = ACTIVATIONS[self.activation]
        if self.stem is not None:
            window = stem_window(image_shape)
            sides = [side - w + 1 for side, w in zip(sides, window)]
            n_filters = 2 * channels * math.prod(window)
            convolution = nn.Conv2d(channels, n_filters, window, bias=False)
            layers["stem"] = nn.Sequential(convolution.requires_grad_(False), activate())
            channels = n_filters
        filters = choose_filters(sides) if isinstance(self.filters, str) else ints(self.filters)
        self._check_filters(filters)
        block_dropout, dropout = dropout_rates(self.dropout, len(filters))
        blocks = block_parameters(self, filters)
        for number, block in enumerate(blocks, start=1):
            # There is nothing to convolve along a side of one pixel.
            kernels = tuple(block.kernel_size if side > 1 else 1 for side in image_shape[:2])
            windows = [1, 1]
            if block.pool is not None:
                windows = [block.pool_size if side > 1 else 1 for side in image_shape[:2]]
                if not clip_pool_size and any(w > s for w, s in zip(windows, sides)):
                    raise ValueError(_pooling_error(image_shape, sides, number, blocks))
                windows = [min(w, s) for w, s in zip(windows, sides)]
                sides = [side // w for side, w in zip(sides, windows)]
            layers[f"block{number}"] = built = build_block(
                channels,
                block.filters,
                n_convs=block.n_convs,
                kernel_size=(kernels[0], kernels[1]),
                activation=self.activation,
                normalization=block.normalization,
                residual=block.residual,
                symmetry=self.symmetry,
                is_first=number == 1,
                pool=block.pool,
                windows=(windows[0], windows[1]),
                pool_after=self.pool_after,
                # Zeros would tell where the edge is: a network that knows may count everything
                # in the middle of training images, and too much where the middle is larger.
                padding_mode="replicate" if self.adds_up else "zeros",
            )
            channels = block.filters
            if number < len(filters) and block_dropout[number - 1]:
                built.append(Dropout(block_dropout[number - 1]))
        n_places = math.prod(sides)
        if self.global_pool is not None and filters:
            sides = [1, 1]
            if not self.adds_up:
                layers["pool"] = GLOBAL_POOLS[self.global_pool]()
        if self.symmetry == "mirror":
            layers["mirror_mean"] = MirrorMean(keeps_places=self.adds_up)
            channels //= 2
        if not self.adds_up:
            layers["flatten"] = nn.Flatten()
        if dropout:
            layers["dropout"] = Dropout(dropout)
        n_features = channels * math.prod(sides) + n_covariates
        for number, width in enumerate(filter(None, as_tuple(whole(self.dense_units))), start=1):
            layers[f"dense{number}"] = (
                nn.Conv2d(n_features, width, 1) if self.adds_up else nn.Linear(n_features, width)
            )
            layers[f"activation{number}"] = activate()
            n_features = width
        return layers, n_features, n_places

    def _check_filters(self, filters: Sequence[int]) -> None:
        if self.symmetry == "mirror" and any(width % 2 for width in filters):
            raise ValueError(
                f'symmetry="mirror" makes pairs of filters, but filters={tuple(filters)} has an '
                "odd number. Use even numbers of filters, or symmetry=None."
            )


def _set_stem(network: nn.Module, stem: nn.Module, filters: torch.Tensor) -> None:
    """Give a stem its filters, and tell mirrored convolutions which of them are pairs."""
    convolution: Any = next(stem.children())
    with torch.no_grad():
        convolution.weight.copy_(filters)
        for layer in network.modules():
            if isinstance(layer, MirroredConv2d) and layer.unpaired_input:
                layer.pair_channels(convolution.weight)


def dirac_init(network: nn.Module) -> None:
    """Initialize the first in_channels filters of each convolution as the identity."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and layer.weight.requires_grad:
            first = layer.weight.detach()[: layer.in_channels].zero_()
            # Unlike `nn.init.dirac_`, on the pixel that an even window, too, is computed for.
            row, column = ((side - 1) // 2 for side in layer.kernel_size)
            first[:, :, row, column].fill_diagonal_(1)


def _pooling_error(
    image_shape: tuple[int, int, int],
    sides: list[int],
    number: int,
    blocks: Sequence[BlockParameters],
) -> str:
    height, width, _ = image_shape
    before, window = blocks[: number - 1], blocks[number - 1].pool_size
    fewer = (*(block.pool for block in before), *[None] * (len(blocks) - len(before)))
    return (
        f"filters makes {len(blocks)} blocks, and an image of {height}x{width} pixels is down to "
        f"{sides[0]}x{sides[1]} before block {number} pools it by pool_size={window}. Use fewer "
        f"filters, a smaller pool_size, larger images, or less pooling: pool={fewer}."
    )
