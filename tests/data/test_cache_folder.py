"""The size of a cache of decoded images: bounded, and cleared."""

import os
import time
import warnings

import numpy as np
import pytest
from _image_cache import images, keys, open_cache, segments, stored

from skcnn import clear_image_cache
from skcnn._data import _decoded_cache


def _with_age(path, seconds):
    os.utime(path, (time.time() - seconds,) * 2)


@pytest.fixture
def small_cache(monkeypatch):
    """A limit of 16 segments of four images each."""
    monkeypatch.setenv("SKCNN_CACHE_GB", str(16 * 360e-9))
    monkeypatch.setattr(_decoded_cache, "_SEGMENT_BYTES", 4 * 90)


def test_what_was_not_used_for_longest_goes_first(tmp_path, small_cache):
    X = images(4)
    for number in range(16):
        open_cache(tmp_path, resize=f"way{number}").write(keys(*range(4)), X)
    assert len(segments(tmp_path)) == 16
    for path in segments(tmp_path):
        _with_age(path, 100 - int(path.parent.name.partition("way")[2]))
    # The oldest is used again.
    assert open_cache(tmp_path, resize="way0").has(keys(0)).all()
    open_cache(tmp_path, resize="new").write(keys(*range(4)), X)
    left = {path.parent.name.partition("-")[2] for path in segments(tmp_path)}
    assert left == {f"way{number}" for number in range(16) if number != 1} | {"new"}


def test_what_is_in_use_stays_and_the_rest_is_not_stored(tmp_path, small_cache):
    X = images(100)
    writer = open_cache(tmp_path)
    with pytest.warns(UserWarning, match=r"has reached its limit of 5\.76e-06 GB, and keeps"):
        writer.write(keys(*range(100)), X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        writer.write(keys(*range(100)), X)
    writer.close()
    assert len(segments(tmp_path)) == 16
    assert sum(image is not None for image in stored(tmp_path, range(100))) == 64


@pytest.mark.parametrize("text", ["many", "0", "-1", "nan", "inf"])
def test_the_limit_is_a_number(text, tmp_path, monkeypatch):
    monkeypatch.setenv("SKCNN_CACHE_GB", text)
    with pytest.raises(ValueError, match=f"SKCNN_CACHE_GB='{text}' is not a number of gigabytes"):
        open_cache(tmp_path).write(keys(1), images(1))


def test_clearing_leaves_other_files_alone(tmp_path):
    (tmp_path / "diary.txt").write_text("mine")
    open_cache(tmp_path).write(keys(*range(4)), images(4))
    assert clear_image_cache(str(tmp_path)) == pytest.approx(360e-9)
    assert [path.name for path in tmp_path.iterdir()] == ["diary.txt"]
    assert clear_image_cache(tmp_path / "nowhere") == 0


def test_clearing_may_keep_what_was_used_last(tmp_path, monkeypatch):
    monkeypatch.setattr(_decoded_cache, "_SEGMENT_BYTES", 4 * 90)
    writer = open_cache(tmp_path)
    writer.write(keys(*range(12)), images(12))
    writer.close()
    for age, path in enumerate(segments(tmp_path)):
        _with_age(path, age)
    newest = segments(tmp_path)[0]
    assert clear_image_cache(tmp_path, keep_gb=400e-9) == pytest.approx(720e-9)
    assert segments(tmp_path) == [newest]


@pytest.mark.parametrize("keep_gb", [-1, np.nan])
def test_what_to_keep_is_a_number(keep_gb, tmp_path):
    with pytest.raises(ValueError, match=f"keep_gb={keep_gb} is not a number of gigabytes"):
        clear_image_cache(tmp_path, keep_gb=keep_gb)


def test_a_segment_that_is_written_to_is_not_cleared(tmp_path):
    writer = open_cache(tmp_path)
    writer.write(keys(1), images(1))
    assert clear_image_cache(tmp_path) == 0
    assert stored(tmp_path, [1])[0] is not None
    writer.close()
    assert clear_image_cache(tmp_path) > 0
