"""From observations to training examples: what every loader returns."""

import re

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.utils import Bunch

from skcnn._utils import BOX_COLUMNS
from skcnn.datasets._observations import COLUMNS, RESERVED, Loaded
from skcnn.datasets._report import Report
from skcnn.datasets._rules import CONSTRAINTS, Rules, apply_rules

# Roboflow names each changed copy of fox.jpg fox_jpg.rf.<hash>.jpg.
_COPY = re.compile(r"(?<=_jpg|_png|_bmp|jpeg|tiff|webp)\.rf\.[0-9A-Za-z]+\.\w+$", re.IGNORECASE)


def make_bunch(loaded: Loaded, rules: Rules, caller: str) -> Bunch:
    """Apply the rules, and return what a loader returns."""
    rows = _with_groups(apply_rules(loaded, rules, caller), loaded)
    there = (rows["problem"] == "").to_numpy()
    if not there.all() and rules.missing == "raise":
        raise FileNotFoundError(_missing_message(rows[~there], len(rows), loaded, caller))
    return _bunch(rows, there, loaded, rules)


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
    others = [name for name in rows.columns if name not in RESERVED]
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
