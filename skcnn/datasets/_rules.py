"""Which observations become training examples: the rules that all loaders share.

What they leave out is counted.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from skcnn._utils import BOX_COLUMNS, StrOptions, check_values
from skcnn.datasets._observations import (
    BLANK,
    FAILED,
    LABELED,
    STATUSES,
    UNCLASSIFIED,
    UNKNOWN,
    Loaded,
    complete,
)
from skcnn.datasets._paths import OTHER_MEDIA

SeveralLabels = Literal["drop", "first", "multilabel", "rows"]
Missing = Literal["raise", "report"]

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


def apply_rules(loaded: Loaded, rules: Rules, caller: str) -> pd.DataFrame:
    """Return one row per example, and note in `loaded` what was left out."""
    rows = complete(loaded.rows)
    rows = _without_other_media(rows, loaded)
    rows = _demoted(rows, rules, loaded)
    rows = _best_of_each_image(rows, loaded)
    rows = _boxes(rows, rules, loaded)
    rows = _one_label(rows, rules, loaded)
    _check_any_left(rows, loaded, caller)
    _note_similar_labels(rows, loaded)
    return rows


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
