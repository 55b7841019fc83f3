"""One fit in several processes, each with its own GPU and its share of every batch."""

import contextvars
import gc
import inspect
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from typing import Any, TypeVar

import joblib
import torch
import torch.distributed as dist
from torch import Tensor, nn

__all__ = ["data_parallel"]

# Batch normalisation cannot take a single image.
_LEAST_SHARE = 2

Value = TypeVar("Value")


class Group:
    """The processes that train one network, seen from one of them.

    Attributes
    ----------
    rank : int
        The number of this process, from 0.
    size : int
        How many there are.
    """

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()

    def share(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return this process's rows of images, labels and weights.

        Where the rows cannot be shared out evenly, weights make up for it: the mean over the
        processes of their mean losses is the mean over all the rows.
        """
        n = len(tensors[0])
        images, labels, *weight = (t.tensor_split(self.size)[self.rank] for t in tensors)
        if n % self.size:
            ones = torch.ones(len(images), device=images.device)
            weight = [(weight[0] if weight else ones) * (len(images) * self.size / n)]
        return images, labels, *weight

    def fewest(self) -> int:
        """How many images a batch must have for each process to get a share."""
        return _LEAST_SHARE * self.size

    def wrap(self, network: Any, device: torch.device) -> Any:
        """Return a network whose gradients are averaged over the processes, from equal weights."""
        where = [torch.cuda.current_device()] if device.type == "cuda" else None
        kind: Any = nn.parallel.DistributedDataParallel
        names = ("forward_sync_buffers", "broadcast_buffers")
        # The first is what newer torch calls it.
        name = next(name for name in names if name in inspect.signature(kind).parameters)
        return kind(network, device_ids=where, **{name: False})

    def mean(self, values: Tensor) -> Tensor:
        """Average numbers over the processes."""
        total = values.clone()
        dist.all_reduce(total)
        return total / self.size

    def average_buffers(self, network: nn.Module) -> None:
        """Average what each process has measured, as batch normalisation does."""
        for buffer in network.buffers():
            if buffer.is_floating_point():
                buffer.copy_(self.mean(buffer))

    def check_alike(self, n_images: int, batch_size: int, epochs: int, labels: Any) -> None:
        """Check that all processes are about to do the same, lest they wait for each other.

        Raises
        ------
        ValueError
            Where they are not, or a process would get no share of the batches.
        """
        if min(batch_size, n_images) < self.fewest():
            raise ValueError(
                f"batch_size={batch_size} of {n_images} images cannot be shared by {self.size} "
                f"processes, each of which takes at least {_LEAST_SHARE} images of a batch. Set "
                f"batch_size to {self.fewest()} or more, or train in fewer processes."
            )
        mine = {
            "images": n_images,
            "batch_size": batch_size,
            "max_epochs": epochs,
            "labels": joblib.hash(labels),
        }
        all_of_them: list[Any] = [None] * self.size
        dist.all_gather_object(all_of_them, mine)
        for rank, other in enumerate(all_of_them):
            for name, value in other.items():
                if value != all_of_them[0][name]:
                    raise ValueError(
                        f"Process {rank} trains with other {name} than process 0: {value} "
                        f"instead of {all_of_them[0][name]}. Expected the same parameters and "
                        "the same data, in the same order, in all processes of data_parallel()."
                    )


_current: contextvars.ContextVar[Group | None] = contextvars.ContextVar("group", default=None)


def current_group() -> Group | None:
    """Return the processes that fits are shared among; None where each fit is one process's."""
    return _current.get()


def agreed(value: Value) -> Value:
    """Return what the first process has, where fits are shared; otherwise the value itself."""
    if _current.get() is None:
        return value
    values = [value]
    dist.broadcast_object_list(values, src=0)
    return values[0]


@contextmanager
def data_parallel() -> Iterator[None]:
    """Let all processes of a script train each network together.

    For networks that take too long on one GPU. The script is started once for each GPU, all of
    them read the same data, and each fit in this block is one fit of them all: of every batch,
    each process computes the gradients of its share, and all take the same step down their mean
    (torch's DistributedDataParallel [1]_). Processes are given by ``torchrun --nproc-per-node=4
    script.py`` or ``accelerate launch script.py``, on one machine or several. A script that is
    started as usual does what it does without this block.

    Raises
    ------
    ValueError
        In `fit`, where the processes have different data or parameters, or a batch has fewer than
        two images for each.

    Notes
    -----
    The batches are those of a fit in one process, down to their augmentation, and so are loss
    curve and network, but for rounding and these: batch normalisation takes means over a
    process's share of the batch, each process draws its own values for dropout, and of an epoch's
    last batch nothing is left that is smaller than two images a process.

    `batch_size` is that of all processes together. Each process computes all validation and all
    predictions by itself. They wait for each other: whatever ends the training early, such as a
    callback, has to do so in all of them. On CPUs, each process keeps the number of threads that
    torchrun gives it, one unless the environment variable OMP_NUM_THREADS names more.

    References
    ----------
    .. [1] Li et al.: PyTorch distributed: experiences on accelerating data parallel training.
       VLDB 2020.

    Examples
    --------
    >>> from skcnn import ConvNetClassifier
    >>> from skcnn.datasets import make_organisms
    >>> from skcnn.distributed import data_parallel
    >>> X, y = make_organisms(n_samples=120, n_classes=3, image_size=16, random_state=0)
    >>> with data_parallel():
    ...     clf = ConvNetClassifier(max_epochs=1, random_state=0).fit(X, y)
    """
    begun_here = not dist.is_available() or not dist.is_initialized()
    if begun_here and "RANK" not in os.environ:
        yield
        return
    with_gpus = torch.cuda.is_available()
    local = int(os.environ.get("LOCAL_RANK", 0))
    if begun_here:
        # Its functions have the group as a default: were they made later, it would never end.
        import_module("torch.distributed.nn")
        dist.init_process_group("cpu:gloo,cuda:nccl" if with_gpus else "gloo")
    with torch.cuda.device(local) if with_gpus else nullcontext(), warnings.catch_warnings():
        # The memory of a filter of one pixel is channels last and channels first at once.
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view", UserWarning)
        token = _current.set(Group())
        try:
            yield
        finally:
            _current.reset(token)
    # Not after an error: the other processes may be waiting in the midst of a step.
    if begun_here:
        # Wrapped networks lie in cycles and hold the group, whose threads have to end before the
        # interpreter does: one that still gives a tensor back then aborts the process.
        gc.collect()
        dist.destroy_process_group()
