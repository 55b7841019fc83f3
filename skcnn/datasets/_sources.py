"""Files in a folder or in a zip archive, read by their names."""

import gzip
import json
import os
import shutil
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

PathLike = str | os.PathLike[str]

# Names that systems and tools make, and that no user has put there.
_SYSTEM_NAMES = frozenset(
    {
        "__macosx",
        "__pycache__",
        "@eadir",
        "#recycle",
        "$recycle.bin",
        "desktop.ini",
        "ehthumbs.db",
        "icon\r",
        "lost+found",
        "system volume information",
        "thumbs.db",
    }
)


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is hidden, or made by the system: `.DS_Store`, `@eaDir`.

    Examples
    --------
    >>> [name for name in ["fox", ".git", "._fox.jpg", "Thumbs.db"] if not is_hidden(name)]
    ['fox']
    """
    return name.startswith(".") or name.lower() in _SYSTEM_NAMES


def existing(path: PathLike, caller: str) -> Path:
    """Return the path of a file or folder that must be there, as an absolute path."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(
            f"{caller} expects the path of a file or folder. Got {type(path).__name__} instead."
        )
    found = Path(os.path.abspath(Path(path).expanduser()))
    if not found.exists():
        raise FileNotFoundError(f"{caller}: {found} does not exist.")
    return found


class Source:
    """A folder or a zip archive whose files are read by name, with `/` between folders."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip: zipfile.ZipFile | None = None
        self._members: dict[str, zipfile.ZipInfo] = {}
        if path.is_file():
            try:
                self._zip = zipfile.ZipFile(path)
            except (zipfile.BadZipFile, OSError) as error:
                raise ValueError(
                    f"{path} is not a folder, and not a readable zip archive ({error})."
                ) from error
            self._members = {
                member_name(info, path): info for info in self._zip.infolist() if not info.is_dir()
            }

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *error: object) -> None:
        if self._zip is not None:
            self._zip.close()

    def names(self) -> list[str]:
        """Return the sorted names of all files, without hidden ones and what is below these."""
        if self._zip is not None:
            found = list(self._members)
        else:
            found = [
                (Path(folder).relative_to(self.path) / name).as_posix()
                for folder, name in walk(self.path)
            ]
        return sorted(name for name in found if not any(map(is_hidden, name.split("/"))))

    def __contains__(self, name: str) -> bool:
        return name in self._members if self._zip is not None else (self.path / name).is_file()

    def read(self, name: str) -> bytes:
        """Return the content of a file, unpacked where its name ends with `.gz`."""
        where = f"{name} in {self.path}"
        if self._zip is None:
            return read_bytes(self.path / name)
        if name not in self._members:
            raise FileNotFoundError(f"{self.path} contains no file {name}.")
        try:
            content = self._zip.read(self._members[name])
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError) as error:
            raise ValueError(f"{where} cannot be unpacked ({error}).") from error
        return _unpacked(content, where) if name.lower().endswith(".gz") else content

    def extract(self, names: list[str], folder: Path) -> None:
        """Write files of a zip archive below `folder`, where they are not there already."""
        if self._zip is None:
            return
        for name in names:
            info, target = self._members[name], folder / name
            if target.is_file() and target.stat().st_size == info.file_size:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            # A reader never sees half a file, and an interrupted call goes on where it was.
            part = target.with_name(f"{target.name}.{os.getpid()}.part")
            try:
                with self._zip.open(info) as packed, part.open("wb") as out:
                    shutil.copyfileobj(packed, out)
                part.replace(target)
            except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
                raise ValueError(f"{name} in {self.path} cannot be unpacked ({error}).") from error
            finally:
                part.unlink(missing_ok=True)


def member_name(info: zipfile.ZipInfo, archive: Path) -> str:
    """Return a safe name of a file in a zip archive, whatever system has written it.

    Raises
    ------
    ValueError
        If the name leads out of the folder into which the archive is unpacked.
    """
    name = info.filename.replace("\\", "/")
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ":" in name[:2] or ".." in parts:
        raise ValueError(
            f"{archive} contains a file named {info.filename!r}, which leads out of the archive's "
            "folder. Archives of data have no such names: do not trust it."
        )
    if stat.S_ISLNK(info.external_attr >> 16):
        raise ValueError(
            f"{archive} contains a symbolic link, {info.filename!r}. Unpack the archive yourself, "
            "and pass the folder."
        )
    return "/".join(parts)


def walk(root: Path) -> list[tuple[str, str]]:
    """Return (folder, name) of all files below `root`, links followed, each folder once.

    Hidden folders are named like files, and not entered.
    """
    found: list[tuple[str, str]] = []
    seen: set[tuple[int, int]] = set()
    for folder, folders, names in os.walk(root, followlinks=True, onerror=_cannot_list):
        status = os.stat(folder)
        # A link to a folder above it would be followed forever. Some file systems number nothing.
        if status.st_ino and (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        names += [name for name in folders if is_hidden(name)]
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        found.extend((folder, name) for name in sorted(names))
    return found


def _cannot_list(error: OSError) -> None:
    """Say which folder cannot be listed, where os.walk would pass over its files."""
    raise OSError(
        f"The folder {error.filename} cannot be read ({error.strerror}), so that its files would "
        "be left out. Make it readable, or move it elsewhere."
    ) from error


def read_bytes(path: Path) -> bytes:
    """Return the content of a file, unpacked where its name ends with `.gz`."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder. Expected a file.")
    content = path.read_bytes()
    return _unpacked(content, str(path)) if path.suffix.lower() == ".gz" else content


def _unpacked(content: bytes, where: str) -> bytes:
    """Return what a gzip file contains."""
    try:
        return gzip.decompress(content)
    except (OSError, EOFError) as error:
        raise ValueError(f"{where} is not a complete gzip file ({error}).") from error


def read_json(path: Path, expected: str) -> object:
    """Return the content of a JSON file, also of one that is the only one in a zip archive."""
    if path.is_dir():
        names = [name for name in Source(path).names() if name.lower().endswith(".json")]
        more = f" The JSON files in it are {_first(names)}." if names else ""
        raise IsADirectoryError(f"{path} is a folder. Expected a file: {expected}.{more}")
    if path.suffix.lower() != ".zip":
        return parse_json(read_bytes(path), str(path), expected)
    with Source(path) as source:
        names = [name for name in source.names() if name.lower().endswith(".json")]
        if len(names) != 1:
            more = f" It has {_first(names)}: unpack the archive, and pass each." if names else ""
            raise ValueError(
                f"{path} contains {len(names)} JSON files. Expected one: {expected}.{more}"
            )
        return parse_json(source.read(names[0]), f"{path}/{names[0]}", expected)


def _first(names: list[str]) -> str:
    """Return the first of some names, for messages."""
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def parse_json(content: bytes, where: str, expected: str) -> object:
    """Return the content of a JSON file; `expected` says in words what it should be.

    Raises
    ------
    ValueError
        Naming the file, what is wrong with it and what was expected.
    """
    try:
        return json.loads(content.removeprefix(b"\xef\xbb\xbf"))
    except RecursionError:
        problem = "it is nested too deeply"
    except MemoryError:
        problem = f"its {len(content):,} bytes do not fit into memory"
    except ValueError as error:  # JSONDecodeError, UnicodeDecodeError, or a number of 5000 digits
        problem = str(error)
    if not content.strip():
        problem = "it is empty"
    raise ValueError(f"{where} is not a complete JSON file: {problem}. Expected {expected}.")


def as_object(value: object, where: str) -> Mapping[str, object]:
    """Return a JSON value that must be an object, ``{...}``."""
    if not isinstance(value, dict):
        raise ValueError(f"{where}: expected an object {{...}}. Got {_shown(value)} instead.")
    return value


def as_list(value: object, where: str) -> list[object]:
    """Return a JSON value that must be a list."""
    if not isinstance(value, list):
        raise ValueError(f"{where}: expected a list [...]. Got {_shown(value)} instead.")
    return value


def as_text(value: object, where: str) -> str:
    """Return a JSON value that must be a text with something in it; numbers become texts."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # pandas writes 3.0 for 3 where others are missing
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{where}: expected a text. Got {_shown(value)} instead.")
    return value


def as_number(value: object, where: str) -> float:
    """Return a JSON value that must be a finite number; a text that is a number will do."""
    try:
        number = float(value) if isinstance(value, int | float | str) else float("nan")
    except (ValueError, OverflowError):
        number = float("nan")
    if isinstance(value, bool) or not abs(number) < float("inf"):
        raise ValueError(f"{where}: expected a number. Got {_shown(value)} instead.")
    return number


def as_side(value: object, where: str) -> float:
    """Return a JSON value that must be the width or height of an image."""
    number = as_number(value, where)
    if number <= 0:
        raise ValueError(f"{where}: expected a number above 0. Got {_shown(value)} instead.")
    return number


def optional_text(value: object) -> str | None:
    """Return a JSON value as a text, or None where it is null, empty or no scalar."""
    if value is None or isinstance(value, list | dict):
        return None
    return str(value).strip() or None


def _shown(value: object) -> str:
    """Return a short form of a JSON value, for messages."""
    shown = json.dumps(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
