"""Packages of Camtrap DP: datapackage.json, and the tables that it lists."""

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pandas as pd

from skcnn.datasets._sources import (
    Source,
    as_list,
    as_object,
    as_text,
    optional_text,
    parse_json,
)
from skcnn.datasets._tables import as_texts, check_columns, parse_table

# What the standard says is missing.
MISSING = ("NA", "NaN", "nan")


class Package(NamedTuple):
    """The tables of a package, and what it says of itself."""

    where: str
    name: str
    version: str
    folder: str
    tables: dict[str, pd.DataFrame]
    archived: frozenset[str]  # files in the zip archive, seen from datapackage.json

    def table(self, name: str, *columns: str) -> pd.DataFrame:
        """Return a table that must have some columns."""
        check_columns(
            self.tables[name], columns, "Camtrap DP", f"The table {name} of {self.where}"
        )
        return self.tables[name]

    def texts(self, table: str, column: str) -> pd.Series:
        """Return the texts of a column, None where they are missing or there is no such column."""
        frame = self.tables[table]
        if column not in frame:
            return pd.Series([None] * len(frame), dtype=object)
        return as_texts(frame[column], missing=MISSING)


def read_package(given: Path) -> Package:
    """Read datapackage.json and the tables it lists."""
    expected = "datapackage.json of a Camtrap DP package: an object with a list 'resources'"
    is_file = given.suffix.lower() == ".json"
    if given.is_file() and not is_file and not zipfile.is_zipfile(given):
        raise ValueError(
            f"{given} is no package. Expected the file datapackage.json, the folder that contains "
            "it, or a zip archive."
        )
    with Source(given.parent if is_file else given) as source:
        if is_file:
            name, files = given.name, []
        else:
            files = source.names()
            names = [n for n in files if PurePosixPath(n).name == "datapackage.json"]
            if not names:
                raise ValueError(
                    f"{given} contains no datapackage.json. Expected {expected}. Export the "
                    "package again, or write the file: "
                    '{"resources": [{"name": "media", "path": "media.csv"}, '
                    '{"name": "observations", "path": "observations.csv"}, '
                    '{"name": "deployments", "path": "deployments.csv"}]}'
                )
            name = min(names, key=lambda n: (n.count("/"), n))
        where = f"{source.path / name}"
        content = as_object(parse_json(source.read(name), where, expected), where)
        if "resources" not in content:
            raise ValueError(f"{where} has no 'resources'. Expected {expected}.")
        folder = PurePosixPath(name).parent
        tables = {}
        for i, item in enumerate(as_list(content["resources"], f"{where}: resources")):
            resource = as_object(item, f"{where}: resources[{i}]")
            kind = {"multimedia": "media"}.get(str(resource.get("name")), resource.get("name"))
            if kind in ("deployments", "media", "observations"):
                tables[str(kind)] = _read_resource(resource, source, folder, where)
    for kind in ("media", "observations"):
        if kind not in tables:
            raise ValueError(f"{where} lists no resource named {kind!r}. Expected {expected}.")
    profile = str(content.get("profile") or "")
    version = re.search(r"\d+\.\d+(?:\.\d+)?", profile)
    title = optional_text(content.get("title")) or optional_text(content.get("name")) or name
    archived: frozenset[str] = frozenset()
    if source.path.is_dir():
        below = str(source.path / folder)
    else:
        below = str(source.path.parent)
        start = "" if str(folder) == "." else f"{folder}/"
        archived = frozenset(n.removeprefix(start) for n in files if n.startswith(start))
    said = version[0] if version else "not given"
    return Package(where, title, said, below, tables, archived)


def _read_resource(
    resource: Mapping[str, object], source: Source, folder: PurePosixPath, where: str
) -> pd.DataFrame:
    """Return the table of a resource: from its files, or from the list in the package itself."""
    name = f"{where}: the resource {resource.get('name')!r}"
    if "data" in resource:
        rows = [as_object(row, name) for row in as_list(resource["data"], name)]
        frame = pd.DataFrame(rows, dtype=object)
        return frame.where(frame.notna(), "").map(str)
    paths = resource.get("path")
    parts = []
    for item in paths if isinstance(paths, list) else [paths]:
        path = as_text(item, f"{name}: path")
        parsed = PurePosixPath(path)
        if "://" in path or parsed.is_absolute() or ".." in parsed.parts:
            raise ValueError(
                f"{name} has the path {path!r}. Expected a file of the package. Download it, and "
                "name it there."
            )
        file = str(folder / parsed)
        content, file_name = source.read(file), f"{file} in {source.path}"
        if parsed.suffix.lower() == ".parquet":
            parts.append(_read_parquet(content, file_name))
            continue
        dialect = resource.get("dialect")
        delimiter = dialect.get("delimiter") if isinstance(dialect, dict) else None
        encoding = optional_text(resource.get("encoding"))
        # Packages declare UTF-8 where files have a byte order mark, or another encoding.
        declared = None if not encoding or encoding.lower() in ("utf-8", "utf8") else encoding
        parts.append(
            parse_table(
                content,
                file_name,
                columns=("deploymentID", "mediaID", "observationID"),
                delimiter=optional_text(delimiter),
                encoding=declared,
            ).frame
        )
    return pd.concat(parts, ignore_index=True).fillna("")


def _read_parquet(content: bytes, where: str) -> pd.DataFrame:
    """Return a table of the format Parquet, as texts."""
    from io import BytesIO

    try:
        frame = pd.read_parquet(BytesIO(content))
    except ImportError as error:
        raise ImportError(f"{where} needs pyarrow: pip install pyarrow") from error
    return frame.astype(object).where(frame.notna(), "").map(str)
