"""Classes: one label per image."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import log_softmax, softmax
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, column_or_1d
from torch import Tensor
from torch.nn import functional as F

from skcnn._from_r import check_no_na
from skcnn._targets._base import ClassifierTarget, Outputs
from skcnn._targets._columns import check_none_missing, is_empty_text
from skcnn._targets._mixing import blend
from skcnn._targets._split import Rows, Seed, train_validation_split
from skcnn._targets._weights import (
    ClassWeight,
    class_weights,
    combine_weights,
    scale_class_weights,
)
from skcnn._utils import refuse_to_continue, warn

Labels = npt.NDArray[Any]


def find_classes(y: npt.ArrayLike, classes: npt.ArrayLike | None = None) -> Labels:
    """Return the sorted labels there are, or those that the caller says there will be.

    Raises
    ------
    ValueError
        Where `y` is not a target of a classification, or has fewer than two classes.
    """
    _check_no_missing(y, "y")
    _check_one_type(y, "y")
    if classes is None:
        _check_is_known(y, "y")
        check_classification_targets(y)
        _warn_of_empty_text(y)
        classes = y
    else:
        check_none_missing(classes, "classes", "label")
        _check_one_type(classes, "classes")
    found: Labels = np.unique(column_or_1d(classes))
    if len(found) < 2:
        value = found[0].item() if isinstance(found[0], np.generic) else found[0]
        raise ValueError(
            f"y holds 1 class, {value!r}. Expected at least 2 classes to tell apart. If this is "
            "the first of several calls of partial_fit, name all classes there will be with "
            "classes=[...]."
        )
    return found


def encode(y: Labels, classes: Labels, name: str = "y") -> npt.NDArray[np.int64]:
    """Number labels by their place in `classes`."""
    check_none_missing(y, name, "label")
    y = np.asarray(y)
    check_same_type(y, classes, name)
    unseen = np.setdiff1d(y, classes)
    if len(unseen):
        raise ValueError(
            f"{name} holds labels that are not among the classes: {unseen[:5].tolist()}. Expected "
            f"some of {classes[:10].tolist()}{' ...' if len(classes) > 10 else ''}."
        )
    return np.searchsorted(classes, y).astype(np.int64)


def check_same_type(y: Labels, classes: Labels, name: str) -> None:
    """Refuse text where the classes are numbers, and the reverse: none could be the same."""
    if len(y) and _is_text(y) != _is_text(classes):
        raise ValueError(
            f"{name} holds {_example(y)}, but the classes are {_example(classes)}. Expected "
            "labels of the same type: convert them, for example with y.astype."
        )


def normalized_class_weights(
    class_weight: ClassWeight, classes: Labels, y: Labels
) -> npt.NDArray[np.float64] | None:
    """Return the weights of classes, scaled to a mean of 1 over images with the labels y.

    Examples
    --------
    >>> classes, y = np.array(["elk", "fox"]), np.array(["elk", "elk", "elk", "fox"])
    >>> normalized_class_weights({"fox": 5}, classes, y)
    array([0.5, 2.5])
    """
    weights = class_weights(class_weight, classes, y)
    if weights is None:
        return None
    of_images = weights[encode(y, classes)]
    return scale_class_weights(weights, of_images, class_weight, "all labels of a column of y")


def _check_no_missing(labels: npt.ArrayLike, name: str) -> None:
    check_none_missing(labels, name, "label")
    check_no_na(labels, name)


def _warn_of_empty_text(y: npt.ArrayLike) -> None:
    rows = np.flatnonzero(is_empty_text(np.ravel(y)))
    if len(rows):
        warn(
            f"y has text with nothing in it in {len(rows)} row(s), the first is row {rows[0]}. It "
            "is a class like the others. If these images have no label, as empty cells of a "
            'table are read, leave them out: y != "".'
        )


def _check_one_type(labels: Any, name: str) -> None:
    """Refuse text beside numbers, of which it is not known whether "1" and 1 are one class."""
    values = np.asarray(labels)
    if values.dtype.kind != "O" or values.ndim != 1:
        return
    text = [value for value in values if isinstance(value, str)]
    other = [value for value in values if not isinstance(value, str)]
    if text and other:
        raise ValueError(
            f"{name} holds labels of different types, such as {text[0]!r} and {other[0]!r}. "
            f"Expected text only, or numbers only: convert them, for example with "
            f"[str(label) for label in {name}]."
        )


def _check_is_known(labels: Any, name: str) -> None:
    """Refuse objects that are neither text nor numbers, which scikit-learn takes for numbers."""
    values = np.asarray(labels)
    if values.dtype.kind == "O" and values.ndim == 1 and not isinstance(values[0], str | bytes):
        kind = type(values[0]).__name__
        raise ValueError(
            # scikit-learn's checks expect the first words.
            f"Unknown label type: {name} holds objects of type {kind}, such as {values[0]!r}. "
            "Expected text, numbers or booleans: convert them, for example with [str(label) for "
            f"label in {name}], or with np.asarray({name}, dtype=bool) if all are booleans."
        )


def _example(labels: Labels) -> str:
    value = labels[0].item() if isinstance(labels[0], np.generic) else labels[0]
    return f"{'text' if isinstance(value, str) else 'numbers'} such as {value!r}"


def _is_text(labels: Labels) -> bool:
    if labels.dtype.kind == "O":
        return len(labels) > 0 and isinstance(labels[0], str)
    return labels.dtype.kind in "US"


def check_same_classes(classes: Labels, new: Labels) -> None:
    """Raise a ValueError unless training can continue from some classes to others."""
    if not np.array_equal(classes, new):
        refuse_to_continue(
            f"the classes {classes.tolist()}",
            f"now got {new.tolist()}",
            "Give labels of the same classes",
        )


def check_labels(y: npt.ArrayLike, n_images: int, name: str) -> Labels:
    """Check labels that come beside those of the training images."""
    labels: Labels = column_or_1d(y, warn=True)
    _check_no_missing(labels, name)
    _check_one_type(labels, name)
    labels = check_array(labels, ensure_2d=False, dtype=None, input_name=name)
    if len(labels) != n_images:
        raise ValueError(f"{name} has {len(labels)} labels for {n_images} images.")
    return labels


@dataclass(frozen=True, eq=False)
class ClassTarget(ClassifierTarget):
    """One label per image: cross-entropy of logits, one output per class.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
        The labels, sorted.
    class_weight : ndarray of shape (n_classes,) or None
        Weight of each class in the loss.
    label_smoothing : float, default=0.0
        Fraction of the target that is spread evenly over all classes, in training only.

    References
    ----------
    Szegedy, Vanhoucke, Ioffe, Shlens, Wojna: Rethinking the Inception architecture for computer
    vision. CVPR 2016.

    Examples
    --------
    >>> target = ClassTarget.infer(["oak", "fir", "oak"])
    >>> target.encode(["oak", "fir"]), target.decode(np.array([1, 0]))
    (array([1, 0]), array(['oak', 'fir'], dtype='<U3'))
    """

    classes: Labels
    class_weight: npt.NDArray[np.float64] | None = None
    label_smoothing: float = 0.0

    @classmethod
    def infer(
        cls,
        y: npt.ArrayLike,
        classes: npt.ArrayLike | None = None,
        *,
        class_weight: ClassWeight = None,
        label_smoothing: float = 0.0,
    ) -> Self:
        """Make the target of the labels in y, or of the classes that the caller names."""
        found = find_classes(y, classes)
        weights = class_weights(class_weight, found, np.asarray(y))
        return cls(found, weights, label_smoothing)

    @property
    def n_outputs(self) -> int:
        """Number of classes."""
        return len(self.classes)

    @property
    def description(self) -> str:
        """The outputs in words."""
        return f"the logits of {len(self.classes)} classes"

    def encode(self, y: npt.ArrayLike, name: str = "y") -> npt.NDArray[np.int64]:
        """Number labels by their position in `classes`."""
        return encode(np.asarray(y), self.classes, name)

    @property
    def n_columns(self) -> int:
        """Number of classes."""
        return len(self.classes)

    def as_columns(self, encoded: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return the probability of each class: 1 for the one there is."""
        columns: npt.NDArray[np.float32] = np.eye(len(self.classes), dtype=np.float32)[encoded]
        return columns

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Return the probability of each class."""
        return outputs.softmax(-1)

    def predict_proba(self, outputs: Outputs) -> Outputs:
        """Return the probability of each class, of shape (n, n_classes)."""
        probability: Outputs = softmax(outputs, axis=1)
        return probability

    def predict_log_proba(self, outputs: Outputs) -> Outputs:
        """Return the logarithm of the probability of each class, of shape (n, n_classes)."""
        logarithm: Outputs = log_softmax(outputs, axis=1)
        return logarithm

    def decision_function(self, outputs: Outputs) -> Outputs:
        """Return the logits (n, n_classes), or the difference of two, of shape (n,)."""
        return outputs[:, 1] - outputs[:, 0] if outputs.shape[1] == 2 else outputs

    def predict(self, outputs: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
        """Return the index of the most probable class of each row."""
        indices: npt.NDArray[np.intp] = outputs.argmax(axis=1)
        return indices

    def decode(self, encoded: npt.NDArray[Any]) -> Labels:
        """Return the labels of indices, which may be whole floats."""
        labels: Labels = self.classes[np.asarray(encoded, dtype=np.intp)]
        return labels

    def loss(self, outputs: Tensor, encoded: Tensor, *, training: bool) -> Tensor:
        """Cross-entropy of indices, or of probabilities of classes where targets were mixed."""
        smoothing = self.label_smoothing if training else 0.0
        return F.cross_entropy(outputs, encoded, reduction="none", label_smoothing=smoothing)

    def score(self, outputs: Tensor, encoded: Tensor) -> Tensor:
        """Whether each image is classified correctly."""
        return outputs.argmax(1) == (encoded if encoded.ndim == 1 else encoded.argmax(1))

    def check(self, y: npt.ArrayLike, n_images: int, name: str) -> Labels:
        """Check labels that come beside those of the training images."""
        return check_labels(y, n_images, name)

    def continued(self, new: Self) -> Self:
        """Continue with the same classes, and with the weights and the smoothing set now."""
        self.check_same(new)
        return new

    def check_same(self, other: Self) -> None:
        """Training continues with the same classes only."""
        check_same_classes(self.classes, other.classes)

    def mix(
        self, partner: Tensor, own: Tensor, encoded: Tensor, weight: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Mix labels into probabilities of classes."""
        if encoded.ndim == 1:
            indices = torch.arange(len(self.classes), device=encoded.device)
            encoded = (encoded[:, None] == indices).float()
        return blend(partner, own, encoded, weight)

    def weights(
        self, sample_weight: npt.ArrayLike | None, encoded: npt.NDArray[Any]
    ) -> npt.NDArray[np.float64] | None:
        """Return the weight of each image times that of its class."""
        return combine_weights(sample_weight, self.class_weight, encoded)

    def split(
        self,
        encoded: npt.NDArray[Any],
        fraction: float,
        groups: npt.ArrayLike | None,
        random_state: Seed,
    ) -> tuple[Rows, Rows]:
        """Split each class in proportion."""
        return train_validation_split(encoded, fraction, groups, random_state)
