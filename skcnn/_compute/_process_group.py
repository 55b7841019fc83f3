"""The processes that train one network together."""

import contextvars
import inspect
from typing import Any, TypeVar

import joblib
import torch
import torch.distributed as dist
from torch import Tensor, nn

# Batch normalisation cannot take a single image.
_LEAST_SHARE = 2

Value = TypeVar("Value")


class ProcessGroup:
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

    def shard(
        self, images: Tensor, target: Tensor, weight: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return this process's rows of a batch.

        Where the rows cannot be divided evenly, weights make up for it: the mean over the
        processes of their mean losses is the mean over all rows.
        """
        n = len(images)
        rows = torch.arange(n).tensor_split(self.size)[self.rank]
        part = slice(int(rows[0]), int(rows[-1]) + 1) if len(rows) else slice(0)
        images, target = images[part], target[part]
        weight = None if weight is None else weight[part]
        if n % self.size:
            ones = torch.ones(len(images), device=images.device)
            weight = (ones if weight is None else weight) * (len(images) * self.size / n)
        return images, target, weight

    def min_batch_size(self) -> int:
        """How many images a batch must have for each process to get a share."""
        return _LEAST_SHARE * self.size

    def wrap_ddp(self, network: Any, device: torch.device) -> Any:
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

    def check_same_on_all_ranks(
        self, n_images: int, batch_size: int, epochs: int, targets: Any
    ) -> None:
        """Check that all processes are about to do the same, lest they wait for each other.

        Raises
        ------
        ValueError
            Where they are not, or a process would get no share of the batches.
        """
        if min(batch_size, n_images) < self.min_batch_size():
            raise ValueError(
                f"batch_size={batch_size} of {n_images} images cannot be shared by {self.size} "
                f"processes, each of which takes at least {_LEAST_SHARE} images of a batch. Set "
                f"batch_size to {self.min_batch_size()} or more, or train in fewer processes."
            )
        mine = {
            "images": n_images,
            "batch_size": batch_size,
            "max_epochs": epochs,
            "targets": joblib.hash(targets),
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


current: contextvars.ContextVar[ProcessGroup | None] = contextvars.ContextVar(
    "group", default=None
)


def current_group() -> ProcessGroup | None:
    """Return the processes that fits are shared among; None where each fit is one process's."""
    return current.get()


def broadcast_from_rank_zero(value: Value) -> Value:
    """Return what the first process has, where fits are shared; otherwise the value itself."""
    if current.get() is None:
        return value
    values = [value]
    dist.broadcast_object_list(values, src=0)
    return values[0]
