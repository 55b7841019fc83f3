"""load_camtrap_dp: the tables of a package become images with species, site and event."""

import csv
import gzip
import json
import zipfile
from collections import Counter, defaultdict

import numpy as np
import pytest

from skcnn.datasets import load_camtrap_dp

DEPLOYMENTS = "deploymentID,locationID,locationName\nd1,l1,Hill\nd2,l2,Lake\nd3,l1,Hill\n"
MEDIA = """mediaID,deploymentID,captureMethod,timestamp,filePath,filePublic,fileName,fileMediatype
m1,d1,activityDetection,2021-04-11T20:43:09+01:00,media/1.JPG,true,1.JPG,image/jpeg
m2,d1,activityDetection,2021-04-11T20:43:12+01:00,media/2.JPG,true,2.JPG,image/jpeg
m3,d1,timeLapse,2021-04-11T20:43:15+01:00,media/3.JPG,true,3.JPG,image/jpeg
m4,d2,activityDetection,2021-05-11T20:43:09+02:00,media/4.JPG,true,4.JPG,image/jpeg
m5,d2,activityDetection,2021-05-11T20:44:09+02:00,media/5.JPG,true,5.JPG,image/jpeg
m6,d2,activityDetection,2021-05-11T20:45:09+02:00,media/6.MP4,true,6.MP4,video/mp4
m7,d3,activityDetection,2021-05-11T20:45:09+02:00,media/7.JPG,true,7.JPG,image/jpeg
m8,d3,activityDetection,2021-05-11T20:46:09+02:00,media/8.JPG,true,8.JPG,image/jpeg
"""
OBSERVATIONS = """observationID,deploymentID,mediaID,eventID,eventStart,eventEnd,observationLevel,\
observationType,scientificName,count,individualID,bboxX,bboxY,bboxWidth,bboxHeight,\
classificationMethod,classificationProbability
o1,d1,m1,e1,2021-04-11T19:43:09Z,2021-04-11T19:43:09Z,media,animal,Vulpes vulpes,1,fox7,,,,,human,
o2,d1,m1,e1,2021-04-11T19:43:09Z,2021-04-11T19:43:09Z,media,animal,Vulpes vulpes,2,,,,,,human,
o3,d1,m2,e1,2021-04-11T19:43:12Z,2021-04-11T19:43:12Z,media,blank,,,,,,,,human,
o4,d1,,e1,2021-04-11T19:43:09Z,2021-04-11T19:43:15Z,event,animal,Vulpes vulpes,3,,,,,,human,
o5,d2,m4,e2,2021-05-11T18:43:09Z,2021-05-11T18:43:09Z,media,animal,Ardea,1,,0.1,0.2,0.3,0.4,machine,0.9
o6,d2,m5,e2,2021-05-11T18:44:09Z,2021-05-11T18:44:09Z,media,human,,1,,,,,,human,
o7,d2,m6,e2,2021-05-11T18:45:09Z,2021-05-11T18:45:09Z,media,animal,Ardea,1,,,,,,human,
o8,d3,m7,e3,2021-05-11T18:45:09Z,2021-05-11T18:45:09Z,media,unknown,NA,NaN,,,,,,human,
o9,d3,m8,e3,2021-05-11T18:46:09Z,2021-05-11T18:46:09Z,media,animal,,1,,,,,,human,
"""
FILES = {f"media/{i}.JPG": i for i in (1, 2, 3, 4, 5, 7, 8)}


def counted(bunch):
    return dict(zip(bunch.report.notes["what"], bunch.report.notes["n"]))


def write(folder, media=MEDIA, observations=OBSERVATIONS, deployments=DEPLOYMENTS, **content):
    tables = {"deployments": deployments, "media": media, "observations": observations}
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text)
    package = {
        "name": "a package",
        "profile": "https://example.org/camtrap-dp/1.0.2/camtrap-dp-profile.json",
        "resources": [
            *({"name": name, "path": f"{name}.csv"} for name in tables),
            {"name": "individuals", "data": [{"id": 1}]},
        ],
        **content,
    }
    (folder / "datapackage.json").write_text(json.dumps(package))
    return folder


@pytest.fixture
def package(pictures):
    return write(pictures(FILES))


def labels(bunch):
    return dict(zip(bunch.frame["media_id"], bunch.target))


def test_labels_of_images(package):
    images = load_camtrap_dp(package)
    assert labels(images) == {"m1": "Vulpes vulpes", "m2": "blank", "m5": "human"}
    assert images.data.tolist() == [str(package / f"media/{i}.JPG") for i in (1, 2, 5)]
    assert images.groups.tolist() == ["l1", "l1", "l2"]
    frame = images.frame
    assert frame["sequence"].tolist() == ["e1", "e1", "e2"]
    assert frame["time"].map(str).tolist()[0] == "2021-04-11 19:43:09+00:00"
    assert frame["count"].tolist()[0] == 3
    assert frame["individual"].tolist()[0] == "fox7"
    assert frame["deployment_id"].tolist() == ["d1", "d1", "d2"]
    assert counted(images) == {
        "videos": 1,
        "repeated labels": 1,
        "labels by a machine": 1,
        "labels of whole events": 3,
        "images of something unknown": 2,  # unknown, and an animal without a name
        "images or boxes without a label": 2,
    }
    assert "version 1.0.2" in images.DESCR


def test_labels_of_events_are_used_only_when_asked_for(package):
    images = load_camtrap_dp(package, event_labels=True)
    # m3 has no observation, and lies in the event; m2 was seen to be blank, and stays so.
    assert labels(images) == {
        "m1": "Vulpes vulpes",
        "m2": "blank",
        "m3": "Vulpes vulpes",
        "m5": "human",
    }
    assert images.frame.set_index("media_id")["sequence"]["m3"] == "e1"
    assert images.frame.set_index("media_id")["capture_method"]["m3"] == "timeLapse"


def test_labels_by_a_machine_have_boxes(package):
    images = load_camtrap_dp(package, machine_labels=True)
    row = images.frame.set_index("media_id").loc["m4"]
    assert row["label"] == "Ardea"
    assert row["probability"] == 0.9
    np.testing.assert_allclose(images.data.iloc[2, 1:].to_numpy(dtype=float), [0.1, 0.2, 0.3, 0.4])
    whole = load_camtrap_dp(package, machine_labels=True, boxes=False)
    assert labels(whole) == labels(images)
    assert whole.data.ndim == 1


@pytest.mark.parametrize(
    ("group", "expected"),
    [(None, ["l1", "l1", "l2"]), ("deploymentID", ["d1", "d1", "d2"]),
     ("locationName", ["Hill", "Hill", "Lake"])],
)  # fmt: skip
def test_groups(package, group, expected):
    assert load_camtrap_dp(package, group=group).groups.tolist() == expected


def test_groups_without_locations(package):
    write(package, deployments="deploymentID,locationID\nd1,l1\nd2,\nd3,\n")
    assert load_camtrap_dp(package).groups.tolist() == ["d1", "d1", "d2"]
    with pytest.raises(ValueError, match="no column 'habitat'"):
        load_camtrap_dp(package, group="habitat")


def test_other_labels(package):
    images = load_camtrap_dp(package, label="individualID")
    assert labels(images) == {"m1": "fox7", "m2": "blank"}


def test_an_archive_with_compressed_tables(package, tmp_path):
    content = json.loads((package / "datapackage.json").read_text())
    for resource in content["resources"][:3]:
        resource["path"] += ".gz"
    with zipfile.ZipFile(tmp_path / "package.zip", "w") as archive:
        archive.writestr("x/datapackage.json", json.dumps(content))
        for name in ("deployments", "media", "observations"):
            text = (package / f"{name}.csv").read_bytes()
            archive.writestr(f"x/{name}.csv.gz", gzip.compress(b"\xef\xbb\xbf" + text))
    images = load_camtrap_dp(tmp_path / "package.zip", root=package)
    assert labels(images) == labels(load_camtrap_dp(package))


def test_inline_tables_and_tables_in_parts(package):
    rows = list(csv.DictReader(MEDIA.splitlines()))
    head, *lines = OBSERVATIONS.splitlines(keepends=True)
    (package / "o1.csv").write_text(head + "".join(lines[:3]))
    (package / "o2.csv").write_text(head + "".join(lines[3:]))
    expected = labels(load_camtrap_dp(package))
    resources = [
        {"name": "media", "data": rows},
        {"name": "observations", "path": ["o1.csv", "o2.csv"]},
    ]
    write(package, resources=resources)
    assert labels(load_camtrap_dp(package)) == expected


def test_downloaded_files_are_found_by_their_names(package, pictures, tmp_path):
    media = MEDIA
    for i in (1, 2, 4, 5):
        media = media.replace(f"media/{i}.JPG", f"https://a.org/{i}/file")
    write(package, media=media)
    with pytest.raises(FileNotFoundError, match=r"https://a.org/1/file: is on a server: download"):
        load_camtrap_dp(package)
    names = {"m1.JPG": 1, "d1/m2.JPG": 2, "d2/5.JPG": 5}
    root = pictures(names, tmp_path / "downloads")
    images = load_camtrap_dp(package, root=root)
    assert images.data.tolist() == [str(root / name) for name in names]


OLD_MEDIA = """mediaID,deploymentID,sequenceID,captureMethod,timestamp,filePath,fileName,\
fileMediatype
m1,d1,s1,motion detection,2020-07-29T05:29:41Z,media/1.JPG,1.JPG,image/jpeg
m2,d1,s1,motion detection,2020-07-29TTT05:29:42Z,media/2.JPG,2.JPG,image/jpeg
m3,d2,s2,time lapse,2020-07-29T05:29:43Z,media/3.JPG,3.JPG,image/jpeg
"""
OLD_OBSERVATIONS = """observationID,deploymentID,sequenceID,mediaID,timestamp,observationType,\
cameraSetup,scientificName,count,classificationMethod,classificationConfidence
o1,d1,s1,,2020-07-29T05:29:41Z,animal,FALSE,Anas strepera,4,human,
o2,d2,s2,m3,2020-07-29T05:29:43Z,animal,FALSE,Ardea,1,machine,0.75
"""


def test_version_0_1_6(package):
    profile = "https://raw.githubusercontent.com/tdwg/camtrap-dp/0.1.6/camtrap-dp-profile.json"
    write(package, media=OLD_MEDIA, observations=OLD_OBSERVATIONS, profile=profile)
    with pytest.raises(ValueError, match=r"1 labels by a machine .* 2 labels of whole events"):
        load_camtrap_dp(package)
    images = load_camtrap_dp(package, event_labels=True, machine_labels=True)
    assert labels(images) == {"m1": "Anas strepera", "m2": "Anas strepera", "m3": "Ardea"}
    assert images.frame["sequence"].tolist() == ["s1", "s1", "s2"]
    assert images.frame["time"].isna().tolist() == [False, True, False]
    assert images.frame["probability"].tolist()[2] == 0.75
    assert "'2020-07-29TTT05:29:42Z'" in str(images.report.notes["remark"].tolist())
    assert "version 0.1.6" in images.DESCR


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resources": None}, r"resources: expected a list \[...\]. Got null"),
        ({"resources": []}, "no resource named 'media'"),
        ({"resources": [{"name": "media", "path": "../media.csv"}]}, "a file of the package"),
        ({"resources": [{"name": "media", "path": "https://a.org/m.csv"}]}, "Download it"),
        ({"resources": [{"name": "media", "path": 3.5}]}, "3.5"),
        ({"resources": [{"name": "media"}]}, "path: expected a text"),
        ({"media": "mediaID,deploymentID\nm1,d1\n"}, "no column 'filePath'"),
        ({"media": MEDIA + MEDIA.splitlines()[1]}, "mediaID 'm1' 2 times"),
        ({"observations": "deploymentID,observationType\n"}, "no column 'scientificName'"),
        ({"observations": OBSERVATIONS.replace("0.1,0.2", "0.1,oops")}, "contains 'oops'"),
        ({"observations": OBSERVATIONS.replace("0.1,0.2", "100,200")}, "not inside their images"),
    ],
)
def test_damaged_packages(package, change, message):
    write(package, **change)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load_camtrap_dp(package)


@pytest.mark.parametrize(
    "content", ["", "[", "[]", "{}", "\x00", '{"resources": [1]}', "[" * 9999]
)
def test_what_is_no_package(tmp_path, content):
    path = tmp_path / "datapackage.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"datapackage\.json"):
        load_camtrap_dp(path)
    with pytest.raises(ValueError, match=r"datapackage\.json"):
        load_camtrap_dp(tmp_path)


def test_nothing_there(tmp_path):
    with pytest.raises(ValueError, match=r"contains no datapackage\.json.*or write the file: {"):
        load_camtrap_dp(tmp_path)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        load_camtrap_dp(tmp_path / "x")


def test_sample(samples):
    folder = samples / "camtrap-dp"
    tables = {
        name: list(csv.DictReader((folder / f"{name}.csv").read_text("utf-8-sig").splitlines()))
        for name in ("media", "observations", "deployments")
    }
    place = {row["deploymentID"]: row["locationID"] for row in tables["deployments"]}
    seen = defaultdict(set)
    for row in tables["observations"]:
        if row["observationLevel"] == "media" and row["classificationMethod"] == "human":
            kind = row["observationType"]
            seen[row["mediaID"]].add(
                row["scientificName"] or ("" if kind in ("unknown", "unclassified") else kind)
            )
    one = {media: names.copy().pop() for media, names in seen.items() if len(names) == 1}
    expected = Counter(name for name in one.values() if name)
    assert len(expected) == 10
    images = load_camtrap_dp(folder, missing="report")
    listed = images.report.missing
    assert Counter(images.target) + Counter(listed["label"]) == expected
    sites = Counter(
        place[row["deploymentID"]] for row in tables["media"] if one.get(row["mediaID"])
    )
    assert Counter(listed["group"]) == sites
    assert counted(images)["images or boxes with several labels"] == sum(
        len(names) > 1 for names in seen.values()
    )
    assert counted(images)["images of something unknown"] == Counter(one.values())[""]
    events = {row["mediaID"]: row["eventID"] for row in tables["observations"] if row["mediaID"]}
    assert listed["sequence"].tolist() == [events[media] for media in listed["media_id"]]
    # Three of the images that a machine has labeled are there.
    images = load_camtrap_dp(folder, missing="report", machine_labels=True)
    assert images.target.tolist() == ["Ardea"] * 3
    boxes = {row["mediaID"]: float(row["bboxX"]) for row in tables["observations"] if row["bboxX"]}
    assert images.data["box_x"].tolist() == [boxes[media] for media in images.frame["media_id"]]


def test_sample_events_are_those_of_the_rule(samples):
    # All 423 images have an event, by their own observations or by the time.
    images = load_camtrap_dp(
        samples / "camtrap-dp", missing="report", several_labels="rows",
        keep=["blank", "unknown", "unclassified"],
    )  # fmt: skip
    listed = images.report.missing
    everything = set(listed["media_id"]) | set(images.frame["media_id"])
    assert len(everything) == 423
    assert listed["sequence"].notna().all()


def test_observations_without_a_level_are_of_their_image_or_event(pictures):
    root = pictures(FILES)
    write(root, observations=OBSERVATIONS.replace(",event,", ",,").replace(",media,", ",,"))
    images = load_camtrap_dp(root, event_labels=True)
    assert images.frame.set_index("media_id")["label"].to_dict() == {
        "m1": "Vulpes vulpes",
        "m2": "blank",
        "m3": "Vulpes vulpes",
        "m5": "human",
    }


def test_events_that_hold_no_image_are_counted(pictures):
    root = pictures(FILES)
    lines = (
        "o10,d1,,e9,2021-04-11T19:43:09Z,,event,animal,Lepus,1,,,,,,human,\n"
        "o11,d4,,e9,2021-04-11T19:43:09Z,2021-04-11T19:43:09Z,event,animal,Lepus,1,,,,,,human,\n"
    )
    write(root, observations=OBSERVATIONS + lines)
    assert counted(load_camtrap_dp(root))["observations of whole events"] == 2


def test_media_in_the_zip_archive_must_be_unpacked(pictures, tmp_path):
    root = write(pictures(FILES))
    with zipfile.ZipFile(tmp_path / "package.zip", "w") as archive:
        for path in root.rglob("*.*"):
            archive.write(path, f"package/{path.relative_to(root).as_posix()}")
    with pytest.raises(FileNotFoundError, match=r"1\.JPG: is in the zip archive: unpack it"):
        load_camtrap_dp(tmp_path / "package.zip")
    assert len(load_camtrap_dp(tmp_path / "package.zip", root=root).data) == 3


def test_a_table_is_no_package(pictures):
    root = write(pictures(FILES))
    with pytest.raises(ValueError, match="is no package"):
        load_camtrap_dp(root / "media.csv")


def test_words_of_other_programs(pictures):
    text = OBSERVATIONS.replace(",machine,", ",Machine,").replace(",blank,", ",empty,")
    package = write(pictures(FILES), observations=text.replace("unknown,NA", "undefined,NA"))
    images = load_camtrap_dp(package)
    # The label of m4 is by a machine, in whichever case it is written.
    assert labels(images) == {"m1": "Vulpes vulpes", "m2": "blank", "m5": "human"}
    assert counted(images)["labels by a machine"] == 1
    assert counted(images)["observations of another type"] == 1
    assert "'undefined'" in images.report.notes["remark"].iloc[0]
