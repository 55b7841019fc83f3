"""Binary files of CIFAR-100: label names and image records, checked before use."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from skcnn._retrieve import DataFileError
from skcnn.datasets._categories import COARSE_NAMES, COARSE_OF_FINE, FINE_NAMES

SIDE = 32
PLANE = SIDE * SIDE
# One byte for the coarse label, one for the fine label, and one per value of the red, green and
# blue planes.
RECORD_BYTES = 2 + 3 * PLANE


class Records(NamedTuple):
    """The records of one file. Pixels stay on disk until they are copied out."""

    raw: npt.NDArray[np.uint8]  # (n, RECORD_BYTES), a read-only memory map
    fine: npt.NDArray[np.int64]  # (n,) official labels of the categories


def check_label_names(folder: Path) -> None:
    """Check that the labels in the records have their official names."""
    for file_name, expected in (
        ("fine_label_names.txt", FINE_NAMES),
        ("coarse_label_names.txt", COARSE_NAMES),
    ):
        path = folder / file_name
        try:
            found = path.read_text(encoding="utf-8").split()
        except FileNotFoundError:
            raise _missing(path) from None
        except UnicodeDecodeError as error:
            raise _damaged(path, f"is not a text file ({error})") from error
        if len(found) != len(expected):
            raise _damaged(path, f"contains {len(found)} names instead of {len(expected)}")
        for line, (name, right) in enumerate(zip(found, expected, strict=True), start=1):
            if name != right:
                raise _damaged(path, f"names {name!r} in line {line}, where {right!r} belongs")


def open_records(path: Path) -> Records:
    """Open a file of records and check its size and its labels."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise _missing(path) from None
    if size == 0:
        raise _damaged(path, "is empty")
    if size % RECORD_BYTES:
        raise _damaged(
            path, f"has {size} bytes, which is not a multiple of a record's {RECORD_BYTES}"
        )
    raw = np.memmap(path, dtype=np.uint8, mode="r").reshape(-1, RECORD_BYTES)
    coarse, fine = raw[:, 0].astype(np.int64), raw[:, 1].astype(np.int64)
    for kind, labels, names in (("coarse", coarse, COARSE_NAMES), ("fine", fine, FINE_NAMES)):
        if labels.max() >= len(names):
            row = int(np.argmax(labels >= len(names)))
            raise _damaged(
                path,
                f"has {kind} label {labels[row]} in record {row}, expected 0 to {len(names) - 1}",
            )
    mismatch = coarse != COARSE_OF_FINE[fine]
    if mismatch.any():
        row = int(np.argmax(mismatch))
        raise _damaged(
            path,
            f"calls record {row} {FINE_NAMES[fine[row]]!r} (fine label {fine[row]}) and "
            f"{COARSE_NAMES[coarse[row]]!r} (coarse label {coarse[row]}), which do not belong "
            "together",
        )
    return Records(raw, fine)


def copy_images(
    records: Records, rows: npt.NDArray[np.intp], images: npt.NDArray[np.uint8]
) -> None:
    """Copy the images of some records into `images` (len(rows), SIDE, SIDE, 3)."""
    # Copying one plane at a time needs a third of the memory for temporary copies.
    for channel in range(3):
        first = 2 + channel * PLANE
        plane = records.raw[rows, first : first + PLANE]
        images[..., channel] = plane.reshape(-1, SIDE, SIDE)


def _missing(path: Path) -> DataFileError:
    return DataFileError(
        f"The CIFAR-100 folder {path.parent} lacks the file {path.name}. Put it there, or remove "
        "the folder to download all files again."
    )


def _damaged(path: Path, what: str) -> DataFileError:
    return DataFileError(
        f"{path} {what}: it is damaged or not a file of CIFAR-100's binary version. Remove the "
        f"folder {path.parent} to download all files again."
    )
