"""Caches whose processes are killed, meet each other, or run out of disk."""

import errno
import multiprocessing
import os
import shutil
import signal
import subprocess
import time
import warnings

import numpy as np
import pytest
from _helpers import small_net
from _image_cache import images, keys, open_cache, read, segments, stored
from _image_files import write_images
from numpy.testing import assert_array_equal

from skcnn import clear_image_cache
from skcnn._data import _cache_segments, _decoded_cache, _files
from skcnn._data._file_keys import file_keys
from skcnn._data._paths import read_paths

N_FILES = 40
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no forks")


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("images"), images(N_FILES))


@pytest.fixture
def start(names):
    """A function that starts another process."""
    context = multiprocessing.get_context("fork")
    # The first decoding loads what the others need.
    read(names[:1], None)[:]

    def start(target, *args):
        process = context.Process(target=target, args=args)
        with warnings.catch_warnings():
            # Of threads of other libraries.
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        return process

    start.event = context.Event
    return start


def _load_files(folder, names, begin=None):
    _files._CHUNK_ROWS = 4
    if begin is not None:
        begin.wait()
    read(names, folder).load()


def _write_arrays(folder, n_images, begin):
    X = images(n_images)
    writer = open_cache(folder)
    begin.wait()
    for first in range(0, n_images, 2):
        numbers = np.arange(first, first + 2)
        if not writer.has(keys(*numbers)).all():
            writer.write(keys(*numbers), X[numbers])


# ---------------------------------------------------------------- kill -9


def _load_until_killed(folder, names, n_before, fraction):
    append, n_calls = _cache_segments._append_bytes, 0

    def append_and_die(path, values):
        nonlocal n_calls
        if n_calls == n_before:
            append(path, values[: int(fraction * len(values))])
            os.kill(os.getpid(), signal.SIGKILL)
        append(path, values)
        n_calls += 1

    _cache_segments._append_bytes = append_and_die
    _load_files(folder, names)


@needs_fork
@pytest.mark.parametrize("fraction", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("n_before", range(10))
def test_a_writer_killed_at_a_moment_loses_nothing_else(
    n_before, fraction, start, names, tmp_path, monkeypatch
):
    folder = tmp_path / "cache"
    process = start(_load_until_killed, folder, names, n_before, fraction)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    # Pixels and index of four images are written in turn.
    n_whole = 4 * (n_before // 2)
    if n_before % 2:
        n_whole += int(4 * fraction)
    is_there = read(names, folder).cache.has(file_keys(read_paths(names), np.arange(N_FILES)))
    assert_array_equal(np.flatnonzero(is_there), np.arange(n_whole))
    decoded, decode = [], _files.decode
    monkeypatch.setattr(
        _files, "decode", lambda path, *more: [decoded.append(path), decode(path, *more)][1]
    )
    for _ in range(2):
        found, _ = read(names, folder).load()
        assert_array_equal(found[:], images(N_FILES))
    assert sorted(decoded) == names[n_whole:]
    # What was left half written is overwritten.
    assert size(folder) == images(N_FILES).nbytes


def size(folder):
    return sum(path.stat().st_size for path in segments(folder))


@needs_fork
def test_writers_killed_at_any_moment_leave_a_sound_cache(names, start, tmp_path, monkeypatch):
    monkeypatch.setattr(_decoded_cache, "_SEGMENT_BYTES", 90 * 17)
    folder, n_arrays = tmp_path / "cache", 400
    expected = np.concatenate([images(N_FILES), images(n_arrays)])
    all_keys = np.concatenate(
        [file_keys(read_paths(names), np.arange(N_FILES)), keys(*range(n_arrays))]
    )
    rng = np.random.RandomState(0)
    counts = set()
    for _ in range(15):
        begin = start.event()
        writers = [
            start(_load_files, folder, names, begin),
            start(_write_arrays, folder, n_arrays, begin),
        ]
        begin.set()
        for writer in writers:
            # By what is written rather than by the clock, which knows nothing of a busy machine.
            n_bytes = size(folder) + rng.randint(expected[0].nbytes * 100)
            while size(folder) < n_bytes and writer.is_alive():
                time.sleep(0.0001)
            writer.kill()
            writer.join()
        found = np.zeros_like(expected)
        is_read = open_cache(folder).read(all_keys, found)
        assert_array_equal(found[is_read], expected[is_read])
        counts.add(int(is_read.sum()))
        if is_read[N_FILES:].all():
            clear_image_cache(folder)
    assert len(counts) > 2
    found, _ = read(names, folder).load()
    assert_array_equal(found[:], images(N_FILES))
    begin = start.event()
    begin.set()
    _write_arrays(folder, n_arrays, begin)
    assert_array_equal(stored(folder, range(n_arrays)), images(n_arrays))


# ---------------------------------------------------------------- two at once


@needs_fork
def test_two_processes_at_once_decode_each_file_once(names, start, tmp_path):
    folder, begin = tmp_path / "cache", start.event()
    processes = [start(_load_files, folder, names[::step], begin) for step in (1, -1)]
    begin.set()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    # No image is stored twice.
    assert size(folder) == images(N_FILES).nbytes
    found, _ = read(names, folder).load()
    assert_array_equal(found[:], images(N_FILES))


# ---------------------------------------------------------------- a full disk


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 64 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    options = ["-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    if shutil.which("mount") is None:
        pytest.skip("the system has no mount")
    mounted = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a small disk may not be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_an_error_in_fit_and_a_warning_in_predict(small_disk, names, monkeypatch):
    y = np.arange(N_FILES) % 2
    settings = {"max_epochs": 1, "image_shape": (32, 32)}
    undisturbed = small_net(**settings).fit(names, y)
    clf = small_net(**settings, cache_dir=small_disk / "cache")
    # Images of 120 kB are too many from the start, and then all of a sudden.
    with pytest.raises(OSError, match=r"No space left .* The images need 0\.000124 GB") as raised:
        clf.fit(names, y)
    assert raised.value.errno == errno.ENOSPC
    with monkeypatch.context() as patch:
        patch.setattr(_decoded_cache, "check_space", lambda folder, n_bytes: None)
        patch.setattr(_files, "_CHUNK_ROWS", 8)
        with pytest.raises(OSError, match=r"No space left .* Free space, use another") as raised:
            clf.fit(names, y)
    assert raised.value.errno == errno.ENOSPC
    assert not hasattr(clf, "classes_")
    assert segments(small_disk)
    undisturbed.set_params(cache_dir=small_disk / "cache")
    expected = undisturbed.predict_proba(read(names, None, shape=(32, 32, 3))[:])
    with pytest.warns(UserWarning, match="No space left .* decoded without it"):
        assert_array_equal(undisturbed.predict_proba(names), expected)
    # With fewer images, it works.
    assert clear_image_cache(small_disk / "cache") > 0
    clf.fit(names[:10], y[:10])
    assert_array_equal(
        clf.predict_proba(names[:10]),
        small_net(**settings).fit(names[:10], y[:10]).predict_proba(names[:10]),
    )
