"""Inference for users: images through a fitted network, within what the machine has."""

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from skcnn._compute._allocator import retain_freed_memory
from skcnn._compute._device_memory import explain_out_of_memory, reserve_device_memory
from skcnn._compute._fork import computing
from skcnn._compute._interrupt import hold_interrupts
from skcnn._compute._threads import compute_threads
from skcnn._data._arrays import ImageShape
from skcnn._data._inputs import AnyImages
from skcnn._engine._feature_cache import FeatureCache
from skcnn._engine._predict import ImageSource, PredictionBatching, plan_batches, run_images
from skcnn.networks import ImageNetwork
from skcnn.networks._summary import summarize

_HINT = "Pass fewer images at a time, or free memory there"


def infer(
    function: Callable[..., Tensor],
    images: AnyImages,
    device: torch.device,
    batching: PredictionBatching,
    costs: tuple[int, int],
    thread_limit: int | None,
    *,
    flip: bool = False,
    cache: FeatureCache | None = None,
) -> npt.NDArray[np.float32]:
    """Run images through a network; those that cannot be read get NaN, with a warning.

    Parameters
    ----------
    function, images, device, batching, flip
        As for `run_images`.
    costs : tuple of (multiply_adds, n_values)
        Of the network, for one image.
    thread_limit : int or None
        As for `compute_threads`.
    cache : FeatureCache or None
        Where features of frozen stages are kept, which `function` takes in place of images.

    Returns
    -------
    outputs : ndarray of shape (n, n_outputs), float32
    """
    multiply_adds, n_values = costs
    work = multiply_adds * min(len(images), batching.batch_size)
    with (
        hold_interrupts(),
        reserve_device_memory(device, torch.float32.itemsize * n_values * batching.batch_size),
        compute_threads(
            device,
            work,
            training=False,
            inherited=thread_limit,
            in_all=multiply_adds * len(images),
        ),
        retain_freed_memory(),
        explain_out_of_memory(device, _HINT),
    ):
        images.check()
        source: ImageSource = images
        if cache is not None:
            frozen = cache.network.frozen_features
            run = partial(run_images, frozen, device=device, batching=batching)
            source = cache.replace_images(images, run, batching.batch_size, is_fit=False)
        outputs = run_images(function, source, device, batching, flip=flip)
    images.clear_missing(outputs)
    return outputs


def scale_plan(
    costs: tuple[int, int], old: ImageShape, new: ImageShape, device: torch.device
) -> tuple[PredictionBatching, tuple[int, int]]:
    """Return how images of another size are batched, by a network whose costs grow with the area.

    Parameters
    ----------
    costs : tuple of (multiply_adds, n_values)
        For an image of the old size.
    old, new : tuple of (height, width, channels)
    device : torch.device
    """
    factor = (new[0] * new[1]) / (old[0] * old[1])
    scaled = (round(costs[0] * factor), round(costs[1] * factor))
    return plan_batches(new, *scaled, device), scaled


def plan_inference(
    network: ImageNetwork, image_shape: ImageShape, device: torch.device
) -> tuple[PredictionBatching, tuple[int, int]]:
    """Return how images of another size than in training are batched, and what each costs.

    Raises
    ------
    ValueError
        If the network pools such images away.
    """
    try:
        with hold_interrupts(), computing():
            summary = summarize(network, image_shape)
    except RuntimeError as error:
        raise ValueError(
            f"X holds images of height {image_shape[0]} and width {image_shape[1]}, too small "
            "for the pooling of the network. Give larger images, or enlarge them."
        ) from error
    costs = (summary.multiply_adds, summary.n_values)
    return plan_batches(image_shape, *costs, device), costs
