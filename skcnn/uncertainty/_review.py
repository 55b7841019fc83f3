"""Which predictions to accept, and how many images to look at for an error that one can bear."""

from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from skcnn._utils import one_thread_at_a_time
from skcnn.uncertainty._checks import check_fraction, confidence_and_errors
from skcnn.uncertainty._display import ProbabilityDisplay

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_THRESHOLDS = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
_CHECKED, _ERROR = "#0072B2", "#D55E00"


def review_table(
    y: npt.ArrayLike,
    proba: npt.ArrayLike,
    *,
    classes: npt.ArrayLike | None = None,
    thresholds: npt.ArrayLike = _THRESHOLDS,
    level: float = 0.95,
) -> pd.DataFrame:
    """Tell how many images are to be checked by eye, and how many of the others are wrong.

    Predictions of at least a probability are accepted, and a person looks at the rest.

    Parameters
    ----------
    y : array-like of shape (n,)
        True labels of images that the network was not trained on. For a survey of new sites, take
        images of sites that it was not trained on either.
    proba : array-like of shape (n, n_classes)
        Their probabilities.
    classes : array-like of shape (n_classes,), default=None
        Label of each column, such as ``clf.classes_``. None takes the sorted labels in y.
    thresholds : array-like of float, default=(0.0, 0.3, ..., 0.99)
        Probabilities from 0 to 1 above or at which predictions are accepted.
    level : float, default=0.95
        Level in (0, 1) of the intervals.

    Returns
    -------
    table : DataFrame
        For each threshold: the fraction `to_check`, the number of `accepted` images, the `error`
        among them, and the ends of its interval, `error_low` and `error_high` [1]_. The interval
        takes images as independent, and is too narrow where they come in bursts.

    Raises
    ------
    ValueError
        If the arguments do not fit each other.

    References
    ----------
    .. [1] Clopper, Pearson: The use of confidence or fiducial limits illustrated in the case of
       the binomial. Biometrika 26, 1934.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.uncertainty import review_table
    >>> random = np.random.default_rng(0)
    >>> proba = random.dirichlet([0.2, 0.2, 0.2], size=1000)
    >>> y = np.array([random.choice(3, p=p) for p in proba])
    >>> review_table(y, proba, thresholds=[0, 0.9]).round(2)
       threshold  to_check  accepted  error  error_low  error_high
    0        0.0      0.00      1000   0.19       0.17        0.22
    1        0.9      0.57       425   0.03       0.01        0.05
    """
    highest, wrong = confidence_and_errors(y, proba, classes)
    check_fraction(level, "level")
    rows = []
    for threshold in _check_thresholds(thresholds):
        accepted = highest >= threshold
        n_accepted, n_wrong = int(accepted.sum()), int(wrong[accepted].sum())
        low, high = _error_interval(n_wrong, n_accepted, level)
        rows.append(
            {
                "threshold": threshold,
                "to_check": 1 - n_accepted / len(wrong),
                "accepted": n_accepted,
                "error": n_wrong / n_accepted if n_accepted else np.nan,
                "error_low": low,
                "error_high": high,
            }
        )
    return pd.DataFrame(rows)


def review_threshold(
    y: npt.ArrayLike,
    proba: npt.ArrayLike,
    *,
    classes: npt.ArrayLike | None = None,
    error: float = 0.05,
    level: float = 0.95,
) -> float:
    """Find the lowest probability at which accepted predictions are wrong rarely enough.

    Thresholds are tried from the highest down, and the last one is taken before the upper limit
    of the error exceeds what is asked [1]_. So the error of new images stays below it with
    the probability `level`.

    Parameters
    ----------
    y, proba, classes
        As in `review_table`.
    error : float, default=0.05
        Fraction in (0, 1) of the accepted predictions that may be wrong.
    level : float, default=0.95
        Probability in (0, 1) with which that holds.

    Returns
    -------
    threshold : float
        Accept predictions of this probability or more. Infinity if no threshold is good enough:
        all images are to be checked then.

    Raises
    ------
    ValueError
        If the arguments do not fit each other.

    References
    ----------
    .. [1] Angelopoulos, Bates, Candes, Jordan, Lei: Learn then test: calibrating predictive
       algorithms to achieve risk control. Annals of Applied Statistics 19, 2025.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.uncertainty import review_threshold
    >>> random = np.random.default_rng(0)
    >>> proba = random.dirichlet([0.2, 0.2, 0.2], size=1000)
    >>> y = np.array([random.choice(3, p=p) for p in proba])
    >>> print(f"{review_threshold(y, proba, error=0.05):.2f}")
    0.89
    """
    check_fraction(error, "error")
    check_fraction(level, "level")
    highest, wrong = confidence_and_errors(y, proba, classes)
    found = float("inf")
    for threshold in np.arange(100, -1, -1) / 100:
        accepted = highest >= threshold
        n_accepted = int(accepted.sum())
        if not n_accepted:
            continue
        n_wrong = int(wrong[accepted].sum())
        if _highest_error(n_wrong, n_accepted, level) <= error:
            found = float(threshold)
        elif np.isfinite(found) or _highest_error(0, n_accepted, level) <= error:
            # Enough images to tell, and too many errors among them.
            break
    return found


def _check_thresholds(thresholds: npt.ArrayLike) -> npt.NDArray[np.float64]:
    given = np.atleast_1d(np.asarray(thresholds))
    values = given.astype(np.float64) if given.dtype.kind in "fiu" else np.empty(0)
    if values.ndim != 1 or not values.size or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(
            f"thresholds must be one or more probabilities from 0 to 1, got {thresholds!r}. Pass "
            "for example thresholds=[0.5, 0.9]."
        )
    return values


def _error_interval(n_wrong: int, n: int, level: float) -> tuple[float, float]:
    if not n:
        return 0.0, 1.0
    interval = stats.binomtest(n_wrong, n).proportion_ci(level)
    return float(interval.low), float(interval.high)


def _highest_error(n_wrong: int, n: int, level: float) -> float:
    """Return the upper limit of an interval that has no lower one."""
    test = stats.binomtest(n_wrong, n, alternative="less")
    return float(test.proportion_ci(level).high)


class ReviewDisplay(ProbabilityDisplay):
    """Images to check by eye, and errors among the others, at each probability.

    Make one with `from_estimator` or `from_predictions`.

    Parameters
    ----------
    table : DataFrame
        As returned by `review_table`.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.uncertainty import ReviewDisplay
    >>> random = np.random.default_rng(0)
    >>> proba = random.dirichlet([0.2, 0.2, 0.2], size=1000)
    >>> y = np.array([random.choice(3, p=p) for p in proba])
    >>> display = ReviewDisplay.from_predictions(y, proba)
    >>> display.ax_.get_xlabel()
    'accept predictions of at least this probability'
    """

    def __init__(self, *, table: pd.DataFrame) -> None:
        self.table = table

    @classmethod
    def from_predictions(
        cls,
        y: npt.ArrayLike,
        proba: npt.ArrayLike,
        *,
        classes: npt.ArrayLike | None = None,
        ax: "Axes | None" = None,
    ) -> Self:
        """Draw what to check of predictions.

        Parameters
        ----------
        y, proba, classes
            As in `review_table`.
        ax : matplotlib.axes.Axes, default=None
            Where to draw. None makes a new figure.

        Returns
        -------
        display : ReviewDisplay
        """
        thresholds = np.arange(100) / 100
        return cls(table=review_table(y, proba, classes=classes, thresholds=thresholds)).plot(ax)

    @one_thread_at_a_time
    def plot(self, ax: "Axes | None" = None) -> Self:
        """Draw both fractions, and the interval of the error.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw. None makes a new figure.

        Returns
        -------
        display : ReviewDisplay
        """
        from matplotlib import pyplot as plt
        from matplotlib.ticker import PercentFormatter

        if ax is None:
            _, ax = plt.subplots(figsize=(5, 3.6), layout="constrained")
        table = self.table[self.table["accepted"] > 0]
        x = table["threshold"]
        ax.plot(x, table["to_check"], color=_CHECKED, linestyle="--", label="to check by eye")
        ax.plot(x, table["error"], color=_ERROR, label="wrong among the accepted")
        ax.fill_between(x, table["error_low"], table["error_high"], color=_ERROR, alpha=0.2)
        ax.set(
            xlabel="accept predictions of at least this probability",
            ylabel="images",
            xlim=(0, 1),
            ylim=(0, 1),
        )
        ax.yaxis.set_major_formatter(PercentFormatter(1))
        ax.legend(frameon=False, fontsize=8)
        ax.spines[["top", "right"]].set_visible(False)
        self.ax_ = ax
        self.figure_ = ax.figure
        return self
