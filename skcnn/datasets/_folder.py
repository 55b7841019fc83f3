"""load_image_folder: labels and groups from the names of folders and files."""

import os
import re
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.utils import Bunch

from skcnn._from_r import whole
from skcnn.datasets._examples import make_bunch
from skcnn.datasets._observations import Loaded
from skcnn.datasets._paths import OTHER_MEDIA, media_type
from skcnn.datasets._rules import Rules
from skcnn.datasets._scan import exif_times
from skcnn.datasets._sources import PathLike, existing, is_hidden, walk
from skcnn.datasets._times import parse_times

_CALLER = "load_image_folder"
_Names = npt.NDArray[np.object_]
# Names of folders that split a data set, or keep images apart from what is drawn in them.
_PARTS = frozenset(
    {"train", "training", "val", "valid", "validation", "test", "testing"}
    | {"images", "imgs", "jpegimages", "labels", "masks", "annotations"}
)
_FIELDS = ("label", "group", "sequence", "time", "individual")


def load_image_folder(
    root: PathLike,
    *,
    label: str | int | None = "folder",
    group: int | None = None,
    time: str | None = None,
    time_format: str | None = None,
) -> Bunch:
    r"""Load the paths of image files in folders, with labels from the names of folders.

    No image is opened: the paths go into `fit` and `predict` as they are, and the files are read
    when they are needed.

    Parameters
    ----------
    root : str or path-like
        The folder, such as ``"photos"``. Links are followed.
    label : "folder", int, pattern or None, default="folder"
        Where the label is.

        - "folder": the name of the class folder, ``photos/fox/1.jpg``. If images are in deeper
          folders, nothing tells which folder is the class: then pass an int, or pass `group`, so
          that one level is left.
        - int: the level of the folder: 0 is the first below `root`, -1 the one that contains the
          file. ``photos/site 1/fox/1.jpg`` has the label ``fox`` with 1 and with -1.
        - A pattern of the path below `root`, without the ending of the file:
          ``"{group}/{label}/*"``, ``"{time}_{group}_{label}"``. The names in braces are label,
          group, sequence, time and individual; ``*`` is anything within one name, and ``**``
          any folders. Each name in braces is as short as it can be.
        - A regular expression with a named group ``(?P<label>...)``, and perhaps others of the
          names above. It is searched for in the path below `root`, which has ``/`` on every
          system.
        - None: the images have no labels, for example for `predict`.
    group : int or None, default=None
        Level of the folder that names the group, such as the site. None takes it from the
        pattern, if it has one.
    time : "exif" or None, default=None
        "exif" reads the time of each photograph from its file. This opens each file, without
        decoding the image.
    time_format : {"day_first", "month_first"}, str or None, default=None
        How dates in the pattern are read, see :func:`load_image_table`.

    Returns
    -------
    photos : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the following attributes.

        frame : DataFrame of shape (n_images, n_columns)
            One row per image: path, label, group, where known sequence, time and individual, and
            status. Paths are absolute, in alphabetical order.
        data : ndarray of shape (n_images,), dtype object
            The paths, for `fit` and `predict`.
        target : ndarray of shape (n_images,)
            The labels.
        target_names : ndarray of shape (n_classes,)
            The different labels, in alphabetical order.
        groups : ndarray of shape (n_images,) or None
            The groups, for `fit`, `cross_val_score` and others.
        report : Report
            What was found; it prints well. See :class:`Report`.
        DESCR : str
            What was loaded, and how.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If `root` is not there, or is a file.
    ValueError
        If no image is found, or nothing tells which folder is the class.

    See Also
    --------
    load_image_table : Labels from a CSV file.
    group_by_time : Bursts of photographs, from their times.

    Notes
    -----
    Hidden folders and files, and those that systems make (``.DS_Store``, ``Thumbs.db``,
    ``@eaDir``, ``__MACOSX``), are passed over. Images in `root` itself, videos, raw photographs
    and other files are not examples; the report counts them. Extensions may be upper or lower
    case.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from skcnn.datasets import load_image_folder
    >>> folder = tempfile.TemporaryDirectory()
    >>> for name in ["north/fox/1.jpg", "north/hare/2.JPG", "south/fox/1.jpg", "south/notes.txt"]:
    ...     path = Path(folder.name) / name
    ...     path.parent.mkdir(parents=True, exist_ok=True)
    ...     Image.new("RGB", (32, 24)).save(path, format="JPEG")
    >>> photos = load_image_folder(folder.name, label=1, group=0)
    >>> photos.target.tolist(), photos.groups.tolist()
    (['fox', 'hare', 'fox'], ['north', 'north', 'south'])
    >>> photos = load_image_folder(folder.name, label="{group}/{label}/*")
    >>> photos.target.tolist()
    ['fox', 'hare', 'fox']
    >>> folder.cleanup()
    """
    label, group = whole(label), whole(group)  # R sends 0.0 for 0
    base = existing(root, _CALLER)
    if not base.is_dir():
        raise NotADirectoryError(f"{_CALLER}: {base} is a file. Expected a folder.")
    _check(label, group, time)
    loaded = Loaded(pd.DataFrame(), "Images in class folders", base, [f"Folder: {base}"])
    names = _image_names(base, loaded)
    columns = _columns(names, label, group, base)
    matched = columns.pop("matched")
    rows = pd.DataFrame({"path": [os.path.join(base, name) for name in names], **columns})
    why = _why_left_out(names, label, group)
    if names and not matched.any():
        raise ValueError(
            f"{_CALLER} found no training example in {base}: its {len(names)} images {why}. The "
            f"first is {names[0]}. Expected a folder for each class, as in fox/1.jpg. If names of "
            "files have the label, pass a pattern such as label='{label}_*'; if a table has it, "
            "use load_image_table; for images without labels, pass label=None."
        )
    loaded.note("images", (~matched).sum(), why)
    rows = rows[matched].reset_index(drop=True)
    if time == "exif":
        rows["time"] = exif_times(rows["path"])
    if "time" in rows:
        rows["time"], unreadable = parse_times(
            rows["time"], where=f"The times in {base}", time_format=time_format
        )
        loaded.note("different texts", len(unreadable), f"are no times, such as {unreadable[:1]}")
    loaded.rows = rows
    keep = ("unclassified",) if label is None else ()
    return make_bunch(loaded, Rules(keep=keep), _CALLER)


def _check(label: object, group: object, time: object) -> None:
    """Check the parameters."""
    fine = label is None or isinstance(label, str) or _is_int(label)
    if not fine or (isinstance(label, str) and label != "folder" and not _is_pattern(label)):
        raise ValueError(
            f"The 'label' parameter of {_CALLER} must be 'folder', the level of a folder, a "
            "pattern with {label} or a regular expression with (?P<label>...), or None. "
            f"Got {label!r} instead."
        )
    if group is not None and not _is_int(group):
        raise ValueError(
            f"The 'group' parameter of {_CALLER} must be the level of a folder (0 is the first "
            f"below root), or None. Got {group!r} instead. A pattern in label= may have a "
            "{group}, too."
        )
    if time not in (None, "exif"):
        raise ValueError(
            f"The 'time' parameter of {_CALLER} must be 'exif' or None. Got {time!r} instead."
        )


def _is_int(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _is_pattern(label: str) -> bool:
    return "{label}" in label or "(?P<label>" in label


def _image_names(base: Path, loaded: Loaded) -> list[str]:
    """Return the images below `base`, as paths with ``/``, and count the other files."""
    names = []
    hidden, others = 0, Counter[str]()
    for folder, name in walk(base):
        relative = os.path.relpath(os.path.join(folder, name), base).replace(os.sep, "/")
        kind = media_type(name)
        if any(map(is_hidden, relative.split("/"))):
            hidden += 1
        elif kind == "image":
            names.append(relative)
        else:
            others[kind if kind in ("video", "raw") else "other"] += 1
    loaded.note("hidden or system files", hidden, "are passed over")
    for kind, (what, why) in OTHER_MEDIA.items():
        loaded.note(what, others[kind], why)
    return sorted(names)


def _columns(
    names: list[str], label: str | int | None, group: int | None, base: Path
) -> dict[str, _Names]:
    """Return label, group and so on of each image, and which images have them."""
    if isinstance(label, str) and label != "folder":
        columns = _by_pattern(names, label)
    else:
        level = _class_level(names, group, base) if isinstance(label, str) else label
        columns = {} if level is None else {"label": _level(names, int(level))}
        columns["matched"] = np.array(
            [level is None or label is not None for label in columns.get("label", names)],
            dtype=bool,
        )
    if group is not None:
        columns["group"] = _level(names, int(group))
        columns["matched"] &= np.array([name is not None for name in columns["group"]], dtype=bool)
    return columns


def _class_level(names: list[str], group: int | None, base: Path) -> int:
    """Return the level of the class folders, if only one can be meant."""
    depths = sorted({name.count("/") for name in names} - {0})
    if depths == [1] or not depths:
        _check_no_parts({name.split("/")[0] for name in names if "/" in name}, base)
        return 0
    if depths == [2] and group is not None and -2 <= group < 2:
        return 1 - group % 2
    levels = []
    for level in range(depths[-1]):
        found = sorted({name.split("/")[level] for name in names if name.count("/") > level})
        more = ", ..." if len(found) > 4 else ""
        levels.append(f"  label={level}: {', '.join(map(repr, found[:4]))}{more}")
    counted = " or ".join(map(str, depths))
    raise ValueError(
        f"{_CALLER}: images are {counted} folders below {base}, so that nothing tells which "
        "folder is the class. Pass label= as one of these levels, or label=-1 for the folder that "
        "contains the file:\n" + "\n".join(levels)
    )


def _check_no_parts(folders: set[str], base: Path) -> None:
    """Check that folders are not the parts of a data set, which no image shows."""
    if len(folders) > 1 and {name.lower() for name in folders} <= _PARTS:
        raise ValueError(
            f"{_CALLER}: the folders in {base} are {', '.join(map(repr, sorted(folders)))}, which "
            "are parts of a data set. Expected a folder for each class, as in fox/1.jpg. If names "
            "of files have the label, pass a pattern such as label='{group}/{label}_*'; if a "
            "table or a file of annotations has it, use the loader of its format. label=0 takes "
            "these names as labels all the same."
        )


def _level(names: list[str], level: int) -> _Names:
    """Return the name of a folder of each image, None where there is none at this level."""
    found = []
    for name in names:
        folders = name.split("/")[:-1]
        found.append(folders[level] if -len(folders) <= level < len(folders) else None)
    return np.array([*found, None], dtype=object)[:-1]


def _by_pattern(names: list[str], pattern: str) -> dict[str, _Names]:
    """Return what a pattern finds in each path, and which paths it matches."""
    if "(?P<label>" in pattern:
        try:
            regex = re.compile(pattern)
        except re.error as error:
            raise ValueError(
                f"The 'label' parameter of {_CALLER} is no regular expression: {pattern!r} "
                f"({error})."
            ) from error
        matches = [regex.search(name) for name in names]
    else:
        regex = re.compile(_as_regex(pattern) + r"(?:\.[^./]+)?")
        matches = [regex.fullmatch(name) for name in names]
    unknown = sorted(set(regex.groupindex) - set(_FIELDS))
    if unknown:
        raise ValueError(
            f"The 'label' parameter of {_CALLER} names {unknown[0]!r}. Expected names among "
            f"{', '.join(_FIELDS)}."
        )
    matched = np.array([match is not None for match in matches], dtype=bool)
    columns = {
        field: np.array([*(match and match[field] for match in matches), None], dtype=object)[:-1]
        for field in regex.groupindex
    }
    return {**columns, "matched": matched}


def _as_regex(pattern: str) -> str:
    """Return the regular expression that a pattern with braces and asterisks means."""
    parts = []
    for token in re.findall(r"\{\w*\}|\*\*/?|\*|[^{*]+|\{", pattern):
        if token.startswith("**"):
            parts.append("(?:.*/)?" if token == "**/" else ".*")
        elif token in ("*", "{}"):
            parts.append("[^/]*?")
        elif token.startswith("{") and token.endswith("}"):
            parts.append(f"(?P<{token[1:-1]}>[^/]+?)")
        else:
            parts.append(re.escape(token))
    return "".join(parts)


def _why_left_out(names: list[str], label: str | int | None, group: int | None) -> str:
    """Return why images have no label."""
    if isinstance(label, str) and label != "folder":
        return f"do not match the pattern {label!r}"
    why = "are in no class folder" if group is None else "are in no folder of label and group"
    n_levels = max((name.count("/") for name in names), default=0)
    for name, level in {"label": label, "group": group}.items():
        if n_levels and isinstance(level, int) and not -n_levels <= level < n_levels:
            levels = "only level is 0" if n_levels == 1 else f"levels are 0 to {n_levels - 1}"
            return f"{why} ({name}={level}, but the {levels})"
    return why
