"""write_predictions: all probabilities, by file, as the loaders and the standards read them."""

import csv
import json
import os
import re
import stat
import uuid
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.multioutput import MultiOutputClassifier

from skcnn._utils import BOX_COLUMNS
from skcnn.datasets import (
    _write_predictions,
    load_camtrap_dp,
    load_image_folder,
    load_image_table,
    load_megadetector,
    write_predictions,
)

CLASSES = np.array(["blank", "fox", "hare | rabbit"])


class ByName(ClassifierMixin, BaseEstimator):
    """A classifier whose probabilities depend on path and box alone, with NaN for "bad" files."""

    def __init__(self, classes=CLASSES):
        self.classes = classes
        self.classes_ = classes
        self.seen = []

    def predict_proba(self, X):
        self.seen.append(X)
        rows = X.to_numpy() if isinstance(X, pd.DataFrame) else np.asarray(X).reshape(len(X), -1)
        found = []
        for row in rows:
            seed = sum(map(ord, str(row[0]))) + sum(int(1000 * float(v)) for v in row[1:])
            found.append(np.random.RandomState(seed).dirichlet(np.ones(len(self.classes))))
            if "bad" in str(row[0]):
                found[-1] = np.full(len(self.classes), np.nan)
        return np.array(found)


FILES = {"hill/1.jpg": 1, "hill/2.jpg": 2, "lake/3.jpg": 3, "lake/bad.jpg": 4}


@pytest.fixture
def photos(pictures):
    photos = load_image_folder(pictures(FILES))
    times = pd.to_datetime([f"2021-05-30 10:00:{i:02}" for i in range(4)])
    photos.frame = photos.frame.assign(
        group=["d1", "d1", "d2", "d2"],
        time=times,
        media_id=["m1", "m2", "m3", "m4"],
        deployment_id=["d1", "d1", "d2", "d2"],
        sequence=["e1", "e1", "e2", None],
    )
    return photos


@pytest.fixture
def crops(photos):
    """Two boxes in the first image, one in each of the others; rows of a file are not together."""
    frame = pd.concat([photos.frame, photos.frame[:1]], ignore_index=True)
    boxes = np.tile([0.1, 0.2, 0.3, 0.4], (5, 1))
    boxes[4] = [0.5, 0.5, 0.25, 0.25]
    frame[list(BOX_COLUMNS)] = boxes
    return frame.assign(detection_confidence=[0.9, 0.8, 0.7, 0.6, 0.01])


def lines_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def expected(X):
    return ByName().predict_proba(X)


# --- CSV


def test_csv(photos, tmp_path):
    path = write_predictions(tmp_path / "p.csv", ByName(), photos.frame)
    assert path == tmp_path / "p.csv"
    rows = lines_of(path)
    assert [row["path"] for row in rows] == photos.data.tolist()
    found = np.array([[row[f"probability_{name}"] or "nan" for name in CLASSES] for row in rows])
    np.testing.assert_array_equal(found.astype(float), expected(photos.data))
    best = expected(photos.data)[:3].argmax(axis=1)
    assert [row["prediction"] for row in rows] == [*CLASSES[best], ""]
    np.testing.assert_array_equal(
        [float(row["probability"]) for row in rows[:3]], expected(photos.data)[:3].max(axis=1)
    )
    assert rows[3]["probability"] == rows[3]["probability_fox"] == ""
    assert [row["media_id"] for row in rows] == ["m1", "m2", "m3", "m4"]
    assert rows[0]["label"] == "hill"


def test_csv_without_the_probabilities_of_all_classes(photos, tmp_path):
    whole, short = tmp_path / "whole.csv", tmp_path / "short.csv"
    write_predictions(whole, ByName(), photos.frame)
    write_predictions(short, ByName(), photos.frame, all_classes=False)
    names = [f"probability_{name}" for name in CLASSES]
    pd.testing.assert_frame_equal(pd.read_csv(short), pd.read_csv(whole).drop(columns=names))
    with pytest.raises(ValueError, match="'megadetector' always has all classes"):
        write_predictions(tmp_path / "p.json", ByName(), photos.frame, all_classes=False)


def test_csv_read_with_the_loader(crops, tmp_path):
    write_predictions(tmp_path / "p.csv", ByName(), crops)
    read = load_image_table(
        tmp_path / "p.csv", label="prediction", group="group", time="time",
        box=BOX_COLUMNS, box_format="xywh", box_unit="fraction", keep="unclassified",
    )  # fmt: skip
    assert read.data["path"].tolist() == crops["path"].tolist()
    np.testing.assert_allclose(
        read.data[list(BOX_COLUMNS)].to_numpy(), crops[list(BOX_COLUMNS)].to_numpy()
    )
    assert read.frame["time"].tolist() == crops["time"].tolist()
    probabilities = expected(crops[["path", *BOX_COLUMNS]])
    names = [None if np.isnan(row).any() else CLASSES[row.argmax()] for row in probabilities]
    assert read.target.tolist() == names


@pytest.mark.parametrize("form", ["list", "array", "series", "data", "one", "pathlike"])
def test_forms_of_x(photos, tmp_path, form):
    paths = photos.data.tolist()
    X = {
        "list": paths,
        "array": np.array(paths),
        "series": pd.Series(paths, index=[9, 8, 7, 6]),
        "data": pd.DataFrame({"path": paths}),
        "one": paths[0],
        "pathlike": [Path(path) for path in paths],
    }[form]
    path = write_predictions(tmp_path / "p.csv", ByName(), X)
    rows = lines_of(path)
    assert [row["path"] for row in rows] == (paths[:1] if form == "one" else paths)


def test_arrays_of_images_with_their_frame(photos, tmp_path):
    images = np.stack([np.asarray(Image.open(path)) for path in photos.data])
    clf = LogisticRegression(max_iter=5).set_params(tol=1.0)
    flat = images.reshape(4, -1)
    clf.fit(flat, ["a", "b", "a", "b"])
    path = write_predictions(tmp_path / "p.csv", clf, flat, frame=photos.frame)
    rows = lines_of(path)
    found = [[float(row[f"probability_{name}"]) for name in "ab"] for row in rows]
    np.testing.assert_array_equal(found, clf.predict_proba(flat))
    with pytest.raises(ValueError, match="Pass a DataFrame with a column 'path'"):
        write_predictions(tmp_path / "p.csv", clf, flat)
    with pytest.raises(ValueError, match="X has 4 rows, and frame has 3"):
        write_predictions(tmp_path / "p.csv", clf, flat, frame=photos.frame[:3])


def test_what_the_classifier_gets(photos, crops, tmp_path):
    clf = ByName()
    write_predictions(tmp_path / "p.csv", clf, photos.frame)
    assert isinstance(clf.seen[-1], np.ndarray)
    write_predictions(tmp_path / "p.csv", clf, crops)
    assert clf.seen[-1].columns.tolist() == ["path", *BOX_COLUMNS]
    named = DummyClassifier().fit(crops[["path", "group"]], list("aabba"))
    named.predict_proba = lambda X: (named.seen.append(X), np.full((len(X), 2), 0.5))[1]
    named.seen = []
    write_predictions(tmp_path / "p.csv", named, crops)
    assert named.seen[-1].columns.tolist() == ["path", "group"]


@pytest.mark.parametrize("format", ["csv", "megadetector", "camtrap_dp"])
def test_chunks_do_not_matter(crops, tmp_path, monkeypatch, format):
    options = {"format": format, "time_zone": "+00:00"}
    whole = write_predictions(tmp_path / "whole", ByName(), crops, **options).read_text()
    monkeypatch.setattr(_write_predictions, "_CHUNK", 2)
    clf = ByName()
    parts = write_predictions(tmp_path / "parts", clf, crops, **options).read_text()
    assert [len(X) for X in clf.seen] == [2, 2, 1]
    moments = r"[\d-]{10}[T ][\d:]{8}Z?|[0-9a-f-]{36}"
    assert re.sub(moments, "", parts) == re.sub(moments, "", whole)


def test_paths_below_a_root(photos, tmp_path):
    root = tmp_path / "pictures"
    path = write_predictions(tmp_path / "p.csv", ByName(), photos.data, root=root)
    assert [row["path"] for row in lines_of(path)] == list(FILES)
    with pytest.raises(ValueError, match=r"2 files are not in root=.*lake.3\.jpg"):
        write_predictions(tmp_path / "p.csv", ByName(), photos.data, root=root / "hill")


# --- MegaDetector


def check_megadetector(content):
    """Check what the published format requires."""
    assert set(content) == {"info", "detection_categories", "classification_categories", "images"}
    assert float(content["info"]["format_version"]) >= 1.0
    assert isinstance(content["info"]["format_version"], str)
    for names in ("detection_categories", "classification_categories"):
        for key, name in content[names].items():
            assert str(int(key)) == key
            assert name
    files = [image["file"] for image in content["images"]]
    assert len(set(files)) == len(files)
    for image in content["images"]:
        assert "\\" not in image["file"]
        if image.get("failure") is not None:
            assert isinstance(image["failure"], str)
            assert image["detections"] is None
            continue
        for detection in image["detections"]:
            assert detection["category"] in content["detection_categories"]
            assert 0 <= detection["conf"] <= 1
            x, y, width, height = detection["bbox"]
            assert min(x, y, width, height) >= 0
            assert max(x + width, y + height) <= 1 + 1e-9
            pairs = detection.get("classifications", [])
            assert all(key in content["classification_categories"] for key, _ in pairs)
            scores = [score for _, score in pairs]
            assert scores == sorted(scores, reverse=True)


def test_megadetector_of_whole_images(photos, tmp_path):
    path = write_predictions(
        tmp_path / "p.json", ByName(), photos.frame, root=tmp_path / "pictures"
    )
    content = json.loads(path.read_text())
    check_megadetector(content)
    assert [image["file"] for image in content["images"]] == list(FILES)
    assert "failure" in content["images"][3]
    probabilities = expected(photos.data)
    for image, row in zip(content["images"][:3], probabilities):
        (detection,) = image["detections"]
        assert detection["bbox"] == [0, 0, 1, 1]
        assert detection["conf"] == pytest.approx(1 - row[0], abs=1e-6)
        assert len(detection["classifications"]) == 3  # nothing is dropped
    read = load_megadetector(
        path,
        root=tmp_path / "pictures",
        threshold=0,
        machine_labels=True,
        keep=["blank", "failed"],
    )
    best = CLASSES[probabilities[:3].argmax(axis=1)].tolist()
    assert read.target.tolist() == [*best, None]
    for name, column in zip(CLASSES, probabilities[:3].T):
        np.testing.assert_allclose(read.frame[f"probability_{name}"][:3], column, atol=1e-6)


def test_megadetector_of_boxes(crops, tmp_path):
    path = write_predictions(tmp_path / "p.json", ByName(), crops, classified_by="my net 1")
    content = json.loads(path.read_text())
    check_megadetector(content)
    assert content["info"]["classifier"] == "my net 1"
    assert [len(image["detections"] or []) for image in content["images"]] == [2, 1, 1, 0]
    read = load_megadetector(path, threshold=0, machine_labels=True, keep=["blank", "failed"])
    order = [0, 4, 1, 2, 3]  # boxes of a file are together
    assert read.frame["path"].tolist() == crops["path"].iloc[order].tolist()
    np.testing.assert_allclose(
        read.data[list(BOX_COLUMNS)].to_numpy()[:4],
        crops[list(BOX_COLUMNS)].iloc[order[:4]].to_numpy(),
    )
    confidence = crops["detection_confidence"].iloc[order[:4]]
    np.testing.assert_allclose(read.frame["detection_confidence"][:4], confidence)
    probabilities = expected(crops[["path", *BOX_COLUMNS]])[order]
    for name, column in zip(CLASSES, probabilities[:4].T):
        np.testing.assert_allclose(read.frame[f"probability_{name}"][:4], column, atol=1e-6)


def test_megadetector_without_a_class_for_nothing(photos, tmp_path):
    frame = photos.frame.assign(detection_category=["animal", "person", "vehicle", "animal"])
    clf = ByName(np.array([1, 2]))
    content = json.loads(write_predictions(tmp_path / "p.json", clf, frame).read_text())
    check_megadetector(content)
    assert [image["detections"][0]["conf"] for image in content["images"][:3]] == [1.0] * 3
    assert [image["detections"][0]["category"] for image in content["images"][:3]] == [
        "1",
        "2",
        "3",
    ]
    assert content["classification_categories"] == {"0": "1", "1": "2"}


# --- Camtrap DP

REQUIRED = ("observationID", "deploymentID", "eventStart", "eventEnd", "observationLevel",
            "observationType")  # fmt: skip
CHOICES = {
    "observationLevel": {"media", "event"},
    "observationType": {"animal", "human", "vehicle", "blank", "unknown", "unclassified"},
    "classificationMethod": {"human", "machine"},
}


def check_observations(path, header):
    """Check what the published schema of the table requires."""
    rows = lines_of(path)
    assert list(rows[0]) == header
    identifiers = [row["observationID"] for row in rows]
    assert len(set(identifiers)) == len(rows)
    for row in rows:
        assert all(row[name] for name in REQUIRED)
        assert all(row[name] in values for name, values in CHOICES.items())
        assert row["mediaID"]  # of observations of the level media
        for name in ("eventStart", "eventEnd", "classificationTimestamp"):
            datetime.strptime(row[name], "%Y-%m-%dT%H:%M:%S%z")
        for name in ("bboxX", "bboxY", "bboxWidth", "bboxHeight", "classificationProbability"):
            assert row[name] == "" or 0 <= float(row[name]) <= 1
        assert (row["scientificName"] == "") == (row["observationType"] not in ("animal",))
    return rows


HEADER = [
    "observationID", "deploymentID", "mediaID", "eventID", "eventStart", "eventEnd",
    "observationLevel", "observationType", "cameraSetupType", "scientificName", "count",
    "lifeStage", "sex", "behavior", "individualID", "individualPositionRadius",
    "individualPositionAngle", "individualSpeed", "bboxX", "bboxY", "bboxWidth", "bboxHeight",
    "classificationMethod", "classifiedBy", "classificationTimestamp",
    "classificationProbability", "observationTags", "observationComments",
]  # fmt: skip


def test_header_is_that_of_the_sample(samples):
    text = (samples / "camtrap-dp" / "observations.csv").read_text("utf-8-sig")
    assert text.splitlines()[0].split(",") == HEADER


def test_camtrap_dp(crops, tmp_path):
    path = write_predictions(
        tmp_path / "observations.csv", ByName(), crops, format="camtrap_dp", time_zone="+02:00",
        scientific_names={"fox": "Vulpes vulpes"}, classified_by="my net 1",
    )  # fmt: skip
    rows = check_observations(path, HEADER)
    assert [row["mediaID"] for row in rows] == ["m1", "m2", "m3", "m4", "m1"]
    assert [row["eventID"] for row in rows] == ["e1", "e1", "e2", "", "e1"]
    assert rows[0]["eventStart"] == "2021-05-30T08:00:00Z"
    assert {row["classifiedBy"] for row in rows} == {"my net 1"}
    probabilities = expected(crops[["path", *BOX_COLUMNS]])
    for row, p in zip(rows, probabilities):
        if np.isnan(p).any():
            assert row["observationType"] == "unclassified"
            assert row["observationComments"] == "The image could not be read"
            continue
        label = CLASSES[p.argmax()]
        assert row["observationType"] == ("blank" if label == "blank" else "animal")
        assert row["scientificName"] == {"fox": "Vulpes vulpes", "blank": ""}.get(label, label)
        assert float(row["classificationProbability"]) == p.max()
        assert row["observationTags"].count("probability_") == 3
        uuid.UUID(row["observationID"])


def test_camtrap_dp_read_with_the_loader(crops, tmp_path):
    root = tmp_path / "pictures"
    (root / "media.csv").write_text(
        "mediaID,deploymentID,timestamp,filePath,fileMediatype\n"
        + "".join(
            f"m{i + 1},d{1 + i // 2},2021-05-30T10:00:0{i}Z,{name},image/jpeg\n"
            for i, name in enumerate(FILES)
        )
    )
    write_predictions(
        root / "observations.csv", ByName(), crops, format="camtrap_dp", time_zone="+00:00"
    )
    resources = [{"name": name, "path": f"{name}.csv"} for name in ("media", "observations")]
    (root / "datapackage.json").write_text(json.dumps({"resources": resources}))
    read = load_camtrap_dp(root, machine_labels=True, keep=["blank", "unclassified"])
    frame = read.frame.sort_values(["media_id", "box_x"]).reset_index(drop=True)
    order = [0, 4, 1, 2, 3]
    probabilities = expected(crops[["path", *BOX_COLUMNS]])[order]
    # A blank image has no box, and the image that could not be read is unclassified.
    names = [None if np.isnan(p).any() else CLASSES[p.argmax()] for p in probabilities]
    assert frame["label"].tolist() == names
    assert frame["sequence"].tolist() == ["e1", "e1", "e1", "e2", None]
    for i, name in enumerate(["blank", "fox", "hare/rabbit"]):
        np.testing.assert_allclose(
            frame[f"probability_{name}"][:4].astype(float), probabilities[:4, i], rtol=1e-5
        )
    with pytest.raises(ValueError, match="labels by a machine"):
        load_camtrap_dp(root)


def test_camtrap_dp_of_other_images(photos, tmp_path):
    frame = photos.frame.drop(columns=["media_id", "deployment_id", "sequence"])
    clf = ByName(np.array(["Homo sapiens", "vehicle"]))
    path = write_predictions(
        tmp_path / "o.csv", clf, frame, format="camtrap_dp", time_zone="Europe/Amsterdam",
        root=tmp_path / "pictures",
    )  # fmt: skip
    rows = lines_of(path)
    assert [row["mediaID"] for row in rows] == list(FILES)
    assert [row["deploymentID"] for row in rows] == ["d1", "d1", "d2", "d2"]
    assert rows[0]["eventStart"] == "2021-05-30T08:00:00Z"
    assert {row["observationType"] for row in rows[:3]} <= {"human", "vehicle"}


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"time": None}, {}, "needs times"),
        ({"time": ["2021"] * 4}, {}, "pandas.to_datetime"),
        ({"time": [pd.NaT, *[pd.Timestamp("2021")] * 3]}, {}, r"1 have none, such as .*1\.jpg"),
        ({}, {"time_zone": None}, "pass time_zone="),
        ({}, {"time_zone": "Mars/Base"}, "'time_zone' parameter"),
        ({"deployment_id": ["d1", None, "d2", "d2"]}, {}, r"1 have none, such as .*2\.jpg"),
    ],
)
def test_what_camtrap_dp_needs(photos, tmp_path, change, options, message):
    frame = photos.frame.assign(**change)
    options = {"time_zone": "+00:00", **options}
    with pytest.raises(ValueError, match=message):
        write_predictions(tmp_path / "o.csv", ByName(), frame, format="camtrap_dp", **options)
    assert not (tmp_path / "o.csv").exists()


@pytest.mark.parametrize("columns", [["time"], ["deployment_id", "group"]])
def test_columns_that_camtrap_dp_needs(photos, tmp_path, columns):
    frame = photos.frame.drop(columns=columns)
    with pytest.raises(ValueError, match=f"needs the (time|deployment).*column {columns[0]}"):
        write_predictions(
            tmp_path / "o.csv", ByName(), frame, format="camtrap_dp", time_zone="+00:00"
        )


# --- From files to files


@pytest.mark.parametrize("boxed", [False, True])
def test_a_network_trained_on_what_a_loader_returns(pictures, tmp_path, boxed):
    from skcnn import ConvNetClassifier

    root = pictures({f"{name}/{i}.png": i for i, name in enumerate(["fox", "hare"] * 6)})
    bunch = load_image_folder(root)
    if boxed:
        images = [
            {"file": f"{label}/{Path(path).name}",
             "detections": [{"category": "1", "conf": 0.9, "bbox": [0.25, 0.25, 0.5, 0.5]}]}
            for path, label in zip(bunch.data, bunch.target)
        ]  # fmt: skip
        content = {"detection_categories": {"1": "animal"}, "images": images}
        (root / "md.json").write_text(json.dumps(content))
        bunch = load_megadetector(root / "md.json", labels=bunch.frame)
    clf = ConvNetClassifier(filters=(4,), max_epochs=1, image_shape=(12, 16), random_state=0)
    clf.fit(bunch.data, bunch.target)
    probabilities = clf.predict_proba(bunch.data)
    # The frame of a loader and its data are the same to a network.
    for X in (bunch.data, bunch.frame):
        rows = lines_of(write_predictions(tmp_path / "p.csv", clf, X))
        found = [[float(row[f"probability_{name}"]) for name in clf.classes_] for row in rows]
        np.testing.assert_array_equal(found, probabilities)
        assert [row["prediction"] for row in rows] == clf.predict(bunch.data).tolist()
    whole = ConvNetClassifier(filters=(4,), max_epochs=1, image_shape=(12, 16), random_state=0)
    whole.fit(bunch.frame["path"], bunch.target)
    assert (whole.predict_proba(bunch.frame["path"]) == probabilities).all() != boxed


# --- The file


class Failing(ByName):
    def predict_proba(self, X):
        if self.seen:
            raise RuntimeError("out of memory")
        return super().predict_proba(X)


def test_an_earlier_file_stays_until_the_new_one_is_complete(photos, tmp_path, monkeypatch):
    path = tmp_path / "p.csv"
    path.write_text("earlier")
    monkeypatch.setattr(_write_predictions, "_CHUNK", 2)
    with pytest.raises(RuntimeError, match="out of memory"):
        write_predictions(path, Failing(), photos.data)
    assert path.read_text() == "earlier"
    assert sorted(os.listdir(tmp_path)) == ["p.csv", "pictures"]
    write_predictions(path, ByName(), photos.data)
    assert path.read_text().startswith("path,")


@pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")
def test_a_link_stays_a_link(photos, tmp_path):
    (tmp_path / "link.csv").symlink_to(tmp_path / "p.csv")
    write_predictions(tmp_path / "link.csv", ByName(), photos.data)
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "p.csv").read_text(encoding="utf-8").startswith("path,")


def test_what_cannot_be_written_is_found_before_predicting(photos, tmp_path):
    clf = ByName()
    with pytest.raises(FileNotFoundError, match=r"the folder .* does not exist"):
        write_predictions(tmp_path / "none" / "p.csv", clf, photos.data)
    (tmp_path / "d.csv").mkdir()
    with pytest.raises(IsADirectoryError):
        write_predictions(tmp_path / "d.csv", clf, photos.data)
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(stat.S_IRUSR | stat.S_IXUSR)
    if not os.access(closed, os.W_OK):
        with pytest.raises(PermissionError):
            write_predictions(closed / "p.csv", clf, photos.data)
    assert clf.seen == []


def test_a_bare_name_is_in_the_current_folder(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert write_predictions("p.csv", ByName(), photos.data) == tmp_path / "p.csv"


def test_wrong_arguments(photos, tmp_path):
    with pytest.raises(ValueError, match=r"cannot tell the format of 'p\.txt'"):
        write_predictions(tmp_path / "p.txt", ByName(), photos.data)
    with pytest.raises(ValueError, match="'format' parameter of write_predictions"):
        write_predictions(tmp_path / "p.csv", ByName(), photos.data, format="excel")
    with pytest.raises(ValueError, match="needs a fitted classifier"):
        write_predictions(tmp_path / "p.csv", DummyClassifier(), photos.data)
    with pytest.raises(ValueError, match=r"Got DummyRegressor\. To write numbers: frame\.assign"):
        write_predictions(tmp_path / "p.csv", DummyRegressor(), photos.data)
    with pytest.raises(ValueError, match="a column 'path'"):
        write_predictions(tmp_path / "p.csv", ByName(), photos.frame.drop(columns="path"))
    with pytest.raises(ValueError, match="1 rows have no path"):
        write_predictions(tmp_path / "p.csv", ByName(), pd.DataFrame({"path": ["a", None]}))
    with pytest.raises(ValueError, match="has only box_x"):
        write_predictions(tmp_path / "p.csv", ByName(), photos.frame.assign(box_x=0.1))


def test_probabilities_of_other_tasks_are_refused(photos, tmp_path):
    X = np.arange(8).reshape(4, 2)
    many = MultiOutputClassifier(DummyClassifier()).fit(X, [[0, 1], [1, 0], [0, 1], [1, 1]])
    with pytest.raises(ValueError, match="predicts several outputs"):
        write_predictions(tmp_path / "p.csv", many, X, frame=photos.frame)
    questions = ByName()
    questions.classes_ = {"species": np.array(["elk", "fox"])}  # as of ConvNetMultiTask
    with pytest.raises(ValueError, match=r"several outputs.*net\.predict\(X\)\.assign"):
        write_predictions(tmp_path / "p.csv", questions, photos.data)
    clf = ByName()
    clf.predict_proba = lambda X: np.full((len(X), 3), 0.9)
    with pytest.raises(ValueError, match=r"sum to 2\.7"):
        write_predictions(tmp_path / "p.csv", clf, photos.data)
    clf.predict_proba = lambda X: np.full((len(X), 2), 0.5)
    with pytest.raises(ValueError, match=r"returned the shape \(4, 2\)"):
        write_predictions(tmp_path / "p.csv", clf, photos.data)


@pytest.mark.parametrize("name", ["predictions.csv", "predictions.json"])
def test_names_that_are_not_unicode(tmp_path, name):
    """As old archives leave them on Linux. Nothing is predicted before this is found."""
    clf = DummyClassifier(strategy="prior").fit([[0], [0]], ["fox", "hare"])
    with pytest.raises(ValueError, match=r"1 names of files or labels are not in UTF-8.*udcfc"):
        write_predictions(tmp_path / name, clf, ["F\udcfcchse/1.jpg", "Füchse/2.jpg"])
    assert list(tmp_path.iterdir()) == []


def test_names_with_ends_of_lines_stay_in_one_cell(tmp_path):
    paths = ["a\r.jpg", "b\n.jpg", "c\r\n.jpg"]
    clf = DummyClassifier().fit(paths, ["fox", "hare", "hare"])
    out = write_predictions(tmp_path / "p.csv", clf, paths)
    with out.open(encoding="utf-8", newline="") as file:
        assert [line["path"] for line in csv.DictReader(file)] == paths
    assert pd.read_csv(out)["path"].tolist() == paths
    assert out.read_bytes().startswith(b"path,prediction,probability,probability_fox,")
