"""Files that are written at once or not at all."""

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_STALE_SECONDS = 3600


def check_target(path: Path) -> Path:
    """Return the file behind links to it, which can be written or replaced.

    Raises
    ------
    FileNotFoundError
        If its folder is missing.
    OSError
        If it is a folder, or something else that is no file, such as a device.
    """
    # A link stays a link.
    real = Path(os.path.realpath(path))
    if not real.parent.is_dir():
        raise FileNotFoundError(
            f"The folder {real.parent} does not exist. Create it, or write to another one."
        )
    if real.is_dir():
        raise IsADirectoryError(
            f"{path} is a folder. Give the name of a file in it, such as {path / 'model'}."
        )
    if real.exists() and not real.is_file():
        raise OSError(f"{path} is no file that could be replaced. Choose another name.")
    return real


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a new file that takes the place of another one once it is on the disk as a whole.

    Raises
    ------
    OSError
        If it cannot be written. The file that was there then still is, and the error names it.
    """
    path = check_target(path)
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(new, "xb") as file:
            if path.exists():
                os.chmod(new, path.stat().st_mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    except BaseException as error:
        new.unlink(missing_ok=True)
        if isinstance(error, OSError) and _is_about(error, new):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    _sync_folder(path.parent)


def _is_about(error: OSError, new: Path) -> bool:
    """Return whether an error names the unfinished file, or none, as where a disk is full."""
    if error.filename is None:
        return error.strerror == os.strerror(error.errno or 0)
    return bool(error.filename == str(new))


def remove_unfinished(folder: Path, start: str) -> None:
    """Remove what processes that were killed have begun to write.

    Parameters
    ----------
    folder : Path
    start : str
        What the names of the files begin with.
    """
    for path in folder.glob(f".{start}*.tmp"):
        try:
            if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                path.unlink()
        except OSError:  # another process was faster
            continue


def _sync_folder(folder: Path) -> None:
    """Have the new name on the disk, too, where the system can."""
    if os.name != "posix":
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
