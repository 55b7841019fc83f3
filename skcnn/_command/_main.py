"""What happens between the shell and a command: errors, warnings, Ctrl-C and exit codes.

Imports nothing that takes time: Ctrl-C shows a traceback until `main` runs.
"""

import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import Namespace

FAILED, INTERRUPTED = 1, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command of ``skcnn``.

    Parameters
    ----------
    arguments : sequence of str, default=None
        What follows ``skcnn`` on the command line. None takes that of this process.

    Returns
    -------
    code : int
        0 if all went well, 1 if not, 130 after Ctrl-C.

    Raises
    ------
    SystemExit
        After ``--help``, with code 0, and for arguments that are not as described, with code 2.
    """
    try:
        with _ending_at_once():
            from skcnn._command._parser import make_parser

            options = make_parser().parse_args(arguments)
        return _run(options)
    except KeyboardInterrupt as interrupt:
        print(f"\nStopped. {interrupt}".rstrip(), file=sys.stderr)
        return INTERRUPTED


def _run(options: "Namespace") -> int:
    """Run a command, and say what went wrong."""
    if sys.flags.optimize > 1:
        print(
            f"skcnn {options.command}: error: Python was told to drop docstrings, which skorch "
            "needs. Run it without -OO, and without PYTHONOPTIMIZE=2.",
            file=sys.stderr,
        )
        return FAILED
    _wait_briefly()
    try:
        # It takes seconds until torch is imported, which --help does not wait for.
        with _ending_at_once():
            from skcnn._command._commands import COMMANDS

        with _plain_warnings():
            COMMANDS[options.command](options)
    except (ImportError, MemoryError, OSError, TypeError, ValueError) as error:
        if options.traceback:
            raise
        from skcnn._command._wording import in_plain_words

        print(f"skcnn {options.command}: error: {in_plain_words(error)}", file=sys.stderr)
        return FAILED
    return 0


@contextmanager
def _ending_at_once() -> Iterator[None]:
    """End the process on Ctrl-C while modules are imported, of which nothing has to be undone.

    Some modules take an exception that comes while they start for a failure of their own.
    """

    def end(number: int, frame: object) -> None:
        try:
            print("\nStopped.", file=sys.stderr, flush=True)
        finally:
            os._exit(INTERRUPTED)

    # Shells have jobs in the background ignore Ctrl-C, and other threads set no handlers.
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not usual or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _wait_briefly() -> None:
    """Let threads that wait for each other give their core back soon.

    By default they keep it busy, which makes a fit several times as slow where other programs
    run. OpenMP reads this when torch is imported.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Show warnings as a line each, without the place in Python's code."""

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: object = None,
        line: object = None,
    ) -> None:
        if issubclass(category, UserWarning):
            print(f"Warning: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        yield
