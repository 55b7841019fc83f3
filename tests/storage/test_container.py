"""Files of models: whole or refused, and never half written."""

import errno
import gzip
import os
import pickle
import signal
import time
import zipfile
from functools import partial

import joblib
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from skcnn._storage import _container
from skcnn._storage._container import read_file, write_file
from skcnn._storage._replacing import remove_unfinished, replacing

CONTENT = {"name": "ant", "numbers": [1, 0.1, None, True], "text": 'a "quoted" \u00e9 \ud800'}
TENSORS = {
    "weight": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "counts": torch.tensor(7),
    "half": torch.tensor([0.5, -0.0]).bfloat16(),
}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "model.skcnn"
    write_file(path, "model", CONTENT, TENSORS)
    return path


def assert_whole(path):
    content, tensors = read_file(path, "model")
    assert content == CONTENT
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)


def test_content_and_tensors_come_back(path):
    assert_whole(path)


def test_views_and_tensors_in_other_memory_orders_are_stored_by_their_values(tmp_path):
    base = torch.rand(2, 3, 4, 5)
    tensors = {"one": base[0], "two": base, "three": base.to(memory_format=torch.channels_last)}
    write_file(tmp_path / "f", "model", {}, tensors)
    _, found = read_file(tmp_path / "f", "model")
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)


def test_other_tools_can_read_the_tensors(path):
    from safetensors.torch import load_file

    assert torch.equal(load_file(path)["weight"], TENSORS["weight"])


def test_every_truncation_is_refused(path):
    whole = path.read_bytes()
    for n_bytes in range(len(whole)):
        path.write_bytes(whole[:n_bytes])
        with pytest.raises(ValueError, match=r"is (damaged|empty)"):
            read_file(path, "model")


def test_every_byte_counts(path):
    whole = path.read_bytes()
    bits = np.random.RandomState(0).randint(1, 256, size=len(whole))
    for place, bit in enumerate(bits.tolist()):
        changed = bytearray(whole)
        changed[place] ^= bit
        path.write_bytes(changed)
        with pytest.raises(ValueError, match=r"model\.skcnn is"):
            read_file(path, "model")


@pytest.mark.parametrize("more", [b"\0", b"more"])
def test_what_is_appended_is_refused(path, more):
    path.write_bytes(path.read_bytes() + more)
    with pytest.raises(ValueError, match="is damaged or incomplete: its checksum is wrong"):
        read_file(path, "model")


def _pickle(path):
    path.write_bytes(pickle.dumps({"a": list(range(100))}))


def _zip(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("data.pkl", "x" * 100)


def _torch(path):
    torch.save(TENSORS, path)


def _hdf5(path):
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))


def _safetensors(path):
    save_file({"weight": torch.zeros(3)}, path, metadata={"format": "pt"})


def _joblib(path):
    joblib.dump({"a": list(range(100))}, path, compress=("zlib", 3))


def _gzip(path):
    path.write_bytes(gzip.compress(bytes(1000)))


def _image(path, form):
    Image.new("RGB", (8, 8)).save(path, form)


def _onnx(path):
    # The beginning of such a file: the version of the format, and "pytorch" as its producer.
    path.write_bytes(b"\x08\x0a\x12\x07pytorch\x1a\x05" + b"2.7.0" + bytes(100))


def _text(path):
    path.write_text("species,count\nfox,3\n")


def _zeros(path):
    path.write_bytes(bytes(1000))


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (_pickle, "is a pickle, which joblib.load"),
        (_zip, "is a zip archive"),
        (_torch, "is a zip archive"),
        (_hdf5, "is an HDF5 file"),
        (_safetensors, "is a safetensors file of something else"),
        (_joblib, r"is a compressed pickle, which joblib\.load"),
        (_gzip, "is a file compressed by gzip"),
        (partial(_image, form="JPEG"), "is a JPEG image"),
        (partial(_image, form="PNG"), "is a PNG image"),
        (_onnx, r"is an ONNX file.*onnxruntime.*skcnn\.save"),
        (lambda path: path.write_text("<!DOCTYPE html><p>Log in"), "is a page in HTML"),
        (lambda path: path.write_text("version https://git-lfs.github.com/spec"), "git lfs pull"),
        (_text, "or no file that skcnn has written"),
        (_zeros, "or no file that skcnn has written"),
    ],
)
def test_files_of_others_are_refused(write, words, tmp_path):
    write(tmp_path / "foreign")
    with pytest.raises(ValueError, match=words):
        read_file(tmp_path / "foreign", "model")


def test_a_file_that_is_not_there_or_a_folder_is_what_the_system_says(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "none", "model")
    with pytest.raises(OSError, match=r"irectory|ermission"):
        read_file(tmp_path, "model")


def test_a_file_of_a_later_format_asks_for_an_update(tmp_path, monkeypatch):
    monkeypatch.setattr(_container, "FORMAT", 99)
    write_file(tmp_path / "f", "model", CONTENT, TENSORS)
    monkeypatch.undo()
    words = r"has format 99, and was written by skcnn .* reads formats up to 1\. Update"
    with pytest.raises(ValueError, match=words):
        read_file(tmp_path / "f", "model")


def test_one_kind_of_file_is_not_taken_for_another(path):
    with pytest.raises(ValueError, match=r"is a model of skcnn\. Expected a checkpoint"):
        read_file(path, "checkpoint")


def test_numbers_that_are_not_finite_are_no_json(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_file(tmp_path / "f", "model", {"a": float("nan")}, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failure_leaves_the_former_file_and_nothing_else(call, path, monkeypatch):
    def fail(*args):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="No space"):
        write_file(path, "model", {"other": 1}, {})
    monkeypatch.undo()
    assert [file.name for file in path.parent.iterdir()] == ["model.skcnn"]
    assert_whole(path)


def test_a_full_disk_is_told_with_the_name_of_the_file(path, monkeypatch):
    def fail(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fail_elsewhere(*args):
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), "elsewhere")

    for failing, name in ((fail, str(path)), (fail_elsewhere, "elsewhere")):
        monkeypatch.setattr(os, "fsync", failing)
        with pytest.raises(OSError, match=r"No s") as raised:
            write_file(path, "model", {"other": 1}, {})
        assert raised.value.filename == name


def test_what_killed_processes_have_begun_is_removed_after_a_while(tmp_path):
    with replacing(tmp_path / "a-1"):
        (begun,) = tmp_path.iterdir()
    begun.write_bytes(b"begun")
    remove_unfinished(tmp_path, "a-")
    assert begun.exists()
    os.utime(begun, (0, 0))
    remove_unfinished(tmp_path, "b-")
    assert begun.exists()
    remove_unfinished(tmp_path, "a-")
    assert [path.name for path in tmp_path.iterdir()] == ["a-1"]


@pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")
def test_a_link_stays_a_link(path, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(path)
    write_file(link, "model", {"other": 1}, {})
    assert link.is_symlink()
    assert read_file(path, "model")[0] == {"other": 1}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_process_that_is_killed_leaves_the_former_file_or_the_new_one(tmp_path):
    path = tmp_path / "model.skcnn"
    weights = {"weight": torch.zeros(300_000)}
    write_file(path, "model", {"number": 0}, weights)
    reader, writer = os.pipe()
    seen = set()
    for wait in np.random.RandomState(0).uniform(0, 0.1, size=12):
        child = os.fork()
        if not child:
            number = read_file(path, "model")[0]["number"]
            os.write(writer, b".")
            while True:
                number += 1
                write_file(path, "model", {"number": number}, weights)
        os.read(reader, 1)
        time.sleep(wait)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        content, tensors = read_file(path, "model")
        assert torch.equal(tensors["weight"], weights["weight"])
        seen.add(content["number"])
    assert len(seen) > 2


def test_what_cannot_be_replaced_is_said_before_anything_is_written(tmp_path):
    places = {
        tmp_path / "missing" / "a": (FileNotFoundError, "The folder .*missing does not exist"),
        tmp_path: (IsADirectoryError, "is a folder. Give the name of a file in it"),
    }
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        places[tmp_path / "pipe"] = (OSError, "pipe is no file that could be replaced")
    for path, (error, message) in places.items():
        with pytest.raises(error, match=message), replacing(path):
            pass
    assert {path.name for path in tmp_path.iterdir()} <= {"pipe"}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_permissions_of_the_replaced_file_stay(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    path.chmod(0o640)
    with replacing(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640
