"""A y with several columns: how many there are, their names, and each by itself."""

from collections.abc import Sequence, Set
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import issparse

from skcnn._utils import check_none_hidden


def count_columns(y: Any) -> int:
    """Return the number of columns of y; 1 where it is a list, or cannot be read.

    Raises
    ------
    ValueError
        If y holds a set of labels for each image.

    Examples
    --------
    >>> count_columns([0, 1, 1]), count_columns([[0, 1], [1, 1], [0, 0]])
    (1, 2)
    """
    if issparse(y):
        return int(y.shape[1])
    if isinstance(y, Sequence) or getattr(y, "dtype", None) == np.dtype(object):
        _check_no_sets(y)
    shape = y.shape if hasattr(y, "shape") else np.asarray(y).shape
    return int(shape[1]) if len(shape) == 2 else 1


def _check_no_sets(y: Any) -> None:
    """Refuse one set of labels per image, as scikit-learn does, and say what to do."""
    several = [value for value in y if isinstance(value, list | tuple | Set)]
    if any(isinstance(value, Set) for value in several) or len({len(v) for v in several}) > 1:
        raise ValueError(
            f"y holds a set of labels for each image, such as {several[0]!r}. Expected a column "
            "of 0 and 1 for each label, as sklearn.preprocessing.MultiLabelBinarizer makes it."
        )


def check_none_missing(y: Any, name: str = "y", what: str = "value") -> None:
    """Count the rows of y in which a value is missing, in whatever form it comes.

    Raises
    ------
    ValueError
        If there is one.

    Examples
    --------
    >>> check_none_missing(["fox", None])
    Traceback (most recent call last):
        ...
    ValueError: y has 1 missing value(s), the first in row 1. ...
    """
    check_none_hidden(y, name)
    # Of a list of text and NaN, numpy would make text.
    missing = pd.isna(np.asarray(y, dtype=None if hasattr(y, "__array__") else object))
    if not np.size(missing) or not np.ndim(missing):
        # What is empty, or no sequence at all, is refused elsewhere.
        return
    rows = np.flatnonzero(missing.reshape(len(missing), -1).any(axis=1))
    if len(rows):
        raise ValueError(
            f"{name} has {len(rows)} missing {what}(s), the first in row {rows[0]}. None and "
            f"NaN are no {what}s: give every image one, or leave it out: known = "
            f"pandas.notna({name})."
        )


def is_empty_text(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return which values are text with nothing in it, as R and csv read empty cells.

    Examples
    --------
    >>> is_empty_text(np.array(["fox", "", " ", None], dtype=object)).tolist()
    [False, True, True, False]
    """
    if values.dtype.kind not in "OTU":
        return np.zeros(values.shape, dtype=bool)
    empty = [isinstance(value, str) and not value.strip() for value in values.ravel()]
    return np.array(empty, dtype=bool).reshape(values.shape)


def without_empty_text(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return values with None in place of text with nothing in it.

    Examples
    --------
    >>> without_empty_text(np.array(["fox", ""]))
    array(['fox', None], dtype=object)
    """
    empty = is_empty_text(values)
    if not empty.any():
        return values
    known = values.astype(object)
    known[empty] = None
    return known


def column_names(y: npt.ArrayLike, n_columns: int) -> npt.NDArray[Any]:
    """Return the names of the columns of a DataFrame; of other tables, numbers from 0."""
    names = given_names(y)
    return np.arange(n_columns) if names is None else np.asarray(names)


def given_names(y: object) -> list[Any] | None:
    """Return the names that a table gives its columns; None where y is no table with names.

    Examples
    --------
    >>> given_names(pd.DataFrame({"a": [1], "b": [2]})), given_names([[1, 2]])
    (['a', 'b'], None)
    """
    names = getattr(y, "columns", None)
    if names is None:
        return None
    # The columns of pyarrow are those themselves.
    return list(names if isinstance(y, pd.DataFrame) else getattr(y, "column_names", names))


def as_table(checked: Any, y: Any) -> Any:
    """Return a checked y as a dense array, or as a DataFrame where y has names of columns."""
    dense = checked.toarray() if issparse(checked) else checked
    if dense.ndim != 2 or given_names(y) is None:
        return dense
    return pd.DataFrame(dense, columns=column_names(y, dense.shape[1]))


def check_names(y: npt.ArrayLike, expected: Sequence[Any] | npt.NDArray[Any], name: str) -> None:
    """Raise a ValueError if y is a DataFrame with other columns than those of fit."""
    found = given_names(y)
    wanted = expected.tolist() if isinstance(expected, np.ndarray) else list(expected)
    if found is not None and found != wanted:
        raise ValueError(f"{name} has the columns {found}. Expected those of y: {wanted}.")


def each_column(y: npt.ArrayLike) -> list[npt.NDArray[Any]]:
    """Return each column of a table by itself, with a type of its own.

    Examples
    --------
    >>> each_column(np.array([["oak", 3], ["fir", 5]], dtype=object))
    [array(['oak', 'fir'], dtype=object), array([3, 5])]
    """
    if isinstance(y, np.ndarray) and y.dtype != object:
        return list(y.T)
    table = y if isinstance(y, pd.DataFrame) else pd.DataFrame(y)
    return [np.asarray(table.iloc[:, number].infer_objects()) for number in range(table.shape[1])]
