"""Several columns of classes, as scikit-learn's forests take them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils.validation import check_array
from torch import Tensor

from skcnn._targets._base import ClassifierTarget, Outputs
from skcnn._targets._classes import (
    ClassTarget,
    Labels,
    check_same_type,
    normalized_class_weights,
)
from skcnn._targets._columns import check_names, column_names, each_column
from skcnn._targets._several import SeveralTarget
from skcnn._targets._weights import ClassWeights, each_class_weight


@dataclass(frozen=True, eq=False)
class MultioutputTarget(SeveralTarget, ClassifierTarget):
    """Several labels per image, one in each column: the sum of their cross-entropies.

    Examples
    --------
    >>> target = MultioutputTarget.infer(np.array([["oak", "old"], ["fir", "young"]]))
    >>> [classes.tolist() for classes in target.classes]
    [['fir', 'oak'], ['old', 'young']]
    """

    targets: tuple[ClassTarget, ...]

    @classmethod
    def infer(
        cls,
        y: npt.ArrayLike,
        classes: Sequence[npt.ArrayLike] | None = None,
        *,
        class_weight: ClassWeights = None,
        label_smoothing: float = 0.0,
    ) -> Self:
        """Make the target of the columns of y; `classes` has the labels of each.

        Raises
        ------
        ValueError
            If a column does not hold classes, or there are not as many classes, or class
            weights, as columns.
        """
        columns = each_column(y)
        names = tuple(str(name) for name in column_names(y, len(columns)))
        each = [None] * len(columns) if classes is None else list(classes)
        if len(each) != len(columns):
            raise ValueError(
                f"classes has {len(each)} lists of labels, but y has {len(columns)} columns. "
                "Expected one list per column."
            )
        targets = tuple(
            _infer_column(name, column, labels, label_smoothing)
            for name, column, labels in zip(names, columns, each)
        )
        each_weight = each_class_weight(class_weight, len(columns), "column")
        weights = tuple(
            normalized_class_weights(weight, target.classes, column)
            for weight, target, column in zip(each_weight, targets, columns)
        )
        return cls(names, targets, (1.0,) * len(targets), weights)

    @property
    def classes(self) -> list[Labels]:
        """The labels of each column, sorted."""
        return [target.classes for target in self.targets]

    def predict_proba(self, outputs: Outputs) -> list[Outputs]:
        """Return the probabilities of the classes of each column."""
        each = zip(self.targets, self.split_outputs(outputs))
        return [target.predict_proba(part) for target, part in each]

    def predict_log_proba(self, outputs: Outputs) -> list[Outputs]:
        """Return the logarithms of the probabilities of the classes of each column."""
        each = zip(self.targets, self.split_outputs(outputs))
        return [target.predict_log_proba(part) for target, part in each]

    def decision_function(self, outputs: Outputs) -> list[Outputs]:
        """Return the logits of each column."""
        each = zip(self.targets, self.split_outputs(outputs))
        return [target.decision_function(part) for target, part in each]

    def score(self, outputs: Tensor, encoded: Tensor) -> Tensor:
        """Whether all columns of each image are right."""
        each = zip(self.targets, self.split_outputs(outputs), self.split_encoded(encoded))
        right = [target.score(part, columns) for target, part, columns in each]
        return torch.stack(right).all(0)

    def accuracy(
        self, y: npt.ArrayLike, labels: npt.ArrayLike, sample_weight: npt.ArrayLike | None
    ) -> float:
        """Return the weighted fraction of images for which all columns are right."""
        checked = self.check(y, len(np.asarray(labels)), "y")
        for name, classes, column in zip(self.names, self.classes, each_column(checked)):
            check_same_type(column, classes, f"y[{name!r}]")
        right = (labels == checked).all(axis=1)
        return super().accuracy(np.ones_like(right), right, sample_weight)

    def check(self, y: npt.ArrayLike, n_images: int, name: str) -> Any:
        """Check labels that come beside those of the training images."""
        check_names(y, self.names, name)
        checked = check_array(y, dtype=None, input_name=name)
        if len(checked) != n_images:
            raise ValueError(f"{name} has {len(checked)} rows for {n_images} images.")
        return checked


def _infer_column(
    name: str, column: Labels, classes: npt.ArrayLike | None, label_smoothing: float
) -> ClassTarget:
    try:
        return ClassTarget.infer(column, classes, label_smoothing=label_smoothing)
    except ValueError as error:
        raise ValueError(f"In the column {name!r} of y: {error}") from error
