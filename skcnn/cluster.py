"""Searches on a cluster: what joblib and Dask need to be told for them to survive there."""

from functools import partial
from typing import Any


def broadcast_data(client: Any) -> Any:
    """Have a Dask client keep what joblib sends out on all workers, for them to be expendable.

    joblib's Dask backend sends each large argument of a search, the images and the rows of
    each fold, to one worker, and Dask drops copies that it holds for superfluous. Such data are
    not the result of a task that could run again: when the worker that holds the last copy
    dies, all tasks that need it are cancelled, and the search ends in an error. After this call
    a worker that dies costs no more than the fits it was at, which others do anew.

    Parameters
    ----------
    client : distributed.Client
        Connected to the cluster. It sends everything to all workers from now on, and the
        cluster's active memory manager is stopped.

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
    if not all(hasattr(client, name) for name in ("scatter", "amm")) or client.asynchronous:
        raise TypeError(
            f"client={client!r} is no synchronous Dask client. Expected distributed.Client(...), "
            'which pip install "skcnn[dask]" brings.'
        )
    client.amm.stop()
    client.scatter = partial(type(client).scatter, client, broadcast=True)
    return client
