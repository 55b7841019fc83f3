"""Values as R hands them over: 8.0 for 8, one value for a list of one, and what NA turns into."""

import inspect
import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np
import numpy.typing as npt

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")

#: How R hands over NA in whole numbers, and in text.
_NA_NUMBER = int(np.iinfo(np.int32).min)
_NA_TEXT = "NA"


def whole(value: Any) -> Any:
    """Return whole floats and numpy's numbers as Python's, also in sequences; others as they are.

    R sends 8.0 for 8.

    Examples
    --------
    >>> whole(8.0), whole((16.0, 32)), whole(0.5), whole("auto")
    (8, (16, 32), 0.5, 'auto')
    """
    if isinstance(value, np.ndarray) and value.ndim == 1:
        return [whole(item) for item in value.tolist()]
    if isinstance(value, np.generic) and value.item() is not None:
        # A date that is missing would be None, which means something else.
        value = value.item()
    if type(value) in (tuple, list):
        return type(value)(whole(item) for item in value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def whole_arguments(
    *names: str,
) -> Callable[[Callable[_Parameters, _Result]], Callable[_Parameters, _Result]]:
    """Return a decorator: a function takes whole floats, too, for these arguments.

    Examples
    --------
    >>> @whole_arguments("n_bins")
    ... def table(y, n_bins=15):
    ...     return list(range(n_bins))
    >>> table([0, 1], n_bins=3.0), table([0, 1], 2.0)
    ([0, 1, 2], [0, 1])
    """

    def decorate(function: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
        order = list(inspect.signature(function).parameters)
        call = cast("Callable[..., _Result]", function)

        @wraps(function)
        def converted(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
            values = [whole(v) if name in names else v for name, v in zip(order, args)]
            given = {name: whole(v) if name in names else v for name, v in kwargs.items()}
            return call(*values, *args[len(order) :], **given)

        return converted

    return decorate


def as_column(y: Any) -> Any:
    """Return the label or number of one image as a list of one, which R does not tell apart.

    Examples
    --------
    >>> as_column("fox"), as_column(["fox", "elk"])
    (['fox'], ['fox', 'elk'])
    """
    return [y] if y is not None and np.ndim(y) == 0 else y


def as_path(path: str | os.PathLike[str]) -> Path:
    """Return the path of a file or folder; R leaves ``~``, the home of the user, in paths.

    Raises
    ------
    TypeError
        If it is no path.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(
            f"path is of type {type(path).__name__}. Expected the path of a file, as text or a "
            'pathlib.Path, such as "birds.skcnn".'
        )
    return Path(path).expanduser()


def check_no_na(values: npt.ArrayLike, name: str, *, may_be_missing: bool = False) -> None:
    """Refuse what R's `NA` turns into in whole numbers and in text.

    With `may_be_missing`, the message says how R hands over a value that is missing.

    Raises
    ------
    ValueError
        If there is the text "NA", or the whole number that R uses for it.

    Examples
    --------
    >>> check_no_na(["fox", "NA"], "y")
    Traceback (most recent call last):
        ...
    ValueError: y has 'NA' in 1 row(s), the first is row 1. This is how R hands over NA, ...
    """
    array = np.asarray(values)
    if not array.ndim or not array.size or array.dtype.kind not in "OUTiuf":
        return
    na = _NA_TEXT if array.dtype.kind in "OUT" else _NA_NUMBER
    if array.dtype.kind == "O":
        # Other missing values of pandas have no truth value.
        found = [isinstance(v, str) and v == na for v in array.ravel().tolist()]
    else:
        found = array == na
    rows = np.flatnonzero(np.reshape(found, (len(array), -1)).any(axis=1))
    if len(rows):
        way_out = "Leave these rows out."
        if may_be_missing:
            other = "a factor" if na == _NA_TEXT else "one of doubles, with as.numeric"
            way_out = f"To keep it as a missing value, make the column {other} in R."
        elif na == _NA_TEXT:
            way_out += " If it is the name of a class, use another name."
        raise ValueError(
            f"{name} has {na!r} in {len(rows)} row(s), the first is row {rows[0]}. This is how R "
            f"hands over NA, a missing value. {way_out}"
        )
