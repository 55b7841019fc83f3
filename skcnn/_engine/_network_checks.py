"""Whether a network takes the images of a fit, and answers what the fit asks."""

import re
from collections.abc import Sequence
from inspect import signature

import torch

from skcnn._data._resize import scaled_size
from skcnn._targets import Target
from skcnn._utils import warn
from skcnn.networks import ImageNetwork, NetworkSpec
from skcnn.networks._copy import structural_copy
from skcnn.networks._spec import ImageShape
from skcnn.networks._summary import NetworkSummary, summarize

# What outputs are behind some functions, by torch's names of them.
_LIMITS = {
    "Exp": "never negative",
    "Relu": "never negative",
    "Sigmoid": "between 0 and 1",
    "Softmax": "between 0 and 1",
    "Softplus": "never negative",
    "Tanh": "between -1 and 1",
}


def check_outputs(
    network: ImageNetwork, image_shape: ImageShape, target: Target
) -> NetworkSummary:
    """Return the summary of a network, which must take such images and fit the target."""
    try:
        summary = summarize(network, image_shape)
    except RuntimeError as error:
        raise ValueError(
            "The network of module= cannot take an image of height, width and channels "
            f"{image_shape}: {error}"
        ) from error
    expected = target.output_shape(image_shape)
    if summary.output_shape != expected:
        raise ValueError(
            f"The network of module= has outputs of shape {('n', *summary.output_shape)}, "
            f"expected {target.description}, {('n', *expected)}."
            f"{_way_out(summary.output_shape, expected)}"
        )
    return summary


def _way_out(found: tuple[int, ...], expected: tuple[int, ...]) -> str:
    """Return what to do where a network is for images, and not for pixels, or the other way."""
    if len(found) == 1 and len(expected) == 3:
        return (
            " For one answer per pixel, put what describes the network into a U-Net, such as "
            "module=UNet(ConvBlocks((16, 32))) or module=UNet(Backbone(...))."
        )
    if len(found) == 3 and len(expected) == 1:
        return (
            " That is one answer per pixel, as a U-Net gives it. For one per image, use what is "
            "inside of the U-Net, such as module=ConvBlocks((16, 32)), or ConvNetSegmenter for "
            "masks."
        )
    return ""


def check_takes_covariates(spec: NetworkSpec) -> None:
    """Raise a ValueError if a network specification knows nothing of covariates."""
    if "n_covariates" not in signature(spec.build).parameters:
        raise ValueError(
            f"X has covariates beside the images, which module={spec!r} does not take: its "
            "`build` has no argument `n_covariates`. Pass the images alone, or another module."
        )


def warn_of_limited_outputs(
    network: ImageNetwork, image_shape: ImageShape, target: Target
) -> None:
    """Warn if a user's network seems to end in a function that training does not expect there.

    The loss of classes takes logits. Numbers are learned relative to their mean, so that outputs
    have any sign.
    """
    noise = torch.rand(2, *image_shape, generator=torch.Generator().manual_seed(0)) * 255
    run = structural_copy(network).eval()
    # Where there are gradients, tensors know the function that has made them.
    with torch.enable_grad():
        # One at a time, as `summarize` did: what a batch takes is checked later.
        each = [run(image[None]) for image in noise.to(network.mean.device)]
    outputs = torch.cat(each).detach().float()
    sums_to_one = bool((outputs >= 0).all()) and bool(((outputs.sum(1) - 1).abs() < 1e-4).all())
    if target.kind == "classifier" and sums_to_one:
        warn(
            "The network of module= seems to return probabilities: its outputs sum to 1. Return "
            "logits, without a softmax at the end; the loss applies it."
        )
        return
    last = re.sub(r"Backward\d*$", "", type(each[0].grad_fn).__name__)
    if last in _LIMITS:
        wanted = {"classifier": "logits", "regressor": "numbers of any sign"}
        warn(
            f"The network of module= ends in {last.lower()}, so that its outputs are "
            f"{_LIMITS[last]}. Return "
            f"{wanted.get(target.kind or '', 'logits, and numbers of any sign')}, without "
            f"{last.lower()} at the end; the loss and the predictions apply what they need."
        )


def possible_scales(
    scales: Sequence[float],
    network: ImageNetwork,
    image_shape: ImageShape,
    *,
    are_images: bool,
) -> tuple[float, ...]:
    """Return the scales of progressive resizing; rows that are no images stay large enough."""
    height, width, channels = image_shape
    possible = []
    for scale in scales:
        size = scaled_size((height, width), scale)
        error = None if size == (height, width) else _obstacle(network, (*size, channels))
        if error is not None and are_images:
            raise ValueError(
                f"progressive_resizing={tuple(scales)!r} trains on images of {size[0]}x"
                f"{size[1]} pixels, which the network cannot take ({error}). Use larger "
                "fractions, or pool less."
            ) from error
        possible.append(scale if error is None else 1.0)
    return tuple(possible)


def _obstacle(network: ImageNetwork, image_shape: ImageShape) -> RuntimeError | None:
    """Return the error of a network for images of another size; None if it takes them."""
    try:
        summarize(network, image_shape)
    except RuntimeError as error:
        return error
    return None
