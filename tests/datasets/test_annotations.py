"""load_annotations: what LabelMe, Label Studio, CVAT, VIA and tools of Pascal VOC write."""

import json
import math
import zipfile
from collections import Counter
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from test_brush import bitmask, pack

from skcnn.datasets import load_annotations

QUARTER = [0.25, 0.25, 0.5, 0.5]  # x 8 to 24 and y 6 to 18 in an image of 32x24


def counted(bunch):
    return dict(zip(bunch.report.notes["what"], bunch.report.notes["n"]))


def boxes(bunch):
    return bunch.data.iloc[:, 1:].to_numpy(dtype=float)


# --- LabelMe


def labelme(root, name, shapes=(), flags=None, image=None, **more):
    path = root / name
    content = {
        "version": "5.0",
        "flags": flags or {},
        "shapes": [
            {"label": label, "points": points, "shape_type": kind, "flags": {}}
            for label, kind, points in shapes
        ],
        "imagePath": image or name.replace(".json", ".jpg"),
        "imageData": "x" * 1000,
        "imageHeight": 24,
        "imageWidth": 32,
        **more,
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("kind", "points"),
    [
        ("rectangle", [[24, 18], [8, 6]]),
        ("polygon", [[8, 12], [16, 6], [24, 12], [16, 18]]),
        ("mask", [[8, 6], [24, 18]]),
        ("linestrip", [[8, 6], [10, 18], [24, 10]]),
    ],
)
def test_labelme_shapes(pictures, kind, points):
    root = pictures({"1.jpg": 1})
    path = labelme(root, "1.json", [("fox", kind, points)])
    for source in (path, root):
        images = load_annotations(source)
        assert images.target.tolist() == ["fox"]
        np.testing.assert_allclose(boxes(images), [QUARTER])


def test_labelme_circles_and_points(pictures):
    root = pictures({"1.jpg": 1})
    circle = ("fox", "circle", [[16, 12], [16, 20]])
    labelme(root, "1.json", [circle, ("hare", "point", [[3, 4]])])
    images = load_annotations(root)
    np.testing.assert_allclose(boxes(images), [[0.25, 4 / 24, 0.5, 16 / 24]])
    assert counted(images) == {"labels without a box": 1}
    whole = load_annotations(root, boxes=False, several_labels="multilabel")
    assert whole.target_names.tolist() == ["fox", "hare"]
    labelme(root, "1.json", [("fox", "circle", [[30, 12], [30, 20]])])  # half outside
    np.testing.assert_allclose(
        boxes(load_annotations(root)), [[22 / 32, 4 / 24, 10 / 32, 16 / 24]]
    )


def test_labelme_flags(pictures):
    root = pictures({f"{i}.jpg": i for i in range(1, 6)})
    for i, flags in enumerate(
        [
            {"fox": True, "hare": False, "__ignore__": False},
            {"fox": True, "hare": True},
            {"fox": False, "hare": False},
            {"fox": True, "__ignore__": True},
            {"unknown": True},
        ]
    ):
        labelme(root, f"{i + 1}.json", flags=flags)
    images = load_annotations(root)
    assert images.target.tolist() == ["fox"]
    assert counted(images) == {
        "images marked __ignore__": 1,
        "images of something unknown": 1,
        "images or boxes without a label": 1,
        "images or boxes with several labels": 1,
    }
    assert load_annotations(root, empty="blank").target.tolist() == ["fox", "blank"]


def test_labelme_paths(pictures):
    root = pictures({"imgs/1.jpg": 1, "json/2.jpg": 2})
    labelme(
        root, "json/1.json", [("fox", "rectangle", [[8, 6], [24, 18]])], image="..\\imgs\\1.jpg"
    )
    labelme(
        root, "json/2.json", [("fox", "rectangle", [[8, 6], [24, 18]])], image="C:\\old\\2.jpg"
    )
    labelme(root, "json/other.json").write_text('{"images": []}')
    images = load_annotations(root, group=0)
    assert [path[-10:] for path in images.data["path"]] == ["imgs/1.jpg", "json/2.jpg"]
    assert images.groups.tolist() == ["imgs", "json"]
    assert counted(images) == {"other JSON files": 1}


def test_labelme_images_inside_of_the_annotations(tmp_path):
    path = labelme(tmp_path, "1.json", [("fox", "rectangle", [[8, 6], [24, 18]])])
    with pytest.raises(
        FileNotFoundError, match=r"1\.jpg: does not exist, but is in imageData of .*1"
    ):
        load_annotations(path)
    labelme(tmp_path, "1.json", [("fox", "rectangle", [[8, 6], [24, 18]])], imageData=None)
    with pytest.raises(FileNotFoundError, match=r"1\.jpg: does not exist\n"):
        load_annotations(path)


def test_labelme_sizes_from_the_file(pictures):
    root = pictures({"1.jpg": 1})
    labelme(root, "1.json", [("fox", "rectangle", [[8, 6], [24, 18]])], imageWidth=None)
    np.testing.assert_allclose(boxes(load_annotations(root)), [QUARTER])


# --- Label Studio


def result(kind, value, name="label", **more):
    return {"type": kind, "from_name": name, "to_name": "image", "value": value,
            "original_width": 32, "original_height": 24, **more}  # fmt: skip


def choice(*names, control="species"):
    return result("choices", {"choices": list(names)}, control)


def task(i, *annotations, image=None, **more):
    return {"id": i, "data": {"image": image or f"/data/upload/1/0a1b2c3{i}-{i}.jpg"},
            "annotations": [{"completed_by": 7, "was_cancelled": False, "result": list(results)}
                            for results in annotations], **more}  # fmt: skip


def studio(root, *tasks):
    path = root / "project-1.json"
    path.write_text(json.dumps(tasks))
    return path


def test_label_studio_choices(pictures):
    root = pictures({f"{i}.jpg": i for i in range(1, 8)})
    cancelled = task(7, [choice("fox")])
    cancelled["annotations"][0]["was_cancelled"] = True
    path = studio(
        root,
        task(1, [choice("fox")]),
        task(2, [choice("fox")], [choice("hare")]),  # two annotators
        task(3, [choice("hare")], [choice("hare")]),
        task(4, []),  # submitted, with nothing chosen
        task(5),
        task(6, predictions=[{"result": [choice("owl")], "score": 0.9}]),
        cancelled,
    )
    images = load_annotations(path)
    assert images.target.tolist() == ["fox", "hare"]
    assert images.data.tolist() == [str(root / "1.jpg"), str(root / "3.jpg")]
    assert images.frame["annotator"].tolist() == ["7", "7"]
    assert counted(images) == {
        "cancelled annotations": 1,
        "repeated labels": 1,  # two annotators agree
        "labels by a machine": 1,
        "images or boxes without a label": 4,
        "images or boxes with several labels": 1,
    }
    assert load_annotations(path, empty="blank").target.tolist() == ["fox", "hare", "blank"]
    assert load_annotations(path, machine_labels=True).target.tolist() == ["fox", "hare", "owl"]


def test_label_studio_control(pictures):
    root = pictures({"1.jpg": 1})
    path = studio(root, task(1, [choice("fox"), choice("blurred", control="quality")]))
    assert load_annotations(path, control="species").target.tolist() == ["fox"]
    assert load_annotations(path, several_labels="rows").target.tolist() == ["fox", "blurred"]


SQUARE = {"x": 25, "y": 25, "width": 50, "height": 50, "rotation": 0}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("rectanglelabels", SQUARE),
        ("ellipselabels", {"x": 50, "y": 50, "radiusX": 25, "radiusY": 25, "rotation": 0}),
        ("polygonlabels", {"points": [[25, 50], [50, 25], [75, 50], [50, 75]]}),
        ("vectorlabels", {"vertices": [{"x": 25, "y": 25}, {"x": 75, "y": 75}], "closed": True}),
        # Turned by 90 degrees about its top left corner, in pixels: 12 high and 16 wide.
        ("rectanglelabels", {"x": 75, "y": 25, "width": 37.5, "height": 66.6667, "rotation": 90}),
    ],
)
def test_label_studio_shapes(pictures, kind, value):
    root = pictures({"1.jpg": 1})
    path = studio(root, task(1, [result(kind, {**value, kind: ["fox"]})]))
    images = load_annotations(path)
    assert images.target.tolist() == ["fox"]
    np.testing.assert_allclose(boxes(images), [QUARTER], atol=1e-5)


def test_label_studio_brushes(pictures):
    root = pictures({"1.jpg": 1})
    mask = np.zeros((24, 32), dtype=int)
    mask[6:18, 8:10] = mask[6:8, 8:24] = 255
    strokes = result(
        "brushlabels",
        {"format": "rle", "rle": pack(np.repeat(mask.ravel(), 4)), "brushlabels": ["fox"]},
    )
    painted = result("bitmasklabels", {"imageDataURL": bitmask(mask), "bitmasklabels": ["hare"]})
    square = result("rectanglelabels", {**SQUARE, "rectanglelabels": ["owl"]})
    images = load_annotations(
        studio(root, task(1, [strokes, painted, square])), several_labels="rows"
    )
    assert images.target.tolist() == ["fox", "hare", "owl"]
    np.testing.assert_allclose(boxes(images), [QUARTER] * 3)


def test_label_studio_results_without_labels_or_boxes(pictures):
    root = pictures({"1.jpg": 1})
    path = studio(
        root,
        task(1, [
            result("rectangle", SQUARE),
            result("textarea", {"text": ["a note"]}),
            result("number", {"number": 3}),
            result("rating", {"rating": 4}),
            result("datetime", {"datetime": "2024-05-07"}),
            result("taxonomy", {"taxonomy": [["Animal", "Fox"]]}),
            result("brushlabels", {"format": "rle", "rle": [1], "brushlabels": ["Fox"]}),
        ]),
    )  # fmt: skip
    assert load_annotations(path).target.tolist() == ["Fox"]
    content = json.loads(path.read_text())
    for by, told in ((7, "7"), ({"id": 7, "email": "a@b.org"}, "a@b.org"), ({"id": 7}, "7")):
        content[0]["annotations"][0]["completed_by"] = by
        path.write_text(json.dumps(content))
        assert load_annotations(path).frame["annotator"].tolist() == [told]


@pytest.mark.parametrize(
    "image",
    [
        "/data/local-files/?d=photos/1.jpg",
        "https://host/data/upload/3/0a1b2c3d-1.jpg",
        "s3://bucket/photos/1.jpg",
        "photos\\1.jpg",
    ],
)
def test_label_studio_images(pictures, image):
    root = pictures({"1.jpg": 1})
    path = studio(root, task(1, [choice("fox")], image=image))
    assert load_annotations(path).data.tolist() == [str(root / "1.jpg")]
    renamed = task(1, [choice("fox")])
    renamed["data"] = {"text": "see below", "my photo": image}
    assert load_annotations(studio(root, renamed)).data.tolist() == [str(root / "1.jpg")]


def test_images_of_one_name_are_not_taken_for_each_other(pictures):
    root = pictures({"1.jpg": 1, "2.jpg": 2, "b/1.jpg": 3})
    names = ["/data/upload/1/0a1b2c3d-1.jpg", "/data/upload/1/4e5f6a7b-1.jpg", "2.jpg", "b/1.jpg"]
    tasks = [task(i, [choice(f"fox {i}")], image=name) for i, name in enumerate(names)]
    with pytest.raises(
        FileNotFoundError, match=r"1\.jpg: may be any of 2 images, such as .*0a1b2c3d"
    ):
        load_annotations(studio(root, *tasks))
    images = load_annotations(studio(root, *tasks), missing="report")
    assert images.target.tolist() == ["fox 2", "fox 3"]
    # Several tasks of one image are.
    again = task(9, [choice("fox 2")], image="2.jpg")
    images = load_annotations(studio(root, *tasks, again), missing="report")
    assert images.target.tolist() == ["fox 2", "fox 3", "fox 2"]
    # With their folders, or the names that the tool gave them, they are told apart.
    pictures({"0a1b2c3d-1.jpg": 4, "4e5f6a7b-1.jpg": 5})
    images = load_annotations(studio(root, *tasks))
    assert images.target.tolist() == [f"fox {i}" for i in range(4)]


@pytest.mark.parametrize("control", [None, "one", "two"])
def test_label_studio_tasks_with_two_images(pictures, control):
    root = pictures({"1.jpg": 1, "2.jpg": 2})
    one = {**choice("fox", control="one"), "to_name": "left"}
    two = {**choice("hare", control="two"), "to_name": "right"}
    both = task(1, [one, two])
    both["data"] = {"left": "1.jpg", "right": "2.jpg"}
    with pytest.raises(
        ValueError, match=r"images '1\.jpg', '2\.jpg', and labels of 'left', 'right'"
    ):
        load_annotations(studio(root, both), control=control)
    both["data"] = {"images": ["1.jpg", "2.jpg"]}
    with pytest.raises(ValueError, match=r"names no image.*'images'.*path of one image"):
        load_annotations(studio(root, both), control=control)


def test_controls_that_are_not_there(pictures):
    root = pictures({"1.jpg": 1, "2.jpg": 2})
    wrong = {"control": "specie", "empty": "blank"}
    with pytest.raises(
        ValueError, match=r"'control' parameter of load_annotations is 'specie'.*'sp"
    ):
        load_annotations(studio(root, task(1, [choice("fox")])), **wrong)
    with pytest.raises(ValueError, match=r"Expected one of the names .*'sex', 'species'"):
        load_annotations(via(root, [region(RECT, species="fox", sex="f")]), **wrong)
    attribute = '<tag label="animal"><attribute name="species">fox</attribute></tag>'
    with pytest.raises(ValueError, match="'species'"):
        load_annotations(cvat(root, cvat_image(1, attribute)), **wrong)
    labelme(root, "1.json", [("fox", "rectangle", [[8, 6], [24, 18]])])
    with pytest.raises(ValueError, match=r"1\.json is of LabelMe or Pascal VOC"):
        load_annotations(root / "1.json", **wrong)


# --- CVAT


def cvat(root, body, name="annotations.xml"):
    path = root / name
    path.write_text(f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>{body}</annotations>')
    return path


def cvat_image(i, body="", **attributes):
    more = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return f'<image id="{i}" name="{i}.jpg" width="32" height="24"{more}>{body}</image>'


@pytest.mark.parametrize(
    "shape",
    [
        '<box label="fox" xtl="8" ytl="6" xbr="24" ybr="18" occluded="0"/>',
        '<polygon label="fox" points="8,12;16,6;24,12;16,18"/>',
        '<polyline label="fox" points="8,6;24,18"/>',
        '<ellipse label="fox" cx="16" cy="12" rx="8" ry="6"/>',
        '<mask label="fox" rle="1" left="8" top="6" width="16" height="12"/>',
        '<box label="fox" xtl="10" ytl="4" xbr="22" ybr="20" rotation="90"/>',
        '<skeleton label="fox"><points label="a" points="8,6"/>'
        '<points label="b" points="24,18"/></skeleton>',
        '<cuboid label="fox" xtl1="8" ytl1="6" xbr1="20" ybr1="16" xtl2="10" ytl2="8" '
        'xbr2="24" ybr2="18"/>',
    ],
)
def test_cvat_shapes(pictures, shape):
    root = pictures({"images/1.jpg": 1})
    cvat(root, cvat_image(1, shape))
    for source in (root, root / "annotations.xml"):
        images = load_annotations(source)
        assert images.target.tolist() == ["fox"]
        np.testing.assert_allclose(boxes(images), [QUARTER])


def test_cvat_tags_and_subsets(pictures, tmp_path):
    root = pictures({"images/Train/1.jpg": 1, "images/Test/1.jpg": 2, "images/Test/2.jpg": 3,
                     "images/Test/3.jpg": 4})  # fmt: skip
    body = "".join([
        cvat_image(1, '<tag label="fox"/>', subset="Train"),
        cvat_image(1, '<tag label="hare"><attribute name="a">x</attribute></tag>', subset="Test"),
        cvat_image(2, '<tag label="fox"/><tag label="hare"/>', subset="Test"),
        cvat_image(3, '<polyline label="" points="1,2;3,4"/>', subset="Test"),
        '<track id="0" label="fox"/>',
    ])  # fmt: skip
    cvat(root, body)
    images = load_annotations(root, group="subset")
    assert images.target.tolist() == ["fox", "hare"]
    assert images.groups.tolist() == ["Train", "Test"]
    assert images.data.tolist() == [
        str(root / f"images/{part}/1.jpg") for part in ("Train", "Test")
    ]
    assert counted(images) == {
        "tracks of videos": 1,
        "images or boxes without a label": 1,
        "images or boxes with several labels": 1,
    }
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        for path in root.rglob("*.*"):
            archive.write(path, path.relative_to(root))
    packed = load_annotations(tmp_path / "export.zip", empty="blank")
    assert packed.target.tolist() == ["fox", "hare", "blank"]
    assert packed.data[0] == str(tmp_path / "export/images/Train/1.jpg")
    other = load_annotations(tmp_path / "export.zip", extract_to=tmp_path / "other")
    assert other.data[0] == str(tmp_path / "other/images/Train/1.jpg")


def test_cvat_attributes(pictures):
    root = pictures({"1.jpg": 1, "2.jpg": 2})
    told = '<attribute name="species">fox</attribute><attribute name="sex">f</attribute>'
    box = f'<box label="animal" xtl="8" ytl="6" xbr="24" ybr="18">{told}</box>'
    other = '<box label="animal" xtl="0" ytl="0" xbr="8" ybr="6"/>'
    path = cvat(root, cvat_image(1, box + other) + cvat_image(2, box.replace("fox", "hare")))
    assert load_annotations(path).target.tolist() == ["animal"] * 3
    images = load_annotations(path, control="species")
    assert images.target.tolist() == ["fox", "hare"]
    np.testing.assert_allclose(boxes(images), [QUARTER] * 2)


@pytest.mark.parametrize("ending", ["PNG", "png", "jpg"])
def test_cvat_frames_of_videos(pictures, ending):
    root = pictures({f"images/frame_000001.{ending}": 1})
    shape = '<box label="fox" xtl="8" ytl="6" xbr="24" ybr="18"/>'
    cvat(root, cvat_image(1, shape).replace('"1.jpg"', '"frame_000001"'))
    images = load_annotations(root)
    assert images.data["path"].tolist() == [str(root / f"images/frame_000001.{ending}")]


# --- Pascal VOC


def voc(root, name, *things, filename="1.jpg", size=(32, 24)):
    sides = "".join(f"<{s}>{n}</{s}>" for s, n in zip(("width", "height", "depth"), (*size, 3)))
    body = f"<filename>{filename}</filename><size>{sides}</size>" + "".join(things)
    path = root / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"<annotation><folder>photos</folder>{body}</annotation>")


def voc_thing(label, *box):
    names = ("xmin", "ymin", "xmax", "ymax")
    corners = "".join(f"<{name}>{n}</{name}>" for name, n in zip(names, box))
    return f"<object><name>{label}</name><bndbox>{corners}</bndbox></object>"


@pytest.mark.parametrize("size", [(32, 24), (0, 0)])
@pytest.mark.parametrize("place", ["", "JPEGImages/", "images/"])
def test_pascal_voc(pictures, place, size):
    root = pictures({f"{place}{i}.jpg": i for i in (1, 2, 3)})
    folder = "Annotations/" if place else ""
    # Elsewhere, the ending was left out, or the image had another one.
    fox, hare = voc_thing("fox", 8, 6, 24, 18), voc_thing("hare", 0, 0, 8, 6)
    voc(root, f"{folder}1.xml", fox, hare, size=size)
    voc(root, f"{folder}2.xml", fox, filename="2", size=size)
    voc(root, f"{folder}3.xml", filename="3.png", size=size)
    images = load_annotations(root, empty="blank")
    assert images.target.tolist() == ["fox", "hare", "fox", "blank"]
    assert images.data["path"].tolist() == [str(root / f"{place}{i}.jpg") for i in (1, 1, 2, 3)]
    assert boxes(images)[:2].tolist() == [[0.25, 0.25, 0.5, 0.5], [0, 0, 0.25, 0.25]]
    one = load_annotations(root / f"{folder}2.xml")
    assert one.target.tolist() == ["fox"]


def test_pascal_voc_of_renamed_images(pictures):
    root = pictures({"1.jpg": 1, "b.png": 2})
    voc(root, "b.xml", voc_thing("fox", 8, 6, 24, 18), filename="1.jpg")
    voc(root, "c.xml", voc_thing("hare", 8, 6, 24, 18), filename="C:\\photos\\1.jpg")
    images = load_annotations(root)
    assert images.data["path"].tolist() == [str(root / "b.png"), str(root / "1.jpg")]


def test_pascal_voc_without_boxes(pictures):
    root = pictures({"1.jpg": 1, "2.jpg": 2})
    voc(root, "1.xml", "<object><name>fox</name><robndbox/></object>")
    voc(root, "2.xml", voc_thing("fox", 8, 6, 24, 18), filename="2.jpg")
    images = load_annotations(root)
    assert images.target.tolist() == ["fox"]
    assert counted(images) == {"objects without <bndbox>": 1}
    voc(root, "1.xml", "<object/>")
    with pytest.raises(ValueError, match="<object> 0 has no <name>"):
        load_annotations(root)
    voc(root, "1.xml", voc_thing("fox", "x"))
    with pytest.raises(ValueError, match="fox: <xmin>: expected a number"):
        load_annotations(root)


# --- VIA


def region(shape, **attributes):
    return {"shape_attributes": shape, "region_attributes": attributes}


RECT = {"name": "rect", "x": 8, "y": 6, "width": 16, "height": 12}


def via(root, regions, *, whole=False, numbered=False, of_file=None):
    listed = {str(i): item for i, item in enumerate(regions)} if numbered else regions
    images = {
        "1.jpg900": {"filename": "1.jpg", "size": 900, "regions": listed, "file_attributes": {}},
        "2.jpg901": {"filename": "2.jpg", "size": 901, "regions": [],
                     "file_attributes": of_file or {}},
    }  # fmt: skip
    content = {"_via_settings": {}, "_via_img_metadata": images} if whole else images
    (root / "via.json").write_text(json.dumps(content))
    return root / "via.json"


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("numbered", [False, True])
def test_via(pictures, whole, numbered):
    root = pictures({"1.jpg": 1, "2.jpg": 2})
    shapes = [
        region(RECT, species="fox"),
        region({"name": "circle", "cx": 16, "cy": 12, "r": 6}, species={"hare": True}),
        region({"name": "ellipse", "cx": 16, "cy": 12, "rx": 8, "ry": 6}, species="owl"),
        region({"name": "polygon", "all_points_x": [8, 24, 8], "all_points_y": [6, 6, 18]},
               species="elk"),
        region({"name": "point", "cx": 1, "cy": 1}, species="bee"),
        region(RECT, species=""),
    ]  # fmt: skip
    path = via(root, shapes, whole=whole, numbered=numbered)
    images = load_annotations(path, empty="blank", several_labels="rows")
    assert images.target.tolist() == ["fox", "hare", "owl", "elk", "blank"]
    near = [[0.25, 0.25, 0.5, 0.5], [10 / 32, 0.25, 12 / 32, 0.5], *[QUARTER] * 2]
    np.testing.assert_allclose(boxes(images)[:4], near)
    assert counted(images) == {"labels without a box": 1}


def test_via_attributes(pictures):
    root = pictures({"1.jpg": 1, "2.jpg": 2})
    path = via(root, [region(RECT, species="fox", sex="f")], of_file={"caption": "x", "sex": "m"})
    with pytest.raises(ValueError, match=r"attributes 'species', 'sex'\. Pass control="):
        load_annotations(path)
    assert load_annotations(path, control="species").target.tolist() == ["fox"]
    assert load_annotations(path, control="sex").target.tolist() == ["f", "m"]


@pytest.mark.parametrize("mark", ["", "#"])
def test_via_tables(pictures, mark):
    root = pictures({"1.jpg": 1, "2.jpg": 2})
    columns = ["filename", "file_size", "file_attributes", "region_count", "region_id"]
    rows = [
        ["1.jpg", 900, "{}", 2, 0, json.dumps(RECT), '{"species":"fox"}'],
        ["1.jpg", 900, "{}", 2, 1, json.dumps({**RECT, "x": 0}), '{"species":"hare"}'],
        ["2.jpg", 901, "{}", 0, 0, "{}", "{}"],
    ]
    frame = pd.DataFrame(rows, columns=[*columns, "region_shape_attributes", "region_attributes"])
    frame.rename(columns={"filename": f"{mark}filename"}).to_csv(root / "via.csv", index=False)
    images = load_annotations(root / "via.csv", empty="blank")
    assert images.target.tolist() == ["fox", "hare", "blank"]
    assert boxes(images)[:2].tolist() == [[0.25, 0.25, 0.5, 0.5], [0, 0.25, 0.5, 0.5]]


# --- Ellipses


def ellipse_of(tool, root, degrees):
    """Draw an ellipse around (16, 12), 8 and 4 long, with a tool."""
    if tool == "studio":
        value = {"x": 50, "y": 50, "radiusX": 25, "radiusY": 100 / 6, "rotation": degrees}
        return studio(
            root, task(1, [result("ellipselabels", {**value, "ellipselabels": ["fox"]})])
        )
    if tool == "cvat":
        place = f'cx="16" cy="12" rx="8" ry="4" rotation="{degrees}"'
        return cvat(root, cvat_image(1, f'<ellipse label="fox" {place}/>'))
    shape = {"name": "ellipse", "cx": 16, "cy": 12, "rx": 8, "ry": 4}
    return via(root, [region({**shape, "theta": math.radians(degrees)}, species="fox")])


@pytest.mark.parametrize("degrees", [0, 30, 45, 90, 200])
@pytest.mark.parametrize("tool", ["studio", "cvat", "via"])
def test_the_box_around_an_ellipse_is_that_of_its_pixels(pictures, tool, degrees):
    root = pictures({"1.jpg": 1, "2.jpg": 2})
    found = boxes(load_annotations(ellipse_of(tool, root, degrees)))[0] * [32, 24, 32, 24]
    turn = np.radians(degrees)
    y, x = np.mgrid[0:24:0.02, 0:32:0.02]
    along = (x - 16) * np.cos(turn) + (y - 12) * np.sin(turn)
    across = (y - 12) * np.cos(turn) - (x - 16) * np.sin(turn)
    inside = (along / 8) ** 2 + (across / 4) ** 2 <= 1
    left, right = x[inside].min(), x[inside].max()
    top, bottom = y[inside].min(), y[inside].max()
    np.testing.assert_allclose(found, [left, top, right - left, bottom - top], atol=0.06)


# --- What is wrong


def wrapped(shape):
    return f"<annotations>{cvat_image(1, shape)}</annotations>"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "", "not a complete JSON file: it is empty"),
        ("a.json", "[1", "not a complete JSON file"),
        ("a.json", '{"images": []}', "contains no annotations"),
        ("a.json", "[]", "contains no annotations"),
        ("a.json", "[3]", r"\[0\]: expected an object"),
        ("a.json", '[{"image": "a.jpg", "choice": "fox"}]', "not JSON-MIN"),
        ("a.json", '[{"data": {"text": "x"}}]', "names no image"),
        ("a.json", '{"imagePath": 3.5, "shapes": 1}', "shapes: expected a list"),
        ("a.json", '{"imagePath": null}', "imagePath: expected a text"),
        ("a.json", '{"imagePath": "1.jpg", "shapes": [{"label": "a", "points": [[1]]}]}', "pairs"),
        ("a.json", '{"imagePath": "1.jpg", "shapes": [{"points": [[1, 2]]}]}', "label: expected"),
        ("a.xml", "<annotations>", "not a complete XML file"),
        ("a.xml", "<other/>", "begins with <other>"),
        ("a.xml", "<annotations><image/></annotations>", "without a name"),
        ("a.xml", '<annotations><image name="1.jpg"/></annotations>', "width of 1.jpg"),
        ("a.xml", wrapped('<box label="a" xtl="x"/>'), "xtl"),
        ("a.xml", wrapped('<polygon label="a" points="1"/>'), "expected points"),
        ("a.xml", '<annotations><track label="a"/></annotations>', "1 tracks of videos"),
        ("a.json", '{"a": {"filename": 3.5, "regions": 1}}', "regions: expected a list"),
        ("a.json", '{"project": {}, "config": {}, "file": {}, "metadata": {}, "view": {}}',
         "is a project of VIA 3.*export as COCO"),
        ("a.xml", '<!DOCTYPE a [<!ENTITY b "c">]><annotations/>', "declares a document type"),
    ],
)  # fmt: skip
def test_malformed(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        load_annotations(tmp_path / name)
    with pytest.raises(ValueError, match=message):
        load_annotations(tmp_path)


def test_wrong_parameters(tmp_path):
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="contains no annotations"):
        load_annotations(tmp_path / "none")
    with pytest.raises(ValueError, match="'group' parameter of load_annotations"):
        load_annotations(tmp_path, group="site")
    with pytest.raises(ValueError, match="'empty' parameter of load_annotations"):
        load_annotations(tmp_path, empty="yes")
    with pytest.raises(FileNotFoundError):
        load_annotations(tmp_path / "nowhere")


# --- Real files


def test_labelme_samples(samples):
    expected = Counter()
    for path in sorted((samples / "labelme").glob("*.json")):
        flags = json.loads(path.read_text())["flags"]
        expected.update(name for name, value in flags.items() if value)
    images = load_annotations(samples / "labelme")
    assert Counter(images.target) == expected
    assert len(images.target) == 2


@pytest.mark.parametrize("name", ["export_project", "export_task/train.xml"])
def test_cvat_samples(samples, name):
    path = samples / "cvat" / name
    tree = ElementTree.parse(path / "annotations.xml" if path.is_dir() else path)
    expected = []
    for image in tree.getroot().iter("image"):
        for shape in image:
            if not shape.get("label"):
                continue
            points = [
                tuple(map(float, p.split(",")))
                for p in (shape.get("points") or "").split(";")
                if p
            ]
            points += [
                (float(shape.get(f"x{c}")), float(shape.get(f"y{c}")))
                for c in ("tl", "br")
                if shape.get("xtl")
            ]
            x, y = zip(*points)
            side = float(image.get("width"))
            expected.append((shape.get("label"), min(x) / side, min(y) / side,
                             (max(x) - min(x)) / side, (max(y) - min(y)) / side))  # fmt: skip
    images = load_annotations(path)
    found = [(label, *box) for label, box in zip(images.target, boxes(images))]
    assert len(found) == len(expected)
    for one, other in zip(found, expected):
        assert one[0] == other[0]
        np.testing.assert_allclose(one[1:], other[1:])
        assert not any(map(math.isnan, one[1:]))


def test_a_table_of_label_studio(tmp_path):
    (tmp_path / "export.csv").write_text("image,choice\n1.jpg,fox\n")
    with pytest.raises(ValueError, match=r"is a table.*in the format JSON of Label Studio"):
        load_annotations(tmp_path / "export.csv")


def test_a_list_of_classes_beside_the_files(pictures):
    root = pictures({"1.jpg": 1})
    labelme(root, "1.json", flags={"fox": True})
    (root / "classes.json").write_text('["fox", "hare"]')
    images = load_annotations(root)
    assert images.target.tolist() == ["fox"]
    assert counted(images) == {"other JSON files": 1}


@pytest.mark.parametrize("name", ["1.txt", "data.yaml"])
def test_files_of_yolo_are_told(tmp_path, name):
    (tmp_path / name).write_text("0 0.5 0.5 0.2 0.2\n")
    with pytest.raises(ValueError, match=r"as of YOLO, .* or as COCO for load_coco"):
        load_annotations(tmp_path / name)
    with pytest.raises(ValueError, match=r"YOLO \(\.txt\) are not read"):
        load_annotations(tmp_path)


def test_boxes_in_photographs_that_were_not_turned(tmp_path):
    image = Image.new("RGB", (32, 24))
    exif = image.getexif()
    exif[0x0112] = 8
    image.save(tmp_path / "1.jpg", exif=exif)
    voc(tmp_path, "1.xml", voc_thing("fox", 8, 6, 24, 18))
    with pytest.raises(ValueError, match="Its boxes were drawn before it was turned"):
        load_annotations(tmp_path)
    assert load_annotations(tmp_path, boxes=False).target.tolist() == ["fox"]
    # A tool that turns images writes their sides as they are shown.
    voc(tmp_path, "1.xml", voc_thing("fox", 6, 8, 18, 24), size=(24, 32))
    assert boxes(load_annotations(tmp_path)).tolist() == [QUARTER]


@pytest.mark.parametrize("width", [40, 64, 16])
def test_boxes_in_images_of_other_proportions(pictures, width):
    root = pictures({"1.jpg": 1})
    labelme(root, "1.json", [("fox", "rectangle", [[8, 6], [12, 18]])], imageWidth=width)
    with pytest.raises(
        ValueError, match=rf"1\.jpg is {width}x24 there, and 32x24 here: it was cut"
    ):
        load_annotations(root)
    assert load_annotations(root, boxes=False).target.tolist() == ["fox"]


@pytest.mark.parametrize("sides", [(320, 240), (16, 12), (1000, 751), (0, 0)])
def test_boxes_in_images_that_were_resized(pictures, sides):
    root = pictures({"1.jpg": 1})
    width, height = sides if all(sides) else (32, 24)
    points = [[width / 4, height / 4], [width * 3 / 4, height * 3 / 4]]
    shape = ("fox", "rectangle", points)
    labelme(root, "1.json", [shape], imageWidth=sides[0], imageHeight=sides[1])
    np.testing.assert_allclose(boxes(load_annotations(root)), [QUARTER])


def test_boxes_outside_of_their_images(pictures):
    root = pictures({"1.jpg": 1})
    # Drawn in a larger image, whose size was not written.
    voc(root, "1.xml", voc_thing("fox", 800, 600, 2400, 1800), size=(0, 0))
    with pytest.raises(ValueError, match=r"1 of 1 boxes are outside .*'fox' in .*1\.jpg: .*32x24"):
        load_annotations(root)
    assert load_annotations(root, boxes=False).target.tolist() == ["fox"]
    inside = [voc_thing("hare", 8, 6, 24, 18 - i / 10) for i in range(10)]
    voc(root, "1.xml", voc_thing("fox", 800, 600, 2400, 1800), *inside, size=(0, 0))
    assert counted(load_annotations(root)) == {"boxes": 1}


@pytest.mark.parametrize(
    ("sides", "message"), [((24, 32), "is 24x32 there, and 32x24 when it is turned"),
                           ((32, 32), "is 32x32 there, and 32x24 here")],
)  # fmt: skip
def test_label_studio_sizes(pictures, sides, message):
    root = pictures({"1.jpg": 1})
    value = {**SQUARE, "rectanglelabels": ["fox"]}
    width, height = sides
    drawn = {"original_width": width, "original_height": height}
    with pytest.raises(ValueError, match=message):
        load_annotations(studio(root, task(1, [result("rectanglelabels", value, **drawn)])))
    # With the button that turns the image, versions differ in which side is the width.
    turned = result("rectanglelabels", value, **drawn, image_rotation=90)
    np.testing.assert_allclose(boxes(load_annotations(studio(root, task(1, [turned])))), [QUARTER])
