"""Predictions for images with known answers: what a report is about."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_consistent_length, column_or_1d

from skcnn._data._files import FileImages
from skcnn._data._inputs import AnyImages
from skcnn._data._paths import as_rows
from skcnn._targets import ClassTarget, NumberTarget
from skcnn._utils import ignore_warning
from skcnn.inspection._reading import read_images
from skcnn.inspection._unwrap import unwrap

#: Called with X; returns probabilities, or the numbers of a regressor.
Predict = Callable[[Any], npt.NDArray[np.float64]]

# What to do instead, by the name of the target of an estimator.
_HINTS = {
    "MultilabelTarget": "For several labels per image, use "
    "sklearn.metrics.classification_report with predict, and "
    "skcnn.uncertainty.label_thresholds with predict_proba.",
    "MultioutputTarget": "For several columns of labels, use "
    "sklearn.metrics.classification_report with each column of predict.",
    "MaskTarget": "For masks, use skcnn.inspection.MaskDisplay and the scores of skcnn.masks.",
    "AnswersTarget": "For several questions, use score, or sklearn.metrics with each column of "
    "predict.",
    "NumberTarget": "For several numbers per image, use sklearn.metrics with each column of "
    "predict.",
}


@dataclass(frozen=True)
class Evaluation:
    """Images that could be read, their actual answers and what the network predicts.

    Attributes
    ----------
    network : ConvNetClassifier or ConvNetRegressor
        The fitted network inside of pipelines and searches.
    images : Images or FileImages
        All images, as the network gets them.
    rows : ndarray of shape (n,)
        Row of X of each image that could be read.
    actual, predicted : ndarray of shape (n,)
        Labels, or numbers.
    probability : ndarray of shape (n, n_classes), or None
        None for numbers.
    groups : ndarray of shape (n,) or None
        Site of each image.
    unreadable : DataFrame of shape (n_unreadable, 4)
        As `skipped_` of the estimators.
    """

    network: BaseEstimator
    images: AnyImages
    rows: npt.NDArray[np.intp]
    actual: npt.NDArray[Any]
    predicted: npt.NDArray[Any]
    probability: npt.NDArray[np.float64] | None
    groups: npt.NDArray[Any] | None
    unreadable: pd.DataFrame

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """Whether each label is right."""
        return np.asarray(self.actual == self.predicted, dtype=bool)

    @property
    def names(self) -> list[str]:
        """Return what each image is called: its file, or its row."""
        if isinstance(self.images, FileImages):
            return [str(name) for name in self.images.paths.names[self.rows]]
        return [f"row {row}" for row in self.rows]


def evaluate(
    estimator: BaseEstimator,
    X: object,
    y: npt.ArrayLike,
    groups: npt.ArrayLike | None,
    predict: Predict | None = None,
) -> Evaluation:
    """Predict images and put the predictions beside the actual answers.

    Parameters
    ----------
    estimator : ConvNetClassifier, ConvNetRegressor, Pipeline or search
        A fitted one.
    X : array-like
        Images, in any form that the estimator takes.
    y : array-like of shape (n,)
        Labels or numbers.
    groups : array-like of shape (n,) or None
    predict : callable, default=None
        Used in place of ``estimator.predict_proba``, or ``estimator.predict`` of a regressor.

    Raises
    ------
    TypeError
        If the estimator has no network, or one for other questions.
    ValueError
        If X, y and groups do not fit each other or the estimator, or no file can be read.
    """
    rows = as_rows(X)
    answers = column_or_1d(y)
    sites = None if groups is None else column_or_1d(groups)
    check_consistent_length(rows, answers, sites)
    missing = np.flatnonzero(pd.isna(answers))
    if len(missing):
        raise ValueError(
            f"y has {len(missing)} missing value(s), the first in row {missing[0]}. A report "
            "compares predictions with answers: leave out images whose answer is not known."
        )
    network, transformed = unwrap(estimator, rows)
    _check_kind(network)
    is_classifier = isinstance(network._target, ClassTarget)
    if is_classifier:
        _check_labels(answers, network.classes_)
    if predict is None:
        predict = estimator.predict_proba if is_classifier else estimator.predict
    # The page names the files that cannot be read.
    with ignore_warning(r"\d+ of \d+ image file\(s\) of X cannot be read"):
        found = np.asarray(predict(rows), dtype=np.float64)
    known = np.atleast_1d(~np.isnan(found.reshape(len(found), -1)).any(axis=1))
    images = read_images(network, transformed)
    unreadable = _reasons(images, np.flatnonzero(~known))
    if not known.any():
        raise ValueError(
            f"None of the {len(known)} images can be read, such as "
            f"{unreadable['path'].iloc[0]}: {unreadable['reason'].iloc[0]}."
        )
    found = found[known]
    return Evaluation(
        network=network,
        images=images,
        rows=np.flatnonzero(known),
        # Arrays of objects, as loaders return them, become arrays of text.
        actual=np.asarray(answers[known].tolist()),
        predicted=np.asarray(network.classes_[found.argmax(axis=1)].tolist())
        if is_classifier
        else found,
        probability=found if is_classifier else None,
        groups=None if sites is None else np.asarray(sites[known]),
        unreadable=unreadable,
    )


def _check_kind(network: BaseEstimator) -> None:
    """Check that there is one label, or one number, per image."""
    target = getattr(network, "_target", None)
    if isinstance(target, ClassTarget):
        return
    if isinstance(target, NumberTarget) and target.n_outputs == 1:
        return
    kind = type(target).__name__
    raise TypeError(
        "report takes a ConvNetClassifier with one label per image, or a ConvNetRegressor with "
        f"one number per image. This {type(network).__name__} is for other questions. "
        f"{_HINTS.get(kind, '')}".rstrip()
    )


def _check_labels(labels: npt.NDArray[Any], classes: npt.NDArray[Any]) -> None:
    """Check that at least some labels are those of the network."""
    known = set(classes.tolist())
    found = set(labels.tolist())
    if found & known:
        return
    raise ValueError(
        f"The network knows none of the labels in y, such as {next(iter(found))!r}. Expected "
        f"labels such as {next(iter(known))!r}, as in classes_, of the same type."
    )


def _reasons(images: AnyImages, rows: npt.NDArray[np.intp]) -> pd.DataFrame:
    """Return why some files cannot be read, in the form of `skipped_`."""
    if not isinstance(images, FileImages):
        return pd.DataFrame(columns=["argument", "row", "path", "reason"])
    chosen = images.take(rows)
    chosen.to_array()
    return chosen.report()
