"""A y with several columns: their number, their names, and each by itself."""

from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from skcnn._targets._columns import (
    as_table,
    check_names,
    column_names,
    count_columns,
    each_column,
)

TABLES = {
    "array": np.array([[0, 1], [1, 1]]),
    "list": [[0, 1], [1, 1]],
    "sparse": csr_matrix([[0, 1], [1, 1]]),
    "frame": pd.DataFrame({"a": [0, 1], "b": [1, 1]}),
}


class Arrow:
    """As of pyarrow: `columns` are the columns themselves."""

    columns: ClassVar = [np.array([0, 1]), np.array([1, 1])]
    column_names: ClassVar = ["a", "b"]
    shape = (2, 2)


COLUMNS = {
    "array": (np.arange(3), 1),
    "column": (np.zeros((3, 1)), 1),
    "words": (["ant", "bee"], 1),
    "series": (pd.Series(["ant", "bee"], dtype=object), 1),
    "empty": ([], 1),
    **{name: (table, 2) for name, table in TABLES.items()},
}


@pytest.mark.parametrize(("y", "n_columns"), COLUMNS.values(), ids=COLUMNS)
def test_columns_are_counted_in_every_form(y, n_columns):
    assert count_columns(y) == n_columns


@pytest.mark.parametrize(
    "y",
    [[{"a"}, {"b"}], [("a", "b"), ("a",)], pd.Series([["a"], ["a", "b"]]), [[], ["a"]]],
    ids=["sets", "tuples", "series", "none"],
)
def test_sets_of_labels_are_refused_with_the_way_out(y):
    with pytest.raises(ValueError, match=r"set of labels .*MultiLabelBinarizer"):
        count_columns(y)


@pytest.mark.parametrize("y", TABLES.values(), ids=TABLES)
def test_tables_are_dense_and_keep_their_names(y):
    checked = y if hasattr(y, "toarray") else np.asarray(y)
    table = as_table(checked, y)
    np.testing.assert_array_equal(np.asarray(table), [[0, 1], [1, 1]])
    named = isinstance(y, pd.DataFrame)
    assert isinstance(table, pd.DataFrame) == named
    assert column_names(table, 2).tolist() == (["a", "b"] if named else [0, 1])


def test_names_of_other_tables_are_found():
    assert column_names(Arrow(), 2).tolist() == ["a", "b"]
    assert as_table(np.array([[0, 1], [1, 1]]), Arrow()).columns.tolist() == ["a", "b"]
    check_names(Arrow(), ["a", "b"], "y_val")
    with pytest.raises(ValueError, match=r"y_val has the columns \['a', 'b'\]"):
        check_names(Arrow(), [0, 1], "y_val")


def test_columns_get_types_of_their_own():
    mixed = pd.DataFrame({"species": ["oak", "fir"], "age": [3, 5]})
    for y in (mixed, mixed.to_numpy()):
        species, age = each_column(y)
        assert species.tolist() == ["oak", "fir"]
        assert age.dtype == np.int64
    assert each_column(np.array([["a", "b"]]))[0].dtype.kind == "U"


def test_columns_of_other_names_are_refused():
    check_names(TABLES["frame"], ["a", "b"], "y_val")
    check_names(TABLES["array"], ["a", "b"], "y_val")
    with pytest.raises(
        ValueError, match=r"y_val has the columns \['a', 'b'\]. Expected .*'b', 'a'"
    ):
        check_names(TABLES["frame"], ["b", "a"], "y_val")
