"""Weights of images and of classes in the loss."""

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.class_weight import compute_class_weight

from skcnn._from_r import whole
from skcnn._utils import check_sample_weight

Labels = npt.NDArray[Any]
#: Of one column of y, and of several.
ClassWeight = Mapping[Any, float] | str | None
ClassWeights = ClassWeight | Sequence[ClassWeight]


def each_class_weight(
    class_weight: ClassWeights, n_columns: int, what: str
) -> Sequence[ClassWeight]:
    """Return the class weights of each column of y; `what` stands in each, for messages."""
    if class_weight is None or isinstance(class_weight, str):
        return [class_weight] * n_columns
    if isinstance(class_weight, Mapping) or len(class_weight) != n_columns:
        raise ValueError(
            f"class_weight={class_weight!r}, but y has {n_columns} {what}s. Expected a list of "
            f'one dict per {what}, such as {{0: 1, 1: 5}}, or "balanced".'
        )
    return class_weight


def class_weights(
    class_weight: ClassWeight, classes: Labels, y: Labels
) -> npt.NDArray[np.float64] | None:
    """Return the weight of each class, of shape (n_classes,); None where all weigh the same."""
    if class_weight is None:
        return None
    if not isinstance(class_weight, Mapping | str):
        raise ValueError(
            f"class_weight={class_weight!r} stands for one column of labels. Expected a dict "
            '{label: weight}, or "balanced". A list is for several columns, with one of these '
            "for each."
        )
    if isinstance(class_weight, Mapping):
        class_weight = _by_label(class_weight, classes)
        _check_names(class_weight, classes)
    weights: npt.NDArray[np.float64] = compute_class_weight(class_weight, classes=classes, y=y)
    if not np.isfinite(weights).all() or weights.min() < 0 or not weights.any():
        raise ValueError(
            f"class_weight={class_weight!r} holds a weight that is negative or not finite, or "
            "only zeros. Expected finite weights from 0, one of them positive."
        )
    return weights


def scale_class_weights(
    weights: npt.NDArray[np.float64],
    of_images: npt.NDArray[np.float64],
    class_weight: ClassWeights,
    what: str,
) -> npt.NDArray[np.float64]:
    """Scale weights of classes to a mean of 1 over images, of which `of_images` are the weights.

    The others are for the message: what the user gave, and where all of it is zero.
    """
    mean = of_images.mean()
    if not mean:
        raise ValueError(
            f"class_weight={class_weight!r} is zero for {what}. Expected at least one positive "
            "weight."
        )
    scaled: npt.NDArray[np.float64] = weights / mean
    return scaled


def _by_label(class_weight: Mapping[Any, float], classes: Labels) -> dict[Any, float]:
    """Return weights by the labels themselves: names in lists of R are always text."""
    labels = [label for label in classes.tolist() if not isinstance(label, str)]
    names = {str(whole(label)).upper(): label for label in labels}
    return {
        names.get(key.upper(), key) if isinstance(key, str) else key: weight
        for key, weight in class_weight.items()
    }


def _check_names(class_weight: Mapping[Any, float], classes: Labels) -> None:
    """Name what is no class of y, where classes have no weight: one may be misspelled."""
    no_number = [weight for weight in class_weight.values() if not isinstance(weight, Real)]
    if no_number:
        raise ValueError(
            f"class_weight={class_weight!r} holds the weight {no_number[0]!r}. Expected numbers "
            "from 0."
        )
    labels = classes.tolist()
    unknown = [label for label in class_weight if label not in labels]
    without = [label for label in labels if label not in class_weight]
    if unknown and without:
        raise ValueError(
            f"class_weight names {', '.join(map(repr, unknown[:5]))}, which y does not hold, and "
            f"the classes {without[:5]} are not in class_weight. Expected some of the labels "
            f"{labels[:10]}{' ...' if len(labels) > 10 else ''}; others weigh 1."
        )


def combine_weights(
    sample_weight: npt.ArrayLike | None,
    by_class: npt.NDArray[np.float64] | None,
    codes: npt.NDArray[Any],
) -> npt.NDArray[np.float64] | None:
    """Multiply the weights of images and of their classes; None where all weigh the same.

    Raises
    ------
    ValueError
        If a weight is negative or not finite, or no weight is positive.
    """
    weight: npt.NDArray[np.float64] | None = None
    if sample_weight is not None:
        weight = check_sample_weight(
            sample_weight, codes, dtype=np.float64, ensure_non_negative=True
        )
    if by_class is not None:
        weight = by_class[codes] if weight is None else weight * by_class[codes]
    if weight is not None and not weight.any():
        raise ValueError(
            "sample_weight, times class_weight where one is given, is zero for every image. "
            "Expected at least one positive weight."
        )
    return weight


def normalize_weights(weight: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Scale weights to a mean of 1, so that they leave the learning rate as it is."""
    if not weight.any():
        raise ValueError(
            "After images were held out for validation, sample_weight is zero for all training "
            "images, or for all validation images. Expected positive weights in both: weight "
            "more images, or pass X_val and y_val."
        )
    scaled: npt.NDArray[np.float32] = (weight / weight.mean()).astype(np.float32)
    return scaled
