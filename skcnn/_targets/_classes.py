"""Labels of classes."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, column_or_1d

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
