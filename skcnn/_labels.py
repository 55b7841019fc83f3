"""Labels, their weights, and the split of rows into training and validation."""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold, train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_array, column_or_1d

Labels = npt.NDArray[Any]
Rows = npt.NDArray[np.intp]


def find_classes(y: Any, classes: Any = None) -> Labels:
    """Return the sorted labels there are, or those that the caller says there will be.

    Raises
    ------
    ValueError
        Where `y` is not a target of a classification, or has fewer than two classes.
    """
    if classes is None:
        check_classification_targets(y)
        classes = y
    found: Labels = np.unique(column_or_1d(classes))
    if len(found) < 2:
        raise ValueError(
            f"y holds 1 class, {found[0]!r}. Expected at least 2 classes to tell apart."
        )
    return found


def encode(y: Labels, classes: Labels, name: str = "y") -> npt.NDArray[np.int64]:
    """Number labels by their place in `classes`."""
    unseen = np.setdiff1d(y, classes)
    if len(unseen):
        raise ValueError(
            f"{name} holds labels that are not among the classes: {unseen[:5].tolist()}. Expected "
            f"some of {classes[:10].tolist()}{' ...' if len(classes) > 10 else ''}."
        )
    return np.searchsorted(classes, y).astype(np.int64)


def check_labels(y: Any, n_images: int, name: str) -> Labels:
    """Check labels that come beside those of the training images."""
    labels: Labels = check_array(
        column_or_1d(y, warn=True), ensure_2d=False, dtype=None, input_name=name
    )
    if len(labels) != n_images:
        raise ValueError(f"{name} has {len(labels)} labels for {n_images} images.")
    return labels


def class_weights(class_weight: Any, classes: Labels, y: Labels) -> npt.NDArray[np.float64] | None:
    """Return the weight of each class, of shape (n_classes,); None where all count the same."""
    if class_weight is None:
        return None
    weights: npt.NDArray[np.float64] = compute_class_weight(class_weight, classes=classes, y=y)
    if not np.isfinite(weights).all() or weights.min() < 0 or not weights.any():
        raise ValueError(
            f"class_weight={class_weight!r} holds a weight that is negative or not finite, or "
            "only zeros. Expected finite weights from 0, one of them positive."
        )
    return weights


def row_weights(
    sample_weight: Any,
    by_class: npt.NDArray[np.float64] | None,
    codes: npt.NDArray[np.int64],
    X: Any,
) -> npt.NDArray[np.float64] | None:
    """Multiply the weights of rows and of their classes; None where all count the same.

    Raises
    ------
    ValueError
        Where a weight is negative or not finite, or no row is left with a positive one.
    """
    weight: npt.NDArray[np.float64] | None = None
    if sample_weight is not None:
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    if by_class is not None:
        weight = by_class[codes] if weight is None else weight * by_class[codes]
    if weight is not None and not weight.any():
        raise ValueError(
            "sample_weight, times class_weight where one is given, is zero for every image. "
            "Expected at least one positive weight."
        )
    return weight


def mean_one(weight: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Scale weights to a mean of 1, so that they leave the learning rate as it is."""
    if not weight.any():
        raise ValueError(
            "After images were held out for validation, sample_weight is zero for all that are "
            "left, or for all that are held out. Expected positive weights on both sides: weight "
            "more images, or pass X_val and y_val."
        )
    scaled: npt.NDArray[np.float32] = (weight / weight.mean()).astype(np.float32)
    return scaled


def split_rows(
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
