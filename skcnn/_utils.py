"""Small things that every room uses, and all private names of other libraries."""

import functools
import inspect
import math
import os
import re
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Concatenate, NoReturn, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

# Private in scikit-learn, and used by its own estimators as they are here.
from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils import check_random_state as _check_random_state
from sklearn.utils._param_validation import HasMethods as _HasMethods
from sklearn.utils._param_validation import Interval as _Interval
from sklearn.utils._param_validation import InvalidParameterError, validate_parameter_constraints
from sklearn.utils._param_validation import StrOptions as _StrOptions
from sklearn.utils._pprint import _changed_params as changed_parameters
from sklearn.utils.validation import _check_sample_weight as check_sample_weight
from sklearn.utils.validation import check_consistent_length

from skcnn._from_r import whole

__all__ = [
    "BOX_COLUMNS",
    "IMAGE_COLUMN",
    "ROUNDING",
    "InstancesOf",
    "Interval",
    "RowChoice",
    "StopTraining",
    "StrOptions",
    "as_objects",
    "as_tuple",
    "changed_parameters",
    "check_none_hidden",
    "check_random_state",
    "check_sample_weight",
    "check_score_weight",
    "check_values",
    "has_decimal_comma",
    "ignore_warning",
    "number_text",
    "one_thread_at_a_time",
    "refuse_to_continue",
    "restored_on_error",
    "safe_indexing",
    "warn",
]


Options = ParamSpec("Options")
Drawn = TypeVar("Drawn")

#: How rows of images are chosen.
RowChoice = slice | npt.NDArray[np.intp]

#: Columns of a box in tables of images, which loaders make and estimators read: its top left
#: corner and its sides, in fractions of the image.
BOX_COLUMNS = ("box_x", "box_y", "box_width", "box_height")

#: Column of images in memory, in tables with covariates.
IMAGE_COLUMN = "image"

#: A deviation below this fraction of the values themselves is rounding.
ROUNDING = 1e-12

_BETWEEN = ("skcnn.", "sklearn.callback.")


class Interval(_Interval):
    """A range of numbers, to which True and False do not belong: R sends True for NA."""

    def is_satisfied_by(self, val: object) -> bool:
        """Return whether a value is a number of the range."""
        return not isinstance(val, bool | np.bool_) and bool(super().is_satisfied_by(val))


class InstancesOf(_HasMethods):
    """Objects of a class, which messages describe in words: users may not know its name."""

    def __init__(self, kind: type | tuple[type, ...], words: str) -> None:
        # scikit-learn takes no constraints but its own kinds; this one asks for nothing else.
        super().__init__("__init__")
        self.kind = kind
        self.words = words

    def is_satisfied_by(self, val: object) -> bool:
        """Return whether a value is such an object."""
        return isinstance(val, self.kind)

    def __str__(self) -> str:
        return self.words


class StrOptions(_StrOptions):
    """A set of strings, which messages list in the order of the alphabet."""

    def __str__(self) -> str:
        return f"a str among {{{', '.join(map(repr, sorted(self.options)))}}}"


def warn(message: str) -> None:
    """Give a UserWarning at the line that called into the package."""
    frame = inspect.currentframe()
    level = 1
    while frame is not None and f"{frame.f_globals.get('__name__')}.".startswith(_BETWEEN):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, UserWarning, stacklevel=level)


# Python's filters are the same for all threads, and each thread restores them as it found them.
_filters = threading.RLock()


# Pyplot's figures are, too: two threads that make one at a time may get the same one.
_drawing = threading.RLock()


def _replace_locks() -> None:
    global _filters, _drawing
    _filters, _drawing = threading.RLock(), threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_replace_locks)


def one_thread_at_a_time(
    plot: Callable[Concatenate[Drawn, Options], Drawn],
) -> Callable[Concatenate[Drawn, Options], Drawn]:
    """Have a method that draws wait until other threads have drawn."""

    @functools.wraps(plot)
    def plot_alone(self: Drawn, /, *args: Options.args, **kwargs: Options.kwargs) -> Drawn:
        with _drawing:
            return plot(self, *args, **kwargs)

    return plot_alone


@contextmanager
def ignore_warning(message: str) -> Iterator[None]:
    """Ignore a UserWarning for a short while, in one thread at a time.

    Two threads that did so at the same time would leave the filter of one of them behind.
    """
    with _filters, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message, UserWarning)
        yield


def refuse_to_continue(was: str, now: str, remedy: str) -> NoReturn:
    """Raise the error of a training that cannot continue with what it is given now.

    Parameters
    ----------
    was : str
        What training continues with.
    now : str
        What is different now, as a clause.
    remedy : str
        What to do in order to continue, as a clause.

    Raises
    ------
    ValueError

    Examples
    --------
    >>> refuse_to_continue("quantile=0.5", "now got 0.9", "Set it back")
    Traceback (most recent call last):
    ...
    ValueError: Training continues with quantile=0.5, but now got 0.9. Set it back, or fit from ...
    """
    raise ValueError(
        f"Training continues with {was}, but {now}. {remedy}, or fit from the start: with "
        "warm_start=False, or a clone of this estimator."
    )


class StopTraining(KeyboardInterrupt):
    """Raised by a callback to end the training; skorch's loop ends on KeyboardInterrupt."""


def as_tuple(value: Any) -> tuple[Any, ...]:
    """Return the values of a sequence, or a scalar as a sequence of one.

    Examples
    --------
    >>> as_tuple(3), as_tuple([3, 4]), as_tuple(None)
    ((3,), (3, 4), ())
    """
    if value is None:
        return ()
    if isinstance(value, np.ndarray):
        # An array without dimensions holds a single value.
        return tuple(np.atleast_1d(value).tolist())
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else (value,)


def as_objects(values: Sequence[Any]) -> npt.NDArray[Any]:
    """Return a sequence as an array of its values as they are; numpy would make 1 a "1".

    Text is not copied, which a million paths would make felt.

    Examples
    --------
    >>> as_objects(["a", 1])
    array(['a', 1], dtype=object)
    """
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def as_values(values: Any) -> npt.NDArray[Any]:
    """Return an array; of a list that mixes text and NaN, one of objects.

    numpy would make the text "nan" of what is missing.

    Examples
    --------
    >>> as_values(["fox", float("nan")])
    array(['fox', nan], dtype=object)
    >>> as_values([1, float("nan")])
    array([ 1., nan])
    """
    array = np.asarray(values)
    if array.dtype.kind in "US" and not hasattr(values, "__array__"):
        objects = np.asarray(values, dtype=object)
        if pd.isna(objects).any():
            return objects
    return array


def check_none_hidden(values: object, name: str) -> None:
    """Refuse a masked array that hides values, which numpy and scikit-learn take as they are.

    They are what a file has in place of a missing value, such as -9999.

    Raises
    ------
    ValueError
        If there is one.

    Examples
    --------
    >>> check_none_hidden(np.ma.array([4, -9999], mask=[False, True]), "y")
    Traceback (most recent call last):
        ...
    ValueError: y is a masked array that hides 1 value(s), the first in row 1. ...
    """
    if not isinstance(values, np.ma.MaskedArray):
        return
    hidden = np.atleast_1d(np.ma.getmaskarray(values))
    rows = np.flatnonzero(hidden.reshape(len(hidden), -1).any(axis=1))
    if len(rows):
        raise ValueError(
            f"{name} is a masked array that hides {hidden.sum()} value(s), the first in row "
            f"{rows[0]}. Expected a value for each image. Leave these images out of all "
            f"arguments: known = ~np.ma.getmaskarray({name})"
            f"{'' if hidden.ndim == 1 else '.any(axis=1)'}."
        )


def check_score_weight(sample_weight: object, predicted: object) -> None:
    """Check weights of images in a score, which older versions of scikit-learn take as they are.

    Raises
    ------
    ValueError
        If there is not one number for each prediction.
    """
    check_none_hidden(sample_weight, "sample_weight")
    if sample_weight is not None:
        check_sample_weight(sample_weight, predicted)


def without_missing(
    missing: npt.NDArray[np.bool_],
    y: npt.ArrayLike,
    predicted: npt.NDArray[Any],
    sample_weight: npt.ArrayLike | None,
) -> tuple[npt.ArrayLike, npt.NDArray[Any], npt.ArrayLike | None]:
    """Leave out the rows of image files that were skipped, before a score is computed."""
    check_none_hidden(y, "y")
    check_score_weight(sample_weight, predicted)
    if not missing.any():
        return y, predicted, sample_weight
    check_consistent_length(predicted, y)
    if sample_weight is not None:
        sample_weight = safe_indexing(sample_weight, ~missing)
    return safe_indexing(y, ~missing), predicted[~missing], sample_weight


# scikit-learn writes "an instance of 'tuple'".
_IN_WORDS: dict[Any, InstancesOf] = {
    "boolean": InstancesOf((bool, np.bool_), "True or False"),
    dict: InstancesOf(dict, "a dict"),
    list: InstancesOf(list, "a list"),
    np.ndarray: InstancesOf(np.ndarray, "an array"),
    os.PathLike: InstancesOf(os.PathLike, "a path"),
    str: InstancesOf(str, "a str"),
    tuple: InstancesOf(tuple, "a tuple"),
}


def check_values(caller: str, constraints: dict[str, Any], values: dict[str, Any]) -> None:
    """Check parameters by scikit-learn's constraints, in its words or plainer ones.

    Whole floats count as whole numbers, and numbers of numpy as those of Python.

    Raises
    ------
    ValueError
        Naming the class, the parameter, what it is and what was expected.
    """
    for name, value in values.items():
        allowed = constraints.get(name, "no_validation")
        if isinstance(allowed, list):
            # Other constraints may be unhashable.
            allowed = [_IN_WORDS.get(c, c) if isinstance(c, str | type) else c for c in allowed]
        try:
            validate_parameter_constraints({name: allowed}, {name: whole(value)}, caller)
        except InvalidParameterError:
            # The message shows the value as it was given.
            given = value.item() if isinstance(value, np.generic) else value
            validate_parameter_constraints({name: allowed}, {name: given}, caller)
            raise


def check_random_state(seed: Any) -> np.random.RandomState:
    """Return a generator of random numbers, as scikit-learn does; seeds may be whole floats."""
    random: np.random.RandomState = _check_random_state(whole(seed))
    return random


@contextmanager
def restored_on_error(
    estimator: object, belongs: Callable[[str], bool] = lambda name: True
) -> Iterator[None]:
    """Give an object its former attributes back if what is done with it fails.

    Parameters
    ----------
    estimator : object
    belongs : callable, default all
        Whether an attribute, by its name, is given back.

    Examples
    --------
    >>> from contextlib import suppress
    >>> from types import SimpleNamespace
    >>> thing = SimpleNamespace(a_=1)
    >>> with suppress(ValueError), restored_on_error(thing):
    ...     thing.a_, thing.b_ = 2, 3
    ...     raise ValueError
    >>> thing
    namespace(a_=1)
    """
    before = {name: value for name, value in vars(estimator).items() if belongs(name)}
    try:
        yield
    except BaseException:
        for name in [n for n in vars(estimator) if belongs(n) and n not in before]:
            delattr(estimator, name)
        for name, value in before.items():
            setattr(estimator, name, value)
        raise


def number_text(number: float, digits: int = 4) -> str:
    """Write a number with so many digits, and all of its digits before the point.

    Powers of ten would show the years 2018 and 2023 as the same number.

    Examples
    --------
    >>> number_text(2018.3, 3), number_text(0.04567, 3), number_text(1e-7), number_text(-45123.4)
    ('2018', '0.0457', '1e-07', '-45123')
    """
    if not 1e-4 <= abs(number) < 1e9:
        return f"{number:.{digits}g}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(number))))
    text = f"{number:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if decimals else text


def has_decimal_comma(value: object) -> bool:
    """Whether this is the text of a number with a comma in place of the point."""
    return isinstance(value, str) and re.fullmatch(r"\s*[-+]?\d*,\d+\s*", value) is not None
