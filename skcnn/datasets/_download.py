"""Getting CIFAR-100's files onto the disk: once, checked, and never half."""

from __future__ import annotations

import logging
import os
import shutil
import tarfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple

from sklearn.datasets import get_data_home


class Archive(NamedTuple):
    """A published archive and what is needed of it."""

    url: str
    md5: str
    file_name: str
    size: int  # bytes
    folder: str  # the members lie in this folder
    members: tuple[str, ...]


CIFAR100 = Archive(
    url="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    md5="03b5dce01913d631647c71ecec9e9cb8",
    file_name="cifar-100-binary.tar.gz",
    size=168_513_733,
    folder="cifar-100-binary",
    members=("train.bin", "test.bin", "fine_label_names.txt", "coarse_label_names.txt"),
)

ATTEMPTS = 3
PAUSE = 2.0  # seconds before the second attempt, doubled before each further one
TIMEOUT = 30.0  # seconds without a single byte
REFUSALS = (401, 403, 404, 410, 451)  # HTTP answers that asking again does not change


class DataFileError(OSError):
    """Data files cannot be had, or are not what they should be."""


def find_cifar100(data_home: str | os.PathLike[str] | None, download_if_missing: bool) -> Path:
    """Folder with the unpacked files; they are unpacked or downloaded first where needed."""
    home = Path(get_data_home()) if data_home is None else Path(data_home).expanduser()
    folder = _unpacked_folder(home)
    if folder is not None:
        return folder
    archive = home / CIFAR100.file_name
    if not archive.exists() and not download_if_missing:
        raise DataFileError(
            f"Data not found and `download_if_missing` is False: {home} has neither a folder "
            f"{CIFAR100.folder} nor the archive {CIFAR100.file_name}. Pass "
            "download_if_missing=True, or the folder that holds the data as data_home."
        )
    try:
        with _sole_owner(home):
            # Whoever had the lock before may have left what we were about to download.
            folder = _unpacked_folder(home)
            return _install(home) if folder is None else folder
    except DataFileError:
        raise
    except OSError as error:
        raise DataFileError(
            f"Cannot store CIFAR-100 in {home}: {error}. It takes about 350 MB there while it is "
            "unpacked; free some space, or pass another folder as data_home."
        ) from error


def _unpacked_folder(home: Path) -> Path | None:
    """The folder of unpacked files: inside the data folder, or that folder itself."""
    inside = home / CIFAR100.folder
    if inside.is_dir():
        return inside
    if any((home / name).is_file() for name in CIFAR100.members):
        return home
    return None


@contextmanager
def _sole_owner(home: Path) -> Iterator[None]:
    """Hold the lock of a data folder: other processes and threads wait, then find the data."""
    from filelock import FileLock

    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / f".{CIFAR100.folder}.lock"):
        yield


def _install(home: Path) -> Path:
    """Unpack the archive lying in the data folder, or a downloaded one that is then removed."""
    # A fixed name, safe under the lock: what a killed process left is swept away by the next.
    workshop = home / f".{CIFAR100.folder}.unfinished"
    if workshop.exists():
        shutil.rmtree(workshop)
    workshop.mkdir()
    try:
        archive = home / CIFAR100.file_name
        if archive.exists():
            _check_placed_archive(archive)
        else:
            archive = _download(workshop, home)
        unpacked = workshop / CIFAR100.folder
        unpack(archive, unpacked)
        target = home / CIFAR100.folder
        os.replace(unpacked, target)
        return target
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def _check_placed_archive(archive: Path) -> None:
    from pooch import file_hash

    md5 = file_hash(str(archive), alg="md5")
    if md5 != CIFAR100.md5:
        raise DataFileError(
            f"The archive {archive} is incomplete or damaged: it has {archive.stat().st_size} "
            f"bytes and md5 {md5}, expected {CIFAR100.size} bytes and md5 {CIFAR100.md5}. "
            f"Replace it with the one from {CIFAR100.url}, or remove it to have it downloaded."
        )


def _download(workshop: Path, home: Path) -> Path:
    """Download the archive; its md5 is right, or an error says what to do."""
    import pooch
    from requests import RequestException

    downloader = pooch.HTTPDownloader(
        progressbar=True,
        chunk_size=2**16,
        timeout=TIMEOUT,
        # Some servers declare .tar.gz files as compressed in transit, to be unpacked on arrival.
        headers={"Accept-Encoding": "identity"},
    )
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE * 2 ** (attempt - 1))
        try:
            with _quiet(pooch.get_logger()):
                path = pooch.retrieve(
                    CIFAR100.url,
                    known_hash=f"md5:{CIFAR100.md5}",
                    fname=CIFAR100.file_name,
                    path=workshop,
                    downloader=downloader,
                )
            return Path(path)
        # ValueError is how pooch reports a wrong md5.
        except (RequestException, ValueError) as error:
            cause = error
            response = getattr(error, "response", None)
            if response is not None:
                response.close()  # pooch leaves the connection open
                if response.status_code in REFUSALS:
                    break
    raise DataFileError(
        f"Could not download CIFAR-100 from {CIFAR100.url}: {_plainly(cause)}. Try again later, "
        f"or get the file in another way and place it at {home / CIFAR100.file_name}."
    ) from cause


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Leave out what the progress bar shows anyway."""
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _plainly(cause: Exception) -> str:
    """Say in a few words what went wrong; the whole of it is in the chained error."""
    import requests

    response = getattr(cause, "response", None)
    if response is not None:
        return f"the server answered {response.status_code} {response.reason}"
    if isinstance(cause, requests.Timeout):
        return f"the server did not answer within {TIMEOUT:.0f} s"
    if isinstance(cause, requests.ConnectionError):
        return "the server cannot be reached, or stopped answering"
    if isinstance(cause, requests.RequestException):
        return "the connection broke before the end of the file"
    return "the file that came has another md5 than the published one"


def unpack(archive: Path, target: Path) -> None:
    """Copy the wanted members of an archive into a new folder `target`.

    Members are read as streams, never extracted: nothing the archive says about paths, links,
    owners or permissions has an effect. An archive that tries is refused as a whole.
    """
    target.mkdir()
    wanted = {f"{CIFAR100.folder}/{name}": target / name for name in CIFAR100.members}
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                _check_member(member, archive)
                destination = wanted.pop(str(PurePosixPath(member.name)), None)
                if destination is None:
                    continue
                stream = tar.extractfile(member) if member.isfile() else None
                if stream is None:
                    raise DataFileError(f"{member.name} in the archive {archive} is not a file.")
                with stream, destination.open("xb") as file:
                    shutil.copyfileobj(stream, file)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise DataFileError(f"The archive {archive} cannot be read: {error}.") from error
    if wanted:
        raise DataFileError(f"The archive {archive} lacks {', '.join(sorted(wanted))}.")


def _check_member(member: tarfile.TarInfo, archive: Path) -> None:
    # Windows reads more spellings of a path than tar's own, so test both.
    windows = PureWindowsPath(member.name)
    if member.name.startswith("/") or windows.drive or windows.root or ".." in windows.parts:
        raise DataFileError(
            f"Refused to unpack {archive}: its member {member.name!r} points outside the folder."
        )
    if member.issym() or member.islnk():
        raise DataFileError(f"Refused to unpack {archive}: its member {member.name!r} is a link.")
