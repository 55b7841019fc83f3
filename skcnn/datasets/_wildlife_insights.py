"""Downloads of Wildlife Insights: images, deployments and sequences in separate tables."""

import os
import re
from collections.abc import Callable
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt
import pandas as pd

from skcnn.datasets._chosen import Chosen
from skcnn.datasets._columns import Columns, finder_for, joined_paths, observe
from skcnn.datasets._observations import BLANK, LABELED, UNCLASSIFIED, UNKNOWN, Loaded
from skcnn.datasets._paths import join
from skcnn.datasets._sources import Source
from skcnn.datasets._tables import as_flags, as_numbers, as_texts, check_columns, parse_table
from skcnn.datasets._times import join_texts

_RANKS = ("family", "order", "class")
# Names that are no species. What is a misfire is up to the user: it stays a label.
_WI_STATUS = {
    "blank": BLANK,
    "no cv result": UNCLASSIFIED,
    "cv needed": UNCLASSIFIED,
    "cv failed": UNCLASSIFIED,
    "animal": UNKNOWN,
    "unknown": UNKNOWN,
    "unknown species": UNKNOWN,
    "unidentifiable": UNKNOWN,
}


def wildlife_insights(chosen: Chosen) -> Loaded:
    """Read a download of Wildlife Insights."""
    loaded = Loaded(pd.DataFrame(), "Images of a Wildlife Insights project", chosen.source)
    tables = _tables(chosen)
    images = tables["images"]
    check_columns(
        images, ["deployment_id", "image_id"], "preset='wildlife_insights'", chosen.where
    )
    n = len(images)
    empty = pd.Series([""] * n, dtype=object)

    def column(name: str) -> pd.Series:
        return as_texts(images[name]) if name in images else as_texts(empty)

    places = _places(tables.get("deployments"))
    deployment = column("deployment_id")
    site = deployment.map(places).where(deployment.isin(places), deployment)
    images = images.assign(
        scientific_name=_scientific_names(images), site=site, is_blank=column("is_blank")
    )
    columns = Columns(
        label="scientific_name",
        group="site",
        sequence="sequence_id" if "sequence_id" in images else None,
        time="timestamp" if "timestamp" in images else None,
        individual="individual_id" if "individual_id" in images else None,
    ).overridden_by(chosen.columns)
    finder = finder_for(chosen.root, chosen.folder)
    own = [] if columns.path == "path" else [joined_paths(images, columns.used()["path"])]
    rows = observe(
        images,
        columns,
        finder,
        loaded,
        chosen.where,
        candidates=own or _files(column, deployment),
    )
    rows["image"] = column("image_id").fillna(rows["path"])
    told = _told(images)
    blank = as_flags(column("is_blank")) & (told == "")
    loaded.note("images marked blank", blank.sum(), "have a species, which counts")
    rows["status"] = np.where(told != "", told, rows["status"])
    rows.loc[rows["status"] != LABELED, "label"] = None
    rows["machine"] = _is_machine(images)
    if "number_of_objects" in images:
        rows["count"] = as_numbers(images["number_of_objects"], "number_of_objects")
    loaded.rows = _with_sequences(rows, tables.get("sequences"), columns)
    loaded.details.append(f"Source: {chosen.where}. Groups are places (placename).")
    return loaded


def _tables(chosen: Chosen) -> dict[str, pd.DataFrame]:
    """Return the tables images, deployments and sequences, the parts of each together."""
    if chosen.source is None:
        return {"images": chosen.read()}
    if chosen.source.is_file() and chosen.source.suffix.lower() != ".zip":
        tables = {"images": chosen.read()}
        for kind in ("deployments", "sequences"):
            if (chosen.source.parent / f"{kind}.csv").is_file():
                tables[kind] = chosen.read(chosen.source.parent / f"{kind}.csv")
        return tables
    parts: dict[str, list[pd.DataFrame]] = {"images": [], "deployments": [], "sequences": []}
    with Source(chosen.source) as source:
        for name in source.names():
            match = re.fullmatch(
                r"(images|deployments|sequences)(?:[_-].*)?\.csv", PurePosixPath(name).name.lower()
            )
            if match:
                where = f"{name} in {chosen.source}"
                parsed = parse_table(source.read(name), where, **chosen.reading)  # type: ignore[arg-type]
                parts[match[1]].append(parsed.frame)
    if not parts["images"]:
        raise ValueError(
            f"{chosen.source} contains no images.csv. Expected a download of Wildlife Insights."
        )
    return {
        kind: pd.concat(frames, ignore_index=True).fillna("")
        for kind, frames in parts.items()
        if frames
    }


def _places(deployments: pd.DataFrame | None) -> dict[str, str]:
    """Return the place of each deployment."""
    if deployments is None or not {"deployment_id", "placename"} <= set(deployments):
        return {}
    pairs = zip(as_texts(deployments["deployment_id"]), as_texts(deployments["placename"]))
    return {deployment: place for deployment, place in pairs if deployment and place}


def _scientific_names(table: pd.DataFrame) -> pd.Series:
    """Return genus and species, or the lowest rank that is given, else the common name."""
    parts = [table[name] for name in ("genus", "species") if name in table]
    names = join_texts(parts) if parts else pd.Series([None] * len(table), dtype=object)
    # Vehicles and misfires have a common name only.
    for rank in (*_RANKS, "common_name"):
        if rank in table:
            names = names.where(names.notna(), as_texts(table[rank]))
    return names


def _told(table: pd.DataFrame) -> npt.NDArray[np.object_]:
    """Return what rows of images or sequences say in place of a species, "" where nothing."""
    names = _scientific_names(table)
    common = as_texts(table["common_name"]) if "common_name" in table else names
    told = np.array([_WI_STATUS.get((name or "").lower(), "") for name in common], dtype=object)
    blank = as_flags(table["is_blank"]) if "is_blank" in table else np.zeros(len(table), bool)
    told[(told == "") & blank & names.isna().to_numpy()] = BLANK
    return told


def _is_machine(table: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return which rows nobody but a program has named."""
    if "identified_by" not in table:
        return np.zeros(len(table), dtype=bool)
    by = as_texts(table["identified_by"])
    return np.array([(name or "").lower() == "computer vision" for name in by], dtype=bool)


def _files(column: Callable[[str], pd.Series], deployment: pd.Series) -> list[list[str | None]]:
    """Return where an image may be: under its name or identifier, in a folder or not."""
    location, name, identifier = column("location"), column("filename"), column("image_id")
    ending = [os.path.splitext(text or ".jpg")[1] for text in location.fillna(name)]
    stored = [key and f"{key}{end or '.jpg'}" for key, end in zip(identifier, ending)]
    # Cameras number their files alike: a name that two images have says nothing.
    pairs = pd.DataFrame({"name": name, "image": identifier}).drop_duplicates()
    repeated = set(pairs.loc[pairs["name"].duplicated(keep=False), "name"])
    unique = [text if text not in repeated else None for text in name]
    nested = [
        [text and join(folder, text) for folder, text in zip(deployment, texts)]
        for texts in (name, stored)
    ]
    return [location.tolist(), *nested, stored, unique]


def _with_sequences(
    rows: pd.DataFrame, sequences: pd.DataFrame | None, columns: Columns
) -> pd.DataFrame:
    """Add the labels of whole sequences, as such, to images that have none."""
    if sequences is None or "sequence" not in rows or "sequence_id" not in sequences:
        return rows
    names = _scientific_names(sequences)
    if columns.label != "scientific_name" and columns.label in sequences:
        names = as_texts(sequences[columns.label])
    told = _told(sequences)
    status = np.where(told != "", told, np.where(names.notna(), LABELED, UNCLASSIFIED))
    events = pd.DataFrame(
        {
            "sequence": as_texts(sequences["sequence_id"]),
            "label": names.where(status == LABELED, None),
            "status": status,
            "machine": _is_machine(sequences),
            "event_level": True,
        }
    ).dropna(subset="sequence")
    unlabeled = rows.drop(columns=["label", "status", "machine"])[rows["status"] == UNCLASSIFIED]
    added = unlabeled.merge(events, on="sequence")
    return pd.concat([rows.assign(event_level=False), added], ignore_index=True)
