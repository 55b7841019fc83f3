"""Checks of labels and probabilities that the whole module shares."""

from collections.abc import Mapping
from numbers import Integral, Real

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_array, check_is_fitted, column_or_1d

from skcnn._utils import as_values, check_none_hidden

Labels = npt.NDArray[np.object_ | np.generic]


def check_table(proba: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return numbers as an array (n, n_columns) without missing values."""
    given = np.asarray(proba)
    if len(given.shape) != 2 or not given.size or _kinds(given.ravel()[:1]) == {"text"}:
        content = " and holds text" if given.size and _kinds(given.ravel()[:1]) == {"text"} else ""
        raise ValueError(
            f"proba has shape {given.shape}{content}. Expected probabilities of shape "
            f"(n, n_classes), one row per image, as predict_proba returns them. The labels y come "
            "first, then proba. For the probability p of one of two classes, pass "
            "np.column_stack([1 - p, p])."
        )
    unknown = pd.isna(given).any(axis=1)
    if unknown.any():
        raise ValueError(
            f"proba has NaN in {int(unknown.sum())} of {len(given)} rows. predict_proba returns "
            f"it for image files that were skipped. Leave them out of all arguments: "
            "known = ~np.isnan(proba).any(axis=1)."
        )
    array: npt.NDArray[np.float64] = check_array(proba, dtype=np.float64, input_name="proba")
    return array


def check_probabilities(proba: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return probabilities as an array (n, n_classes), each row of which sums to 1."""
    array = check_table(proba)
    sums = array.sum(axis=1)
    if array.min() < 0 or np.abs(sums - 1).max() > 1e-3:
        raise ValueError(
            f"proba has values from {array.min():g} to {array.max():g} and rows that sum to "
            f"{sums.min():g} to {sums.max():g}. Expected probabilities: from 0, and rows that "
            "sum to 1, as predict_proba returns them."
        )
    return array


def check_labels(values: npt.ArrayLike, name: str = "y") -> Labels:
    """Return an array (n,) that is not empty, and in which nothing is missing."""
    check_none_hidden(values, name)
    array = as_values(values)
    if array.ndim != 1 and array.shape[1:] != (1,):
        raise ValueError(
            f"{name} has shape {array.shape}. Expected one value per image, of shape (n,)."
        )
    if not len(array):
        raise ValueError(f"{name} is empty. Expected one value per image, and one image at least.")
    labels: Labels = column_or_1d(array)
    missing = pd.isna(labels)
    if missing.any():
        raise ValueError(
            f"{name} has no value (None or NaN) in {int(missing.sum())} of {len(labels)} rows, "
            f"first in row {int(missing.argmax())}. Expected a value for each image. Leave these "
            f"images out of all arguments: known = pandas.notna({name})."
        )
    return labels


def check_same_kind(
    y: Labels, prediction: Labels, names: tuple[str, str] = ("y", "prediction")
) -> None:
    """Refuse to compare text with numbers: no such label could be right."""
    kinds = _kinds(y), _kinds(prediction)
    if not kinds[0] & kinds[1]:
        raise ValueError(
            f"{names[0]} holds {' and '.join(sorted(kinds[0]))} such as {y.tolist()[0]!r}, and "
            f"{names[1]} holds {' and '.join(sorted(kinds[1]))} such as "
            f"{prediction.tolist()[0]!r}, so that none could be right. Expected labels of one "
            f"type. Convert one of both, for example with np.asarray({names[0]}).astype(str)."
        )


def _kinds(values: Labels) -> set[str]:
    return {"text" if isinstance(value, str) else "numbers" for value in values.tolist()}


def check_classes(
    classes: npt.ArrayLike | None, y: npt.ArrayLike | None, n_columns: int
) -> Labels:
    """Return the class of each column of probabilities; None takes the sorted labels in y."""
    if classes is None:
        if y is None:
            raise ValueError(
                "classes is None. Expected the label of each column of proba: "
                "classes=clf.classes_."
            )
        names = np.unique(check_labels(y))
        if len(names) != n_columns:
            raise ValueError(
                f"y has {len(names)} different labels, but proba has {n_columns} columns. Name "
                "the class of each column: classes=clf.classes_."
            )
        return names
    names = check_labels(classes, "classes")
    if len(names) != n_columns:
        raise ValueError(
            f"classes has {len(names)} labels, but proba has {n_columns} columns. Expected one "
            "label per column, as in clf.classes_."
        )
    if len(set(names.tolist())) < len(names):
        twice = next(name for name in names.tolist() if names.tolist().count(name) > 1)
        raise ValueError(
            f"classes has the label {twice!r} twice. Expected a label of its own for each column, "
            "as in clf.classes_."
        )
    return names


def check_codes(y: npt.ArrayLike, classes: Labels, n_rows: int) -> npt.NDArray[np.intp]:
    """Return the column of the class of each label."""
    labels = check_labels(y)
    if len(labels) != n_rows:
        raise ValueError(
            f"y has {len(labels)} labels, but proba has {n_rows} rows. Expected one label per row."
        )
    columns = {label: column for column, label in enumerate(classes.tolist())}
    codes = np.array([columns.get(label, -1) for label in labels.tolist()], dtype=np.intp)
    if (codes < 0).any():
        unknown = sorted({str(label) for label in labels[codes < 0].tolist()})
        expected = f"Expected labels among {', '.join(map(str, classes[:5].tolist()))} ..."
        if not _kinds(labels) & _kinds(classes):
            holds, wanted = _kinds(labels).pop(), _kinds(classes).pop()
            expected = f"y holds {holds}, and the classes are {wanted}: convert y."
        raise ValueError(
            f"y has labels that are not among the classes: {', '.join(unknown[:5])}. {expected}"
        )
    return codes


def confidence_and_errors(
    y: npt.ArrayLike, proba: npt.ArrayLike, classes: npt.ArrayLike | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return the probability of each predicted label, and whether it is wrong."""
    probabilities = check_probabilities(proba)
    names = check_classes(classes, y, probabilities.shape[1])
    codes = check_codes(y, names, len(probabilities))
    return probabilities.max(axis=1), probabilities.argmax(axis=1) != codes


def check_prefit(estimator: BaseEstimator, attribute: str | None = None) -> None:
    """Refuse an estimator that is not fitted, as copies in a search are not.

    Raises
    ------
    NotFittedError
    """
    try:
        check_is_fitted(estimator, attribute)
    except NotFittedError as error:
        raise NotFittedError(
            f"{error} Searches and cross-validation make copies, which are not fitted. There, "
            "wrap the fitted one in sklearn.frozen.FrozenEstimator, which stays as it is."
        ) from None


def class_probabilities(estimator: BaseEstimator, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the probabilities that a fitted classifier gives images, (n, n_classes)."""
    if not hasattr(estimator, "predict_proba"):
        raise TypeError(
            f"estimator is a {type(estimator).__name__}, which has no predict_proba. Expected a "
            "fitted classifier with predict_proba, such as ConvNetClassifier. For intervals of "
            "numbers, use ConformalRegressor."
        )
    check_prefit(estimator)
    proba = estimator.predict_proba(X)
    several = isinstance(proba, list | Mapping)
    if several or np.ndim(proba) != 2:
        answers = f"gives probabilities of shape {np.shape(proba)}"
        if several:
            answers = f"answers {len(proba)} questions at once"
        raise ValueError(
            f"estimator is a {type(estimator).__name__} that {answers}. Expected a classifier "
            "with one label per image, whose probabilities have the shape (n, n_classes)."
        )
    array: npt.NDArray[np.float64] = np.asarray(proba)
    return array


def check_same_length(values: Labels, name: str, n_rows: int, of: str = "images") -> None:
    """Refuse another number of values than there are rows."""
    if len(values) != n_rows:
        raise ValueError(
            f"{name} has {len(values)} values for {n_rows} {of}. Expected one value for each, in "
            "the same order."
        )


def check_groups(groups: npt.ArrayLike | None, n_rows: int) -> npt.NDArray[np.intp] | None:
    """Return the number of the group of each row, from 0; None where there are no groups."""
    if groups is None:
        return None
    array = check_labels(groups, "groups")
    check_same_length(array, "groups", n_rows)
    try:
        _, numbers = np.unique(array, return_inverse=True)
    except TypeError:
        raise ValueError(
            "groups holds values of different types, such as text and numbers, of which it is "
            'not known whether "1" and 1 are one group. Convert them: [str(g) for g in groups].'
        ) from None
    if numbers.max() < 1:
        raise ValueError(
            "groups has one group only. Expected at least two, for example the site of each "
            "image: how much sites differ cannot be told from one."
        )
    return numbers.astype(np.intp)


def check_fraction(value: float, name: str) -> float:
    """Return a number between 0 and 1."""
    if not isinstance(value, Real) or not 0 < value < 1:
        raise ValueError(f"{name} must be between 0 and 1, got {value}.")
    return float(value)


def check_count(value: int, name: str) -> int:
    """Return a whole number from 1."""
    if not isinstance(value, Integral):
        raise TypeError(f"{name} must be a whole number, got {value!r}.")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}.")
    return int(value)
