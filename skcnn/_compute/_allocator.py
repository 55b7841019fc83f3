"""The C library's allocator: freed memory is retained from batch to batch."""

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

# Numbers of glibc's mallopt, and how many bytes it takes for its own at most.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEEP = 2**30
# What glibc comes to by itself where large blocks are freed again and again.
_USUAL = {_MMAP_THRESHOLD: 2**25, _TRIM_THRESHOLD: 2**26}
_SETTINGS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")

_lock = threading.Lock()
_n_keeping = 0


@contextmanager
def retain_freed_memory() -> Iterator[None]:
    """Keep freed memory in the process for a while.

    Each batch takes and frees the same blocks. glibc hands large ones back to the system, which
    then clears them page by page when the next batch takes them again: on some machines that
    takes longer than to compute what goes in. Other C libraries are left alone, and so is glibc
    where the environment has settings of its own for this.
    """
    global _n_keeping
    mallopt = _mallopt()
    if mallopt is None:
        yield
        return
    with _lock:
        _n_keeping += 1
        if _n_keeping == 1:
            for setting in _USUAL:
                mallopt(setting, _KEEP)
    try:
        yield
    finally:
        with _lock:
            _n_keeping -= 1
            if _n_keeping == 0:
                for setting, value in _USUAL.items():
                    mallopt(setting, value)


@cache
def _mallopt() -> Any:
    if os.name != "posix" or any(name in os.environ for name in _SETTINGS):
        return None
    library = ctypes.CDLL(None)
    # Other C libraries have a mallopt too, whose numbers mean something else.
    if not hasattr(library, "gnu_get_libc_version"):
        return None
    # What is free now, all the imports have left in bits too small to be of use.
    library.malloc_trim(0)
    return library.mallopt
