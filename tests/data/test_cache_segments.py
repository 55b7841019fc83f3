"""The files of decoded images: filled in turn, and sound after damage."""

import os
from pathlib import Path

import numpy as np
import pytest
from _image_cache import images, keys, open_cache, segments, stored
from numpy.testing import assert_array_equal

from skcnn import clear_image_cache
from skcnn._data import _decoded_cache


def test_segments_are_filled_in_turn(tmp_path, monkeypatch):
    monkeypatch.setattr(_decoded_cache, "_SEGMENT_BYTES", 4 * 90)
    X = images(10)
    writer = open_cache(tmp_path)
    writer.write(keys(*range(10)), X)
    assert sorted(path.stat().st_size for path in segments(tmp_path)) == [180, 360, 360]
    assert_array_equal(stored(tmp_path, range(10)), X)
    # The next one goes on with the segment that is not full.
    writer.close()
    open_cache(tmp_path).write(keys(10, 11), images(2, 1))
    assert [path.stat().st_size for path in segments(tmp_path)] == [360] * 3
    assert_array_equal(stored(tmp_path, range(12)), [*X, *images(2, 1)])


def test_two_writers_have_segments_of_their_own(tmp_path):
    X = images(8)
    first, second = open_cache(tmp_path), open_cache(tmp_path)
    for number in range(0, 8, 2):
        first.write(keys(number), X[number : number + 1])
        second.write(keys(number + 1), X[number + 1 : number + 2])
    assert len(segments(tmp_path)) == 2
    assert_array_equal(stored(tmp_path, range(8)), X)


@pytest.mark.parametrize("suffix", ["pixels", "index"])
@pytest.mark.parametrize("n_bytes", [1, 31, 32, 33, 89, 90, 91, 200])
def test_what_a_killed_writer_left_unfinished_is_ignored_and_overwritten(
    n_bytes, suffix, tmp_path
):
    X = images(5)
    writer = open_cache(tmp_path)
    writer.write(keys(*range(5)), X)
    writer.close()
    (path,) = Path(tmp_path).rglob(f"*.{suffix}")
    os.truncate(path, path.stat().st_size - min(n_bytes, path.stat().st_size))
    found = stored(tmp_path, range(5))
    n_whole = sum(image is not None for image in found)
    assert 0 < n_whole < 5 or n_bytes > 120
    for image, expected in zip(found, X):
        assert image is None or (image == expected).all()
    writer = open_cache(tmp_path)
    missing = np.flatnonzero(~writer.has(keys(*range(5))))
    writer.write(keys(*missing), X[missing])
    assert_array_equal(stored(tmp_path, range(5)), X)


def test_changed_bytes_are_found_out_and_replaced(tmp_path):
    X = images(5)
    writer = open_cache(tmp_path)
    writer.write(keys(*range(5)), X)
    writer.close()
    (path,) = segments(tmp_path)
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(bytes(data))
    found = stored(tmp_path, range(5))
    assert found[2] is None
    # Who knows what else is wrong with it.
    assert not path.exists()
    open_cache(tmp_path).write(keys(*range(5)), X)
    assert_array_equal(stored(tmp_path, range(5)), X)


def test_a_cache_that_is_cleared_meanwhile_is_filled_again(tmp_path):
    X = images(5)
    writer = open_cache(tmp_path)
    writer.write(keys(*range(5)), X)
    writer.close()
    assert clear_image_cache(tmp_path) > 0
    assert not any(Path(tmp_path).iterdir())
    pixels = np.zeros_like(X)
    assert not writer.read(keys(*range(5)), pixels).any()
    writer.write(keys(*range(5)), X)
    assert writer.read(keys(*range(5)), pixels).all()
    assert_array_equal(pixels, X)
