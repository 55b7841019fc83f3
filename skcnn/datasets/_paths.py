"""From the file names in a table to files on this machine."""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import numpy as np
import numpy.typing as npt

# Phones write HEIC, which Pillow reads with a plugin: such a file is an image that fit names.
_IMAGES = "avif bmp dib gif heic heif j2k jfif jp2 jpe jpeg jpg pbm pgm png pnm ppm tif tiff webp"
_VIDEOS = "3gp asf avi flv h264 m4v mkv mov mp4 mpeg mpg mts ts webm wmv"
_AUDIO = "aac aif aiff flac m4a mp3 ogg wac wav wma"
# What cameras write beside or in place of JPEG files, each maker another kind.
_RAW = "3fr arw cr2 cr3 crw dng erf nef nrw orf pef raf raw rw2 rwl sr2 srf srw x3f"
_KINDS = {"image": _IMAGES, "video": _VIDEOS, "audio": _AUDIO, "raw": _RAW}
_MEDIA = {
    f".{extension}": kind
    for kind, extensions in _KINDS.items()
    for extension in extensions.split()
}
#: What is left out of a data set besides images, as `media_type` calls it, and what it is told as.
OTHER_MEDIA = {
    "video": ("videos", "are not images"),
    "audio": ("sound recordings", "are not images"),
    "raw": ("raw photographs", "have to be converted first, for example to JPEG"),
    "other": ("other files", "are not images"),
}

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
# Number of files that decide what the paths of another machine begin with.
_N_VOTERS = 200
_ABSOLUTE = re.compile(r"(?:[A-Za-z]:)?/|[A-Za-z]:$")


def media_type(name: str) -> str:
    """Return what a file is by the end of its name: "image", "video", "audio", "raw" or "".

    Examples
    --------
    >>> [media_type(name) for name in ["IMG_1.JPG", "IMG_1.CR2", "VID_1.MP4", "notes.txt"]]
    ['image', 'raw', 'video', '']
    """
    path = urlsplit(name).path if is_url(name) else name
    return _MEDIA.get(os.path.splitext(path)[1].lower(), "")


def is_url(text: str) -> bool:
    """Return whether a text is an address on a server, not a path on this machine."""
    return bool(_URL.match(text)) and not text.lower().startswith("file://")


def tidy(text: str) -> str:
    r"""Return a path as it is written here: with ``/``, without quotes, not as a file:// address.

    Examples
    --------
    >>> tidy(" site 1\\IMG_1.JPG"), tidy("file:///photos/a%20b.jpg")
    ('site 1/IMG_1.JPG', '/photos/a b.jpg')
    """
    text = text.strip().strip('"')
    if text.lower().startswith("file://"):
        path = unquote(urlsplit(text).path)
        # file:///C:/photos is C:/photos.
        return path[1:] if re.match(r"/[A-Za-z]:", path) else path
    return text if is_url(text) else text.replace("\\", "/")


def is_absolute(text: str) -> bool:
    """Return whether a tidy path begins at the top, on any system."""
    return bool(_ABSOLUTE.match(text))


def join(*parts: str | None) -> str:
    """Join folders and a file name, as tables have them; a part that is absolute starts over.

    Examples
    --------
    >>> join("site 1", "", "IMG_1.JPG"), join("site 1", "/photos/IMG_1.JPG")
    ('site 1/IMG_1.JPG', '/photos/IMG_1.JPG')
    """
    path = ""
    for part in parts:
        text = tidy(part) if part else ""
        if is_absolute(text) or is_url(text):
            path = text
        elif text:
            path = f"{path.rstrip('/')}/{text}" if path else text
    return path


class Found(NamedTuple):
    """Paths of files, and what is wrong with each; "" where it is there."""

    paths: npt.NDArray[np.object_]
    problems: npt.NDArray[np.object_]


class FileFinder:
    """Finds the files that a table lists, below a folder on this machine.

    Parameters
    ----------
    root : Path
        Folder where relative paths begin.
    chosen : bool
        Whether the user has named the folder. Then absolute paths of another machine are looked
        for there: all that follows the same beginning, for all files.
    """

    def __init__(self, root: Path, chosen: bool) -> None:
        self.root = root
        self.chosen = chosen
        # Beginning of the paths on another machine that is replaced by `root`.
        self.replaced: str | None = None
        self._listings: dict[str, dict[str, list[str]]] = {}
        self._folders: dict[str, str | None] = {}

    def find_all(self, *candidates: Iterable[str | None]) -> Found:
        """Find a file for each row: the first that is there of one path per argument."""
        rows = list(zip(*candidates, strict=True))
        different = dict.fromkeys(rows)
        if self.chosen:
            self._find_beginning(text for row in different for text in row if text)
        known = {row: self.find([text for text in row if text]) for row in different}
        found = np.empty((2, len(rows)), dtype=object)
        for i, row in enumerate(rows):
            found[:, i] = known[row]
        return Found(found[0], found[1])

    def find(self, candidates: Sequence[str]) -> tuple[str, str]:
        """Return the absolute path of the first file that is there, and "", or what is wrong."""
        if not candidates:
            return "", "has no file name"
        paths = [tidy(text) for text in candidates]
        local = [path for path in paths if not is_url(path)]
        for text, path in zip(candidates, paths):
            # On systems other than Windows, a name may contain a backslash.
            if "\\" in text and os.path.isfile(os.path.join(self.root, text)):
                return os.path.join(self.root, text), ""
            if not is_url(path) and (found := self._find(path)):
                return os.path.abspath(found), ""
        if is_url(paths[0]):
            return paths[0], "is on a server: download it"
        # A path of another system, such as D:/photos, stays as it is in the table.
        is_full = is_absolute(local[0])
        expected = local[0] if is_full else os.path.abspath(os.path.join(self.root, local[0]))
        return expected, "is a folder" if os.path.isdir(expected) else "does not exist"

    def _find(self, path: str) -> str | None:
        """Return the file that a path means, or None."""
        direct = os.path.join(self.root, path)
        if os.path.isfile(direct):
            return direct
        if self.replaced and path.startswith(self.replaced):
            return self._exactly_or_loosely(path[len(self.replaced) :])
        return self._loosely(direct)

    def _find_beginning(self, texts: Iterable[str]) -> None:
        """Find the beginning of paths on another machine, by the files that are there below it.

        The files of all folders there share one beginning, so that a file is never taken for
        another file of the same name.
        """
        votes: Counter[str] = Counter()
        absolute = (path for path in map(tidy, texts) if is_absolute(path))
        for path in islice((path for path in absolute if not os.path.exists(path)), _N_VOTERS):
            parts = path.split("/")
            for n in range(1, len(parts)):
                if self._exactly_or_loosely("/".join(parts[n:])):
                    votes["/".join(parts[:n]) + "/"] += 1
                    break
        if votes:
            self.replaced = max(votes, key=lambda start: (votes[start], -len(start)))

    def _exactly_or_loosely(self, path: str) -> str | None:
        direct = os.path.join(self.root, path)
        return direct if os.path.isfile(direct) else self._loosely(direct)

    def _loosely(self, path: str) -> str | None:
        """Return the only file whose path differs in case or in how accents are written."""
        folder, name = os.path.split(path)
        real = self._folder(folder)
        if real is None:
            return None
        names = self._listing(real).get(_key(name), [])
        found = os.path.join(real, names[0]) if len(names) == 1 else None
        return found if found and os.path.isfile(found) else None

    def _folder(self, folder: str) -> str | None:
        """Return the folder whose path differs at most in case or accents."""
        if folder not in self._folders:
            found: str | None = folder if os.path.isdir(folder) else None
            above, name = os.path.split(folder)
            if found is None and name and above != folder:
                real = self._folder(above)
                names = self._listing(real).get(_key(name), []) if real is not None else []
                if real is not None and len(names) == 1:
                    found = os.path.join(real, names[0])
            self._folders[folder] = found if found and os.path.isdir(found) else None
        return self._folders[folder]

    def _listing(self, folder: str) -> dict[str, list[str]]:
        """Return the names in a folder by how they are compared."""
        if folder not in self._listings:
            listing: dict[str, list[str]] = {}
            try:
                for name in os.listdir(folder):
                    listing.setdefault(_key(name), []).append(name)
            except OSError:
                pass  # a folder that may not be read has no files for us
            self._listings[folder] = listing
        return self._listings[folder]


def _key(name: str) -> str:
    """Return what two names have in common that differ in case, or in how accents are written."""
    return unicodedata.normalize("NFC", name).casefold()


def folder_levels(paths: Iterable[str], root: Path, level: int) -> npt.NDArray[np.object_]:
    """Return the name of a folder between `root` and each file: 0 the first, -1 the last.

    None where a file is not below `root`, or in fewer folders.
    """
    found: list[str | None] = []
    for path in paths:
        relative = os.path.relpath(path, root) if os.path.isabs(path) else path
        folders = relative.replace(os.sep, "/").split("/")[:-1]
        inside = -len(folders) <= level < len(folders) and ".." not in folders
        found.append(folders[level] if inside else None)
    names = np.empty(len(found), dtype=object)
    names[:] = found
    return names
