"""Boxes of all dialects become fractions of the image; a wrong dialect is an error."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skcnn.datasets._boxes import around, box_of_mask, to_fractions, unpack_counts

SIZE = np.array([[200.0, 100.0]])
# x, y, width and height as fractions, and in each dialect.
EXPECTED = [0.1, 0.2, 0.3, 0.4]
DIALECTS = [
    ("xywh", "fraction", [0.1, 0.2, 0.3, 0.4]),
    ("xywh", "percent", [10, 20, 30, 40]),
    ("xywh", "pixel", [20, 20, 60, 40]),
    ("xyxy", "fraction", [0.1, 0.2, 0.4, 0.6]),
    ("xyxy", "percent", [40, 60, 10, 20]),  # corners in any order
    ("xyxy", "pixel", [80, 20, 20, 60]),
]


@pytest.mark.parametrize(("box_format", "box_unit", "box"), DIALECTS)
def test_dialects(box_format, box_unit, box):
    found = to_fractions(
        np.array([box, [np.nan] * 4]),
        box_format=box_format,
        box_unit=box_unit,
        sizes=np.repeat(SIZE, 2, axis=0),
        where="t",
    )
    np.testing.assert_allclose(found[0], EXPECTED)
    assert np.isnan(found[1]).all()


@pytest.mark.parametrize(("box_format", "box_unit", "box"), DIALECTS[2:3])
def test_pixels_taken_for_fractions(box_format, box_unit, box):
    with pytest.raises(ValueError, match=r"t: 1 of 1 boxes are not inside .* unit 'fraction'"):
        to_fractions(np.array([box]), box_format="xywh", box_unit="fraction", where="t")


def test_few_boxes_outside_lose_their_area():
    boxes = np.tile([0.0, 0.0, 1.01, 1.0], (20, 1))  # leaves the image by a rounding error
    boxes[3] = [0.5, 0.5, 0.9, 0.2]
    boxes[4] = [-0.1, 0.9, 0.5, 0.13]  # drawn over the edge
    found = to_fractions(boxes, box_format="xywh", box_unit="fraction", where="t")
    assert found[0].tolist() == [0, 0, 1, 1]
    assert found[3, 2:].tolist() == [0, 0]
    np.testing.assert_allclose(found[4], [0, 0.9, 0.4, 0.1])
    assert (found >= 0).all()
    assert (found[:, :2] + found[:, 2:] <= 1).all()


def test_around():
    assert around([(3, 4), (1, 9), (2, 5)]) == (1, 4, 3, 9)


def pack(counts):
    """Compress run lengths, as COCO does; the inverse of unpack_counts, for the test."""
    text = ""
    for i, count in enumerate(counts):
        number = count - (counts[i - 2] if i > 2 else 0)
        more = True
        while more:
            bits, number = number & 31, number >> 5
            more = number != (-1 if bits & 16 else 0)
            text += chr(48 + (bits | (32 if more else 0)))
    return text


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=12))
def test_compressed_masks(counts):
    assert unpack_counts(pack(counts)) == counts


@given(
    mask=st.integers(1, 6).flatmap(
        lambda height: st.lists(
            st.lists(st.booleans(), min_size=height, max_size=height), min_size=1, max_size=6
        )
    )
)
def test_box_of_mask(mask):
    columns = np.array(mask)  # (width, height): runs go down the columns
    flat = columns.ravel().astype(int)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat, [1 - flat[-1]]]))).tolist()
    counts = np.diff([0, *edges]).tolist()
    found = box_of_mask(counts, columns.shape[1])
    if not columns.any():
        assert found is None
        return
    x, y = np.flatnonzero(columns.any(axis=1)), np.flatnonzero(columns.any(axis=0))
    # A run may go over a whole column end, where its box is that of the runs: not smaller.
    left, top, width, height = found
    assert (left, left + width - 1) == (x[0], x[-1])
    assert top <= y[0]
    assert top + height - 1 >= y[-1]
    crosses = any(columns[i, -1] and columns[i + 1, 0] for i in range(len(columns) - 1))
    assert (top, top + height - 1) == ((0, columns.shape[1] - 1) if crosses else (y[0], y[-1]))
