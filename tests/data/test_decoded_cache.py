"""Decoded images on disk: found again, shared, bounded, and whole whatever happens."""

import errno
import multiprocessing
import os
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from _image_files import write_images
from numpy.testing import assert_array_equal

from skcnn import clear_image_cache
from skcnn._data import _decoded_cache, _file_shapes, _files
from skcnn._data._decoded_cache import DecodedCache
from skcnn._data._file_keys import KEY, file_keys
from skcnn._data._file_shapes import find_shape
from skcnn._data._files import read_files
from skcnn._data._paths import read_paths

SHAPE = (6, 5, 3)


def images(n, seed=0):
    return np.random.RandomState(seed).randint(256, size=(n, *SHAPE), dtype=np.uint8)


def keys(*numbers):
    found = np.zeros(len(numbers), dtype=KEY)
    found["high"] = np.array(numbers) * 7919 % 1009
    found["low"] = numbers
    return found


def cache(folder, shape=SHAPE, resize="crop"):
    return DecodedCache(folder, shape, resize)


def stored(folder, numbers, shape=SHAPE):
    """What a new cache reads for some numbers, None where it has nothing."""
    pixels = np.zeros((len(numbers), *shape), dtype=np.uint8)
    is_read = cache(folder, shape).read(keys(*numbers), pixels)
    return [image if found else None for image, found in zip(pixels, is_read)]


def segments(folder):
    return sorted(Path(folder).rglob("*.pixels"))


# ---------------------------------------------------------------- finding


def test_what_is_written_is_read(tmp_path):
    X = images(20)
    writer = cache(tmp_path)
    assert not writer.has(keys(*range(20))).any()
    writer.write(keys(*range(12)), X[:12])
    writer.write(keys(*range(12, 20)), X[12:])
    for reader in (writer, cache(tmp_path)):
        order = np.random.RandomState(0).permutation(25)
        pixels = np.zeros((25, *SHAPE), dtype=np.uint8)
        is_read = reader.read(keys(*order), pixels)
        assert_array_equal(is_read, order < 20)
        assert_array_equal(reader.has(keys(*order)), order < 20)
        assert_array_equal(pixels[is_read], X[order[is_read]])
    assert len(segments(tmp_path)) == 1


def test_keys_that_share_their_first_half_differ(tmp_path):
    both = keys(1, 2)
    both["high"] = 5
    writer = cache(tmp_path)
    writer.write(both[:1], images(1))
    assert_array_equal(cache(tmp_path).has(both), [True, False])


def test_shapes_and_ways_of_resizing_are_kept_apart(tmp_path):
    writer = cache(tmp_path)
    writer.write(keys(1), images(1))
    for other in (cache(tmp_path, resize="pad"), cache(tmp_path, shape=(5, 6, 3))):
        assert not other.has(keys(1)).any()


@pytest.mark.parametrize("limit", [0, 1, 5, 1000])
def test_many_new_images_are_found_before_and_after_they_join_the_index(
    limit, tmp_path, monkeypatch
):
    monkeypatch.setattr(_decoded_cache, "_MAX_FRESH", limit)
    X = images(30)
    writer = cache(tmp_path)
    for start in range(0, 30, 3):
        numbers = keys(*range(start, start + 3))
        writer.write(numbers, X[start : start + 3])
        assert writer.has(keys(*range(start + 3))).all()
        assert not writer.has(keys(start + 3)).any()
    pixels = np.zeros_like(X)
    assert writer.read(keys(*range(30)), pixels).all()
    assert_array_equal(pixels, X)


def test_segments_are_filled_in_turn(tmp_path, monkeypatch):
    monkeypatch.setattr(_decoded_cache, "_SEGMENT_BYTES", 4 * 90)
    X = images(10)
    writer = cache(tmp_path)
    writer.write(keys(*range(10)), X)
    assert sorted(path.stat().st_size for path in segments(tmp_path)) == [180, 360, 360]
    assert_array_equal(stored(tmp_path, range(10)), X)
    # The next one goes on with the segment that is not full.
    writer.close()
    cache(tmp_path).write(keys(10, 11), images(2, 1))
    assert [path.stat().st_size for path in segments(tmp_path)] == [360] * 3
    assert_array_equal(stored(tmp_path, range(12)), [*X, *images(2, 1)])


def test_two_writers_have_segments_of_their_own(tmp_path):
    X = images(8)
    first, second = cache(tmp_path), cache(tmp_path)
    for number in range(0, 8, 2):
        first.write(keys(number), X[number : number + 1])
        second.write(keys(number + 1), X[number + 1 : number + 2])
    assert len(segments(tmp_path)) == 2
    assert_array_equal(stored(tmp_path, range(8)), X)


def test_one_fills_while_the_others_wait(tmp_path):
    entered = []
    inside = threading.Event()

    def fill(name):
        with cache(tmp_path).filling(keys(1)):
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
    late = cache(tmp_path)
    assert not late.has(keys(1)).any()
    early = cache(tmp_path)
    early.write(keys(1), images(1))
    early.close()
    with late.filling(keys(1, 2)):
        assert_array_equal(late.has(keys(1, 2)), [True, False])


# ---------------------------------------------------------------- damage


@pytest.mark.parametrize("suffix", ["pixels", "index"])
@pytest.mark.parametrize("n_bytes", [1, 31, 32, 33, 89, 90, 91, 200])
def test_what_a_killed_writer_left_unfinished_is_ignored_and_overwritten(
    n_bytes, suffix, tmp_path
):
    X = images(5)
    writer = cache(tmp_path)
    writer.write(keys(*range(5)), X)
    writer.close()
    (path,) = Path(tmp_path).rglob(f"*.{suffix}")
    os.truncate(path, path.stat().st_size - min(n_bytes, path.stat().st_size))
    found = stored(tmp_path, range(5))
    n_whole = sum(image is not None for image in found)
    assert 0 < n_whole < 5 or n_bytes > 120
    for image, expected in zip(found, X):
        assert image is None or (image == expected).all()
    writer = cache(tmp_path)
    missing = np.flatnonzero(~writer.has(keys(*range(5))))
    writer.write(keys(*missing), X[missing])
    assert_array_equal(stored(tmp_path, range(5)), X)


def test_changed_bytes_are_found_out_and_replaced(tmp_path):
    X = images(5)
    writer = cache(tmp_path)
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
    cache(tmp_path).write(keys(*range(5)), X)
    assert_array_equal(stored(tmp_path, range(5)), X)


def test_a_cache_that_is_cleared_meanwhile_is_filled_again(tmp_path):
    X = images(5)
    writer = cache(tmp_path)
    writer.write(keys(*range(5)), X)
    writer.close()
    assert clear_image_cache(tmp_path) > 0
    assert not any(Path(tmp_path).iterdir())
    pixels = np.zeros_like(X)
    assert not writer.read(keys(*range(5)), pixels).any()
    writer.write(keys(*range(5)), X)
    assert writer.read(keys(*range(5)), pixels).all()
    assert_array_equal(pixels, X)


# ---------------------------------------------------------------- size


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
        cache(tmp_path, resize=f"way{number}").write(keys(*range(4)), X)
    assert len(segments(tmp_path)) == 16
    for path in segments(tmp_path):
        _with_age(path, 100 - int(path.parent.name.partition("way")[2]))
    # The oldest is used again.
    assert cache(tmp_path, resize="way0").has(keys(0)).all()
    cache(tmp_path, resize="new").write(keys(*range(4)), X)
    left = {path.parent.name.partition("-")[2] for path in segments(tmp_path)}
    assert left == {f"way{number}" for number in range(16) if number != 1} | {"new"}


def test_what_is_in_use_stays_and_the_rest_is_not_stored(tmp_path, small_cache):
    X = images(100)
    writer = cache(tmp_path)
    with pytest.warns(UserWarning, match=r"has reached its limit of 5\.76e-06 GB, and"):
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
        cache(tmp_path).write(keys(1), images(1))


def test_clearing_leaves_other_files_alone(tmp_path):
    (tmp_path / "diary.txt").write_text("mine")
    cache(tmp_path).write(keys(*range(4)), images(4))
    assert clear_image_cache(str(tmp_path)) == pytest.approx(360e-9)
    assert [path.name for path in tmp_path.iterdir()] == ["diary.txt"]
    assert clear_image_cache(tmp_path / "nowhere") == 0


def test_clearing_may_keep_what_was_used_last(tmp_path, monkeypatch):
    monkeypatch.setattr(_decoded_cache, "_SEGMENT_BYTES", 4 * 90)
    writer = cache(tmp_path)
    writer.write(keys(*range(12)), images(12))
    writer.close()
    for age, path in enumerate(segments(tmp_path)):
        _with_age(path, age)
    newest = segments(tmp_path)[0]
    assert clear_image_cache(tmp_path, keep_gb=400e-9) == pytest.approx(720e-9)
    assert segments(tmp_path) == [newest]


def test_a_segment_that_is_written_to_is_not_cleared(tmp_path):
    writer = cache(tmp_path)
    writer.write(keys(1), images(1))
    assert clear_image_cache(tmp_path) == 0
    assert stored(tmp_path, [1])[0] is not None
    writer.close()
    assert clear_image_cache(tmp_path) > 0


# ---------------------------------------------------------------- disks


@pytest.fixture
def names(tmp_path):
    return write_images(tmp_path / "images", images(40))


def read(names, folder, **options):
    return read_files(read_paths(names), SHAPE, cache_dir=folder, **options)


def test_a_disk_that_will_be_full_is_an_error_before_anything_is_decoded(
    names, tmp_path, monkeypatch
):
    free = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(_decoded_cache.shutil, "disk_usage", lambda path: free)
    monkeypatch.setattr(_files, "decode", None)
    with pytest.raises(
        OSError,
        match=r"cache_dir='.*' cannot be written: .*The images need 4\.56e-06 GB, and 1e-06 GB "
        r"are free\. Free space, use another folder, or set cache_dir=None",
    ) as raised:
        read(names, tmp_path / "cache").load()
    assert raised.value.errno == errno.ENOSPC


@pytest.fixture
def file_limit():
    """Files end at 2,000 bytes, with an error as on a full disk."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(n_bytes=2_000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("limit", [0, 2**31])
def test_a_disk_that_is_full_all_of_a_sudden_is_an_error_in_fit(
    limit, names, tmp_path, file_limit, monkeypatch
):
    monkeypatch.setattr(_files, "_CHUNK_ROWS", 8)
    monkeypatch.setattr(_files, "_MAX_BYTES_IN_MEMORY", limit)
    folder = tmp_path / "cache"
    file_limit()
    with pytest.raises(OSError, match=r"cannot be written: .* Free space, use another folder"):
        read(names, folder).load()
    file_limit(2**40)
    # What was written before is not lost, and nothing is wrong.
    assert read(names, folder).cache.has(file_keys(read_paths(names), np.arange(40))).sum() == 16
    found, _ = read(names, folder).load()
    assert_array_equal(found[:], images(40))
    assert read(names, folder).cache.has(file_keys(read_paths(names), np.arange(40))).all()


def test_a_full_disk_is_a_warning_in_predict(names, tmp_path, file_limit):
    files = read(names, tmp_path / "cache")
    file_limit()
    with pytest.warns(UserWarning, match=r"cannot be written: .*\. Images are decoded without it"):
        found = [files[:25], files[25:]]
    assert_array_equal(np.concatenate(found), images(40))


def test_a_folder_that_cannot_be_made_is_an_error_in_fit_and_a_warning_in_predict(names, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match=r"cache_dir='.*file' cannot be written: "):
        read(names, tmp_path / "file").load()
    with pytest.warns(UserWarning, match="Images are decoded without it"):
        assert_array_equal(read(names, tmp_path / "file")[:], images(40))


# ---------------------------------------------------------------- files


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


def _load_files(folder, names, begin=None):
    _files._CHUNK_ROWS = 3
    if begin is not None:
        begin.wait()
    read(names, folder).load()


def _write_arrays(folder, n_images, begin=None):
    X = images(n_images)
    writer = cache(folder)
    if begin is not None:
        begin.wait()
    for start in range(0, n_images, 2):
        numbers = np.arange(start, start + 2)
        if not writer.has(keys(*numbers)).all():
            writer.write(keys(*numbers), X[numbers])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no forks")
def test_writers_killed_at_any_moment_leave_a_sound_cache(names, tmp_path, monkeypatch):
    monkeypatch.setattr(_decoded_cache, "_SEGMENT_BYTES", 90 * 17)
    context = multiprocessing.get_context("fork")
    folder, n_arrays = tmp_path / "cache", 400
    expected = np.concatenate([images(40), images(n_arrays)])
    all_keys = np.concatenate(
        [file_keys(read_paths(names), np.arange(40)), keys(*range(n_arrays))]
    )
    # The first decoding loads what the others need.
    read(names[:1], None)[:]
    rng = np.random.RandomState(0)
    counts = set()
    for _ in range(15):
        begin = context.Event()
        with warnings.catch_warnings():
            # Of threads of other libraries.
            warnings.simplefilter("ignore", DeprecationWarning)
            writers = [
                context.Process(target=_load_files, args=(folder, names, begin)),
                context.Process(target=_write_arrays, args=(folder, n_arrays, begin)),
            ]
            for writer in writers:
                writer.start()
        begin.set()
        for writer in writers:
            time.sleep(rng.uniform(0, 0.03))
            writer.kill()
            writer.join()
        found = np.zeros_like(expected)
        is_read = cache(folder).read(all_keys, found)
        assert_array_equal(found[is_read], expected[is_read])
        counts.add(int(is_read.sum()))
        if is_read[40:].all():
            clear_image_cache(folder)
    assert len(counts) > 2
    found, _ = read(names, folder).load()
    assert_array_equal(found[:], images(40))
    _write_arrays(folder, n_arrays)
    assert_array_equal(stored(folder, range(n_arrays)), images(n_arrays))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no forks")
def test_two_processes_at_once_decode_each_file_once(names, tmp_path):
    context = multiprocessing.get_context("fork")
    folder = tmp_path / "cache"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        processes = [
            context.Process(target=_load_files, args=(folder, names[::step])) for step in (1, -1)
        ]
        for process in processes:
            process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    # No image is stored twice.
    assert sum(path.stat().st_size for path in segments(folder)) == images(40).nbytes
    found, _ = read(names, folder).load()
    assert_array_equal(found[:], images(40))
