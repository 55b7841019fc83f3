"""Worker processes: which kind this is, and slots for the cores and memory that they share."""

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

_held_by_this_thread = threading.local()


def worker_kind() -> str | None:
    """Return the kind of this worker: "dask", "ray", another "process", or None for no worker.

    A worker computes one of several tasks that another process has distributed, as joblib, Dask
    and Ray do, and shares the machine with other workers.
    """
    # In a worker of theirs, these libraries have been imported.
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
    """Acquire slots that this user's workers on this machine share; wait until they are free.

    A slot is a file lock, released by the operating system when its process ends. Requests are
    served in order, so that small ones do not starve large ones. Within a block that holds slots
    of a pool, the same thread needs no more of them.

    Parameters
    ----------
    pool : str
        Name of the shared resource.
    n_slots : int
        Number of slots of the pool, the same in all processes.
    n_requested : int
        Number of slots to acquire; all of them if it is larger than `n_slots`.
    """
    held_pools: set[str] = _held_by_this_thread.__dict__.setdefault("pools", set())
    if pool in held_pools:
        yield
        return
    free = [_lock(pool, str(number)) for number in range(n_slots)]
    n_missing = min(n_requested, n_slots)
    with ExitStack() as held:
        with _lock(pool, "next").acquire(poll_interval=_POLL_SECONDS):
            while True:
                for lock in [*free]:
                    if n_missing and _try_acquire(lock):
                        held.callback(lock.release)
                        free.remove(lock)
                        n_missing -= 1
                if not n_missing:
                    break
                time.sleep(_POLL_SECONDS)
        held_pools.add(pool)
        held.callback(held_pools.discard, pool)
        yield


@cache
def worker_index() -> int:
    """Return the lowest index that no other worker of this user on this machine has.

    The process keeps it until it ends.
    """
    for number in count():
        lock = _lock("numbers", str(number))
        if _try_acquire(lock):
            _index_locks.append(lock)
            return number
    raise AssertionError("there is always another number")


# Locks are released when they are garbage collected.
_index_locks: list[filelock.BaseFileLock] = []


def _try_acquire(lock: filelock.BaseFileLock) -> bool:
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
    """Return a name for the set of cores that this process may run on.

    Jobs on one node of a cluster may have different cores, which they do not share, and the same
    folder for temporary files.
    """
    if not hasattr(os, "sched_getaffinity"):
        return "cores"
    cores = sorted(os.sched_getaffinity(0))
    return f"cores-{zlib.crc32(repr(cores).encode()):08x}"
