"""Decoded images on disk, shared by fits and processes.

A folder for each shape holds segments: files of pixels, to which images are appended, and beside
each an index with one entry per image. Only the process that holds the lock of a segment writes
to it, pixels first. So whenever a process is killed, all that the index names is there.
"""

import errno
import os
import shutil
import threading
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import filelock
import numpy as np
import numpy.typing as npt

from skcnn._data._file_keys import KEY
from skcnn._utils import warn

Keys = npt.NDArray[np.void]
Mask = npt.NDArray[np.bool_]
Pixels = npt.NDArray[np.uint8]

# Part of the path, so that a change of the format is a new cache.
_FOLDER = "skcnn-images-1"
_ENTRY = np.dtype([("key", KEY), ("checksum", "<u4"), ("unused", "<u4")])
_PLACE = np.dtype([("segment", "<i4"), ("number", "<i4"), ("checksum", "<u4")])
_SEGMENT_BYTES = 2**28
# So many new images are remembered one by one before they join the index.
_MAX_FRESH = 50_000
_POLL_SECONDS = 0.05
_SIZE_VARIABLE = "SKCNN_CACHE_GB"
_DEFAULT_GB = 50.0


def clear_image_cache(cache_dir: str | os.PathLike[str], *, keep_gb: float = 0.0) -> float:
    """Delete decoded images from the folder that was `cache_dir` of estimators.

    Nothing else in the folder is touched. Estimators that use the folder at the moment go on, and
    decode the images again.

    Parameters
    ----------
    cache_dir : str or PathLike
    keep_gb : float, default=0.0
        Gigabytes to keep, of the images that were used last.

    Returns
    -------
    freed_gb : float
        Gigabytes that were freed.

    Examples
    --------
    >>> import tempfile
    >>> from skcnn import clear_image_cache
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     clear_image_cache(folder)
    0.0
    """
    root = _root(cache_dir)
    freed = _remove_oldest(root, int(keep_gb * 1e9))
    for folder in [*root.glob("*"), root]:
        segments = [*folder.glob("*.pixels")]
        if segments or not folder.is_dir():
            continue
        for left in [*folder.glob("*.lock"), *folder.glob("*.index")]:
            left.unlink(missing_ok=True)
        try:
            folder.rmdir()
        except OSError:
            continue
    return freed / 1e9


class DecodedCache:
    """Decoded images of one shape on disk.

    Parameters
    ----------
    cache_dir : str or PathLike
    shape : tuple of (height, width, channels)
    resize : str

    Notes
    -----
    If images cannot be stored, that is an error within `filling`, and elsewhere a warning.
    """

    def __init__(
        self,
        cache_dir: str | os.PathLike[str],
        shape: tuple[int, int, int],
        resize: str,
    ) -> None:
        self.cache_dir = cache_dir
        self.root = _root(cache_dir)
        self.folder = self.root / f"{'x'.join(map(str, shape))}-{resize}"
        self.record_bytes = int(np.prod(shape))
        self._lock = threading.Lock()
        self._writer: _Writer | None = None
        self._writes = True
        self._is_required = False
        self._forget()

    @contextmanager
    def filling(self, keys: Keys) -> Iterator[None]:
        """Let one process store these images while others wait, and then find them there.

        Raises
        ------
        OSError
            If the images cannot be stored: the folder is read-only, or the disk is full.
        """
        if self.has(keys).all():
            yield
            return
        self._is_required = True
        lock = filelock.FileLock(self.folder / "decoding.lock")
        try:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                lock.acquire(poll_interval=_POLL_SECONDS)
                self._forget()
                self._check_space(int((~self.has(keys)).sum()))
            except OSError as error:
                self._give_up(error)
            yield
        finally:
            lock.release()
            self._is_required = False
            self.close()

    def has(self, keys: Keys) -> Mask:
        """Whether each image is stored."""
        with self._lock:
            found: Mask = self._find(keys)["segment"] >= 0
        return found

    def read(self, keys: Keys, pixels: Pixels) -> Mask:
        """Read images into an array (n, height, width, channels), and say which there were."""
        with self._lock:
            places = self._find(keys)
            segments = list(self._segments)
        is_read = np.zeros(len(keys), dtype=bool)
        for number in np.unique(places["segment"][places["segment"] >= 0]):
            path = segments[number]
            rows = np.flatnonzero(places["segment"] == number)
            rows = rows[np.argsort(places["number"][rows])]
            try:
                is_read[rows] = self._read_segment(path, places[rows], pixels, rows)
            except OSError:
                # Somebody has cleared the cache.
                continue
            if not is_read[rows].all():
                _remove(path)
        return is_read

    def write(self, keys: Keys, pixels: Pixels) -> None:
        """Store images.

        Raises
        ------
        OSError
            If that fails within `filling`.
        """
        if not self._writes or not len(keys):
            return
        with self._lock:
            try:
                self._append(keys, pixels)
            except OSError as error:
                self._give_up(error)

    def _check_space(self, n_images: int) -> None:
        """Raise an error early if so many images will not fit on the disk."""
        needed = min(n_images * (self.record_bytes + _ENTRY.itemsize), _max_bytes())
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise OSError(
                errno.ENOSPC,
                f"{os.strerror(errno.ENOSPC)}. The images need {needed / 1e9:.3g} GB, and "
                f"{free / 1e9:.3g} GB are free",
            )

    def close(self) -> None:
        """Let other processes write to the segment of this one."""
        with self._lock:
            if self._writer is not None:
                self._writer.close()
                self._writer = None

    def _forget(self) -> None:
        self._segments: list[Path] = []
        self._is_loaded = False
        self._high = self._low = np.empty(0, dtype=np.uint64)
        self._places = np.empty(0, dtype=_PLACE)
        self._fresh: dict[bytes, tuple[int, int, int]] = {}
        self._used: set[int] = set()

    def _give_up(self, error: OSError) -> None:
        self._writes = False
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        message = f"cache_dir={os.fspath(self.cache_dir)!r} cannot be written: {error.strerror}."
        if self._is_required:
            hint = "Free space, use another folder, or set cache_dir=None."
            raise OSError(error.errno, f"{message} {hint}") from error
        warn(f"{message} Images are decoded without it.")

    # ------------------------------------------------------------------ finding

    def _find(self, keys: Keys) -> npt.NDArray[np.void]:
        """Return the place of each image; segment -1 where there is none."""
        if not self._is_loaded:
            self._load_indices()
        places = np.zeros(len(keys), dtype=_PLACE)
        places["segment"] = -1
        if len(self._high):
            at = np.searchsorted(self._high, keys["high"])
            at[at == len(self._high)] = 0
            same = (self._high[at] == keys["high"]) & (self._low[at] == keys["low"])
            places[same] = self._places[at[same]]
        if self._fresh:
            for row, key in enumerate(keys):
                fresh = self._fresh.get(key.tobytes())
                if fresh is not None:
                    places[row] = fresh
        for number in np.unique(places["segment"][places["segment"] >= 0]):
            if int(number) not in self._used:
                self._used.add(int(number))
                # The segments that were not used for longest are deleted first.
                _touch(self._segments[number])
        return places

    def _load_indices(self) -> None:
        entries, places = [np.empty(0, dtype=KEY)], [np.empty(0, dtype=_PLACE)]
        for path in sorted(self.folder.glob("*.index")):
            found = _read_index(path)
            place = np.empty(len(found), dtype=_PLACE)
            place["segment"] = len(self._segments)
            place["number"] = np.arange(len(found))
            place["checksum"] = found["checksum"]
            self._segments.append(path.with_suffix(".pixels"))
            entries.append(found["key"])
            places.append(place)
        self._set_index(np.concatenate(entries), np.concatenate(places))
        self._is_loaded = True

    def _set_index(self, keys: Keys, places: npt.NDArray[np.void]) -> None:
        order = np.argsort(keys["high"], kind="stable")
        # Searches need numbers side by side.
        self._high, self._low = keys["high"][order], keys["low"][order]
        self._places = places[order]

    def _read_segment(
        self, path: Path, places: npt.NDArray[np.void], pixels: Pixels, rows: npt.NDArray[np.intp]
    ) -> Mask:
        # Opened each time: nothing is open in a forked child, or once the cache is cleared.
        is_read = np.zeros(len(rows), dtype=bool)
        with open(path, "rb", buffering=0) as file:
            for i, (row, place) in enumerate(zip(rows, places)):
                image = pixels[row].reshape(-1)
                file.seek(int(place["number"]) * self.record_bytes)
                n_bytes = file.readinto(image.data)
                is_read[i] = n_bytes == len(image) and zlib.crc32(image) == place["checksum"]
        return is_read

    # ------------------------------------------------------------------ writing

    def _append(self, keys: Keys, pixels: Pixels) -> None:
        start = 0
        while start < len(keys):
            if self._writer is None or self._writer.n_left < 1:
                self._next_segment()
            writer = self._writer
            if writer is None:
                return
            stop = min(len(keys), start + writer.n_left)
            checksums = [zlib.crc32(image.reshape(-1)) for image in pixels[start:stop]]
            first = writer.append(keys[start:stop], pixels[start:stop], checksums)
            segment = self._segments.index(writer.path)
            for i, (key, checksum) in enumerate(zip(keys[start:stop], checksums)):
                self._fresh[key.tobytes()] = segment, first + i, checksum
            start = stop
        if len(self._fresh) > _MAX_FRESH:
            self._merge_fresh()

    def _merge_fresh(self) -> None:
        if not self._is_loaded:
            self._load_indices()
        fresh = np.frombuffer(b"".join(self._fresh), dtype=KEY)
        keys = np.empty(len(fresh) + len(self._high), dtype=KEY)
        # Of two with the same key, the first is found.
        keys["high"] = np.concatenate([fresh["high"], self._high])
        keys["low"] = np.concatenate([fresh["low"], self._low])
        places = np.array(list(self._fresh.values()), dtype=_PLACE)
        self._set_index(keys, np.concatenate([places, self._places]))
        self._fresh = {}

    def _next_segment(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self.folder.mkdir(parents=True, exist_ok=True)
        limit = min(_SEGMENT_BYTES, _max_bytes() // 8)
        self._writer = _find_writable(self.folder, self.record_bytes, limit)
        if self._writer is None:
            used = {self._segments[number] for number in self._used}
            if not _make_room(self.root, limit, used):
                self._writes = False
                warn(
                    f"cache_dir={os.fspath(self.cache_dir)!r} has reached its limit of "
                    f"{_max_bytes() / 1e9:g} GB, and further images are decoded each time. Set "
                    f"the environment variable {_SIZE_VARIABLE} to more gigabytes."
                )
                return
            path = self.folder / f"{uuid.uuid4().hex}.pixels"
            self._writer = _Writer.create(path, self.record_bytes, limit)
        if self._writer.path not in self._segments:
            self._segments.append(self._writer.path)
        self._used.add(self._segments.index(self._writer.path))


@dataclass
class _Writer:
    """A segment that this process alone appends to."""

    path: Path
    record_bytes: int
    limit: int
    lock: filelock.BaseFileLock
    n_records: int = 0

    @classmethod
    def create(cls, path: Path, record_bytes: int, limit: int) -> "_Writer":
        """Start a new segment."""
        # It may be released by another thread.
        lock = filelock.FileLock(path.with_suffix(".lock"), thread_local=False)
        lock.acquire()
        path.touch()
        path.with_suffix(".index").touch()
        return cls(path, record_bytes, limit, lock)

    @classmethod
    def take_over(cls, path: Path, record_bytes: int, limit: int) -> "_Writer | None":
        """Continue a segment that nobody writes to, without what was left unfinished."""
        lock = filelock.FileLock(path.with_suffix(".lock"), thread_local=False)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            return None
        try:
            index = path.with_suffix(".index")
            n_records = min(
                index.stat().st_size // _ENTRY.itemsize, path.stat().st_size // record_bytes
            )
            os.truncate(index, n_records * _ENTRY.itemsize)
            os.truncate(path, n_records * record_bytes)
        except FileNotFoundError:
            lock.release()
            return None
        except BaseException:
            lock.release()
            raise
        return cls(path, record_bytes, limit, lock, n_records)

    @property
    def n_left(self) -> int:
        """Number of images that there is room for."""
        return max(1, self.limit // self.record_bytes) - self.n_records

    def append(self, keys: Keys, pixels: Pixels, checksums: list[int]) -> int:
        """Append images, and return the number of the first one in this segment."""
        entries = np.zeros(len(keys), dtype=_ENTRY)
        entries["key"], entries["checksum"] = keys, checksums
        _append_bytes(self.path, np.ascontiguousarray(pixels).reshape(-1))
        _append_bytes(self.path.with_suffix(".index"), entries.view(np.uint8))
        first = self.n_records
        self.n_records += len(keys)
        return first

    def close(self) -> None:
        """Release the segment."""
        self.lock.release()


def _append_bytes(path: Path, values: npt.NDArray[np.uint8]) -> None:
    data = values.data
    with open(path, "r+b", buffering=0) as file:
        file.seek(0, os.SEEK_END)
        while data:
            data = data[file.write(data) :]


def _read_index(path: Path) -> npt.NDArray[np.void]:
    try:
        data = path.read_bytes()
    except OSError:
        data = b""
    whole = len(data) // _ENTRY.itemsize * _ENTRY.itemsize
    return np.frombuffer(data[:whole], dtype=_ENTRY)


def _find_writable(folder: Path, record_bytes: int, limit: int) -> _Writer | None:
    for path in sorted(folder.glob("*.pixels")):
        try:
            size = path.stat().st_size
        except OSError:
            continue
        if size + record_bytes <= limit:
            writer = _Writer.take_over(path, record_bytes, limit)
            if writer is not None and writer.n_left > 0:
                return writer
            if writer is not None:
                writer.close()
    return None


# ---------------------------------------------------------------------- size


def _root(cache_dir: str | os.PathLike[str]) -> Path:
    return Path(cache_dir).expanduser() / _FOLDER


def _max_bytes() -> int:
    """Return the limit on the size of a cache.

    Raises
    ------
    ValueError
        If the environment variable is no positive number.
    """
    text = os.environ.get(_SIZE_VARIABLE, str(_DEFAULT_GB))
    try:
        gigabytes = float(text)
    except ValueError:
        gigabytes = -1.0
    if not 0 < gigabytes < np.inf:
        raise ValueError(
            f"The environment variable {_SIZE_VARIABLE}={text!r} is not a number of gigabytes. "
            "Expected a positive number."
        )
    return int(gigabytes * 1e9)


def _make_room(root: Path, needed: int, in_use: set[Path]) -> bool:
    """Delete segments until there is room for another one; return whether there is."""
    allowed = _max_bytes() - needed
    _remove_oldest(root, allowed, in_use)
    return sum(size for _, size, _ in _segments(root)) <= allowed


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


def _remove_oldest(root: Path, keep: int, in_use: set[Path] | None = None) -> int:
    """Delete the segments that were not used for longest; return how many bytes are freed."""
    segments = _segments(root)
    total = sum(size for _, size, _ in segments)
    freed = 0
    for _, size, path in segments:
        if total - freed <= keep:
            break
        if path not in (in_use or ()) and _remove(path):
            freed += size
    return freed


def _remove(path: Path) -> bool:
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


def _touch(path: Path) -> None:
    with suppress(OSError):
        os.utime(path)
