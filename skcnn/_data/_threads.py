"""Work on many files at a time."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import joblib


def call_in_threads(function: Callable[[int], None], n_items: int) -> None:
    """Call a function with each of the numbers below `n_items`, in as many threads as cores.

    Decoders let other threads run meanwhile. Nothing is left behind: a process that is forked
    later must not have threads.
    """
    n_threads = min(joblib.cpu_count(), n_items)
    if n_threads <= 1:
        for number in range(n_items):
            function(number)
        return
    # Taking from a deque is safe in any thread.
    pending = deque(range(n_items))

    def work() -> None:
        while True:
            try:
                number = pending.popleft()
            except IndexError:
                return
            function(number)

    with ThreadPoolExecutor(n_threads) as pool:
        jobs = [pool.submit(work) for _ in range(n_threads)]
        try:
            for job in jobs:
                job.result()
        except BaseException:
            # Ctrl-C must not wait for all files.
            pending.clear()
            raise
