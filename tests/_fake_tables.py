"""A table as polars and pyarrow have it, which need not be installed for these tests."""

import numpy as np
import pandas as pd


class Column:
    def __init__(self, values):
        self.values = np.asarray(values)
        self.dtype = "Categorical" if isinstance(values, pd.Categorical) else self.values.dtype

    def __iter__(self):
        return iter(self.values)

    def to_numpy(self):
        return self.values


class Table:
    """As of polars or pyarrow: columns of its own, and no row by number."""

    def __init__(self, **columns):
        self.values, self.columns = columns, list(columns)

    def __getitem__(self, name):
        return Column(self.values[name])

    def to_pandas(self):
        raise NotImplementedError("needs another package")
