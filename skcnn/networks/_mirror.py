"""Layers equivariant to left-right flips.

Half of the channels use learned filters, half their mirror images. Flipping the input flips the
output and swaps the halves; averaging the halves gives an invariant.
"""

import torch
from torch import Tensor, nn

from skcnn.networks._layers import Conv2d, PaddingMode


class MirroredConv2d(Conv2d):
    """Convolution whose second half of filters mirrors its first half.

    Only the first half has weights and biases.

    Parameters
    ----------
    in_channels, out_channels, kernel_size, padding, bias, padding_mode
        As in `torch.nn.Conv2d`; `out_channels` is even.
    unpaired_input : bool, default=False
        Whether the input channels are not two mirrored halves, but those of an image, or of
        filters that `pair_channels` pairs.

    References
    ----------
    Cohen, Welling: Group equivariant convolutional networks. ICML 2016.

    Examples
    --------
    >>> import torch
    >>> convolve = MirroredConv2d(3, 8, (3, 3), padding=(1, 1), unpaired_input=True)
    >>> images = torch.rand(1, 3, 6, 6)
    >>> first, second = convolve(images).chunk(2, dim=1)
    >>> torch.allclose(convolve(images.flip(3)).chunk(2, dim=1)[1], first.flip(3), atol=1e-6)
    True
    """

    # For each unpaired input channel, the index of its mirror channel. None for paired input.
    mirror_index: Tensor | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, int],
        padding: tuple[int, int] = (0, 0),
        bias: bool = True,
        padding_mode: PaddingMode = "zeros",
        *,
        unpaired_input: bool = False,
    ) -> None:
        super().__init__(in_channels, out_channels // 2, kernel_size, padding, bias, padding_mode)
        self.out_channels = out_channels
        self.unpaired_input = unpaired_input
        self.register_buffer("mirror_index", torch.arange(in_channels) if unpaired_input else None)

    def pair_channels(self, filters: Tensor) -> None:
        """Pair the input channels by the filters that made them.

        Parameters
        ----------
        filters : torch.Tensor of shape (in_channels, channels, height, width)
            Each filter is paired with the one closest to its mirror image.
        """
        distances = torch.cdist(filters.flip(3).flatten(1), filters.flatten(1))
        assert self.mirror_index is not None
        self.mirror_index.copy_(distances.argmin(1))

    def all_filters(self, dtype: torch.dtype | None = None) -> Tensor:
        """Return filters and mirror images of shape (out_channels, in_channels, height, width)."""
        weight = self.weight.to(dtype or self.weight.dtype)
        if self.mirror_index is None:
            first, second = weight.chunk(2, dim=1)
            swapped = torch.cat([second, first], dim=1)
        else:
            swapped = weight.index_select(1, self.mirror_index)
        return torch.cat([weight, swapped.flip(3)])

    def forward(self, input: Tensor) -> Tensor:
        kind = input.device.type
        # Autocast would convert the filters after they are doubled.
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
        filters = self.all_filters(dtype)
        bias = None if self.bias is None else self.bias.repeat(2)
        out: Tensor = self._conv_forward(input, filters, bias)
        return out


class MirroredBatchNorm2d(nn.BatchNorm2d):
    """Batch normalization shared by each channel and its mirror channel.

    Examples
    --------
    >>> import torch
    >>> MirroredBatchNorm2d(8)(torch.rand(5, 8, 6, 6)).shape
    torch.Size([5, 8, 6, 6])
    """

    def __init__(self, num_features: int) -> None:
        super().__init__(num_features // 2)

    def forward(self, input: Tensor) -> Tensor:
        n, channels, height, width = input.shape
        # In channels-last memory the two halves read as an image of twice the width, without a
        # copy.
        wide = input.permute(0, 2, 3, 1).reshape(n, height, 2 * width, channels // 2)
        normalized: Tensor = super().forward(wide.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return normalized.reshape(n, height, width, channels).permute(0, 3, 1, 2)


class MirrorMean(nn.Module):
    """Mean of each channel and its mirror channel.

    Parameters
    ----------
    keeps_places : bool, default=False
        By default, the result is the same for an image and its mirror image. True keeps each
        value at its place: the result for a mirror image is the mirrored result.

    Examples
    --------
    >>> import torch
    >>> MirrorMean()(torch.rand(5, 8, 6, 6)).shape
    torch.Size([5, 4, 6, 6])
    """

    def __init__(self, *, keeps_places: bool = False) -> None:
        super().__init__()
        self.keeps_places = keeps_places

    def forward(self, input: Tensor) -> Tensor:
        first, second = input.chunk(2, dim=1)
        mean: Tensor = (first + (second if self.keeps_places else second.flip(3))) / 2
        return mean
