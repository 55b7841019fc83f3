"""Calibration: whether images predicted with probability 0.8 are right in 80% of cases."""

from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from skcnn._from_r import whole_arguments
from skcnn._utils import one_thread_at_a_time
from skcnn.uncertainty._checks import check_count, confidence_and_errors
from skcnn.uncertainty._display import ProbabilityDisplay

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOR, _IDEAL = "#0072B2", "0.4"


@whole_arguments("n_bins")
def calibration_table(
    y: npt.ArrayLike,
    proba: npt.ArrayLike,
    *,
    classes: npt.ArrayLike | None = None,
    n_bins: int = 15,
) -> pd.DataFrame:
    """Compare the probability of the predicted labels with how often they are right.

    Parameters
    ----------
    y : array-like of shape (n,)
        True labels of images that the network was not trained on.
    proba : array-like of shape (n, n_classes)
        Their probabilities.
    classes : array-like of shape (n_classes,), default=None
        Label of each column, such as ``clf.classes_``. None takes the sorted labels in y.
    n_bins : int, default=15
        Number of ranges of equal width that the probabilities are divided into.

    Returns
    -------
    table : DataFrame
        A row for each range that holds images: `low` and `high` end of the range, number of
        `images`, mean `probability` of the predicted labels, and their `accuracy`.

    Raises
    ------
    ValueError
        If the arguments do not fit each other, or `n_bins` is below 1.
    TypeError
        If `n_bins` is no whole number.

    Examples
    --------
    >>> from skcnn.uncertainty import calibration_table
    >>> proba = [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]]
    >>> calibration_table(["ant", "ant", "bee", "ant"], proba, n_bins=2)
       low  high  images  probability  accuracy
    0  0.5   1.0       4         0.75      0.75
    """
    check_count(n_bins, "n_bins")
    highest, wrong = confidence_and_errors(y, proba, classes)
    bins = np.minimum((highest * n_bins).astype(int), n_bins - 1)
    answers = pd.DataFrame(
        {
            "bin": bins,
            "probability": highest,
            "accuracy": (~wrong).astype(float),
        }
    )
    grouped = answers.groupby("bin")
    table = grouped.mean()
    table.insert(0, "images", grouped.size())
    table.insert(0, "high", (table.index + 1) / n_bins)
    table.insert(0, "low", table.index / n_bins)
    return table.reset_index(drop=True)


@whole_arguments("n_bins")
def expected_calibration_error(
    y: npt.ArrayLike,
    proba: npt.ArrayLike,
    *,
    classes: npt.ArrayLike | None = None,
    n_bins: int = 15,
) -> float:
    """Mean difference between the probability of predicted labels and their accuracy.

    The difference in each range of probabilities counts by its number of images [1]_. It is never
    quite 0, even for perfect probabilities, since a range of few images is right more or less
    often by chance.

    Parameters
    ----------
    y, proba, classes, n_bins
        As in `calibration_table`.

    Returns
    -------
    error : float
        From 0 (calibrated) to 1.

    Raises
    ------
    ValueError
        As in `calibration_table`.

    References
    ----------
    .. [1] Guo, Pleiss, Sun, Weinberger: On calibration of modern neural networks. ICML 2017.

    Examples
    --------
    >>> from skcnn.uncertainty import expected_calibration_error
    >>> proba = [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]]
    >>> print(f"{expected_calibration_error(['ant', 'ant', 'bee', 'ant'], proba):.2f}")
    0.30
    """
    table = calibration_table(y, proba, classes=classes, n_bins=n_bins)
    differences = (table["probability"] - table["accuracy"]).abs()
    return float(np.average(differences, weights=table["images"]))


class ReliabilityDisplay(ProbabilityDisplay):
    """Accuracy of predictions at each probability, and how many images have it.

    Make one with `from_estimator` or `from_predictions`.

    Parameters
    ----------
    table : DataFrame
        As returned by `calibration_table`.
    error : float
        Expected calibration error.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure

    References
    ----------
    Guo, Pleiss, Sun, Weinberger: On calibration of modern neural networks. ICML 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.uncertainty import ReliabilityDisplay
    >>> random = np.random.default_rng(0)
    >>> proba = random.dirichlet([0.3, 0.3, 0.3], size=500)
    >>> y = np.array([random.choice(3, p=p) for p in proba])
    >>> display = ReliabilityDisplay.from_predictions(y, proba)
    >>> display.ax_.get_ylabel()
    'accuracy'
    """

    def __init__(self, *, table: pd.DataFrame, error: float) -> None:
        self.table = table
        self.error = error

    @classmethod
    @whole_arguments("n_bins")
    def from_predictions(
        cls,
        y: npt.ArrayLike,
        proba: npt.ArrayLike,
        *,
        classes: npt.ArrayLike | None = None,
        n_bins: int = 15,
        ax: "Axes | None" = None,
    ) -> Self:
        """Draw the calibration of predictions.

        Parameters
        ----------
        y, proba, classes, n_bins
            As in `calibration_table`.
        ax : matplotlib.axes.Axes, default=None
            Where to draw. None makes a new figure.

        Returns
        -------
        display : ReliabilityDisplay
        """
        table = calibration_table(y, proba, classes=classes, n_bins=n_bins)
        error = expected_calibration_error(y, proba, classes=classes, n_bins=n_bins)
        return cls(table=table, error=error).plot(ax)

    @one_thread_at_a_time
    def plot(self, ax: "Axes | None" = None) -> Self:
        """Draw the accuracy of each range as a point, as large as it has images.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw. None makes a new figure.

        Returns
        -------
        display : ReliabilityDisplay
        """
        from matplotlib import pyplot as plt

        if ax is None:
            _, ax = plt.subplots(figsize=(4.2, 4), layout="constrained")
        table = self.table
        ax.plot([0, 1], [0, 1], color=_IDEAL, linestyle="--", linewidth=1, label="calibrated")
        ax.plot(table["probability"], table["accuracy"], color=_COLOR, linewidth=1)
        sizes = 10 + 190 * table["images"] / table["images"].max()
        label = "predictions (larger: more images)"
        points = table["probability"], table["accuracy"]
        # Those on an edge are as large as the others.
        ax.scatter(*points, sizes, color=_COLOR, label=label, clip_on=False)
        # Points of networks that are not sure enough are in the upper left corner.
        legend = ax.legend(loc="best", frameon=False, fontsize=8)
        legend.legend_handles[1].set_sizes([30])  # type: ignore[union-attr]
        ax.set(
            xlabel="probability of the predicted label",
            ylabel="accuracy",
            xlim=(0, 1.02),
            ylim=(0, 1.02),
            aspect="equal",
        )
        ax.set_title(f"expected calibration error {self.error:.3f}", fontsize=9)
        ax.spines[["top", "right"]].set_visible(False)
        self.ax_ = ax
        self.figure_ = ax.figure
        return self
