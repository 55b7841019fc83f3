"""Boxes as fractions of the image, from the ways in which tools write them."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Box = tuple[float, float, float, float]

BOX_FORMATS = ("xywh", "xyxy")
BOX_UNITS = ("fraction", "percent", "pixel")

# Of the sides of a box that is drawn over the edge of its image, at least this share is inside.
_LEAST_INSIDE = 0.7
# More boxes outside of their images than this share mean that format or unit are wrong.
MOST_OUTSIDE = 0.1


def to_fractions(
    boxes: npt.NDArray[np.float64],
    *,
    box_format: str,
    box_unit: str,
    sizes: npt.NDArray[np.float64] | None = None,
    where: str,
) -> npt.NDArray[np.float64]:
    """Return boxes as fractions of the image: x, y of the top left corner, width and height.

    Parameters
    ----------
    boxes : ndarray of shape (n, 4)
        NaN where an image has no box.
    box_format : {"xywh", "xyxy"}
        Top left corner with width and height, or two opposite corners in any order.
    box_unit : {"fraction", "percent", "pixel"}
        What the numbers count.
    sizes : ndarray of shape (n, 2) or None, default=None
        Width and height of each image in pixels. Needed for pixels alone.
    where : str
        Name of the file, for messages.

    Returns
    -------
    boxes : ndarray of shape (n, 4)
        Boxes that leave the image by a little are cut at its edge. Width and height are 0 for
        the few that are outside.

    Raises
    ------
    ValueError
        If many boxes are outside of their images, which a wrong format or unit leads to.
    """
    boxes = boxes.astype(np.float64, copy=True)
    if box_format == "xyxy":
        low, high = np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])
        boxes = np.hstack([low, high - low])
    if box_unit == "percent":
        boxes /= 100
    elif box_unit == "pixel":
        if sizes is None:
            raise ValueError(f"{where}: boxes in pixels need the sizes of the images.")
        boxes /= np.tile(sizes, 2)
    low, high = np.clip(boxes[:, :2], 0, 1), np.clip(boxes[:, :2] + boxes[:, 2:], 0, 1)
    result = np.hstack([low, high - low])
    inside = (result[:, 2:] >= _LEAST_INSIDE * boxes[:, 2:]).all(axis=1)
    inside &= (boxes[:, 2:] >= 0).all(axis=1)
    known = ~np.isnan(boxes).any(axis=1)
    outside = np.flatnonzero(~inside & known)
    if len(outside) > MOST_OUTSIDE * known.sum():
        shown = ", ".join(f"{value:.4g}" for value in boxes[outside[0]])
        raise ValueError(
            f"{where}: {len(outside)} of {known.sum()} boxes are not inside their images. That in "
            f"row {outside[0]} has, as fractions of the image, x, y, width and height {shown}. "
            f"Boxes were read as format {box_format!r} in the unit {box_unit!r}."
        )
    result[outside, 2:] = 0
    return result


def around(points: Sequence[tuple[float, float]]) -> tuple[float, float, float, float]:
    """Return the corners x1, y1, x2, y2 of the smallest box around some points."""
    x, y = zip(*points)
    return min(x), min(y), max(x), max(y)


def around_ellipse(
    x: float, y: float, rx: float, ry: float, degrees: float = 0.0
) -> tuple[float, float, float, float]:
    """Return the corners of the box around an ellipse that is turned clockwise.

    Examples
    --------
    >>> around_ellipse(16, 12, 8, 6, 90)
    (10.0, 4.0, 22.0, 20.0)
    """
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    across, down = math.hypot(rx * cos, ry * sin), math.hypot(rx * sin, ry * cos)
    return x - across, y - down, x + across, y + down


def box_of_mask(counts: Sequence[int], height: int) -> Box | None:
    """Return x, y, width and height in pixels of a run-length encoded mask of COCO.

    Parameters
    ----------
    counts : sequence of int
        Lengths of the runs of pixels outside and inside in turn, column by column.
    height : int
        Height of the image.

    Examples
    --------
    >>> box_of_mask([0, 20, 30], height=10)  # the first two columns
    (0.0, 0.0, 2.0, 10.0)
    """
    ends = np.cumsum(np.asarray(counts, dtype=np.int64))
    starts, ends = ends[:-1:2], ends[1::2]
    filled = ends > starts
    return box_of_runs(starts[filled], ends[filled] - 1, height)


def box_of_runs(starts: npt.ArrayLike, lasts: npt.ArrayLike, side: int) -> Box | None:
    """Return the box around runs of pixels, which go on in the next line at the end of one.

    Parameters
    ----------
    starts, lasts : array-like of shape (n_runs,)
        Numbers of the first and last pixel of each run.
    side : int
        Number of pixels in a line.

    Returns
    -------
    box : tuple or None
        First line, first pixel in a line, number of lines, number of pixels; None without runs.
    """
    first, last = np.asarray(starts, dtype=np.int64), np.asarray(lasts, dtype=np.int64)
    if not len(first):
        return None
    begin, end = first.min() // side, last.max() // side
    whole = (first // side != last // side).any()
    low = 0 if whole else (first % side).min()
    high = side - 1 if whole else (last % side).max()
    return float(begin), float(low), float(end - begin + 1), float(high - low + 1)


def unpack_counts(text: str, where: str = "counts") -> list[int]:
    """Return the run lengths in a compressed mask of COCO: numbers in 5-bit pieces.

    Each character is 48 plus 5 bits of a number and a sixth that tells whether it goes on. From
    the third on, numbers are differences to the one before the last.

    Raises
    ------
    ValueError
        If the text is no such mask; `where` names the place in a file.
    """
    counts: list[int] = []
    number, shift = 0, 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
            raise ValueError(
                f"{where}: expected a mask as COCO compresses it. Got the character {character!r}."
            )
        number |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                number -= 1 << shift
            counts.append(number + (counts[-2] if len(counts) > 2 else 0))
            number, shift = 0, 0
    if shift:
        raise ValueError(f"{where}: expected a mask as COCO compresses it. Its end is missing.")
    return counts
