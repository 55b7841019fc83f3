"""The layers that torch does not have, or not as fast."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_INT64_MIN = -(2**63)
_CACHE_BYTES = 2**21
_FEW_PIXELS = 25


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
    """A convolution as torch has it, but for the gradients of its filters on a CPU.

    Where images are down to a few pixels, what torch calls for them keeps a CPU's units for
    products of matrices waiting, and one product of all patches takes a fraction of the time.

    Parameters
    ----------
    in_channels, out_channels, kernel_size, padding, bias
        As in `torch.nn.Conv2d`.

    References
    ----------
    Chellapilla, Puri, Simard: High performance convolutional neural networks for document
    processing. IWFHR 2006.
    """

    #: Normalization follows, or training takes the length of filters for a choice of its own.
    keeps_norm = True
    padding: tuple[int, int]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, int],
        padding: tuple[int, int] = (0, 0),
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, padding=padding, bias=bias)

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        trains = torch.is_grad_enabled() and weight.requires_grad and input.device.type == "cpu"
        if not trains or input.shape[2:].numel() > _FEW_PIXELS or torch.compiler.is_compiling():
            out: Tensor = super()._conv_forward(input, weight, bias)
            return out
        if torch.is_autocast_enabled("cpu"):
            # Here, since the way back is gone without it.
            dtype = torch.get_autocast_dtype("cpu")
            input, weight = input.to(dtype), weight.to(dtype)
            bias = None if bias is None else bias.to(dtype)
        out = _SmallConvolution.apply(  # type: ignore[no-untyped-call]
            input, weight, bias, self.padding
        )
        return out


class AdaptiveMaxPool2d(nn.AdaptiveMaxPool2d):
    """The maximum of each channel, (n, channels, 1, 1), as torch has it but for GPUs.

    There torch's own way back is slow, and its sums come in no certain order, which
    `deterministic=True` does not allow. Where several pixels are the largest, they share here
    what the first of them gets on a CPU.
    """

    def __init__(self) -> None:
        super().__init__(1)

    def forward(self, input: Tensor) -> Tensor:
        if input.device.type != "cpu":
            return input.amax((2, 3), keepdim=True)
        maximum: Tensor = super().forward(input)
        return maximum


class AverageMaxPool2d(AdaptiveMaxPool2d):
    """A quarter of average plus maximum of each channel: (n, channels, 1, 1).

    Of features that small, the output layer makes small logits to begin with, and learns from them
    at a pace nearer to that of convolutions.
    """

    def forward(self, input: Tensor) -> Tensor:
        return (input.mean((2, 3), keepdim=True) + super().forward(input)) / 4


class MaxPool2d(nn.MaxPool2d):
    """Max pooling as torch has it, but for the memory that it takes in training on a CPU.

    Torch keeps the images that it has pooled until they are gone through backwards, though all
    it asks them then is their shape.

    Parameters
    ----------
    kernel_size : tuple of (height, width)
        Of the windows, and the distance between them.
    cover_input : bool, default=False
        Whether windows grow so that they cover images whose sides are no multiples of them, in
        place of leaving out what is left over on the right and below.
    """

    kernel_size: tuple[int, int]

    def __init__(self, kernel_size: tuple[int, int], *, cover_input: bool = False) -> None:
        super().__init__(kernel_size)
        self.cover_input = cover_input

    def forward(self, input: Tensor) -> Tensor:
        pooled: Tensor
        window = _window(self, input)
        trains = torch.is_grad_enabled() and input.requires_grad and input.device.type == "cpu"
        if trains and not torch.compiler.is_compiling():
            pooled = _MaxPool.apply(input, window, self.stride)  # type: ignore[no-untyped-call]
        else:
            pooled = nn.functional.max_pool2d(input, window, self.stride)
        return pooled


class AvgPool2d(nn.AvgPool2d):
    """Average pooling as torch has it, but for windows that can cover all of an image.

    Parameters
    ----------
    kernel_size, cover_input
        As in `MaxPool2d`.
    """

    kernel_size: tuple[int, int]

    def __init__(self, kernel_size: tuple[int, int], *, cover_input: bool = False) -> None:
        super().__init__(kernel_size)
        self.cover_input = cover_input

    def forward(self, input: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(input, _window(self, input), self.stride)


def _window(pool: MaxPool2d | AvgPool2d, images: Tensor) -> tuple[int, int]:
    """Height and width of a pooling's windows."""
    height, width = pool.kernel_size
    if pool.cover_input:
        height += (images.shape[2] - height) % height
        width += (images.shape[3] - width) % width
    return height, width


class _SmallConvolution(torch.autograd.Function):
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
            # (n, channels, rows, columns, height, width), of which channels lie side by side.
            patches = padded.unfold(2, height, 1).unfold(3, width, 1).permute(0, 2, 3, 4, 5, 1)
            by_place = gradient.permute(0, 2, 3, 1).reshape(-1, n_filters)
            product = by_place.T @ patches.reshape(len(by_place), -1)
            for_filters = product.view(n_filters, height, width, -1).permute(0, 3, 1, 2)
        if ctx.needs_input_grad[2]:
            for_bias = gradient.sum((0, 2, 3))
        return for_images, for_filters, for_bias, None


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, images: Tensor, window: tuple[int, int], distance: tuple[int, int]
    ) -> Tensor:
        pooled: Tensor
        pooled, places = torch.ops.aten.max_pool2d_with_indices(images, window, distance)
        ctx.save_for_backward(places)
        ctx.windows, ctx.shape, ctx.stride = (window, distance), images.shape, images.stride()
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (places,) = ctx.saved_tensors
        out = torch.empty_strided(ctx.shape, ctx.stride, dtype=gradient.dtype)
        # Torch clears the images, then writes into them: in pieces, this finds them in the cache.
        n_images = max(1, _CACHE_BYTES * len(out) // max(1, out.nbytes))
        pieces = (tensor.split(n_images) for tensor in (gradient, out, places))
        for gradient_piece, piece, places_piece in zip(*pieces, strict=True):
            torch.ops.aten.max_pool2d_with_indices_backward.grad_input(
                # The second is where the images belong.
                *(gradient_piece, piece, *ctx.windows, (0, 0), (1, 1), False, places_piece),
                grad_input=piece,
            )
        return out, None, None


class Dropout(nn.Dropout):
    """Dropout as torch has it, whose random numbers cost a tenth on a CPU.

    There a value is kept or not by 16 random bits of its own, four of which come with each
    number of the generator: the rate is met to within 1/65536.
    """

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or self.p == 0 or input.device.type != "cpu":
            return super().forward(input)
        n = input.numel()
        numbers = torch.empty((n + 3) // 4, dtype=torch.int64).random_(_INT64_MIN, None)
        dropped = min(round(self.p * 2**16), 2**16 - 1)
        kept = numbers.view(torch.int16)[:n].view(input.shape) >= dropped - 2**15
        return input * (kept.to(input.dtype) / (1 - self.p))
