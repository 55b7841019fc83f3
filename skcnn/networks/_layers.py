"""Layers that torch lacks, or that are faster or smaller here than in torch."""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_INT64_MIN = -(2**63)
# Above, the weight gradient of torch is faster.
_MAX_SMALL_PIXELS = 25

#: What convolutions see beyond the edges of an image: zeros, or the outermost pixels again.
PaddingMode = Literal["zeros", "replicate"]


class Residual(nn.Module):
    """Convolutions beside a shortcut.

    Parameters
    ----------
    convolutions, shortcut : torch.nn.Module
        From the same images to images of the same shape.

    References
    ----------
    He, Zhang, Ren, Sun: Deep residual learning for image recognition. CVPR 2016.
    """

    def __init__(self, convolutions: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.convolutions = convolutions
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.convolutions(x) + self.shortcut(x)
        return out


class Conv2d(nn.Conv2d):
    """Convolution with a faster weight gradient for small images on a CPU.

    On feature maps of 25 pixels or fewer, torch's CPU kernel for the weight gradient underuses AMX
    matrix units; an explicit im2col matrix product is several times faster there.

    Parameters
    ----------
    in_channels, out_channels, kernel_size, padding, bias, padding_mode
        As in `torch.nn.Conv2d`.

    References
    ----------
    Chellapilla, Puri, Simard: High performance convolutional neural networks for document
    processing. IWFHR 2006.
    """

    #: Whether `Muon` may rescale the filters: here their length is no information to keep.
    keeps_norm = True
    padding: tuple[int, int]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, int],
        padding: tuple[int, int] = (0, 0),
        bias: bool = True,
        padding_mode: PaddingMode = "zeros",
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            padding=padding,
            bias=bias,
            padding_mode=padding_mode,
        )

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        trains = torch.is_grad_enabled() and weight.requires_grad and input.device.type == "cpu"
        # An export cannot follow the number of pixels where sizes are left open.
        if (
            not trains
            or self.padding_mode != "zeros"
            or torch.compiler.is_compiling()
            or input.shape[2:].numel() > _MAX_SMALL_PIXELS
        ):
            out: Tensor = super()._conv_forward(input, weight, bias)
            return out
        if torch.is_autocast_enabled("cpu"):
            # Cast here: backward runs outside of autocast, on what forward has saved.
            dtype = torch.get_autocast_dtype("cpu")
            input, weight = input.to(dtype), weight.to(dtype)
            bias = None if bias is None else bias.to(dtype)
        out = _SmallConvolution.apply(  # type: ignore[no-untyped-call]
            input, weight, bias, self.padding
        )
        return out


class AdaptiveMaxPool2d(nn.AdaptiveMaxPool2d):
    """Global max pooling: (n, channels, 1, 1).

    On GPUs torch's backward is slow and non-deterministic, so `amax` is used; tied maxima then
    share the gradient. On a CPU the first of them gets all of it, as in torch.
    """

    def __init__(self) -> None:
        super().__init__(1)

    def forward(self, input: Tensor) -> Tensor:
        if input.device.type != "cpu":
            return input.amax((2, 3), keepdim=True)
        maximum: Tensor = super().forward(input)
        return maximum


class AverageMaxPool2d(AdaptiveMaxPool2d):
    """Mean of global average and global max pooling, halved: (n, channels, 1, 1).

    Small features make small initial logits, so that the output layer learns at about the pace of
    the convolutions.
    """

    def forward(self, input: Tensor) -> Tensor:
        return (input.mean((2, 3), keepdim=True) + super().forward(input)) / 4


class _Pool2d(nn.Module):
    """Windows that can grow to cover the whole image."""

    # Pairs of int; torch declares other types for max and average pooling.
    kernel_size: Any
    stride: Any

    def __init__(self, kernel_size: tuple[int, int], *, cover_input: bool = False) -> None:
        super().__init__(kernel_size)
        self.cover_input = cover_input

    def window(self, images: Tensor) -> tuple[int, int]:
        """Height and width of the windows for images of this size."""
        height, width = self.kernel_size
        if self.cover_input:
            height += (images.shape[2] - height) % height
            width += (images.shape[3] - width) % width
        return height, width


class MaxPool2d(_Pool2d, nn.MaxPool2d):
    """Max pooling that takes less memory in training on a CPU.

    Torch saves the input for backward although it only needs its shape; this keeps the indices
    alone.

    Parameters
    ----------
    kernel_size : tuple of (height, width)
        Size and stride of the windows.
    cover_input : bool, default=False
        Whether windows overlap and grow to cover images whose sides are not multiples of the
        window. Otherwise the remaining pixels on the right and at the bottom are ignored.
    """

    def forward(self, input: Tensor) -> Tensor:
        pooled: Tensor
        trains = torch.is_grad_enabled() and input.requires_grad and input.device.type == "cpu"
        if trains and not torch.compiler.is_compiling():
            window = self.window(input)
            pooled = _MaxPool.apply(input, window, self.stride)  # type: ignore[no-untyped-call]
        else:
            pooled = nn.functional.max_pool2d(input, self.window(input), self.stride)
        return pooled


class AvgPool2d(_Pool2d, nn.AvgPool2d):
    """Average pooling whose windows can cover the whole image.

    Parameters
    ----------
    kernel_size, cover_input
        As in `MaxPool2d`.
    """

    def forward(self, input: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(input, self.window(input), self.stride)


class _SmallConvolution(torch.autograd.Function):
    # For CPUs with AMX units, on which the published times of the recipes were measured. Without
    # AMX it gains nothing (benchmarks/kernels.py: 0.95 to 1.03); measure it there before it goes.
    @staticmethod
    def forward(
        ctx: Any, images: Tensor, filters: Tensor, bias: Tensor | None, padding: tuple[int, int]
    ) -> Tensor:
        ctx.save_for_backward(images, filters)
        ctx.padding = padding
        return nn.functional.conv2d(images, filters, bias, padding=padding)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, gradient: Tensor
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        images, filters = ctx.saved_tensors
        for_images = for_filters = for_bias = None
        if ctx.needs_input_grad[0]:
            for_images, *_ = torch.ops.aten.convolution_backward.default(
                *(gradient, images, filters, None, (1, 1), ctx.padding, (1, 1), False, (0, 0), 1),
                (True, False, False),
            )
        if ctx.needs_input_grad[1]:
            n_filters, _, height, width = filters.shape
            rows, columns = ctx.padding
            padded = nn.functional.pad(images, (columns, columns, rows, rows))
            # Patches (n, rows, columns, height, width, channels).
            patches = padded.unfold(2, height, 1).unfold(3, width, 1).permute(0, 2, 3, 4, 5, 1)
            by_position = gradient.permute(0, 2, 3, 1).reshape(-1, n_filters)
            product = by_position.T @ patches.reshape(len(by_position), -1)
            for_filters = product.view(n_filters, height, width, -1).permute(0, 3, 1, 2)
        if ctx.needs_input_grad[2]:
            for_bias = gradient.sum((0, 2, 3))
        return for_images, for_filters, for_bias, None


class _MaxPool(torch.autograd.Function):
    # As fast as torch's. Without this, the network saves 1.1 to 2.0 times as many bytes for
    # backward (benchmarks/kernels.py).
    @staticmethod
    def forward(
        ctx: Any, images: Tensor, window: tuple[int, int], stride: tuple[int, int]
    ) -> Tensor:
        pooled: Tensor
        pooled, indices = torch.ops.aten.max_pool2d_with_indices(images, window, stride)
        ctx.save_for_backward(indices)
        ctx.windows, ctx.shape, ctx.stride = (window, stride), images.shape, images.stride()
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (indices,) = ctx.saved_tensors
        out = torch.empty_strided(ctx.shape, ctx.stride, dtype=gradient.dtype)
        torch.ops.aten.max_pool2d_with_indices_backward.grad_input(
            # The second argument is the input, of which only the shape is read.
            *(gradient, out, *ctx.windows, (0, 0), (1, 1), False, indices),
            grad_input=out,
        )
        return out, None, None


class Dropout(nn.Dropout):
    """Dropout with cheaper random numbers on a CPU.

    Each value uses 16 random bits, so that one 64-bit number serves four values. The rate is exact
    to 1/65536.
    """

    # Without this, a step of the default network with dropout in each block takes 2 to 7% longer,
    # one of `recipes.lesson` as long, within 4% (benchmarks/kernels.py).

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or self.p == 0 or input.device.type != "cpu":
            return super().forward(input)
        n = input.numel()
        numbers = torch.empty((n + 3) // 4, dtype=torch.int64).random_(_INT64_MIN, None)
        dropped = min(round(self.p * 2**16), 2**16 - 1)
        kept = numbers.view(torch.int16)[:n].view(input.shape) >= dropped - 2**15
        return input * (kept.to(input.dtype) / (1 - self.p))
