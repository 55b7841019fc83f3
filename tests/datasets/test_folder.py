"""load_image_folder: labels from folders and names; what is no image is counted."""

import os
import shutil

import numpy as np
import pytest

from skcnn.datasets import load_image_folder

CLASSES = {"fox/1.jpg": 1, "fox/2.JPG": 2, "hare/3.jpeg": 3, "hare/a b (1).png": 4}
SITES = {"north/fox/1.jpg": 1, "north/hare/2.jpg": 2, "south/fox/3.jpg": 3}


def counted(report):
    """What was left out, and how often."""
    return dict(zip(report.notes["what"], report.notes["n"]))


def test_class_folders(pictures):
    root = pictures(CLASSES)
    photos = load_image_folder(root)
    assert photos.data.tolist() == [str(root / name) for name in CLASSES]
    assert photos.data.dtype == object
    assert photos.target.tolist() == ["fox", "fox", "hare", "hare"]
    assert photos.target_names.tolist() == ["fox", "hare"]
    assert photos.groups is None
    assert photos.frame["path"].tolist() == photos.data.tolist()
    assert photos.frame["label"].tolist() == photos.target.tolist()
    assert str(root) in photos.DESCR


def test_what_is_no_image_is_no_class(pictures):
    root = pictures({**CLASSES, "stray.jpg": 5, "fox/._1.jpg": 6, ".git/x/a.jpg": 7})
    pictures({"__MACOSX/fox/1.jpg": 1, "fox/@eaDir/1.jpg": 2, ".ipynb_checkpoints/b.jpg": 3}, root)
    for name in ("fox/Thumbs.db", ".DS_Store", "hare/movie.MP4", "notes.txt", "fox/2.CR2"):
        (root / name).write_bytes(b"x")
    (root / "empty").mkdir()
    photos = load_image_folder(root)
    assert [os.path.relpath(path, root) for path in photos.data] == list(CLASSES)
    found = counted(photos.report)
    # fox/._1.jpg, .git, __MACOSX, @eaDir, .ipynb_checkpoints, Thumbs.db and .DS_Store
    assert found["hidden or system files"] == 7
    assert found["videos"] == 1
    assert found["raw photographs"] == 1
    assert found["other files"] == 1
    assert found["images"] == 1  # stray.jpg


def test_names_of_any_language(pictures):
    root = pictures({"Taïga/été 1.jpg": 1, "日本/三.jpg": 2, "zorro/ä.jpg": 3})
    assert set(load_image_folder(root).target) == {"Taïga", "日本", "zorro"}


def test_sites_and_species_need_a_level(pictures):
    root = pictures(SITES)
    with pytest.raises(ValueError, match=r"label=0: 'north', 'south'\n  label=1: 'fox', 'hare'"):
        load_image_folder(root)
    for label in (1, -1, np.int64(1), 1.0):
        assert load_image_folder(root, label=label).target.tolist() == ["fox", "hare", "fox"]
    assert load_image_folder(root, label=0).target.tolist() == ["north", "north", "south"]


@pytest.mark.parametrize(("group", "expected"), [(0, ["fox", "hare", "fox"]), (-2, None)])
def test_the_level_that_the_group_leaves(pictures, group, expected):
    photos = load_image_folder(pictures(SITES), group=group)
    assert photos.target.tolist() == (expected or ["fox", "hare", "fox"])
    assert photos.groups.tolist() == ["north", "north", "south"]


def test_deeper_images_are_not_labeled_by_chance(pictures):
    root = pictures({"fox/1.jpg": 1, "fox/2020/2.jpg": 2, "hare/3.jpg": 3})
    with pytest.raises(ValueError, match="1 or 2 folders below"):
        load_image_folder(root)
    assert load_image_folder(root, label=0).target.tolist() == ["fox", "fox", "hare"]


@pytest.mark.parametrize(
    "pattern",
    [
        "{time}_{group}_{label}",
        r"(?P<time>[0-9-]+)_(?P<group>\w+?)_(?P<label>\w+)\.",
        "**/{time}_{group}_{label}",
    ],
)
def test_patterns_of_names(pictures, pattern):
    names = ["2021-06-30_SYFR0218_cougar.JPG", "2021-07-01_SYFR0219_mule_deer.jpg", "IMG_1.jpg"]
    photos = load_image_folder(pictures(dict.fromkeys(names, 1)), label=pattern)
    assert photos.target.tolist() == ["cougar", "mule_deer"]
    assert photos.groups.tolist() == ["SYFR0218", "SYFR0219"]
    assert photos.frame["time"].dt.day.tolist() == [30, 1]
    assert counted(photos.report)["images"] == 1


def test_patterns_of_folders(pictures):
    root = pictures({"s1/fox/b7/1.jpg": 1, "s2/hare/b8/2.jpg": 2, "s2/3.jpg": 3})
    photos = load_image_folder(root, label="{group}/{label}/{sequence}/*")
    frame = photos.frame
    assert frame["label"].tolist() == ["fox", "hare"]
    assert frame["group"].tolist() == ["s1", "s2"]
    assert frame["sequence"].tolist() == ["b7", "b8"]


def test_without_labels(pictures):
    root = pictures({"1.jpg": 1, "new/2.jpg": 2})
    photos = load_image_folder(root, label=None)
    assert len(photos.data) == 2
    assert photos.target.tolist() == [None, None]
    assert photos.frame["status"].tolist() == ["unclassified"] * 2


def test_times_of_the_photographs(pictures):
    from PIL import Image

    root = pictures({"fox/1.jpg": 1})
    exif = Image.Exif()
    exif[0x8769] = {0x9003: "2021:06:30 12:34:56"}
    Image.new("RGB", (8, 8)).save(root / "fox" / "2.jpg", exif=exif)
    (root / "fox" / "3.jpg").write_bytes(b"broken")
    times = load_image_folder(root, time="exif").frame["time"]
    assert times.isna().tolist() == [True, False, True]
    assert str(times[1]) == "2021-06-30 12:34:56"


def test_links_are_followed_once(pictures):
    root = pictures({"fox/1.jpg": 1})
    other = pictures({"2.jpg": 2}, root.parent / "elsewhere")
    try:
        (root / "hare").symlink_to(other, target_is_directory=True)
        (other / "back").symlink_to(root, target_is_directory=True)
    except OSError:
        pytest.skip("no links can be made here")
    assert load_image_folder(root, label=0).target.tolist() == ["fox", "hare"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"label": "species"}, "'label' parameter .* Got 'species'"),
        ({"label": "(?P<label>"}, "no regular expression"),
        ({"label": "{label}/{site}"}, "names 'site'"),
        ({"label": 3}, r"found no training example .* are in no class folder.*load_image_table"),
        ({"label": 3}, r"no class folder \(label=3, but the only level is 0\)"),
        ({"label": 0, "group": 1}, r"of label and group \(group=1, but the only level is 0\)"),
        (
            {"label": "{label}_*"},
            r"do not match the pattern '{label}_\*'.* The first is fox/1.jpg",
        ),
        ({"label": True}, "Got True"),
        ({"group": "site"}, "'group' parameter"),
        ({"time": "name"}, "'time' parameter"),
    ],
)
def test_wrong_parameters(pictures, parameters, message):
    with pytest.raises(ValueError, match=message):
        load_image_folder(pictures(CLASSES), **parameters)


def test_images_without_class_folders_are_told_about(pictures):
    root = pictures({"fox_1.jpg": 1, "fox_2.jpg": 2})
    with pytest.raises(ValueError, match=r"its 2 images are in no class folder. .*label=None"):
        load_image_folder(root)
    assert load_image_folder(root, label="{label}_*").target.tolist() == ["fox", "fox"]
    assert len(load_image_folder(root, label=None).data) == 2


def test_wrong_roots(pictures, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere does not exist"):
        load_image_folder(tmp_path / "nowhere")
    root = pictures(CLASSES)
    with pytest.raises(NotADirectoryError, match="is a file"):
        load_image_folder(root / "fox" / "1.jpg")
    with pytest.raises(TypeError, match="Got list"):
        load_image_folder([str(root)])
    shutil.rmtree(root / "fox")
    shutil.rmtree(root / "hare")
    with pytest.raises(ValueError, match="no training example"):
        load_image_folder(root)


def test_folders_that_cannot_be_listed_are_not_passed_over(pictures, monkeypatch):
    root = pictures(CLASSES)
    scandir = os.scandir

    def refuse(folder):
        if os.fspath(folder).endswith("hare"):
            raise PermissionError(13, "Permission denied", folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(OSError, match=r"hare cannot be read \(Permission denied\)"):
        load_image_folder(root)


@pytest.mark.parametrize("parts", [("train", "Val", "test"), ("images", "masks")])
def test_parts_of_a_data_set_are_no_classes(pictures, parts):
    root = pictures({f"{part}/fox_{i}.jpg": i for i, part in enumerate(parts)})
    with pytest.raises(ValueError, match="are parts of a data set"):
        load_image_folder(root)
    photos = load_image_folder(root, label="{group}/{label}_*")
    assert photos.target.tolist() == ["fox"] * len(parts)
    assert len(load_image_folder(root, label=0).target_names) == len(parts)
    # One class may be named so.
    pictures({"fox/9.jpg": 9}, root)
    assert "fox" in load_image_folder(root).target_names
