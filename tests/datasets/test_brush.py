"""Boxes around what was painted in Label Studio, compared with the pixels of the masks."""

import base64
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from skcnn.datasets._brush import box_of_bitmask, box_of_strokes

SIZES = (3, 4, 8, 16)  # bits of the lengths of runs, as Label Studio chooses them


def pack(values, sizes=SIZES, n_bits=8, literals=False):
    """Encode numbers as Label Studio does: runs, or numbers as they are."""
    text = f"{len(values):032b}{n_bits - 1:05b}" + "".join(f"{size - 1:04b}" for size in sizes)
    ends = [*np.flatnonzero(np.diff(values)) + 1, len(values)]
    place = 0
    while place < len(values):
        run = next(end for end in ends if end > place) - place
        length = min(len(values) - place if literals else run, 2 ** sizes[-1])
        which = next(i for i, size in enumerate(sizes) if length <= 2**size)
        told = values[place : place + length] if literals else values[place : place + 1]
        text += f"{not literals:d}{which:02b}{length - 1:0{sizes[which]}b}"
        text += "".join(f"{value:0{n_bits}b}" for value in told)
        place += length
    text += "0" * (-len(text) % 8)
    return [int(text[i : i + 8], 2) for i in range(0, len(text), 8)]


def expected(mask):
    height, width = mask.shape
    x, y = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if not len(x):
        return None
    ends = x[0] / width, y[0] / height, (x[-1] + 1) / width, (y[-1] + 1) / height
    return pytest.approx([100 * end for end in ends])


masks = st.tuples(st.integers(1, 7), st.integers(1, 7)).flatmap(
    lambda shape: st.lists(
        st.sampled_from([0, 0, 0, 17, 255]),
        min_size=shape[0] * shape[1],
        max_size=shape[0] * shape[1],
    ).map(lambda values: np.array(values).reshape(shape))
)


@settings(deadline=None)
@given(masks, st.booleans(), st.booleans())
def test_strokes_have_the_box_of_their_pixels(opacity, literals, is_colored):
    # Colors of transparent pixels tell nothing.
    color = [200, 0, 90] if is_colored else None
    pixels = np.repeat(opacity.ravel(), 4)
    if color:
        pixels.reshape(-1, 4)[:, :3] = color
    found = box_of_strokes(pack(pixels, literals=literals), *opacity.shape[::-1], "m")
    assert found == expected(opacity > 0)


def test_long_runs_and_other_lengths():
    opacity = np.zeros((300, 400), dtype=int)
    opacity[20:270, 30:330] = 255
    for sizes in (SIZES, (1, 2, 3, 5)):
        found = box_of_strokes(pack(np.repeat(opacity.ravel(), 4), sizes), 400, 300, "m")
        assert found == expected(opacity > 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda packed: packed[:-3], "m: the mask is damaged: its end is missing"),
        (
            lambda packed: [*packed[:3], 9, *packed[4:]],
            "4 numbers for each pixel of an image of 6x4",
        ),
        (lambda packed: [*packed[:-1], 256], "numbers from 0 to 255"),
        (lambda packed: [*packed[:-1], None], "expected a number. Got null"),
    ],
)
def test_damaged_strokes(change, message):
    packed = pack(np.repeat(np.arange(24) % 3, 4))
    assert box_of_strokes(packed, 6, 4, "m") is not None
    with pytest.raises(ValueError, match=message):
        box_of_strokes(change(packed), 6, 4, "m")


def bitmask(opacity):
    layer = np.zeros((*opacity.shape, 4), dtype=np.uint8)
    layer[..., 3] = opacity
    file = io.BytesIO()
    Image.fromarray(layer).save(file, "png")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


@settings(deadline=None)
@given(masks)
def test_bitmasks_have_the_box_of_their_pixels(opacity):
    assert box_of_bitmask(bitmask(opacity), "m") == expected(opacity > 0)


@pytest.mark.parametrize("text", ["", "data:image/png;base64,AAAA", "data:image/png;base64,?"])
def test_damaged_bitmasks(text):
    with pytest.raises(
        ValueError, match="m: expected a PNG image as a text that begins with data"
    ):
        box_of_bitmask(text, "m")
