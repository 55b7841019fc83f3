"""One fit on several GPUs, and fault-tolerant searches on Dask clusters."""

import gc
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from importlib import import_module
from typing import Any
from uuid import uuid4

import torch
import torch.distributed as dist

from skcnn._compute._process_group import ProcessGroup, current

__all__ = ["data_parallel", "replicate_scattered_data"]


@contextmanager
def data_parallel() -> Iterator[None]:
    """Train each network in all processes of a script together, on one GPU per process.

    For networks that take too long on one GPU. The script is started once per GPU, and all
    processes read the same data. Each fit in this block is then one fit of all of them: each
    process computes the gradients of its part of a batch, and all take the same step with the mean
    of the gradients (torch's DistributedDataParallel [1]_). Start the processes with ``torchrun
    --nproc-per-node=4 script.py`` or ``accelerate launch script.py``, on one machine or several. A
    script that is started as usual runs as it would without this block.

    Raises
    ------
    ValueError
        In `fit`, if the processes have different data or parameters, or if a batch has fewer than
        two images per process.

    Notes
    -----
    Batches and their augmentation are those of a fit in one process. The loss curve and the
    network are the same, too, except for rounding and the following: batch normalization computes
    means over a process's part of the batch, each process draws its own dropout, and the last
    batch of an epoch is left out if it has fewer than two images per process.

    `batch_size` is that of all processes together. Each process computes all validation and all
    predictions by itself. The processes wait for each other: if something ends the training
    early, such as a callback, it has to do so in all of them. On CPUs, each process uses the
    number of threads that torchrun sets: one, unless the environment variable OMP_NUM_THREADS is
    set.

    References
    ----------
    .. [1] S. Li et al.: PyTorch distributed: experiences on accelerating data parallel training.
       Proceedings of the VLDB Endowment 13(12), 2020.

    Examples
    --------
    >>> from skcnn import ConvNetClassifier
    >>> from skcnn.datasets import make_organisms
    >>> from skcnn.parallel import data_parallel
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
        # Functions of this module keep the group as a default argument if they are defined while
        # it exists, and it could then never be destroyed.
        import_module("torch.distributed.nn")
        dist.init_process_group("cpu:gloo,cuda:nccl" if with_gpus else "gloo")
    with torch.cuda.device(local) if with_gpus else nullcontext(), warnings.catch_warnings():
        # Filters of one pixel are in channels-last and channels-first layout at once.
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view", UserWarning)
        token = current.set(ProcessGroup())
        try:
            yield
        finally:
            current.reset(token)
    # Not after an error: the other processes may still be waiting in a training step.
    if begun_here:
        # Wrapped networks are in reference cycles and hold the group. Its threads have to end
        # before the interpreter does: a thread that frees a tensor after that aborts the process.
        gc.collect()
        dist.destroy_process_group()


def replicate_scattered_data(client: Any) -> Any:
    """Patch a Dask client so that scattered data can be recomputed when a worker dies.

    This replaces the method `scatter` of the client that you pass. Calling the function again
    changes nothing. A new client is not affected.

    joblib's Dask backend calls `scatter` with each large argument of a search: the images and the
    rows of each fold. Dask's own `scatter` sends them to one worker. When that worker dies, they
    are lost, and all tasks that need them are canceled or wait forever. The patched `scatter`
    submits a task that returns the data. The scheduler keeps the task: workers copy the data from
    each other, and when the last copy is lost, another worker runs the task again. If a worker
    dies, only the fits that ran there are repeated.

    Parameters
    ----------
    client : distributed.Client
        Connected to the cluster, and changed by this function. From now on, the scheduler keeps
        a copy of all data that are scattered.

    Returns
    -------
    client : distributed.Client
        The same object.

    Raises
    ------
    TypeError
        If `client` is not a Dask client, or is an asynchronous one.

    Examples
    --------
    >>> import joblib
    >>> from distributed import Client  # doctest: +SKIP
    >>> client = replicate_scattered_data(Client("scheduler:8786"))  # doctest: +SKIP
    >>> with joblib.parallel_config("dask"):  # doctest: +SKIP
    ...     search.fit(X, y)
    """
    if not all(hasattr(client, name) for name in ("scatter", "submit")) or client.asynchronous:
        raise TypeError(
            f"client={client!r} is not a synchronous Dask client. Expected "
            'distributed.Client(...), which pip install "skcnn[dask]" provides.'
        )
    if getattr(client.scatter, "func", None) is not _scatter:
        client.scatter = partial(_scatter, client)
    return client


class _Data:
    """A task that returns its data. Dask does not search them for tasks, unlike arguments."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __call__(self) -> Any:
        return self.data


def _scatter(client: Any, data: Any, *, asynchronous: bool = False, **kwargs: Any) -> Any:
    """Replace `distributed.Client.scatter`: return a future, or a collection of futures.

    `kwargs`, which choose the workers, are ignored: the scheduler chooses them.
    """
    if asynchronous:
        return _scattered(client, data)
    if type(data) is dict:
        return {name: _submit(client, piece, key=name) for name, piece in data.items()}
    if type(data) in (list, tuple, set, frozenset):
        return type(data)(_submit(client, piece) for piece in data)
    return _submit(client, data)


async def _scattered(client: Any, data: Any) -> Any:
    return _scatter(client, data)


def _submit(client: Any, data: Any, key: Any = None) -> Any:
    import dask

    # Dask warns of large data in its graph, which are intended here.
    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 PiB"}):
        return client.submit(_Data(data), key=key or f"{type(data).__name__}-{uuid4().hex}")
