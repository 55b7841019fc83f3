"""The figures of a report: scores with their intervals, and a table of the classes."""

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import binomtest
from sklearn.metrics import precision_recall_fscore_support

from skcnn._report._evaluation import Evaluation
from skcnn.uncertainty import ConfidenceInterval, bootstrap_interval

#: With fewer, a bootstrap over groups may be far too narrow.
FEW_GROUPS = 10


def n_groups(evaluation: Evaluation) -> int:
    """Return the number of sites; 0 where they are not known."""
    return 0 if evaluation.groups is None else len(np.unique(evaluation.groups))


def accuracy(evaluation: Evaluation, level: float) -> ConfidenceInterval:
    """Return the accuracy, with an interval for new images, or for new sites if these are known.

    With few sites, it is the interval over images where that is wider.
    """
    correct = evaluation.correct
    of_images = wilson(int(correct.sum()), len(correct), level)
    if n_groups(evaluation) < 2:
        return of_images
    interval = bootstrap_interval(
        evaluation.actual,
        evaluation.predicted,
        groups=evaluation.groups,
        level=level,
        random_state=0,
    )
    assert isinstance(interval, ConfidenceInterval)
    if n_groups(evaluation) >= FEW_GROUPS:
        return interval
    low, high = min(interval.low, of_images.low), max(interval.high, of_images.high)
    return ConfidenceInterval(interval.estimate, low, high)


def mean_error(evaluation: Evaluation, level: float) -> ConfidenceInterval:
    """Return the mean absolute error, with an interval as that of `accuracy`."""
    interval = bootstrap_interval(
        evaluation.actual,
        evaluation.predicted,
        metric=_mean_distance,
        groups=evaluation.groups if n_groups(evaluation) > 1 else None,
        level=level,
        random_state=0,
    )
    assert isinstance(interval, ConfidenceInterval)
    return interval


def _mean_distance(actual: npt.NDArray[np.generic], predicted: npt.NDArray[np.generic]) -> float:
    # That of scikit-learn checks its arguments in each of thousands of resamples.
    return float(np.abs(np.subtract(actual, predicted)).mean())


def wilson(n_right: int, n: int, level: float) -> ConfidenceInterval:
    """Return a share with its Wilson score interval; NaN where there is nothing to count."""
    if n == 0:
        return ConfidenceInterval(np.nan, np.nan, np.nan)
    interval = binomtest(n_right, n).proportion_ci(level, method="wilson")
    return ConfidenceInterval(n_right / n, float(interval.low), float(interval.high))


def class_table(evaluation: Evaluation, level: float) -> pd.DataFrame:
    """Return precision, recall, F1 and number of images of each class, the hardest first."""
    actual, predicted = evaluation.actual, evaluation.predicted
    labels = np.union1d(evaluation.classes, actual)
    precision, recall, f1, support = precision_recall_fscore_support(
        actual, predicted, labels=labels, zero_division=np.nan
    )
    hits = [int(np.sum(evaluation.correct & (actual == label))) for label in labels]
    intervals = [wilson(k, int(n), level) for k, n in zip(hits, support)]
    table = pd.DataFrame(
        {
            "precision": precision,
            "recall": recall,
            "recall_low": [interval.low for interval in intervals],
            "recall_high": [interval.high for interval in intervals],
            "f1": f1,
            "images": support,
        },
        index=pd.Index(labels, name="label"),
    )
    return table.sort_values(["f1", "images"], ascending=[True, False], kind="stable")


def mistakes(evaluation: Evaluation) -> pd.DataFrame:
    """Return the wrong predictions, the worst first: the most confident, or the furthest off."""
    frame = pd.DataFrame(
        {
            "row": evaluation.rows,
            "name": evaluation.names,
            "actual": evaluation.actual,
            "predicted": evaluation.predicted,
        }
    )
    if evaluation.probability is None:
        frame["error"] = np.abs(evaluation.predicted - evaluation.actual)
        return frame.sort_values("error", ascending=False, kind="stable", ignore_index=True)
    frame["probability"] = evaluation.probability.max(axis=1)
    frame = frame[~evaluation.correct]
    return frame.sort_values("probability", ascending=False, kind="stable", ignore_index=True)


def typical_rows(evaluation: Evaluation, n_images: int) -> npt.NDArray[np.intp]:
    """Return places of right predictions: of each class the most confident, up to a number."""
    assert evaluation.probability is not None
    confidence = np.where(evaluation.correct, evaluation.probability.max(axis=1), -1.0)
    best = []
    for label in np.unique(evaluation.actual):
        of_label = np.flatnonzero(evaluation.actual == label)
        best.append(of_label[confidence[of_label].argmax()])
    chosen = np.array([place for place in best if confidence[place] > 0], dtype=np.intp)
    # Of many classes, some from the whole alphabet.
    spread = np.linspace(0, len(chosen) - 1, min(n_images, len(chosen))).round().astype(int)
    places: npt.NDArray[np.intp] = chosen[spread]
    return places
