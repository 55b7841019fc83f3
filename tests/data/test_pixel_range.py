"""The range of pixels."""

import tracemalloc
import warnings

import numpy as np
import pytest

from skcnn._data._pixel_range import compare_ranges, pixel_range


def test_the_range_of_a_large_image_is_read_from_some_of_its_pixels(tmp_path):
    mapped = np.lib.format.open_memmap(
        tmp_path / "large.npy", "w+", np.float32, (1, 3000, 3000, 1)
    )
    mapped[:] = 200
    mapped[0, 1500:] = 7
    tracemalloc.start()
    try:
        assert pixel_range(mapped) == (7, 200)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < mapped.nbytes / 2


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32, np.float64])
def test_the_range_is_found_in_any_dtype(dtype):
    pixels = np.zeros((3, 4, 4, 1), dtype)
    pixels[1, 2, 2] = 1
    assert pixel_range(pixels) == (0, 1)


def test_the_range_is_that_of_the_pixels_as_float32():
    assert pixel_range(np.full((1, 2, 2, 1), 1 + 1e-9)) == (1, 1)


BYTES = np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1) * 4
SIGNED = BYTES / 127.5 - 1


class Fitted:
    """What remembers a range, as an estimator does."""


@pytest.mark.parametrize(
    ("trained", "asked", "is_told"),
    [
        (BYTES, BYTES.astype(np.uint16) * 257, True),
        (BYTES.astype(np.uint16) * 257, BYTES, True),
        (BYTES, BYTES.astype(float) - 128, True),
        (BYTES, SIGNED, True),
        (BYTES, BYTES.astype(np.int8), True),
        (SIGNED, BYTES, True),
        (SIGNED, BYTES.astype(float), True),
        (SIGNED, BYTES / 255, False),
        (BYTES.astype(float) - 100, BYTES, True),
        # Darker, brighter and noisy images of the same kind.
        (BYTES, BYTES // 9, False),
        (BYTES // 9, BYTES, False),
        (BYTES, BYTES.astype(np.uint16) * 3, False),
        (BYTES.astype(np.uint16) * 16, BYTES.astype(np.uint16), False),
        (BYTES.astype(float), BYTES - 1.5, False),
        (BYTES - 1.5, BYTES, False),
        (BYTES.astype(np.uint16) * 257, np.zeros_like(BYTES), False),
    ],
)
def test_another_range_is_told_where_no_light_explains_it(trained, asked, is_told):
    fitted = Fitted()
    compare_ranges(fitted, trained, reset=True, name="X")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        compare_ranges(fitted, asked, reset=False, name="X")
    told = [str(warning.message) for warning in caught]
    assert bool(told) == is_told
    assert all("but the network was trained on pixels" in message for message in told)
