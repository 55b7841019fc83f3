"""Reading of image files to report what they are: sizes, damage, duplicates."""

import hashlib
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from skcnn._decode import (
    UnreadableImageError,
    displayed_size,
    in_mode,
    orientation,
    read_header,
    reading,
    turned,
)

if TYPE_CHECKING:
    from PIL.Image import Image

# Two photographs whose hashes differ in at most so many of the 64 bits are near duplicates.
MOST_BITS = 3
# Photographs of CIFAR-100 with near hashes that show different things are correlated by less.
LEAST_CORRELATION = 0.9
# Pixels of nearly one gray level, such as a black night, have a hash of noise.
_LEAST_CONTRAST = 8.0
# Number of hashes compared at once.
_BLOCK = 2**21


class File(NamedTuple):
    """What was found in one file. The hash is None for unreadable and nearly uniform images."""

    path: str
    width: int = 0
    height: int = 0
    mode: str = ""
    n_bytes: int = 0
    problem: str = ""
    hash: int | None = None


def import_pillow() -> None:
    """Import Pillow, or say how to install it."""
    try:
        import PIL.Image  # noqa: F401
    except ImportError as error:
        raise ImportError("Reading image files needs Pillow: pip install pillow") from error


def image_size(path: str) -> tuple[int, int]:
    """Return width and height of an image in pixels as it is shown, from the file's header."""
    import_pillow()
    try:
        height, width, _ = read_header(path)
    except UnreadableImageError as error:
        raise ValueError(
            f"{path}: the size of the image is needed for a box in pixels, but the file {error}."
        ) from error
    return width, height


def exif_times(paths: Iterable[str]) -> pd.Series:
    """Return the times in photographs as texts, from their headers; None where there is none."""
    import_pillow()
    with warnings.catch_warnings(), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        warnings.simplefilter("ignore")
        return pd.Series(list(pool.map(_exif_time, paths)), dtype=object)


def _exif_time(path: str) -> str | None:
    from PIL import Image

    try:
        with Image.open(path) as image:
            exif = image.getexif()
        # When it was taken, else when the file was written.
        time = exif.get_ifd(0x8769).get(0x9003) or exif.get(0x0132)
    except Exception:  # whatever a damaged file leads Pillow to; the report finds it
        return None
    return str(time).strip("\0 ") if time else None


def scan_files(paths: Sequence[str], n_threads: int | None = None) -> list[File]:
    """Decode image files and describe each, in several threads."""
    import_pillow()
    n_threads = n_threads or min(8, os.cpu_count() or 1)
    with warnings.catch_warnings(), ThreadPoolExecutor(n_threads) as pool:
        # Pillow warns of odd files, which are reported here.
        warnings.simplefilter("ignore")
        return list(pool.map(_scan, paths))


def _scan(path: str) -> File:
    """Decode one file, as `fit` does."""
    n_bytes = os.path.getsize(path) if os.path.isfile(path) else 0
    try:
        with reading(path) as image:
            (width, height), mode = displayed_size(image), image.mode
            # All of a JPEG is read, and no more than a small image made of it.
            image.draft("L" if mode == "L" else "RGB", (64, 64))
            image.load()
            seen = in_mode(image, "L" if mode in ("1", "L", "LA") or mode[0] in "IF" else "RGB")
            # Of 16 bits, the lower ones tell dark images apart.
            small = turned(image if mode.startswith("I;16") else seen, orientation(image))
            return File(path, width, height, mode, n_bytes, "", difference_hash(small))
    except UnreadableImageError as error:
        return File(path, n_bytes=n_bytes, problem=str(error))


def difference_hash(image: "Image") -> int | None:
    """Return the hash of an image; None for an image of nearly one gray level."""
    gray = small_gray(image)
    return None if gray is None else hash_of_gray(gray)


def hash_of_gray(gray: npt.NDArray[np.float32]) -> int:
    """Return 64 bits that tell where a small gray image gets brighter to the right.

    Images that look alike have nearly the same bits, also after resizing or compressing.

    References
    ----------
    Krawetz, N. (2013). "Kind of Like That". The Hacker Factor Blog.
    """
    bits = (gray[:, 1:] > gray[:, :-1]).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def small_gray(image: "Image") -> npt.NDArray[np.float32] | None:
    """Return an image as 8x9 gray pixels; None for an image of nearly one gray level."""
    from PIL import Image

    if image.mode.startswith("I") or image.mode == "F":
        # Pillow would clip 16 bits to white.
        values = np.asarray(image, dtype=np.float32)
        image = Image.fromarray(values)
    else:
        image = image.convert("L")
    gray = np.asarray(image.resize((9, 8), Image.Resampling.BOX), dtype=np.float32)
    span = 255.0 if image.mode == "L" else max(float(np.abs(gray).max()), 1.0)
    return None if np.ptp(gray) < _LEAST_CONTRAST / 255 * span else gray


def digests(files: Sequence[File]) -> dict[str, list[str]]:
    """Return the paths of files with equal content. Only files of equal size are read."""
    by_size: dict[int, list[str]] = {}
    for file in files:
        if file.n_bytes:
            by_size.setdefault(file.n_bytes, []).append(file.path)
    found: dict[str, list[str]] = {}
    for paths in by_size.values():
        if len(paths) > 1:
            for path in paths:
                try:
                    with open(path, "rb") as content:
                        digest = hashlib.file_digest(content, "blake2b").hexdigest()
                except OSError:
                    continue  # it is among the unreadable files
                found.setdefault(digest, []).append(path)
    return {digest: paths for digest, paths in found.items() if len(paths) > 1}


def near_sets(
    hashes: npt.NDArray[np.uint64], grays: npt.NDArray[np.float32] | None = None
) -> list[list[int]]:
    """Return sets of hashes of which each is near another: at most MOST_BITS bits differ.

    Of hashes that differ in at most 3 bits, one of 4 parts is equal: only these are compared.
    With the small gray images (n, 8, 9), these must also be correlated by LEAST_CORRELATION:
    smooth images that get brighter in the same places may show different things.

    Examples
    --------
    >>> near_sets(np.array([0b1111, 2**64 - 1, 0b1110], dtype=np.uint64))
    [[0, 2], [1]]
    """
    above = list(range(len(hashes)))
    looks = None if grays is None else _standardized(grays)

    def first(i: int) -> int:
        while above[i] != i:
            above[i] = above[above[i]]
            i = above[i]
        return i

    n_parts = MOST_BITS + 1
    width = np.uint64(64 // n_parts)
    for part in range(n_parts):
        keys = (hashes >> (np.uint64(part) * width)) & np.uint64((1 << int(width)) - 1)
        order = np.argsort(keys, kind="stable")
        bounds = np.flatnonzero(np.diff(keys[order])) + 1
        for members in np.split(order, bounds):
            for i, j in _close(hashes, members):
                if looks is not None and looks[i] @ looks[j] < LEAST_CORRELATION:
                    continue
                low, high = sorted((first(i), first(j)))
                above[high] = low
    sets: dict[int, list[int]] = {}
    for i in range(len(hashes)):
        sets.setdefault(first(i), []).append(i)
    return list(sets.values())


def _standardized(grays: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return rows whose products are the correlations of images that are not uniform."""
    looks = grays.reshape(len(grays), 72)
    looks = looks - looks.mean(axis=1, keepdims=True)
    standardized: npt.NDArray[np.float32] = looks / np.linalg.norm(looks, axis=1, keepdims=True)
    return standardized


def _close(
    hashes: npt.NDArray[np.uint64], members: npt.NDArray[np.intp]
) -> Iterator[tuple[int, int]]:
    """Yield the pairs of members whose hashes differ in few bits, a block at a time."""
    if len(members) < 2:
        return
    step = max(1, _BLOCK // len(members))
    for start in range(0, len(members), step):
        block = members[start : start + step]
        differing = hashes[block][:, None] ^ hashes[members][None, :]
        n_bits = _N_BITS[differing.view(np.uint16)].reshape(*differing.shape, 4).sum(axis=-1)
        for i, j in np.argwhere(n_bits <= MOST_BITS):
            if block[i] < members[j]:
                yield int(block[i]), int(members[j])


# Number of bits that are set in each 16-bit number.
_N_BITS = np.array([value.bit_count() for value in range(2**16)], dtype=np.uint8)
