"""Decoded images on disk: found again, and shared by all who use the folder."""

import errno
import os
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
from _image_cache import SHAPE, images, keys, open_cache, read, segments
from _image_files import write_images
from numpy.testing import assert_array_equal

from skcnn._data import _cache_folder, _file_shapes, _files
from skcnn._data._file_keys import file_keys
from skcnn._data._file_shapes import find_shape
from skcnn._data._paths import read_paths


def test_what_is_written_is_read(tmp_path):
    X = images(20)
    writer = open_cache(tmp_path)
    assert not writer.has(keys(*range(20))).any()
    writer.write(keys(*range(12)), X[:12])
    writer.write(keys(*range(12, 20)), X[12:])
    for reader in (writer, open_cache(tmp_path)):
        order = np.random.RandomState(0).permutation(25)
        pixels = np.zeros((25, *SHAPE), dtype=np.uint8)
        is_read = reader.read(keys(*order), pixels)
        assert_array_equal(is_read, order < 20)
        assert_array_equal(reader.has(keys(*order)), order < 20)
        assert_array_equal(pixels[is_read], X[order[is_read]])
    assert len(segments(tmp_path)) == 1


def test_shapes_and_ways_of_resizing_are_kept_apart(tmp_path):
    writer = open_cache(tmp_path)
    writer.write(keys(1), images(1))
    for other in (open_cache(tmp_path, resize="pad"), open_cache(tmp_path, shape=(5, 6, 3))):
        assert not other.has(keys(1)).any()


def test_one_fills_while_the_others_wait(tmp_path):
    entered = []
    inside = threading.Event()

    def fill(name):
        with open_cache(tmp_path).filling(keys(1)):
            entered.append(name)
            inside.set()
            time.sleep(0.1)
            entered.append(name)

    threads = [threading.Thread(target=fill, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert entered in (list("aabb"), list("bbaa"))


def test_who_has_waited_finds_the_images(tmp_path):
    late = open_cache(tmp_path)
    assert not late.has(keys(1)).any()
    early = open_cache(tmp_path)
    early.write(keys(1), images(1))
    early.close()
    with late.filling(keys(1, 2)):
        assert_array_equal(late.has(keys(1, 2)), [True, False])


@pytest.fixture
def names(tmp_path):
    return write_images(tmp_path / "images", images(40))


def test_a_disk_that_will_be_full_is_an_error_before_anything_is_decoded(
    names, tmp_path, monkeypatch
):
    free = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(_cache_folder.shutil, "disk_usage", lambda path: free)
    monkeypatch.setattr(_files, "decode", None)
    with pytest.raises(
        OSError,
        match=r"cache_dir='.*' cannot be written: .*The images need 4\.56e-06 GB, and 1e-06 GB "
        r"are free\. Free space, use another folder, or set cache_dir=None",
    ) as raised:
        read(names, tmp_path / "cache").load()
    assert raised.value.errno == errno.ENOSPC


@contextmanager
def full_disk(n_bytes=2_000):
    """Files end at so many bytes, with an error as on a full disk.

    A context inside a test, since pytest itself may write to a longer file between tests.
    """
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("limit", [0, 2**31])
def test_a_disk_that_is_full_all_of_a_sudden_is_an_error_in_fit(
    limit, names, tmp_path, monkeypatch
):
    monkeypatch.setattr(_files, "_CHUNK_ROWS", 8)
    monkeypatch.setattr(_files, "_MAX_BYTES_IN_MEMORY", limit)
    folder = tmp_path / "cache"
    message = r"cannot be written: .* Free space, use another folder"
    with full_disk(), pytest.raises(OSError, match=message):
        read(names, folder).load()
    # What was written before is not lost, and nothing is wrong.
    assert read(names, folder).cache.has(file_keys(read_paths(names), np.arange(40))).sum() == 16
    found, _ = read(names, folder).load()
    assert_array_equal(found[:], images(40))
    assert read(names, folder).cache.has(file_keys(read_paths(names), np.arange(40))).all()


def test_a_full_disk_is_a_warning_in_predict(names, tmp_path):
    files = read(names, tmp_path / "cache")
    message = r"cannot be written: .*\. Images are decoded without it"
    with full_disk(), pytest.warns(UserWarning, match=message):
        found = [files[:25], files[25:]]
    assert_array_equal(np.concatenate(found), images(40))


def test_a_folder_that_cannot_be_made_is_an_error_in_fit_and_a_warning_in_predict(names, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match=r"cache_dir='.*file' cannot be written: "):
        read(names, tmp_path / "file").load()
    with pytest.warns(UserWarning, match="Images are decoded without it"):
        assert_array_equal(read(names, tmp_path / "file")[:], images(40))


def test_the_shape_of_files_is_found_once(names, tmp_path, monkeypatch):
    paths, folder = read_paths(names), tmp_path / "cache"
    all_keys = file_keys(paths, np.arange(40))
    looked_at = []
    original = _file_shapes.read_header
    monkeypatch.setattr(
        _file_shapes, "read_header", lambda path: [looked_at.append(path), original(path)][1]
    )
    for _ in range(2):
        assert find_shape(paths, cache_dir=folder, keys=all_keys) == SHAPE
    assert find_shape(paths, cache_dir=folder) == SHAPE
    assert len(looked_at) == 40
    # Other questions, and other files.
    assert find_shape(paths, (3, 4), cache_dir=folder, keys=all_keys) == (3, 4, 3)
    assert find_shape(paths, color="gray", cache_dir=folder, keys=all_keys) == (6, 5, 1)
    some = file_keys(paths, np.arange(39))
    assert find_shape(paths.take(slice(39)), cache_dir=folder, keys=some) == SHAPE
    assert len(looked_at) == 40 + 8 + 40 + 39


@pytest.mark.parametrize("limit", [0, 2**31])
def test_files_are_decoded_once_by_all_who_use_the_folder(limit, names, tmp_path, monkeypatch):
    monkeypatch.setattr(_files, "_MAX_BYTES_IN_MEMORY", limit)
    decoded = []
    original = _files.decode
    monkeypatch.setattr(
        _files, "decode", lambda path, *more: [decoded.append(path), original(path, *more)][1]
    )
    folder = tmp_path / "cache"
    for _ in range(3):
        found, rows = read(names, folder).load()
        assert rows is None
        assert_array_equal(found[:], images(40))
        assert_array_equal(read(names[::-1], folder)[:], images(40)[::-1])
    assert sorted(decoded) == names
    # Another picture under a known name.
    replaced = images(1, seed=5)
    write_images(tmp_path / "other", replaced)
    os.replace(tmp_path / "other" / "00000.png", names[7])
    os.utime(names[7], (1, 1))
    found, _ = read(names, folder).load()
    assert_array_equal(found[7:8], replaced)
    assert sorted(decoded) == sorted([*names, names[7]])


def test_files_that_are_gone_are_not_taken_from_the_cache(names, tmp_path):
    folder = tmp_path / "cache"
    read(names, folder).load()
    os.remove(names[3])
    with pytest.raises(ValueError, match=r"row 3: .* does not exist"):
        read(names, folder).load()
    found, rows = read(names, folder, on_error="skip").load()
    assert_array_equal(found[:], np.delete(images(40), 3, axis=0))
    assert 3 not in rows
