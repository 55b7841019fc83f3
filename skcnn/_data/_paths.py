"""Paths of image files as X: in which forms they come, and boxes beside them."""

import os
from collections.abc import Hashable, Iterator, KeysView, Mapping, Sequence, ValuesView
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from skcnn._other_tables import is_frame, other_names, to_frame
from skcnn._utils import BOX_COLUMNS, IMAGE_COLUMN, as_objects

#: The column of a DataFrame with the paths, where several columns hold text.
PATH_COLUMN = "path"

# Detectors round, so that a box may leave the image by a little.
_BOX_TOLERANCE = 0.02
_N_NAMED = 10
_TEXT = (str, os.PathLike)
_UNORDERED = (set, frozenset, dict, KeysView, ValuesView)


@dataclass(frozen=True)
class Paths:
    """Paths of image files, and the part of each image to take.

    Attributes
    ----------
    names : ndarray of shape (n,)
        Text or PathLike objects; None or NaN where a path is missing.
    boxes : ndarray of shape (n, 4), or None
        Columns x, y, width and height, in fractions of the image from its top left corner. Rows
        of NaN, and None, take whole images.
    """

    names: npt.NDArray[Any]
    boxes: npt.NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.names)

    def box(self, row: int) -> npt.NDArray[np.float64] | None:
        """Return the box of one image; None for the whole image."""
        if self.boxes is None or np.isnan(self.boxes[row, 0]):
            return None
        box: npt.NDArray[np.float64] = self.boxes[row]
        return box

    def describe_failures(self, failures: Mapping[int, str]) -> str:
        """Name the first files that cannot be read, and how many more there are.

        Parameters
        ----------
        failures : dict of int to str
            The reason for each row.
        """
        rows = sorted(failures)
        lines = [f"row {row}: {self.names[row]} {failures[row]}" for row in rows[:_N_NAMED]]
        if len(rows) > _N_NAMED:
            lines.append(f"and {len(rows) - _N_NAMED} more")
        return "\n  ".join(["", *lines])

    def take(self, rows: npt.NDArray[np.intp] | slice) -> "Paths":
        """Return some of the paths."""
        return Paths(self.names[rows], None if self.boxes is None else self.boxes[rows])


def read_paths(X: Any, name: str = "X") -> Paths | None:
    """Read X as paths of image files; None if it holds something else.

    One path, a list or tuple, an array of one dimension or with one column, a Series, or a
    DataFrame. A DataFrame is read as paths if it has a column of text named "path", or exactly
    one column of text. Columns of a box are read, and other columns are left to
    `split_covariates`.

    Raises
    ------
    ValueError
        If a DataFrame has other text beside the paths, if paths and other values are mixed,
        if boxes are not as described, or if X is a folder, or an empty list, array or Series.
    TypeError
        If X is a generator or another iterator, a set or a dict.
    """
    X = as_rows(as_pandas(X), name)
    if is_frame(X):
        return _from_frame(X, name)
    if isinstance(X, list | tuple):
        if not _is_text(next((value for value in X if not is_missing(value)), None)):
            return None
        return Paths(_checked(as_objects(X), name))
    if isinstance(X, np.ndarray) and X.dtype.kind not in "OUT":
        return None
    if not isinstance(X, np.ndarray):
        # Arrays of pandas and of pyarrow; other objects become arrays of numbers.
        is_array = hasattr(X, "__array__") and hasattr(X, "__iter__")
        if not is_array or not _is_one_dimensional(X) or not holds_text(X):
            return None
        X = np.asarray(X, dtype=object)
    if X.ndim == 2 and X.shape[1] == 1:
        X = X[:, 0]
    if X.ndim != 1 or not holds_text(X):
        return None
    return Paths(_checked(X, name))


def as_rows(X: Any, name: str = "X") -> Any:
    """Return one path as a list, so that X can be cut and counted like any other.

    A folder is refused, and so is what an empty one, a wrong pattern or ``Path.glob`` gives.
    """
    if isinstance(X, Iterator) and not hasattr(X, "__array__"):
        raise TypeError(
            f"{name} is a {type(X).__name__}, which can be read only once. Expected images as an "
            "array (n, height, width, channels), or paths as a list, since scikit-learn's tools "
            f"pick rows from it. Pass list({name}), or numpy.stack(list({name})) of images."
        )
    # A sparse matrix of scipy may be a dict, too; scikit-learn refuses it.
    if isinstance(X, _UNORDERED) and not hasattr(X, "shape"):
        raise TypeError(
            f"{name} is a {type(X).__name__}, whose rows have no numbers. Expected images as an "
            "array (n, height, width, channels), or paths as a list, in the order of y: "
            f"sorted({name}) of a set, list({name}.values()) of a dict."
        )
    if isinstance(X, _TEXT):
        if os.path.isdir(X):
            raise ValueError(
                f"{name} is a folder, {os.fspath(X)}. Expected paths of image files. "
                "skcnn.datasets.load_image_folder returns those in a folder, and their labels; of "
                "new images, load_image_folder(folder, label=None).data."
            )
        return [X]
    holds_paths = PATH_COLUMN in X.columns if is_frame(X) else _is_one_dimensional(X)
    if hasattr(X, "__len__") and holds_paths and not len(X):
        raise ValueError(
            f"{name} is an empty {type(X).__name__}. Expected at least one image or path. If "
            "the paths come from a folder or a pattern, such as glob.glob('photographs/*.jpg'), "
            "check that it finds files: in your folder their names may end in .JPG or .jpeg."
        )
    return X


def _is_text(value: object) -> bool:
    return isinstance(value, _TEXT)


def is_missing(value: object) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value))


def _is_one_dimensional(X: object) -> bool:
    return getattr(X, "ndim", 1) == 1


def holds_text(values: Any) -> bool:
    """Whether the first value of an array, Series or Index that is not missing is text."""
    kind = getattr(values, "dtype", None)
    if isinstance(kind, pd.CategoricalDtype):
        values = kind.categories
    elif isinstance(kind, np.dtype) and kind.kind not in "OUT":
        return False
    found = (value for value in values if not is_missing(value))
    first: Any = next(found, None)
    # A text of pyarrow is an object of its own.
    return _is_text(first.as_py() if hasattr(first, "as_py") else first)


def _checked(values: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    """Refuse a mixture of paths and other values."""
    if values.dtype.kind != "O":
        return values
    for row, value in enumerate(values):
        if not isinstance(value, _TEXT) and not is_missing(value):
            raise ValueError(
                f"{name} holds paths of image files and other values: row {row} is a "
                f"{type(value).__name__}. Expected a path in every row."
            )
    return values


def as_pandas(X: Any) -> Any:
    """Return a table of polars or pyarrow that holds text as a DataFrame; else X itself."""
    names = other_names(X)
    return to_frame(X) if names and any(holds_text(X[name]) for name in names) else X


def find_path_column(X: pd.DataFrame, name: str) -> Hashable | None:
    """Return the name of the column of a DataFrame that holds paths; None if none does.

    Categories are covariates, unless their column is named "path" or no other column has text.
    """
    columns: list[Hashable] = list(X.columns)
    # Columns are not looked at one by one where they are thousands of pixels.
    maybe = [i for i, kind in enumerate(X.dtypes) if getattr(kind, "kind", "O") in "OUT"]
    found = [i for i in maybe if holds_text(X.iloc[:, i])]
    is_category = [isinstance(X.dtypes.iloc[i], pd.CategoricalDtype) for i in found]
    text = [columns[i] for i, category in zip(found, is_category) if not category]
    categories = [columns[i] for i, category in zip(found, is_category) if category]
    column: Hashable
    if PATH_COLUMN in (*text, *categories):
        column = PATH_COLUMN
    elif len(text) == 1:
        column = text[0]
    elif text:
        raise ValueError(
            f"{name} has {len(text)} columns of text: {listed(text)}. Name the one with the "
            f'paths of the images "{PATH_COLUMN}", or pass only that one, as '
            f"{name}[[{text[0]!r}]]."
        )
    elif not categories:
        return None
    elif {*columns} == {categories[0], *(box for box in BOX_COLUMNS if box in columns)}:
        return categories[0]
    else:
        raise ValueError(
            f"{name} has no column of images: {listed(columns)}. Expected paths of image files in "
            f'a column of text, or images in a column "{IMAGE_COLUMN}".'
        )
    others = [other for other in text if other != column]
    if others:
        wanted = [column, *(box for box in BOX_COLUMNS if box in columns)]
        raise ValueError(
            f"{name} has columns of text beside the paths of images: {listed(others)}. Make them "
            f'categories, {name}[{others[0]!r}].astype("category") or factors in R, for '
            f"the network to learn from them. Pass {name}[{wanted}] to leave them out."
        )
    return column


def _from_frame(X: pd.DataFrame, name: str) -> Paths | None:
    column = find_path_column(X, name)
    if column is None:
        return None
    columns = list(X.columns)
    if columns.count(column) > 1:
        raise ValueError(f"{name} has two columns {column!r}. Rename or drop one of them.")
    boxed = [name for name in BOX_COLUMNS if name in columns]
    if boxed and len(boxed) < len(BOX_COLUMNS):
        missing = [name for name in BOX_COLUMNS if name not in boxed]
        raise ValueError(f"{name} has {listed(boxed)} but not {listed(missing)}. Give all four.")
    names = _checked(X[column].to_numpy(dtype=object), name)
    return Paths(names, _checked_boxes(X, name) if boxed else None)


def _checked_boxes(X: pd.DataFrame, name: str) -> npt.NDArray[np.float64]:
    boxes: npt.NDArray[np.float64] = X[list(BOX_COLUMNS)].to_numpy(
        dtype=np.float64, na_value=np.nan
    )
    missing = np.isnan(boxes)
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    outside = (low < -_BOX_TOLERANCE) | (high > 1 + _BOX_TOLERANCE) | (boxes[:, 2:] <= 0)
    wrong = outside.any(axis=1) | (missing.any(axis=1) & ~missing.all(axis=1))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        found = ", ".join(f"{value:g}" for value in boxes[row])
        raise ValueError(
            f"{name} has {wrong.sum()} box(es) that are not parts of their images, the first in "
            f"row {row}: {', '.join(BOX_COLUMNS)} are {found}. Expected fractions of the image "
            "from 0 to 1, from its top left corner, or four missing values for the whole image. "
            "Divide pixels by the width and the height of the image."
        )
    return boxes


def listed(columns: Sequence[Any]) -> str:
    more = f" and {len(columns) - 5} more" if len(columns) > 5 else ""
    return ", ".join(repr(column) for column in columns[:5]) + more
