"""The JSON files of MegaDetector and SpeciesNet: boxes, confidences and classes."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from skcnn._utils import BOX_COLUMNS
from skcnn.datasets._boxes import to_fractions
from skcnn.datasets._observations import BLANK, FAILED, LABELED, UNCLASSIFIED, UNKNOWN
from skcnn.datasets._sources import as_list, as_number, as_object, as_text

# Version 4 is surer of what it finds than its successors.
_THRESHOLD, _THRESHOLD_OF_V4 = 0.2, 0.8
_SPECIESNET_CATEGORIES = {"1": "animal", "2": "human", "3": "vehicle"}
NOTHING = ("empty", "blank")
# What AddaxAI calls an animal that its classifier could not name.
_UNIDENTIFIED = "unidentified animal"


# Classes that are no species, as SpeciesNet writes them in this format, too.
_STATUS_OF_CLASS = {
    **dict.fromkeys(NOTHING, BLANK),
    "animal": UNKNOWN,
    "unknown": UNKNOWN,
    "no cv result": UNCLASSIFIED,
}


class Detections(NamedTuple):
    """One row per box, or per image without boxes, and what the file recommends."""

    rows: pd.DataFrame
    threshold: float
    program: str
    # Whether the label is that of the image, and not of each box.
    of_images: bool


def parse_megadetector(content: Mapping[str, object], where: str) -> Detections:
    """Read the output format of MegaDetector."""
    info = content.get("info")
    info = info if isinstance(info, dict) else {}
    detector = info.get("detector")
    metadata = info.get("detector_metadata")
    recommended = (
        metadata.get("typical_detection_threshold") if isinstance(metadata, dict) else None
    )
    if recommended is not None:
        threshold = as_number(recommended, f"{where}: typical_detection_threshold")
    else:
        name = str(detector or "v4").lower()
        threshold = _THRESHOLD_OF_V4 if "v4" in name.replace("_", "") else _THRESHOLD
    categories = _names(content.get("detection_categories"), f"{where}: detection_categories")
    categories = {
        key: "animal" if name == _UNIDENTIFIED else name for key, name in categories.items()
    }
    classes = _names(
        content.get("classification_categories") or {}, f"{where}: classification_categories"
    )
    rows: list[dict[str, object]] = []
    for i, item in enumerate(as_list(content["images"], f"{where}: images")):
        place = f"{where}: images[{i}]"
        image = as_object(item, place)
        name = as_text(image.get("file"), f"{place}.file")
        failure, detections = image.get("failure"), image.get("detections")
        if failure is not None or detections is None:
            rows.append(
                {"image": name, "status": FAILED, "failure": str(failure or "no detections")}
            )
            continue
        found = []
        for j, entry in enumerate(as_list(detections, f"{place}.detections")):
            at = f"{place}.detections[{j}]"
            detection = _before_classification(as_object(entry, at))
            category = categories.get(str(detection.get("category")))
            # A category that is not listed means that there is nothing, as does "empty".
            if category is not None and category.lower() not in NOTHING:
                found.append({"image": name, **_detection(detection, category, classes, at)})
        rows += found or [{"image": name, "status": BLANK}]
    return Detections(_as_rows(rows, where), threshold, str(detector or "MegaDetector"), False)


def _before_classification(detection: Mapping[str, object]) -> Mapping[str, object]:
    """Return a detection as the detector has made it.

    AddaxAI writes the class of the classifier and its confidence in place of the category and
    confidence of the detector, and keeps these as `prev_category` and `prev_conf`.
    """
    kept = {name: detection.get(f"prev_{name}") for name in ("category", "conf")}
    return {**detection, **{name: value for name, value in kept.items() if value is not None}}


def _detection(
    detection: Mapping[str, object], category: str, classes: Mapping[str, str], where: str
) -> dict[str, object]:
    """Return box, confidence and classes of one detection."""
    row: dict[str, object] = {
        "status": LABELED,
        "label": category,
        "detection_category": category,
        "detection_confidence": as_number(detection.get("conf"), f"{where}.conf"),
        **_box(detection.get("bbox"), where),
    }
    best = -1.0
    for entry in as_list(detection.get("classifications") or [], f"{where}.classifications"):
        pair = as_list(entry, f"{where}.classifications")
        if len(pair) != 2:
            raise ValueError(f"{where}.classifications: expected pairs of class and confidence.")
        key, probability = str(pair[0]), as_number(pair[1], f"{where}.classifications")
        name = classes.get(key)
        if name is None:
            raise ValueError(f"{where} has the class {key!r}, which is not listed.")
        row[f"probability_{name}"] = probability
        if probability > best:
            best = probability
            row.update(label=name, probability=probability)
    if best >= 0:
        row["status"] = _STATUS_OF_CLASS.get(str(row["label"]).strip().lower(), LABELED)
    elif classes and category == "animal":
        # Others have a species: nobody has looked what this one is.
        row["status"] = UNCLASSIFIED
    if row["status"] == UNCLASSIFIED:
        row["label"] = None
    return row


def _box(value: object, where: str) -> dict[str, object]:
    """Return the box of a detection."""
    box = as_list(value, f"{where}.bbox")
    if len(box) != 4:
        raise ValueError(f"{where}.bbox: expected 4 numbers. Got {len(box)}.")
    return {name: as_number(number, f"{where}.bbox") for name, number in zip(BOX_COLUMNS, box)}


def _names(value: object, where: str) -> dict[str, str]:
    """Return names by their numbers, as texts."""
    return {key: as_text(name, f"{where}.{key}") for key, name in as_object(value, where).items()}


def parse_speciesnet(content: Mapping[str, object], where: str) -> Detections:
    """Read predictions of SpeciesNet: one for each image, and boxes."""
    rows: list[dict[str, object]] = []
    for i, item in enumerate(as_list(content["predictions"], f"{where}: predictions")):
        place = f"{where}: predictions[{i}]"
        prediction = as_object(item, place)
        name = as_text(prediction.get("filepath"), f"{place}.filepath")
        text = prediction.get("prediction")
        failures = as_list(prediction.get("failures") or [], f"{place}.failures")
        told, status = _species(str(text)) if text else (None, FAILED)
        if text is None and not failures:
            status = UNCLASSIFIED
        score = prediction.get("prediction_score")
        image: dict[str, object] = {"image": name, "label": told, "status": status}
        if score is not None:
            image["probability"] = as_number(score, f"{place}.prediction_score")
        image.update(_class_scores(prediction.get("classifications"), place))
        found = []
        for j, entry in enumerate(as_list(prediction.get("detections") or [], place)):
            at = f"{place}.detections[{j}]"
            detection = as_object(entry, at)
            category = _SPECIESNET_CATEGORIES.get(str(detection.get("category")))
            found.append(
                {
                    **image,
                    "detection_category": category or str(detection.get("label")),
                    "detection_confidence": as_number(detection.get("conf"), f"{at}.conf"),
                    **_box(detection.get("bbox"), at),
                }
            )
        rows += found if found and status not in (BLANK, FAILED) else [image]
    return Detections(_as_rows(rows, where), _THRESHOLD, "SpeciesNet", True)


def _class_scores(value: object, where: str) -> dict[str, object]:
    """Return the scores of the most likely classes by their names."""
    if not isinstance(value, dict):
        return {}
    classes = as_list(value.get("classes") or [], f"{where}.classifications.classes")
    scores = as_list(value.get("scores") or [], f"{where}.classifications.scores")
    found: dict[str, object] = {}
    for text, score in zip(classes, scores):
        name, status = _species(str(text))
        number = as_number(score, f"{where}.classifications.scores")
        found.setdefault(f"probability_{name or status}", number)
    return found


def _species(text: str) -> tuple[str | None, str]:
    """Return the name in a label of SpeciesNet, and whether it is one.

    Examples
    --------
    >>> _species("uuid;mammalia;carnivora;canidae;vulpes;vulpes;red fox")
    ('vulpes vulpes', 'labeled')
    >>> _species("uuid;;;;;;blank"), _species("uuid;mammalia;carnivora;;;;carnivora order")
    ((None, 'blank'), ('carnivora', 'labeled'))
    """
    parts = [part.strip() for part in text.split(";")]
    common = parts[-1].lower()
    if common in NOTHING:
        return None, BLANK
    if common == "no cv result":
        return None, UNCLASSIFIED
    ranks = parts[1:-1] if len(parts) == 7 else []
    if ranks and ranks[3] and ranks[4]:
        return f"{ranks[3]} {ranks[4]}", LABELED
    lowest = next((rank for rank in reversed(ranks) if rank), "")
    if not lowest and common in ("animal", "unknown", ""):
        return None, UNKNOWN
    return lowest or parts[-1], LABELED


def _as_rows(rows: list[dict[str, object]], where: str) -> pd.DataFrame:
    """Return the boxes as a table, checked."""
    columns = [
        "image",
        "label",
        "status",
        *BOX_COLUMNS,
        "detection_category",
        "detection_confidence",
    ]
    names = dict.fromkeys([*columns, *(key for row in rows for key in row)])
    frame = pd.DataFrame(rows, columns=list(names))
    boxes = frame[list(BOX_COLUMNS)].to_numpy(dtype=np.float64)
    frame[list(BOX_COLUMNS)] = to_fractions(
        boxes, box_format="xywh", box_unit="fraction", where=where
    )
    frame["label"] = frame["label"].astype(object).where(frame["label"].notna(), None)
    frame["detection_confidence"] = frame["detection_confidence"].astype(float)
    return frame
