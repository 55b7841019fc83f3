"""Names for the state of image files: the same file, unchanged, has the same key."""

import os
from functools import cache
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from skcnn._data._paths import Paths
from skcnn._decode import local_name

#: Two numbers of 64 bits per file.
KEY = np.dtype([("high", "<u8"), ("low", "<u8")])


def file_keys(paths: Paths, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.void]:
    """Return a key of each file, its time, its size and its box.

    Files that are not there have keys, too, which are those of no file.

    Parameters
    ----------
    paths : Paths
    rows : ndarray of int
        Rows of `paths`.

    Returns
    -------
    keys : ndarray of shape (n_rows,), of dtype `KEY`
    """
    folder, prefix = os.getcwd(), _decoder()
    digests = bytearray()
    for row in rows:
        digests += _digest(paths, int(row), folder, prefix)
    return np.frombuffer(digests, dtype=KEY)


def _digest(paths: Paths, row: int, folder: str, prefix: str) -> bytes:
    box = paths.box(row)
    part = "" if box is None else box.tobytes().hex()
    try:
        name = os.path.join(folder, local_name(paths.names[row]))
        found = os.stat(name)
        state = f"{found.st_mtime_ns}:{found.st_size}"
    except (OSError, TypeError, ValueError):
        name, state = str(paths.names[row]), "missing"
    text = f"{prefix}\0{name}\0{state}\0{part}"
    return blake2b(text.encode(errors="surrogateescape"), digest_size=KEY.itemsize).digest()


@cache
def _decoder() -> str:
    """Return what else the pixels of a file depend on."""
    import PIL

    return f"pillow {PIL.__version__}"
