"""The split of rows into training and validation."""

from numbers import Number
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold, train_test_split
from sklearn.utils.validation import check_consistent_length

from skcnn._targets._columns import check_none_missing
from skcnn._utils import as_objects, check_random_state, ignore_warning, warn

Rows = npt.NDArray[np.intp]
Seed = int | np.random.RandomState

# Random draws of groups, of which the one nearest to the fraction is taken; or of rows, until some
# can be held out.
_N_DRAWS = 20


def _encode_groups(
    groups: npt.ArrayLike, n_images: int
) -> tuple[npt.NDArray[Any], npt.NDArray[np.intp]]:
    """Return the names of the groups, and the index of the group of each image."""
    each: npt.NDArray[Any]
    # A tuple in a list may be the name of a group; a list in it is a row.
    if isinstance(groups, list | tuple) and not any(
        isinstance(group, list | np.ndarray) for group in groups
    ):
        each = as_objects(groups)
    else:
        each = np.asarray(groups)
    if each.ndim == 2 and each.shape[1] == 1:
        each = each[:, 0]
    if each.ndim != 1:
        raise ValueError(
            f"groups is of shape {each.shape}. Expected a 1d array, with one entry per image: "
            f"({n_images},)."
        )
    check_none_missing(each, "groups")
    kinds = {_kind(group) for group in each} if each.dtype.kind == "O" else set()
    if len(kinds) > 1:
        raise ValueError(
            f"groups mixes {' and '.join(sorted(kinds)[::-1])}. Expected values of one type."
        )
    names, numbers = np.unique(each, return_inverse=True)
    if len(numbers) != n_images or len(names) < 2:
        raise ValueError(
            f"groups has {len(numbers)} entries and {len(names)} different groups for "
            f"{n_images} images. Expected one entry per image and at least 2 groups."
        )
    return names, numbers


def check_groups(groups: object, n_images: int) -> None:
    """Check that there is an entry of groups for each image, whether it is used or not."""
    if groups is None:
        return
    if isinstance(groups, str | bytes) or not hasattr(groups, "__len__"):
        raise ValueError(
            f"groups is {groups!r}. Expected one entry per image, of shape ({n_images},), such as "
            "a column of a DataFrame."
        )
    check_consistent_length(np.empty(n_images), groups)


def _kind(value: object) -> str:
    if isinstance(value, str):
        return "text"
    return "numbers" if isinstance(value, Number | np.bool_) else type(value).__name__


def random_split(
    n: int, fraction: float, groups: npt.ArrayLike | None, random_state: Seed
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
        _, numbers = _encode_groups(groups, n)
        held_out = _draw_groups(np.bincount(numbers), fraction * n, rng)[numbers]
        _warn_if_far(held_out.sum(), n, fraction)
        return np.flatnonzero(~held_out), np.flatnonzero(held_out)
    if n < 2:
        raise ValueError(
            f"validation_fraction={fraction} of n_samples={n} leaves none to train on. Give more "
            "images, X_val and y_val, or early_stopping=False."
        )
    n_validation = min(n - 1, max(1, int(np.ceil(fraction * n))))
    order = rng.permutation(n)
    return np.sort(order[n_validation:]), np.sort(order[:n_validation])


def _draw_groups(
    sizes: npt.NDArray[np.intp], n_wanted: float, rng: np.random.RandomState
) -> npt.NDArray[np.bool_]:
    """Draw groups that together have nearly so many rows: at least one of them, but not all."""
    draws = [_fill(sizes, n_wanted, rng.permutation(len(sizes))) for _ in range(_N_DRAWS)]
    return min(draws, key=lambda taken: abs(sizes[taken].sum() - n_wanted))


def _fill(
    sizes: npt.NDArray[np.intp], n_wanted: float, order: npt.NDArray[np.intp]
) -> npt.NDArray[np.bool_]:
    """Take the first group, and then each that brings the sum nearer to what is wanted."""
    taken = np.zeros(len(sizes), bool)
    taken[order[0]] = True
    total, n_left = sizes[order[0]], len(sizes) - 1
    for group in order[1:]:
        nearer = abs(total + sizes[group] - n_wanted) < abs(total - n_wanted)
        if nearer and n_left > 1:
            taken[group] = True
            total, n_left = total + sizes[group], n_left - 1
    return taken


def _warn_if_far(n_validation: int, n: int, fraction: float) -> None:
    if not 0.5 * fraction <= n_validation / n <= 2 * fraction:
        warn(
            f"validation_fraction={fraction} cannot be met with whole groups: {n_validation} of "
            f"{n} images are held out. Give more groups, or X_val and y_val."
        )


def train_validation_split(
    y: npt.NDArray[np.int64], fraction: float, groups: npt.ArrayLike | None, random_state: Seed
) -> tuple[Rows, Rows]:
    """Split rows for training and validation, each class in proportion.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Encoded labels.
    fraction : float
        Fraction of the rows for validation.
    groups : array-like of shape (n,) or None
        Rows of the same group, such as images of one burst, stay on the same side. A class that
        is in one group only is trained on.
    random_state : int or RandomState

    Returns
    -------
    training, validation : ndarray of int
        In ascending order.

    Raises
    ------
    ValueError
        If there are too few rows or groups, or each group has a class that no other has.
    """
    rng = check_random_state(random_state)
    if groups is not None:
        names, groups = _encode_groups(groups, len(y))
        share = min(fraction, 1 - fraction)
        n_folds = max(2, min(round(1 / share), len(names), int(np.bincount(y).max())))
        # The folds depend on the order of the groups, and it is this order that is shuffled:
        # the shuffling of older versions loses the proportions of the classes.
        groups = rng.permutation(len(names))[groups]
        folds = StratifiedGroupKFold(n_folds)
        # A class with fewer images than folds is missing from some folds.
        with ignore_warning("The least populated class"):
            parts = list(folds.split(np.zeros(len(y)), y, groups))
        # Groups are not equally large: the fold whose share is nearest to what was asked, of those
        # that leave the most classes to train on.
        sides = [(most, fewest) if fraction <= 0.5 else (fewest, most) for most, fewest in parts]
        training, validation = min(
            sides, key=lambda s: (len(_untrained(y, s[0])), abs(len(s[1]) - fraction * len(y)))
        )
        for label in _untrained(y, training):
            # The group of one class may have brought another one along.
            if not (y[training] == label).any():
                row = validation[(y[validation] == label).argmax()]
                training, validation = _train_on_group_of(row, groups, training, validation)
        if not len(validation):
            raise ValueError(
                f"validation_fraction={fraction} of {len(y)} images in {len(names)} groups leaves "
                "none to validate with: each group has a class that no other has, and a class "
                "that is held out is never learned. Give images of more groups, X_val and y_val, "
                "or early_stopping=False."
            )
        _warn_if_far(len(validation), len(y), fraction)
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


def _untrained(y: npt.NDArray[np.int64], training: Rows) -> npt.NDArray[np.int64]:
    """Return the classes of which no row is trained on."""
    return np.setdiff1d(y, y[training])


def _train_on_group_of(
    row: np.intp, units: npt.NDArray[np.intp], training: Rows, validation: Rows
) -> tuple[Rows, Rows]:
    """Move a row that is held out to those for training, with all rows of its group."""
    moved = validation[units[validation] == units[row]]
    return np.union1d(training, moved), np.setdiff1d(validation, moved)


def split_with_each_label(
    indicators: npt.NDArray[Any],
    fraction: float,
    groups: npt.ArrayLike | None,
    random_state: Seed,
) -> tuple[Rows, Rows]:
    """Split rows at random, but train on images with each label.

    Parameters
    ----------
    indicators : ndarray of shape (n, n_labels)
        1 where a label is in an image.
    fraction, groups, random_state
        As in `random_split`.

    Returns
    -------
    training, validation : ndarray of int
        In ascending order.

    Raises
    ------
    ValueError
        If there are too few rows or groups, or all rows that were drawn for validation, again and
        again, have a label that is in no other.

    Examples
    --------
    >>> rare = np.zeros((10, 1))
    >>> rare[2] = 1
    >>> sides = [split_with_each_label(rare, 0.5, None, seed) for seed in range(20)]
    >>> all(2 in training for training, _ in sides)
    True
    """
    rng = check_random_state(random_state)
    units = np.arange(len(indicators))
    if groups is not None:
        units = _encode_groups(groups, len(indicators))[1]
    for _ in range(_N_DRAWS):
        training, validation = random_split(len(indicators), fraction, groups, rng)
        for value in indicators.T:
            if value[validation].any() and not value[training].any():
                row = validation[value[validation].argmax()]
                training, validation = _train_on_group_of(row, units, training, validation)
        if len(validation):
            return training, validation
    raise ValueError(
        f"validation_fraction={fraction} of {len(indicators)} images leaves none to validate "
        "with: each has a label that no other has. Give more images, X_val and y_val, or "
        "early_stopping=False."
    )


def with_and_without(indicators: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return columns of labels, and others of their absence, which has to be learned, too."""
    return np.hstack([indicators, 1 - indicators])
