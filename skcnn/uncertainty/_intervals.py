"""Confidence intervals of figures such as accuracy, by resampling images or whole sites."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats
from sklearn.utils.multiclass import type_of_target

from skcnn._from_r import whole_arguments
from skcnn._utils import as_values, check_random_state, warn
from skcnn.uncertainty._checks import (
    check_count,
    check_fraction,
    check_groups,
    check_labels,
    check_same_kind,
    check_same_length,
)

Metric = Callable[[npt.NDArray[np.generic], npt.NDArray[np.generic]], float]

# Numbers that are drawn at once.
_BLOCK = 2**18


class ConfidenceInterval(NamedTuple):
    """A score, and the interval in which its true value probably is.

    Made by `bootstrap_interval`.

    Attributes
    ----------
    estimate : float
        The score of all images.
    low, high : float
        Ends of the interval.
    """

    estimate: float
    low: float
    high: float


@whole_arguments("n_resamples")
def bootstrap_interval(
    y: npt.ArrayLike,
    prediction: npt.ArrayLike,
    *,
    metric: str | Metric = "accuracy",
    groups: npt.ArrayLike | None = None,
    level: float = 0.95,
    per_class: bool = False,
    n_resamples: int = 2000,
    random_state: int | np.random.RandomState | None = None,
) -> ConfidenceInterval | pd.DataFrame:
    """Estimate how uncertain a score is, by resampling.

    Images of one site resemble each other, so that 1,000 images of 10 sites tell less about new
    sites than 1,000 images of 1,000 sites. Give the site of each image as `groups`: whole sites
    are resampled then, and the interval is as wide as it has to be for new sites. Without
    groups, the interval is for new images of the same sites.

    The resampled scores show how much the score varies, and how skewed it is: where the accuracy
    is high, sites lie further below the mean than above it. The interval reaches as far
    as Student's t for this number of images or groups, in units of the standard deviation [1]_,
    and further to the longer side, by a formula that removes the skewness [2]_. If all
    predictions are right, or all wrong, resamples do not differ, and the interval of the accuracy
    is the exact binomial one [3]_ of as many trials as there are images or groups.

    With ten groups or more, intervals of level 0.95 hold the true accuracy of new groups in about
    95% of studies, also if groups differ in size. With fewer, rely on none.

    Parameters
    ----------
    y : array-like of shape (n,)
        True labels or numbers.
    prediction : array-like of shape (n,) or (n, k)
        Predictions of images that the network was not trained on.
    metric : "accuracy" or callable, default="accuracy"
        What is computed. A callable gets y and prediction and returns a number, as the functions
        of `sklearn.metrics` do.
    groups : array-like of shape (n,), default=None
        Site, or burst, of each image.
    level : float, default=0.95
        Probability in (0, 1) with which such intervals hold the true score.
    per_class : bool, default=False
        Whether to compute one interval for each label in y, from its own images.
    n_resamples : int, default=2000
        Number of resamples. The ends of an interval settle with their number.
    random_state : int, RandomState instance or None, default=None
        Seed of the resampling.

    Returns
    -------
    interval : ConfidenceInterval or DataFrame
        Estimate, low and high. With `per_class`, a row per label, with the number of its images
        and groups. Ends of the accuracy are from 0 to 1; those of another `metric` are not beyond
        its lowest and highest value among the resamples, since its range is not known.

    Raises
    ------
    ValueError
        If lengths differ, labels are missing or of another type than the predictions, the
        accuracy of numbers is asked for, there is one group only, or `level` is not between 0
        and 1.
    TypeError
        If `metric` cannot be called or does not return a number, or `n_resamples` is no whole
        number.

    References
    ----------
    .. [1] Hesterberg: What teachers should know about the bootstrap: resampling in the
       undergraduate statistics curriculum. The American Statistician 69, 2015.
    .. [2] Hall: On the removal of skewness by transformation. Journal of the Royal Statistical
       Society B 54, 1992.
    .. [3] Clopper, Pearson: The use of confidence or fiducial limits illustrated in the case of
       the binomial. Biometrika 26, 1934.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.uncertainty import bootstrap_interval
    >>> y = np.repeat(["fox", "hare"], 50)
    >>> prediction = np.where(np.arange(100) % 5 == 0, "hare", y)
    >>> interval = bootstrap_interval(y, prediction, random_state=0)
    >>> print(f"{interval.estimate:.2f}, from {interval.low:.2f} to {interval.high:.2f}")
    0.90, from 0.82 to 0.95

    With the site of each image:

    >>> site = np.arange(100) // 10
    >>> interval = bootstrap_interval(y, prediction, groups=site, random_state=0)
    >>> print(f"{interval.estimate:.2f}, from {interval.low:.2f} to {interval.high:.2f}")
    0.90, from 0.83 to 0.98
    """
    labels = check_labels(y)
    predicted = _check_prediction(prediction)
    check_same_length(predicted, "prediction", len(labels), "values of y")
    check_fraction(level, "level")
    check_count(n_resamples, "n_resamples")
    numbers = check_groups(groups, len(labels))
    random = check_random_state(random_state)
    score = _accuracy if isinstance(metric, str) else metric
    if isinstance(metric, str) and metric != "accuracy":
        raise ValueError(
            f'metric must be "accuracy" or a function of y and prediction, got {metric!r}. '
            "Pass a function of sklearn.metrics, for example sklearn.metrics.f1_score."
        )
    if not isinstance(metric, str) and not callable(metric):
        raise TypeError(
            f'metric must be "accuracy" or a function of y and prediction, got {metric!r}. Pass a '
            "function of sklearn.metrics, for example sklearn.metrics.f1_score."
        )
    if score is _accuracy:
        predicted = check_labels(predicted, "prediction")
        check_same_kind(labels, predicted)
        _check_is_no_number(labels, "y")
        _check_is_no_number(predicted, "prediction")
    if not per_class:
        return _interval(labels, predicted, score, numbers, level, n_resamples, random)
    rows = {}
    for label in np.unique(labels):
        chosen = labels == label
        own = None if numbers is None else numbers[chosen]
        interval = _interval(
            labels[chosen], predicted[chosen], score, own, level, n_resamples, random
        )
        n_groups = {} if own is None else {"groups": len(np.unique(own))}
        rows[label] = {**interval._asdict(), "images": int(chosen.sum()), **n_groups}
    return pd.DataFrame.from_dict(rows, orient="index")


def _check_is_no_number(values: npt.NDArray[np.generic], name: str) -> None:
    """Refuse the accuracy of numbers, which are never quite right."""
    if type_of_target(values, raise_unknown=False) == "continuous":
        raise ValueError(
            f"{name} holds numbers such as {values.tolist()[0]}, and the accuracy is of labels. "
            "For numbers, pass a metric of them, for example "
            "metric=sklearn.metrics.mean_absolute_error."
        )


def _check_prediction(prediction: npt.ArrayLike) -> npt.NDArray[np.generic]:
    """Return one prediction per image, or one row, such as of probabilities."""
    predicted = as_values(prediction)
    if predicted.ndim != 2:
        return check_labels(predicted, "prediction")
    missing = pd.isna(predicted).any(axis=1)
    if missing.any():
        raise ValueError(
            f"prediction has no value (None or NaN) in {int(missing.sum())} of {len(predicted)} "
            f"rows, first in row {int(missing.argmax())}. Leave these images out of all arguments."
        )
    return predicted


def _accuracy(labels: npt.NDArray[np.generic], predicted: npt.NDArray[np.generic]) -> float:
    return float(np.mean(labels == predicted))


def _interval(
    labels: npt.NDArray[np.generic],
    predicted: npt.NDArray[np.generic],
    score: Metric,
    groups: npt.NDArray[np.intp] | None,
    level: float,
    n_resamples: int,
    random: np.random.RandomState,
) -> ConfidenceInterval:
    try:
        estimate = float(score(labels, predicted))
    except TypeError as error:
        raise TypeError(
            f"metric={score!r} does not return one number for y and prediction: {error}. Pass a "
            "function of sklearn.metrics that does, for example sklearn.metrics.f1_score, and no "
            "scorer, which would predict by itself."
        ) from error
    members = _members(groups, len(labels))
    if len(members) < 2:
        # From one image or group, nothing can be told about others.
        return ConfidenceInterval(estimate, float("nan"), float("nan"))
    if score is _accuracy:
        if estimate in (0.0, 1.0):
            return _exact(estimate, len(members), level)
        right = np.array([np.sum(labels[rows] == predicted[rows]) for rows in members])
        sizes = np.array([len(rows) for rows in members])
        figures = _resampled_shares(right, sizes, n_resamples, random)
        low, high = _ends(figures, estimate, level, len(members))
        return ConfidenceInterval(estimate, max(low, 0.0), min(high, 1.0))
    figures = np.empty(n_resamples)
    for number in range(n_resamples):
        units = random.randint(len(members), size=len(members))
        rows = np.concatenate([members[unit] for unit in units])
        figures[number] = score(labels[rows], predicted[rows])
    n_missing = int(np.isnan(figures).sum())
    if n_missing:
        warn(
            f"metric returned NaN for {n_missing} of {n_resamples} resamples, and these were left "
            "out. They may lack a label that the metric needs."
        )
        figures = figures[~np.isnan(figures)]
    if not len(figures):
        return ConfidenceInterval(estimate, float("nan"), float("nan"))
    low, high = _ends(figures, estimate, level, len(members))
    low = max(low, min(estimate, figures.min()))
    high = min(high, max(estimate, figures.max()))
    return ConfidenceInterval(estimate, float(low), float(high))


def _exact(estimate: float, n_units: int, level: float) -> ConfidenceInterval:
    """Return the interval where all predictions are right, or all wrong."""
    found = stats.binomtest(round(estimate * n_units), n_units).proportion_ci(level)
    return ConfidenceInterval(estimate, float(found.low), float(found.high))


def _resampled_shares(
    right: npt.NDArray[np.intp],
    sizes: npt.NDArray[np.intp],
    n_resamples: int,
    random: np.random.RandomState,
) -> npt.NDArray[np.float64]:
    """Return the share of right predictions in each resample."""
    step = max(1, _BLOCK // len(right))
    shares = []
    for start in range(0, n_resamples, step):
        shape = (min(step, n_resamples - start), len(right))
        units = random.randint(len(right), size=shape)
        # From sums over each group, which takes a fraction of the time.
        shares.append(right[units].sum(axis=1) / sizes[units].sum(axis=1))
    return np.concatenate(shares)


def _members(groups: npt.NDArray[np.intp] | None, n: int) -> list[npt.NDArray[np.intp]]:
    """Return the rows of each group; without groups, each row is one of its own."""
    if groups is None:
        return list(np.arange(n)[:, None])
    order = np.argsort(groups, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)


def _ends(
    figures: npt.NDArray[np.float64], estimate: float, level: float, n_units: int
) -> tuple[float, float]:
    """Return the ends of an interval from the resampled figures, with their skewness removed.

    Examples
    --------
    Of figures without skewness, it is the interval of Student's t:

    >>> low, high = _ends(np.array([0.7, 0.8, 0.9]), 0.8, level=0.95, n_units=10)
    >>> print(f"from {low:.3f} to {high:.3f}")
    from 0.605 to 0.995
    """
    # Resamples of few units vary less than new units do.
    spread = float(figures.std())
    deviation = spread * (n_units / (n_units - 1)) ** 0.5
    # Rounding alone has a skewness, too.
    if deviation <= 1e-9 * abs(estimate):
        return estimate, estimate
    skewness = float(np.mean((figures - figures.mean()) ** 3)) / spread**3
    t = float(stats.t.ppf(0.5 + level / 2, n_units - 1))
    low, high = (
        estimate - deviation * _without_skewness(quantile, skewness) for quantile in (t, -t)
    )
    return low, high


def _without_skewness(t: float, skewness: float) -> float:
    """Return the quantile of skewed figures for one of Student's t: Hall's transformation."""
    if abs(skewness) < 1e-6:
        return t
    inner = 1 + skewness * (t - skewness / 6)
    return 3 / skewness * (float(np.cbrt(inner)) - 1)
