"""Learning-rate range test."""

import copy
import math
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, clone
from sklearn.utils import Bunch
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import Tensor

from skcnn._utils import StopTraining
from skcnn.inspection._display import Display

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Weight of the earlier steps in the exponentially weighted mean of the loss.
_SMOOTHING = 0.9
# The test ends at a smoothed loss of this many times its minimum.
_DIVERGENCE_FACTOR = 3.0
# At the minimum of the loss, the learning rate is already close to the largest stable one.
_SAFETY_FACTOR = 3.0


def learning_rate_curve(
    estimator: BaseEstimator,
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    lr_min: float = 1e-4,
    lr_max: float = 10.0,
    n_steps: int = 100,
    **fit_params: object,
) -> Bunch:
    """Train with a learning rate that rises from step to step, and record the loss.

    The function trains a clone of the estimator, without learning-rate schedule and callbacks;
    the estimator itself does not change. Training ends before `lr_max` if the smoothed loss
    exceeds three times its minimum.

    Parameters
    ----------
    estimator : ConvNetClassifier
        Fitted or not.
    X : array-like
        Images, in any form that ``estimator.fit`` takes.
    y : array-like of shape (n,)
        Labels.
    lr_min, lr_max : float, default=1e-4, 10
        Learning rates of the first and of the last step. They rise geometrically in between.
    n_steps : int, default=100
        Number of training steps, at least 10.
    **fit_params
        Further arguments of ``estimator.fit``, such as `sample_weight`.

    Returns
    -------
    curve : Bunch
        lr : ndarray of shape (n,)
            Learning rate of each step.
        loss : ndarray of shape (n,)
            Training loss of the batch of each step, before the weights change.
        smoothed_loss : ndarray of shape (n,)
            Exponentially weighted mean of the loss.
        suggestion : float
            A third of the learning rate at which the smoothed loss is lowest: a first guess for
            `lr`, the highest learning rate of the schedule.

    Raises
    ------
    ValueError
        If the learning rates are not positive and rising, if there are fewer than 10 steps, or if
        the loss is not finite in the first step.

    See Also
    --------
    LearningRateDisplay : Draws the curve.

    References
    ----------
    Smith: Cyclical learning rates for training neural networks. WACV 2017, arXiv:1506.01186.

    Examples
    --------
    >>> from skcnn import ConvNetClassifier
    >>> from skcnn.datasets import make_organisms
    >>> from skcnn.inspection import learning_rate_curve
    >>> X, y = make_organisms(n_samples=200, n_classes=3, image_size=16, random_state=0)
    >>> clf = ConvNetClassifier(filters=(8, 16), random_state=0)
    >>> curve = learning_rate_curve(clf, X, y)
    >>> bool(1e-4 < curve.suggestion < 10)
    True
    """
    if not 0 < lr_min < lr_max < math.inf:
        raise ValueError(
            f"learning_rate_curve got lr_min={lr_min} and lr_max={lr_max}, expected "
            "0 < lr_min < lr_max."
        )
    if n_steps < 10:
        raise ValueError(f"learning_rate_curve got n_steps={n_steps}, expected at least 10.")
    sweep = _Sweep(np.geomspace(lr_min, lr_max, n_steps))
    trained = clone(estimator).set_params(
        lr=lr_min,
        lr_schedule=None,
        # Every epoch has at least one step.
        max_epochs=n_steps,
        progressive_resizing=None,
        early_stopping=False,
        callbacks=[sweep],
        verbose=0,
    )
    trained.fit(X, y, **fit_params)
    loss = np.array(sweep.losses)
    if not loss.size:
        raise ValueError(
            f"The training loss was not finite in the first step, at lr_min={lr_min}. Check the "
            "pixels of X for values far larger than all others, and a module= of your own for "
            "outputs that are not finite."
        )
    smoothed = _smooth(loss)
    lr = sweep.rates[: len(loss)]
    return Bunch(
        lr=lr,
        loss=loss,
        smoothed_loss=smoothed,
        suggestion=float(lr[smoothed.argmin()] / _SAFETY_FACTOR),
    )


class LearningRateDisplay(Display):
    """Training loss at rising learning rates, and the suggested learning rate.

    Make one with `from_estimator`, or from the result of `learning_rate_curve`.

    Parameters
    ----------
    lr, loss, smoothed_loss : ndarray of shape (n,)
        As returned by `learning_rate_curve`.
    suggestion : float
        As returned by `learning_rate_curve`.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure
    line_ : matplotlib.lines.Line2D
        Curve of the smoothed loss.

    See Also
    --------
    learning_rate_curve : The same as arrays.

    Examples
    --------
    >>> from skcnn import ConvNetClassifier
    >>> from skcnn.datasets import make_organisms
    >>> from skcnn.inspection import LearningRateDisplay
    >>> X, y = make_organisms(n_samples=200, n_classes=3, image_size=16, random_state=0)
    >>> clf = ConvNetClassifier(filters=(8, 16), random_state=0)
    >>> display = LearningRateDisplay.from_estimator(clf, X, y)
    >>> display.ax_.get_xlabel()
    'learning rate'
    """

    def __init__(
        self,
        *,
        lr: npt.NDArray[np.float64],
        loss: npt.NDArray[np.float64],
        smoothed_loss: npt.NDArray[np.float64],
        suggestion: float,
    ) -> None:
        self.lr = lr
        self.loss = loss
        self.smoothed_loss = smoothed_loss
        self.suggestion = suggestion

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        *,
        ax: "Axes | None" = None,
        **kwargs: Any,
    ) -> Self:
        """Train a clone of an estimator with rising learning rates, and draw the loss.

        Parameters
        ----------
        estimator, X, y, **kwargs
            As in `learning_rate_curve`.
        ax
            As in `plot`.

        Returns
        -------
        display : LearningRateDisplay

        Raises
        ------
        ValueError
            As in `learning_rate_curve`.
        """
        return cls(**learning_rate_curve(estimator, X, y, **kwargs)).plot(ax)

    def _draw(self, ax: "Axes | None") -> "Axes":
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots(layout="constrained")
        ax.plot(self.lr, self.loss, color="0.75", linewidth=1, label="per step")
        (self.line_,) = ax.plot(self.lr, self.smoothed_loss, color="C0", linewidth=2)
        self.line_.set_label("smoothed")
        label = f"suggested learning rate: {self.suggestion:.2g}"
        ax.axvline(self.suggestion, color="C1", linestyle="--", label=label)
        ax.set(xscale="log", xlabel="learning rate", ylabel="training loss")
        # The losses of the last, diverging steps would flatten the rest of the curve.
        low = self.smoothed_loss.min()
        high = max(self.smoothed_loss[0], np.median(self.smoothed_loss))
        ax.set_ylim(low - 0.15 * (high - low), high + 0.6 * (high - low))
        ax.legend(loc="upper left", framealpha=0.9, edgecolor="none")
        return ax


class _Sweep(Callback):
    """Sets the learning rate of each step, records the loss, and stops if it diverges."""

    def __init__(self, rates: npt.NDArray[np.float64]) -> None:
        self.rates = rates

    def on_train_begin(self, net: NeuralNet, **kwargs: object) -> None:
        """Start with an empty record."""
        self.losses: list[float] = []
        self.weights_: dict[str, Tensor] | None = copy.deepcopy(net.module_.state_dict())

    def on_train_end(self, net: NeuralNet, **kwargs: object) -> None:
        """Go back to the initial weights: those of a diverged training may not be finite."""
        assert self.weights_ is not None
        net.module_.load_state_dict(self.weights_)
        self.weights_ = None

    def on_batch_begin(self, net: NeuralNet, training: bool = False, **kwargs: object) -> None:
        """Set the learning rate of the next step."""
        if training:
            net.set_lr(float(self.rates[len(self.losses)]))

    def on_batch_end(
        self, net: NeuralNet, training: bool = False, loss: Tensor | None = None, **kwargs: object
    ) -> None:
        """Record the loss, and interrupt training at the end of the test."""
        if not training or loss is None:
            return
        value = loss.item()
        if not math.isfinite(value):
            raise StopTraining
        self.losses.append(value)
        smoothed = _smooth(np.array(self.losses))
        if (
            len(self.losses) == len(self.rates)
            or smoothed[-1] > _DIVERGENCE_FACTOR * smoothed.min()
        ):
            raise StopTraining


def _smooth(loss: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Exponentially weighted mean, corrected for the bias towards zero at the start."""
    mean, smoothed = 0.0, []
    for step, value in enumerate(loss, start=1):
        mean = _SMOOTHING * mean + (1 - _SMOOTHING) * value
        smoothed.append(mean / (1 - _SMOOTHING**step))
    return np.array(smoothed)
