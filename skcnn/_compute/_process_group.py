"""Processes that train one network together."""

import contextvars
import inspect
from typing import Any, TypeVar

import joblib
import torch
import torch.distributed as dist
from torch import Tensor, nn

# Batch normalization needs two images.
_MIN_IMAGES_PER_PROCESS = 2

Value = TypeVar("Value")


class ProcessGroup:
    """Group of processes that train one network, as one of them sees it.

    Attributes
    ----------
    rank : int
        Number of this process, from 0.
    size : int
        Number of processes.
    """

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()

    def shard(
        self,
        images: Tensor,
        target: Tensor,
        weight: Tensor | None,
        covariates: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        """Return this process's rows of a batch.

        If the rows cannot be divided evenly, weights correct for that: the mean of the losses of
        all processes is the mean over all rows.
        """
        n = len(images)
        rows = torch.arange(n).tensor_split(self.size)[self.rank]
        part = slice(int(rows[0]), int(rows[-1]) + 1) if len(rows) else slice(0)
        images, target = images[part], target[part]
        weight, covariates = (x if x is None else x[part] for x in (weight, covariates))
        if n % self.size:
            ones = torch.ones(len(images), device=images.device)
            weight = (ones if weight is None else weight) * (len(images) * self.size / n)
        return images, target, weight, covariates

    def min_batch_size(self) -> int:
        """Return how many images a batch needs, so that each process gets enough of them."""
        return _MIN_IMAGES_PER_PROCESS * self.size

    def wrap_ddp(self, network: Any, device: torch.device) -> Any:
        """Wrap a network, so that processes start from equal weights and average gradients."""
        where = [torch.cuda.current_device()] if device.type == "cuda" else None
        kind: Any = nn.parallel.DistributedDataParallel
        names = ("forward_sync_buffers", "broadcast_buffers")
        # Its name changed between versions of torch.
        name = next(name for name in names if name in inspect.signature(kind).parameters)
        return kind(network, device_ids=where, **{name: False})

    def mean(self, values: Tensor) -> Tensor:
        """Average numbers over the processes."""
        total = values.clone()
        dist.all_reduce(total)
        return total / self.size

    def average_buffers(self, network: nn.Module) -> None:
        """Average buffers over the processes, such as the statistics of batch normalization."""
        for buffer in network.buffers():
            if buffer.is_floating_point():
                buffer.copy_(self.mean(buffer))

    def check_same_on_all_ranks(
        self, n_images: int, batch_size: int, epochs: int, targets: Any
    ) -> None:
        """Check that all processes train on the same data with the same parameters.

        If not, they would wait for each other forever.

        Raises
        ------
        ValueError
            If the processes differ, or batches have too few images for all of them.
        """
        if min(batch_size, n_images) < self.min_batch_size():
            raise ValueError(
                f"batch_size={batch_size} of {n_images} images cannot be divided among "
                f"{self.size} processes, each of which needs at least {_MIN_IMAGES_PER_PROCESS} "
                f"images per batch. Set batch_size to {self.min_batch_size()} or more, or train "
                "in fewer processes."
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
                        f"Process {rank} has different {name} than process 0: {value} "
                        f"instead of {all_of_them[0][name]}. Expected the same parameters and "
                        "the same data, in the same order, in all processes of data_parallel()."
                    )


current: contextvars.ContextVar[ProcessGroup | None] = contextvars.ContextVar(
    "group", default=None
)


def current_group() -> ProcessGroup | None:
    """Return the processes that share each fit; None outside of `data_parallel`."""
    return current.get()


def broadcast_from_rank_zero(value: Value) -> Value:
    """Return the value of the process of rank 0; outside of `data_parallel`, the value itself."""
    if current.get() is None:
        return value
    values = [value]
    dist.broadcast_object_list(values, src=0)
    return values[0]
