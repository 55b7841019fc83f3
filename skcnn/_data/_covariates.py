"""Covariates: numbers and categories beside the images, as columns of a DataFrame."""

import re
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from skcnn._data._conversion import decoded, from_torch
from skcnn._data._paths import as_pandas, find_path_column, holds_text, is_missing, listed
from skcnn._from_r import check_no_na
from skcnn._other_tables import is_frame
from skcnn._utils import BOX_COLUMNS, IMAGE_COLUMN, ROUNDING, has_decimal_comma, warn

Floats = npt.NDArray[np.float64]

# Above, numbers are codes for missing values, such as -3.4e38 of rasters.
_LARGEST = 1e30
# Text that tables have in place of a date or a number.
_DATE = re.compile(r"\s*\d{1,4}([-/.])\d{1,2}\1\d{1,4}")
_NUMBER_OR_DATE = re.compile(rf"\s*[-+]?\d*[.,]?\d+\s*$|{_DATE.pattern}")


@dataclass(frozen=True)
class CovariateColumn:
    """One column of covariates, and what is known of it from training.

    Attributes
    ----------
    name : hashable
    categories : tuple or None
        Its categories, in order; None for a column of numbers.
    mean, scale : float
        Of its numbers in the training rows.
    had_missing : bool
        Whether numbers were missing among the training rows.
    """

    name: Hashable
    categories: tuple[Any, ...] | None = None
    mean: float = 0.0
    scale: float = 1.0
    had_missing: bool = False


@dataclass(frozen=True)
class CovariateEncoder:
    """How columns of a DataFrame become numbers for a network.

    Columns of numbers are standardized; missing values become the mean, and a column of 0 and 1
    says where they were. Columns of categories become one column of 0 and 1 per category.

    Attributes
    ----------
    columns : tuple of CovariateColumn

    Examples
    --------
    >>> import pandas as pd
    >>> kind = pd.Series(["wood", "bog", "wood"], dtype="category")
    >>> frame = pd.DataFrame({"elevation": [100, None, 300], "habitat": kind})
    >>> encoder = CovariateEncoder.infer(frame, "X")
    >>> values = encoder.read(frame, "X")
    >>> encoder.fit(values, "X").encode(values).tolist()
    [[-1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 1.0, 0.0], [1.0, 0.0, 0.0, 1.0]]
    """

    columns: tuple[CovariateColumn, ...]

    @classmethod
    def infer(cls, frame: pd.DataFrame, name: str) -> "CovariateEncoder":
        """Take the columns of a DataFrame, and their categories, but no statistics yet."""
        return cls(tuple(CovariateColumn(c, _categories(frame[c], name)) for c in frame.columns))

    @property
    def names(self) -> list[Hashable]:
        """Names of the columns."""
        return [column.name for column in self.columns]

    def read(self, frame: pd.DataFrame, name: str, fitted_by: str | None = None) -> Floats:
        """Return the values of a DataFrame, one column for each of its own.

        Parameters
        ----------
        frame : DataFrame
        name : str
            Name of X in messages.
        fitted_by : str, default=None
            Name of the estimator that was fitted with these columns. It gives warnings of what
            it has not seen in training.

        Returns
        -------
        values : ndarray of shape (n, n_columns)
            Numbers, or numbers of categories; NaN where a value is missing or unknown.
        """
        lacking = [column for column in self.names if column not in frame.columns]
        extra = [column for column in frame.columns if column not in self.names]
        if lacking:
            raise ValueError(
                f"{name} has no column {listed(lacking)}, with which {fitted_by} was fitted. "
                "Give the same columns as in fit; values may be missing."
            )
        if extra:
            raise ValueError(
                f"{name} has a column {listed(extra)}, with which {fitted_by} was not fitted. "
                "Leave it out, or fit again."
            )
        values = np.empty((len(frame), len(self.columns)))
        for number, column in enumerate(self.columns):
            values[:, number] = (
                _numbers(frame[column.name], name)
                if column.categories is None
                else _codes(frame[column.name], column.categories)
            )
        if fitted_by is not None:
            self._warn_of_news(frame, values, name)
        return values

    def _warn_of_news(self, frame: pd.DataFrame, values: Floats, name: str) -> None:
        for column, read in zip(self.columns, values.T):
            given = frame[column.name]
            news = np.isnan(read)
            if column.categories is not None:
                news &= given.notna().to_numpy()
                if news.any():
                    unknown = given[news].drop_duplicates().tolist()
                    warn(
                        f"{name} has categories in column {column.name!r} that training had not: "
                        f"{listed(unknown)}. {news.sum()} row(s) are predicted without it."
                    )
            elif news.any() and not column.had_missing:
                warn(
                    f"{name} has {news.sum()} missing value(s) in column {column.name!r}, which "
                    f"had none in training. The mean in training, {column.mean:g}, takes their "
                    "place."
                )

    def fit(self, values: Floats, name: str) -> "CovariateEncoder":
        """Take the statistics of training rows."""
        return CovariateEncoder(
            tuple(_measured(column, read, name) for column, read in zip(self.columns, values.T))
        )

    def encode(self, values: Floats) -> npt.NDArray[np.float32]:
        """Return what the network gets: an array of shape (n, n_inputs)."""
        return np.stack(self.encode_columns(values.T, np), axis=1).astype(np.float32)

    def encode_columns(self, values: Iterable[Any], library: ModuleType) -> list[Any]:
        """Return the inputs that columns of values make, as arrays or tensors of shape (n,).

        Parameters
        ----------
        values : iterable of array or tensor of shape (n,)
            The values of each column, as `read` returns them.
        library : module
            numpy, or torch.
        """
        parts = []
        for column, read in zip(self.columns, values):
            if column.categories is not None:
                parts += [read == number for number in range(len(column.categories))]
                continue
            # Not as numbers of Python, which an export of torch would round to float32.
            mean, scale = (
                library.asarray(number, dtype=library.float64)
                for number in (column.mean, column.scale)
            )
            missing = library.isnan(read)
            parts.append(library.where(missing, 0, (read - mean) / scale))
            if column.had_missing:
                parts.append(missing)
        return parts

    def warn_of_labels(self, values: Floats, y: npt.ArrayLike | pd.DataFrame) -> None:
        """Warn of columns that equal y: a label that came into X."""
        answers = y if isinstance(y, pd.DataFrame) else pd.DataFrame(np.asarray(y))
        for column, read in zip(self.columns, values.T):
            for _, labels in answers.items():
                if _equals(column, read, labels):
                    warn(
                        f"Column {column.name!r} of X equals y in every row: the network will "
                        "learn to copy it, and scores will be too high. Leave it out of X, "
                        "unless it will be known for new images."
                    )


def split_covariates(X: Any, name: str) -> tuple[Any, pd.DataFrame | None]:
    """Split a DataFrame into its images, or their paths, and its covariates.

    Returns
    -------
    images : array-like
        X itself where it is no DataFrame with a column of images or paths; else an array of the
        images, or X without its covariates.
    covariates : DataFrame or None
        None if there are none.

    Raises
    ------
    ValueError
        If there are images that are missing or have different shapes, two columns of the same
        name, boxes beside images in memory, or no rows.
    """
    if not is_frame(X):
        return X, None
    in_memory = _has_images(X)
    if not len(X) and IMAGE_COLUMN in X.columns:
        raise ValueError(f"{name} has 0 rows, which are 0 sample(s). Expected at least one image.")
    column = IMAGE_COLUMN if in_memory else find_path_column(X, name)
    if column is None:
        return X, None
    columns = list(X.columns)
    twice = sorted({repr(c) for c in columns if columns.count(c) > 1})
    if twice:
        raise ValueError(f"{name} has two columns {', '.join(twice)}. Rename or drop one of them.")
    boxes = [box for box in BOX_COLUMNS if box in columns]
    if in_memory and boxes:
        raise ValueError(
            f"{name} has columns of boxes, {listed(boxes)}, beside images in memory. Boxes are "
            "read with paths of image files only: crop the images, and drop these columns."
        )
    others = [other for other in columns if other not in (column, *BOX_COLUMNS)]
    images = _stacked(X[column], name) if in_memory else X[[column, *boxes]]
    return images, X[others] if others else None


def images_alone(X: object, name: str, taken_by: str) -> Any:
    """Return the images of X, or their paths, for an estimator that takes no covariates."""
    images, frame = split_covariates(as_pandas(X), name)
    if frame is not None:
        raise ValueError(
            f"{name} has columns beside the images, {listed(list(frame.columns))}, which "
            f"{taken_by} does not take. Choose the column of the images with a "
            "sklearn.compose.ColumnTransformer, which can prepare the others, too."
        )
    return images


def _has_images(X: pd.DataFrame) -> bool:
    if list(X.columns).count(IMAGE_COLUMN) != 1 or X[IMAGE_COLUMN].dtype != object:
        return False
    first: Any = next((value for value in X[IMAGE_COLUMN] if not is_missing(value)), None)
    return hasattr(first, "getbands") or np.ndim(first) > 1


def _stacked(images: pd.Series, name: str) -> npt.NDArray[Any]:
    """Gather the images of a column as one array."""
    arrays = [np.asarray(decoded(from_torch(image))) for image in images]
    for row, array in enumerate(arrays):
        if array.shape != arrays[0].shape or array.ndim < 2:
            found = "no image" if array.ndim < 2 else f"an image of shape {array.shape}"
            raise ValueError(
                f"Column {IMAGE_COLUMN!r} of {name} has {found} in row {row}, and one of shape "
                f"{arrays[0].shape} in row 0. Expected images of one shape in all rows: resize "
                "them, or leave out rows without an image."
            )
    return np.stack(arrays)


def _categories(values: pd.Series, name: str) -> tuple[Any, ...] | None:
    """Categories of a column that has any values of; None for a column of numbers."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return tuple(_plain(c) for c in values.cat.remove_unused_categories().cat.categories)
    if holds_text(values):
        column = f"{name}[{values.name!r}]"
        # Each number, or date, would be a category of its own.
        no_names = values.dropna().map(lambda value: bool(_NUMBER_OR_DATE.match(str(value))))
        hint = f" If these are no names:{_way_to_numbers(values, column)}" if any(no_names) else ""
        raise ValueError(
            f"{name} has a column of text beside the images: {values.name!r}. Make it a "
            f'category, {column}.astype("category") or a factor in R, or leave it out.{hint}'
        )
    return None


def _is_text(values: pd.Series) -> bool:
    return isinstance(values.dtype, pd.CategoricalDtype) or holds_text(values)


def _codes(values: pd.Series, categories: Sequence[Any]) -> Floats:
    """Number the values of a column by their categories; NaN for others."""
    numbers = {category: number for number, category in enumerate(categories)}
    known = zip(values.astype(object), values.isna())
    codes = (np.nan if missing else numbers.get(_plain(v), np.nan) for v, missing in known)
    return np.fromiter(codes, np.float64, len(values))


def _plain(category: object) -> Any:
    """Return a category as text, a number or a boolean: intervals and times are told by text."""
    category = category.item() if isinstance(category, np.generic) else category
    return category if isinstance(category, str | int | float) else str(category)


def _numbers(values: pd.Series, name: str) -> Floats:
    """Return the numbers of a column; NaN where they are missing."""
    kind, hint = getattr(values.dtype, "kind", "O"), ""
    column = f"{name}[{values.name!r}]"
    if kind == "M" or isinstance(values.dtype, pd.PeriodDtype):
        hint = f" Make dates numbers, for example the day of the year, {column}.dt.dayofyear."
    elif kind == "m":
        hint = f" Make durations numbers, for example {column}.dt.total_seconds()."
    elif kind in "biufO" and not _is_text(values):
        try:
            numbers = pd.to_numeric(values) if kind == "O" else values
            read: Floats = numbers.to_numpy(dtype=np.float64, na_value=np.nan)
            # Arithmetic warns of the NaN that is R's NA.
            read = np.where(np.isnan(read), np.nan, read)
        except (TypeError, ValueError):
            pass
        else:
            if not (np.abs(read) > _LARGEST).any():
                check_no_na(read, f"Column {values.name!r} of {name}", may_be_missing=True)
                return read
            hint = (
                f" Infinite numbers and those beyond {_LARGEST:g} have no place there: replace "
                "codes for missing values by NaN."
            )
    raise ValueError(
        f"Column {values.name!r} of {name} has values of type {values.dtype}, expected numbers or "
        f"booleans.{hint or _way_to_numbers(values, column)}"
    )


def _way_to_numbers(values: pd.Series, column: str) -> str:
    """Say what to do about text, categories and dates in place of numbers; empty of others."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return f" They are categories, which training had not: pass {column}.astype(float)."
    first = next(iter(values.dropna()), None)
    if isinstance(first, date) or (isinstance(first, str) and _DATE.match(first)):
        # pandas takes 1/5/2026 for a day in January.
        is_clear = not isinstance(first, str) or first.strip()[:4].isdigit()
        order = "" if is_clear else ", dayfirst=True"
        days = f"pandas.to_datetime({column}{order}).dt.dayofyear"
        note = "" if is_clear else ", or dayfirst=False where the month comes first"
        return f" Make dates numbers, for example the day of the year, {days}{note}."
    if not any(isinstance(value, str) for value in values):
        return ""
    # What stands in the way: one cell makes text of a whole column.
    odd = values[pd.to_numeric(values, errors="coerce").isna() & values.notna()]
    found = first if odd.empty else odd.iloc[0]
    if any(map(has_decimal_comma, odd)):
        way = f'{column}.str.replace(",", ".").astype(float)'
    elif odd.empty:
        way = f"{column}.astype(float)"
    elif values.dropna().isin(["True", "False"]).all():
        way = f'{column} == "True"'
    else:
        way = f'pandas.to_numeric({column}, errors="coerce"), if it stands for a missing value'
    return f" It holds text such as {found!r}: make numbers of it, for example {way}."


def _measured(column: CovariateColumn, read: Floats, name: str) -> CovariateColumn:
    known = read[~np.isnan(read)]
    if not len(known):
        raise ValueError(
            f"Column {column.name!r} of {name} has no value in any training row. Leave it out."
        )
    if column.categories is not None:
        return column
    mean, scale = float(known.mean()), float(known.std())
    if scale <= ROUNDING * abs(mean):
        scale = 1.0
    return replace(column, mean=mean, scale=scale, had_missing=len(known) < len(read))


def _equals(column: CovariateColumn, read: Floats, labels: pd.Series) -> bool:
    """Whether a column has the values of y, which are not all the same."""
    known = labels.notna().to_numpy()
    labels, read = labels[known], read[known]
    if labels.nunique() < 2 or np.isnan(read).any():
        return False
    if column.categories is not None:
        names = [str(column.categories[int(code)]) for code in read]
        return names == [str(label) for label in labels]
    numbers = pd.to_numeric(labels.astype(object), errors="coerce").to_numpy(dtype=np.float64)
    return bool(np.array_equal(numbers, read))
