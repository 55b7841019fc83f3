"""Forked child processes: which locks and threads they must not inherit."""

import ctypes
import os
from collections.abc import Callable
from typing import Any

import torch

_single_threaded = False


def call_in_forked_children(function: Callable[[], None]) -> None:
    """Call a function in each child process right after a fork, where the system has forks.

    A child has a copy of the parent's memory but only the thread that forked. A lock that another
    thread held at that moment is never released in the child, so modules replace their locks.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=function)


def is_single_threaded() -> bool:
    """Whether this process cannot compute in several threads, because of how it was forked."""
    return _single_threaded


def _prepare_openmp() -> None:
    """Make OpenMP work in forked children.

    GNU's OpenMP keeps a pool of threads for each thread that has computed. In a forked child the
    threads of the pool do not exist, and the next computation waits for them forever. The pool is
    therefore ended before each fork; parent and child create a new one when they need it. Versions
    before GCC 9 cannot do that: there a child computes in one thread. Other OpenMP libraries
    handle forks themselves.
    """
    library = _openmp_library()
    if library is None or not hasattr(os, "register_at_fork"):
        return
    if hasattr(library, "omp_pause_resource_all"):
        soft = 1
        os.register_at_fork(before=lambda: library.omp_pause_resource_all(soft))
    else:
        call_in_forked_children(_use_single_thread)


def _openmp_library() -> Any:
    """Return the OpenMP library that torch uses; None if it is not GNU's."""
    try:
        # A symbol is searched for in all libraries that this one needs.
        library = ctypes.CDLL(torch._C.__file__)
    except OSError:
        return None
    # LLVM's has GNU's functions, too.
    is_gnu = hasattr(library, "GOMP_parallel") and not hasattr(library, "__kmpc_fork_call")
    return library if is_gnu else None


def _use_single_thread() -> None:
    global _single_threaded
    _single_threaded = True
    torch.set_num_threads(1)


_prepare_openmp()
