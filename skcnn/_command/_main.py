"""What happens between the shell and a command: errors, warnings, Ctrl-C and exit codes."""

import errno
import os
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from skcnn._command._parser import make_parser

FAILED, INTERRUPTED = 1, 130
# What messages say to who writes Python, and what it is here, in this order.
_IN_PLAIN_WORDS = (
    (r"\bload_image_(?:folder|table): ", ""),
    (r"\buse load_image_table\b", "name the table: --table"),
    (
        r"\bfor images without labels, pass label=None",
        "images without labels are for skcnn predict",
    ),
    (r"\bload_image_(?:folder|table)\b", "skcnn"),
    (r"\b(label|path)= ?", r"--\1 "),
    (r"\bgroup= ?", "--groups "),
    (r"\bskcnn found no training example in\b", "There is no photograph to use in"),
    (r"\bset cache_dir=None\b", "leave out --cache-dir"),
    (r"\bcache_dir=", "--cache-dir "),
    (r"\bdevice=", "--device "),
    (r"\bsource=(.+?) of Backbone\b", r"--pretrained \1"),
    (r"\bimage_shape\b", "--image-size"),
    (r"\bof the labels in y\b", "of the labels of the photographs"),
    (r", as in classes_, of the same type\b", ""),
    (r"The 'label' parameter of skcnn\b", "--label"),
    (r" \((?:keep=.*?|see several_labels=)\)", ""),
    (r"; or pass delimiter=", ""),
    (r", or pass what pandas\.read_excel.* returns\b", ""),
    (r" An archive of GBIF .*", ""),
    (r" Pass it to the predict of a model\.", ""),
    (
        r"y has 'NA' in .* use another name\.",
        "A class is named NA, as R writes a missing value. Give its folder another name.",
    ),
)
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


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
    options = make_parser().parse_args(arguments)
    _wait_briefly()
    try:
        # It takes seconds until torch is imported, which --help does not wait for.
        from skcnn._command._commands import COMMANDS

        with _plain_warnings():
            COMMANDS[options.command](options)
    except KeyboardInterrupt as interrupt:
        print(f"\nStopped. {interrupt}".rstrip(), file=sys.stderr)
        return INTERRUPTED
    except (ImportError, MemoryError, OSError, TypeError, ValueError) as error:
        if options.traceback:
            raise
        print(f"skcnn {options.command}: error: {_in_plain_words(error)}", file=sys.stderr)
        return FAILED
    return 0


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


def _in_plain_words(error: Exception) -> str:
    """Return a message as this command would say it: options in place of Python's parameters."""
    file, text = "", str(error)
    if isinstance(error, OSError) and error.strerror:
        file, text = f"{error.filename}: " if error.filename else "", error.strerror
        if file and error.errno in _DISK_FULL:
            text += ". Free space there, or write to another disk."
    if isinstance(error, MemoryError):
        text = f"The memory of this machine is too small. {text}".rstrip(". ")
        text += ". Set a smaller --image-size."
    for pattern, said in _IN_PLAIN_WORDS:
        text = re.sub(pattern, said, text)
    return f"{file}{text}"
