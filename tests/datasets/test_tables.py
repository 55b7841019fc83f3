"""Tables come out as they were written, whatever delimiter, encoding and quotes they have."""

import csv
import gzip
import io
import zipfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skcnn.datasets._tables import (
    as_flags,
    as_numbers,
    as_texts,
    check_columns,
    parse_table,
    read_table,
)

# Texts with all that makes trouble: delimiters, quotes, line ends, codes that look like nothing.
LETTERS = "abcXYZ019éüñß ,;\t|'\"\n.-_/\\"
CELLS = st.one_of(
    st.sampled_from(["NA", "nan", "None", "007", "1,5", "1.5", "", "=1+1", "#", "a,b;c"]),
    st.text(LETTERS, max_size=8).map(str.strip),
)


def written(rows, delimiter, quoting, line_end):
    """Return a table as the module csv writes it."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=line_end)
    writer.writerows(rows)
    return text.getvalue()


@given(
    rows=st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=6),
    delimiter=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    line_end=st.sampled_from(["\n", "\r\n"]),
    trailing=st.booleans(),
)
def test_any_dialect(rows, delimiter, encoding, quoting, line_end, trailing):
    names = ["path", "label", "site"]
    text = written([names, *rows], delimiter, quoting, line_end)
    if trailing:  # Excel keeps empty columns
        text = written([[*names, ""], *([*row, ""] for row in rows)], delimiter, quoting, line_end)
    # What cp1252 writes may by chance be valid UTF-8, which nobody can tell: not of these letters.
    table = parse_table(text.encode(encoding), "table", columns=["path", "label"])
    full = [list(row) for row in rows if any(row)]
    assert table.delimiter == delimiter
    assert list(table.frame.columns) == names
    assert table.frame.to_numpy().tolist() == full


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sep=;\r\na;b\r\n1;2\r\n", [["1", "2"]]),
        ('a, b\n "x, y",  z \n', [["x, y", "z"]]),
        ("a,b\n1\n", [["1", ""]]),
        ("a,b\n1,2,,\n", [["1", "2"]]),
        ("\n\na,b\n\n1,2\n,\n", [["1", "2"]]),
        ("a;b\n1,5;2,5\n", [["1,5", "2,5"]]),
        ('a\tb\nx\t"open\ny\tz\n', [["x", '"open'], ["y", "z"]]),
        ('a,b\n1,"say ""hi"""\n', [["1", 'say "hi"']]),
        ('a,b\n1,5" tall\n', [["1", '5" tall']]),
        ("a\nx\n", [["x"]]),
    ],
)
def test_odd_tables(text, expected):
    frame = parse_table(text.encode(), "table").frame
    assert frame.to_numpy().tolist() == expected


def test_header_may_be_absent():
    frame = parse_table(b"1.jpg,3\n2.jpg,4\n", "table", header=False).frame
    assert frame[0].tolist() == ["1.jpg", "2.jpg"]
    assert frame[1].tolist() == ["3", "4"]


def test_long_cells_leave_the_limit_of_csv_alone():
    before = csv.field_size_limit()
    frame = parse_table(f"a,b\n{'x' * 200_000},1\n".encode(), "table").frame
    assert len(frame["a"][0]) == 200_000
    assert csv.field_size_limit() == before


def test_gzip(tmp_path):
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n"))
    assert read_table(tmp_path / "t.csv.gz").frame["b"].tolist() == ["2"]
    (tmp_path / "broken.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n")[:-9])
    with pytest.raises(ValueError, match=r"broken\.csv\.gz is not a complete gzip file"):
        read_table(tmp_path / "broken.csv.gz")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "table is empty"),
        (b"\n \n", "table is empty"),
        (b"a,b\n1,2,3\n", r"line 2: 3 cells, where the first line names 2"),
        (b'a,b\n1,"2\n3,4\n', "quotation mark"),
        (b"PK\x03\x04rest", r"workbook of Excel.*keep_default_na=False"),
        (b"\xd0\xcf\x11\xe0rest", r"workbook of an old Excel.*Save the sheet as CSV"),
        (b"SQLite format 3\x00", r"is a database.*Export the table as CSV"),
        (b"\n<!doctype html><html>", "is a web page"),
    ],
)
def test_damaged_tables(content, message):
    with pytest.raises(ValueError, match=message):
        parse_table(content, "table", delimiter="," if b"a" in content else None)


def test_wrong_encodings():
    with pytest.raises(ValueError, match="not a text in the encoding utf-8"):
        parse_table("a,b\né,1\n".encode("cp1252"), "table", encoding="utf-8")
    with pytest.raises(ValueError, match="'encoding' parameter is 'utf-9'"):
        parse_table(b"a,b\n", "table", encoding="utf-9")


def test_columns_that_are_not_there():
    frame = pd.DataFrame([["1", "2", "3"]], columns=["File", "Label", "Label"])
    with pytest.raises(ValueError, match=r"no column 'file', .* Did you mean 'File'\?"):
        check_columns(frame, ["file"], "path=", "table.csv")
    with pytest.raises(ValueError, match="2 columns named 'Label'"):
        check_columns(frame, ["Label"], "label=", "table.csv")


@pytest.mark.parametrize("dtype", ["object", "string", "category"])
def test_texts_of_any_series(dtype):
    values = pd.Series(["fox", None, " hare ", "NA"]).astype(dtype)
    assert as_texts(values).tolist() == ["fox", None, "hare", "NA"]
    assert as_texts(values, missing=["NA"]).tolist() == ["fox", None, "hare", None]


def test_numbers_and_flags():
    assert as_numbers(pd.Series(["18,0", "-1.5e3", " 2 "]), "x").tolist() == [18.0, -1500.0, 2.0]
    assert np.isnan(as_numbers(pd.Series([None, "", "NA"]), "x")).all()
    with pytest.raises(ValueError, match="x contains 'wide' in row 1"):
        as_numbers(pd.Series(["1", "wide"]), "x")
    assert as_flags(pd.Series(["True", "yes", "0", None, "FALSE"])).tolist() == [
        True,
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_two_bytes_per_character_without_a_mark(encoding):
    table = parse_table("path\tlabel\n1.jpg\tFüchse\n".encode(encoding), "table")
    assert table.frame.to_numpy().tolist() == [["1.jpg", "Füchse"]]
    assert table.encoding == encoding


def test_a_table_in_a_zip_archive(tmp_path):
    path = tmp_path / "observations.csv.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("observations.csv", "id,label\n007,fox\n")
        archive.writestr("__MACOSX/._observations.csv", "x")
    assert read_table(path).frame.to_numpy().tolist() == [["007", "fox"]]
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("more.csv", "id,label\n")
    with pytest.raises(ValueError, match=r"contains 2 tables\. Expected one"):
        read_table(path)


def test_an_archive_of_gbif(tmp_path):
    path = tmp_path / "0001-gbif.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("occurrence.txt", "multimedia.txt", "verbatim.txt"):
            archive.writestr(name, "gbifID\tspecies\n1\tVulpes\n")
    with pytest.raises(ValueError, match=r"GBIF .* Join them.*merge\(.* on='gbifID'\)"):
        read_table(path)


@pytest.mark.parametrize("start", ["", "013\r\n", "\ufeff"])
def test_lists_of_flowcam(start):
    lines = ["num-fields|3", "id|int", "collage_file|string", "image_x|int", "1|a.tif|10"]
    table = parse_table((start + "\r\n".join(lines) + "\r\n").encode(), "run.lst")
    assert list(table.frame) == ["id", "collage_file", "image_x"]
    assert table.frame.to_numpy().tolist() == [["1", "a.tif", "10"]]
