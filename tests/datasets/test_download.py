"""Files from a folder, an archive or the network, and errors of each."""

import errno
import gzip
import hashlib
import re
import shutil
import subprocess
import sys
import tarfile

import pytest

from skcnn import _retrieve
from skcnn.datasets._download import find_cifar100

FOLDER = "cifar-100-binary"
ARCHIVE = "cifar-100-binary.tar.gz"


def visible(home):
    """Return the contents of the data folder except the lock file, which stays there."""
    return sorted(p.name for p in home.iterdir() if p.name != f".{FOLDER}.lock")


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_an_unpacked_folder_is_taken_as_it_is(data_home, publish):
    publish(b"")
    assert find_cifar100(data_home, False) == data_home / FOLDER
    assert find_cifar100(data_home / FOLDER, False) == data_home / FOLDER
    assert find_cifar100(str(data_home), True) == data_home / FOLDER
    assert visible(data_home) == [FOLDER]


def test_data_home_defaults_to_the_one_of_scikit_learn(data_home, monkeypatch):
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(data_home))
    assert find_cifar100(None, False) == data_home / FOLDER


def test_a_tilde_means_the_home_folder(data_home, monkeypatch):
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(data_home.parent))
    assert find_cifar100("~/data", False) == data_home / FOLDER


def test_nothing_there_and_no_permission_to_download(tmp_path):
    home = tmp_path / "new"
    with pytest.raises(OSError, match="Data not found and `download_if_missing` is False") as e:
        find_cifar100(home, False)
    assert str(home) in str(e.value)
    assert "download_if_missing=True" in str(e.value)
    assert not home.exists()


def test_a_placed_archive_is_unpacked_and_kept(tmp_path, archive, members, publish):
    publish(archive)
    (tmp_path / ARCHIVE).write_bytes(archive)
    assert contents(find_cifar100(tmp_path, False)) == members
    assert visible(tmp_path) == [FOLDER, ARCHIVE]


def test_a_placed_archive_that_is_damaged_is_named_and_left_alone(tmp_path, archive, publish):
    publish(archive)
    (tmp_path / ARCHIVE).write_bytes(archive[:-10])
    with pytest.raises(OSError, match="is incomplete or damaged") as caught:
        find_cifar100(tmp_path, True)
    for part in (tmp_path / ARCHIVE, len(archive) - 10, len(archive), "remove it"):
        assert str(part) in str(caught.value)
    assert visible(tmp_path) == [ARCHIVE]
    assert (tmp_path / ARCHIVE).read_bytes() == archive[:-10]


def test_download_unpacks_and_leaves_only_the_folder(tmp_path, archive, members, publish, server):
    publish(archive, server.url)
    server.content, server.answers = archive, ["good"]
    home = tmp_path / "deep" / "down"
    assert contents(find_cifar100(home, True)) == members
    assert visible(home) == [FOLDER]
    find_cifar100(home, True)
    assert server.hits == 1


@pytest.mark.parametrize("failure", ["truncated", "corrupt", "503"])
def test_a_broken_download_is_started_again(tmp_path, archive, members, publish, server, failure):
    publish(archive, server.url)
    server.content, server.answers = archive, [failure, "good"]
    assert contents(find_cifar100(tmp_path, True)) == members
    assert server.hits == 2
    assert visible(tmp_path) == [FOLDER]


@pytest.mark.parametrize(
    ("failure", "cause", "hits"),
    [
        ("404", "answered 404", 1),
        ("503", "answered 503", 3),
        (
            "truncated",
            "broke before the end|another md5",
            3,
        ),  # urllib3 < 2 leaves it to the checksum
        ("corrupt", "another md5", 3),
        ("silent", "stopped answering|did not answer", 3),
    ],
)
def test_a_download_that_keeps_failing_says_what_to_do(
    tmp_path, archive, publish, server, monkeypatch, failure, cause, hits
):
    publish(archive, server.url)
    monkeypatch.setattr(_retrieve, "TIMEOUT", 0.2)
    server.content, server.answers = archive, [failure]
    with pytest.raises(OSError, match="Could not download CIFAR-100") as caught:
        find_cifar100(tmp_path, True)
    assert re.search(cause, str(caught.value))
    for part in (server.url, f"place it at {tmp_path / ARCHIVE}"):
        assert part in str(caught.value)
    assert server.hits == hits
    assert visible(tmp_path) == []


def test_an_unreachable_server_says_what_to_do(tmp_path, publish):
    publish(b"x", "http://127.0.0.1:1/nobody")
    with pytest.raises(OSError, match=r"http://127\.0\.0\.1:1/nobody.*place it at"):
        find_cifar100(tmp_path, True)
    assert visible(tmp_path) == []


def test_what_a_killed_process_left_is_swept_away(tmp_path, archive, members, publish, server):
    publish(archive, server.url)
    server.content, server.answers = archive, ["good"]
    left = tmp_path / f".{FOLDER}.unfinished" / FOLDER
    left.mkdir(parents=True)
    (left / "train.bin").write_bytes(b"half")
    assert contents(find_cifar100(tmp_path, True)) == members
    assert visible(tmp_path) == [FOLDER]


def test_a_data_home_that_cannot_be_written_to_is_named(tmp_path):
    home = tmp_path / "file"
    home.write_text("not a folder")
    with pytest.raises(OSError, match="Cannot store CIFAR-100 in") as caught:
        find_cifar100(home, True)
    assert str(home) in str(caught.value)
    assert "data_home" in str(caught.value)


def test_a_full_disk_is_said_to_be_full(tmp_path, archive, publish, monkeypatch):
    def copy(source, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    publish(archive)
    (tmp_path / ARCHIVE).write_bytes(archive)
    monkeypatch.setattr(shutil, "copyfileobj", copy)
    with pytest.raises(OSError, match=r"Cannot store .* No space left on device.* free some"):
        find_cifar100(tmp_path, True)
    assert visible(tmp_path) == [ARCHIVE]


FETCH = """
import sys
from pathlib import Path
from skcnn.datasets import _download, fetch_cifar100
home, url, md5, ready = sys.argv[1:]
_download.CIFAR100 = _download.CIFAR100._replace(url=url, md5=md5)
Path(ready).touch()
X, y = fetch_cifar100(data_home=home, return_X_y=True)
print(X.shape, y.tolist())
"""


def test_two_processes_at_once_download_once(tmp_path, archive, server):
    server.content, server.answers = archive, ["good"]
    # The first download waits until both processes have started.
    server.wait_for = [tmp_path / "ready-0", tmp_path / "ready-1"]
    md5 = hashlib.md5(archive).hexdigest()
    processes = [
        subprocess.Popen(
            [
                sys.executable,
                "-W",
                "error",
                "-c",
                FETCH,
                tmp_path / "home",
                server.url,
                md5,
                ready,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for ready in server.wait_for
    ]
    results = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], results
    assert len({out for out, _ in results}) == 1
    assert results[0][0].startswith("(8, 32, 32, 3)")
    assert server.hits == 1
    assert visible(tmp_path / "home") == [FOLDER]


def named(path: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(path)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("../evil.txt", "points outside"),
        (f"{FOLDER}/../../evil.txt", "points outside"),
        ("/tmp/evil.txt", "points outside"),
        ("C:\\evil.txt", "points outside"),
        (f"{FOLDER}\\..\\..\\evil.txt", "points outside"),
        (named(f"{FOLDER}/link", tarfile.SYMTYPE, "/etc/passwd"), "is a link"),
        (named(f"{FOLDER}/link", tarfile.LNKTYPE, f"{FOLDER}/train.bin"), "is a link"),
    ],
    ids=["up", "down-up", "absolute", "drive", "backslashes", "symbolic-link", "hard-link"],
)
@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
def test_an_archive_that_climbs_out_is_refused_as_a_whole(
    tmp_path, members, pack, publish, server, extra, message, first
):
    good = {f"{FOLDER}/{name}": content for name, content in members.items()}
    bad = pack({extra: b"", **good} if first else {**good, extra: b""})
    publish(bad, server.url)
    server.content, server.answers = bad, ["good"]
    home = tmp_path / "home"
    with pytest.raises(OSError, match=message) as caught:
        find_cifar100(home, True)
    assert "Refused to unpack" in str(caught.value)
    assert visible(home) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home"]


def test_other_members_are_not_unpacked(tmp_path, members, pack, publish):
    packed = {f"./{FOLDER}/{name}": content for name, content in members.items()}
    packed |= {f"{FOLDER}/meta.pkl": b"x", "other/train.bin": b"x"}
    packed |= {named(f"{FOLDER}/device", tarfile.CHRTYPE): b""}
    content = pack(packed)
    publish(content)
    (tmp_path / ARCHIVE).write_bytes(content)
    assert contents(find_cifar100(tmp_path, False)) == members


def test_missing_members_are_named(tmp_path, members, pack, publish):
    content = pack({f"{FOLDER}/train.bin": members["train.bin"]})
    publish(content)
    (tmp_path / ARCHIVE).write_bytes(content)
    with pytest.raises(OSError, match=r"lacks .*coarse_label_names\.txt, .*test\.bin"):
        find_cifar100(tmp_path, False)
    assert visible(tmp_path) == [ARCHIVE]


def test_a_member_that_should_be_a_file_must_be_one(tmp_path, pack, publish):
    content = pack({named(f"{FOLDER}/train.bin", tarfile.DIRTYPE): b""})
    publish(content)
    (tmp_path / ARCHIVE).write_bytes(content)
    with pytest.raises(OSError, match=r"train\.bin in the archive .* is not a file"):
        find_cifar100(tmp_path, False)


@pytest.mark.parametrize("damage", ["not gzip", "cut", "cut tar"])
def test_an_unreadable_archive_is_named(tmp_path, archive, publish, pack, damage):
    content = {
        "not gzip": b"<html>moved</html>",
        "cut": archive[: len(archive) // 2],
        "cut tar": gzip.compress(gzip.decompress(archive)[:9000]),
    }[damage]
    publish(content)
    (tmp_path / ARCHIVE).write_bytes(content)
    with pytest.raises(OSError, match="cannot be read") as caught:
        find_cifar100(tmp_path, False)
    assert str(tmp_path / ARCHIVE) in str(caught.value)
    assert visible(tmp_path) == [ARCHIVE]
