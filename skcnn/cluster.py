"""Searches on a cluster: what joblib and Dask need to be told for them to survive there."""

from functools import partial
from typing import Any
from uuid import uuid4


def broadcast_data(client: Any) -> Any:
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
    >>> client = broadcast_data(Client("scheduler:8786"))  # doctest: +SKIP
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
