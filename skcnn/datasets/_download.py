"""Download of CIFAR-100: done once, checked, and never left half finished."""

import os
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple

from sklearn.datasets import get_data_home

from skcnn._retrieve import DataFileError, locked, retrieve


class Archive(NamedTuple):
    """A published archive and the members that are needed."""

    url: str
    md5: str
    file_name: str
    size: int  # bytes
    folder: str  # folder of the members in the archive
    members: tuple[str, ...]


CIFAR100 = Archive(
    url="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    md5="03b5dce01913d631647c71ecec9e9cb8",
    file_name="cifar-100-binary.tar.gz",
    size=168_513_733,
    folder="cifar-100-binary",
    members=("train.bin", "test.bin", "fine_label_names.txt", "coarse_label_names.txt"),
)


def find_cifar100(data_home: str | os.PathLike[str] | None, download_if_missing: bool) -> Path:
    """Return the folder with the unpacked files, after unpacking or downloading if necessary."""
    home = Path(get_data_home()) if data_home is None else Path(data_home).expanduser()
    folder = _unpacked_folder(home)
    if folder is not None:
        return folder
    archive = home / CIFAR100.file_name
    if not archive.exists() and not download_if_missing:
        raise DataFileError(
            f"Data not found and `download_if_missing` is False: {home} contains neither the "
            f"folder {CIFAR100.folder} nor the archive {CIFAR100.file_name}. Pass "
            "download_if_missing=True, or set data_home to the folder that contains the data."
        )
    try:
        with locked(home, CIFAR100.folder):
            # The process that had the lock before may have installed the data.
            folder = _unpacked_folder(home)
            return _install(home) if folder is None else folder
    except DataFileError:
        raise
    except OSError as error:
        raise DataFileError(
            f"Cannot store CIFAR-100 in {home}: {error}. Unpacking takes about 350 MB "
            "there: free some space, or pass another folder as data_home."
        ) from error


def _unpacked_folder(home: Path) -> Path | None:
    """Return the folder of unpacked files: inside the data folder, or that folder itself."""
    inside = home / CIFAR100.folder
    if inside.is_dir():
        return inside
    if any((home / name).is_file() for name in CIFAR100.members):
        return home
    return None


def _install(home: Path) -> Path:
    """Unpack the archive in the data folder, or download one and remove it afterwards."""
    # The name is fixed, so that the next process removes what a killed one left. The lock makes
    # this safe.
    staging = home / f".{CIFAR100.folder}.unfinished"
    if staging.exists():
        shutil.rmtree(staging)
    staging.mkdir()
    try:
        archive = home / CIFAR100.file_name
        if archive.exists():
            _check_placed_archive(archive)
        else:
            archive = _download(staging, home)
        unpacked = staging / CIFAR100.folder
        unpack(archive, unpacked)
        target = home / CIFAR100.folder
        os.replace(unpacked, target)
        return target
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _check_placed_archive(archive: Path) -> None:
    from pooch import file_hash

    md5 = file_hash(str(archive), alg="md5")
    if md5 != CIFAR100.md5:
        raise DataFileError(
            f"The archive {archive} is incomplete or damaged: it has {archive.stat().st_size} "
            f"bytes and md5 {md5}, expected {CIFAR100.size} bytes and md5 {CIFAR100.md5}. "
            f"Replace it with the one from {CIFAR100.url}, or remove it to download it again."
        )


def _download(staging: Path, home: Path) -> Path:
    """Download the archive and check its md5."""
    return retrieve(
        CIFAR100.url,
        f"md5:{CIFAR100.md5}",
        staging / CIFAR100.file_name,
        name="CIFAR-100",
        instead=home / CIFAR100.file_name,
    )


def unpack(archive: Path, target: Path) -> None:
    """Copy the wanted members of an archive into a new folder `target`.

    Members are read as streams, never extracted, so the paths, links, owners and permissions in
    the archive have no effect. An archive with a link, or with a path that leads outside its
    folder, is refused as a whole.
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
    # Windows accepts more notations of a path than tar, so both are checked.
    windows = PureWindowsPath(member.name)
    if member.name.startswith("/") or windows.drive or windows.root or ".." in windows.parts:
        raise DataFileError(
            f"Refused to unpack {archive}: its member {member.name!r} points outside the folder."
        )
    if member.issym() or member.islnk():
        raise DataFileError(f"Refused to unpack {archive}: its member {member.name!r} is a link.")
