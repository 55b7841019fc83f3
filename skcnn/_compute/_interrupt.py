"""Ctrl-C during a fit: whether it came, and whether a search is to end with it."""

import inspect
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# A fit that these call is one of several: its result must not pass for a whole one.
_SEARCHES = (
    "joblib",
    "sklearn.model_selection",
    "sklearn.ensemble",
    "sklearn.multiclass",
    "sklearn.calibration",
    "sklearn.multioutput",
    "sklearn.feature_selection",
)


class Interrupt:
    """Whether Ctrl-C was pressed."""

    received = False


@contextmanager
def watch_interrupts() -> Iterator[Interrupt]:
    """Note Ctrl-C, which skorch's loop swallows, wherever in it the exception is raised.

    The handler that was set is called as before. Only the main thread can watch.
    """
    interrupt = Interrupt()
    handler = signal.getsignal(signal.SIGINT)
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or not callable(handler):
        yield interrupt
        return

    def note(number: int, frame: FrameType | None) -> None:
        interrupt.received = True
        handler(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, handler)


def is_in_search() -> bool:
    """Whether a search, an ensemble or a parallel job called into the package."""
    frame = inspect.currentframe()
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if any(name == caller or name.startswith(f"{caller}.") for caller in _SEARCHES):
            return True
        frame = frame.f_back
    return False
