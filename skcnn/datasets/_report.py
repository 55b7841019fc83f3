"""The report of a loader: what was found, what was left out, and what to look at."""

import html
import os
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from skcnn.datasets._scan import File, digests, near_sets, scan_files

# Files that are read for printing without being asked for: so few that it takes a moment.
_FEW_FILES = 1000
_FEW_BYTES = 2**26
# Lines of a section that are printed.
_LINES = 10
_COLUMNS = ["section", "item", "n", "groups", "detail"]


class Report:
    """What a loader has found: classes, files that are missing or damaged, duplicates.

    It prints as text, and as tables in a notebook. Classes, groups, missing files and what the
    rules have left out are known when a loader returns. Sizes, damage and duplicates need the
    files to be read. `scan` does that. Up to 1000 files of together at most 64 MB are also read
    when the report is first printed; loading alone reads no image.

    Attributes
    ----------
    title : str
        What was loaded.
    missing : DataFrame of shape (n_missing, n_columns)
        Examples whose files are not there: the columns of `frame`, and problem.
    notes : DataFrame of shape (n_notes, 3)
        What was left out or changed: what, how often (n), and a remark.
    files : DataFrame of shape (n_files, 6) or None
        Path, width, height, mode, n_bytes and problem ("" if none) of each file, after `scan`.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from skcnn.datasets import load_image_folder
    >>> files = {"fox/1.png": "red", "fox/2.png": "red", "hare/3.png": "gray"}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name, color in files.items():
    ...         (Path(folder) / name).parent.mkdir(exist_ok=True)
    ...         Image.new("RGB", (32, 24), color).save(Path(folder) / name)
    ...     photos = load_image_folder(folder)
    ...     print(photos.report.scan())
    Images in class folders
    3 examples from 3 files in ...: 2 classes
    <BLANKLINE>
    classes
      fox                        2
      hare                       1
    sizes
      32x24                      3
    modes
      RGB                        3
    exact duplicates
      fox/1.png                  2  same content: fox/2.png
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        missing: pd.DataFrame,
        notes: Sequence[tuple[str, int, str]],
        title: str,
    ) -> None:
        self.title = title
        self.missing = missing
        self.notes = pd.DataFrame(notes, columns=["what", "n", "remark"])
        self.files: pd.DataFrame | None = None
        self._frame = frame[["path", "label", "group"]]
        self._scanned: list[File] = []
        self._read: pd.DataFrame | None = None

    def scan(self, n_threads: int | None = None) -> "Report":
        """Read all files, once: sizes, modes, damage and duplicates are in the report then.

        This decodes every file, which takes about 20 ms per photograph of 12 megapixels and
        thread. Truncated files are found, which their headers do not tell.

        Parameters
        ----------
        n_threads : int or None, default=None
            Number of files that are read at the same time. None takes the number of cores, at
            most 8.

        Returns
        -------
        self : Report
            The report, to be printed.
        """
        if self.files is None:
            paths = list(dict.fromkeys(self._frame["path"]))
            self._scanned = scan_files(paths, n_threads)
            self.files = pd.DataFrame(self._scanned, columns=File._fields).drop(columns="hash")
            self._read = self._file_sections()
        return self

    def to_frame(self) -> pd.DataFrame:
        """Return the whole report as one table.

        Returns
        -------
        frame : DataFrame of shape (n_lines, 5)
            Section, item, n (how many examples or files), groups (in how many groups, for
            classes) and detail.
        """
        self._scan_if_few()
        parts = [self._classes(), self._left_out(), self._not_there()]
        if self._read is not None:
            parts.append(self._read)
        parts = [part for part in parts if len(part)]
        table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=_COLUMNS)
        return table.astype({"n": "int64", "groups": "Int64"})

    def __repr__(self) -> str:
        table = self._printable()
        width = max([12, *(len(item) for item in table["item"])])
        lines = [self.title, self._summary()]
        for section, part in table.groupby("section", sort=False):
            lines += ["", section] if len(lines) == 2 else [section]
            for _, item, n, groups, detail in part.head(_LINES).itertuples(index=False):
                line = f"  {item:<{width}} {n:>10,}"
                if not pd.isna(groups):
                    line += f"  in {groups:,} group{'' if groups == 1 else 's'}"
                lines.append(f"{line}  {detail}".rstrip())
            if len(part) > _LINES:
                lines.append(f"  ... {len(part) - _LINES} more in to_frame()")
        if self._read is None:
            lines.append("The files were not read: scan() finds damage and duplicates.")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        table = self._printable()
        rows = []
        for section, part in table.groupby("section", sort=False):
            rows.append(f'<tr><th colspan="4" style="text-align:left">{section}</th></tr>')
            for _, item, n, groups, detail in part.head(_LINES).itertuples(index=False):
                in_groups = "" if pd.isna(groups) else f"in {groups:,} groups"
                cells = (item, f"{n:,}", in_groups, detail)
                left = ' style="text-align:left"'
                rows.append(
                    "<tr>"
                    + "".join(
                        f"<td{left if i != 1 else ''}>{html.escape(str(cell))}</td>"
                        for i, cell in enumerate(cells)
                    )
                    + "</tr>"
                )
            if len(part) > _LINES:
                more = f"... {len(part) - _LINES} more in to_frame()"
                rows.append(f'<tr><td colspan="4" style="text-align:left">{more}</td></tr>')
        unread = (
            "<p>The files were not read: <code>scan()</code> finds damage and duplicates.</p>"
            if self._read is None
            else ""
        )
        return (
            f"<p><b>{html.escape(self.title)}</b><br>{self._summary()}</p>"
            f"<table>{''.join(rows)}</table>{unread}"
        )

    def _printable(self) -> pd.DataFrame:
        """Return the report with paths below the folder that all files share."""
        table = self.to_frame()
        folder = self._folder()
        texts = {name: [str(text) for text in table[name]] for name in ("item", "detail")}
        if folder:
            texts = {name: [t.replace(folder, "") for t in texts[name]] for name in texts}
        # Of a long path the end tells most, of a remark the beginning.
        table["item"] = [t if len(t) <= 60 else f"...{t[-57:]}" for t in texts["item"]]
        table["detail"] = [t if len(t) <= 120 else f"{t[:117]}..." for t in texts["detail"]]
        return table

    def _folder(self) -> str:
        """Return the folder that all files share, with a separator at the end, or ""."""
        try:
            folder = os.path.commonpath([os.path.dirname(path) for path in self._frame["path"]])
        except ValueError:  # no files, or on several drives
            return ""
        return os.path.join(folder, "") if len(folder) > 1 else ""

    def _summary(self) -> str:
        """Return the line with the numbers of examples, files, classes and groups."""
        frame = self._frame
        counts = [
            (len(frame), "example", "examples"),
            (frame["path"].nunique(), "file", "files"),
            (_labels(self._frame)["label"].nunique(), "class", "classes"),
            (frame["group"].nunique(), "group", "groups"),
        ]
        n, files, classes, groups = (f"{n:,} {one if n == 1 else many}" for n, one, many in counts)
        where = f" in {self._folder()}" if self._folder() else ""
        return f"{n} from {files}{where}: {classes}" + (f", {groups}" if counts[3][0] else "")

    def _classes(self) -> pd.DataFrame:
        labels = _labels(self._frame)
        grouped = labels["group"].notna().any()
        n_groups = labels.groupby("label", sort=False)["group"].nunique()
        lacking = _labels(self.missing)["label"].value_counts()
        counts = labels["label"].value_counts(sort=False).to_dict()
        counts.update({label: 0 for label in lacking.index if label not in counts})
        lines: list[tuple[object, ...]] = []
        for label, n in sorted(counts.items(), key=lambda item: -item[1]):
            n_here = n_groups.get(label, pd.NA) if grouped else pd.NA
            remarks = [self._warning(n_here) if not pd.isna(n_here) else ""]
            if label in lacking.index:
                remarks.append(f"{lacking[label]:,} more are not there")
            lines.append((label, n, n_here, "; ".join(filter(None, remarks))))
        unlabeled = int(labels["label"].isna().sum())
        if unlabeled:
            lines.append(("(no label)", unlabeled, pd.NA, ""))
        return _section("classes", lines)

    def _warning(self, n_groups: int) -> str:
        """Return what to say about a class that is in one of several groups only."""
        if n_groups == 1 and self._frame["group"].nunique() > 1:
            return "is never in training and test at once if groups are kept whole"
        return ""

    def _left_out(self) -> pd.DataFrame:
        lines = [(what, n, pd.NA, remark) for what, n, remark in self.notes.to_numpy()]
        return _section("left out or changed", lines)

    def _not_there(self) -> pd.DataFrame:
        counts = self.missing.groupby(["path", "problem"], sort=False).size()
        lines = [(path, n, pd.NA, problem) for (path, problem), n in counts.items()]
        return _section("listed files that are not there", lines)

    def _scan_if_few(self) -> None:
        """Read the files if this takes a moment."""
        paths = self._frame["path"].unique()
        if self._read is not None or len(paths) > _FEW_FILES:
            return
        n_bytes = sum(os.path.getsize(path) for path in paths if os.path.isfile(path))
        if n_bytes <= _FEW_BYTES:
            self.scan()

    def _file_sections(self) -> pd.DataFrame:
        """Return all that only the files tell."""
        readable = [file for file in self._scanned if not file.problem]
        sizes = pd.Series([f"{file.width}x{file.height}" for file in readable], dtype=object)
        modes = pd.Series([file.mode for file in readable], dtype=object)
        same = digests(self._scanned)
        parts = [
            _section("sizes", _counted(sizes)),
            _section("modes", _counted(modes)),
            _section(
                "unreadable files",
                [(file.path, 1, pd.NA, file.problem) for file in self._scanned if file.problem],
            ),
            *self._duplicates(list(same.values())),
            self._near_duplicates(readable, same),
        ]
        parts = [part for part in parts if len(part)]
        return pd.concat(parts, ignore_index=True) if parts else _section("sizes", [])

    def _duplicates(self, copies: list[list[str]]) -> list[pd.DataFrame]:
        by_path = self._frame.assign(label=self._frame["label"].map(str)).groupby("path")
        labels = by_path["label"].agg(lambda labels: tuple(sorted(set(labels))))
        groups = by_path["group"].first()
        alike, unlike = [], []
        for paths in copies:
            first, *others = paths
            apart = "in several groups; " if groups[paths].nunique() > 1 else ""
            alike.append((first, len(paths), pd.NA, f"{apart}same content: {_listed(others)}"))
            if len({labels[path] for path in paths}) > 1:
                told = [f"{', '.join(labels[path])}: {path}" for path in paths]
                unlike.append((first, len(paths), pd.NA, _listed(told)))
        return [
            _section("exact duplicates", alike),
            _section("duplicates with different labels", unlike),
        ]

    def _near_duplicates(self, files: list[File], same: dict[str, list[str]]) -> pd.DataFrame:
        """Return near duplicates whose groups differ, so that a split may separate them."""
        groups = self._frame.dropna(subset="group").groupby("path")["group"].first()
        copies = {path for paths in same.values() for path in paths[1:]}
        looks: dict[int, list[str]] = {}
        for file in files:
            if file.hash is not None and file.path in groups.index and file.path not in copies:
                looks.setdefault(file.hash, []).append(file.path)
        alike = list(looks.values())
        lines = []
        for codes in near_sets(np.array(list(looks), dtype=np.uint64)):
            first, *others = [path for code in codes for path in alike[code]]
            elsewhere = [path for path in others if groups[path] != groups[first]]
            if elsewhere:
                told = [f"{path} ({groups[path]})" for path in elsewhere]
                detail = f"({groups[first]}) like {_listed(told)}"
                lines.append((first, 1 + len(others), pd.NA, detail))
        return _section("near duplicates across groups", lines)


def _labels(frame: pd.DataFrame) -> pd.DataFrame:
    """Return label and group of each example, one row per label where it has several."""
    labels = frame[["label", "group"]]
    return labels.explode("label") if labels["label"].map(type).eq(tuple).any() else labels


def _section(name: str, lines: Sequence[tuple[object, ...]]) -> pd.DataFrame:
    return pd.DataFrame([(name, *line) for line in lines], columns=_COLUMNS).astype(object)


def _counted(values: pd.Series) -> list[tuple[object, ...]]:
    counts = values.value_counts(sort=False).sort_values(ascending=False, kind="stable")
    return [(value, n, pd.NA, "") for value, n in counts.items()]


def _listed(items: Iterable[str]) -> str:
    """Return some of the items, and how many more there are."""
    items = list(items)
    more = f" and {len(items) - 3} more" if len(items) > 3 else ""
    return ", ".join(items[:3]) + more
