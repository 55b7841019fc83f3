"""The range of pixels."""

import tracemalloc

import numpy as np
import pytest

from skcnn._data._pixel_range import pixel_range


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
