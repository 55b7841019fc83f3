"""What loaders of exports read: one row per observation, and what is to be said about them."""

import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from skcnn._utils import BOX_COLUMNS

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

# Names that mean something here: the last are of observations alone, and not in `frame`.
RESERVED = (*COLUMNS, "image", "problem", "machine", "event_level")


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


def complete(rows: pd.DataFrame) -> pd.DataFrame:
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
