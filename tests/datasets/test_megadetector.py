"""load_megadetector: boxes above a threshold, and what the program could not read."""

import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from skcnn.datasets import load_image_folder, load_megadetector

CATEGORIES = {"1": "animal", "2": "person", "3": "vehicle"}


def place(conf, category="1"):
    """A box that only a detection of this confidence and category has."""
    return [float(conf or 0) / 4 if conf != "high" else 0, int(category) / 20, 0.25, 0.25]


def box(conf, category="1", **more):
    return {"category": category, "conf": conf, "bbox": place(conf, category), **more}


IMAGES = [
    {"file": "fox/1.jpg", "detections": [box(0.93), box(0.04), box(0.8, "2")]},
    {"file": "fox\\2.jpg", "detections": [box(0.5), box(0.6)]},
    {"file": "hare/3.jpg", "detections": []},
    {"file": "hare/4.jpg", "detections": [box(0.1)], "failure": None},
    {"file": "hare/5.jpg", "failure": "Failure image access", "detections": None},
    {"file": "hare/6.jpg", "failure": "Failure image access"},
    {"file": "hare/7.jpg", "detections": [box(0.9, "9")]},  # not listed: nothing
    {"file": "hare/8.mp4", "frame_rate": 20, "frames_processed": [0],
     "detections": [box(0.9, frame_number=0)]},
]  # fmt: skip
FILES = {f"{'fox' if i < 3 else 'hare'}/{i}.jpg": i for i in range(1, 8)}


def write(root, images=IMAGES, info=None, **content):
    info = {"format_version": "1.6", "detector": "md_v5a.0.0.pt"} if info is None else info
    path = root / "results.json"
    path.write_text(
        json.dumps({"info": info, "detection_categories": CATEGORIES, "images": images, **content})
    )
    return path


@pytest.fixture
def results(pictures):
    return write(pictures(FILES))


def counted(bunch):
    return dict(zip(bunch.report.notes["what"], bunch.report.notes["n"]))


def names(bunch):
    return [path.rsplit("/", 1)[1] for path in bunch.frame["path"]]


def test_boxes_to_classify(results):
    images = load_megadetector(results)
    assert names(images) == ["1.jpg", "2.jpg", "2.jpg"]
    assert images.data.iloc[:, 1:].to_numpy().tolist() == [place(c) for c in (0.93, 0.5, 0.6)]
    assert images.target.tolist() == [None] * 3
    assert images.frame["detection_confidence"].tolist() == [0.93, 0.5, 0.6]
    assert images.groups.tolist() == images.frame["path"].tolist()
    assert counted(images) == {
        "boxes below the threshold of 0.20": 2,
        "boxes of other categories": 1,
        "videos": 1,
        "blank images": 3,
        "images that a program could not read": 2,
    }


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        ("blank", {"blank": 3}),
        ("failed", {"failed": 2}),
        (["blank", "failed"], {"blank": 3, "failed": 2}),
        (["unclassified", "blank"], {"unclassified": 3, "blank": 3}),
    ],
)
def test_nothing_found_and_not_read_are_two_things(results, keep, expected):
    images = load_megadetector(results, keep=keep)
    assert Counter(images.frame["status"]) == expected
    if "failed" in expected:
        failed = images.frame[images.frame["status"] == "failed"]
        assert failed["failure"].tolist() == ["Failure image access"] * 2
        assert failed["label"].isna().all()


def test_labels_from_folders_and_times(results):
    images = load_megadetector(results, label=0, group=-1, time="exif")
    assert images.target.tolist() == ["fox"] * 3
    assert images.groups.tolist() == ["fox"] * 3
    assert load_megadetector(results, label=0, keep="blank").target.tolist() == [
        "fox", "fox", "fox", "blank", "blank", "blank",
    ]  # fmt: skip


def test_labels_from_another_loader(results):
    photos = load_image_folder(results.parent)
    frame = photos.frame.assign(group="north", time=pd.Timestamp("2021-05-30"), media_id="m")
    frame = frame[~frame["path"].str.endswith("1.jpg")]
    images = load_megadetector(results, labels=frame)
    assert images.target.tolist() == ["fox", "fox"]
    assert images.groups.tolist() == ["north", "north"]
    assert images.frame["time"].dt.year.tolist() == [2021, 2021]
    assert images.frame["media_id"].tolist() == ["m", "m"]
    assert counted(images)["images or boxes without a label"] == 1
    twice = pd.concat([frame, frame.assign(label="hare")])
    with pytest.raises(ValueError, match="paths with several labels"):
        load_megadetector(results, labels=twice)
    with pytest.raises(ValueError, match="both label= and labels="):
        load_megadetector(results, labels=frame, label=0)
    with pytest.raises(ValueError, match="must be a DataFrame"):
        load_megadetector(results, labels=frame[["path"]])


@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.55, 0.95])
def test_threshold(results, threshold):
    images = load_megadetector(results, threshold=threshold, keep=["unclassified", "blank"])
    boxes = [
        d["conf"]
        for image in IMAGES
        for d in image.get("detections") or []
        if d["category"] == "1" and "mp4" not in image["file"]
    ]
    # The column is there where any box is.
    found = images.frame.get("detection_confidence", pd.Series(dtype=float)).dropna().tolist()
    assert sorted(found) == sorted(conf for conf in boxes if conf >= threshold)
    # An image that loses its last box is one in which nothing was found.
    assert set(names(images)) == {"1.jpg", "2.jpg", "3.jpg", "4.jpg", "7.jpg"}


@pytest.mark.parametrize(
    ("info", "n"),
    [
        ({}, 1),  # MegaDetector 4, which needs 0.8
        ({"detector": "md_v4.1.0.pb"}, 1),
        ({"detector": "md_v5b.0.0.pt"}, 3),
        ({"detector": "md_v4", "detector_metadata": {"typical_detection_threshold": 0.55}}, 2),
        ({"detector_metadata": {"typical_detection_threshold": 0.03}}, 5),
    ],
)
def test_recommended_thresholds(results, info, n):
    write(results.parent, info=info)
    assert len(load_megadetector(results).data) == n


@pytest.mark.parametrize(
    ("categories", "n"), [("animal", 3), (None, 4), ("person", 1), (["animal", "person"], 4)]
)
def test_categories(results, categories, n):
    assert len(load_megadetector(results, categories=categories).data) == n
    with pytest.raises(ValueError, match=r"contains 'cat'.*boxes of 'animal', 'person'"):
        load_megadetector(results, categories="cat")


CLASSIFIED = [
    {"file": "fox/1.jpg", "detections": [
        box(0.9, classifications=[["3", 0.7], ["0", 0.2], ["1", 0.1]]),
        box(0.8),
        box(0.8, "2"),
    ]},
    {"file": "fox/2.jpg", "detections": [box(0.9, classifications=[["7", 0.6], ["0", 0.4]])]},
    {"file": "hare/3.jpg", "detections": [
        box(0.9, classifications=[["1", 0.6]]), box(0.7, classifications=[["0", 0.6]]),
    ]},
]  # fmt: skip
CLASSES = {"0": "fox", "1": "hare", "3": "wolf", "7": "blank"}


def test_labels_of_a_classifier(results):
    write(results.parent, CLASSIFIED, classification_categories=CLASSES)
    images = load_megadetector(results, machine_labels=True, categories=None)
    # The second box is an animal that was not classified.
    assert images.target.tolist() == ["wolf", "person", "hare", "fox"]
    assert images.frame["probability"].fillna(-1).tolist() == [0.7, -1, 0.6, 0.6]
    assert images.frame["probability_fox"].fillna(-1).tolist() == [0.2, -1, -1, 0.6]
    assert counted(images)["blank images"] == 1
    # They are not used unasked, and boxes are there all the same.
    images = load_megadetector(results)
    assert images.target.tolist() == [None] * 5
    assert not any(name.startswith("probability") for name in images.frame)
    assert counted(images)["labels by a machine"] == 4


def test_whole_images_need_a_rule_for_several_labels(results):
    write(results.parent, CLASSIFIED[2:], classification_categories=CLASSES)
    matrix = load_megadetector(
        results, machine_labels=True, boxes=False, several_labels="multilabel"
    )
    assert matrix.target.tolist() == [[1, 1]]
    with pytest.raises(ValueError, match="several labels"):
        load_megadetector(results, machine_labels=True, boxes=False)


def test_categories_of_the_detector_as_labels(results):
    images = load_megadetector(results, machine_labels=True, categories=None)
    assert images.target.tolist() == ["animal", "person", "animal", "animal"]


def test_classes_that_addaxai_writes_in_place_of_categories(results):
    named = {"2": "person", "3": "vehicle", "4": "fox", "5": "hare", "1": "unidentified animal"}
    images = [
        {"file": "fox/1.jpg", "detections": [
            # The classifier is surer of the species than the detector of the animal.
            box(0.97, "4", classifications=[["1", 0.97], ["2", 0.03]],
                prev_conf=0.3, prev_category="1"),
            box(0.1, "4", prev_conf=0.9, prev_category="1", classifications=[["1", 0.1]]),
            box(0.9, "2"),
        ]},
        {"file": "fox/2.jpg", "detections": [box(0.8, classifications=[["2", 0.2]])]},
        {"file": "hare/3.jpg", "detections": [box(1.0, "5")]},  # drawn by a person
        {"file": "hare/4.jpg", "detections": [box(0.8)]},
    ]  # fmt: skip
    content = {"detection_categories": named, "classification_categories": {"1": "fox", "2": "ox"}}
    boxes = load_megadetector(write(results.parent, images, **content))
    assert boxes.frame["detection_category"].tolist() == [*["animal"] * 3, "hare", "animal"]
    assert boxes.frame["detection_confidence"].tolist() == [0.3, 0.9, 0.8, 1.0, 0.8]
    assert boxes.target.tolist() == [None] * 5
    assert counted(boxes)["boxes of other categories"] == 1
    boxes = load_megadetector(results, machine_labels=True)
    assert boxes.target.tolist() == ["fox", "fox", "ox", "hare"]
    assert boxes.frame["probability"].fillna(-1).tolist() == [0.97, 0.1, 0.2, -1]


def test_a_detector_of_species_and_people(results):
    path = write(results.parent, detection_categories={"1": "fox", "2": "person"})
    assert load_megadetector(path, machine_labels=True).target.tolist() == ["fox"] * 3
    people = load_megadetector(path, machine_labels=True, categories="person")
    assert people.target.tolist() == ["person"]


def test_a_detector_of_species(results):
    path = write(results.parent, detection_categories={"1": "fox", "2": "hare"})
    assert load_megadetector(path, machine_labels=True).target.tolist() == [
        "fox",
        "hare",
        "fox",
        "fox",
    ]


FOX = "u;mammalia;carnivora;canidae;vulpes;vulpes;red fox"
SPECIESNET = [
    {"filepath": "fox/1.jpg", "prediction": FOX, "prediction_score": 0.9,
     "classifications": {"classes": [FOX, "u;;;;;;blank"], "scores": [0.9, 0.05]},
     "detections": [box(0.8, label="animal"), box(0.05, label="animal")]},
    {"filepath": "fox/2.jpg", "prediction": "u;;;;;;blank", "prediction_score": 0.99,
     "detections": []},
    {"filepath": "hare/3.jpg", "prediction": "u;;;;;;animal", "detections": [box(0.7)]},
    {"filepath": "hare/4.jpg", "failures": ["CLASSIFIER"], "detections": [box(0.7)]},
    {"filepath": "hare/5.jpg", "prediction": "u;mammalia;primates;hominidae;homo;sapiens;human",
     "detections": [box(0.7, "2")]},
    {"filepath": "hare/6.jpg", "prediction": "u;;;;;;no cv result", "detections": [box(0.7)]},
    {"filepath": "hare/7.jpg", "prediction": "u;aves;;;;;bird", "detections": [box(0.1)]},
]  # fmt: skip


def test_speciesnet(results):
    path = results.parent / "speciesnet.json"
    path.write_text(json.dumps({"predictions": SPECIESNET}))
    keep = ["blank", "unknown", "unclassified", "failed"]
    images = load_megadetector(path, machine_labels=True, keep=keep, categories=None)
    found = dict(zip(names(images), zip(images.frame["status"], images.target)))
    assert found == {
        "1.jpg": ("labeled", "vulpes vulpes"),
        "2.jpg": ("blank", "blank"),
        "3.jpg": ("unknown", "unknown"),
        "4.jpg": ("failed", None),
        "5.jpg": ("labeled", "homo sapiens"),
        "6.jpg": ("unclassified", None),
        "7.jpg": ("blank", "blank"),
    }
    assert images.frame["probability_vulpes vulpes"][0] == 0.9
    assert load_megadetector(path, machine_labels=True).target.tolist() == ["vulpes vulpes"]
    assert len(load_megadetector(path).data) == 3  # boxes of 1, 3 and 6
    whole = load_megadetector(path, machine_labels=True, boxes=False)
    assert whole.target.tolist() == ["vulpes vulpes", "homo sapiens", "aves"]


def test_paths_of_another_machine_keep_their_folders(results):
    images = [{**image, "file": "/home/kyra/" + image["file"]} for image in IMAGES[:1]]
    path = write(results.parent, images)
    with pytest.raises(ValueError, match=r"1 are not there .*/home/kyra/fox/1.jpg does not exist"):
        load_megadetector(path, label=0)
    found = load_megadetector(path, label=0, root=results.parent)
    assert found.target.tolist() == ["fox"]


def with_image(**change):
    return [{**IMAGES[0], **change}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"images": {}}, r"images: expected a list \[...\]. Got {}"),
        ({"images": [3]}, r"images\[0\]: expected an object"),
        ({"images": [{"detections": []}]}, r"images\[0\]\.file: expected a text"),
        ({"images": with_image(detections=3)}, r"images\[0\]\.detections: expected a list"),
        ({"images": with_image(detections=[box("high")])}, r"detections\[0\]\.conf: expected a n"),
        ({"images": with_image(detections=[box(None)])}, r"Got null"),
        ({"images": with_image(detections=[{**box(1), "bbox": [1, 2]}])}, "expected 4 numbers"),
        ({"images": with_image(detections=[{**box(1), "bbox": [1, 2, 3, "x"]}])}, "Got \"x\""),
        ({"images": with_image(detections=[{**box(1), "bbox": [10, 20, 30, 40]}])}, "not inside"),
        ({"images": with_image(detections=[box(1, classifications=[["9", 1]])])}, "class '9'"),
        ({"images": with_image(detections=[box(1, classifications=[["9"]])])}, "pairs"),
        ({"detection_categories": ["animal"]}, "detection_categories: expected an object"),
    ],
)  # fmt: skip
def test_malformed_results(results, content, message):
    write(results.parent, **content)
    with pytest.raises(ValueError, match=message):
        load_megadetector(results)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"images": [', '{"annotations": []}', "NaN"])
def test_what_is_no_result(tmp_path, text):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(ValueError, match=r"r\.json.*"):
        load_megadetector(tmp_path / "r.json")


def test_numbers_that_are_none(results):
    text = results.read_text().replace("0.93", "NaN", 1)
    results.write_text(text)
    with pytest.raises(ValueError, match=r"conf: expected a number. Got NaN"):
        load_megadetector(results)
    with pytest.raises(ValueError, match="'threshold' parameter of load_megadetector"):
        load_megadetector(results, threshold=20)


@pytest.mark.parametrize("name", ["animl", "with_classifications"])
def test_samples(samples, name):
    path = samples / "megadetector" / f"{name}.json"
    content = json.loads(path.read_text())
    classes = content["classification_categories"]
    expected, failed = Counter(), 0
    for image in content["images"]:
        failed += image.get("failure") is not None
        for found in image.get("detections") or []:
            if found["category"] == "1" and found["conf"] >= 0.1 and "classifications" in found:
                best = max(found["classifications"], key=lambda pair: pair[1])
                expected[classes[best[0]]] += 1
    images = load_megadetector(path, threshold=0.1, machine_labels=True, missing="report")
    assert Counter(images.report.missing["label"]) == expected
    assert counted(images).get("images that a program could not read", 0) == failed
    assert np.isfinite(images.report.missing["box_x"]).all()


def test_annotations_of_coco_are_named(pictures):
    path = pictures({"1.jpg": 1}) / "coco.json"
    content = {"images": [], "annotations": [], "categories": []}
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"as of COCO.*Use load_coco"):
        load_megadetector(path)


def test_boxes_without_a_class_beside_others_are_counted(pictures):
    root = pictures({"1.jpg": 1})
    detections = [box(0.9, classifications=[["0", 0.8]]), box(0.8)]
    path = write(
        root,
        [{"file": "1.jpg", "detections": detections}],
        classification_categories={"0": "fox"},
    )
    images = load_megadetector(path, machine_labels=True)
    assert images.target.tolist() == ["fox"]
    assert counted(images)["boxes without a label"] == 1


@pytest.mark.parametrize("below", [False, True])
def test_labels_by_relative_paths(results, tmp_path, below):
    names = ["fox/1.jpg", "fox\\2.jpg" if below else "fox/2.jpg", "hare/3.jpg"]
    labels = pd.DataFrame({"path": names, "label": ["fox", "hare", "hare"]})
    root = results.parent if below else None
    images = load_megadetector(results, labels=labels, root=root)
    assert images.target.tolist() == ["fox", "hare", "hare"]  # two boxes in the second
    with pytest.raises(ValueError, match=r"2 paths, such as .*x\.jpg, and none is that of an"):
        load_megadetector(
            results, labels=pd.DataFrame({"path": ["x.jpg", "y.jpg"], "label": ["fox", "hare"]})
        )


def test_classes_that_are_no_species(results):
    classes = {"0": "fox", "1": "animal", "2": "no cv result", "3": "Blank"}
    images = [
        {"file": f"fox/{i}.jpg", "detections": [box(0.9, classifications=[[key, 0.9]])]}
        for i, key in zip((1, 2), "01")
    ] + [
        {"file": f"hare/{i}.jpg", "detections": [box(0.9, classifications=[[key, 0.9]])]}
        for i, key in zip((3, 4), "23")
    ]
    path = write(results.parent, images, classification_categories=classes)
    boxes = load_megadetector(path, machine_labels=True)
    assert boxes.target.tolist() == ["fox"]
    kept = load_megadetector(path, machine_labels=True, keep=["unclassified"])
    assert kept.target.tolist() == ["fox", None]
    assert counted(boxes) == {
        "images of something unknown": 1,
        "images or boxes without a label": 1,
        "blank images": 1,
    }
