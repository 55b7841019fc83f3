"""One fit on several GPUs, and searches on a cluster that survive the loss of workers."""

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
        # Its functions have the group as a default: were they made later, it would never end.
        import_module("torch.distributed.nn")
        dist.init_process_group("cpu:gloo,cuda:nccl" if with_gpus else "gloo")
    with torch.cuda.device(local) if with_gpus else nullcontext(), warnings.catch_warnings():
        # The memory of a filter of one pixel is channels last and channels first at once.
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view", UserWarning)
        token = current.set(ProcessGroup())
        try:
            yield
        finally:
            current.reset(token)
    # Not after an error: the other processes may be waiting in the midst of a step.
    if begun_here:
        # Wrapped networks lie in cycles and hold the group, whose threads have to end before the
        # interpreter does: one that still gives a tensor back then aborts the process.
        gc.collect()
        dist.destroy_process_group()


def replicate_scattered_data(client: Any) -> Any:
    """Have a Dask client send out data in such a way that no worker is the only one to have them.

    joblib's Dask backend sends each large argument of a search, the images and the rows of
    each fold, to one worker. Such data are not the result of a task that could run again: when
    that worker dies, all tasks that need them are cancelled, or wait for ever. After this call
    the data are what a task returns, which the scheduler keeps: workers hand copies to each
    other, and where the last one is lost, another worker runs the task again. A worker that dies
    costs no more than the fits it was at, which others do anew.

    Parameters
    ----------
    client : distributed.Client
        Connected to the cluster. From now on, what it is to scatter lies in the scheduler's
        memory as well.

    Returns
    -------
    client : distributed.Client
        The same one.

    Raises
    ------
    TypeError
        Where it is no such client, or an asynchronous one.

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
            f"client={client!r} is no synchronous Dask client. Expected distributed.Client(...), "
            'which pip install "skcnn[dask]" brings.'
        )
    client.scatter = partial(_scatter, client)
    return client


class _Data:
    """A task without arguments that returns data: Dask does not look for tasks inside."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __call__(self) -> Any:
        return self.data


def _scatter(client: Any, data: Any, *, asynchronous: bool = False, **kwargs: Any) -> Any:
    """Do as `distributed.Client.scatter` does: a future for an object, or each in a collection.

    Where to send them, which `kwargs` may say, is the scheduler's affair.
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

    # Dask would warn of large data in its graph, where they are on purpose.
    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 PiB"}):
        return client.submit(_Data(data), key=key or f"{type(data).__name__}-{uuid4().hex}")
