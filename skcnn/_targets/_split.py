"""The split of rows into training and validation."""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold, train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import column_or_1d

Rows = npt.NDArray[np.intp]


def train_validation_split(
    y: npt.NDArray[np.int64], fraction: float, groups: Any, random_state: Any
) -> tuple[Rows, Rows]:
    """Split rows for training and validation, each class in proportion.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Encoded labels.
    fraction : float
        Share of the rows for validation.
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
        Where there are too few rows or groups.
    """
    rng = check_random_state(random_state)
    if groups is not None:
        names, groups = np.unique(column_or_1d(groups), return_inverse=True)
        if len(groups) != len(y) or len(names) < 2:
            raise ValueError(
                f"groups has {len(groups)} entries and {len(names)} different groups for "
                f"{len(y)} images. Expected one entry an image and at least 2 groups."
            )
        share = min(fraction, 1 - fraction)
        n_folds = max(2, min(round(1 / share), len(names), int(np.bincount(y).max())))
        # The folds depend on the order of the groups, and it is this order that is shuffled:
        # the shuffling of older versions loses the proportions of the classes.
        groups = rng.permutation(len(names))[groups]
        folds = StratifiedGroupKFold(n_folds)
        with warnings.catch_warnings():
            # Of classes rarer than there are folds, some folds have none: so be it.
            warnings.filterwarnings("ignore", "The least populated class", UserWarning)
            most, fewest = next(folds.split(np.zeros(len(y)), y, groups))
        return (most, fewest) if fraction <= 0.5 else (fewest, most)

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
