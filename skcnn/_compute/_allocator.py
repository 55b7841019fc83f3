"""Settings of the C library's memory allocator."""

import ctypes
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from skcnn._compute._fork import call_in_forked_children

# Numbers of settings of glibc's mallopt.
_TRIM_THRESHOLD = -1
_MMAP_THRESHOLD = -3
# Freed memory up to this many bytes is retained.
_RETAINED_BYTES = 2**30
# Computations of fewer seconds leave their freed memory to the next ones.
_MIN_TRIM_SECONDS = 1.0
# Values that glibc arrives at by itself when large blocks are freed again and again.
_USUAL = {_MMAP_THRESHOLD: 2**25, _TRIM_THRESHOLD: 2**26}
# Environment variables by which users choose these settings.
_VARIABLES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")

_lock = threading.Lock()
# Identifiers of the threads that have memory retained, once per nested use.
_retaining: list[int] = []


@contextmanager
def retain_freed_memory() -> Iterator[None]:
    """Retain freed memory in the process for a while.

    Each batch allocates and frees the same blocks. glibc returns large ones to the system, which
    clears them page by page when the next batch allocates them again: on some machines that takes
    longer than the computation itself. At the end of a longer computation, the free memory is
    returned. Other C libraries are left as they are, and so is glibc if the environment has
    settings for this.
    """
    mallopt = _mallopt()
    if mallopt is None:
        yield
        return
    with _lock:
        _retaining.append(threading.get_ident())
        if len(_retaining) == 1:
            for setting in _USUAL:
                mallopt(setting, _RETAINED_BYTES)
    start = time.monotonic()
    try:
        yield
    finally:
        with _lock:
            _retaining.remove(threading.get_ident())
            if not _retaining:
                _restore(mallopt)
                if time.monotonic() - start > _MIN_TRIM_SECONDS:
                    _trim()


def _restore(mallopt: Any) -> None:
    for setting, value in _USUAL.items():
        mallopt(setting, value)


def _forget_other_threads() -> None:
    """Start again in a forked child, which has only the thread that forked."""
    global _lock
    _lock = threading.Lock()
    if _retaining:
        here = threading.get_ident()
        _retaining[:] = [thread for thread in _retaining if thread == here]
        if not _retaining:
            _restore(_mallopt())


call_in_forked_children(_forget_other_threads)


@cache
def _mallopt() -> Any:
    if os.name != "posix" or any(name in os.environ for name in _VARIABLES):
        return None
    library = ctypes.CDLL(None)
    # Other C libraries have a mallopt, too, with other numbers.
    if not hasattr(library, "gnu_get_libc_version"):
        return None
    # The imports have left much free memory in pieces that are too small for batches.
    _trim()
    return library.mallopt


def _trim() -> None:
    """Return free memory to the system."""
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)
