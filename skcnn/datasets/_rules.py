"""From observations to training examples: the rules that all loaders share.

A loader reads its format into one row per observation (a label of an image, perhaps with a box).
What becomes a training example is decided here, in the same way for every format, and counted.
"""

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.utils import Bunch

from skcnn._utils import BOX_COLUMNS, StrOptions, check_values
from skcnn.datasets._paths import OTHER_MEDIA
from skcnn.datasets._report import Report

SeveralLabels = Literal["drop", "first", "multilabel", "rows"]
Missing = Literal["raise", "report"]

LABELED = "labeled"
BLANK = "blank"  # somebody looked, and there is nothing
UNKNOWN = "unknown"  # somebody looked, and could not tell
UNCLASSIFIED = "unclassified"  # nobody has looked
FAILED = "failed"  # a program could not read the file
STATUSES = (BLANK, UNKNOWN, UNCLASSIFIED, FAILED)

# Columns of `frame` in this order. Those after "group" are there where they are known.
COLUMNS = (
    "path",
    "label",
    "group",
    "sequence",
    "time",
    "status",
    *BOX_COLUMNS,
    "individual",
    "count",
    "probability",
)

# Roboflow names each changed copy of fox.jpg fox_jpg.rf.<hash>.jpg.
_COPY = re.compile(r"(?<=_jpg|_png|_bmp|jpeg|tiff|webp)\.rf\.[0-9A-Za-z]+\.\w+$", re.IGNORECASE)

CONSTRAINTS: dict[str, list[object]] = {
    "several_labels": [StrOptions({"drop", "first", "multilabel", "rows"})],
    "machine_labels": ["boolean"],
    "event_labels": ["boolean"],
    "boxes": ["boolean"],
    "keep": ["array-like", str, None],
    "missing": [StrOptions({"raise", "report"})],
}


@dataclass(frozen=True)
class Rules:
    """Choices about labels, the same for all loaders."""

    several_labels: str = "drop"
    machine_labels: bool = False
    event_labels: bool = False
    boxes: bool = True
    keep: Collection[str] = (BLANK,)
    missing: str = "raise"

    def check(self, caller: str) -> "Rules":
        """Check the parameters, as those of the function `caller`."""
        values = {name: getattr(self, name) for name in CONSTRAINTS}
        check_values(caller, CONSTRAINTS, values)
        keep = [self.keep] if isinstance(self.keep, str) else list(self.keep)
        wrong = [name for name in keep if name not in STATUSES]
        if wrong:
            raise ValueError(
                f"The 'keep' parameter of {caller} contains {wrong[0]!r}. Expected a list of "
                f"some of {', '.join(map(repr, STATUSES))}."
            )
        if self.several_labels == "multilabel" and {UNCLASSIFIED, FAILED} & set(keep):
            raise ValueError(
                f"The 'keep' parameter of {caller} is {keep}, which keeps images without a label. "
                "These have no row of zeros and ones. Leave out 'unclassified' and 'failed', or "
                "choose another several_labels=."
            )
        return self

    @property
    def kept(self) -> set[str]:
        """What becomes an example."""
        return {LABELED, *([self.keep] if isinstance(self.keep, str) else self.keep)}


@dataclass
class Loaded:
    """What a loader has read: its observations, and what is to be said about them.

    Attributes
    ----------
    rows : DataFrame
        One row per observation: `image` (which rows belong together), `path` and `problem` (as
        of FileFinder), `label`, `status`, `machine`, `event_level`, and further columns.
    title : str
        First line of the description.
    details : list of str
        Further sentences of the description.
    source : Path or None
        The file that was read; None for a table in memory.
    notes : list of (what, number, why)
        What was left out, for the report.
    """

    rows: pd.DataFrame
    title: str
    source: Path | None
    details: list[str] = field(default_factory=list)
    notes: list[tuple[str, int, str]] = field(default_factory=list)

    def note(self, what: str, n: int | np.integer, why: str = "") -> None:
        """Note for the report that something was left out or changed, where n is not 0."""
        if n:
            self.notes.append((what, int(n), why))


def make_bunch(loaded: Loaded, rules: Rules, caller: str) -> Bunch:
    """Apply the rules, and return what a loader returns."""
    rows = _complete(loaded.rows)
    rows = _without_other_media(rows, loaded)
    rows = _demoted(rows, rules, loaded)
    rows = _best_of_each_image(rows, loaded)
    rows = _boxes(rows, rules, loaded)
    rows = _one_label(rows, rules, loaded)
    _check_any_left(rows, loaded, caller)
    _note_similar_labels(rows, loaded)
    rows = _with_groups(rows, loaded)
    there = (rows["problem"] == "").to_numpy()
    if not there.all() and rules.missing == "raise":
        raise FileNotFoundError(_missing_message(rows[~there], len(rows), loaded, caller))
    return _bunch(rows, there, loaded, rules)


def _complete(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the observations with all columns that the rules use."""
    rows = rows.reset_index(drop=True).copy()
    defaults = {
        "problem": "",
        "label": None,
        "machine": False,
        "event_level": False,
        "group": None,
        **dict.fromkeys(BOX_COLUMNS, np.nan),
    }
    for name, value in defaults.items():
        if name not in rows:
            rows[name] = pd.Series([value] * len(rows), dtype=np.asarray(value).dtype)
    rows["label"] = rows["label"].astype(object).where(rows["label"].notna(), None)
    for name in ("label", "group", "sequence", "individual"):
        if name in rows and pd.api.types.is_string_dtype(rows[name].dtype):
            rows[name] = _composed(rows[name])
    if "status" not in rows:
        rows["status"] = np.where(rows["label"].notna(), LABELED, UNCLASSIFIED)
    rows["status"] = rows["status"].astype(object)
    if "image" not in rows:
        rows["image"] = rows["path"]
    return rows


def _composed(values: pd.Series) -> pd.Series:
    """Return texts with accents written in one way: macOS splits them off in names of files."""
    codes, different = pd.factorize(values.to_numpy(), use_na_sentinel=True)
    texts = np.empty(len(different) + 1, dtype=object)
    texts[-1] = None
    for i, value in enumerate(different):
        texts[i] = unicodedata.normalize("NFC", value) if isinstance(value, str) else value
    return pd.Series(texts[codes], index=values.index, dtype=object)


def _note_similar_labels(rows: pd.DataFrame, loaded: Loaded) -> None:
    """Note labels that are probably one class, and written in several ways."""
    ways: dict[str, list[str]] = {}
    for label in rows["label"].explode().dropna().unique():
        if isinstance(label, str):
            ways.setdefault(re.sub(r"[\s_]+", " ", label).strip().casefold(), []).append(label)
    for several in ways.values():
        if len(several) > 1:
            shown = ", ".join(map(repr, sorted(several)))
            loaded.note(
                "labels that look alike", len(several), f"are classes of their own: {shown}"
            )


def _without_other_media(rows: pd.DataFrame, loaded: Loaded) -> pd.DataFrame:
    """Leave out videos, sounds and raw photographs."""
    if "media" not in rows:
        return rows
    for kind, (what, why) in OTHER_MEDIA.items():
        loaded.note(what, rows.loc[rows["media"] == kind, "image"].nunique(), why)
    return rows[rows["media"].isin({"image", ""})].drop(columns="media")


def _demoted(rows: pd.DataFrame, rules: Rules, loaded: Loaded) -> pd.DataFrame:
    """Take away labels by a machine and labels of whole events, unless asked for."""
    told = rows["status"].isin({LABELED, BLANK, UNKNOWN})
    machine = (told & rows["machine"]).to_numpy()
    event = (told & rows["event_level"]).to_numpy() & ~machine
    if not rules.machine_labels:
        loaded.note("labels by a machine", machine.sum(), "machine_labels=True uses them")
    if not rules.event_labels:
        loaded.note("labels of whole events", event.sum(), "event_labels=True uses them")
    off = (machine & (not rules.machine_labels)) | (event & (not rules.event_labels))
    rows.loc[off, "label"] = None
    rows.loc[off, "status"] = UNCLASSIFIED
    for name in ("individual", "count", "probability"):
        if name in rows:
            rows.loc[off, name] = None if rows[name].dtype == object else np.nan
    return rows


def _best_of_each_image(rows: pd.DataFrame, loaded: Loaded) -> pd.DataFrame:
    """Let labels of the frame go before those of its event, and a human's before a machine's.

    An image that somebody has looked at is not unclassified.
    """
    told = rows["status"].isin({LABELED, BLANK, UNKNOWN})
    quality = 4 * told + 2 * (told & ~rows["event_level"]) + (told & ~rows["machine"])
    best = quality.groupby(rows["image"], sort=False).transform("max")
    # Boxes whose labels were taken away are counted already.
    mute = (rows["status"] == UNCLASSIFIED) & ~rows["machine"] & ~rows["event_level"]
    mute &= rows["box_x"].notna() & (quality < best)
    loaded.note("boxes without a label", mute.sum(), "are in images with labels")
    return rows[quality == best]


def _boxes(rows: pd.DataFrame, rules: Rules, loaded: Loaded) -> pd.DataFrame:
    """Keep boxes, and then no whole image beside its parts; or forget the boxes."""
    if not rules.boxes:
        return rows.drop(columns=[*BOX_COLUMNS, "detection_confidence"], errors="ignore").assign(
            **dict.fromkeys(BOX_COLUMNS, np.nan)
        )
    has_box = rows["box_x"].notna()
    empty = has_box & ~((rows["box_width"] > 0) & (rows["box_height"] > 0))
    loaded.note("boxes", empty.sum(), "are outside of their images, or have no area")
    rows, has_box = rows[~empty], has_box[~empty]
    parted = has_box.groupby(rows["image"], sort=False).transform("any")
    whole = parted & ~has_box & rows["status"].ne(UNCLASSIFIED)
    loaded.note("labels without a box", whole.sum(), "of images that have boxes")
    return rows[has_box | ~parted]


def _one_label(rows: pd.DataFrame, rules: Rules, loaded: Loaded) -> pd.DataFrame:
    """Return one row per example, by the rule for several labels."""
    rows = rows.copy()
    for status in (BLANK, UNKNOWN):
        rows.loc[rows["status"] == status, "label"] = status
    unit = _units(rows)
    # Several animals of a species are one label.
    if "count" in rows:
        rows["count"] = rows.groupby([unit, rows["label"]], dropna=False, sort=False)[
            "count"
        ].transform(lambda counts: counts.sum(min_count=1))
    first_of_label = ~pd.DataFrame({"unit": unit, "label": rows["label"]}).duplicated()
    again = ~first_of_label & rows["label"].notna()
    loaded.note("repeated labels", again.sum(), "the image or box has the label already")
    rows, unit = rows[first_of_label], unit[first_of_label]
    n_labels = rows["label"].notna().groupby(unit).transform("sum")
    several = n_labels > 1
    n_several = unit[several].nunique()
    kept = rows["status"].isin(rules.kept)
    for status in STATUSES:
        n = (~kept & ~several & (rows["status"] == status)).sum()
        loaded.note(_PLURALS[status], n, f"keep=[{status!r}] keeps them")
    if rules.several_labels == "drop":
        loaded.note("images or boxes with several labels", n_several, "see several_labels=")
        return rows[kept & ~several]
    rows, unit = rows[kept], unit[kept]
    if rules.several_labels == "rows":
        return rows
    if rules.several_labels == "first":
        loaded.note("images or boxes with several labels", n_several, "have their first label")
        return rows[~unit.duplicated()]
    named = rows["label"].where(rows["status"] != BLANK)
    sets = named.groupby(unit, sort=False).agg(lambda labels: tuple(labels.dropna()))
    rows = rows[~unit.duplicated()].copy()
    rows["label"] = pd.Series(sets.to_numpy(), index=rows.index, dtype=object)
    rows["status"] = [LABELED if labels else BLANK for labels in rows["label"]]
    return rows


_PLURALS = {
    BLANK: "blank images",
    UNKNOWN: "images of something unknown",
    UNCLASSIFIED: "images or boxes without a label",
    FAILED: "images that a program could not read",
}


def _units(rows: pd.DataFrame) -> pd.Series:
    """Number what may have one label: an image, or a box in it."""
    keys = rows[["image", *BOX_COLUMNS]].copy()
    keys[list(BOX_COLUMNS)] = keys[list(BOX_COLUMNS)].fillna(-1.0)
    return keys.groupby(list(keys.columns), sort=False, dropna=False).ngroup()


def _check_any_left(rows: pd.DataFrame, loaded: Loaded, caller: str) -> None:
    """Check that there is an example, or say why there is none."""
    if len(rows):
        return
    reasons = [f"{n} {what} ({why})" for what, n, why in loaded.notes]
    listed = loaded.rows.drop_duplicates("path") if len(loaded.rows) else loaded.rows
    lacking = listed[listed["problem"] != ""] if "problem" in listed else listed[:0]
    if len(lacking):
        first = f"{lacking['path'].iloc[0]} {lacking['problem'].iloc[0]}"
        reasons.append(f"of {len(listed)} listed files, {len(lacking)} are not there ({first})")
    where = "" if loaded.source is None else f" in {loaded.source}"
    raise ValueError(
        f"{caller} found no training example{where}. Left out: "
        f"{'; '.join(reasons) or 'nothing, it is empty'}."
    )


def _with_groups(rows: pd.DataFrame, loaded: Loaded) -> pd.DataFrame:
    """Make the image the group where there is no other, and it gives several examples."""
    if rows["group"].isna().all():
        photographs = pd.Series([_COPY.sub("", path) for path in rows["path"]], index=rows.index)
        n_copies = rows["path"].nunique() - photographs.nunique()
        loaded.note(
            "changed copies of photographs", n_copies, "the group is the photograph (of Roboflow)"
        )
        if photographs.duplicated().any():
            loaded.details.append(
                "No site is known, and some images give several examples: the group is the image."
            )
            rows = rows.assign(group=photographs)
        return rows
    why = "have None in groups: leave them out where groups are kept whole"
    loaded.note("examples without a group", rows["group"].isna().sum(), why)
    return rows


def _missing_message(missing: pd.DataFrame, n_rows: int, loaded: Loaded, caller: str) -> str:
    """Return the message that names the first files that are not there."""
    files = missing.drop_duplicates("path")
    listed = "\n".join(
        f"  {path}: {why}" for path, why in files[["path", "problem"]].to_numpy()[:10]
    )
    more = f"\n  ... and {len(files) - 10} more" if len(files) > 10 else ""
    return (
        f"{caller}: {len(files)} files listed in {loaded.source or 'the table'} are not there "
        f"({len(missing)} of {n_rows} examples):\n{listed}{more}\nPass root= to say in which "
        "folder they are, or missing='report' to leave them out; report.missing then lists them."
    )


def _bunch(
    rows: pd.DataFrame, there: npt.NDArray[np.bool_], loaded: Loaded, rules: Rules
) -> Bunch:
    """Put together frame, data, target, groups, report and description."""
    if rows["box_x"].notna().any():
        for name, whole in zip(BOX_COLUMNS, (0.0, 0.0, 1.0, 1.0)):
            rows[name] = rows[name].astype(float).fillna(whole)
    hidden = {"image", "problem", "machine", "event_level"}
    others = [name for name in rows.columns if name not in hidden.union(COLUMNS)]
    always = {"path", "label", "group", "status"}
    known = [
        name
        for name in (*COLUMNS, *others)
        if name in always or (name in rows and rows[name].notna().any())
    ]
    missing = rows.loc[~there, [*known, "problem"]].reset_index(drop=True)
    frame = rows.loc[there, known].reset_index(drop=True)
    target, names = _target(frame["label"], rules)
    boxed = "box_x" in frame
    path = frame["path"].to_numpy(dtype=object)
    return Bunch(
        frame=frame,
        data=frame[["path", *BOX_COLUMNS]].copy() if boxed else path,
        target=target,
        target_names=names,
        groups=None if frame["group"].isna().all() else _as_array(frame["group"]),
        report=Report(frame, missing, loaded.notes, loaded.title),
        DESCR=_description(loaded, frame, rules),
    )


def _target(
    labels: pd.Series, rules: Rules
) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.generic]]:
    """Return y and the names of the classes."""
    if rules.several_labels != "multilabel":
        return _as_array(labels), _as_array(pd.Series(sorted(set(labels.dropna()), key=_sort_key)))
    names = sorted({name for several in labels for name in several}, key=_sort_key)
    column = {name: i for i, name in enumerate(names)}
    indicator = np.zeros((len(labels), len(names)), dtype=np.int64)
    for row, several in enumerate(labels):
        indicator[row, [column[name] for name in several]] = 1
    return indicator, _as_array(pd.Series(names, dtype=object))


def _sort_key(label: object) -> tuple[str, object]:
    return (type(label).__name__, label)


def _as_array(values: pd.Series) -> npt.NDArray[np.generic]:
    """Return an array of the values' own type, or of objects where some are missing (None)."""
    items = values.astype(object).where(values.notna(), None).tolist()
    if len({type(item) for item in items}) == 1 and items[0] is not None:
        return np.array(items)
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def _description(loaded: Loaded, frame: pd.DataFrame, rules: Rules) -> str:
    """Return the text of DESCR."""
    lines = [loaded.title, "=" * len(loaded.title), "", *loaded.details, ""]
    lines.append(f"`frame` has {len(frame)} rows, one per training example, with the columns")
    lines.append(", ".join(map(str, frame.columns)) + ".")
    lines.append("")
    lines.append(
        "Rules: "
        + ", ".join(f"{name}={getattr(rules, name)!r}" for name in CONSTRAINTS)
        + ". `report` counts what they have left out."
    )
    return "\n".join(lines)
