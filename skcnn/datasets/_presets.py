"""Tables that programs export: which of their columns has what, and what their values mean."""

import re
from collections.abc import Callable

import pandas as pd

from skcnn.datasets._addaxai import addaxai
from skcnn.datasets._chosen import Chosen, first_folder
from skcnn.datasets._columns import Columns, finder_for, joined_paths, observe
from skcnn.datasets._observations import UNKNOWN, Loaded
from skcnn.datasets._tables import as_flags, as_texts, check_columns
from skcnn.datasets._wildlife_insights import wildlife_insights


def _timelapse(chosen: Chosen) -> Loaded:
    loaded = Loaded(pd.DataFrame(), "Images of a Timelapse project", chosen.source)
    table = chosen.read()
    check_columns(table, ["File", "RelativePath"], "preset='timelapse'", chosen.where)
    if "DeleteFlag" in table:
        marked = as_flags(table["DeleteFlag"])
        loaded.note("files marked for deletion", marked.sum(), "in the column DeleteFlag")
        table = table[~marked].reset_index(drop=True)
    paths = joined_paths(table, ["RelativePath", "File"])
    table = table.assign(first_folder=first_folder(paths))
    time = ["Date", "Time"] if {"Date", "Time"} <= set(table) else None
    columns = Columns(
        group="first_folder" if table["first_folder"].notna().any() else None,
        time="DateTime" if "DateTime" in table else time,
    ).overridden_by(chosen.columns)
    if columns.label is not None and columns.label == "label" and "label" not in table:
        names = [name for name in table.columns if name not in _TIMELAPSE_COLUMNS]
        raise ValueError(
            f"{chosen.where}: pass label= with the column of your labels. A Timelapse project "
            f"names its columns itself; these are {', '.join(map(repr, names))}."
        )
    candidates = [paths]
    if "RootFolder" in table:
        candidates.append(joined_paths(table, ["RootFolder", "RelativePath", "File"]))
    finder = finder_for(chosen.root, chosen.folder)
    loaded.rows = observe(
        table, columns, finder, loaded, chosen.where, candidates=candidates
    ).drop(columns="first_folder", errors="ignore")
    loaded.details.append(f"Table: {chosen.where}. The label is the column {columns.label!r}.")
    return loaded


_TIMELAPSE_COLUMNS = frozenset(
    {
        "RootFolder",
        "File",
        "RelativePath",
        "DateTime",
        "Date",
        "Time",
        "DeleteFlag",
        "first_folder",
    }
)


def _inaturalist(chosen: Chosen) -> Loaded:
    loaded = Loaded(pd.DataFrame(), "Observations of iNaturalist", chosen.source)
    table = chosen.read()
    check_columns(table, ["id"], "preset='inaturalist'", chosen.where)
    has = set(table.columns)
    exact = "time_observed_at" in has and as_texts(table["time_observed_at"]).notna().any()
    columns = Columns(
        label="scientific_name",
        group="user_login" if "user_login" in has else None,
        sequence="id",
        time="time_observed_at" if exact else "observed_on" if "observed_on" in has else None,
    ).overridden_by(chosen.columns)
    own = [] if columns.path == "path" else [joined_paths(table, columns.used()["path"])]
    finder = finder_for(chosen.root, chosen.folder)
    loaded.rows = observe(
        table, columns, finder, loaded, chosen.where, candidates=own or _inaturalist_files(table)
    )
    # The root of the tree of life is the name of what nobody could name.
    loaded.rows.loc[loaded.rows["label"] == "Life", "status"] = UNKNOWN
    if "quality_grade" in has:
        unsure = (
            ~as_texts(table["quality_grade"]).isin({"research"}) & loaded.rows["label"].notna()
        )
        why = "fewer people agree on the name: see quality_grade in frame"
        loaded.note("observations below research grade", unsure.sum(), why)
    loaded.details.append(f"Table: {chosen.where}. Groups are observers (user_login).")
    return loaded


def _inaturalist_files(table: pd.DataFrame) -> list[list[str | None]]:
    """Return where a photograph may be: under its own number, or that of its observation."""
    empty = pd.Series([""] * len(table), dtype=object)
    urls = as_texts(table.get("image_url", empty)).tolist()
    photos = [re.search(r"/photos/(\d+)/", url or "") for url in urls]
    candidates = [urls]
    keys = [[match and match[1] for match in photos], as_texts(table["id"]).tolist()]
    for key in keys:
        for ending in (".jpg", ".jpeg", ".png", ".gif"):
            candidates.append([name and f"{name}{ending}" for name in key])
    return candidates


PRESETS: dict[str, Callable[[Chosen], Loaded]] = {
    "wildlife_insights": wildlife_insights,
    "timelapse": _timelapse,
    "addaxai": addaxai,
    "inaturalist": _inaturalist,
}
