"""The U-Net: an encoder that pools maps, a decoder that enlarges them again, a head per pixel."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from skcnn.networks._blocks import build_block
from skcnn.networks._image_network import ImageNetwork
from skcnn.networks._layers import Conv2d

Sides = tuple[int, int]


@dataclass(frozen=True)
class Level:
    """Maps that an encoder passes to the decoder.

    Attributes
    ----------
    channels : int
    stride : tuple of (height, width)
        Pixels of the image per pixel of the maps.
    """

    channels: int
    stride: Sides


def pad_to_multiple(images: Tensor, multiple: Sides) -> Tensor:
    """Extend images to sides that are multiples of a number, by reflection.

    Parameters
    ----------
    images : torch.Tensor of shape (n, channels, height, width)
        They stay in the upper left corner.
    multiple : tuple of (height, width)

    Examples
    --------
    >>> pad_to_multiple(torch.arange(3.0).view(1, 1, 1, 3), (1, 8)).flatten().tolist()
    [0.0, 1.0, 2.0, 1.0, 0.0, 1.0, 2.0, 1.0]
    """
    height, width = images.shape[2:]
    rows, columns = (-side % step for side, step in zip((height, width), multiple))
    if not rows and not columns:
        return images
    if rows < height and columns < width:
        return nn.functional.pad(images, (0, columns, 0, rows), mode="reflect")
    for axis, more in ((2, rows), (3, columns)):
        images = reflect(images, axis, images.shape[axis] + more)
    return images


def reflect(images: Tensor, axis: int, total: int) -> Tensor:
    """Extend an axis of images to a number of pixels, by as many reflections as that takes."""
    # In tensors, so that an export can follow sizes that are left open.
    length = torch.full((1,), 2 * images.shape[axis] - 2, device=images.device).clamp_min(1)
    place = torch.arange(total, device=images.device) % length
    return images.index_select(axis, torch.minimum(place, length - place))


class PoolingEncoder(nn.Sequential):
    """Blocks of convolutions with pooling between them.

    Parameters
    ----------
    parts : OrderedDict of torch.nn.Module
    levels : sequence of Level
        One for the maps before each pooling, and the last one for those of the last block.
    """

    def __init__(self, parts: "OrderedDict[str, nn.Module]", levels: Sequence[Level]) -> None:
        super().__init__(parts)
        self.levels = tuple(levels)
        self.main_parts = tuple(name for name in parts if not name.startswith("pool"))

    def forward(self, input: Tensor) -> list[Tensor]:
        """Return maps from the finest to the coarsest."""
        maps = []
        for name, part in self.named_children():
            if name.startswith("pool"):
                maps.append(input)
            input = part(input)
        return [*maps, input]


class PretrainedEncoder(nn.Module):
    """A network that was trained elsewhere, and the maps that some of its parts leave.

    Its normalization keeps the statistics of its own training.

    Parameters
    ----------
    stages : OrderedDict of torch.nn.Module
        They run one after the other.
    tapped : sequence of str
        Paths of the parts in the stages, from the finest maps to the coarsest.
    levels : sequence of Level
        The image itself first, then one for each of these parts.
    """

    def __init__(
        self,
        stages: "OrderedDict[str, nn.Module]",
        tapped: Sequence[str],
        levels: Sequence[Level],
    ) -> None:
        super().__init__()
        self.stages = nn.Sequential(stages)
        self.tapped = tuple(tapped)
        self.main_parts = tuple(f"stages.{path}" for path in tapped)
        self.levels = tuple(levels)
        for path in self.tapped:
            self.stages.get_submodule(path).register_forward_hook(_keep)

    def train(self, mode: bool = True) -> "PretrainedEncoder":
        """Set the mode; normalization stays as it is."""
        super().train(mode)
        self.stages.eval()
        return self

    def forward(self, input: Tensor) -> list[Tensor]:
        """Return maps from the finest to the coarsest."""
        kept: dict[int, Tensor] = {}
        _KEPT.outputs = kept
        try:
            self.stages(input)
        finally:
            del _KEPT.outputs
        return [input, *(kept[id(self.stages.get_submodule(path))] for path in self.tapped)]


# Outputs of the run in this thread: several threads may run one network.
_KEPT = threading.local()


def _keep(module: nn.Module, inputs: object, output: Tensor) -> None:
    if hasattr(_KEPT, "outputs"):
        _KEPT.outputs[id(module)] = output


class UpBlock(nn.Module):
    """Enlarge coarse maps, join them with finer ones, and convolve both.

    Parameters
    ----------
    channels, skip_channels, filters : int
        Of the coarse maps, of the finer ones, and of what it returns.
    factor : tuple of (height, width)
        How much larger the finer maps are.
    n_convs, kernel_size, activation, normalization, residual
        As in `build_block`.
    """

    def __init__(
        self,
        channels: int,
        skip_channels: int,
        filters: int,
        factor: Sides,
        *,
        n_convs: int,
        kernel_size: Sides,
        activation: str,
        normalization: str | None,
        residual: bool,
    ) -> None:
        super().__init__()
        # Fewer channels before they are enlarged: there are fewer pixels to work on.
        self.reduce = Conv2d(channels, filters, (1, 1))
        self.enlarge = nn.Upsample(scale_factor=(float(factor[0]), float(factor[1])))
        self.convolve = build_block(
            filters + skip_channels,
            filters,
            n_convs=n_convs,
            kernel_size=kernel_size,
            activation=activation,
            normalization=normalization,
            residual=residual,
            symmetry=None,
            is_first=False,
            pool=None,
            windows=(1, 1),
            pool_after="last",
        )

    def forward(self, coarse: Tensor, finer: Tensor) -> Tensor:
        """Return maps of the size of the finer ones."""
        maps: Tensor = self.convolve(torch.cat([self.enlarge(self.reduce(coarse)), finer], 1))
        return maps


class UNetBody(nn.Module):
    """From standardized images to maps (n, channels, height, width) of the same size.

    Parameters
    ----------
    encoder : PoolingEncoder or PretrainedEncoder
    decoder : OrderedDict of UpBlock
        From the coarsest level to the finest.
    """

    def __init__(
        self,
        encoder: PoolingEncoder | PretrainedEncoder,
        decoder: "OrderedDict[str, nn.Module]",
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = nn.ModuleDict(decoder)

    @property
    def stride(self) -> Sides:
        """Multiples that the sides of images are extended to."""
        return self.encoder.levels[-1].stride

    def coarsest(self, images: Tensor) -> Tensor:
        """Return the coarsest maps."""
        maps: list[Tensor] = self.encoder(pad_to_multiple(images, self.stride))
        return maps[-1]

    def forward(self, images: Tensor) -> Tensor:
        """Return the finest maps, cut to the size of the images."""
        *finer, maps = self.encoder(pad_to_multiple(images, self.stride))
        for block, skip in zip(self.decoder.values(), reversed(finer)):
            maps = block(maps, skip)
        cut: Tensor = maps[:, :, : images.shape[2], : images.shape[3]]
        return cut


class PixelHead(nn.Linear):
    """A linear layer at each pixel: (n, in_features, h, w) to (n, out_features, h, w)."""

    def forward(self, input: Tensor) -> Tensor:
        """Return the outputs for maps."""
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class UNetNetwork(ImageNetwork):
    """Network from images (n, height, width, channels) to maps (n, n_outputs, height, width).

    It takes images of any size. Its features are the means of the coarsest maps.
    """

    takes_any_size = True
    body: UNetBody

    def __init__(
        self, body: UNetBody, head: nn.Module, mean: Sequence[float], scale: Sequence[float]
    ) -> None:
        super().__init__(body, head, mean, scale)
        self.stride = body.stride
        encoder = [f"encoder.{name}" for name in body.encoder.main_parts]
        self.main_parts = (*encoder, *(f"decoder.{name}" for name in body.decoder))

    def features(self, images: Tensor, covariates: Tensor | None = None) -> Tensor:
        """Return the features of images, of shape (n, n_features)."""
        coarsest: Tensor = self.body.coarsest(self.standardize(images))
        return coarsest.mean((2, 3))

    def forward(self, images: Tensor, covariates: Tensor | None = None) -> Tensor:
        """Return the outputs for each pixel, of shape (n, n_outputs, height, width)."""
        outputs: Tensor = self.head(self.body(self.standardize(images)))
        return outputs
