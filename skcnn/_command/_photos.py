"""Photographs of a command, and the list of those that a network was trained on."""

import csv
import io
import os
import re
from argparse import Namespace
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.utils import Bunch

from skcnn._command._outputs import count
from skcnn._storage._replacing import replacing
from skcnn.datasets import load_image_folder, load_image_table

TRAINING, HELD_OUT = "training", "held out"
_NA = "NA"
_LIST_COLUMNS = ("path", "bytes", "label", "group", "part")

# A photograph is known by its path in the folder and its size: the folder may have moved, and two
# folders may have files of the same names.
Key = tuple[str, int]


@dataclass(frozen=True)
class Photos:
    """Photographs in a folder.

    Attributes
    ----------
    folder : Path
    data : ndarray or DataFrame
        What goes into an estimator.
    frame : DataFrame
        Path and what else is known of each.
    labels : ndarray of shape (n,)
    groups : ndarray of shape (n,) or None
    left_out : list of str
        What was found and is no photograph with a label.
    """

    folder: Path
    data: Any
    frame: pd.DataFrame
    labels: npt.NDArray[Any]
    groups: npt.NDArray[Any] | None
    left_out: list[str]

    def __len__(self) -> int:
        return len(self.frame)

    def take(self, rows: npt.NDArray[np.intp]) -> "Photos":
        """Return some of the photographs."""
        data = self.data.iloc[rows] if isinstance(self.data, pd.DataFrame) else self.data[rows]
        groups = None if self.groups is None else self.groups[rows]
        frame = self.frame.iloc[rows].reset_index(drop=True)
        return Photos(self.folder, data, frame, self.labels[rows], groups, self.left_out)

    @property
    def names(self) -> list[str]:
        """Return paths in the folder, with ``/``, as they can be written to a file."""
        names = [os.path.relpath(p, self.folder).replace(os.sep, "/") for p in self.frame["path"]]
        return [_printable(name) for name in names]

    @property
    def keys(self) -> list[Key]:
        """Return what each photograph is known by."""
        sizes = [os.path.getsize(p) if os.path.isfile(p) else 0 for p in self.frame["path"]]
        return list(zip(self.names, sizes))

    def describe(self) -> str:
        """Say how many there are, of which classes."""
        names, counts = np.unique(self.labels.astype(str), return_counts=True)
        shown = ", ".join(f"{name} {n:,}" for name, n in zip(names[:12], counts))
        more = ", ..." if len(names) > 12 else ""
        n_sites = 0 if self.groups is None else len(np.unique(self.groups))
        sites = f" at {count(n_sites, 'site')}" if n_sites else ""
        return (
            f"{count(len(self), 'photograph')} of {count(len(names), 'class')}{sites} in "
            f"{self.folder}: {shown}{more}"
        )


def read_photos(options: Namespace, *, labeled: bool = True) -> Photos:
    """Find the photographs that the options name.

    Raises
    ------
    OSError, ValueError
        If there is no such folder or table, or no photograph in it.
    """
    if not options.folder:
        raise ValueError(
            "FOLDER is empty, as a variable of the shell is that has no value. Name it."
        )
    folder = Path(os.path.abspath(Path(options.folder).expanduser()))
    if not folder.exists():
        raise FileNotFoundError(f"There is no folder {options.folder}.")
    if not folder.is_dir():
        raise NotADirectoryError(f"{options.folder} is a file. Expected a folder of photographs.")
    if not labeled:
        return _as_photos(folder, load_image_folder(folder, label=None))
    if options.table is None:
        if options.path is not None:
            raise ValueError("--path names a column of a table. Give the table, too: --table.")
        label = "folder" if options.label is None else _level(options.label)
        is_pattern = "{label}" in str(label) or "(?P<label>" in str(label)
        if isinstance(label, str) and label != "folder" and not is_pattern:
            raise ValueError(
                f"--label {label} is no number of a subfolder: 0 is the first below FOLDER, -1 "
                'the one with the photographs. Or give a pattern: --label "{group}/{label}/*". '
                "For a column of a table, name the table, too: --table."
            )
        group = None if options.groups is None else _level(options.groups)
        if isinstance(group, str):
            raise ValueError(
                f"--groups {group} is no number of a subfolder: 0 is the first below FOLDER. Or "
                'name both in --label: --label "{group}/{label}/*". For a column of a table, name '
                "the table, too: --table."
            )
        return _as_photos(folder, load_image_folder(folder, label=label, group=group))
    table = Path(options.table).expanduser()
    if table.is_dir():
        raise IsADirectoryError(f"--table {options.table} is a folder. Expected a file.")
    if not table.exists():
        raise FileNotFoundError(f"There is no table {options.table}.")
    loaded = load_image_table(
        options.table,
        path=options.path or "path",
        label=options.label or "label",
        group=options.groups,
        root=folder,
        missing="report",
        # As R writes a missing value. Networks learn no class of this name.
        na_values=_NA,
    )
    photos = _as_photos(folder, loaded)
    return photos if options.groups is None else _with_groups(photos, options.groups)


def _with_groups(photos: Photos, column: str) -> Photos:
    """Leave out photographs whose site is not known: it may be one that is held out."""
    if photos.groups is None:
        raise ValueError(
            f"--groups names the column {column}, which is empty. Name another one, or leave out "
            "--groups."
        )
    known = pd.notna(photos.groups)
    if known.all():
        return photos
    listed = count(int((~known).sum()), "photograph")
    note = f"Not used: {listed} without a site, whose cell in the column {column} is empty."
    return replace(photos.take(np.flatnonzero(known)), left_out=[*photos.left_out, note])


def _level(text: str) -> int | str:
    """Return the number of a folder, or a pattern."""
    return int(text) if text.removeprefix("-").isdecimal() else text


def _as_photos(folder: Path, loaded: Bunch) -> Photos:
    notes = loaded.report.notes.itertuples(index=False, name=None)
    left_out = [text for note in notes if (text := _as_sentence(*note))]
    missing = loaded.report.missing["path"].unique()
    if len(missing):
        named = f"such as {os.path.relpath(missing[0], folder)}"
        if not len(loaded.data):
            raise ValueError(
                f"None of the files in the table is in {folder}, {named}. Expected names relative "
                "to FOLDER."
            )
        listed = count(len(missing), "file")
        left_out.append(f"Not used: {listed} of the table not found, {named}.")
    labels = np.asarray(loaded.target, dtype=object)
    for label in np.unique(labels[pd.notna(labels)].astype(str)).tolist():
        if _printable(label) != label:
            raise ValueError(
                f"The name of the class {label!a} is not in UTF-8, so that it cannot be written. "
                "Rename its folder (convmv does it)."
            )
    return Photos(folder, loaded.data, loaded.frame, labels, loaded.groups, left_out)


def _printable(name: str) -> str:
    """Return a name as Unicode: Linux has names that are none, from old archives."""
    return name.encode("utf-8", "backslashreplace").decode()


def _as_sentence(what: str, n: int, remark: str) -> str:
    """Return a note of a loader without what Python needs; nothing if it is said elsewhere."""
    if what == "examples without a group":
        return ""
    if what.endswith("that look like a missing value"):
        named = remark.removeprefix("are names like others: ").split(";")[0]
        return (
            f"Used like other names: {what} ({n:,}), {named}. If nothing is known there, make "
            "these cells of the table empty."
        )
    if what == "labels that look alike":
        return f"Labels that look alike {remark}."
    # What one could set in Python is no option here.
    remark = re.sub(r"\b(?:keep|several_labels)=.*", "", remark).removesuffix("see ")
    if remark.startswith(("are ", "have ")):
        return f"Not used: {what} ({n:,}), which {remark}."
    return f"Not used: {what} ({n:,}){': ' if remark else ''}{remark}."


def list_path(model: Path) -> Path:
    """Return the file beside a model that lists its photographs."""
    return model.with_name(f"{model.name}.images.csv")


def write_list(path: Path, photos: Photos, parts: npt.NDArray[np.object_]) -> None:
    """Write which photographs a network was trained on, and which were held out."""
    text = io.StringIO(newline="")
    lines = csv.writer(text)
    lines.writerow(_LIST_COLUMNS)
    groups = [""] * len(photos) if photos.groups is None else photos.groups
    for (name, size), label, group, part in zip(photos.keys, photos.labels, groups, parts):
        lines.writerow([name, size, label, group, part])
    with replacing(path) as file:
        file.write(text.getvalue().encode())


def read_training_keys(model: Path) -> set[Key] | None:
    """Return the photographs that a network was trained on; None where there is no list.

    Raises
    ------
    ValueError
        If the list is no such list.
    """
    path = list_path(model)
    if not path.is_file():
        return None
    with path.open(encoding="utf-8", newline="") as file:
        lines = csv.DictReader(file)
        if not {"path", "bytes", "part"} <= set(lines.fieldnames or ()):
            raise ValueError(
                f"{path} is not the list of photographs that skcnn train writes beside a model. "
                "Train again, or move it away."
            )
        return {(line["path"], int(line["bytes"])) for line in lines if line["part"] == TRAINING}
