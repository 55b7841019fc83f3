"""Checks of labels and probabilities that the whole module shares."""

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_array, check_consistent_length, column_or_1d


def check_probabilities(proba: npt.ArrayLike, name: str = "proba") -> npt.NDArray[np.float64]:
    """Return probabilities as an array (n, n_classes), each row of which sums to 1."""
    array: npt.NDArray[np.float64] = check_array(proba, dtype=np.float64, input_name=name)
    sums = array.sum(axis=1)
    if array.min() < 0 or np.abs(sums - 1).max() > 1e-3:
        raise ValueError(
            f"{name} has values from {array.min():g} to {array.max():g} and rows that sum to "
            f"{sums.min():g} to {sums.max():g}. Expected probabilities: from 0, and rows that "
            "sum to 1, as predict_proba returns them."
        )
    return array


def check_classes(
    classes: npt.ArrayLike | None, y: npt.ArrayLike | None, n_columns: int
) -> npt.NDArray[np.object_ | np.generic]:
    """Return the class of each column of probabilities; None takes the sorted labels in y."""
    if classes is None:
        names = np.unique(np.asarray(y))
        if len(names) != n_columns:
            raise ValueError(
                f"y has {len(names)} different labels, but proba has {n_columns} columns. Name "
                "the class of each column: classes=clf.classes_."
            )
        return names
    names = np.asarray(column_or_1d(classes))
    if len(names) != n_columns:
        raise ValueError(
            f"classes has {len(names)} labels, but proba has {n_columns} columns. Expected one "
            "label per column, as in clf.classes_."
        )
    return names


def check_codes(
    y: npt.ArrayLike, classes: npt.NDArray[np.object_ | np.generic], n_rows: int, name: str = "y"
) -> npt.NDArray[np.intp]:
    """Return the column of the class of each label."""
    labels = column_or_1d(y)
    if len(labels) != n_rows:
        raise ValueError(
            f"{name} has {len(labels)} labels, but proba has {n_rows} rows. Expected one label "
            "per row."
        )
    columns = {label: column for column, label in enumerate(classes.tolist())}
    codes = np.array([columns.get(label, -1) for label in labels.tolist()], dtype=np.intp)
    if (codes < 0).any():
        unknown = sorted({str(label) for label in labels[codes < 0].tolist()})
        raise ValueError(
            f"{name} has labels that are not among the classes: {', '.join(unknown[:5])}. "
            f"Expected labels among {', '.join(map(str, classes[:5].tolist()))} ..."
        )
    return codes


def check_groups(groups: npt.ArrayLike | None, n_rows: int) -> npt.NDArray[np.intp] | None:
    """Return the number of the group of each row, from 0; None where there are no groups."""
    if groups is None:
        return None
    array = column_or_1d(groups)
    check_consistent_length(np.empty(n_rows), array)
    _, numbers = np.unique(array, return_inverse=True)
    if numbers.max() < 1:
        raise ValueError(
            "groups has one group only. Expected at least two, for example the site of each "
            "image: how much sites differ cannot be told from one."
        )
    return numbers.astype(np.intp)


def check_fraction(value: float, name: str) -> float:
    """Return a number between 0 and 1."""
    if not 0 < value < 1:
        raise ValueError(f"{name} must be between 0 and 1, got {value}.")
    return float(value)
