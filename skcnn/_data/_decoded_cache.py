"""Decoded images on disk, shared by fits and processes.

A folder for each shape holds segments of up to 256 MB, and their indices. One process at a time
fills it, while others wait and then find the images there.
"""

import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import filelock
import numpy as np
import numpy.typing as npt

from skcnn._compute._interrupt import allow_interrupts
from skcnn._data._cache_folder import (
    SIZE_VARIABLE,
    cache_root,
    check_space,
    make_room,
    max_cache_bytes,
    remove_segment,
)
from skcnn._data._cache_index import CacheIndex
from skcnn._data._cache_segments import ENTRY, SegmentWriter, checksums_of, read_pixels
from skcnn._utils import warn

Keys = npt.NDArray[np.void]
Mask = npt.NDArray[np.bool_]
Pixels = npt.NDArray[np.uint8]

_SEGMENT_BYTES = 2**28
_POLL_SECONDS = 0.05


class DecodedCache:
    """Decoded images of one shape on disk, or what else is made of each image.

    Parameters
    ----------
    cache_dir : str or PathLike
    shape : tuple of (height, width, channels)
        Of the bytes of an image.
    resize : str
        How the images got their shape, or what else tells them from others of this shape.
    what : str, default="Images are decoded"
        What is done without the cache, in messages.

    Notes
    -----
    If images cannot be stored, that is an error within `filling`, and elsewhere a warning.
    """

    def __init__(
        self,
        cache_dir: str | os.PathLike[str],
        shape: tuple[int, ...],
        resize: str,
        *,
        what: str = "Images are decoded",
    ) -> None:
        self.cache_dir = cache_dir
        self.root = cache_root(cache_dir)
        self.folder = self.root / f"{'x'.join(map(str, shape))}-{resize}"
        self.record_bytes = int(np.prod(shape))
        self.what = what
        self._lock = threading.Lock()
        self._index = CacheIndex(self.folder)
        self._writer: SegmentWriter | None = None
        self._writes = True
        self._is_required = False

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
                # It may take as long as another process needs for the same images.
                with allow_interrupts():
                    lock.acquire(poll_interval=_POLL_SECONDS)
                # Others may have stored images meanwhile.
                self._index = CacheIndex(self.folder)
                n_missing = int((~self.has(keys)).sum())
                check_space(self.folder, n_missing * (self.record_bytes + ENTRY.itemsize))
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
            found: Mask = self._index.find(keys)["segment"] >= 0
        return found

    def read(self, keys: Keys, pixels: Pixels) -> Mask:
        """Read images into an array (n, height, width, channels), and say which there were."""
        with self._lock:
            places = self._index.find(keys)
            segments = list(self._index.segments)
        is_read = np.zeros(len(keys), dtype=bool)
        for segment in np.unique(places["segment"][places["segment"] >= 0]):
            rows = np.flatnonzero(places["segment"] == segment)
            rows = rows[np.argsort(places["number"][rows])]
            numbers, checksums = places["number"][rows], places["checksum"][rows]
            try:
                is_read[rows] = read_pixels(segments[segment], numbers, checksums, pixels, rows)
            except OSError:
                # Somebody has cleared the cache.
                continue
            if not is_read[rows].all():
                # Who knows what else is wrong with it.
                remove_segment(segments[segment])
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

    def close(self) -> None:
        """Let other processes write to the segment of this one."""
        with self._lock:
            self._release_writer()

    def _append(self, keys: Keys, pixels: Pixels) -> None:
        start = 0
        while start < len(keys):
            if self._writer is None or self._writer.n_left < 1:
                self._release_writer()
                self._writer = self._next_segment()
            writer = self._writer
            if writer is None:
                return
            some = slice(start, min(len(keys), start + writer.n_left))
            checksums = checksums_of(pixels[some])
            first = writer.append(keys[some], pixels[some], checksums)
            self._index.add(writer.path, keys[some], first, checksums)
            start = some.stop

    def _next_segment(self) -> SegmentWriter | None:
        """Return a segment with room for images; None where the cache has reached its limit."""
        self.folder.mkdir(parents=True, exist_ok=True)
        limit = min(_SEGMENT_BYTES, max_cache_bytes() // 8)
        writer = SegmentWriter.find(self.folder, self.record_bytes, limit)
        if writer is not None:
            return writer
        if make_room(self.root, limit, self._index.used()):
            path = self.folder / f"{uuid.uuid4().hex}.pixels"
            return SegmentWriter.create(path, self.record_bytes, limit)
        self._writes = False
        warn(
            f"cache_dir={os.fspath(self.cache_dir)!r} has reached its limit of "
            f"{max_cache_bytes() / 1e9:g} GB, and keeps nothing of further images. Set "
            f"the environment variable {SIZE_VARIABLE} to more gigabytes."
        )
        return None

    def _release_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _give_up(self, error: OSError) -> None:
        """Store nothing any more, and say why."""
        self._writes = False
        self._release_writer()
        reason = error.strerror or error
        message = f"cache_dir={os.fspath(self.cache_dir)!r} cannot be written: {reason}."
        if self._is_required:
            hint = "Free space, use another folder, or set cache_dir=None."
            raise OSError(error.errno, f"{message} {hint}") from error
        warn(f"{message} {self.what} without it.")
