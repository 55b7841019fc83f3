"""Several labels: each of them is in an image, or is not."""

from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from scipy.sparse import issparse
from scipy.special import expit, log_expit
from sklearn.utils.validation import check_array
from torch import Tensor
from torch.nn import functional as F

from skcnn._targets._base import ClassifierTarget, Outputs
from skcnn._targets._columns import check_names, column_names
from skcnn._targets._constants import DeviceConstants
from skcnn._targets._mixing import blend
from skcnn._targets._split import Rows, Seed, split_with_each_label, with_and_without
from skcnn._targets._weights import (
    ClassWeights,
    class_weights,
    each_class_weight,
    scale_class_weights,
)
from skcnn._utils import refuse_to_continue, warn

Indicators = npt.NDArray[np.uint8]
# What a column of an indicator matrix says: the label is not in the image, or it is.
_ABSENT_OR_PRESENT = np.array([0, 1])
# So many images with one label each are no accident.
_MANY = 10


def is_indicator_matrix(y: npt.ArrayLike) -> bool:
    """Whether a y of several columns holds nothing but 0 and 1.

    Examples
    --------
    >>> is_indicator_matrix(np.eye(3)), is_indicator_matrix(np.array([[1, 2], [2, 1]]))
    (True, False)
    """
    values = pd.unique(np.asarray(y).ravel())
    return all(isinstance(v, int | float | np.number | np.bool_) and v in (0, 1) for v in values)


@dataclass(frozen=True, eq=False)
class MultilabelTarget(ClassifierTarget):
    """Any number of labels per image: binary cross-entropy, one output per label.

    Parameters
    ----------
    classes : ndarray of shape (n_labels,)
        Names of the labels: those of the columns of y, or numbers from 0.
    class_weight : ndarray of shape (n_labels, 2) or None
        Weight in the loss where each label is absent, and where it is present.
    frequency : ndarray of shape (n_labels,) or float, default=0.5
        Weighted fraction of the images that have each label.
    label_smoothing : float, default=0.0
        Fraction of the target, in training only, that is replaced by the frequency of the label.
        Probabilities are then right in the mean, those of rare labels too; half of it for each
        side would raise them.

    References
    ----------
    Szegedy, Vanhoucke, Ioffe, Shlens, Wojna: Rethinking the Inception architecture for computer
    vision. CVPR 2016.

    Examples
    --------
    >>> target = MultilabelTarget.infer(np.array([[1, 0, 1], [0, 0, 1]]))
    >>> target.predict(np.array([[-2.0, 0.1, 3.0]]))
    array([[0, 1, 1]])
    """

    classes: npt.NDArray[Any]
    class_weight: npt.NDArray[np.float64] | None = None
    frequency: npt.NDArray[np.float64] | float = 0.5
    label_smoothing: float = 0.0
    _constants: DeviceConstants = field(default_factory=DeviceConstants, init=False, repr=False)

    @classmethod
    def infer(
        cls,
        y: npt.ArrayLike,
        classes: npt.ArrayLike | None = None,
        *,
        class_weight: ClassWeights = None,
        label_smoothing: float = 0.0,
    ) -> Self:
        """Make the target of the columns of y, which `classes` may name.

        Raises
        ------
        ValueError
            If there are not as many classes, or class weights, as columns.
        """
        n_labels = np.shape(y)[1]
        names = column_names(y, n_labels) if classes is None else np.asarray(classes)
        if names.shape != (n_labels,):
            raise ValueError(
                f"classes has shape {names.shape}, but y has {n_labels} columns. Expected one "
                "name per label, or classes=None."
            )
        if classes is not None:
            # Columns in another order would stand for other labels.
            check_names(y, names, "y")
        present = cls(names).encode(y)
        if classes is None and len(present) >= _MANY and (present.sum(axis=1) == 1).all():
            warn(
                f"Every row of y, of shape {present.shape}, holds exactly one 1. If each image "
                "has just one label, pass the labels themselves: y.argmax(axis=1)."
            )
        weights = _label_weights(class_weight, present)
        sums = np.stack([(1 - present).sum(axis=0), present.sum(axis=0)], axis=1)
        sums = sums if weights is None else sums * weights
        frequency = sums[:, 1] / np.maximum(sums.sum(axis=1), 1e-12)
        return cls(names, weights, frequency, label_smoothing)

    @property
    def n_outputs(self) -> int:
        """Number of labels."""
        return len(self.classes)

    @property
    def description(self) -> str:
        """The outputs in words."""
        return f"the logits of {len(self.classes)} labels"

    def encode(self, y: npt.ArrayLike, name: str = "y") -> Indicators:
        """Return an indicator matrix (n, n_labels) of 0 and 1."""
        matrix = np.asarray(y)
        if matrix.ndim != 2 or matrix.shape[1] != self.n_outputs:
            raise ValueError(
                f"{name} has shape {matrix.shape}. Expected a column of 0 and 1 for each of the "
                f"{self.n_outputs} labels."
            )
        if not is_indicator_matrix(matrix):
            values = pd.unique(matrix.ravel())[:5].tolist()
            raise ValueError(
                f"{name} holds other values than 0 and 1, among them {values}. "
                "Expected 1 where a label is in an image, and 0 where it is not."
            )
        return matrix.astype(np.uint8)

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Return the probability of each label."""
        return outputs.sigmoid()

    def predict_proba(self, outputs: Outputs) -> Outputs:
        """Return the probability of each label, of shape (n, n_labels)."""
        probability: Outputs = expit(outputs)
        return probability

    def predict_log_proba(self, outputs: Outputs) -> Outputs:
        """Return the logarithm of the probability of each label, of shape (n, n_labels)."""
        logarithm: Outputs = log_expit(outputs)
        return logarithm

    def decision_function(self, outputs: Outputs) -> Outputs:
        """Return the logit of each label, of shape (n, n_labels)."""
        return outputs

    def predict(self, outputs: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Return 1 for each label that is more probable than not."""
        return (outputs > 0).astype(np.int64)

    def decode(self, encoded: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return indicators as they are."""
        return encoded

    def loss(self, outputs: Tensor, encoded: Tensor, *, training: bool) -> Tensor:
        """Sum over the labels of the binary cross-entropies."""
        present, total = encoded.to(outputs.dtype), None
        if self.class_weight is not None:
            absence, presence = self._constants.get("weight", self.class_weight, like=outputs).T
            total = present * presence + (1 - present) * absence
            # Both sides of a mixture count with their own weight.
            present = torch.where(total > 0, present * presence / total, present)
        smoothed = present
        if training and self.label_smoothing:
            frequency = self._constants.get("frequency", self.frequency, like=outputs)
            smoothed = torch.lerp(present, frequency.expand_as(present), self.label_smoothing)
        losses = F.binary_cross_entropy_with_logits(outputs, smoothed, reduction="none")
        return (losses if total is None else losses * total).sum(1)

    def score(self, outputs: Tensor, encoded: Tensor) -> Tensor:
        """Whether all labels of each image are right."""
        return ((outputs > 0) == (encoded > 0.5)).all(1)

    def accuracy(
        self, y: npt.ArrayLike, labels: npt.ArrayLike, sample_weight: npt.ArrayLike | None
    ) -> float:
        """Return the weighted fraction of images for which all labels are right."""
        if not np.array_equal(self.classes, np.arange(self.n_outputs)):
            # Numbers are those of an array, whose columns have no names.
            check_names(y, self.classes, "y")
        # scikit-learn's score does not take the integers and booleans that pandas has with NA.
        checked = check_array(y, accept_sparse="csr", dtype=None, input_name="y")
        return super().accuracy(checked, labels, sample_weight)

    def check(self, y: npt.ArrayLike, n_images: int, name: str) -> Any:
        """Check indicators that come beside those of the training images."""
        check_names(y, self.classes, name)
        checked = check_array(y, accept_sparse="csr", dtype=None, input_name=name)
        if checked.shape[0] != n_images:
            raise ValueError(f"{name} has {checked.shape[0]} rows for {n_images} images.")
        return checked.toarray() if issparse(checked) else checked

    def continued(self, new: Self) -> Self:
        """Continue with the same labels, and with the weights and the smoothing set now."""
        self.check_same(new)
        return replace(new, frequency=self.frequency)

    def check_same(self, other: Self) -> None:
        """Training continues with the same labels only."""
        if not np.array_equal(self.classes, other.classes):
            refuse_to_continue(
                f"the labels {self.classes.tolist()}",
                f"y now has the columns {other.classes.tolist()}",
                "Give the same columns",
            )

    def mix(
        self, partner: Tensor, own: Tensor, encoded: Tensor, weight: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Mix indicators into fractions of labels."""
        return blend(partner, own, encoded.float(), weight)

    def split(
        self,
        encoded: npt.NDArray[Any],
        fraction: float,
        groups: npt.ArrayLike | None,
        random_state: Seed,
    ) -> tuple[Rows, Rows]:
        """Split at random, but train on images with and without every label."""
        return split_with_each_label(with_and_without(encoded), fraction, groups, random_state)


def _label_weights(
    class_weight: ClassWeights, present: Indicators
) -> npt.NDArray[np.float64] | None:
    """Return the weights of absent and present labels, (n_labels, 2), with a mean of 1."""
    if class_weight is None:
        return None
    n_labels = present.shape[1]
    each = each_class_weight(class_weight, n_labels, "label")
    weights = np.ones((n_labels, 2))
    for number, (weight, column) in enumerate(zip(each, present.T)):
        # A label that is in every image, or in none, has no other side to balance.
        balanced = weight == "balanced" and len(np.unique(column)) < 2
        of_label = None if balanced else class_weights(weight, _ABSENT_OR_PRESENT, column)
        if of_label is not None:
            weights[number] = of_label
    of_images = weights[np.arange(n_labels), present]
    return scale_class_weights(weights, of_images, class_weight, "all that y holds")
