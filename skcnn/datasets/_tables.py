"""Reading of CSV and TSV files, whichever program has written them."""

import csv
import difflib
import io
import os
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from skcnn.datasets._sources import Source, read_bytes

_DELIMITERS = ",;\t|"
_BYTE_ORDER_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
# How names of tables end.
_TABLE = re.compile(r"\.(csv|tsv|txt|tab)(\.gz)?$", re.IGNORECASE)
# What files begin with that are no text, and what they are.
_OTHERS = (
    (b"PK\x03\x04", "a workbook of Excel or a zip archive"),
    (b"\xd0\xcf\x11\xe0", "a workbook of an old Excel"),
    (b"SQLite format 3", "a database"),
    (b"PAR1", "a table of the format Parquet"),
    (b"%PDF", "a PDF document"),
    (b"<!DOCTYPE", "a web page, perhaps the one that asks you to log in"),
    (b"<html", "a web page, perhaps the one that asks you to log in"),
)
# How an archive of GBIF becomes one table. Its cells are in no quotation marks.
_DARWIN_CORE = (
    " An archive of GBIF (Darwin Core) has names in occurrence.txt, and addresses of photographs "
    "in multimedia.txt. Join them, and pass the DataFrame: read = lambda name: pandas.read_csv("
    "name, sep='\\t', quoting=3, dtype=str, keep_default_na=False), then read('occurrence.txt')."
    "merge(read('multimedia.txt'), on='gbifID'), with path= as the column of your downloaded "
    "files, and label='species'."
)
# How the lists of FlowCam begin: the number of columns, then a line for each.
_FLOWCAM = re.compile(r"(?:\d+\s*\n)?num-fields\|(\d+)\s*\n", re.IGNORECASE)
# Number of lines that decide about the delimiter.
_SAMPLE_LINES = 200
# Longest cell. The module csv stops at 131,072 characters, fewer than an EXIF block may have.
_LONGEST_CELL = 2**27


class Table(NamedTuple):
    """A table of texts, and how it was written."""

    frame: pd.DataFrame
    encoding: str
    delimiter: str


def read_table(path: Path, **options: object) -> Table:
    """Read a delimited text file, or the only one in a zip archive; see `parse_table`."""
    if path.suffix.lower() != ".zip":
        return parse_table(read_bytes(path), str(path), **options)  # type: ignore[arg-type]
    with Source(path) as source:
        names = [name for name in source.names() if _TABLE.search(name)]
        if len(names) != 1:
            archive = any(name.endswith("occurrence.txt") for name in names)
            raise ValueError(
                f"{path} contains {len(names)} tables. Expected one: unpack the archive, and pass "
                f"the file.{_DARWIN_CORE if archive else ''}"
            )
        where = f"{names[0]} in {path}"
        return parse_table(source.read(names[0]), where, **options)  # type: ignore[arg-type]


def parse_table(
    content: bytes,
    where: str,
    *,
    columns: Collection[str] = (),
    delimiter: str | None = None,
    encoding: str | None = None,
    header: bool = True,
    comment: str | None = None,
) -> Table:
    """Read a table as texts, without interpreting any: "007", "NA" and "1,5" stay as they are.

    Parameters
    ----------
    content : bytes
        Content of the file.
    where : str
        Name of the file, for messages.
    columns : collection of str, default=()
        Columns that should be there. They help to tell the delimiter.
    delimiter, encoding : str or None, default=None
        None finds out.
    header : bool, default=True
        Whether the first line has the names of the columns. Otherwise they are 0, 1, ...
    comment : str or None, default=None
        Lines that begin with it are left out.

    Returns
    -------
    table : Table
        Cells without surrounding spaces; an empty text where there is nothing.
    """
    text, encoding = decode(content, where, encoding)
    lines = text.splitlines(keepends=True) if comment else None
    if lines is not None and comment is not None:
        text = "".join(line for line in lines if not line.startswith(comment))
    # Excel writes and reads such a first line.
    excel = re.match(r'\ufeff?"?sep=(.)"?\r?\n', text)
    if excel:
        text, delimiter = text[excel.end() :], delimiter or excel[1]
    if flowcam := _FLOWCAM.match(text.removeprefix("\ufeff")):
        text, delimiter = _with_one_header(text.removeprefix("\ufeff"), flowcam), "|"
    delimiter = delimiter or _find_delimiter(text, columns)
    numbers, rows = _parse(text, delimiter, where)
    if not rows:
        raise ValueError(f"{where} is empty. Expected a table with a line of column names.")
    names: list[object] = (
        [name.strip().removeprefix("\ufeff").strip() for name in rows[0]]
        if header
        else list(range(max(map(len, rows))))
    )
    body = rows[1:] if header else rows
    _make_even(body, names, numbers[1:] if header else numbers, where, delimiter)
    while names and names[-1] == "" and not any(row[-1] for row in body):
        # Excel ends lines with delimiters of empty columns.
        names.pop()
        for row in body:
            row.pop()
    frame = pd.DataFrame(body, columns=pd.Index(names, dtype=object), dtype=object)
    return Table(frame, encoding, delimiter)


def _with_one_header(text: str, start: re.Match[str]) -> str:
    """Return a list of FlowCam with the names of its columns in one line, without their types."""
    lines = text[start.end() :].splitlines(keepends=True)
    n = int(start[1])
    names = [line.partition("|")[0].strip() for line in lines[:n]]
    return "|".join(names) + "\n" + "".join(lines[n:])


def decode(content: bytes, where: str, encoding: str | None = None) -> tuple[str, str]:
    """Return the text of a file and its encoding: that of its mark, UTF-8, or else Windows'."""
    start = content.lstrip()[:16].lower()
    what = next((what for mark, what in _OTHERS if start.startswith(mark.lower())), None)
    if what is not None:
        # Without keep_default_na, pandas takes the species NA for a missing value.
        way_out = (
            "Save the sheet as CSV, or pass what pandas.read_excel(..., dtype=str, "
            "keep_default_na=False) returns."
            if "Excel" in what
            else "Export the table as CSV."
        )
        raise ValueError(f"{where} is {what}. Expected a text file. {way_out}")
    if encoding is None:
        marks = (name for mark, name in _BYTE_ORDER_MARKS if content.startswith(mark))
        encoding = next(marks, None) or _of_two_bytes(content)
    candidates = [encoding] if encoding else ["utf-8", "cp1252", "latin-1"]
    for candidate in candidates:
        try:
            return content.decode(candidate), candidate
        except UnicodeError as error:
            problem = str(error)
        except LookupError as error:
            raise ValueError(f"The 'encoding' parameter is {encoding!r}: {error}.") from error
    raise ValueError(f"{where} is not a text in the encoding {encoding} ({problem}).")


def _of_two_bytes(content: bytes) -> str | None:
    """Return the encoding of a text without a mark whose every second byte is 0, else None."""
    sample = content[:1024]
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if len(sample) > 3 and sample[first::2].count(0) > 0.8 * len(sample[first::2]):
            return encoding
    return None


def _find_delimiter(text: str, columns: Collection[str]) -> str:
    """Return the delimiter that gives the expected columns, and as many cells in each line."""
    sample = text[: 2**17].splitlines(keepends=True)[:_SAMPLE_LINES]
    best, best_score = ",", (0, 0.0, 1)
    for delimiter in _DELIMITERS:
        rows = [row for row in _reader(sample, delimiter) if row]
        if not rows:
            continue
        width = len(rows[0])
        names = {name.strip().removeprefix("\ufeff") for name in rows[0]}
        even = sum(len(row) == width for row in rows) / len(rows) if width > 1 else 0.0
        score = (len(names & set(columns)), even, width)
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _reader(lines: Iterable[str], delimiter: str, **options: Any) -> Any:
    """Return a reader of the rows of a table, with more options of `csv.reader`."""
    return csv.reader(lines, delimiter=delimiter, skipinitialspace=delimiter != "\t", **options)


def _parse(text: str, delimiter: str, where: str) -> tuple[list[int], list[list[str]]]:
    """Return the rows of a table that have something in them, and their line numbers."""
    before = csv.field_size_limit(_LONGEST_CELL)
    try:
        try:
            return _rows(text, delimiter, strict=True)
        except csv.Error as error:
            problem = str(error)
        if "end of data" in problem:
            # Text that was never quoted may contain single quotes, such as 5" for a length.
            if delimiter == "\t":
                return _rows(text, delimiter, quoting=csv.QUOTE_NONE)
            raise ValueError(
                f'{where}: a quotation mark " is opened and not closed, so the end of the file '
                "would be part of one cell. Write it twice where it belongs to the text."
            )
        return _rows(text, delimiter)
    except csv.Error as error:
        raise ValueError(f"{where} is not a readable table ({error}).") from error
    finally:
        csv.field_size_limit(before)


def _rows(text: str, delimiter: str, **options: Any) -> tuple[list[int], list[list[str]]]:
    """Return line numbers and stripped cells of all rows that are not empty."""
    shared: dict[str, str] = {}
    numbers, rows = [], []
    reader = _reader(io.StringIO(text, newline=""), delimiter, **options)
    for row in reader:
        cells = [cell.strip() for cell in row]
        if any(cells):
            # A column of a million rows often has a hundred different texts.
            rows.append([shared.setdefault(cell, cell) for cell in cells])
            numbers.append(reader.line_num)
    return numbers, rows


def _make_even(
    body: list[list[str]], names: list[object], numbers: list[int], where: str, delimiter: str
) -> None:
    """Give all rows as many cells as there are columns, in place."""
    width = len(names)
    for number, row in zip(numbers, body):
        if len(row) > width and any(row[width:]):
            raise ValueError(
                f"{where}, line {number}: {len(row)} cells, where the first line names {width} "
                f"columns (delimiter {delimiter!r}). A text that contains the delimiter must be "
                "in quotation marks; or pass delimiter=."
            )
        del row[width:]
        row.extend([""] * (width - len(row)))


def check_columns(
    frame: pd.DataFrame, names: Iterable[object], parameter: str, where: str
) -> None:
    """Check that each of `names` is a column of the table, exactly once."""
    columns = list(frame.columns)
    for name in names:
        if columns.count(name) > 1:
            raise ValueError(
                f"{where} has {columns.count(name)} columns named {name!r}, which "
                f"{parameter} asks for. Rename all but one."
            )
        if name not in columns:
            texts = [column for column in columns if isinstance(column, str)]
            lower = {column.lower(): column for column in texts}
            close = difflib.get_close_matches(str(name).lower(), list(lower), n=2, cutoff=0.5)
            hint = f" Did you mean {' or '.join(repr(lower[c]) for c in close)}?" if close else ""
            shown = ", ".join(map(repr, columns[:30])) + (", ..." if len(columns) > 30 else "")
            raise ValueError(
                f"{where} has no column {name!r}, which {parameter} asks for.{hint} Its columns "
                f"are {shown}."
            )


def as_frame(table: object, where: str) -> pd.DataFrame:
    """Return a copy of a DataFrame with its rows numbered from 0."""
    if not isinstance(table, pd.DataFrame):
        raise TypeError(
            f"{where} expects the path of a file, or a DataFrame. Got "
            f"{type(table).__name__} instead."
        )
    return table.reset_index(drop=True)


def as_texts(values: pd.Series, *, missing: Collection[str] = ()) -> pd.Series:
    """Return values as texts without surrounding spaces, None where there is nothing.

    Examples
    --------
    >>> as_texts(pd.Series([" 007", "", None, "NA", 3.0])).tolist()
    ['007', None, None, 'NA', '3']
    """
    codes, different = pd.factorize(np.asarray(values, dtype=object), use_na_sentinel=True)
    texts = np.array([_as_text(value) for value in different] + [None], dtype=object)
    for i, text in enumerate(texts):
        if text == "" or text in missing:
            texts[i] = None
    return pd.Series(texts[codes], index=values.index, dtype=object)


def _as_text(value: object) -> str:
    """Return a value as a text; a whole float was an integer before something was missing."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return os.fspath(value).strip() if isinstance(value, os.PathLike) else str(value).strip()


def as_numbers(values: pd.Series, where: str) -> npt.NDArray[np.float64]:
    """Return numbers, also those with a decimal comma; NaN where there is nothing.

    Examples
    --------
    >>> as_numbers(pd.Series(["1.5", "1,5", "", 2]), "the column 'x'").tolist()
    [1.5, 1.5, nan, 2.0]
    """
    texts = as_texts(values, missing=("NA", "NaN", "nan"))
    points = [text.replace(",", ".") if text and "." not in text else text for text in texts]
    numbers: npt.NDArray[np.float64] = pd.to_numeric(
        pd.Series(points, dtype=object), errors="coerce"
    ).to_numpy(dtype=float)
    wrong = np.flatnonzero(~np.isfinite(numbers) & texts.notna().to_numpy())
    if len(wrong):
        raise ValueError(
            f"{where} contains {texts.iloc[wrong[0]]!r} in row {wrong[0]}. Expected a number."
        )
    return numbers


def as_flags(values: pd.Series) -> npt.NDArray[np.bool_]:
    """Return which values mean yes: true, 1, yes, in any case, also as Excel translates them.

    Examples
    --------
    >>> as_flags(pd.Series(["TRUE", "false", "1", "", True, "WAHR", "1.0"])).tolist()
    [True, False, True, False, True, True, True]
    """
    yes = {"true", "1", "1.0", "yes", "t", "y"}
    yes |= {"wahr", "vrai", "verdadero", "verdadeiro", "vero", "waar", "sant", "sann", "prawda"}
    return np.array([(text or "").lower() in yes for text in as_texts(values)], dtype=bool)
