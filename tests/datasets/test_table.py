"""load_image_table: columns of any table, and what its options do."""

import os

import numpy as np
import pandas as pd
import pytest

from skcnn.datasets import load_image_table

FILES = {"a.jpg": 1, "b.jpg": 2, "sub/c.jpg": 3}
TEXT = """path,label,site,when,width
a.jpg,fox,007,2021-05-30 10:00:00,32
b.jpg,NA,007,2021-05-30 10:00:20,32
sub\\c.jpg,hare,08,,32
"""


@pytest.fixture
def root(pictures):
    return pictures(FILES)


@pytest.fixture
def csv_file(root):
    (root / "table.csv").write_text(TEXT)
    return root / "table.csv"


def counted(bunch):
    return dict(zip(bunch.report.notes["what"], bunch.report.notes["n"]))


def test_a_table_of_texts(csv_file, root):
    images = load_image_table(csv_file, group="site", time="when")
    assert images.data.tolist() == [str(root / name) for name in FILES]
    assert images.target.tolist() == ["fox", "NA", "hare"]
    assert images.groups.tolist() == ["007", "007", "08"]
    assert images.frame["time"].isna().tolist() == [False, False, True]
    assert images.frame["width"].tolist() == ["32"] * 3  # other columns stay, as they are
    assert "table.csv (3 rows, utf-8, delimiter ',')" in images.DESCR


@pytest.mark.parametrize(
    "name", ["count", "time", "group", "sequence", "individual", "box_x", "image", "machine"]
)
def test_no_column_is_lost_or_taken_for_something_else(csv_file, name):
    table = pd.read_csv(csv_file, dtype=str).rename(columns={"width": name})
    plain = load_image_table(csv_file, label="site")
    images = load_image_table(table, label="site", root=csv_file.parent)
    assert images.frame[f"{name}_in_table"].tolist() == ["32"] * 3
    assert images.target.tolist() == plain.target.tolist()
    notes = images.report.notes.set_index("what")["remark"]
    assert f"'{name}': '{name}_in_table'" in notes["columns of the table"]


def test_a_quotation_mark_that_is_not_closed_is_told(root):
    first, second, third = FILES
    lines = [f'{first},"fox', f'{second},hare"', f"{third},hare"]
    (root / "t.csv").write_text("\n".join(["path,label", *lines]) + "\n")
    with pytest.raises(ValueError, match="column 'label' goes over several lines, from 'fox'"):
        load_image_table(root / "t.csv")
    # Remarks may have several.
    lines = [f'{name},fox,"a\nb"' for name in FILES]
    (root / "t.csv").write_text("\n".join(["path,label,remark", *lines]) + "\n")
    assert load_image_table(root / "t.csv").frame["remark"].tolist() == ["a\nb"] * 3


@pytest.mark.parametrize(
    "written", ["DataFrame", "category", "paths", "pyarrow-like", "index"], ids=str
)
def test_a_frame(csv_file, root, written):
    frame = pd.read_csv(csv_file, dtype=str, keep_default_na=False)
    if written == "category":
        frame = frame.astype("category")
    elif written == "paths":
        frame["path"] = [root / name for name in FILES]
    elif written == "pyarrow-like":
        frame = frame.convert_dtypes()
    elif written == "index":
        frame.index = [7, 7, 9]
    before = frame.copy()
    images = load_image_table(frame, root=root, group="site")
    pd.testing.assert_frame_equal(frame, before)
    assert images.target.tolist() == ["fox", "NA", "hare"]
    assert images.groups.tolist() == ["007", "007", "08"]
    assert images.frame.index.tolist() == [0, 1, 2]


def test_a_frame_begins_in_the_current_folder(root, monkeypatch):
    monkeypatch.chdir(root)
    images = load_image_table(pd.DataFrame({"path": ["a.jpg"], "label": [3]}))
    assert images.data.tolist() == [os.path.abspath("a.jpg")]
    assert images.target.tolist() == [3]


def test_other_names_of_columns_and_joined_ones(root):
    (root / "t.tsv").write_text(
        "RelativePath\tFile\tgenus\tspecies\tDate\tTime\tplace\tcamera\n"
        "\ta.jpg\tVulpes\tvulpes\t30-May-2021\t 10:00:00\tnorth\t1\n"
        "sub\tc.jpg\tArdea\t\t31-May-2021\t 11:00:00\tnorth\t2\n"
    )
    images = load_image_table(
        root / "t.tsv",
        path=["RelativePath", "File"],
        label=["genus", "species"],
        time=["Date", "Time"],
        group=["place", "camera"],
        sequence="camera",
        individual="place",
    )
    assert images.target.tolist() == ["Vulpes vulpes", "Ardea"]
    assert images.groups.tolist() == ["north/1", "north/2"]
    assert images.frame["time"].dt.hour.tolist() == [10, 11]
    assert images.frame["sequence"].tolist() == ["1", "2"]
    assert images.frame["individual"].tolist() == ["north", "north"]


def test_no_header(root):
    (root / "t.csv").write_text("a.jpg,3\nb.jpg,4\n")
    images = load_image_table(root / "t.csv", path=0, label=1, header=False)
    assert images.target.tolist() == ["3", "4"]


@pytest.mark.parametrize(
    ("values", "n"), [((), 3), ("NA", 2), (["NA", "hare"], 1)], ids=["none", "NA", "two"]
)
def test_na_values(csv_file, values, n):
    images = load_image_table(csv_file, na_values=values)
    assert len(images.target) == n
    assert counted(images).get("images or boxes without a label", 0) == 3 - n


def test_na_values_of_other_columns(root):
    columns = {"label": ["genus", "species"], "group": "site", "time": "day"}
    (root / "t.csv").write_text(
        "path,genus,species,site,day\na.jpg,Vulpes,vulpes,NA,2020-01-01\nb.jpg,Lepus,NA,lake,NA\n"
    )
    images = load_image_table(root / "t.csv", **columns, na_values="NA")
    assert images.target.tolist() == ["Vulpes vulpes", "Lepus"]
    assert images.groups.tolist() == [None, "lake"]
    assert counted(images) == {"examples without a group": 1}
    # No other column is changed.
    assert load_image_table(root / "t.csv", label=None, na_values="NA").frame["day"][1] == "NA"


def test_names_that_look_like_a_missing_value_are_told(root):
    (root / "t.csv").write_text("path,label,site\na.jpg,NA,None\nb.jpg,nan,lake\nc.jpg,fox,\n")
    (root / "c.jpg").write_bytes((root / "a.jpg").read_bytes())
    images = load_image_table(root / "t.csv", group="site")
    assert images.target.tolist() == ["NA", "nan", "fox"]
    assert counted(images) == {
        "labels that look like a missing value": 2,
        "groups that look like a missing value": 1,
        "examples without a group": 1,
    }
    remark = images.report.notes["remark"].iloc[0]
    assert "na_values=['NA', 'nan'] takes them as missing" in remark
    # What the user has declared is no surprise.
    images = load_image_table(root / "t.csv", blank="NA", na_values=["nan", "None"], group="site")
    assert images.target.tolist() == ["blank", "fox"]
    assert not any("missing" in what for what in counted(images))


@pytest.mark.parametrize(
    ("cell", "way"),
    [
        ('{"species":"fox"}', "json.loads(text)['species'] for"),
        (
            '[{"task":"T0","value":[{"choice":"FOX"}]}]',
            "json.loads(text)[0]['value'][0]['choice']",
        ),
        ('{"choices":["fox","hare"]}', "json.loads(text)['choices'][0] for"),
    ],
)
def test_labels_in_json_are_refused(root, cell, way):
    table = pd.DataFrame({"path": ["a.jpg", "b.jpg"], "said": ["{}", cell]})
    with pytest.raises(ValueError, match="'said' has JSON in its cells") as error:
        load_image_table(table, label="said", root=root)
    assert way in str(error.value)
    # Names may be in brackets.
    table["said"] = ["[fox", "[t]"]
    assert load_image_table(table, label="said", root=root).target.tolist() == ["[fox", "[t]"]


def test_words_for_nothing_and_for_unknown(csv_file):
    images = load_image_table(csv_file, blank="NA", unknown=["hare", "?"])
    assert images.target.tolist() == ["fox", "blank"]
    assert images.frame["status"].tolist() == ["labeled", "blank"]
    assert counted(images) == {"images of something unknown": 1}
    assert load_image_table(csv_file, unknown="NA", keep=["unknown"]).target.tolist() == [
        "fox",
        "unknown",
        "hare",
    ]


def test_images_without_labels(csv_file):
    images = load_image_table(csv_file, label=None)
    assert len(images.data) == 3
    assert images.target.tolist() == [None] * 3


def test_several_labels_of_an_image(root):
    (root / "t.csv").write_text("path,label\na.jpg,fox\na.jpg,hare\nb.jpg,fox\n")
    assert load_image_table(root / "t.csv").target.tolist() == ["fox"]
    matrix = load_image_table(root / "t.csv", several_labels="multilabel")
    assert matrix.target.tolist() == [[1, 1], [1, 0]]


@pytest.mark.parametrize(
    ("box_format", "box_unit", "box"),
    [
        ("xywh", "fraction", "0,25;0,5;0,5;0,25"),
        ("xyxy", "pixel", "8;12;24;18"),
        ("xywh", "percent", "25;50;50;25"),
    ],
)
@pytest.mark.parametrize("image_size", [None, ["w", "h"]])
def test_boxes_of_declared_dialects(root, box_format, box_unit, box, image_size):
    (root / "t.csv").write_text(
        f"path;label;x;y;x2;y2;w;h\na.jpg;fox;{box};32;24\nb.jpg;hare;;;;;32;24\n"
    )
    images = load_image_table(
        root / "t.csv",
        box=["x", "y", "x2", "y2"],
        box_format=box_format,
        box_unit=box_unit,
        image_size=image_size,
    )
    assert images.data.columns.tolist() == ["path", "box_x", "box_y", "box_width", "box_height"]
    boxes = images.data.iloc[:, 1:].to_numpy()
    np.testing.assert_allclose(boxes, [[0.25, 0.5, 0.5, 0.25], [0, 0, 1, 1]])
    pd.testing.assert_frame_equal(images.frame[images.data.columns], images.data)


def test_boxes_are_not_guessed(root):
    (root / "t.csv").write_text("path,label,x,y,w,h\na.jpg,fox,8,12,16,6\n")
    box = ["x", "y", "w", "h"]
    with pytest.raises(ValueError, match=r"needs box_format .* and box_unit"):
        load_image_table(root / "t.csv", box=box, box_format="xywh")
    with pytest.raises(ValueError, match="1 of 1 boxes are not inside"):
        load_image_table(root / "t.csv", box=box, box_format="xywh", box_unit="fraction")
    with pytest.raises(ValueError, match="must name 4 columns"):
        load_image_table(root / "t.csv", box=box[:2], box_format="xywh", box_unit="pixel")


def test_missing_files(csv_file, root):
    (root / "a.jpg").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"1 files listed in .*table\.csv are not there \(1 of 3"
    ):
        load_image_table(csv_file)
    images = load_image_table(csv_file, missing="report")
    assert images.target.tolist() == ["NA", "hare"]
    assert images.report.missing["label"].tolist() == ["fox"]


def test_addresses_have_to_be_downloaded(root):
    (root / "t.csv").write_text("path,label\nhttps://a.org/1.jpg,fox\na.jpg,hare\n")
    with pytest.raises(
        FileNotFoundError, match=r"https://a.org/1.jpg: is on a server: download it"
    ):
        load_image_table(root / "t.csv")


def test_videos_are_counted(root):
    (root / "t.csv").write_text("path,label\nx.MP4,fox\na.jpg,hare\n")
    images = load_image_table(root / "t.csv")
    assert images.target.tolist() == ["hare"]
    assert counted(images) == {"videos": 1}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_tables_of_excel(root, encoding):
    (root / "t.csv").write_bytes("path;label\r\na.jpg;Tümmler\r\n".encode(encoding))
    assert load_image_table(root / "t.csv").target.tolist() == ["Tümmler"]


def test_paths_of_another_machine(root):
    table = pd.DataFrame({"path": [f"D:\\old\\{name}" for name in FILES], "label": list("xyz")})
    images = load_image_table(table, root=root)
    assert images.data.tolist() == [str(root / name) for name in FILES]
    with pytest.raises(FileNotFoundError):
        load_image_table(table)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"path": "file"}, ValueError, "no column 'file', which path= asks for"),
        ({"label": "species"}, ValueError, "no column 'species', which label= asks for"),
        ({"group": "Site"}, ValueError, r"Did you mean 'site'\?"),
        ({"preset": "excel"}, ValueError, "'preset' parameter of load_image_table"),
        ({"root": "nowhere"}, FileNotFoundError, "'root' parameter is 'nowhere'"),
        ({"keep": "species"}, ValueError, "'keep' parameter"),
        ({"missing": "ignore"}, ValueError, "'missing' parameter"),
    ],
)
def test_wrong_parameters(csv_file, parameters, error, message):
    with pytest.raises(error, match=message):
        load_image_table(csv_file, **parameters)


def test_wrong_tables(root):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        load_image_table(root / "none.csv")
    with pytest.raises(IsADirectoryError, match="use load_image_folder"):
        load_image_table(root)
    with pytest.raises(TypeError, match="Got dict"):
        load_image_table({"path": ["a.jpg"]})
