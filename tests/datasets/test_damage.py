"""Whatever is changed in a file, a loader reads it or names the file: no other error, no hang."""

import copy
import json
import random

import pytest

from skcnn.datasets import (
    load_annotations,
    load_camtrap_dp,
    load_coco,
    load_ecotaxa,
    load_image_table,
    load_megadetector,
)

BOX = [0.1, 0.2, 0.3, 0.4]
MEGADETECTOR = {
    "info": {"detector": "md_v5a", "detector_metadata": {"typical_detection_threshold": 0.2}},
    "detection_categories": {"1": "animal"},
    "classification_categories": {"0": "fox"},
    "images": [
        {"file": "1.jpg", "detections": [
            {"category": "1", "conf": 0.9, "bbox": BOX, "classifications": [["0", 0.9]]}]},
        {"file": "2.jpg", "failure": "x", "detections": None},
    ],
}  # fmt: skip
SPECIESNET = {
    "predictions": [
        {"filepath": "1.jpg", "prediction": "u;m;c;f;vulpes;vulpes;fox", "prediction_score": 0.9,
         "classifications": {"classes": ["u;;;;;;blank"], "scores": [0.1]},
         "detections": [{"category": "1", "conf": 0.9, "bbox": BOX}]},
        {"filepath": "2.jpg", "failures": ["DETECTOR"]},
    ]
}  # fmt: skip
COCO = {
    "images": [{"id": 1, "file_name": "1.jpg", "width": 32, "height": 24, "location": 3}],
    "categories": [{"id": 1, "name": "fox"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "count": 1},
        {"id": 2, "image_id": 1, "category_id": 1, "segmentation": [[1, 2, 3, 4, 5, 6]]},
        {"id": 3, "image_id": 1, "category_id": 1,
         "segmentation": {"counts": [1, 2, 3], "size": [24, 32]}},
    ],
}  # fmt: skip
LABELME = {
    "imagePath": "1.jpg", "imageWidth": 32, "imageHeight": 24, "flags": {"fox": False},
    "shapes": [{"label": "fox", "points": [[1, 2], [3, 4]], "shape_type": "rectangle"},
               {"label": "fox", "points": [[9, 9], [9, 8]], "shape_type": "circle"}],
}  # fmt: skip
VALUE = {"x": 1, "y": 2, "width": 3, "height": 4, "rotation": 5, "rectanglelabels": ["fox"]}
LABEL_STUDIO = [
    {"id": 1, "data": {"image": "/data/upload/1/0a1b2c3d-1.jpg"},
     "annotations": [{"completed_by": 1, "was_cancelled": False, "result": [
         {"type": "rectanglelabels", "value": VALUE, "original_width": 32, "original_height": 24},
         {"type": "choices", "from_name": "c", "value": {"choices": ["fox"]}},
         {"type": "brushlabels", "value": {"points": [[1, 2], [3, 4]], "brushlabels": ["a"]}}]}],
     "predictions": []},
]  # fmt: skip
PACKAGE = {
    "profile": "camtrap-dp/1.0.2/x.json",
    "resources": [
        {"name": "media", "data": [{"mediaID": "m1", "deploymentID": "d1", "filePath": "1.jpg",
                                    "timestamp": "2021-05-30T10:00:00Z"}]},
        {"name": "observations", "data": [
            {"observationID": "o1", "deploymentID": "d1", "mediaID": "m1", "bboxX": "0.1",
             "bboxY": "0.1", "bboxWidth": "0.1", "bboxHeight": "0.1", "observationType": "animal",
             "observationLevel": "media", "scientificName": "Vulpes", "count": "1",
             "eventStart": "2021-05-30T10:00:00Z", "eventEnd": "2021-05-30T10:00:00Z"}]},
    ],
}  # fmt: skip
JSON_FILES = {
    "results.json": (MEGADETECTOR, lambda p: load_megadetector(p, machine_labels=True)),
    "speciesnet.json": (SPECIESNET, lambda p: load_megadetector(p, machine_labels=True)),
    "coco.json": (COCO, load_coco),
    "labelme.json": (LABELME, load_annotations),
    "studio.json": (LABEL_STUDIO, load_annotations),
    "datapackage.json": (PACKAGE, load_camtrap_dp),
}
TEXTS = {
    "table.csv": ("path,label,x\n1.jpg,fox,1\n2.jpg,\"a, b\",2\n", load_image_table),
    "ecotaxa.tsv": (
        "object_id\timg_file_name\tobject_annotation_category\timg_rank\tobject_date\n"
        "[t]\t[t]\t[t]\t[f]\t[t]\no1\t1.jpg\tegg<other\t0\t20140420\n",
        load_ecotaxa,
    ),
    "annotations.xml": (
        '<annotations><image name="1.jpg" width="32" height="24"><box label="fox" xtl="1" ytl="2" '
        'xbr="3" ybr="4"/><polygon label="a" points="1,2;3,4;5,9"/></image></annotations>',
        load_annotations,
    ),
}  # fmt: skip
JUNK = [None, True, -1, 0, 3.5, 1e400, float("nan"), "", "x", "NaN", [], {}, [1, 2], {"a": 1},
        "é" * 50, 10**30, [[1]], [None]]  # fmt: skip


def places(value, path=()):
    """Yield the paths to all values in a JSON value."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        if isinstance(inner, dict | list):
            yield from places(inner, (*path, key))
        else:
            yield (*path, key)


def changed(value, rng):
    """Return a JSON value in which one to three values are others, twice there, or gone."""
    value = copy.deepcopy(value)
    for _ in range(rng.randint(1, 3)):
        found = list(places(value))
        if not found:
            break
        *above, key = rng.choice(found)
        holder = value
        for step in above:
            holder = holder[step]
        kind = rng.random()
        if kind < 0.3:
            del holder[key]
        elif kind < 0.85 or not isinstance(holder, list):
            holder[key] = copy.deepcopy(rng.choice(JUNK))
        else:
            holder.append(copy.deepcopy(holder[key]))
    return value


def damaged(content, rng):
    """Return bytes of which some are others, and the end may be cut off."""
    content = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        content[rng.randrange(len(content))] = rng.randrange(256)
    return bytes(content[: rng.randrange(len(content) + 1)] if rng.random() < 0.3 else content)


def check(load, path):
    """Load a file, or see that the error names it."""
    message = ""
    try:
        load(path)
    except (ValueError, FileNotFoundError) as error:
        message = str(error)
    # An image that is not there is named in place of the file.
    assert message == "" or path.name in message or str(path.parent) in message


@pytest.fixture
def folder(pictures):
    return pictures({"1.jpg": 1, "2.jpg": 2})


@pytest.mark.parametrize("name", JSON_FILES)
def test_changed_values(folder, name):
    content, load = JSON_FILES[name]
    path = folder / name
    path.write_text(json.dumps(content))
    load(path)  # as it is, it is fine
    rng = random.Random(name)
    for _ in range(40):
        path.write_text(json.dumps(changed(content, rng)))
        check(load, path)


@pytest.mark.parametrize("name", [*JSON_FILES, *TEXTS])
def test_damaged_bytes(folder, name):
    content, load = {**JSON_FILES, **TEXTS}[name]
    content = (content if isinstance(content, str) else json.dumps(content)).encode()
    path = folder / name
    path.write_bytes(content)
    load(path)
    rng = random.Random(name)
    for _ in range(30):
        path.write_bytes(damaged(content, rng))
        check(load, path)
