"""Tables of polars, pyarrow and others as DataFrames."""

from typing import Any

import pandas as pd


def is_frame(table: object) -> bool:
    """Whether this is a DataFrame."""
    return hasattr(table, "columns") and hasattr(table, "iloc")


def other_names(table: object) -> list[Any] | None:
    """Return the names of the columns of a table that is no DataFrame; None of anything else."""
    names = getattr(table, "column_names", getattr(table, "columns", None))
    if is_frame(table) or names is None or not hasattr(table, "to_pandas"):
        return None
    return list(names)


def to_frame(table: Any) -> Any:
    """Return a table of another library as a DataFrame; anything else as it is.

    Its own ``to_pandas`` may need a package that is not there.
    """
    names = other_names(table)
    return table if names is None else pd.DataFrame({n: _as_column(table[n]) for n in names})


def _as_column(values: Any) -> Any:
    """Return a column of another library as pandas has it."""
    # Named by its dtype in polars, by its type in pyarrow.
    kind = str(getattr(values, "dtype", getattr(values, "type", ""))).lower()
    is_category = kind.startswith(("categorical", "enum", "dictionary"))
    return pd.Categorical(values.to_numpy()) if is_category else values.to_numpy()
