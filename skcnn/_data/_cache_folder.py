"""The folder of decoded images as a whole: how large it may grow, and what is deleted."""

import errno
import os
import shutil
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import filelock
import numpy as np

# Part of the path, so that a change of the format is a new cache.
_FOLDER = "skcnn-images-1"
_DEFAULT_GB = 50.0
#: The environment variable that says how large a cache may grow.
SIZE_VARIABLE = "SKCNN_CACHE_GB"


def clear_image_cache(cache_dir: str | os.PathLike[str], *, keep_gb: float = 0.0) -> float:
    """Delete decoded images, and features, from the folder that was `cache_dir` of estimators.

    Nothing else in the folder is touched. Estimators that use the folder at the moment go on, and
    decode and compute again.

    Parameters
    ----------
    cache_dir : str or PathLike
        The folder. It need not exist.
    keep_gb : float, default=0.0
        Gigabytes to keep, of the images that were used last.

    Returns
    -------
    freed_gb : float
        Gigabytes that were freed.

    Raises
    ------
    ValueError
        If `keep_gb` is negative.

    Examples
    --------
    >>> import tempfile
    >>> from skcnn import clear_image_cache
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     clear_image_cache(folder)
    0.0
    """
    if not keep_gb >= 0:
        raise ValueError(f"keep_gb={keep_gb!r} is not a number of gigabytes: expected 0 or more.")
    root = cache_root(cache_dir)
    freed = 0
    if keep_gb < np.inf:
        freed = _remove_oldest(root, int(keep_gb * 1e9))
    for folder in [*root.glob("*"), root]:
        if not folder.is_dir() or any(folder.glob("*.pixels")):
            continue
        for left in [*folder.glob("*.lock"), *folder.glob("*.index")]:
            # Windows keeps the lock of a process that uses the folder.
            with suppress(OSError):
                left.unlink(missing_ok=True)
        with suppress(OSError):
            folder.rmdir()
    return freed / 1e9


def cache_root(cache_dir: str | os.PathLike[str]) -> Path:
    """Return the folder for all that is stored in `cache_dir`."""
    return Path(cache_dir).expanduser() / _FOLDER


def max_cache_bytes() -> int:
    """Return the limit on the size of a cache.

    Raises
    ------
    ValueError
        If the environment variable is no positive number.
    """
    text = os.environ.get(SIZE_VARIABLE, str(_DEFAULT_GB))
    try:
        gigabytes = float(text)
    except ValueError:
        gigabytes = -1.0
    if not 0 < gigabytes < np.inf:
        raise ValueError(
            f"The environment variable {SIZE_VARIABLE}={text!r} is not a number of gigabytes. "
            "Expected a positive number."
        )
    return int(gigabytes * 1e9)


def check_space(folder: Path, n_bytes: int) -> None:
    """Raise an error early if so much will not fit on the disk.

    Raises
    ------
    OSError
    """
    needed = min(n_bytes, max_cache_bytes())
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(
            errno.ENOSPC,
            f"{os.strerror(errno.ENOSPC)}. The images need {needed / 1e9:.3g} GB, and "
            f"{free / 1e9:.3g} GB are free",
        )


def make_room(root: Path, needed: int, in_use: Collection[Path]) -> bool:
    """Delete segments until there is room for another one; return whether there is."""
    allowed = max_cache_bytes() - needed
    _remove_oldest(root, allowed, in_use)
    return sum(size for _, size, _ in _segments(root)) <= allowed


def remove_segment(path: Path) -> bool:
    """Delete a segment, unless a process writes to it; return whether it is gone."""
    lock = filelock.FileLock(path.with_suffix(".lock"))
    try:
        lock.acquire(timeout=0)
    except (filelock.Timeout, OSError):
        return False
    try:
        path.unlink(missing_ok=True)
        path.with_suffix(".index").unlink(missing_ok=True)
    except OSError:
        # Windows keeps a file that is being read.
        return False
    finally:
        lock.release()
        with suppress(OSError):
            path.with_suffix(".lock").unlink(missing_ok=True)
    return True


def note_use(path: Path) -> None:
    """Note that a segment is used: those that were not used for longest are deleted first."""
    with suppress(OSError):
        os.utime(path)


def _segments(root: Path) -> list[tuple[float, int, Path]]:
    """Return time of the last use, size, and path of all segments, the oldest first."""
    found = []
    for path in root.glob("*/*.pixels"):
        try:
            state = path.stat()
        except OSError:
            continue
        found.append((state.st_mtime, state.st_size, path))
    return sorted(found)


def _remove_oldest(root: Path, keep: int, in_use: Collection[Path] = ()) -> int:
    """Delete the segments that were not used for longest; return how many bytes are freed."""
    segments = _segments(root)
    total = sum(size for _, size, _ in segments)
    freed = 0
    for _, size, path in segments:
        if total - freed <= keep:
            break
        if path not in in_use and remove_segment(path):
            freed += size
    return freed
