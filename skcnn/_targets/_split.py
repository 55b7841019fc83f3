"""The split of rows into training and validation."""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold, train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import column_or_1d

from skcnn._utils import warn

Rows = npt.NDArray[np.intp]


def _check_groups(
    groups: npt.ArrayLike, n_images: int
) -> tuple[npt.NDArray[Any], npt.NDArray[np.intp]]:
    """Return the names of the groups, and the index of the group of each image."""
    each: npt.NDArray[Any] = column_or_1d(groups)
    missing = np.flatnonzero(pd.isna(each))
    if len(missing):
        raise ValueError(
            f"groups has {len(missing)} missing value(s), the first in row {missing[0]}. Expected "
            "the group of every image."
        )
    if len({isinstance(group, str) for group in each}) > 1:
        raise ValueError("groups mixes text and numbers. Expected values of one type.")
    names, numbers = np.unique(each, return_inverse=True)
    if len(numbers) != n_images or len(names) < 2:
        raise ValueError(
            f"groups has {len(numbers)} entries and {len(names)} different groups for "
            f"{n_images} images. Expected one entry per image and at least 2 groups."
        )
    return names, numbers


def random_split(
    n: int, fraction: float, groups: npt.ArrayLike | None, random_state: Any
) -> tuple[Rows, Rows]:
    """Split rows for training and validation at random.

    Parameters
    ----------
    n : int
        Number of rows.
    fraction : float
        Fraction of the rows for validation.
    groups : array-like of shape (n,) or None
        Rows of one group stay on the same side.
    random_state : int or RandomState

    Returns
    -------
    training, validation : ndarray of int
        In ascending order.

    Raises
    ------
    ValueError
        If there are too few rows or groups.

    Examples
    --------
    >>> training, validation = random_split(10, 0.2, None, 0)
    >>> len(training), len(validation)
    (8, 2)
    """
    rng = check_random_state(random_state)
    if groups is not None:
        _, numbers = _check_groups(groups, n)
        splitter = GroupShuffleSplit(1, test_size=fraction, random_state=rng)
        training, validation = next(splitter.split(np.zeros(n), groups=numbers))
        return np.sort(training), np.sort(validation)
    if n < 2:
        raise ValueError(
            f"validation_fraction={fraction} of {n} images leaves none to train on. Give more "
            "images, X_val and y_val, or early_stopping=False."
        )
    n_validation = min(n - 1, max(1, int(np.ceil(fraction * n))))
    order = rng.permutation(n)
    return np.sort(order[n_validation:]), np.sort(order[:n_validation])


def train_validation_split(
    y: npt.NDArray[np.int64], fraction: float, groups: npt.ArrayLike | None, random_state: Any
) -> tuple[Rows, Rows]:
    """Split rows for training and validation, each class in proportion.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Encoded labels.
    fraction : float
        Fraction of the rows for validation.
    groups : array-like of shape (n,) or None
        Rows of the same group, such as images of one burst, stay on the same side.
    random_state : int or RandomState

    Returns
    -------
    training, validation : ndarray of int
        In ascending order.

    Raises
    ------
    ValueError
        If there are too few rows or groups.
    """
    rng = check_random_state(random_state)
    if groups is not None:
        names, groups = _check_groups(groups, len(y))
        share = min(fraction, 1 - fraction)
        n_folds = max(2, min(round(1 / share), len(names), int(np.bincount(y).max())))
        # The folds depend on the order of the groups, and it is this order that is shuffled:
        # the shuffling of older versions loses the proportions of the classes.
        groups = rng.permutation(len(names))[groups]
        folds = StratifiedGroupKFold(n_folds)
        with warnings.catch_warnings():
            # A class with fewer images than folds is missing from some folds.
            warnings.filterwarnings("ignore", "The least populated class", UserWarning)
            parts = list(folds.split(np.zeros(len(y)), y, groups))
        # Groups are not equally large: the fold whose share is nearest to what was asked.
        sides = [(most, fewest) if fraction <= 0.5 else (fewest, most) for most, fewest in parts]
        training, validation = min(sides, key=lambda s: abs(len(s[1]) - fraction * len(y)))
        if not 0.5 * fraction <= len(validation) / len(y) <= 2 * fraction:
            warn(
                f"validation_fraction={fraction} cannot be met with whole groups: "
                f"{len(validation)} of {len(y)} images are held out. Give more groups, or X_val "
                "and y_val."
            )
        return training, validation

    # A class of a single row cannot be on both sides: it is trained on.
    counts = np.bincount(y)
    rows = np.flatnonzero(counts[y] > 1)
    n_classes = len(np.unique(y[rows]))
    n_validation = max(int(np.ceil(fraction * len(y))), n_classes)
    if n_validation + n_classes > len(rows):
        raise ValueError(
            f"validation_fraction={fraction} of {len(y)} images with {len(np.unique(y))} classes "
            "leaves too few images to train on and validate with. Give more images, a smaller "
            "validation_fraction, X_val and y_val, or early_stopping=False."
        )
    _, validation = train_test_split(
        rows, test_size=n_validation, stratify=y[rows], random_state=rng
    )
    validation = np.sort(validation)
    return np.setdiff1d(np.arange(len(y)), validation), validation
