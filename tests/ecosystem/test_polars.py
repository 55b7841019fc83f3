"""polars: a table of paths, columns, and a column per pixel."""

import pytest
from _ecosystem import (
    assert_fits_as,
    check_covariates,
    check_labels,
    check_pixel_columns,
    check_tables,
    needs,
    run_example,
)

polars = needs("polars")


@pytest.fixture
def names(tmp_path, monkeypatch):
    """What the example has left behind."""
    monkeypatch.chdir(tmp_path)
    return run_example("from PIL import Image", "import polars")


def test_the_example_fits_as_from_a_list(names):
    assert names["clf"].classes_.tolist() == ["ant", "bee", "fly"]
    assert_fits_as(names, "paths", "X", names["table"].select(["path"]))


def test_columns_beside_the_paths_are_covariates(names):
    site = polars.Series(list("abc" * 100), dtype=polars.Categorical)
    columns = {"path": names["paths"], "depth": 10.0 * names["y"], "site": site}
    check_covariates(names, polars.DataFrame(columns))


COLUMNS = {"Series": lambda values: polars.Series(values)}


@pytest.mark.parametrize("make", COLUMNS.values(), ids=COLUMNS.keys())
def test_columns_are_labels(make):
    check_labels(make)


def test_a_column_per_pixel():
    check_pixel_columns(polars.DataFrame)


def test_functions_take_tables_as_they_take_frames(names):
    check_tables(names, polars.DataFrame)
