"""Images that are decoded from files when they are needed."""

import os
import threading
import time

import numpy as np
import pandas as pd
import pytest
from _helpers import stripes
from _image_files import photograph, write_broken_files, write_images
from numpy.testing import assert_array_equal
from PIL import Image

from skcnn._data import _files
from skcnn._data._arrays import Images
from skcnn._data._file_keys import file_keys
from skcnn._data._file_shapes import find_shape
from skcnn._data._files import FileImages
from skcnn._data._paths import Paths, read_paths
from skcnn._data._threads import call_in_threads
from skcnn._utils import BOX_COLUMNS

N = 30


@pytest.fixture(scope="module")
def pixels():
    return stripes(N)[0]


@pytest.fixture(scope="module")
def names(pixels, tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("images"), pixels)


@pytest.fixture
def files(names):
    return FileImages(read_paths(names), (8, 8, 3))


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    return [path for path, _ in write_broken_files(tmp_path_factory.mktemp("broken")).values()]


# ---------------------------------------------------------------- gathering


ROWS = {
    "all": slice(None),
    "slice": slice(3, 9),
    "beyond the end": slice(25, 99),
    "backwards": slice(9, 3, -2),
    "numbers": np.array([7, 0, 7, 29]),
    "negative": np.array([-1, -30]),
    "list": [4, 2],
    "mask": np.arange(N) % 3 == 0,
    "none": np.array([], dtype=int),
}


@pytest.mark.parametrize("rows", ROWS)
def test_rows_are_those_of_an_array(rows, files, pixels):
    found = files[ROWS[rows]]
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous
    assert_array_equal(found, pixels[ROWS[rows]])


def test_some_of_some(files, pixels):
    some = files.take(np.arange(20, 5, -1))
    assert (len(files), len(some)) == (N, 15)
    assert_array_equal(some[:], pixels[20:5:-1])
    assert_array_equal(some.take(np.array([3, 1]))[:], pixels[[17, 19]])


def test_statistics_are_those_of_an_array(files, pixels):
    assert files.channel_statistics() == Images(pixels).channel_statistics()


def test_threads_are_gone_afterwards(files):
    before = threading.active_count()
    files.load()
    files[:]
    assert threading.active_count() == before


# ---------------------------------------------------------------- before training


def test_images_that_fit_are_decoded_once(files, pixels, monkeypatch):
    images, rows = files.load()
    assert rows is None
    assert isinstance(images, Images)
    assert_array_equal(images[:], pixels)
    monkeypatch.setattr(_files, "_MAX_BYTES_IN_MEMORY", pixels.nbytes)
    assert isinstance(files.load()[0], Images)


@pytest.mark.parametrize("chunk", [7, 500])
def test_images_that_do_not_fit_are_decoded_when_needed(chunk, files, pixels, monkeypatch):
    monkeypatch.setattr(_files, "_MAX_BYTES_IN_MEMORY", pixels.nbytes - 1)
    monkeypatch.setattr(_files, "_CHUNK_ROWS", chunk)
    images, rows = files.load()
    assert rows is None
    assert isinstance(images, FileImages)
    assert_array_equal(images[:], pixels)


@pytest.mark.parametrize("limit", [0, 2**30])
def test_broken_files_are_named_before_training(limit, names, broken, monkeypatch):
    monkeypatch.setattr(_files, "_MAX_BYTES_IN_MEMORY", limit)
    monkeypatch.setattr(_files, "_CHUNK_ROWS", 16)
    mixed = [*names[:5], *broken, *names[5:]]
    files = FileImages(Paths(np.array(mixed, dtype=object)), (8, 8, 3), name="X_val")
    with pytest.raises(ValueError, match="image file") as raised:
        files.load()
    lines = str(raised.value).splitlines()
    assert lines[0] == f"{len(broken)} of {len(mixed)} image file(s) of X_val cannot be read:"
    assert len(lines) == 13
    for row, line in zip(range(5, 15), lines[1:11]):
        assert line.startswith(f"  row {row}: {mixed[row]} ")
    assert lines[11] == f"  and {len(broken) - 10} more"
    assert 'on_error="skip"' in lines[12]


@pytest.mark.parametrize("limit", [0, 2**30])
def test_broken_files_are_left_out_if_so_wished(limit, names, pixels, broken, monkeypatch):
    monkeypatch.setattr(_files, "_MAX_BYTES_IN_MEMORY", limit)
    mixed = [*names[:5], *broken, *names[5:]]
    files = FileImages(Paths(np.array(mixed, dtype=object)), (8, 8, 3), skips=True)
    images, rows = files.load()
    assert_array_equal(rows, [*range(5), *range(5 + len(broken), len(mixed))])
    assert_array_equal(images[:], pixels)
    report = files.report()
    assert list(report) == ["argument", "row", "path", "reason"]
    assert report["row"].tolist() == list(range(5, 5 + len(broken)))
    assert report["path"].tolist() == broken
    assert (report["argument"] == "X").all()
    assert report["reason"].str.len().min() > 5


def test_nothing_readable_is_an_error_in_any_case(broken):
    files = FileImages(Paths(np.array(broken, dtype=object)), (8, 8, 3), skips=True)
    with pytest.raises(ValueError, match=f"{len(broken)} of {len(broken)} image file"):
        files.load()


def test_a_file_that_vanishes_in_training_is_an_error(pixels, tmp_path, monkeypatch):
    monkeypatch.setattr(_files, "_MAX_BYTES_IN_MEMORY", 0)
    names = write_images(tmp_path, pixels[:4])
    for skips in (True, False):
        images, _ = FileImages(read_paths(names), (8, 8, 3), skips=skips).load()
        os.remove(names[2])
        with pytest.raises(ValueError, match=r"row 2: .* does not exist"):
            images[:]
        Image.fromarray(pixels[2]).save(names[2])


# ---------------------------------------------------------------- while predicting


def test_skipped_files_are_noted_row_by_row(names, pixels, broken):
    mixed = [broken[0], *names, broken[1]]
    files = FileImages(Paths(np.array(mixed, dtype=object)), (8, 8, 3), skips=True)
    for start in range(0, len(mixed), 7):
        found = files[start : start + 7]
        expected = [np.zeros((8, 8, 3)), *pixels, np.zeros((8, 8, 3))][start : start + 7]
        assert_array_equal(found, expected)
    assert sorted(files.failures) == [0, N + 1]
    outputs = np.ones((N + 2, 3), dtype=np.float32)
    with pytest.warns(
        UserWarning, match=rf"2 of {N + 2} image file\(s\) of X cannot be read, and"
    ):
        files.clear_missing(outputs)
    assert_array_equal(np.isnan(outputs).all(axis=1), [True, *[False] * N, True])
    assert_array_equal(np.isnan(outputs).any(axis=1), [True, *[False] * N, True])


def test_after_the_first_broken_file_later_ones_are_named_too(names, broken, monkeypatch):
    mixed = [*names[:5], broken[0], *names[5:20], broken[1], *names[20:], broken[2]]
    files = FileImages(Paths(np.array(mixed, dtype=object)), (8, 8, 3))
    files[:4]
    with pytest.raises(ValueError, match=r"^3 of 33 image file\(s\) of X") as raised:
        files[4:8]
    assert "not looked at" not in str(raised.value)
    monkeypatch.setattr(_files, "_MAX_ROWS_CHECKED", 20)
    with pytest.raises(ValueError, match=r"^2 of 33 image file.*\n.*\n.*\n  Rows from 28 on were"):
        files[4:8]


def test_missing_files_of_a_long_list_are_found_first(names, monkeypatch):
    mixed = [*names, "missing.jpg"]
    files = FileImages(read_paths(mixed), (8, 8, 3))
    files.check()
    monkeypatch.setattr(_files, "_MAX_ROWS_CHECKED", 20)
    with pytest.raises(ValueError, match=f"row {N}: missing.jpg does not exist"):
        files.check()
    FileImages(read_paths(mixed), (8, 8, 3), skips=True).check()


# ---------------------------------------------------------------- the shape of all


def _saved(folder, *images):
    paths = []
    for number, image in enumerate(images):
        paths.append(str(folder / f"{number}.png"))
        image.save(paths[-1])
    return read_paths(paths)


def test_files_of_one_small_size_keep_it(tmp_path):
    paths = _saved(tmp_path, *[photograph(40, 30)] * 3)
    assert find_shape(paths) == (30, 40, 3)
    assert find_shape(_saved(tmp_path, photograph(128, 20).convert("L"))) == (20, 128, 1)


def test_large_and_unequal_files_get_the_default(tmp_path):
    assert find_shape(_saved(tmp_path, *[photograph(129, 20)] * 2)) == (96, 96, 3)
    different = [photograph(40, 30)] * 20 + [photograph(41, 30)]
    assert find_shape(_saved(tmp_path, *different)) == (96, 96, 3)


def test_color_is_that_of_all_files(tmp_path):
    gray, color = photograph(20, 20).convert("L"), photograph(20, 20)
    assert find_shape(_saved(tmp_path, *[gray] * 20)) == (20, 20, 1)
    assert find_shape(_saved(tmp_path, *[gray] * 20, color)) == (20, 20, 3)
    assert find_shape(_saved(tmp_path, *[gray] * 20), color="rgb") == (20, 20, 3)
    assert find_shape(_saved(tmp_path, color), color="gray") == (20, 20, 1)


def test_image_shape_may_leave_the_channels_to_the_files(tmp_path):
    gray, color = (_saved(tmp_path, image) for image in (photograph().convert("L"), photograph()))
    color = _saved(tmp_path, photograph())
    assert find_shape(color, (10, 12)) == (10, 12, 3)
    assert find_shape(color, [10.0, 12.0]) == (10, 12, 3)
    assert find_shape(color, (10, 12, 1)) == (10, 12, 1)
    gray = _saved(tmp_path, photograph().convert("L"))
    assert find_shape(gray, (10, 12)) == (10, 12, 1)
    assert find_shape(gray, (10, 12, 3)) == (10, 12, 3)


def test_impossible_shapes(tmp_path):
    paths = _saved(tmp_path, photograph())
    with pytest.raises(ValueError, match="has 4 channels, but image files are read with 1"):
        find_shape(paths, (10, 12, 4))
    with pytest.raises(ValueError, match=r"has 1 channel\(s\), but color='rgb'"):
        find_shape(paths, (10, 12, 1), "rgb")
    with pytest.raises(ValueError, match="image_shape must be"):
        find_shape(paths, (10,))


def test_broken_files_do_not_decide_the_shape(tmp_path, broken):
    good = _saved(tmp_path, photograph(20, 20)).names
    empty = [path for path in broken if "zero" in path or "missing" in path]
    assert find_shape(read_paths([*empty, *good, None])) == (20, 20, 3)
    assert find_shape(read_paths(empty)) == (96, 96, 3)


def test_boxes_have_sizes_of_their_own(tmp_path):
    paths = _saved(tmp_path, photograph(400, 300), photograph(200, 150))
    boxed = {"path": paths.names, **dict.fromkeys(BOX_COLUMNS, 0.0)}
    frame = pd.DataFrame(boxed).assign(box_width=[0.1, 0.2], box_height=[0.1, 0.2])
    assert find_shape(read_paths(frame)) == (30, 40, 3)
    found = FileImages(read_paths(frame), (30, 40, 3))[:]
    assert_array_equal(found[0], np.asarray(photograph(400, 300))[:30, :40])


# ---------------------------------------------------------------- keys


def test_a_file_keeps_its_key_until_it_changes(pixels, tmp_path, monkeypatch):
    names = write_images(tmp_path, pixels[:3])
    rows = np.arange(3)

    def keys(names, boxes=None):
        return file_keys(Paths(np.array(names, dtype=object), boxes), rows).tolist()

    before = keys(names)
    assert len(set(before)) == 3
    assert keys(names) == before
    assert keys(names[::-1]) == before[::-1]
    monkeypatch.chdir(tmp_path)
    assert keys([os.path.basename(name) for name in names]) == before

    boxes = np.full((3, 4), np.nan)
    assert keys(names, boxes) == before
    boxes[1] = 0, 0, 0.5, 0.5
    assert [a == b for a, b in zip(keys(names, boxes), before)] == [True, False, True]

    os.utime(names[0], ns=(0, 0))
    with open(names[2], "ab") as file:
        state = os.stat(names[2])
        file.write(b"\0")
    os.utime(names[2], ns=(state.st_atime_ns, state.st_mtime_ns))
    assert [a == b for a, b in zip(keys(names), before)] == [False, True, False]
    assert keys([names[0], "missing.png", None])[0] == keys(names)[0]


# ---------------------------------------------------------------- threads


def test_every_item_is_worked_on_once_by_as_many_threads_as_cores(monkeypatch):
    monkeypatch.setattr("joblib.cpu_count", lambda: 4)
    seen, workers, together = [], set(), threading.Barrier(4, timeout=30)

    def work(number):
        if number < 4:
            together.wait()
        seen.append(number)
        workers.add(threading.get_ident())

    call_in_threads(work, 100)
    assert sorted(seen) == list(range(100))
    assert len(workers) == 4


def test_one_core_needs_no_thread(monkeypatch):
    monkeypatch.setattr("joblib.cpu_count", lambda: 1)
    workers = set()
    call_in_threads(lambda _: workers.add(threading.get_ident()), 5)
    assert workers == {threading.get_ident()}
    call_in_threads(lambda _: workers.add("never"), 0)
    assert "never" not in workers


def test_an_error_ends_the_work_of_all_threads(monkeypatch):
    monkeypatch.setattr("joblib.cpu_count", lambda: 2)
    done = []

    def work(number):
        if number == 0:
            raise KeyboardInterrupt
        time.sleep(0.001)
        done.append(number)

    with pytest.raises(KeyboardInterrupt):
        call_in_threads(work, 100_000)
    assert len(done) < 10_000
