"""load_coco: plain COCO and COCO Camera Traps, boxes, masks and whole sequences."""

import gzip
import json
import zipfile
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from skcnn.datasets import load_coco

CATEGORIES = [
    {"id": 0, "name": "empty"},
    {"id": 1, "name": "fox"},
    {"id": 5, "name": "Virginia Opossum"},
    {"id": 9, "name": "unknown"},
]
FILES = {f"{i}.jpg": i for i in range(1, 9)}


def thing(image, category, **more):
    return {"id": f"{image}-{category}", "image_id": image, "category_id": category, **more}


def image(i, **more):
    return {"id": f"i{i}", "file_name": f"{i}.jpg", "location": f"l{i % 2}", **more}


TRAPS = {
    "images": [
        image(1, datetime="2021-05-30 10:00:00", seq_id="s1", frame_num=0, width=32, height=24),
        image(2, datetime="2021-05-30 10:00:02", seq_id="s1", frame_num=1, location=7),
        image(3), image(4), image(5), image(6, corrupt=True), image(7), image(8),
    ],
    "categories": CATEGORIES,
    "annotations": [
        thing("i1", 1, bbox=[8, 6, 16, 12], count=2),
        thing("i1", 5, bbox=[0, 0, 8, 6]),
        thing("i2", 5, bbox_relative=[0.1, 0.2, 0.3, 0.4]),
        thing("i3", 0),
        thing("i4", 9),
        thing("i7", 1, sequence_level_annotation=True),
        thing("i8", 1),
        thing("gone", 1),
    ],
}  # fmt: skip


def write(root, content=TRAPS, name="traps.json", **change):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**content, **change}))
    return path


@pytest.fixture
def traps(pictures):
    return write(pictures(FILES))


def counted(bunch):
    return dict(zip(bunch.report.notes["what"], bunch.report.notes["n"]))


def test_camera_traps(traps):
    images = load_coco(traps)
    assert list(zip(images.frame["image_id"], images.target)) == [
        ("i1", "fox"),
        ("i1", "Virginia Opossum"),
        ("i2", "Virginia Opossum"),
        ("i3", "blank"),
        ("i8", "fox"),
    ]
    whole = [0, 0, 1, 1]
    np.testing.assert_allclose(
        images.data.iloc[:, 1:].to_numpy(dtype=float),
        [[0.25, 0.25, 0.5, 0.5], [0, 0, 0.25, 0.25], [0.1, 0.2, 0.3, 0.4], whole, whole],
    )
    assert images.groups.tolist() == ["l1", "l1", "7", "l1", "l0"]
    assert images.frame["sequence"].tolist()[:3] == ["s1"] * 3
    assert images.frame["time"].dt.second.tolist()[:3] == [0, 0, 2]
    assert images.frame["count"].tolist()[0] == 2
    assert counted(images) == {
        "annotations": 1,
        "labels of whole events": 1,
        "images of something unknown": 1,
        "images or boxes without a label": 2,  # i5 and i7
        "images that a program could not read": 1,
    }


def test_whole_images(traps):
    images = load_coco(traps, boxes=False)
    assert dict(zip(images.frame["image_id"], images.target)) == {
        "i2": "Virginia Opossum",
        "i3": "blank",
        "i8": "fox",
    }
    matrix = load_coco(traps, boxes=False, several_labels="multilabel")
    assert matrix.target.tolist() == [[1, 1], [1, 0], [0, 0], [0, 1]]


def test_annotations_of_sequences(traps):
    images = load_coco(traps, event_labels=True)
    assert "i7" in images.frame["image_id"].tolist()


@pytest.mark.parametrize(("empty", "n"), [("unclassified", 1), ("blank", 2)])
def test_images_without_annotations(traps, empty, n):
    images = load_coco(traps, empty=empty)
    assert images.frame["status"].tolist().count("blank") == n
    kept = load_coco(traps, empty=empty, keep=["unclassified", "failed"]).frame["status"]
    assert Counter(kept)["failed"] == 1
    assert Counter(kept)["unclassified"] == (2 if empty == "unclassified" else 1)


def test_plain_coco(pictures):
    content = {
        "images": [{"id": 5, "file_name": "1.jpg", "height": 24, "width": 32, "date_captured": 0}],
        "categories": CATEGORIES,
        "annotations": [thing("5", 1, bbox=[8, 6, 16, 12], iscrowd=0)],
    }
    root = pictures({"1.jpg": 1})
    images = load_coco(write(root, content))
    assert images.target.tolist() == ["fox"]
    assert images.groups is None
    assert "time" not in images.frame


def compressed(counts):
    """Compress run lengths as COCO does."""
    text = ""
    for i, count in enumerate(counts):
        number, more = count - (counts[i - 2] if i > 2 else 0), True
        while more:
            bits, number = number & 31, number >> 5
            more = number != (-1 if bits & 16 else 0)
            text += chr(48 + (bits | (32 if more else 0)))
    return text


RUNS = [8 * 24 + 6, *[12, 12] * 15, 12, 8 * 24 - 6 + 12]


@pytest.mark.parametrize(
    "segmentation",
    [
        [[8, 6, 24, 6, 24, 18, 8, 18]],
        {"counts": RUNS, "size": [24, 32]},
        {"counts": compressed(RUNS), "size": [24, 32]},
    ],
    ids=["outline", "runs", "compressed"],
)
def test_boxes_around_outlines_and_masks(pictures, segmentation):
    content = {**TRAPS, "annotations": [thing("i1", 1, segmentation=segmentation, iscrowd=1)]}
    images = load_coco(write(pictures(FILES), content))
    assert images.data.iloc[0, 1:].tolist() == [0.25, 0.25, 0.5, 0.5]
    assert images.frame["is_crowd"].tolist() == [True]


@pytest.mark.parametrize("kind", ["runs", "without the last", "compressed"])
@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("seed", range(3))
def test_boxes_are_those_of_the_pixels_of_a_mask(pictures, seed, scale, kind):
    rng = np.random.default_rng(seed)
    mask = np.zeros((24 // scale, 32 // scale), dtype=bool)
    # Two parts, with holes.
    for top, left in ((3, 2), (6, 9)):
        mask[top : top + 4, left : left + 5] = rng.random((4, 5)) < 0.7
    columns = mask.T.ravel()
    ends = [*np.flatnonzero(np.diff(columns)) + 1, columns.size]
    counts = np.diff([0, *ends]).tolist()
    if kind == "without the last":
        counts = counts[: 2 * (len(counts) // 2)]
    packed = compressed(counts) if kind == "compressed" else counts
    segmentation = {"counts": packed, "size": list(mask.shape)}
    content = {**TRAPS, "annotations": [thing("i1", 1, segmentation=segmentation, iscrowd=1)]}
    images = load_coco(write(pictures(FILES), content))
    x, y = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    expected = [x[0], y[0], x[-1] + 1 - x[0], y[-1] + 1 - y[0]]
    found = images.data.iloc[0, 1:].to_numpy(dtype=float) * [32, 24, 32, 24]
    np.testing.assert_allclose(found, np.multiply(expected, scale))


@pytest.mark.parametrize(
    "segmentation",
    [
        [[8, 6, 12, 6, 12, 18], [20, 7, 24, 7, 24, 10]],  # two parts
        [[8, 6, 24, 6, 24, 18, 8, 18], [10, 8, 12, 8, 12, 9]],  # a hole
        [[8, 6], [24, 6], [24, 18]],  # as pairs
        [8, 6, 24, 6, 24, 18],
    ],
)
@pytest.mark.parametrize("box", [None, [], [0, 0, 0, 0], [8, 6, 0, 0]])
def test_boxes_that_were_not_computed_are_those_of_outlines(pictures, segmentation, box):
    content = {**TRAPS, "annotations": [thing("i1", 1, segmentation=segmentation, bbox=box)]}
    images = load_coco(write(pictures(FILES), content))
    assert images.data.iloc[0, 1:].tolist() == [0.25, 0.25, 0.5, 0.5]


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([[8, 6, 24, 6, 24], [18, 8, 18]], "expected x and y of points. Got 5 numbers"),
        (
            {"counts": [*RUNS, 4], "size": [24, 32]},
            "the runs have 772 pixels in all. Expected 768",
        ),
        ({"counts": compressed(RUNS[:-1]), "size": [24, 32]}, "runs have 570 pixels in all"),
        ({"counts": compressed(RUNS)[:-1], "size": [24, 32]}, "Its end is missing|in all"),
        ({"counts": f"b'{compressed(RUNS)}'", "size": [24, 32]}, 'Got the character "\'"'),
        ({"counts": RUNS, "size": [32, 24]}, "is 32 high and 24 wide, and its image is 24 high"),
        ({"counts": [4], "size": [2]}, r"expected height and width in pixels\. Got \[2.0\]"),
        ({"counts": [4], "size": [0, 2]}, "expected a number above 0"),
    ],
)
def test_damaged_outlines_and_masks(pictures, segmentation, message):
    content = {**TRAPS, "annotations": [thing("i1", 1, segmentation=segmentation)]}
    with pytest.raises(ValueError, match=rf"annotations\[0\]\.segmentation.*{message}"):
        load_coco(write(pictures(FILES), content))


def test_numbers_of_pandas_are_ids(pictures):
    content = {
        "images": [{"id": 1, "file_name": "1.jpg"}],
        "categories": [{"id": 1.0, "name": "fox"}],
        "annotations": [{"id": 1.0, "image_id": 1.0, "category_id": 1, "bbox": [8, 6, 16, 12]}],
    }
    assert load_coco(write(pictures(FILES), content)).target.tolist() == ["fox"]


def test_panoptic_segmentation_is_told(traps):
    segments = {"image_id": "i1", "file_name": "1.png", "segments_info": []}
    with pytest.raises(ValueError, match=r"annotations\[0\] has 'segments_info', as of panoptic"):
        load_coco(write(traps.parent, annotations=[segments]))


def test_sizes_are_read_from_the_files_where_the_json_has_none(pictures):
    root = pictures(FILES)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter: shown as 20 wide and 40 high
    Image.new("RGB", (40, 20)).save(root / "1.jpg", exif=exif)
    content = {
        **TRAPS,
        "images": [image(1)],
        "annotations": [thing("i1", 1, bbox=[5, 10, 10, 20])],
    }
    images = load_coco(write(root, content))
    assert images.data.iloc[0, 1:].tolist() == [0.25, 0.25, 0.5, 0.5]


@pytest.mark.parametrize(
    ("json_name", "folder"),
    [
        ("annotations/instances_train2017.json", "train2017"),
        ("annotations/instances_train.json", "images/train"),
        ("traps.json", "images"),
        ("labels/traps.json", "images"),
        ("labels/traps.json", "."),
    ],
)
def test_images_are_found_in_usual_places(pictures, tmp_path, json_name, folder):
    root = pictures(FILES, tmp_path / "data" / folder)
    path = write(tmp_path / "data", name=json_name)
    assert load_coco(path).data["path"][0] == str(root / "1.jpg")
    assert load_coco(path, root=root).data["path"][0] == str(root / "1.jpg")


def test_compressed(traps):
    path = traps.with_name("traps.json.gz")
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf" + traps.read_bytes()))
    assert load_coco(path).target.tolist() == load_coco(traps).target.tolist()
    with zipfile.ZipFile(traps.with_name("traps.json.zip"), "w") as archive:
        archive.write(traps, "folder/traps.json")
    path = traps.with_name("traps.json.zip")
    assert load_coco(path).target.tolist() == load_coco(traps).target.tolist()
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("other.json", "{}")
    with pytest.raises(ValueError, match=r"traps\.json\.zip contains 2 JSON files"):
        load_coco(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": None}, r"images: expected a list \[...\]. Got null"),
        ({"images": [image(1), image(1)]}, "several images with the id 'i1'"),
        ({"images": [{"id": 1}]}, r"images\[0\]\.file_name: expected a text"),
        ({"annotations": [thing("i1", 77)]}, "category '77', which is not listed"),
        ({"annotations": [thing("i1", 1, bbox=[1, 2, 3])]}, "expected 4 numbers"),
        ({"annotations": [thing("i1", 1, bbox=[1, 2, 3, None])]}, "expected a number"),
        ({"annotations": [thing("i1", 1, bbox=[8, 6, 160, 12])]}, "not inside"),
        ({"annotations": [thing("i1", 1, segmentation={"counts": [1]})]}, "size: expected a list"),
        ({"annotations": [thing("i1", 1, segmentation={"counts": 1, "size": [2, 2]})]}, "counts"),
        ({"categories": [{"id": 1}]}, r"categories\[0\]\.name: expected a text"),
        ({"annotations": []}, "no training example"),
    ],
)
def test_malformed(pictures, change, message):
    path = write(pictures(FILES), **change)
    with pytest.raises(ValueError, match=message):
        load_coco(path)


@pytest.mark.parametrize("text", ["", "[1]", '{"images": []}', '{"images": [}'])
def test_what_is_no_coco(tmp_path, text):
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(ValueError, match=r"c\.json.*(Expected|expected)"):
        load_coco(tmp_path / "c.json")
    with pytest.raises(ValueError, match="'empty' parameter of load_coco"):
        load_coco(tmp_path / "c.json", empty="?")


@pytest.mark.parametrize("part", ["train", "val"])
def test_samples(samples, part):
    path = samples / "coco" / "annotations" / f"instances_{part}.json"
    content = json.loads(path.read_text())
    names = {category["id"]: category["name"] for category in content["categories"]}
    expected = Counter(names[entry["category_id"]] for entry in content["annotations"])
    images = load_coco(path)
    assert Counter(images.target) == expected
    size = content["images"][0]
    for row, entry in zip(images.data.iloc[:, 1:].to_numpy(dtype=float), content["annotations"]):
        pixels = row * np.tile([size["width"], size["height"]], 2)
        np.testing.assert_allclose(pixels, entry["bbox"])


def test_dates_that_do_not_tell_the_day_from_the_month(traps):
    content = json.loads(traps.read_text())
    for entry in content["images"]:
        entry["datetime"] = "03/04/2021 10:00"
    traps.write_text(json.dumps(content))
    images = load_coco(traps)
    assert "time" not in images.frame
    remark = images.report.notes.set_index("what").loc["different texts", "remark"]
    assert "do not tell the day from the month: '03/04/2021 10:00'" in remark


def test_the_time_of_an_export_is_not_that_of_photographs(pictures):
    images = [
        {"id": i, "file_name": f"{i}.jpg", "date_captured": "2025-12-10T04:29:33+00:00"}
        for i in range(1, 4)
    ]
    things = [{"id": i, "image_id": i, "category_id": 1} for i in range(1, 4)]
    path = write(
        pictures(FILES), images=images, annotations=things, categories=[{"id": 1, "name": "fox"}]
    )
    loaded = load_coco(path)
    assert "time" not in loaded.frame
    assert counted(loaded) == {"times in date_captured": 3}
    images[0]["date_captured"] = "2025-12-10T04:29:30+00:00"
    path.write_text(json.dumps({**json.loads(path.read_text()), "images": images}))
    assert load_coco(path).frame["time"].dt.second.tolist() == [30, 33, 33]


def test_a_folder_or_several_files_are_told(traps):
    with pytest.raises(IsADirectoryError, match=r"Expected a file.*files in it are traps\.json"):
        load_coco(traps.parent)
    with zipfile.ZipFile(traps.with_suffix(".zip"), "w") as archive:
        for part in ("train", "valid"):
            archive.write(traps, f"{part}/traps.json")
    with pytest.raises(ValueError, match=r"It has train/traps\.json, valid/traps\.json: unpack"):
        load_coco(traps.with_suffix(".zip"))


@pytest.mark.parametrize(("sides", "turned"), [((32, 24), True), ((24, 32), False)])
def test_boxes_in_photographs_that_were_not_turned(tmp_path, sides, turned):
    image = Image.new("RGB", (32, 24))
    exif = image.getexif()
    exif[0x0112] = 6  # held upright
    image.save(tmp_path / "1.jpg", exif=exif)
    (tmp_path / "2.jpg").write_bytes(b"damaged")
    width, height = sides
    images = [
        {"id": i, "file_name": f"{i}.jpg", "width": width, "height": height} for i in (1, 2, 3)
    ]
    things = [
        {"id": i, "image_id": i, "category_id": 1, "bbox": [0, 0, 12, 12]} for i in (1, 2, 3)
    ]
    path = write(
        tmp_path, images=images, annotations=things, categories=[{"id": 1, "name": "fox"}]
    )
    if turned:
        with pytest.raises(
            ValueError, match=r"1\.jpg is 32x24 there, and 24x32 when it is turned"
        ):
            load_coco(path, missing="report")
    else:
        box = load_coco(path, missing="report").data.iloc[0, 1:].tolist()
        assert box == [0, 0, 0.5, 0.375]
    assert len(load_coco(path, boxes=False, missing="report").data) == 2


def test_folders_that_lead_out_of_the_annotations(pictures):
    root = pictures({"images/0a1b-1.jpg": 1, "images/2.jpg": 2})
    names = ["..\\..\\media\\upload\\3\\0a1b-1.jpg", "../upload/3/2.jpg", "../upload/4/2.jpg"]
    images = [{"id": i, "file_name": name} for i, name in enumerate(names)]
    things = [{"id": i, "image_id": i, "category_id": 1} for i in range(3)]
    path = write(root, images=images, annotations=things, categories=[{"id": 1, "name": "fox"}])
    found = load_coco(path, missing="report")
    # Nothing tells which of the two images named 2.jpg is the one in the folder.
    assert found.data.tolist() == [str(root / "images/0a1b-1.jpg")]
    assert len(found.report.missing) == 2


def test_categories_of_one_id(traps):
    categories = [*CATEGORIES, {"id": 1, "name": "hare"}]
    path = write(traps.parent, categories=categories)
    with pytest.raises(ValueError, match="two categories with the id '1': 'fox' and 'hare'"):
        load_coco(path)


def test_boxes_in_images_of_other_proportions(pictures):
    content = {**TRAPS, "images": [image(1, width=64, height=24)]}
    path = write(pictures(FILES), content)
    with pytest.raises(ValueError, match=r"1\.jpg is 64x24 there, and 32x24 here: it was cut"):
        load_coco(path)
    assert load_coco(path, boxes=False, several_labels="first").target.tolist() == ["fox"]
