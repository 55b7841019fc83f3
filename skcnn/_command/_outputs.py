"""What a command writes: where it may, what it says, and how it shows its progress."""

import errno
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from tqdm import tqdm

from skcnn._utils import safe_indexing
from skcnn.datasets._paths import media_type

# Photographs between two steps of a progress bar.
_BLOCK = 128


def say(text: str) -> None:
    """Print a line, whatever letters the terminal knows.

    Where nobody listens any more, as after ``| head -1``, the work goes on: its result is a file.
    """
    stream = sys.stdout
    if stream is None:
        return
    encoding = stream.encoding or "utf-8"
    try:
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except (OSError, ValueError):
        _discard(stream)


def _discard(stream: TextIO) -> None:
    """Let all that is written to a stream vanish, also what Python writes when it ends."""
    with suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


def count(n: int, noun: str) -> str:
    """Return a number with a noun.

    Examples
    --------
    >>> count(1, "file"), count(1200, "file"), count(2, "class")
    ('1 file', '1,200 files', '2 classes')
    """
    ending = "" if n == 1 else "es" if noun.endswith("s") else "s"
    return f"{n:,} {noun}{ending}"


def check_output(text: str, inputs: Sequence[Path], endings: Sequence[str] = ()) -> Path:
    """Check, before anything takes time, that a file can be written and replaces no input.

    Parameters
    ----------
    text : str
        What --out says.
    inputs : sequence of Path
        Files that are read.
    endings : sequence of str, default=()
        Endings that the name may have; none allows all but those of photographs.

    Raises
    ------
    OSError, ValueError
    """
    path = Path(text).expanduser()
    real = Path(os.path.realpath(path))
    if path.is_dir():
        raise ValueError(f"--out {text} is a folder. Name a file.")
    if any(media_type(name) for name in (path.name, real.name)):
        raise ValueError(
            f"--out {text} is named like a photograph. Photographs are never replaced: choose "
            "another name."
        )
    if endings and path.suffix.lower() not in endings:
        raise ValueError(f"--out {text} must end with {' or '.join(endings)}.")
    for file in inputs:
        if file.exists() and path.exists() and file.samefile(path):
            raise ValueError(f"--out {text} is a file that this command reads. Choose another.")
    if real.exists() and not real.is_file():
        raise ValueError(f"--out {text} is no file that could be replaced. Choose another name.")
    if not real.parent.is_dir():
        raise FileNotFoundError(f"The folder of --out {text} does not exist. Make it first.")
    try:
        # As long a name as `replacing` gives to what is not complete yet.
        with tempfile.NamedTemporaryFile(dir=real.parent, prefix=f".{real.name}.", suffix=".tmp"):
            pass
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise ValueError(
                f"The name {path.name} is too long for a file. Choose a shorter name: --out."
            ) from error
        raise PermissionError(
            f"Nothing can be written in the folder {real.parent}: {error.strerror}."
        ) from error
    return path


def write_or_rescue(write: Callable[[Path], object], out: Path) -> None:
    """Write a file; if this fails, write it to the folder for temporary files instead.

    What took hours to compute is not lost because a disk is full.

    Parameters
    ----------
    write : callable
        Called with the path to write to, a second time if the first fails.
    out : Path

    Raises
    ------
    OSError
        If the file could not be written. The error says where the other one is.
    """
    try:
        write(out)
    except OSError as error:
        folder = None
        try:
            # Fails where this disk is full, too.
            folder = Path(tempfile.mkdtemp(prefix="skcnn-"))
            write(folder / out.name)
        except OSError:
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
            raise error from None
        raise OSError(
            f"{out} could not be written: {error.strerror or error}. It was written to "
            f"{folder / out.name} instead. Move it from there to a disk with enough space."
        ) from error


def predict_with_progress(
    model: BaseEstimator, method: str, *, quiet: bool
) -> Callable[[object], npt.NDArray[np.float64]]:
    """Return a method of a model that shows a progress bar and leaves unreadable files unsaid."""
    function = getattr(model, method)

    def predict(X: object) -> npt.NDArray[np.float64]:
        n_images = len(X)  # type: ignore[arg-type]
        parts = []
        hidden = quiet or sys.stderr is None  # a service, or pythonw of Windows
        bar = tqdm(total=n_images, desc="predict", unit="image", disable=hidden)
        with bar, warnings.catch_warnings():
            # The command counts them.
            warnings.filterwarnings("ignore", r"\d+ of \d+ image file\(s\) of X cannot be read")
            for start in range(0, n_images, _BLOCK):
                rows = np.arange(start, min(n_images, start + _BLOCK))
                parts.append(np.asarray(function(safe_indexing(X, rows)), dtype=np.float64))
                bar.update(len(rows))
        return np.concatenate(parts)

    return predict
