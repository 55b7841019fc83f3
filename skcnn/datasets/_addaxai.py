"""Exports of AddaxAI (before: EcoAssist): tables of files, detections and deployments."""

import numpy as np
import pandas as pd

from skcnn.datasets._chosen import Chosen, first_folder
from skcnn.datasets._columns import Columns, finder_for, joined_paths, observe
from skcnn.datasets._observations import BLANK, UNKNOWN, Loaded
from skcnn.datasets._tables import as_flags, as_numbers, as_texts

_BOX = ("bbox_x", "bbox_y", "bbox_width", "bbox_height")
_CORNERS = ("bbox_left", "bbox_top", "bbox_right", "bbox_bottom")
_DETECTOR_LABELS = {"animal", "person", "vehicle"}


def addaxai(chosen: Chosen) -> Loaded:
    """Read an export of AddaxAI, of version 7 or an earlier one."""
    tables = chosen.companions("detections.csv", "files.csv", "deployments.csv")
    if not tables:
        table = chosen.read() if chosen.source is None or chosen.source.is_file() else None
        if table is None:
            raise ValueError(
                f"{chosen.source} contains no detections.csv and no files.csv. Expected the "
                "folder of an export of AddaxAI."
            )
        tables = {
            "files.csv"
            if "bbox_left" not in table and "bbox_x" not in table
            else "detections.csv": table
        }
    detections, files = tables.get("detections.csv"), tables.get("files.csv")
    either = detections if detections is not None else files
    if either is None or "relative_path" not in either:
        raise ValueError(
            f"{chosen.where} has no column 'relative_path'. Expected a table of files or "
            "detections of AddaxAI."
        )
    is_new = "file_id" in either
    loaded = Loaded(
        pd.DataFrame(), f"Images of AddaxAI {'7' if is_new else '6 or earlier'}", chosen.source
    )
    parts = []
    if detections is not None and len(detections):
        parts.append(_detections(detections, tables, chosen, loaded, is_new))
    if files is not None and len(files):
        parts.append(_files(files, tables, chosen, loaded, is_new, detections))
    parts = [part for part in parts if len(part)]
    loaded.rows = (
        pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"path": [], "problem": []})
    )
    loaded.details.append(f"Source: {chosen.where}.")
    return loaded


def _columns(
    table: pd.DataFrame, tables: dict[str, pd.DataFrame], is_new: bool
) -> tuple[pd.DataFrame, Columns]:
    """Return a table with group and time, and which of its columns has what."""
    table = table.copy()
    if not is_new:
        table["first_folder"] = first_folder(joined_paths(table, ["relative_path"]))
        time = next((name for name in ("DateTimeOriginal", "DateTime") if name in table), None)
        group = "first_folder" if table["first_folder"].notna().any() else None
        return table, Columns(group=group, time=time, time_format="day_first")
    files, deployments = tables.get("files.csv"), tables.get("deployments.csv")
    if files is not None and "datetime" in files and "datetime" not in table:
        times = dict(zip(files["file_id"], files["datetime"]))
        table["datetime"] = table["file_id"].map(times).fillna("")
    group = "deployment_id" if "deployment_id" in table else None
    if group and deployments is not None and "site_name" in deployments:
        pairs = zip(as_texts(deployments["deployment_id"]), as_texts(deployments["site_name"]))
        sites = {deployment: site for deployment, site in pairs if deployment and site}
        deployment = as_texts(table["deployment_id"])
        table["site"] = deployment.map(sites).where(deployment.isin(sites), deployment)
        group = "site"
    return table, Columns(
        group=group,
        sequence="event_id" if "event_id" in table else None,
        time="datetime" if "datetime" in table else None,
    )


def _paths(
    table: pd.DataFrame, tables: dict[str, pd.DataFrame], is_new: bool
) -> list[list[str | None]]:
    """Return where the files of a table may be."""
    relative = joined_paths(table, ["relative_path"])
    if not is_new:
        # Here absolute_path is the folder.
        if "absolute_path" not in table:
            return [relative]
        return [relative, joined_paths(table, ["absolute_path", "relative_path"])]
    files = tables.get("files.csv")
    if "absolute_path" in table:
        return [joined_paths(table, ["absolute_path"]), relative]
    if files is not None and "absolute_path" in files:
        paths = dict(zip(files["file_id"], joined_paths(files, ["absolute_path"])))
        return [[paths.get(key) for key in table["file_id"]], relative]
    return [relative]


def _rows(
    table: pd.DataFrame,
    tables: dict[str, pd.DataFrame],
    chosen: Chosen,
    loaded: Loaded,
    is_new: bool,
    label: str,
    box: Columns,
) -> pd.DataFrame:
    """Return one observation per row of a table of AddaxAI."""
    table, columns = _columns(table, tables, is_new)
    columns = Columns(
        label=label,
        group=columns.group,
        sequence=columns.sequence,
        time=columns.time,
        time_format=columns.time_format,
        box=box.box,
        image_size=box.image_size,
        box_format=box.box_format,
        box_unit=box.box_unit,
    ).overridden_by(chosen.columns)
    rows = observe(
        table,
        columns,
        finder_for(chosen.root, chosen.folder),
        loaded,
        chosen.where,
        candidates=_paths(table, tables, is_new),
    )
    checked = np.zeros(len(table), dtype=bool)
    for name in ("human_verified", "is_verified"):
        if name in table:
            checked |= as_flags(table[name])
    if "classification_method" in table:
        checked |= as_texts(table["classification_method"]).isin({"human"}).to_numpy()
    rows["machine"] = ~checked
    # An animal without a species, where others have one, is one that could not be told.
    if not set(rows["label"].dropna()) <= _DETECTOR_LABELS:
        rows.loc[rows["label"] == "animal", "status"] = UNKNOWN
    return rows.drop(columns=["first_folder", "site"], errors="ignore")


def _detections(
    table: pd.DataFrame,
    tables: dict[str, pd.DataFrame],
    chosen: Chosen,
    loaded: Loaded,
    is_new: bool,
) -> pd.DataFrame:
    if is_new:
        box = Columns(box=_BOX, box_format="xywh", box_unit="fraction")
        label, confidence = "classification_label", "classification_confidence"
        category = as_texts(table["detection_category"])
        named = as_texts(table[label])
        table = table.assign(**{label: named.where(named.notna(), category)})
    else:
        box = Columns(
            box=_CORNERS,
            image_size=("file_width", "file_height"),
            box_format="xyxy",
            box_unit="pixel",
        )
        label, confidence = "label", "confidence"
    rows = _rows(table, tables, chosen, loaded, is_new, label, box)
    if confidence in table:
        rows["probability"] = as_numbers(table[confidence], f"{chosen.where}: {confidence!r}")
    return rows


def _files(
    table: pd.DataFrame,
    tables: dict[str, pd.DataFrame],
    chosen: Chosen,
    loaded: Loaded,
    is_new: bool,
    detections: pd.DataFrame | None,
) -> pd.DataFrame:
    """Return the blank files, and all files where there is no table of detections."""
    if is_new:
        blank = as_texts(table["observation_type"]).isin({"blank"}).to_numpy()
        found = as_texts(table["observation_type"])
        named = as_texts(table["classification_label"])
        table = table.assign(label=named.where(named.notna(), found))
    else:
        blank = as_numbers(table["n_detections"], f"{chosen.where}: 'n_detections'") == 0
        table = table.assign(label="") if "label" not in table else table
    if detections is not None:
        table, blank = table[blank].reset_index(drop=True), blank[blank]
    rows = _rows(table, tables, chosen, loaded, is_new, "label", Columns())
    rows.loc[blank, "label"] = None
    rows.loc[blank, "status"] = BLANK
    return rows
