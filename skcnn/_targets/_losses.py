"""Losses of numbers: how far a prediction is from the actual value, and the best constant."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

Floats = npt.NDArray[np.float64]

# An output of 0 is a prediction of 1: the mean, where predictions are in units of the mean.
_SHIFT = math.log(math.e - 1)
# Below, softplus equals the exponential function in float32, and its logarithm its argument.
_LINEAR_BELOW = -15.0
_SMALLEST = 1e-30
# Ratio of actual to predicted value, as a logarithm, above which the gamma loss is a straight
# line: a first guess that is far off must not overflow.
_STEEPEST = 5.0


def softplus_link(outputs: Tensor) -> Tensor:
    """Turn outputs of a network into positive numbers; 0 becomes 1.

    Examples
    --------
    >>> softplus_link(torch.tensor([-30.0, 0.0, 30.0]))
    tensor([1.6079e-13, 1.0000e+00, 3.0541e+01])
    """
    return F.softplus(outputs + _SHIFT)


def log_of_softplus_link(outputs: Tensor) -> Tensor:
    """Logarithm of `softplus_link`, which stays finite, with a gradient, where that underflows."""
    shifted = outputs + _SHIFT
    positive = F.softplus(shifted.clamp_min(_LINEAR_BELOW))
    return torch.where(shifted < _LINEAR_BELOW, shifted, positive.log())


def log_of_sums(outputs: Tensor) -> Tensor:
    """Logarithm of outputs that are positive already."""
    return outputs.clamp_min(_SMALLEST).log()


class NumberLoss(ABC):
    """A loss of numbers, element by element.

    Attributes
    ----------
    is_positive : bool
        Whether predictions are positive, and the loss takes their logarithms.
    """

    is_positive = False

    def check(self, y: Floats, name: str) -> None:  # noqa: B027  (most losses take any number)
        """Raise a ValueError if y has values that the loss is not defined for."""

    @abstractmethod
    def best_constant(self, y: Floats, weight: Floats) -> float:
        """Return the number that predicts all of y with the lowest loss."""

    def spread(self, y: Floats, center: float, weight: Floats) -> float:
        """Return the unit in which distances from the center are measured."""
        return float(np.average(np.abs(y - center), weights=weight))

    @abstractmethod
    def __call__(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Return the loss of each prediction, or logarithm of one; 0 where it is right."""


class _MeanLoss(NumberLoss):
    """A loss whose best constant is the mean."""

    def best_constant(self, y: Floats, weight: Floats) -> float:
        """Return the mean."""
        return float(np.average(y, weights=weight))

    def spread(self, y: Floats, center: float, weight: Floats) -> float:
        """Return the standard deviation."""
        return float(np.sqrt(np.average((y - center) ** 2, weights=weight)))


class SquaredError(_MeanLoss):
    """Half of the squared distance."""

    def __call__(self, prediction: Tensor, y: Tensor) -> Tensor:
        return (prediction - y) ** 2 / 2


@dataclass(frozen=True)
class Pinball(NumberLoss):
    """Pinball loss, whose best constant is a quantile.

    References
    ----------
    Koenker, Bassett: Regression quantiles. Econometrica 46(1), 1978.
    """

    quantile: float

    def best_constant(self, y: Floats, weight: Floats) -> float:
        """Return the quantile."""
        order = np.argsort(y)
        reached = np.cumsum(weight[order])
        return float(y[order][np.searchsorted(reached, self.quantile * reached[-1])])

    def __call__(self, prediction: Tensor, y: Tensor) -> Tensor:
        above = y - prediction
        return torch.maximum(self.quantile * above, (self.quantile - 1) * above)


class AbsoluteError(Pinball):
    """Absolute distance, whose best constant is the median."""

    def __init__(self) -> None:
        super().__init__(0.5)

    def __call__(self, prediction: Tensor, y: Tensor) -> Tensor:
        return (prediction - y).abs()


class PoissonDeviance(_MeanLoss):
    """Half of the deviance of a Poisson distribution: for counts."""

    is_positive = True

    def check(self, y: Floats, name: str) -> None:
        """Refuse negative numbers."""
        if y.min() < 0:
            raise ValueError(
                f'{name} has values from {y.min():g} to {y.max():g}. With loss="poisson", '
                "expected numbers from 0."
            )

    def __call__(self, prediction: Tensor, y: Tensor) -> Tensor:
        at_best = torch.xlogy(y, y) - y
        return at_best - y * prediction + prediction.exp()


class GammaDeviance(_MeanLoss):
    """Half of the deviance of a gamma distribution: for positive numbers of any size."""

    is_positive = True

    def check(self, y: Floats, name: str) -> None:
        """Refuse numbers that are not positive."""
        if y.min() <= 0:
            raise ValueError(
                f'{name} has values from {y.min():g} to {y.max():g}. With loss="gamma", expected '
                'positive numbers; loss="poisson" takes zeros.'
            )

    def __call__(self, prediction: Tensor, y: Tensor) -> Tensor:
        ratio = y.log() - prediction
        beyond = (ratio - _STEEPEST).clamp_min(0)
        return ratio.clamp_max(_STEEPEST).exp() * (1 + beyond) - 1 - ratio


def make_loss(name: str, quantile: float | None = None) -> NumberLoss:
    """Return the loss of a name, in the words of scikit-learn's HistGradientBoostingRegressor.

    Raises
    ------
    ValueError
        If `quantile` is missing for the loss that needs it.

    Examples
    --------
    >>> make_loss("quantile", 0.9)
    Pinball(quantile=0.9)
    """
    if name != "quantile":
        return LOSSES[name]()
    if quantile is None:
        raise ValueError(
            'loss="quantile" needs to know which one, but quantile=None. Give a number from 0 to '
            "1, such as quantile=0.9."
        )
    return Pinball(float(quantile))


LOSSES: dict[str, Callable[..., NumberLoss]] = {
    "squared_error": SquaredError,
    "absolute_error": AbsoluteError,
    "poisson": PoissonDeviance,
    "gamma": GammaDeviance,
    "quantile": Pinball,
}
