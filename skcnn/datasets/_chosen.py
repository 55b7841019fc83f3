"""What the user has passed to load_image_table, for the presets to read."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from skcnn.datasets._columns import Columns
from skcnn.datasets._paths import folder_levels
from skcnn.datasets._sources import PathLike
from skcnn.datasets._tables import as_frame, read_table


class Chosen(NamedTuple):
    """What the user has passed to `load_image_table`."""

    table: object
    source: Path | None
    columns: Columns
    root: PathLike | None
    reading: Mapping[str, object]

    @property
    def where(self) -> str:
        """Name of the table, for messages."""
        return "The DataFrame" if self.source is None else str(self.source)

    @property
    def folder(self) -> Path:
        """Folder where relative paths begin, if the user names none."""
        if self.source is None:
            return Path(os.getcwd())
        return self.source if self.source.is_dir() else self.source.parent

    def read(self, path: Path | None = None) -> pd.DataFrame:
        """Return the table, or another file that belongs to it."""
        if self.source is None:
            return as_frame(self.table, "load_image_table")
        return read_table(path or self.source, **self.reading).frame

    def companions(self, *endings: str) -> dict[str, pd.DataFrame]:
        """Return tables by the endings of their names, from the folder or beside the file."""
        if self.source is None:
            return {}
        folder = self.source if self.source.is_dir() else self.source.parent
        start = ""
        if self.source.is_file():
            name = self.source.name.lower()
            start = next((name.removesuffix(end) for end in endings if name.endswith(end)), name)
        found = {}
        for path in sorted(folder.iterdir()):
            for ending in endings:
                name = path.name.lower()
                if name.endswith(ending) and (not start or name == start + ending):
                    found[ending] = self.read(path)
        return found


def first_folder(paths: list[str | None]) -> pd.Series:
    """Return the first folder of relative paths, None where there is none."""
    return pd.Series(folder_levels([path or "" for path in paths], Path("."), 0), dtype=object)
