"""Numbers: one or several per image, such as a count, a length or a biomass."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from sklearn.utils.validation import check_array
from torch import Tensor

from skcnn._from_r import check_no_na
from skcnn._targets._base import Target
from skcnn._targets._columns import (
    check_names,
    check_none_missing,
    given_names,
    without_empty_text,
)
from skcnn._targets._losses import (
    Floats,
    NumberLoss,
    log_of_softplus_link,
    log_of_sums,
    make_loss,
    softplus_link,
)
from skcnn._targets._mixing import blend
from skcnn._targets._weights import combine_weights
from skcnn._utils import ROUNDING, has_decimal_comma, refuse_to_continue

# Of what the head says, relative to the standardized number. The gradients of losses of numbers
# have no bound, as those of classes have: without this, the steps of the head at the usual
# learning rate are so long that training diverges on few images.
_OUTPUT_SCALE = 0.3


@dataclass(frozen=True, eq=False)
class NumberTarget(Target):
    """One or several numbers per image, one output for each.

    Encoded numbers are relative to those of the first y, so that an output of 0 is the best
    constant prediction, and the loss does not depend on the unit of y.

    Parameters
    ----------
    loss_name : {"squared_error", "absolute_error", "poisson", "gamma", "quantile"}
    center, scale : ndarray of shape (n_outputs,)
        Numbers are encoded as ``(y - center) / scale``.
    null_loss : ndarray of shape (n_outputs,)
        Mean loss of the best constant prediction.
    is_flat : bool
        Whether y has one number per image, and shape (n,).
    quantile : float or None
        The quantile that the loss of that name predicts.
    sums : bool
        Whether the outputs of the network are sums of positive numbers, and need no link.
    names : list or None
        Names of the columns of y, where it has several with names.

    Examples
    --------
    >>> target = NumberTarget.infer([20.0, 30.0, 40.0])
    >>> target.encode([30.0, 40.0]), target.decode(np.array([0.0, -1.0]))
    (array([0.    , 1.2247...], dtype=float32), array([30.  , 21.83...]))
    """

    kind = "regressor"
    score_name = "d2"

    loss_name: str
    center: Floats
    scale: Floats
    null_loss: Floats
    is_flat: bool = True
    quantile: float | None = None
    sums: bool = False
    names: list[Any] | None = None

    @classmethod
    def infer(
        cls,
        y: npt.ArrayLike,
        loss: str = "squared_error",
        *,
        quantile: float | None = None,
        sums: bool = False,
        sample_weight: npt.ArrayLike | None = None,
    ) -> Self:
        """Make the target of the numbers in y.

        Parameters
        ----------
        y : array-like of shape (n,) or (n, n_outputs)
        loss, quantile, sums
            As in the class.
        sample_weight : array-like of shape (n,), default=None
            Weight of each image in center, scale and loss.

        Raises
        ------
        ValueError
            If y has values that are not numbers, or that the loss is not defined for.
        """
        numbers, loss_function = _as_numbers(y, "y"), make_loss(loss, quantile)
        _check_range(numbers, loss_function, sums, "y")
        given = combine_weights(sample_weight, None, numbers)
        weight = np.ones(len(numbers)) if given is None else given
        columns = numbers.reshape(len(numbers), -1).T
        from_zero = sums or loss_function.is_positive
        best = np.array([loss_function.best_constant(column, weight) for column in columns])
        if from_zero:
            center = np.zeros(len(columns))
            spread = columns @ weight / weight.sum()
        else:
            center = best
            spread = np.array([loss_function.spread(c, b, weight) for c, b in zip(columns, best)])
        size = np.abs(columns).max(axis=1)
        scale = np.where(spread > ROUNDING * size, spread, 1.0)
        if not np.isfinite([center, scale]).all():
            raise ValueError(
                f"y has values up to {size.max():g}, too large to standardize. Divide y by a "
                "constant."
            )
        # The constant may be zero where most numbers are; its logarithm is not defined.
        encoded, constant = (columns - center[:, None]) / scale[:, None], (best - center) / scale
        guess = np.log(np.maximum(constant, 1e-30)) if loss_function.is_positive else constant
        losses = loss_function(*map(torch.from_numpy, (guess[:, None], encoded))).numpy()
        return cls(
            loss,
            center,
            scale,
            np.average(losses, axis=1, weights=weight),
            numbers.ndim == 1,
            quantile if loss == "quantile" else None,
            sums,
            given_names(y) if len(columns) > 1 else None,
        )

    @property
    def _loss(self) -> NumberLoss:
        return make_loss(self.loss_name, self.quantile)

    @property
    def n_outputs(self) -> int:
        """Number of numbers per image."""
        return len(self.center)

    def encode(self, y: npt.ArrayLike, name: str = "y") -> npt.NDArray[np.float32]:
        """Return numbers relative to center and scale, in the shape of y."""
        numbers = _as_numbers(y, name)
        _check_range(numbers, self._loss, self.sums, name)
        encoded = (self._columns(numbers, name) - self.center) / self.scale
        return encoded.astype(np.float32).reshape(numbers.shape)

    def _columns(self, numbers: Floats, name: str) -> Floats:
        shape = () if self.is_flat else (self.n_outputs,)
        if numbers.shape[1:] != shape:
            expected = "(n,)" if self.is_flat else f"(n, {self.n_outputs})"
            raise ValueError(f"{name} has shape {numbers.shape}. Expected {expected}, as in fit.")
        return numbers.reshape(len(numbers), -1)

    def predict(self, outputs: npt.NDArray[Any]) -> Floats:
        """Return encoded predictions: (n,), or (n, n_outputs) where y has columns."""
        predicted = self._numbers(torch.from_numpy(np.asarray(outputs, dtype=np.float64)))
        values: Floats = predicted.numpy()
        return values[:, 0] if self.is_flat else values

    def answer(self, outputs: Tensor) -> Tensor:
        """Return numbers in the unit of y, in float64: their center may be far from zero."""
        center, scale = (torch.from_numpy(part) for part in (self.center, self.scale))
        numbers = center + scale * self._numbers(outputs).double()
        return numbers[:, 0] if self.is_flat else numbers

    def _numbers(self, outputs: Tensor) -> Tensor:
        """Return the encoded numbers of outputs."""
        outputs = self._scaled(outputs)
        return softplus_link(outputs) if self._loss.is_positive and not self.sums else outputs

    def decode(self, encoded: npt.NDArray[Any]) -> Floats:
        """Return encoded numbers in the unit of y."""
        columns = np.asarray(encoded, dtype=np.float64).reshape(len(encoded), self.n_outputs)
        decoded: Floats = self.center + self.scale * columns
        return decoded[:, 0] if self.is_flat else decoded

    def loss(self, outputs: Tensor, encoded: Tensor, *, training: bool) -> Tensor:
        """Return the mean loss of the numbers of each image."""
        return self._each_loss(outputs, encoded).mean(1)

    def score(self, outputs: Tensor, encoded: Tensor) -> Tensor:
        """Return the fraction of the loss of a constant that each prediction saves.

        The mean over images is R² for squared errors, and D² for other losses, relative to the
        best constant for the training images.
        """
        null = torch.from_numpy(np.where(self.null_loss > 0, self.null_loss, 1.0))
        null = null.to(outputs.device, torch.float32)
        return (1 - self._each_loss(outputs, encoded) / null).mean(1)

    def _each_loss(self, outputs: Tensor, encoded: Tensor) -> Tensor:
        loss_function = self._loss
        outputs = self._scaled(outputs)
        if loss_function.is_positive:
            outputs = log_of_sums(outputs) if self.sums else log_of_softplus_link(outputs)
        return loss_function(outputs, encoded.view(outputs.shape))

    def _scaled(self, outputs: Tensor) -> Tensor:
        # The sums of a map are numbers of things, and start small.
        return outputs if self.sums else outputs * _OUTPUT_SCALE

    def check(self, y: npt.ArrayLike, n_images: int, name: str) -> Floats:
        """Check numbers that come beside those of the training images."""
        self.check_columns(y, name)
        numbers = _as_numbers(y, name)
        if len(numbers) != n_images:
            raise ValueError(f"{name} has {len(numbers)} rows for {n_images} images.")
        return numbers

    def check_columns(self, y: npt.ArrayLike, name: str = "y") -> None:
        """Refuse columns of other names than in fit, or in another order."""
        if self.names is not None:
            check_names(y, self.names, name)

    def check_same(self, other: Self) -> None:
        """Training continues with the same loss and the same numbers."""
        for what in ("loss_name", "quantile", "n_outputs"):
            old, new = getattr(self, what), getattr(other, what)
            if old != new:
                name = what.removesuffix("_name")
                refuse_to_continue(f"{name}={old!r}", f"now got {new!r}", "Set it back")
        if None not in (self.names, other.names) and self.names != other.names:
            refuse_to_continue(
                f"the columns {self.names} of y", f"now got {other.names}", "Give the same columns"
            )

    def mix(
        self, partner: Tensor, own: Tensor, encoded: Tensor, weight: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Blend the numbers of images in the proportions of the images."""
        return blend(partner, own, encoded, weight)


def _as_numbers(y: npt.ArrayLike, name: str) -> Floats:
    """Read y as float64, of shape (n,) or (n, n_outputs)."""
    if any(getattr(kind, "kind", "O") in "mM" for kind in _types(y)):
        raise ValueError(
            f"{name} has dates or durations. Expected numbers, for example the day of the year, "
            f"{name}.dt.dayofyear, or durations in days, {name} / np.timedelta64(1, 'D')."
        )
    values = np.asarray(y)
    if values.dtype.kind in "OTU":
        check_none_missing(without_empty_text(values), name)
    try:
        numbers: Floats = check_array(y, ensure_2d=False, dtype=np.float64, input_name=name)
    except (TypeError, ValueError) as error:
        # Objects that are no numbers, such as the months of pandas.
        if "could not convert" not in str(error) and "float() argument" not in str(error):
            raise
        way_out = 'for labels, use ConvNetClassifier, or the task "classification"'
        text = next((value for value in values.flat if has_decimal_comma(value)), None)
        if text is not None:
            way_out = f"for {str(text)!r}, turn the comma into a point: text.replace(',', '.')"
        raise ValueError(
            f"{name} has values that are not numbers: {error}. Expected numbers; {way_out}."
        ) from error
    check_no_na(numbers, name)
    return numbers


def _types(y: object) -> list[object]:
    """Types of the columns of a DataFrame, or that of an array or Series."""
    return list(y.dtypes) if isinstance(y, pd.DataFrame) else [getattr(y, "dtype", None)]


def _check_range(numbers: Floats, loss_function: NumberLoss, sums: bool, name: str) -> None:
    loss_function.check(numbers, name)
    if sums and numbers.min() < 0:
        raise ValueError(
            f'{name} has negative values, the lowest {numbers.min():g}, but global_pool="sum" '
            'adds up positive numbers. Use global_pool="average".'
        )
