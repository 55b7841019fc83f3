"""load_ecotaxa: all kinds of exports, their types, decimal commas, zip archives."""

import csv
import zipfile
from collections import Counter

import numpy as np
import pytest

from skcnn.datasets import load_ecotaxa

COLUMNS = [
    "object_id", "img_file_name", "img_rank", "object_date", "object_time",
    "object_annotation_status", "object_annotation_category", "object_annotation_hierarchy",
    "object_area", "object_code", "sample_id", "acq_id",
]  # fmt: skip
TYPES = ["[t]", "[t]", "[f]", "[t]", "[t]", "[t]", "[t]", "[t]", "[f]", "[t]", "[t]", "[t]"]
ROWS = [
    ["o1", "1.jpg", "0", "20140420", "042000", "validated", "egg<other", "Biota>other>egg", "51.5",
     "007", "s1", "a1"],
    ["o2", "2.jpg", "0", "20140420", "420", "predicted", "Copepoda", "Biota>Copepoda", "20",
     "012", "s1", "a1"],
    ["o3", "3.jpg", "2", "20140421", "", "validated", "Copepoda", "Biota>Copepoda", "21", "013",
     "s2", "a1"],
    ["o3", "4.jpg", "0", "20140421", "", "validated", "Copepoda", "Biota>Copepoda", "21", "013",
     "s2", "a1"],
    ["o4", "5.jpg", "0", "", "", "dubious", "Copepoda", "Biota>Copepoda", "", "014", "s2", "a1"],
    ["o5", "6.jpg", "0", "", "", "", "", "", "1", "015", "s2", "a1"],
]  # fmt: skip
FILES = {f"{i}.jpg": i for i in range(1, 7)}


def text(rows=ROWS, columns=COLUMNS, types=TYPES, quoting=csv.QUOTE_MINIMAL):
    lines = [columns, *([types] if types else []), *rows]
    if quoting == csv.QUOTE_ALL:
        return "".join("\t".join(f'"{cell}"' for cell in line) + "\n" for line in lines)
    return "".join("\t".join(line) + "\n" for line in lines)


@pytest.fixture
def export(pictures):
    root = pictures(FILES)
    (root / "ecotaxa_s1.tsv").write_text(text())
    return root


def counted(bunch):
    return dict(zip(bunch.report.notes["what"], bunch.report.notes["n"]))


def test_only_validated_labels_are_used(export):
    plankton = load_ecotaxa(export)
    assert plankton.target.tolist() == ["egg<other", "Copepoda", "Copepoda"]
    assert plankton.groups.tolist() == ["s1", "s2", "s2"]
    assert plankton.frame["sequence"].tolist() == ["o1", "o3", "o3"]
    assert plankton.frame["time"].dt.day.tolist() == [20, 21, 21]
    assert plankton.frame["time"].dt.minute.tolist() == [20, 0, 0]
    assert plankton.frame["object_area"].tolist() == [51.5, 21, 21]
    assert plankton.frame["object_code"].tolist() == ["007", "013", "013"]
    assert counted(plankton) == {
        "labels by a machine": 1,
        "images of something unknown": 1,
        "images or boxes without a label": 2,
    }


def test_how_the_status_is_written(pictures):
    root = pictures(FILES)
    told = ["Validated", "Predicted", "P", "V", "D", "unclassified"]
    rows = [[*row[:5], status, "Copepoda", *row[7:]] for row, status in zip(ROWS, told)]
    (root / "ecotaxa_s1.tsv").write_text(text(rows))
    plankton = load_ecotaxa(root)
    assert [path[-5:] for path in plankton.data] == ["1.jpg", "4.jpg"]
    assert counted(plankton) == {
        "objects of another status": 1,
        "labels by a machine": 2,
        "images of something unknown": 1,
        "images or boxes without a label": 3,
    }
    assert "'unclassified'" in plankton.report.notes["remark"].iloc[0]


def test_predicted_labels_and_the_rest(export):
    plankton = load_ecotaxa(export, machine_labels=True, keep=["unknown", "unclassified"])
    assert plankton.target.tolist() == [
        "egg<other", "Copepoda", "Copepoda", "Copepoda", "unknown", None,
    ]  # fmt: skip
    assert str(plankton.frame["time"][1]) == "2014-04-20 04:20:00"


def test_first_images_of_objects(export):
    plankton = load_ecotaxa(export, images="first")
    assert [path[-5:] for path in plankton.data] == ["1.jpg", "4.jpg"]
    assert counted(plankton)["further images of objects"] == 1


@pytest.mark.parametrize(
    ("label", "expected"), [("hierarchy", "Biota>other>egg"), ("category", "egg<other")]
)
def test_labels(export, label, expected):
    assert load_ecotaxa(export, label=label).target[0] == expected


def test_groups(export):
    assert load_ecotaxa(export, group="acq_id").groups.tolist() == ["a1"] * 3
    with pytest.raises(ValueError, match="no column 'station'"):
        load_ecotaxa(export, group="station")


@pytest.mark.parametrize("types", [TYPES, None])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_variants_of_the_file(export, types, encoding, quoting):
    rows = [[cell.replace(".5", ",5").replace("a1", "Zoé") for cell in row] for row in ROWS]
    content = text(rows, types=types, quoting=quoting).encode(encoding)
    (export / "ecotaxa_s1.tsv").write_bytes(content)
    plankton = load_ecotaxa(export / "ecotaxa_s1.tsv", group="acq_id")
    assert plankton.target.tolist() == ["egg<other", "Copepoda", "Copepoda"]
    assert plankton.frame["object_area"].tolist() == [51.5, 21, 21]
    assert plankton.frame["object_code"].tolist() == ["007", "013", "013"]
    assert plankton.groups.tolist() == ["Zoé"] * 3


def test_comments_and_rows_without_status(export):
    columns = [name for name in COLUMNS if "status" not in name]
    rows = [[cell for cell, name in zip(row, COLUMNS) if "status" not in name] for row in ROWS]
    (export / "ecotaxa_s1.tsv").write_text("# made by a program\n" + text(rows, columns, None))
    plankton = load_ecotaxa(export)
    assert len(plankton.target) == 5
    assert "does not say who has validated" in plankton.DESCR


def test_by_taxon(pictures):
    # The folder of egg<other is egg_other; the label is that of the table.
    root = pictures({"egg_other/1.jpg": 1, "Copepoda/3.jpg": 3})
    for i, name in ((0, "egg_other/1.jpg"), (2, "Copepoda\\3.jpg")):
        rows = [[ROWS[i][0], name, *ROWS[i][2:]]]
        (root / f"ecotaxa_{i}.tsv").write_text(text(rows))
    (root / "readme.tsv").write_text("not\ta table of EcoTaxa\n")
    plankton = load_ecotaxa(root)
    assert plankton.target.tolist() == ["egg<other", "Copepoda"]


def test_images_elsewhere(export, pictures, tmp_path):
    table = (export / "ecotaxa_s1.tsv").rename(tmp_path / "ecotaxa_s1.tsv")
    with pytest.raises(
        FileNotFoundError, match=r"3 files listed in .*ecotaxa_s1\.tsv are not there"
    ):
        load_ecotaxa(table)
    assert len(load_ecotaxa(table, root=export).data) == 3


def make_zip(path, names, windows=False):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in names.items():
            info = zipfile.ZipInfo("x")
            info.filename = name.replace("/", "\\") if windows else name
            archive.writestr(info, content)
    return path


@pytest.mark.parametrize("windows", [False, True])
def test_archives(export, tmp_path, windows):
    names = {f"s1/{name}": (export / name).read_bytes() for name in FILES}
    names["s1/ecotaxa_s1.tsv"] = text().encode()
    names["__MACOSX/s1/._1.jpg"] = b"x"
    path = make_zip(tmp_path / "export.zip", names, windows)
    plankton = load_ecotaxa(path)
    expected = [str(tmp_path / "export" / "s1" / f"{i}.jpg") for i in (1, 3, 4)]
    assert plankton.data.tolist() == expected
    assert not (tmp_path / "export" / "__MACOSX").exists()
    assert not list(tmp_path.rglob("*.part"))
    # Unpacked once; what is damaged is written again.
    times = [(tmp_path / "export" / "s1" / f"{i}.jpg").stat().st_mtime_ns for i in (1, 3)]
    (tmp_path / "export" / "s1" / "1.jpg").write_bytes(b"cut")
    load_ecotaxa(path)
    assert (tmp_path / "export" / "s1" / "1.jpg").read_bytes() == (export / "1.jpg").read_bytes()
    assert (tmp_path / "export" / "s1" / "3.jpg").stat().st_mtime_ns == times[1]
    other = load_ecotaxa(path, extract_to=tmp_path / "other")
    assert other.data[0] == str(tmp_path / "other" / "s1" / "1.jpg")


@pytest.mark.parametrize(
    "name", ["../evil.jpg", "/evil.jpg", "..\\..\\evil.jpg", "C:\\evil.jpg", "a/../../evil.jpg"]
)
def test_archives_that_lead_out(tmp_path, name):
    folder = tmp_path / "in"
    folder.mkdir()
    path = make_zip(folder / "x.zip", {"ecotaxa.tsv": text().encode(), name: b"x"})
    with pytest.raises(ValueError, match="leads out of the archive"):
        load_ecotaxa(path)
    assert not list(tmp_path.rglob("evil.jpg"))


def test_archives_with_links(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("ecotaxa.tsv", text())
        link = zipfile.ZipInfo("1.jpg")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(ValueError, match="contains a symbolic link"):
        load_ecotaxa(tmp_path / "x.zip")


def test_damaged_archives(tmp_path):
    path = make_zip(tmp_path / "x.zip", {"ecotaxa.tsv": text().encode() * 20})
    content = bytearray(path.read_bytes())
    content[60] ^= 255
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"ecotaxa\.tsv in .* cannot be unpacked"):
        load_ecotaxa(path)
    path.write_bytes(content[:100])
    with pytest.raises(ValueError, match="not a readable zip archive"):
        load_ecotaxa(path)


def test_folders_that_cannot_be_written(export, tmp_path):
    names = {name: (export / name).read_bytes() for name in FILES}
    path = make_zip(tmp_path / "x.zip", {**names, "ecotaxa.tsv": text().encode()})
    (tmp_path / "taken").write_bytes(b"a file")
    with pytest.raises(OSError, match=r"cannot unpack .* Pass extract_to="):
        load_ecotaxa(path, extract_to=tmp_path / "taken")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("object_id\ta\n1\t2\n", "no column 'img_file_name'"),
        ("img_file_name\ta\n1\t2\n", "no column 'object_id'"),
        ("object_id\timg_file_name\n1\t2\n", "no column 'object_annotation_category'"),
        ("object_id\timg_file_name\ta\ta\n", "several columns named 'a'"),
        ("object_id\timg_file_name\n1\t2\t3\n", "line 2: 3 cells"),
    ],
)
def test_damaged_tables(tmp_path, content, message):
    (tmp_path / "ecotaxa_x.tsv").write_text(content)
    with pytest.raises(ValueError, match=message):
        load_ecotaxa(tmp_path)


def test_wrong_parameters(export, tmp_path):
    with pytest.raises(ValueError, match="'label' parameter of load_ecotaxa"):
        load_ecotaxa(export, label="taxon")
    with pytest.raises(ValueError, match="'images' parameter of load_ecotaxa"):
        load_ecotaxa(export, images="last")
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="contains no TSV file"):
        load_ecotaxa(tmp_path / "none")


@pytest.mark.parametrize("name", ["doi", "backup", "by_taxon"])
def test_samples(samples, name):
    folder = samples / "ecotaxa" / name
    rows = []
    for path in sorted(folder.rglob("*.tsv")):
        with path.open(encoding="utf-8-sig", newline="") as file:
            found = list(csv.DictReader(file, delimiter="\t"))
        rows += [row for row in found if row["object_lat"] != "[f]"]
    plankton = load_ecotaxa(folder, machine_labels=True)
    assert Counter(plankton.target) == Counter(row["object_annotation_category"] for row in rows)
    assert Counter(plankton.groups) == Counter(row["sample_id"] for row in rows)
    assert sorted(plankton.frame["object_id"]) == sorted(row["object_id"] for row in rows)
    areas = sorted(float(row["object_area"]) for row in rows)
    np.testing.assert_allclose(sorted(plankton.frame["object_area"]), areas)
    assert (plankton.frame["time"].dt.hour == 4).all()
    assert (plankton.frame["time"].dt.minute == 20).all()
    with pytest.raises(ValueError, match=f"{len(rows)} labels by a machine"):
        load_ecotaxa(folder)


def test_sample_without_images(samples):
    with pytest.raises(ValueError, match="it lists no images"):
        load_ecotaxa(samples / "ecotaxa" / "with_ids")


def test_tables_that_nobody_has_annotated(pictures):
    names = ["img_file_name", "object_id", "object_date", "object_time", "object_depth"]
    rows = [["1.jpg", "o1", "20160719", "020139.315", "1"], ["2.jpg", "o2", "", "", "2"]]
    root = pictures(FILES)
    # Types are of other letters in some files; the line is no object.
    (root / "ecotaxa_x.tsv").write_text(text(rows, names, ["[t]", "[t]", "[t]", "[t]", "[n]"]))
    with pytest.raises(ValueError, match=r"Pass keep=\['unclassified'\] to load them"):
        load_ecotaxa(root)
    plankton = load_ecotaxa(root, keep=["unclassified"])
    assert plankton.target.tolist() == [None, None]
    assert plankton.frame["object_depth"].tolist() == [1, 2]
    assert plankton.frame["time"][0].microsecond == 315000
    assert plankton.groups is None
    assert "sample_id is not known" in plankton.DESCR


def test_labels_without_a_status_are_told(pictures):
    names = ["img_file_name", "object_id", "object_annotation_category", "sample_id"]
    rows = [["1.jpg", "o1", "Copepoda", "s"], ["2.jpg", "o2", "", "s"]]
    root = pictures(FILES)
    (root / "ecotaxa_x.tsv").write_text(text(rows, names, None))
    plankton = load_ecotaxa(root)
    assert plankton.target.tolist() == ["Copepoda"]
    assert counted(plankton)["labels without a status"] == 1


def test_a_folder_of_archives_is_told(export, tmp_path):
    (tmp_path / "all").mkdir()
    make_zip(tmp_path / "all" / "net1.zip", {"ecotaxa.tsv": text().encode()})
    with pytest.raises(ValueError, match=r"Unpack the archives in it, such as net1\.zip"):
        load_ecotaxa(tmp_path / "all")
