"""Which process this is among several, and how they share what a machine has."""

import multiprocessing
import os
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from itertools import count
from pathlib import Path

import filelock

_POLL_SECONDS = 0.01

_of_this_thread = threading.local()


def worker_kind() -> str | None:
    """Tell what runs this process: "dask", "ray", another "process", or None for no worker.

    A worker computes one of several things that somebody else has handed out, as joblib, Dask
    and Ray do; it shares the machine with its like.
    """
    # Whoever runs in a worker of theirs has them imported.
    if "distributed" in sys.modules and _in_dask_worker():
        return "dask"
    if "ray" in sys.modules and _in_ray_worker():
        return "ray"
    return "process" if multiprocessing.current_process().name != "MainProcess" else None


def _in_dask_worker() -> bool:
    from distributed import get_worker

    try:
        get_worker()
    except ValueError:
        return False
    return True


def _in_ray_worker() -> bool:
    import ray

    if not ray.is_initialized():
        return False
    return bool(ray.get_runtime_context().worker.mode == ray.WORKER_MODE)


@contextmanager
def acquire_slots(pool: str, n_slots: int, n_requested: int) -> Iterator[None]:
    """Hold some of the lots that the user's workers on this machine share, and wait for them.

    A lot is the lock on a file, which the system gives back when a process dies, however it
    does. Whoever waits is next: large claims are not passed over for ever by small ones.

    Parameters
    ----------
    pool : str
        What is shared.
    n_slots : int
        How many lots it has, the same in all processes.
    n_requested : int
        How many to hold; all of them where that is more than there are.
    """
    held_pools: set[str] = _of_this_thread.__dict__.setdefault("pools", set())
    if pool in held_pools:
        yield
        return
    lots = [_lock(pool, str(number)) for number in range(n_slots)]
    n_missing = min(n_requested, n_slots)
    with ExitStack() as held:
        with _lock(pool, "next").acquire(poll_interval=_POLL_SECONDS):
            while True:
                for lock in [*lots]:
                    if n_missing and _taken(lock):
                        held.callback(lock.release)
                        lots.remove(lock)
                        n_missing -= 1
                if not n_missing:
                    break
                time.sleep(_POLL_SECONDS)
        held_pools.add(pool)
        held.callback(held_pools.discard, pool)
        yield


@cache
def worker_index() -> int:
    """Return the lowest number that no other of the user's workers on this machine has.

    It stays with the process, and is free again when that ends.
    """
    for number in count():
        lock = _lock("numbers", str(number))
        if _taken(lock):
            _kept.append(lock)
            return number
    raise AssertionError("there is always another number")


_kept: list[filelock.BaseFileLock] = []


def _taken(lock: filelock.BaseFileLock) -> bool:
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        return False
    return True


def _lock(pool: str, name: str) -> filelock.BaseFileLock:
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    folder = Path(tempfile.gettempdir(), f"skcnn-{user}")
    folder.mkdir(exist_ok=True)
    return filelock.FileLock(folder / f"{pool}-{name}.lock")


def cpu_affinity_key() -> str:
    """Name the set of cores that this process may run on.

    Jobs of a cluster have cores of their own and nothing to share with their neighbours, whose
    folder for temporary files may be the same.
    """
    if not hasattr(os, "sched_getaffinity"):
        return "cores"
    cores = sorted(os.sched_getaffinity(0))
    return f"cores-{zlib.crc32(repr(cores).encode()):08x}"
