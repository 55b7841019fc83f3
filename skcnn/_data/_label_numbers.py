"""The numbers in a file of labels, and whether those of several files mean the same."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from skcnn._data._paths import Paths
from skcnn._decode import (
    Path,
    UnreadableImageError,
    displayed_size,
    orientation,
    reading,
    turned,
)

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

Color = tuple[int, ...]

# Pixels of 0 and 255 come back as dozens of numbers, each of which would be a class.
_LOSSY = ("AVIF", "JPEG", "JPEG2000")
# Modes of Pillow whose channels are all alike only where an image is gray.
_COLORED = ("RGB", "RGBA", "RGBa", "RGBX")
_WHITE = 255


class Meaning(NamedTuple):
    """What the numbers in a file stand for, as far as the file tells.

    Attributes
    ----------
    colors : dict of color to int
        The number of each color that is in the image; of palette images alone.
    white : int or None
        The number of its white pixels: 1 with one bit per pixel, 255 with eight; None if there
        are none.
    """

    colors: Mapping[Color, int]
    white: int | None


class Numbers(NamedTuple):
    """The numbers in one file, and what they stand for."""

    values: npt.NDArray[Any]
    meaning: Meaning


def read_numbers(path: Path) -> Numbers:
    """Read the numbers of a gray or palette image, as they are.

    Raises
    ------
    UnreadableImageError
        If it is no such image, or its numbers may not be those that were drawn.
    """
    with reading(path) as file:
        _check_lossless(file)
        if len(file.getbands()) > 2 and file.mode not in _COLORED:
            raise UnreadableImageError(
                f"is a color image of Pillow's mode {file.mode!r}, which has no number per pixel"
            )
        displayed_size(file)
        # What it says of its pixels is gone once they are loaded.
        is_deep = len(file.getbands()) > 1 and any(";16" in str(tile) for tile in file.tile)
        file.load()
        values = np.asarray(turned(file, orientation(file)))
        meaning = _meaning(file)
    if values.ndim == 3:
        if is_deep:
            raise UnreadableImageError(
                "has several channels of 16 bits, of which only the upper 8 are read. Save it as "
                "gray, with one channel"
            )
        values = _one_channel(values)
    if values.dtype == bool:
        values = values.astype(np.uint8)
    return Numbers(values, meaning)


def _check_lossless(file: "ImageFile") -> None:
    """Refuse files whose compression changes numbers."""
    is_jpeg = file.format == "TIFF" and file.info.get("compression") in ("jpeg", "tiff_jpeg")
    if file.format in _LOSSY or is_jpeg:
        kind = "TIFF file that is compressed as JPEG" if is_jpeg else f"{file.format} file"
        article = "an" if kind.startswith("A") else "a"
        raise UnreadableImageError(
            f"is {article} {kind}, whose compression changes the numbers near edges. Export masks "
            "as PNG. Labels of a black and white one are np.asarray(Image.open(path)) > 127"
        )


def _one_channel(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the numbers of an image whose channels are alike."""
    n_colors = 3 if values.shape[2] > 2 else 1
    colors: npt.NDArray[Any] = values[..., :n_colors]
    if (colors != colors[..., :1]).any():
        raise UnreadableImageError("is a color image, which has no number per pixel")
    numbers = colors[..., 0]
    if values.shape[2] == n_colors:
        return numbers
    opacity = values[..., -1]
    if (opacity == opacity[0, 0]).all():
        return numbers
    lowest, highest = np.full(256, 255, np.uint8), np.zeros(256, np.uint8)
    np.minimum.at(lowest, numbers.ravel(), opacity.ravel())
    np.maximum.at(highest, numbers.ravel(), opacity.ravel())
    mixed = np.flatnonzero(lowest < highest)
    if len(mixed):
        # Strokes on a transparent layer: their color may be that of what is around them.
        raise UnreadableImageError(
            f"has pixels of the number {mixed[0]} of which some are transparent, and others are "
            "not, so that the number alone does not tell what they are. Save it without "
            "transparency. Labels of strokes on a transparent image are "
            "np.asarray(Image.open(path))[..., -1] > 127"
        )
    return numbers


def _meaning(file: "ImageFile") -> Meaning:
    """Return what the numbers of a loaded image stand for."""
    if file.mode == "P":
        return Meaning(_colors_in(file), None)
    if file.mode not in ("1", "L") or not file.histogram()[_WHITE]:
        return Meaning({}, None)
    return Meaning({}, 1 if file.mode == "1" else _WHITE)


def _colors_in(file: "ImageFile") -> dict[Color, int]:
    """Return the numbers of the colors in a palette image; not of those that several have."""
    palette = np.array(file.getpalette("RGB") or [], dtype=np.uint8).reshape(-1, 3)
    used = [number for number, n in enumerate(file.histogram()[: len(palette)]) if n]
    found: dict[Color, list[int]] = {}
    for number in used:
        found.setdefault(tuple(palette[number].tolist()), []).append(number)
    return {color: numbers[0] for color, numbers in found.items() if len(numbers) == 1}


def check_meanings(files: Sequence[Meaning], paths: Paths, name: str) -> None:
    """Refuse files in which one label has several numbers.

    Programs that reduce the colors of an image give each file a palette of its own, and those that
    save as few bits as suffice make of 255 a single bit.

    Raises
    ------
    ValueError
    """
    first: dict[Color, tuple[int, int]] = {}
    for row, file in enumerate(files):
        for color, number in file.colors.items():
            other, known = first.setdefault(color, (row, number))
            if known != number:
                raise ValueError(
                    f"{name} has palette images in which one color has several numbers: {color} "
                    f"is {known} in row {other}, {paths.names[other]}, and {number} in row {row}, "
                    f"{paths.names[row]}. The numbers are the labels. Expected one palette for "
                    "all files. If the numbers are right and the palettes are not, save them as "
                    "gray images: Image.fromarray(np.asarray(Image.open(path)))."
                )
    whites = [file.white for file in files]
    if {1, _WHITE} <= set(whites):
        bits, white = whites.index(1), whites.index(_WHITE)
        raise ValueError(
            f"{name} has files of 1 bit per pixel, whose white is 1, such as row {bits}, "
            f"{paths.names[bits]}, and files whose white is 255, such as row {white}, "
            f"{paths.names[white]}. Expected one number for one label. Save all of them with 8 "
            'bits: Image.open(path).convert("L").'
        )
