"""Exports of four programs, as they write them, come out right without naming columns."""

import csv
import io
import zipfile
from collections import Counter

import pandas as pd
import pytest

from skcnn.datasets import load_image_table


def csv_text(*rows, delimiter=","):
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator="\r\n").writerows(rows)
    return text.getvalue()


def counted(bunch):
    return dict(zip(bunch.report.notes["what"], bunch.report.notes["n"]))


# --- Wildlife Insights

WI_COLUMNS = [
    "project_id", "deployment_id", "image_id", "filename", "location", "is_blank",
    "identified_by", "wi_taxon_id", "class", "order", "family", "genus", "species",
    "common_name", "uncertainty", "timestamp", "number_of_objects", "individual_id",
]  # fmt: skip


def wi_row(
    deployment,
    image,
    name,
    blank="0",
    by="Ana",
    rank="",
    genus="",
    species="",
    common="",
    sequence=None,
):
    row = ["1", deployment, image, name, f"gs://bucket/{deployment}/{image}.jpg", blank, by, "t"]
    row += [
        "Aves" if rank else "",
        "",
        rank,
        genus,
        species,
        common,
        "",
        "2021-05-30 10:00:00",
        "2",
        "",
    ]
    return row if sequence is None else [*row, sequence]


WI_ROWS = [
    wi_row("d1", "i1", "IMG_1.JPG", genus="Vulpes", species="vulpes", common="Red Fox"),
    wi_row("d2", "i2", "IMG_1.JPG", genus="Sus", species="scrofa scrofa", common="Wild Boar"),
    wi_row("d2", "i3", "IMG_3.JPG", rank="Cracidae", common="Cracidae Family"),
    wi_row("d2", "i4", "IMG_4.JPG", blank="1", common="Blank"),
    wi_row("d1", "i5", "IMG_5.JPG", common="No CV Result", by="Computer Vision"),
    wi_row("d1", "i6", "IMG_6.JPG", genus="Puma", species="concolor", by="Computer Vision"),
    wi_row("d1", "i7", "IMG_7.JPG", common="Unknown"),
    wi_row("d1", "i8", "IMG_8.JPG", genus="Vulpes", species="vulpes"),
    wi_row("d1", "i8", "IMG_8.JPG", genus="Lepus", species="europaeus"),
]
WI_DEPLOYMENTS = [["deployment_id", "placename"], ["d1", "The hill"], ["d2", "The lake"]]
WI_FILES = {
    "d1/IMG_1.JPG": 1, "d2/IMG_1.JPG": 2, "i3.jpg": 3, "d2/i4.jpg": 4, "IMG_5.JPG": 5,
    "IMG_6.JPG": 6, "IMG_7.JPG": 7, "IMG_8.JPG": 8,
}  # fmt: skip


@pytest.fixture
def insights(pictures, tmp_path):
    """A download as a zip archive, and the folder of the images, in all their places."""
    with zipfile.ZipFile(tmp_path / "wi.zip", "w") as archive:
        archive.writestr("wi/images_1.csv", csv_text(WI_COLUMNS, *WI_ROWS[:4]))
        archive.writestr("wi/images_2.csv", csv_text(WI_COLUMNS, *WI_ROWS[4:]))
        archive.writestr("wi/deployments.csv", csv_text(*WI_DEPLOYMENTS))
        archive.writestr("__MACOSX/wi/._images_1.csv", b"\x00\x05")
    return tmp_path / "wi.zip", pictures(WI_FILES)


def test_wildlife_insights(insights):
    archive, root = insights
    images = load_image_table(archive, preset="wildlife_insights", root=root)
    assert images.target.tolist() == ["Vulpes vulpes", "Sus scrofa scrofa", "Cracidae", "blank"]
    assert images.groups.tolist() == ["The hill", "The lake", "The lake", "The lake"]
    # Two cameras have an IMG_1.JPG; each image is its own.
    names = ["d1/IMG_1.JPG", "d2/IMG_1.JPG", "i3.jpg", "d2/i4.jpg"]
    assert images.data.tolist() == [str(root / name) for name in names]
    assert images.frame["time"].dt.hour.tolist() == [10] * 4
    assert images.frame["count"].tolist() == [2.0] * 4
    assert counted(images) == {
        "labels by a machine": 1,
        "images or boxes with several labels": 1,
        "images of something unknown": 1,
        "images or boxes without a label": 2,
    }


def test_wildlife_insights_names_that_are_no_species(pictures):
    root = pictures({f"IMG_{i}.JPG": i for i in range(1, 7)})
    rows = [
        wi_row("d1", "i1", "IMG_1.JPG", genus="Vulpes", species="vulpes", by="Computer vision"),
        wi_row("d1", "i2", "IMG_2.JPG", common="Vehicle"),
        wi_row("d1", "i3", "IMG_3.JPG", blank="1.0"),
        wi_row("d1", "i4", "IMG_4.JPG", common="CV Failed"),
        wi_row("d1", "i5", "IMG_5.JPG", common="Animal"),
        wi_row("d1", "i6", "IMG_6.JPG", rank="No CV Result", common="No CV Result"),
    ]
    (root / "images.csv").write_text(csv_text(WI_COLUMNS, *rows))
    images = load_image_table(root / "images.csv", preset="wildlife_insights")
    assert images.target.tolist() == ["Vehicle", "blank"]
    assert counted(images) == {
        "labels by a machine": 1,
        "images of something unknown": 1,
        "images or boxes without a label": 3,
    }


def test_wildlife_insights_sequences_that_name_no_species(pictures):
    root = pictures({f"IMG_{i}.JPG": i for i in range(1, 4)})
    rows = [
        wi_row("d1", "i1", "IMG_1.JPG", blank="", sequence="s1"),
        wi_row("d1", "i2", "IMG_2.JPG", blank="", sequence="s2"),
        wi_row("d1", "i3", "IMG_3.JPG", blank="", sequence=""),
    ]
    names = ["sequence_id", "is_blank", "identified_by", "class", "genus", "species"]
    sequences = [
        [*names, "common_name"],
        ["s1", "0", "Ana", "No CV Result", "No CV Result", "No CV Result", "No CV Result"],
        ["s2", "0", "Computer vision", "Mammalia", "Vulpes", "vulpes", "Red Fox"],
        # A line without a sequence is not that of images without one.
        ["", "0", "Ana", "Mammalia", "Lepus", "europaeus", "European Hare"],
    ]
    (root / "images.csv").write_text(csv_text([*WI_COLUMNS, "sequence_id"], *rows))
    (root / "sequences.csv").write_text(csv_text(*sequences))
    keep = ["unclassified"]
    images = load_image_table(
        root / "images.csv", preset="wildlife_insights", event_labels=True, keep=keep
    )
    assert images.target.tolist() == [None, None, None]
    assert counted(images) == {"labels by a machine": 1}


def test_wildlife_insights_with_machine_labels_and_other_names(insights):
    archive, root = insights
    images = load_image_table(
        archive, preset="wildlife_insights", root=root, machine_labels=True,
        several_labels="first", label="common_name",
    )  # fmt: skip
    assert Counter(images.target) == {
        "Red Fox": 1,
        "Wild Boar": 1,
        "Cracidae Family": 1,
        "blank": 1,
    }
    images = load_image_table(
        archive, preset="wildlife_insights", root=root, machine_labels=True, several_labels="rows"
    )
    assert Counter(images.target)["Puma concolor"] == 1
    assert Counter(images.target)["Lepus europaeus"] == 1


def test_wildlife_insights_from_a_folder_a_file_and_a_frame(insights, tmp_path):
    archive, root = insights
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(tmp_path / "unpacked")
    folder = load_image_table(tmp_path / "unpacked", preset="wildlife_insights", root=root)
    assert len(folder.target) == 4
    table = pd.DataFrame(WI_ROWS, columns=WI_COLUMNS)
    frame = load_image_table(table, preset="wildlife_insights", root=root)
    assert frame.target.tolist() == folder.target.tolist()
    assert frame.groups.tolist() == ["d1", "d2", "d2", "d2"]
    (root / "images.csv").write_text(csv_text(WI_COLUMNS, *WI_ROWS))
    (root / "deployments.csv").write_text(csv_text(*WI_DEPLOYMENTS))
    one = load_image_table(root / "images.csv", preset="wildlife_insights")
    assert one.groups.tolist() == folder.groups.tolist()


def test_a_file_name_that_two_cameras_have_is_no_answer(insights):
    archive, root = insights
    (root / "d1/IMG_1.JPG").rename(root / "IMG_1.JPG")
    images = load_image_table(archive, preset="wildlife_insights", root=root, missing="report")
    assert images.report.missing["path"].tolist() == ["gs://bucket/d1/i1.jpg"]


def test_wildlife_insights_labels_of_sequences(pictures, tmp_path):
    rows = [
        wi_row("d1", "i1", "1.JPG", sequence="s1"),
        wi_row("d1", "i2", "2.JPG", sequence="s2"),
        wi_row("d1", "i3", "3.JPG", sequence="s3"),
        wi_row("d1", "i4", "4.JPG", genus="Lepus", sequence="s1"),
    ]
    columns = ["sequence_id", "is_blank", "identified_by", "genus", "species", "common_name"]
    sequences = [
        ["s1", "0", "Ana", "Vulpes", "vulpes", "Red Fox"],
        ["s2", "1", "Ana", "", "", "Blank"],
        ["s3", "0", "Computer Vision", "Puma", "concolor", "Puma"],
    ]
    root = pictures({f"{i}.JPG": i for i in range(1, 5)})
    (root / "images.csv").write_text(csv_text([*WI_COLUMNS, "sequence_id"], *rows))
    (root / "sequences.csv").write_text(csv_text(columns, *sequences))
    images = load_image_table(root, preset="wildlife_insights")
    assert images.target.tolist() == ["Lepus"]
    assert counted(images)["labels of whole events"] == 2
    images = load_image_table(root, preset="wildlife_insights", event_labels=True)
    assert sorted(zip(images.frame["sequence"], images.target)) == [
        ("s1", "Lepus"),
        ("s1", "Vulpes vulpes"),
        ("s2", "blank"),
    ]


def test_wildlife_insights_needs_its_table(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(ValueError, match=r"contains no images\.csv"):
        load_image_table(tmp_path / "x", preset="wildlife_insights")
    (tmp_path / "bad.zip").write_bytes(b"PK\x03\x04")
    with pytest.raises(ValueError, match="not a readable zip archive"):
        load_image_table(tmp_path / "bad.zip", preset="wildlife_insights")


def test_wildlife_insights_sample(samples):
    archive = samples / "wildlife-insights" / "cristales.zip"
    with zipfile.ZipFile(archive) as packed:
        read = {
            name: list(csv.DictReader(io.StringIO(packed.read(f"cristales/{name}.csv").decode())))
            for name in ("images", "deployments")
        }
    places = {row["deployment_id"]: row["placename"] for row in read["deployments"]}
    labels, groups = {}, {}
    for row in read["images"]:
        name = (
            f"{row['genus']} {row['species']}".strip()
            or row["family"]
            or row["order"]
            or row["class"]
        )
        if row["is_blank"] == "1" and not name:
            name = "blank"
        labels.setdefault(row["image_id"], set()).add(name)
        groups[row["image_id"]] = places[row["deployment_id"]]
    one = {image: names.pop() for image, names in labels.items() if len(names) == 1}
    expected = Counter(name for name in one.values() if name)
    images = load_image_table(archive, preset="wildlife_insights", missing="report")
    listed = images.report.missing
    assert len(images.data) == 0
    assert Counter(listed["label"]) == expected
    assert len(listed) > 4000
    assert Counter(listed["group"]) == Counter(groups[i] for i, name in one.items() if name)


# --- Timelapse

TIMELAPSE = [
    ["RootFolder", "File", "RelativePath", "DateTime", "DeleteFlag", "Species", "Flag0"],
    ["photos", "a.JPG", "", "2021-05-30 10:00:00", "false", "Fox", "true"],
    ["photos", "b.JPG", "Site 1\\Camera 2", "2021-05-30 10:00:20", "false", "NA", "false"],
    ["photos", "c.JPG", "Site 1\\Camera 2", "2021-05-30 10:00:40", "true", "Fox", "false"],
    ["photos", "d.JPG", "Site 2", "2021-05-30 10:01:00", "false", "", "false"],
    ["photos", "e.JPG", "Site 2", "2021-05-30 10:02:00", "false", "Fox", "false"],
    ["photos", "e.JPG", "Site 2", "2021-05-30 10:02:00", "false", "Hare", "false"],
    ["photos", "f.MP4", "Site 2", "2021-05-30 10:03:00", "false", "Fox", "false"],
]
TIMELAPSE_FILES = {
    "a.JPG": 1, "Site 1/Camera 2/b.JPG": 2, "Site 1/Camera 2/c.JPG": 3, "Site 2/d.JPG": 4,
    "Site 2/e.JPG": 5,
}  # fmt: skip


@pytest.mark.parametrize("delimiter", [",", ";"])
@pytest.mark.parametrize("inside", [False, True])
def test_timelapse(pictures, delimiter, inside):
    root = pictures(TIMELAPSE_FILES)
    path = (root.parent if inside else root) / "TimelapseData.csv"
    path.write_text(csv_text(*TIMELAPSE, delimiter=delimiter))
    if inside:
        root = root.rename(root.parent / "photos")
    images = load_image_table(path, preset="timelapse", label="Species")
    assert images.target.tolist() == ["Fox", "NA"]
    assert images.data.tolist() == [str(root / "a.JPG"), str(root / "Site 1/Camera 2/b.JPG")]
    assert images.frame["group"].isna().tolist() == [True, False]
    assert images.groups.tolist() == [None, "Site 1"]
    assert images.frame["time"].dt.second.tolist() == [0, 20]
    assert images.frame["Flag0"].tolist() == ["true", "false"]
    assert counted(images) == {
        "files marked for deletion": 1,
        "videos": 1,
        "labels that look like a missing value": 1,
        "images or boxes with several labels": 1,
        "images or boxes without a label": 1,
        "examples without a group": 1,
    }


def test_timelapse_flags_that_excel_has_translated(pictures):
    root = pictures({"a.JPG": 1, "b.JPG": 2})
    rows = ["a.JPG;;30.05.2021 10:00;FALSCH;Fuchs", "b.JPG;;30.05.2021 10:01;WAHR;Hase"]
    path = root / "TimelapseData.csv"
    path.write_text("\n".join(["File;RelativePath;DateTime;DeleteFlag;Species", *rows]))
    images = load_image_table(path, preset="timelapse", label="Species")
    assert images.target.tolist() == ["Fuchs"]


def test_timelapse_with_date_and_time(pictures):
    root = pictures(TIMELAPSE_FILES)
    (root / "t.csv").write_text(
        "File,RelativePath,Date,Time,DeleteFlag,label,Station\n"
        "a.JPG,, 30-May-2021, 10:00:05,false,Fox,S1\n"
    )
    images = load_image_table(root / "t.csv", preset="timelapse", group="Station")
    assert str(images.frame["time"][0]) == "2021-05-30 10:00:05"
    assert images.groups.tolist() == ["S1"]


def test_timelapse_needs_to_know_the_label(pictures):
    root = pictures(TIMELAPSE_FILES)
    (root / "t.csv").write_text(csv_text(*TIMELAPSE))
    with pytest.raises(ValueError, match=r"pass label= .* these are 'Species', 'Flag0'"):
        load_image_table(root / "t.csv", preset="timelapse")
    with pytest.raises(ValueError, match="no column 'RelativePath'"):
        load_image_table(pd.DataFrame({"File": ["a"]}), preset="timelapse")


# --- AddaxAI

OLD_DETECTIONS = [
    "absolute_path,relative_path,data_type,label,confidence,human_verified,bbox_left,bbox_top,"
    "bbox_right,bbox_bottom,file_height,file_width,DateTimeOriginal",
    "/old/photos,cam1/a.JPG,img,fox,0.93,True,8,12,24,18,24,32,18/01/2013 08:58",
    "/old/photos,cam1/b.JPG,img,hare,0.80,False,0,0,32,24,24,32,03/04/2013 08:59",
    "/old/photos,cam1/b.JPG,img,animal,0.30,False,0,0,16,12,24,32,03/04/2013 08:59",
    "/old/photos,cam1/d.MP4,vid,hare,0.80,True,0,0,32,24,24,32,03/04/2013 08:59",
]
OLD_FILES = [
    "absolute_path,relative_path,data_type,n_detections,file_height,file_width,max_confidence,"
    "human_verified",
    "/old/photos,cam1/a.JPG,img,1,24,32,0.93,True",
    "/old/photos,cam1/b.JPG,img,2,24,32,0.80,False",
    "/old/photos,cam2/c.JPG,img,0,24,32,0.0,True",
]


@pytest.fixture
def old_addaxai(pictures):
    root = pictures({"cam1/a.JPG": 1, "cam1/b.JPG": 2, "cam2/c.JPG": 3})
    (root / "results_detections.csv").write_text("\n".join(OLD_DETECTIONS))
    (root / "results_files.csv").write_text("\n".join(OLD_FILES))
    return root


@pytest.mark.parametrize("source", ["", "results_detections.csv", "results_files.csv"])
def test_addaxai_before_7(old_addaxai, source):
    images = load_image_table(old_addaxai / source, preset="addaxai")
    assert images.target.tolist() == ["fox", "blank"]
    assert images.groups.tolist() == ["cam1", "cam2"]
    assert images.data.iloc[:, 1:].to_numpy().tolist() == [[0.25, 0.5, 0.5, 0.25], [0, 0, 1, 1]]
    assert str(images.frame["time"][0]) == "2013-01-18 08:58:00"
    assert counted(images)["labels by a machine"] == 2
    assert counted(images)["videos"] == 1


def test_addaxai_before_7_with_machine_labels(old_addaxai):
    images = load_image_table(
        old_addaxai, preset="addaxai", machine_labels=True, keep=["unknown", "blank"]
    )
    assert images.target.tolist() == ["fox", "hare", "unknown", "blank"]
    assert images.frame["probability"].tolist()[:3] == [0.93, 0.8, 0.3]


def test_addaxai_of_another_machine(old_addaxai, tmp_path):
    detections = (old_addaxai / "results_detections.csv").rename(
        tmp_path / "results_detections.csv"
    )
    with pytest.raises(FileNotFoundError):
        load_image_table(detections, preset="addaxai")
    images = load_image_table(detections, preset="addaxai", root=old_addaxai)
    assert images.data["path"].tolist() == [str(old_addaxai / "cam1/a.JPG")]


NEW = {
    "detections.csv": [
        "detection_id,file_id,relative_path,deployment_id,event_id,detection_category,"
        "detection_confidence,classification_label,classification_confidence,"
        "classification_method,is_verified,bbox_x,bbox_y,bbox_width,bbox_height",
        "1,f1,a.JPG,d1,e1,animal,0.9,fox,1.0,human,TRUE,0.25,0.5,0.5,0.25",
        "2,f2,b.JPG,d1,e1,person,0.8,,,machine,TRUE,0,0,1,1",
        "3,f2,b.JPG,d1,e1,animal,0.7,hare,0.6,machine,FALSE,0,0,0.5,0.5",
        "4,f4,d.JPG,d2,e2,animal,0.7,animal,0.6,machine,TRUE,0,0,0.5,0.5",
    ],
    "files.csv": [
        "file_id,deployment_id,event_id,file_type,relative_path,absolute_path,datetime,"
        "observation_type,classification_label,is_verified",
        "f1,d1,e1,image,a.JPG,C:\\photos\\d1\\a.JPG,2026-05-30 10:00:00,animal,fox,TRUE",
        "f2,d1,e1,image,b.JPG,C:\\photos\\d1\\b.JPG,2026-05-30 10:00:05,animal,hare,FALSE",
        "f3,d2,e2,image,c.JPG,C:\\photos\\d2\\c.JPG,2026-05-30 10:00:09,blank,,TRUE",
        "f4,d2,e2,image,d.JPG,C:\\photos\\d2\\d.JPG,2026-05-30 10:00:10,animal,,TRUE",
    ],
    "deployments.csv": ["deployment_id,site_name", "d1,Hill", "d2,Lake"],
}


def test_addaxai_7(pictures, tmp_path):
    root = pictures({"d1/a.JPG": 1, "d1/b.JPG": 2, "d2/c.JPG": 3, "d2/d.JPG": 4})
    export = tmp_path / "export"
    export.mkdir()
    for name, lines in NEW.items():
        (export / f"project-{name}").write_text("\n".join(lines))
    images = load_image_table(export, preset="addaxai", root=root, keep=["blank", "unknown"])
    assert images.target.tolist() == ["fox", "person", "unknown", "blank"]
    assert images.groups.tolist() == ["Hill", "Hill", "Lake", "Lake"]
    assert images.frame["sequence"].tolist() == ["e1", "e1", "e2", "e2"]
    assert images.frame["time"].dt.second.tolist() == [0, 5, 10, 9]
    assert images.data["box_width"].tolist() == [0.5, 1, 0.5, 1]
    assert images.data["path"].tolist()[3] == str(root / "d2" / "c.JPG")
    assert counted(images)["labels by a machine"] == 1
    files = load_image_table(
        pd.read_csv(export / "project-files.csv", dtype=str), preset="addaxai", root=root
    )
    assert files.target.tolist() == ["fox", "blank"]


def test_addaxai_needs_its_tables(tmp_path):
    with pytest.raises(ValueError, match=r"no detections\.csv and no files\.csv"):
        load_image_table(tmp_path, preset="addaxai")
    with pytest.raises(ValueError, match="no column 'relative_path'"):
        load_image_table(pd.DataFrame({"label": ["fox"]}), preset="addaxai")


# --- iNaturalist

INATURALIST = [
    ["id", "observed_on", "time_observed_at", "user_login", "quality_grade", "image_url",
     "description", "scientific_name"],
    ["11", "2021-05-30", "2021-05-30 08:00:00 UTC", "ana", "research",
     "https://static.inaturalist.org/photos/901/medium.jpg", "line 1\r\nline 2", "Vulpes vulpes"],
    ["12", "2021-05-31", "", "ben", "casual",
     "https://static.inaturalist.org/photos/902/medium.jpeg?1", "", "Lepus"],
    ["13", "", "", "ben", "casual", "", "", ""],
]  # fmt: skip


def test_inaturalist(pictures):
    root = pictures({"901.jpg": 1, "12.jpg": 2, "13.png": 3})
    (root / "observations-1.csv").write_text(csv_text(*INATURALIST), newline="")
    images = load_image_table(root / "observations-1.csv", preset="inaturalist")
    assert images.target.tolist() == ["Vulpes vulpes", "Lepus"]
    assert images.groups.tolist() == ["ana", "ben"]
    assert images.frame["sequence"].tolist() == ["11", "12"]
    assert images.data.tolist() == [str(root / "901.jpg"), str(root / "12.jpg")]
    assert str(images.frame["time"][0]) == "2021-05-30 08:00:00+00:00"
    assert images.frame["quality_grade"].tolist() == ["research", "casual"]
    assert counted(images)["observations below research grade"] == 1
    rows = [INATURALIST[0], *([*row[:-1], row[-1] and "Life"] for row in INATURALIST[1:])]
    (root / "life.csv").write_text(csv_text(*rows), newline="")
    with pytest.raises(ValueError, match="2 images of something unknown"):
        load_image_table(root / "life.csv", preset="inaturalist")
    (root / "12.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"photos/902/medium\.jpeg.*on a server"):
        load_image_table(root / "observations-1.csv", preset="inaturalist")
