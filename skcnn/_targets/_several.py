"""Several targets at once: the columns of y, and the outputs of one network, shared among them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from skcnn._targets._base import Target
from skcnn._targets._columns import each_column
from skcnn._targets._constants import DeviceConstants
from skcnn._targets._split import Rows, Seed, split_with_each_label, with_and_without
from skcnn._utils import refuse_to_continue

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class SeveralTarget(Target):
    """Several targets, each with a column of y and outputs of its own.

    Encoded, they stand side by side in one array of floats: probabilities of classes, and
    numbers. NaN stands for a missing answer: its target learns nothing from that image.

    Parameters
    ----------
    names : tuple of str
        Name of each target.
    targets : tuple of Target
    factors : tuple of float
        Factor on the loss of each target in the sum of all.
    class_weights : tuple of (ndarray of shape (n_classes,) or None)
        Weight of each class of each target in its loss.
    """

    names: tuple[str, ...]
    targets: tuple[Target, ...]
    factors: tuple[float, ...]
    class_weights: tuple[npt.NDArray[np.float64] | None, ...]
    _constants: DeviceConstants = field(default_factory=DeviceConstants, init=False, repr=False)

    @property
    def n_outputs(self) -> int:
        """Number of outputs of all targets."""
        return sum(target.n_outputs for target in self.targets)

    @property
    def n_columns(self) -> int:
        """Number of columns of all targets."""
        return sum(target.n_columns for target in self.targets)

    @property
    def description(self) -> str:
        """The outputs in words."""
        each = (f"{t.description} for {n!r}" for n, t in zip(self.names, self.targets))
        return " and ".join(each)

    @property
    def part_names(self) -> tuple[str, ...]:  # type: ignore[override]
        """Name of each target, the loss of which is a part of the loss."""
        return self.names

    def encode(self, y: npt.ArrayLike, name: str = "y") -> Floats:
        """Encode the column of each target, and put the results side by side."""
        each = zip(self.targets, self.names, each_column(y))
        return np.hstack([t.as_columns(t.encode(c, f"{name}[{n!r}]")) for t, n, c in each])

    def split_outputs(self, outputs: Any) -> list[Any]:
        """Return the outputs of each target."""
        return _divide(outputs, [target.n_outputs for target in self.targets])

    def split_encoded(self, encoded: Any) -> list[Any]:
        """Return the encoded columns of each target."""
        return _divide(encoded, [target.n_columns for target in self.targets])

    def answers(self, outputs: Tensor) -> tuple[Tensor, ...]:
        """Return what other programs get for the outputs of each target."""
        each = zip(self.targets, self.split_outputs(outputs))
        return tuple(target.answer(part) for target, part in each)

    def predict(self, outputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the encoded prediction of each target, one column each."""
        each = zip(self.targets, self.split_outputs(outputs))
        return np.column_stack([target.predict(part) for target, part in each])

    def decode_each(self, encoded: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Return encoded predictions of each target as the user gave them."""
        return [target.decode(column) for target, column in zip(self.targets, encoded.T)]

    def decode(self, encoded: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return encoded predictions as a table with a column for each target."""
        return np.column_stack(self.decode_each(encoded))

    def part_losses(self, outputs: Tensor, encoded: Tensor, *, training: bool) -> Tensor:
        """Return the loss of each target, (n, n_targets); NaN where its answer is missing."""
        losses, missing = self._each_loss(outputs, encoded, training)
        return torch.where(missing, torch.nan, losses)

    def loss(self, outputs: Tensor, encoded: Tensor, *, training: bool) -> Tensor:
        """Return the sum of the losses of all targets whose answer is known."""
        losses, missing = self._each_loss(outputs, encoded, training)
        # A loss that is not finite must stay so, to be noticed: only missing answers count as 0.
        known = torch.where(missing, 0.0, losses)
        return known @ self._constants.get("factors", self.factors, like=known)

    def _each_loss(
        self, outputs: Tensor, encoded: Tensor, training: bool
    ) -> tuple[Tensor, Tensor]:
        """Return the loss of each target, and which of them have no answer; (n, n_targets)."""
        losses, missing = [], []
        each = zip(self.targets, self.split_outputs(outputs), self.split_encoded(encoded))
        for number, (target, part, columns) in enumerate(each):
            # The loss must be finite, or its gradient would not be.
            known = columns.nan_to_num(nan=0.0)
            class_weight, total = self.class_weights[number], None
            if class_weight is not None:
                key = f"class_weight {number}"
                weighted = known * self._constants.get(key, class_weight, like=known)
                total = weighted.sum(1)
                # Both classes of a mixture count with their own weight.
                known = torch.where(total[:, None] > 0, weighted / total[:, None], known)
            loss = target.loss(part, known, training=training)
            losses.append(loss if total is None else loss * total)
            missing.append(columns[:, 0].isnan())
        return torch.stack(losses, dim=1), torch.stack(missing, dim=1)

    def check_same(self, other: Self) -> None:
        """Training continues with the same targets only."""
        if self.names != other.names:
            refuse_to_continue(
                f"the columns {list(self.names)} of y",
                f"now got {list(other.names)}",
                "Give the same columns",
            )
        for mine, new in zip(self.targets, other.targets):
            mine.check_same(new)

    def continued(self, new: Self) -> Self:
        """Continue with each target; how losses compare stays as the first y had it."""
        self.check_same(new)
        each = tuple(mine.continued(other) for mine, other in zip(self.targets, new.targets))
        return replace(new, targets=each, factors=self.factors)

    def mix(
        self, partner: Tensor, own: Tensor, encoded: Tensor, weight: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Mix all targets; an answer that is missing in either image is missing in the mixture."""
        each = zip(self.targets, self.split_encoded(encoded))
        mixed = [
            target.mix(partner, own, part.nan_to_num(nan=0.0), weight) for target, part in each
        ]
        missing = encoded.isnan()
        missing = missing | (missing[partner] & (own < 1)[:, None])
        whole = torch.cat([part for part, _ in mixed], dim=1)
        return torch.where(missing, torch.nan, whole), mixed[0][1]

    def split(
        self,
        encoded: npt.NDArray[Any],
        fraction: float,
        groups: npt.ArrayLike | None,
        random_state: Seed,
    ) -> tuple[Rows, Rows]:
        """Split at random, but train on every class, and on answers to everything."""
        # Classes are columns of 0 and 1; numbers only have to be there.
        seen = [
            np.nan_to_num(part) if target.kind == "classifier" else ~np.isnan(part[:, :1])
            for target, part in zip(self.targets, self.split_encoded(encoded))
        ]
        return split_with_each_label(
            with_and_without(np.hstack(seen)), fraction, groups, random_state
        )


def _divide(columns: Any, widths: Sequence[int]) -> list[Any]:
    """Divide the columns of an array or tensor into parts of these widths."""
    return [columns[:, end - n : end] for n, end in zip(widths, accumulate(widths))]
