"""Segments: files to which decoded images are appended, each with an index beside it.

The index has one entry per image. Only the process that holds the lock of a segment writes to it,
pixels first. So whenever a process is killed, all that the index names is there.
"""

import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import filelock
import numpy as np
import numpy.typing as npt

from skcnn._data._file_keys import KEY

#: One image in an index. The fourth number keeps entries at a multiple of eight bytes.
ENTRY = np.dtype([("key", KEY), ("checksum", "<u4"), ("unused", "<u4")])


@dataclass
class SegmentWriter:
    """A segment that this process alone appends to.

    Attributes
    ----------
    path : Path
        File of the pixels.
    record_bytes : int
        Bytes of one image.
    limit : int
        Bytes that the segment may hold.
    lock : FileLock
    n_records : int
        Number of images in the segment.
    """

    path: Path
    record_bytes: int
    limit: int
    lock: filelock.BaseFileLock
    n_records: int = 0

    @classmethod
    def create(cls, path: Path, record_bytes: int, limit: int) -> Self:
        """Start a new segment."""
        # It may be released by another thread.
        lock = filelock.FileLock(path.with_suffix(".lock"), thread_local=False)
        lock.acquire()
        try:
            path.touch()
            path.with_suffix(".index").touch()
        except BaseException:
            lock.release()
            raise
        return cls(path, record_bytes, limit, lock)

    @classmethod
    def take_over(cls, path: Path, record_bytes: int, limit: int) -> Self | None:
        """Continue a segment that nobody writes to, without what was left unfinished."""
        lock = filelock.FileLock(path.with_suffix(".lock"), thread_local=False)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            return None
        try:
            index = path.with_suffix(".index")
            n_records = min(
                index.stat().st_size // ENTRY.itemsize, path.stat().st_size // record_bytes
            )
            os.truncate(index, n_records * ENTRY.itemsize)
            os.truncate(path, n_records * record_bytes)
        except FileNotFoundError:
            lock.release()
            return None
        except BaseException:
            lock.release()
            raise
        return cls(path, record_bytes, limit, lock, n_records)

    @classmethod
    def find(cls, folder: Path, record_bytes: int, limit: int) -> Self | None:
        """Continue any segment of a folder that has room; None where there is none."""
        for path in sorted(folder.glob("*.pixels")):
            try:
                size = path.stat().st_size
            except OSError:
                continue
            if size + record_bytes <= limit:
                writer = cls.take_over(path, record_bytes, limit)
                if writer is not None and writer.n_left > 0:
                    return writer
                if writer is not None:
                    writer.close()
        return None

    @property
    def n_left(self) -> int:
        """Number of images that there is room for."""
        return max(1, self.limit // self.record_bytes) - self.n_records

    def append(
        self, keys: npt.NDArray[np.void], pixels: npt.NDArray[np.uint8], checksums: list[int]
    ) -> int:
        """Append images, and return the number of the first one in this segment."""
        entries = np.zeros(len(keys), dtype=ENTRY)
        entries["key"], entries["checksum"] = keys, checksums
        _append_bytes(self.path, np.ascontiguousarray(pixels).reshape(-1))
        _append_bytes(self.path.with_suffix(".index"), entries.view(np.uint8))
        first = self.n_records
        self.n_records += len(keys)
        return first

    def close(self) -> None:
        """Let others write to the segment."""
        self.lock.release()


def read_entries(path: Path) -> npt.NDArray[np.void]:
    """Read the index of a segment, without an entry that is being written."""
    try:
        data = path.with_suffix(".index").read_bytes()
    except OSError:
        data = b""
    whole = len(data) // ENTRY.itemsize * ENTRY.itemsize
    return np.frombuffer(data[:whole], dtype=ENTRY)


def read_pixels(
    path: Path,
    numbers: npt.NDArray[np.int32],
    checksums: npt.NDArray[np.uint32],
    pixels: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.intp],
) -> npt.NDArray[np.bool_]:
    """Read images of a segment into rows of an array, and say which are sound.

    Raises
    ------
    OSError
        If the segment is gone, or cannot be read.
    """
    is_sound = np.zeros(len(rows), dtype=bool)
    # Opened each time: nothing is open in a forked child, or once the cache is cleared.
    with open(path, "rb", buffering=0) as file:
        for i, row in enumerate(rows):
            image = pixels[row].reshape(-1)
            file.seek(int(numbers[i]) * len(image))
            n_bytes = file.readinto(image.data)
            is_sound[i] = n_bytes == len(image) and zlib.crc32(image) == checksums[i]
    return is_sound


def checksums_of(pixels: npt.NDArray[np.uint8]) -> list[int]:
    """Return a checksum of each image."""
    return [zlib.crc32(image.tobytes()) for image in pixels]


def _append_bytes(path: Path, values: npt.NDArray[np.uint8]) -> None:
    data = values.data
    with open(path, "r+b", buffering=0) as file:
        file.seek(0, os.SEEK_END)
        while data:
            data = data[file.write(data) :]
