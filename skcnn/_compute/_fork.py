"""Forks: when they may happen, and what child processes must not inherit."""

import ctypes
import os
import threading
from collections.abc import Callable
from typing import Any

import torch

# A fork waits so many seconds for the batches that other threads compute; they may wait for it.
_LONGEST_WAIT = 10.0

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


class _Computing:
    """Context of `computing`, the same for all threads."""

    def __init__(self) -> None:
        self.forget_other_threads()

    def forget_other_threads(self) -> None:
        """Start again in a forked child, which has only the thread that forked."""
        here = threading.get_ident()
        self.changed = threading.Condition()
        # Identifiers of the threads that compute, once per nested computation.
        self.threads = [thread for thread in getattr(self, "threads", []) if thread == here]
        self.n_forks = 0

    def __enter__(self) -> None:
        here = threading.get_ident()
        with self.changed:
            if self.n_forks and here not in self.threads:
                self.changed.wait_for(lambda: not self.n_forks, _LONGEST_WAIT)
            self.threads.append(here)

    def __exit__(self, *error: object) -> None:
        with self.changed:
            self.threads.remove(threading.get_ident())
            if self.n_forks:
                self.changed.notify_all()

    def before_fork(self) -> None:
        """Wait until no other thread computes, and let none begin."""
        here = threading.get_ident()
        with self.changed:
            self.n_forks += 1
            self.changed.wait_for(
                lambda: all(thread == here for thread in self.threads), _LONGEST_WAIT
            )

    def after_fork(self) -> None:
        """Let threads compute again."""
        with self.changed:
            self.n_forks = max(0, self.n_forks - 1)
            self.changed.notify_all()


_computing = _Computing()


def computing() -> _Computing:
    """Have forks in other threads wait until a batch is computed.

    Torch and its libraries have locks of their own. In a child that is forked while another
    thread holds one of them, the next computation waits for it forever.
    """
    return _computing


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
if hasattr(os, "register_at_fork"):
    # Python calls what is registered last first: before OpenMP's threads end, nobody uses them.
    os.register_at_fork(
        before=_computing.before_fork,
        after_in_parent=_computing.after_fork,
        after_in_child=_computing.forget_other_threads,
    )
