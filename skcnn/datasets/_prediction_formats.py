"""Predictions as text: CSV, the JSON of MegaDetector, observations of Camtrap DP."""

import csv
import io
import json
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from skcnn._utils import BOX_COLUMNS
from skcnn.datasets._camtrap_dp import PROBABILITY_TAG

Floats = npt.NDArray[np.float64]
# Columns of the frame of a loader that say what an example is.
KEYS = ("label", "group", "sequence", "time", "media_id", "deployment_id", "image_id", "object_id")
_UNREAD = "The image could not be read"
# Labels that are no species.
_TYPES = {
    "blank": "blank",
    "empty": "blank",
    "unknown": "unknown",
    "human": "human",
    "person": "human",
    "homo sapiens": "human",
    "vehicle": "vehicle",
}
OBSERVATION_COLUMNS = (
    "observationID",
    "deploymentID",
    "mediaID",
    "eventID",
    "eventStart",
    "eventEnd",
    "observationLevel",
    "observationType",
    "cameraSetupType",
    "scientificName",
    "count",
    "lifeStage",
    "sex",
    "behavior",
    "individualID",
    "individualPositionRadius",
    "individualPositionAngle",
    "individualSpeed",
    "bboxX",
    "bboxY",
    "bboxWidth",
    "bboxHeight",
    "classificationMethod",
    "classifiedBy",
    "classificationTimestamp",
    "classificationProbability",
    "observationTags",
    "observationComments",
)


class Format(Protocol):
    """A way to write predictions: some text before, per example, and after."""

    def begin(self) -> str:
        """Return the text before the first example."""

    def write(self, frame: pd.DataFrame, probabilities: Floats) -> Iterator[str]:
        """Yield the texts of some examples; probabilities are NaN where there is no prediction."""

    def end(self) -> str:
        """Return the text after the last example."""


class Csv:
    """One line per example: what it is, the prediction, and perhaps each class's probability."""

    def __init__(
        self, frame: pd.DataFrame, classes: Sequence[str], *, all_classes: bool = True
    ) -> None:
        self.classes = classes
        self.all_classes = all_classes
        wanted = ("path", *BOX_COLUMNS, *KEYS)
        self.keys = [name for name in wanted if name in frame and frame[name].notna().any()]

    def begin(self) -> str:
        names = [f"probability_{name}" for name in self.classes if self.all_classes]
        return _csv_line([*self.keys, "prediction", "probability", *names])

    def write(self, frame: pd.DataFrame, probabilities: Floats) -> Iterator[str]:
        keys = frame[self.keys].astype(object)
        keys = keys.where(keys.notna(), "").to_numpy()
        for key, row in zip(keys, probabilities):
            each = map(_number, row) if self.all_classes else ()
            yield _csv_line([*key, *_best(row, self.classes), *each])

    def end(self) -> str:
        return ""


class MegaDetectorJson:
    """One entry per file, with a detection per box (or for the whole image)."""

    def __init__(self, frame: pd.DataFrame, classes: Sequence[str], classified_by: str) -> None:
        self.classes = classes
        self.classified_by = classified_by
        self.boxed = set(BOX_COLUMNS) <= set(frame)
        self._file: str | None = None
        self._detections: list[dict[str, object]] = []
        self._n_written = 0
        blank = [i for i, name in enumerate(classes) if _TYPES.get(name.lower()) == "blank"]
        self.blank = blank[0] if blank else None

    def begin(self) -> str:
        info = {
            "format_version": "1.5",
            "detector": "boxes given to skcnn" if self.boxed else "whole images",
            "detector_metadata": {"typical_detection_threshold": 0.2 if self.boxed else 0.5},
            "classifier": self.classified_by,
            "classification_completion_time": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}",
        }
        parts = {
            "info": info,
            "detection_categories": {"1": "animal", "2": "person", "3": "vehicle"},
            "classification_categories": {str(i): name for i, name in enumerate(self.classes)},
        }
        written = ",\n".join(f'"{key}": {json.dumps(value)}' for key, value in parts.items())
        return f'{{{written},\n"images": [\n'

    def write(self, frame: pd.DataFrame, probabilities: Floats) -> Iterator[str]:
        paths = frame["path"].tolist()
        boxes = frame[list(BOX_COLUMNS)].to_numpy(dtype=float) if self.boxed else None
        surety = _column(frame, "detection_confidence")
        categories = _column(frame, "detection_category")
        for i, (path, row) in enumerate(zip(paths, probabilities)):
            if path != self._file:
                yield from self._finish()
                self._file = path
            detection: dict[str, object] = {
                "category": {"person": "2", "human": "2", "vehicle": "3"}.get(
                    str(categories[i]), "1"
                ),
                "conf": self._confidence(row, surety[i]),
                "bbox": [0.0, 0.0, 1.0, 1.0] if boxes is None else boxes[i].round(6).tolist(),
            }
            if not np.isnan(row).any():
                order = np.argsort(-row, kind="stable")
                detection["classifications"] = [[str(j), round(float(row[j]), 6)] for j in order]
            self._detections.append(detection)

    def end(self) -> str:
        return "".join(self._finish()) + "\n]}\n"

    def _confidence(self, row: Floats, surety: object) -> float:
        """Return how sure it is that there is something in the box."""
        if surety is not None:
            return round(float(str(surety)), 6)
        if self.blank is None or np.isnan(row).any():
            return 1.0
        return round(1 - float(row[self.blank]), 6)

    def _finish(self) -> Iterator[str]:
        """Yield the entry of the last file."""
        if self._file is None:
            return
        entry: dict[str, object] = {"file": self._file, "detections": self._detections}
        if not any("classifications" in detection for detection in self._detections):
            entry = {"file": self._file, "failure": _UNREAD, "detections": None}
        yield (",\n" if self._n_written else "") + json.dumps(entry)
        self._n_written += 1
        self._file, self._detections = None, []


class CamtrapDpObservations:
    """One observation per example, classified by a machine."""

    def __init__(
        self,
        frame: pd.DataFrame,
        classes: Sequence[str],
        classified_by: str,
        time_zone: str | None,
        scientific_names: Mapping[str, str],
    ) -> None:
        self.classes = classes
        self.classified_by = classified_by
        self.names = scientific_names
        self.times = _with_zone(frame, time_zone)
        self.now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        if not {"deployment_id", "group"} & set(frame):
            raise ValueError(
                "format='camtrap_dp' needs the deployment of each image: a column deployment_id, "
                "or group, in the DataFrame."
            )
        deployment = frame["deployment_id" if "deployment_id" in frame else "group"]
        unknown = frame["path"][deployment.isna()]
        if len(unknown):
            raise ValueError(
                f"format='camtrap_dp' needs the deployment of each image. {len(unknown)} have "
                f"none, such as {unknown.iloc[0]}."
            )
        self._seen: dict[str, int] = {}

    def begin(self) -> str:
        return _csv_line(OBSERVATION_COLUMNS)

    def write(self, frame: pd.DataFrame, probabilities: Floats) -> Iterator[str]:
        media = _column(frame, "media_id")
        deployments = frame["deployment_id" if "deployment_id" in frame else "group"].tolist()
        events = _column(frame, "sequence")
        boxes = frame.reindex(columns=list(BOX_COLUMNS)).to_numpy(dtype=float)
        for i, (index, path) in enumerate(frame["path"].items()):
            key = str(path if media[i] is None else media[i])
            number = self._seen[key] = self._seen.get(key, 0) + 1
            name = f"{key} {number} {self.classified_by} {self.now}"
            label, best = _best(probabilities[i], self.classes)
            scientific = self.names.get(label, label)
            kind = _TYPES.get(scientific.lower(), "animal") if label else "unclassified"
            named = kind == "animal" or scientific.lower() == "homo sapiens"
            row = {
                "observationID": str(uuid.uuid5(uuid.NAMESPACE_URL, name)),
                "deploymentID": deployments[i],
                "mediaID": key,
                "eventID": events[i] or "",
                "eventStart": self.times[index],
                "eventEnd": self.times[index],
                "observationLevel": "media",
                "observationType": kind,
                "scientificName": scientific if named else "",
                "classificationMethod": "machine",
                "classifiedBy": self.classified_by,
                "classificationTimestamp": self.now,
                "classificationProbability": best,
                "observationTags": self._tags(probabilities[i]),
                "observationComments": "" if label else _UNREAD,
            }
            if np.isfinite(boxes[i]).all():
                names = ("bboxX", "bboxY", "bboxWidth", "bboxHeight")
                row.update(zip(names, (f"{value:.6g}" for value in boxes[i])))
            yield _csv_line([row.get(column, "") for column in OBSERVATION_COLUMNS])

    def end(self) -> str:
        return ""

    def _tags(self, row: Floats) -> str:
        """Return the probabilities of all classes as tags."""
        if np.isnan(row).any():
            return ""
        names = (re.sub(r"\s*\|\s*", "/", name) for name in self.classes)
        return " | ".join(f"{PROBABILITY_TAG}{name}:{p:.6g}" for name, p in zip(names, row))


def _with_zone(frame: pd.DataFrame, time_zone: str | None) -> dict[object, str]:
    """Return the times of all examples by their index, as texts in UTC."""
    if "time" not in frame:
        raise ValueError(
            "format='camtrap_dp' needs the time of each image: a column time in the DataFrame. "
            "load_image_folder(..., time='exif') reads it from the files."
        )
    times = frame["time"]
    if not pd.api.types.is_datetime64_any_dtype(times.dtype):
        raise ValueError(
            "format='camtrap_dp' needs times. The column time has the dtype "
            f"{times.dtype}; pandas.to_datetime makes times of texts."
        )
    if times.isna().any():
        path = frame["path"][times.isna()].iloc[0]
        raise ValueError(
            f"format='camtrap_dp' needs the time of each image. {times.isna().sum()} have none, "
            f"such as {path}."
        )
    if times.dt.tz is None:
        if time_zone is None:
            raise ValueError(
                "format='camtrap_dp' needs to know the time zone of the cameras: pass time_zone= "
                "as an offset such as '+01:00', or a name such as 'Europe/Amsterdam'."
            )
        try:
            # Hours that occur twice are taken as winter time, which most cameras keep.
            times = times.dt.tz_localize(
                _zone(time_zone), ambiguous=np.zeros(len(times), bool), nonexistent="shift_forward"
            )
        except (KeyError, ValueError, LookupError) as error:
            raise ValueError(
                f"The 'time_zone' parameter of write_predictions is {time_zone!r}, which is no "
                f"time zone ({error}). Expected '+01:00' or a name such as 'Europe/Amsterdam'."
            ) from error
    texts = times.dt.tz_convert("UTC").dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    return dict(zip(frame.index, texts))


def _zone(text: str) -> object:
    """Return a time zone by its offset or its name."""
    if re.fullmatch(r"[+-]\d{2}:?\d{2}", text):
        return datetime.strptime(text, "%z").tzinfo
    return text


def _best(row: Floats, classes: Sequence[str]) -> tuple[str, str]:
    """Return the most likely class and its probability, as texts; "" where there is none."""
    if np.isnan(row).any():
        return "", ""
    best = int(np.argmax(row))
    return classes[best], _number(row[best])


def _number(value: float) -> str:
    """Return a number so that it is read as it is."""
    return "" if np.isnan(value) else repr(float(value))


def _column(frame: pd.DataFrame, name: str) -> list[object]:
    """Return the values of a column, None where there is none."""
    if name not in frame:
        return [None] * len(frame)
    values = frame[name].astype(object)
    return list(values.where(values.notna(), None))


def _csv_line(cells: Iterable[object]) -> str:
    text = io.StringIO(newline="")
    # Only what ends lines is quoted within a cell: with "\n" alone, "\r" would begin a new line.
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue().removesuffix("\r\n") + "\n"
