"""From the columns of any table to observations."""

import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from skcnn._utils import BOX_COLUMNS
from skcnn.datasets._boxes import to_fractions
from skcnn.datasets._observations import BLANK, LABELED, RESERVED, UNCLASSIFIED, UNKNOWN, Loaded
from skcnn.datasets._paths import FileFinder, join, media_type
from skcnn.datasets._scan import image_size
from skcnn.datasets._tables import as_numbers, as_texts, check_columns
from skcnn.datasets._times import join_texts, parse_times

# A column, or several whose texts are joined.
Names = str | int | Sequence[str | int]
# Where na_values are no value. A path or a number is never one of them.
_MAY_LACK = ("label", "group", "sequence", "time", "individual")
# Number of files whose headers are read to see whether they are turned, and how much sides that
# are exchanged may differ.
_N_CHECKED, _SAME_SHAPE = 100, 0.02
# Texts that R, Python and people write where there is no value; they may be names, too.
_LIKE_NOTHING = frozenset({"na", "n/a", "#n/a", "<na>", "nan", "none", "null", "nat", "-", "?"})


@dataclass(frozen=True)
class Columns:
    """Which columns of a table have what; None where none has."""

    path: Names = "path"
    label: Names | None = "label"
    group: Names | None = None
    sequence: Names | None = None
    time: Names | None = None
    individual: Names | None = None
    box: Sequence[str | int] | None = None
    image_size: Sequence[str | int] | None = None
    box_format: str | None = None
    box_unit: str | None = None
    time_format: str | None = None
    blank: Collection[str] = ()
    unknown: Collection[str] = ()
    na_values: Collection[str] = ()

    def overridden_by(self, chosen: "Columns") -> "Columns":
        """Return these columns, but those chosen by the user where these differ from defaults."""
        default = Columns()
        changed = {
            name: value for name, value in vars(chosen).items() if value != getattr(default, name)
        }
        return replace(self, **changed)

    def used(self) -> dict[str, list[str | int]]:
        """Return the names of the columns by parameter."""
        found: dict[str, list[str | int]] = {}
        for name in ("path", "label", "group", "sequence", "time", "individual"):
            found[name] = as_names(getattr(self, name))
        found["box"], found["image_size"] = list(self.box or ()), list(self.image_size or ())
        return found


def as_names(names: Names | None) -> list[str | int]:
    """Return one name or several as a list."""
    if names is None:
        return []
    return [names] if isinstance(names, str | int) else list(names)


def observe(
    table: pd.DataFrame,
    columns: Columns,
    finder: FileFinder,
    loaded: Loaded,
    where: str,
    *,
    candidates: Sequence[Sequence[str | None]] = (),
) -> pd.DataFrame:
    """Return one observation per row of a table.

    Parameters
    ----------
    candidates : sequence of sequences, default=()
        Paths to look for, one sequence per way to find the file, instead of `columns.path`.

    Returns
    -------
    rows : DataFrame of shape (n_rows, n_columns)
        Columns of `Loaded.rows`, then all columns of the table that were not used. Where these
        have the name of one of ours, "_in_table" is added to it.
    """
    used = columns.used()
    if candidates:
        used["path"] = []
    for parameter, names in used.items():
        check_columns(table, names, f"{parameter}=", where)
    paths = candidates or [joined_paths(table, used["path"])]
    found = finder.find_all(*paths)
    rows = pd.DataFrame({"path": found.paths, "problem": found.problems})
    rows["media"] = [media_type(name or "") for name in paths[0]]
    table = _without_na(table, used, columns.na_values)
    rows["label"], rows["status"] = _labels(table, used["label"], columns, where)
    for name, separator in (("group", "/"), ("sequence", "/"), ("individual", " ")):
        if used[name]:
            rows[name] = _joined(table, used[name], separator)
    _note_like_nothing("labels", rows.loc[rows["status"] == LABELED, "label"], loaded)
    if used["group"]:
        _note_like_nothing("groups", rows["group"], loaded)
    if used["time"]:
        texts = _joined(table, used["time"], " ") if len(used["time"]) > 1 else None
        times, unreadable = parse_times(
            texts if texts is not None else table[used["time"][0]],
            where=f"The column {used['time'][0]!r} of {where}",
            time_format=columns.time_format,
        )
        rows["time"] = times.to_numpy() if times.dt.tz is None else times.array
        note_times(loaded, unreadable)
    if used["box"]:
        rows[list(BOX_COLUMNS)] = _boxes(table, rows, used, columns, where)
    taken = {name for names in used.values() for name in names} | {""}
    rest = table[[name for name in table.columns if name not in taken]].reset_index(drop=True)
    rest = _renamed(rest.loc[:, ~rest.columns.duplicated()], {*RESERVED, *rows.columns}, loaded)
    return pd.concat([rows, rest], axis=1)


def _renamed(rest: pd.DataFrame, reserved: Collection[str], loaded: Loaded) -> pd.DataFrame:
    """Give columns that were not asked for other names than those that mean something here."""
    names = {name: f"{name}_in_table" for name in rest.columns if name in reserved}
    told = ", ".join(f"{name!r}: {new!r}" for name, new in names.items())
    loaded.note("columns of the table", len(names), f"have another name in frame: {told}")
    return rest.rename(columns=names)


def note_times(loaded: Loaded, unreadable: Sequence[str]) -> None:
    """Note texts that are no times."""
    if unreadable:
        shown = ", ".join(map(repr, unreadable[:3]))
        why = "are no times, lack a zone, or do not tell the day from the month"
        loaded.note("different texts", len(unreadable), f"{why}: {shown}")


def _without_na(
    table: pd.DataFrame, used: Mapping[str, Sequence[str | int]], na_values: Collection[str]
) -> pd.DataFrame:
    """Return the table with nothing where it has one of `na_values`, in columns that may lack."""
    if not na_values:
        return table
    table = table.copy()
    for name in {name: None for parameter in _MAY_LACK for name in used[parameter]}:
        values = table[name].astype(object)
        table[name] = values.where(~values.isin(list(na_values)), None)
    return table


def _note_like_nothing(what: str, values: pd.Series, loaded: Loaded) -> None:
    """Note names that look like a missing value: each is taken for a class or a site."""
    different = [text for text in values.dropna().unique() if isinstance(text, str)]
    found = sorted(text for text in different if text.lower() in _LIKE_NOTHING)
    if found:
        n = values.isin(found).sum()
        named = ", ".join(map(repr, found))
        loaded.note(
            f"{what} that look like a missing value",
            n,
            f"are names like others: {named}; na_values={found!r} takes them as missing",
        )


def joined_paths(table: pd.DataFrame, names: Sequence[str | int]) -> list[str | None]:
    """Return the paths in one column, or in several: folders and a file name."""
    parts = [as_texts(table[name]) for name in names]
    return [join(*row) or None if row[-1] else None for row in zip(*parts)]


def _joined(table: pd.DataFrame, names: Sequence[str | int], separator: str) -> pd.Series:
    """Return the texts of some columns; values of other types in one column stay as they are."""
    values = table[names[0]]
    if len(names) > 1 or any(isinstance(value, str) for value in values):
        return join_texts([table[name] for name in names], separator)
    return values.astype(object).where(values.notna(), None)


def _labels(
    table: pd.DataFrame, names: Sequence[str | int], columns: Columns, where: str
) -> tuple[pd.Series, npt.NDArray[np.object_]]:
    """Return the label of each row, and whether it is one."""
    n = len(table)
    if not names:
        return pd.Series([None] * n, dtype=object), np.full(n, UNCLASSIFIED, dtype=object)
    labels = _joined(table, names, " ")
    _check_no_json(labels, names[0], where)
    labels = labels.where(~labels.isin(list(columns.na_values)), None)
    status = np.where(labels.notna(), LABELED, UNCLASSIFIED).astype(object)
    status[labels.isin(list(columns.blank)).to_numpy(dtype=bool)] = BLANK
    status[labels.isin(list(columns.unknown)).to_numpy(dtype=bool)] = UNKNOWN
    return labels, status


def _check_no_json(labels: pd.Series, name: str | int, where: str) -> None:
    """Check that labels are no JSON, which some programs write into the cells of a table."""
    steps = ""
    for text in labels.dropna().unique():
        if not isinstance(text, str) or text[:1] not in ("{", "["):
            continue
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            continue
        while value and isinstance(value, dict | list):
            step = "0" if isinstance(value, list) else repr(_likely_key(value))
            steps += f"[{step}]"
            value = value[0] if isinstance(value, list) else value[_likely_key(value)]
        if not steps:
            continue  # an empty one does not tell where the name is
        shown = text if len(text) <= 80 else f"{text[:77]}..."
        raise ValueError(
            f"{where}: the column {name!r} has JSON in its cells, such as {shown!r}. Expected "
            "names of classes. Read the table with pandas, make a column of the names, and pass "
            f"the DataFrame: table['name'] = [json.loads(text){steps} for text in "
            f"table[{name!r}]], then label='name'. Tables of VIA, and what Label Studio exports "
            "as JSON, are read by load_annotations."
        )


def _likely_key(value: Mapping[str, object]) -> str:
    """Return the key under which programs write what somebody has chosen, else the first."""
    return next((key for key in ("value", "choices", "choice") if key in value), next(iter(value)))


def _boxes(
    table: pd.DataFrame,
    rows: pd.DataFrame,
    used: Mapping[str, Sequence[str | int]],
    columns: Columns,
    where: str,
) -> npt.NDArray[np.float64]:
    """Return the boxes of the rows as fractions."""
    numbers = [as_numbers(table[name], f"{where}: the column {name!r}") for name in used["box"]]
    sizes = None
    if columns.box_unit == "pixel" and used["image_size"]:
        names = used["image_size"]
        pairs = [as_numbers(table[name], f"{where}: the column {name!r}") for name in names]
        sizes = np.column_stack(pairs)
    elif columns.box_unit == "pixel":
        sizes = sizes_of_files(rows["path"].where(~np.isnan(numbers[0]), ""))
    return to_fractions(
        np.column_stack(numbers),
        box_format=str(columns.box_format),
        box_unit=str(columns.box_unit),
        sizes=sizes,
        where=where,
    )


def sizes_of_files(paths: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return width and height of each image, from its header; NaN where it is not there."""
    known: dict[str, tuple[float, float]] = {}
    for path in dict.fromkeys(paths):
        there = bool(path) and os.path.isfile(path)
        known[path] = image_size(path) if there else (np.nan, np.nan)
    return np.array([known[path] for path in paths], dtype=np.float64).reshape(-1, 2)


def check_sizes(
    paths: npt.NDArray[np.object_], sizes: npt.NDArray[np.float64], where: str
) -> None:
    """Check that boxes were drawn in the photographs as they are here, and as they are shown.

    A camera that is held upright writes an image that lies on its side, and how to turn it. Some
    tools do not turn it: then the sides in their file are exchanged. Other proportions are those
    of another image, or of one that was cut since. Headers of some files are read, not of all.
    """
    known = np.flatnonzero((sizes > 0).all(axis=1))
    first = known[np.unique(paths[known].astype(str), return_index=True)[1]]
    for i in first[:: max(1, len(first) // _N_CHECKED)]:
        try:
            shown = image_size(paths[i])
        except (ValueError, OSError, ImportError):
            continue  # a file that is not there, or is damaged; others tell
        width, height = sizes[i]
        upright = (width > height and shown[0] < shown[1]) or (
            width < height and shown[0] > shown[1]
        )
        if upright and _are_alike((height, width), shown):
            raise ValueError(
                f"{where}: {paths[i]} is {width:g}x{height:g} there, and {shown[0]}x{shown[1]} "
                "when it is turned as the camera was held. Its boxes were drawn before it was "
                "turned, and are elsewhere now. Remove the orientation from copies of the files "
                "(exiftool -Orientation= *.jpg), or export again with a tool that turns them. "
                "boxes=False uses whole images."
            )
        if not _are_alike((width, height), shown):
            raise ValueError(
                f"{where}: {paths[i]} is {width:g}x{height:g} there, and {shown[0]}x{shown[1]} "
                "here: it was cut, padded or stretched since its boxes were drawn, or is another "
                "image of that name. Expected the same proportions. Pass root= with the folder of "
                "the images that were annotated. boxes=False uses whole images."
            )


def _are_alike(one: Sequence[float], other: Sequence[float]) -> bool:
    """Return whether two sizes have nearly the same proportions."""
    # Small sizes are rounded by more than that.
    rounding = 1 / min(*one, *other)
    return abs(one[0] / one[1] * other[1] / other[0] - 1) < max(_SAME_SHAPE, rounding)


def finder_for(root: str | os.PathLike[str] | None, default: Path) -> FileFinder:
    """Return the finder of files below `root`, or below the folder of the table."""
    if root is None:
        return FileFinder(default, chosen=False)
    folder = Path(os.path.abspath(Path(root).expanduser()))
    if not folder.is_dir():
        raise FileNotFoundError(f"The 'root' parameter is {str(root)!r}, which is no folder.")
    return FileFinder(folder, chosen=True)
