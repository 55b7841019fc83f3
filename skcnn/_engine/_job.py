"""What one call of fit is asked for: the data, and the settings of network and training."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from skorch.callbacks import Callback
from torch import Generator, Tensor

from skcnn._data._dataset import ImageDataset
from skcnn._engine._checkpoints import CheckpointRequest
from skcnn._targets import Target
from skcnn.networks import NetworkSpec
from skcnn.networks._spec import ImageShape


@dataclass(frozen=True)
class FitJob:
    """What one call of fit trains on, and for how long.

    Attributes
    ----------
    dataset : ImageDataset
    image_shape : tuple of (height, width, channels)
    target : Target
    epochs : int
    seed : int
        Decides everything random.
    clip_pool_size : bool
        Whether a new network pools less where nothing is left to pool, and images are not reduced
        to sizes that it cannot take.
    validation : ImageDataset or None
        Scored after each epoch.
    schedule : {"onecycle", "cosine"} or None
        Learning-rate schedule.
    averaging : float
        Fraction of the steps whose weights are averaged at the end.
    open_ended : bool
        Whether a callback may shorten the training.
    callbacks : sequence of skorch callbacks
    checkpoint : CheckpointRequest or None
        Where the state after each epoch is kept.
    head : dict of torch.Tensor or None
        Weights that the head of a new network begins with.
    """

    dataset: ImageDataset
    image_shape: ImageShape
    target: Target
    epochs: int
    seed: int
    clip_pool_size: bool = False
    validation: ImageDataset | None = None
    schedule: str | None = None
    averaging: float = 0.0
    open_ended: bool = False
    callbacks: Sequence[Callback] = ()
    checkpoint: CheckpointRequest | None = None
    head: dict[str, Tensor] | None = None


@dataclass(frozen=True)
class FitSettings:
    """How networks are built and trained, whatever the data.

    Attributes
    ----------
    spec : NetworkSpec
    device : torch.device
    precision : torch.dtype
        Floating-point type of training.
    optimizer : str, OptimizerSpec or torch.optim.Optimizer class
    lr, bias_lr_factor, weight_decay : float
    augment : tuple of callables
    resizing : tuple of float
        Fractions of their sides that images are reduced to.
    batch_size : int or "auto"
    compiles, deterministic : bool
    thread_limit : int or None
        Limit that the process has which sent the work to this one.
    cache_dir : str, PathLike or None
        Folder where features of frozen stages are kept.
    verbose : int
    """

    spec: NetworkSpec
    device: torch.device
    precision: torch.dtype
    optimizer: Any
    lr: float
    bias_lr_factor: float = 1.0
    weight_decay: float = 0.0
    augment: tuple[Callable[[Tensor, Generator], Tensor], ...] = ()
    resizing: tuple[float, ...] = ()
    batch_size: int | str = "auto"
    compiles: bool = False
    deterministic: bool = False
    thread_limit: int | None = None
    cache_dir: str | os.PathLike[str] | None = None
    verbose: int = field(default=0, compare=False)
