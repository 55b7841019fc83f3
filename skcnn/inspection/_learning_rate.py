"""The learning-rate range test: at which rates a network learns, and where it no longer does."""

import math
import warnings
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.utils import Bunch
from skorch.callbacks import Callback

# How much of the smoothed loss is that of the steps before, and by how many times its lowest
# value it may be exceeded before the sweep ends.
_SMOOTHING = 0.9
_DIVERGED = 3.0
# The best loss is found where steps are already as large as they may be.
_MARGIN = 3.0


def learning_rate_curve(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    lr_min: float = 1e-4,
    lr_max: float = 10.0,
    n_steps: int = 100,
    **fit_params: Any,
) -> Bunch:
    """Train with a learning rate that rises with each step, and note the loss at each.

    A clone of the estimator is trained, with neither schedule nor callbacks; the estimator
    stays as it is. The sweep ends before `lr_max` where the loss has become three times as high
    as it was at its lowest.

    Parameters
    ----------
    estimator : ConvNetClassifier
        Fitted or not.
    X : array-like
        Images, in any form that its `fit` takes.
    y : array-like of shape (n,)
        Labels.
    lr_min, lr_max : float, default=1e-4, 10
        The rates of the first and of the last step; between them they rise geometrically.
    n_steps : int, default=100
        Number of steps, at least 10.
    **fit_params
        Further arguments of `fit`, such as `sample_weight`.

    Returns
    -------
    curve : Bunch
        lr : ndarray of shape (n,)
            The rate of each step that was taken.
        loss : ndarray of shape (n,)
            The training loss of each step, before it was taken.
        smoothed_loss : ndarray of shape (n,)
            Its exponentially weighted mean.
        suggestion : float
            A third of the rate at which the smoothed loss is lowest: a first guess for `lr`,
            the highest rate of the schedule.

    Raises
    ------
    ValueError
        Where the rates or the number of steps make no sense, or the loss is not finite from the
        start.

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
        # There is a batch in every epoch.
        max_epochs=n_steps,
        progressive_resizing=None,
        early_stopping=False,
        callbacks=[sweep],
        verbose=0,
    )
    with warnings.catch_warnings():
        # This is how the sweep ends.
        warnings.filterwarnings("ignore", message="Training was interrupted")
        trained.fit(X, y, **fit_params)
    loss = np.array(sweep.losses)
    if not loss.size:
        raise ValueError(
            f"The training loss was not finite in the first step, at lr_min={lr_min}. Look at the "
            "pixels: some may be far larger than all others."
        )
    smoothed = _smooth(loss)
    lr = sweep.rates[: len(loss)]
    return Bunch(
        lr=lr,
        loss=loss,
        smoothed_loss=smoothed,
        suggestion=float(lr[smoothed.argmin()] / _MARGIN),
    )


class LearningRateDisplay:
    """The loss at rising learning rates, and the rate that it suggests.

    Make one with `from_estimator`; the parameters are what `learning_rate_curve` returns.

    Parameters
    ----------
    lr, loss, smoothed_loss : ndarray of shape (n,)
    suggestion : float

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure
    line_ : matplotlib.lines.Line2D
        The smoothed loss.

    See Also
    --------
    learning_rate_curve : The figures behind it.

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
        cls, estimator: Any, X: Any, y: Any, *, ax: Any = None, **kwargs: Any
    ) -> Self:
        """Sweep over the rates with a clone of an estimator, and draw the curve.

        Parameters
        ----------
        estimator : ConvNetClassifier
        X, y : array-like
            Images and labels.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a figure.
        **kwargs
            Of `learning_rate_curve`.

        Returns
        -------
        display : LearningRateDisplay
        """
        return cls(**learning_rate_curve(estimator, X, y, **kwargs)).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : LearningRateDisplay
        """
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots(layout="constrained")
        ax.plot(self.lr, self.loss, color="0.75", linewidth=1, label="of each step")
        (self.line_,) = ax.plot(self.lr, self.smoothed_loss, color="C0", linewidth=2)
        self.line_.set_label("smoothed")
        label = f"suggested rate {self.suggestion:.2g}"
        ax.axvline(self.suggestion, color="C1", linestyle="--", label=label)
        ax.set(xscale="log", xlabel="learning rate", ylabel="training loss")
        # What a single step does on its way out would press all the rest to the floor.
        low = self.smoothed_loss.min()
        high = max(self.smoothed_loss[0], np.median(self.smoothed_loss))
        ax.set_ylim(low - 0.15 * (high - low), high + 0.6 * (high - low))
        ax.legend(loc="upper left", framealpha=0.9, edgecolor="none")
        self.ax_, self.figure_ = ax, ax.figure
        return self


class _Sweep(Callback):
    """Sets the rate of each step, notes its loss, and stops where that goes off."""

    def __init__(self, rates: npt.NDArray[np.float64]) -> None:
        self.rates = rates

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Forget what was before."""
        self.losses: list[float] = []

    def on_batch_begin(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        """Set the rate of the next step."""
        if training:
            net.set_lr(float(self.rates[len(self.losses)]))

    def on_batch_end(
        self, net: Any, training: bool = False, loss: Any = None, **kwargs: Any
    ) -> None:
        """Note the loss; the end of the sweep is the end of training."""
        if not training:
            return
        value = loss.item()
        if not math.isfinite(value):
            raise KeyboardInterrupt
        self.losses.append(value)
        smoothed = _smooth(np.array(self.losses))
        if len(self.losses) == len(self.rates) or smoothed[-1] > _DIVERGED * smoothed.min():
            raise KeyboardInterrupt


def _smooth(loss: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Exponentially weighted mean, without a bias towards zero at the start."""
    mean, smoothed = 0.0, []
    for step, value in enumerate(loss, start=1):
        mean = _SMOOTHING * mean + (1 - _SMOOTHING) * value
        smoothed.append(mean / (1 - _SMOOTHING**step))
    return np.array(smoothed)
