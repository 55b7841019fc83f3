"""Ctrl-C: held back while state is half changed, passed on between batches.

Python raises KeyboardInterrupt wherever the main thread is: also between the line that changes a
setting and the `with` or `try` that restores it. Inside `hold_interrupts` it is raised only where
`check_interrupts` is called, and there everything is restored as after any other error.
"""

import inspect
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Self

from skcnn._compute._fork import call_in_forked_children

# A fit that these call is one of several: its result must not pass for a whole one.
_SEARCHES = (
    "joblib",
    "optuna",
    "sklearn.calibration",
    "sklearn.ensemble",
    "sklearn.feature_selection",
    "sklearn.model_selection",
    "sklearn.multiclass",
    "sklearn.multioutput",
    "sklearn.semi_supervised",
    "skcnn.inspection",
)
# Who presses Ctrl-C again after so many seconds without an effect is served at once: some function
# of the user may never come back.
_PATIENCE = 2.0


class _Receiver:
    """Receives Ctrl-C in place of the handler that was set.

    Attributes
    ----------
    handler : callable
        The handler that was set. It decides what happens; usually it raises KeyboardInterrupt.
    came_at : float or None
        When Ctrl-C came that is not passed on yet.
    n_raised : int
        How often the handler has raised KeyboardInterrupt.
    allowed : bool
        Whether Ctrl-C is passed on at once. It ends with the first one.
    """

    def __init__(self, handler: Callable[[int, FrameType | None], object]) -> None:
        self.handler = handler
        self.came_at: float | None = None
        self.n_raised = 0
        self.allowed = False

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Keep Ctrl-C, or pass it on: the handler of the signal."""
        now = time.monotonic()
        waits_long = self.came_at is not None and now - self.came_at > _PATIENCE
        self.came_at = self.came_at or now
        if self.allowed or waits_long:
            self.pass_on(frame)

    def pass_on(self, frame: FrameType | None) -> None:
        """Do what the handler does."""
        self.came_at, self.allowed = None, False
        try:
            self.handler(signal.SIGINT, frame)
        except KeyboardInterrupt:
            self.n_raised += 1
            raise


# That of the main thread; no other thread receives signals.
_receiver: _Receiver | None = None


def _receiver_here() -> _Receiver | None:
    in_main_thread = threading.get_ident() == threading.main_thread().ident
    return _receiver if in_main_thread else None


class InterruptHold:
    """Context in which Ctrl-C waits; see `hold_interrupts`.

    Attributes
    ----------
    nested : bool
        Whether this is inside another such context.
    """

    def __enter__(self) -> Self:
        global _receiver
        self._receiver = _receiver_here()
        self.nested = self._receiver is not None
        if self._receiver is None and threading.current_thread() is threading.main_thread():
            handler = signal.getsignal(signal.SIGINT)
            if callable(handler):
                self._receiver = _Receiver(handler)
                signal.signal(signal.SIGINT, self._receiver.receive)
                _receiver = self._receiver
        self._n_before = 0 if self._receiver is None else self._receiver.n_raised
        return self

    def were_raised(self) -> bool:
        """Whether KeyboardInterrupt was raised since the context began, or would be now.

        The caller does what it asks for: it is not raised again at the end.
        """
        receiver = self._receiver
        if receiver is None:
            return False
        if receiver.came_at is not None:
            with suppress(KeyboardInterrupt):
                receiver.pass_on(inspect.currentframe())
        return receiver.n_raised > self._n_before

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        global _receiver
        receiver = self._receiver
        if self.nested or receiver is None:
            return
        _receiver = None
        # Whoever has set a handler of their own meanwhile keeps it.
        if signal.getsignal(signal.SIGINT) == receiver.receive:
            signal.signal(signal.SIGINT, receiver.handler)
        if receiver.came_at is not None and not isinstance(error, KeyboardInterrupt):
            receiver.pass_on(inspect.currentframe())


def hold_interrupts() -> InterruptHold:
    """Have Ctrl-C wait for the next `check_interrupts`, or for the end of the context.

    What it does is up to the handler that was set. In other threads than the main one, and where
    Ctrl-C is ignored, nothing changes.
    """
    return InterruptHold()


def check_interrupts() -> None:
    """Let a Ctrl-C through that waits: call it where everything can be restored."""
    receiver = _receiver_here()
    if receiver is not None and receiver.came_at is not None:
        receiver.pass_on(inspect.currentframe())


class _Allowance:
    """Context of `allow_interrupts`."""

    def __enter__(self) -> None:
        self._receiver = _receiver_here()
        if self._receiver is not None:
            self._receiver.allowed = True
        check_interrupts()

    def __exit__(self, *error: object) -> None:
        if self._receiver is not None:
            self._receiver.allowed = False


def allow_interrupts() -> _Allowance:
    """Pass one Ctrl-C on at once, inside `hold_interrupts`.

    For what takes long and changes nothing, such as reading many images.
    """
    return _Allowance()


def is_in_search() -> bool:
    """Whether a search, an ensemble or a parallel job called into the package."""
    frame = inspect.currentframe()
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if any(name == caller or name.startswith(f"{caller}.") for caller in _SEARCHES):
            return True
        frame = frame.f_back
    return False


def _stop_receiving() -> None:
    """Set the usual handler in a forked child, where nobody may check for interrupts."""
    global _receiver
    receiver, _receiver = _receiver, None
    if receiver is not None and signal.getsignal(signal.SIGINT) == receiver.receive:
        signal.signal(signal.SIGINT, receiver.handler)


call_in_forked_children(_stop_receiving)
