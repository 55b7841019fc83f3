"""Short trainings at several learning rates."""

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

from skcnn._from_r import whole_arguments
from skcnn._utils import StopTraining, check_random_state, warn
from skcnn.inspection._display import Display

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Fraction of the steps, the last ones, whose mean loss is compared.
_LAST = 0.2
# Differences of the loss within so many standard errors count as chance.
_N_ERRORS = 2.0
# A suggestion from the middle of a wider range might be wrong by more than a factor of four.
_WIDEST = 16.0
# Training has diverged at a loss of so many times the first one.
_DIVERGED = 4.0

# What short trainings do without.
_PLAIN: dict[str, object] = {
    "progressive_resizing": None,
    "weight_averaging": 0.0,
    "early_stopping": False,
    "checkpoint_dir": None,
    "verbose": 0,
}


@whole_arguments("n_rates", "n_steps", "max_steps")
def learning_rate_curve(
    estimator: BaseEstimator,
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    lr_min: float = 1e-4,
    lr_max: float = 10.0,
    n_rates: int = 16,
    n_steps: int = 50,
    max_steps: int = 200,
    **fit_params: object,
) -> Bunch:
    """Train for a short while at several learning rates, and compare the losses.

    Each training starts from the same weights and takes the same batches. The estimator's
    learning-rate schedule is run through in these few steps, with `lr` as the highest rate. If too
    many of the rates do equally well, the function repeats these with twice as many steps, up to
    `max_steps`.

    With the defaults this takes 600 to 800 steps, as many as a fit of 10 epochs of 60 to 80
    batches; up to four times as many where the images are hard to learn. The estimator itself
    does not change.

    Parameters
    ----------
    estimator : skcnn estimator with a network
        Fitted or not; no pipeline or search. Its clones are trained without callbacks.
    X : array-like
        Images, in any form that ``estimator.fit`` takes.
    y : array-like
        Labels, numbers or label images, in any form that ``estimator.fit`` takes.
    lr_min, lr_max : float, default=1e-4, 10
        Lowest and highest learning rate. The others lie between, at equal ratios.
    n_rates : int, default=16
        Number of learning rates, at least 3.
    n_steps : int, default=50
        Steps of each training, at least 10.
    max_steps : int, default=200
        Most steps of each training, where `n_steps` show no difference.
    **fit_params
        Further arguments of ``estimator.fit``, such as `sample_weight`.

    Returns
    -------
    curve : Bunch
        lr : ndarray of shape (n,)
            Learning rates of the last round of trainings, in rising order.
        loss : ndarray of shape (n,)
            Mean training loss of the last fifth of the steps; inf where training diverged.
        error : ndarray of shape (n,)
            Standard error of the difference from the lowest loss; 0 for the lowest.
        good_range : tuple of (float, float)
            Lowest and highest of the learning rates whose loss differs from the lowest one by at
            most two standard errors.
        suggestion : float
            The middle of `good_range`, as a geometric mean: a first guess for `lr`.
        first_loss : float
            Training loss before the first step.
        n_steps : int
            Steps of each training of the last round.

    Raises
    ------
    ValueError
        If the learning rates are not positive and rising, if there are fewer than 3 of them or
        fewer than 10 steps, or if training diverges at all of them.
    TypeError
        If the estimator has no network, or is a pipeline or a search.

    Warns
    -----
    UserWarning
        If the curve says nothing: `good_range` is wider than a factor of 16 after `max_steps`, or
        it ends at `lr_min` or `lr_max`.

    See Also
    --------
    LearningRateDisplay : Draws the curve.

    Notes
    -----
    A range test [1]_, in which the learning rate rises during a single training, is shorter. But
    where it rises, the loss depends on the rates before, and falls late on images that are hard to
    learn.

    References
    ----------
    .. [1] Smith: Cyclical learning rates for training neural networks. WACV 2017,
       arXiv:1506.01186.

    Examples
    --------
    >>> from skcnn import ConvNetClassifier
    >>> from skcnn.datasets import make_organisms
    >>> from skcnn.inspection import learning_rate_curve
    >>> X, y = make_organisms(n_samples=200, n_classes=3, image_size=16, random_state=0)
    >>> clf = ConvNetClassifier(filters=(8, 16), random_state=0)
    >>> curve = learning_rate_curve(clf, X, y, n_rates=8)
    >>> bool(0.01 < curve.suggestion < 1)
    True
    """
    _check_arguments(lr_min, lr_max, n_rates, n_steps, max_steps)
    _check_has_network(estimator)
    # Networks for label images have no progressive resizing.
    has = estimator.get_params(deep=False)
    trained = clone(estimator).set_params(**{k: v for k, v in _PLAIN.items() if k in has})
    if trained.random_state is None:
        # All rates have to start from the same weights.
        trained.set_params(random_state=check_random_state(None).randint(2**31 - 1))
    rates = np.geomspace(lr_min, lr_max, n_rates)
    while True:
        curve = _compare(trained, X, y, rates, n_steps, fit_params)
        low, high = curve.good_range
        if high <= _WIDEST * low or 2 * n_steps > max_steps:
            break
        # With a neighbor on each side, so that it shows if the loss rises there.
        first, last = np.searchsorted(rates, [low, high])
        rates, n_steps = rates[max(0, first - 1) : last + 2], 2 * n_steps
    _warn_if_it_says_nothing(curve, lr_min, lr_max)
    return curve


def _check_arguments(
    lr_min: float, lr_max: float, n_rates: int, n_steps: int, max_steps: int
) -> None:
    if not 0 < lr_min < lr_max < math.inf:
        raise ValueError(
            f"learning_rate_curve got lr_min={lr_min} and lr_max={lr_max}, expected "
            "0 < lr_min < lr_max."
        )
    if n_rates < 3:
        raise ValueError(f"learning_rate_curve got n_rates={n_rates}, expected at least 3.")
    if n_steps < 10:
        raise ValueError(f"learning_rate_curve got n_steps={n_steps}, expected at least 10.")
    if max_steps < n_steps:
        raise ValueError(
            f"learning_rate_curve got max_steps={max_steps}, expected at least n_steps={n_steps}."
        )


def _check_has_network(estimator: BaseEstimator) -> None:
    """Refuse pipelines and searches: `fit` of these has other arguments."""
    if not hasattr(estimator, "summary"):
        raise TypeError(
            f"estimator is a {type(estimator).__name__}. Expected an estimator of skcnn with a "
            "network. Of a pipeline, pass the last step, pipeline[-1], and the images as the "
            "steps before make them; of a search, its estimator, search.estimator."
        )


def _compare(
    trained: BaseEstimator,
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    rates: npt.NDArray[np.float64],
    n_steps: int,
    fit_params: dict[str, object],
) -> Bunch:
    """Train once at each rate, and find the rates that do best."""
    runs = [_train(trained, X, y, float(rate), n_steps, fit_params) for rate in rates]
    first_loss = runs[0][0] if len(runs[0]) else math.nan
    last = max(5, round(_LAST * n_steps))
    ends = np.array([run[-last:] if len(run) == n_steps else [math.inf] * last for run in runs])
    loss = ends.mean(axis=1)
    best = int(loss.argmin())
    if not math.isfinite(loss[best]):
        raise ValueError(
            f"Training diverged at all learning rates, from {rates[0]:.2g}: the loss was not "
            f"finite, or more than {_DIVERGED:.0f} times the first one. Try a smaller lr_min, and "
            "check the pixels of X for values far larger than all others, and a module= of your "
            "own for outputs that are not finite."
        )
    error = np.full(len(rates), math.nan)
    finite = np.isfinite(loss)
    # The trainings share their batches: differences vary less than the losses themselves.
    error[finite] = (ends[finite] - ends[best]).std(axis=1, ddof=1) / math.sqrt(last)
    good = (
        finite & (loss - loss[best] <= _N_ERRORS * error) & (loss <= max(first_loss, loss[best]))
    )
    good_range = float(rates[good].min()), float(rates[good].max())
    return Bunch(
        lr=rates,
        loss=loss,
        error=error,
        good_range=good_range,
        suggestion=math.sqrt(good_range[0] * good_range[1]),
        first_loss=float(first_loss),
        n_steps=n_steps,
    )


def _train(
    trained: BaseEstimator,
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    lr: float,
    n_steps: int,
    fit_params: dict[str, object],
) -> npt.NDArray[np.float64]:
    """Return the losses of a training; there are fewer than `n_steps` if it diverges."""
    short = _ShortTraining(n_steps)
    # Every epoch has at least one step.
    run = clone(trained).set_params(lr=lr, max_epochs=n_steps, callbacks=[short])
    run.fit(X, y, **fit_params)
    return np.array(short.losses)


def _warn_if_it_says_nothing(curve: Bunch, lr_min: float, lr_max: float) -> None:
    low, high = curve.good_range
    if high > _WIDEST * low:
        warn(
            f"The learning-rate curve says little: after {curve.n_steps} steps, the loss is about "
            f"the same at all learning rates from {low:.2g} to {high:.2g}. Give more max_steps, "
            "or keep the default learning rate."
        )
    elif low <= lr_min or high >= lr_max:
        end = f"lr_min={lr_min:g}" if low <= lr_min else f"lr_max={lr_max:g}"
        warn(
            f"The loss is lowest at the end of the learning-rate curve, {end}. The best rate may "
            "lie beyond: move that end."
        )


class LearningRateDisplay(Display):
    """Training loss after short trainings at several learning rates, and the suggested one.

    Make one with `from_estimator`, or from the result of `learning_rate_curve`.

    Parameters
    ----------
    lr, loss, error : ndarray of shape (n,)
        As returned by `learning_rate_curve`.
    good_range : tuple of (float, float)
        As returned by `learning_rate_curve`.
    suggestion, first_loss : float
        As returned by `learning_rate_curve`.
    n_steps : int
        As returned by `learning_rate_curve`.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure
    line_ : matplotlib.lines.Line2D
        Curve of the loss.

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
    >>> display = LearningRateDisplay.from_estimator(clf, X, y, n_rates=8)
    >>> display.ax_.get_xlabel()
    'learning rate'
    """

    def __init__(
        self,
        *,
        lr: npt.NDArray[np.float64],
        loss: npt.NDArray[np.float64],
        error: npt.NDArray[np.float64],
        good_range: tuple[float, float],
        suggestion: float,
        first_loss: float,
        n_steps: int,
    ) -> None:
        self.lr = lr
        self.loss = loss
        self.error = error
        self.good_range = good_range
        self.suggestion = suggestion
        self.first_loss = first_loss
        self.n_steps = n_steps

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
        """Train clones of an estimator at several learning rates, and draw their losses.

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
        ValueError, TypeError
            As in `learning_rate_curve`.
        """
        return cls(**learning_rate_curve(estimator, X, y, **kwargs)).plot(ax)

    def _draw(self, ax: "Axes | None") -> "Axes":
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots(layout="constrained")
        # What has learned nothing, or diverged, would flatten the rest of the curve.
        top = max(self.first_loss, float(self.loss.min()))
        learned = self.loss <= top
        span = top - float(self.loss.min()) or 1.0
        ax.axhline(self.first_loss, color="0.6", linewidth=1, linestyle=":", label="at the start")
        ax.axvspan(*self.good_range, color="C1", alpha=0.15, linewidth=0)
        shown = np.where(learned, self.loss, np.nan)
        (self.line_,) = ax.plot(self.lr, shown, "o-", color="C0", markersize=5)
        self.line_.set_label(f"after {self.n_steps} steps")
        error = np.where(learned, self.error, np.nan)
        ax.fill_between(self.lr, shown - error, shown + error, color="C0", alpha=0.2, linewidth=0)
        if not learned.all():
            failed = self.lr[~learned]
            height = np.full(len(failed), top + 0.08 * span)
            ax.plot(failed, height, "x", color="C3", label="learned nothing, or diverged")
        label = f"suggested learning rate: {self.suggestion:.2g}"
        ax.axvline(self.suggestion, color="C1", linestyle="--", label=label)
        ax.set(xscale="log", xlabel="learning rate", ylabel="training loss")
        ax.set_ylim(top - 1.1 * span, top + 0.15 * span)
        ax.legend(loc="lower left", framealpha=0.9, edgecolor="none")
        return ax


class _ShortTraining(Callback):
    """Takes some steps, records their losses, and stops if they diverge."""

    def __init__(self, n_steps: int) -> None:
        self.n_steps = n_steps

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
        """Plan the steps before the first one."""
        if training and not self.losses:
            net.plan_steps(self.n_steps)

    def on_batch_end(
        self, net: NeuralNet, training: bool = False, loss: Tensor | None = None, **kwargs: object
    ) -> None:
        """Record the loss, and interrupt training after the last step or where it diverges."""
        if not training or loss is None:
            return
        value = loss.item()
        highest = _DIVERGED * max(1.0, self.losses[0]) if self.losses else math.inf
        if not math.isfinite(value) or value > highest:
            raise StopTraining
        self.losses.append(value)
        if len(self.losses) == self.n_steps:
            raise StopTraining
