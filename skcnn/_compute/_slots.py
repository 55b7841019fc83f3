"""Worker processes: which kind this is, and slots for the cores and memory that they share."""

import multiprocessing
import os
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path

import filelock

from skcnn._compute._fork import call_in_forked_children
from skcnn._compute._interrupt import check_interrupts

_POLL_SECONDS = 0.01


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
    served in order, so that small ones do not starve large ones. While a process holds slots of a
    pool, its threads take what else is free, and none of them waits: the thread that holds the
    slots may be waiting for another one.

    Parameters
    ----------
    pool : str
        Name of the shared resource.
    n_slots : int
        Number of slots of the pool, the same in all processes.
    n_requested : int
        Number of slots to acquire; all of them if it is larger than `n_slots`.
    """
    with _of_this_process.acquire(pool, n_slots, n_requested):
        yield


class _Share:
    """What this process holds of a pool, and how many computations use it."""

    def __init__(self, pool: str, n_slots: int) -> None:
        self.pool = pool
        self.free = [_lock(pool, str(number)) for number in range(n_slots)]
        self.locks: list[filelock.BaseFileLock] = []
        self.n_users = 1
        # A child goes on with what its parent held: the parent may be waiting for the child.
        self.inherited = False

    def try_to_hold(self, n_requested: int) -> bool:
        """Take slots that are free, and say whether they are as many as requested."""
        for lock in [*self.free]:
            if len(self.locks) < n_requested and _try_acquire(lock):
                self.free.remove(lock)
                self.locks.append(lock)
        return len(self.locks) >= n_requested

    def release(self) -> None:
        """Give all of them back."""
        for lock in self.locks:
            lock.release()


class _ProcessSlots:
    """What a process holds of each pool."""

    def __init__(self) -> None:
        # For the counts, and for the one thread that waits for slots.
        self.changing = threading.Lock()
        self.waiting = threading.Lock()
        self.by_pool: dict[str, _Share] = {}

    @contextmanager
    def acquire(self, pool: str, n_slots: int, n_requested: int) -> Iterator[None]:
        """Acquire slots; see `acquire_slots`."""
        share = self._enter(pool, n_slots, n_requested)
        try:
            yield
        finally:
            self._leave(share)

    def _enter(self, pool: str, n_slots: int, n_requested: int) -> _Share:
        while True:
            share = self._join(pool, n_requested)
            if share is not None:
                return share
            if self.waiting.acquire(timeout=_POLL_SECONDS):
                break
            check_interrupts()
        try:
            share = self._join(pool, n_requested)
            if share is None:
                share = _wait_for_slots(_Share(pool, n_slots), min(n_requested, n_slots))
                with self.changing:
                    self.by_pool[pool] = share
        finally:
            self.waiting.release()
        return share

    def _join(self, pool: str, n_requested: int) -> _Share | None:
        with self.changing:
            share = self.by_pool.get(pool)
            if share is not None:
                share.n_users += 1
                share.try_to_hold(0 if share.inherited else n_requested)
        return share

    def _leave(self, share: _Share) -> None:
        with self.changing:
            share.n_users -= 1
            if share.n_users or share.inherited:
                return
            del self.by_pool[share.pool]
            share.release()

    def after_fork(self) -> None:
        """Keep in a forked child what the parent holds, without ever giving it back."""
        self.changing, self.waiting = threading.Lock(), threading.Lock()
        for share in self.by_pool.values():
            share.inherited = True


_of_this_process = _ProcessSlots()
call_in_forked_children(_of_this_process.after_fork)


def _wait_for_slots(share: _Share, n_requested: int) -> _Share:
    queue = _lock(share.pool, "next")
    while not _try_acquire(queue):
        time.sleep(_POLL_SECONDS)
        check_interrupts()
    try:
        while not share.try_to_hold(n_requested):
            time.sleep(_POLL_SECONDS)
            check_interrupts()
    except BaseException:
        share.release()
        raise
    finally:
        queue.release()
    return share


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


# A forked child needs a number of its own.
call_in_forked_children(worker_index.cache_clear)

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
    # One thread may release what another one has acquired.
    return filelock.FileLock(folder / f"{pool}-{name}.lock", thread_local=False)


def cpu_affinity_key() -> str:
    """Return a name for the set of cores that this process may run on.

    Jobs on one node of a cluster may have different cores, which they do not share, and the same
    folder for temporary files.
    """
    if not hasattr(os, "sched_getaffinity"):
        return "cores"
    cores = sorted(os.sched_getaffinity(0))
    return f"cores-{zlib.crc32(repr(cores).encode()):08x}"
