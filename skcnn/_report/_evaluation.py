"""Predictions for images with known answers: what a report is about."""

from collections.abc import Callable, Mapping
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
from skcnn._targets import ClassTarget, NumberTarget, Target
from skcnn._targets._answers import read_answers
from skcnn._targets._columns import check_none_missing
from skcnn._utils import as_values, ignore_warning
from skcnn.inspection._question import Question, find_question
from skcnn.inspection._reading import read_images
from skcnn.inspection._unwrap import unwrap

#: Called with X; returns probabilities, or the numbers of a regressor.
Predict = Callable[[Any], npt.NDArray[np.float64]]

# What to do instead, by the name of the target of an estimator.
_HINTS = {
    "MultilabelTarget": "For several labels per image, use "
    "sklearn.metrics.classification_report with predict, and "
    "skcnn.uncertainty.label_thresholds with predict_proba.",
    "MaskTarget": "For masks, use skcnn.inspection.MaskDisplay and the scores of skcnn.masks.",
    "NumberTarget": "For several numbers per image, use sklearn.metrics with each column of "
    "predict.",
}


@dataclass(frozen=True)
class Evaluation:
    """Images that could be read, their actual answers and what the network predicts.

    Attributes
    ----------
    network : ConvNetClassifier, ConvNetRegressor or ConvNetMultiTask
        The fitted network inside of pipelines and searches.
    question : Question
        What is reported, out of all that the network answers.
    images : Images or FileImages
        All images, as the network gets them.
    rows : ndarray of shape (n,)
        Row of X of each image that could be read, and whose answer is known.
    actual, predicted : ndarray of shape (n,)
        Labels, or numbers.
    probability : ndarray of shape (n, n_classes), or None
        None for numbers.
    groups : ndarray of shape (n,) or None
        Site of each image.
    unreadable : DataFrame of shape (n_unreadable, 4)
        As `skipped_` of the estimators.
    n_unanswered : int
        Number of images left out because nobody knows the answer to this question.
    """

    network: BaseEstimator
    question: Question
    images: AnyImages
    rows: npt.NDArray[np.intp]
    actual: npt.NDArray[Any]
    predicted: npt.NDArray[Any]
    probability: npt.NDArray[np.float64] | None
    groups: npt.NDArray[Any] | None
    unreadable: pd.DataFrame
    n_unanswered: int

    @property
    def classes(self) -> npt.NDArray[Any]:
        """The classes that the network tells apart."""
        # Arrays of objects, as loaders return them, become arrays of text.
        return np.asarray(self.question.names.tolist())

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
    task: str | int | None = None,
    predict: Predict | None = None,
) -> Evaluation:
    """Predict images and put the predictions beside the actual answers.

    Parameters
    ----------
    estimator : ConvNetClassifier, ConvNetRegressor, ConvNetMultiTask, Pipeline or search
        A fitted one.
    X : array-like
        Images, in any form that the estimator takes.
    y : array-like of shape (n,)
        Labels or numbers. Of several questions, it may also be the table of all answers.
    groups : array-like of shape (n,) or None
    task : str, int or None, default=None
        Which of several questions is reported.
    predict : callable, default=None
        Used in place of ``estimator.predict_proba``, or ``estimator.predict`` of a regressor.

    Raises
    ------
    TypeError
        If the estimator has no network, or one for other questions, or the one of several that
        is meant is not named.
    ValueError
        If X, y and groups do not fit each other or the estimator, or no file can be read.
    """
    rows = as_rows(X)
    network, transformed = unwrap(estimator, rows)
    question = find_question(network, task)
    _check_kind(network, question.target)
    answers = _answers_to(question, y, len(rows))
    sites = None if groups is None else column_or_1d(as_values(groups))
    check_consistent_length(rows, answers, sites)
    check_none_missing(sites, "groups", "group")
    is_answered = _are_known(answers, question)
    is_classifier = not question.has_numbers
    if is_classifier:
        _check_labels(answers[is_answered], question.names)
    if predict is None:
        predict = estimator.predict_proba if is_classifier else estimator.predict
    pick = question.probabilities_of if is_classifier else question.answers_of
    # The page names the files that cannot be read.
    with ignore_warning(r"\d+ of \d+ image file\(s\) of X cannot be read"):
        found = np.asarray(pick(predict(rows)), dtype=np.float64)
    is_read = np.atleast_1d(~np.isnan(found.reshape(len(found), -1)).any(axis=1))
    images = read_images(network, transformed)
    unreadable = _reasons(images, np.flatnonzero(~is_read))
    known = is_read & is_answered
    if not known.any():
        which = f"{is_answered.sum()} images" + ("" if is_answered.all() else " with an answer")
        first = _reasons(images, np.flatnonzero(is_answered)[:1])
        raise ValueError(
            f"None of the {which} can be read, such as "
            f"{first['path'].iloc[0]}: {first['reason'].iloc[0]}."
        )
    found = found[known]
    return Evaluation(
        network=network,
        question=question,
        images=images,
        rows=np.flatnonzero(known),
        actual=np.asarray(answers[known].tolist()),
        predicted=np.asarray(question.names[found.argmax(axis=1)].tolist())
        if is_classifier
        else found,
        probability=found if is_classifier else None,
        groups=None if sites is None else np.asarray(sites[known]),
        unreadable=unreadable,
        n_unanswered=int(np.sum(is_read & ~is_answered)),
    )


def _answers_to(question: Question, y: Any, n_images: int) -> npt.NDArray[Any]:
    """Return y, or the column of this question in a table of the answers to all."""
    if question.among is None:
        return np.asarray(column_or_1d(as_values(y)))
    names = list(question.among.names)
    name = names[question.place]
    is_named = isinstance(y, Mapping) or hasattr(y, "columns")
    if not is_named and np.ndim(y) < 2:
        y, is_named = {name: y}, True
    return np.asarray(read_answers(y, [name] if is_named else names, n_images)[name])


def _are_known(answers: npt.NDArray[Any], question: Question) -> npt.NDArray[np.bool_]:
    """Return which answers are known; of a single question all must be."""
    missing = np.asarray(pd.isna(answers), dtype=bool)
    if question.among is None and missing.any():
        raise ValueError(
            f"y has {missing.sum()} missing value(s), the first in row {missing.argmax()}. A "
            "report compares predictions with answers: leave out images whose answer is not known."
        )
    if missing.all():
        raise ValueError(f"y has no answer to {question.name!r}: all {len(missing)} are missing.")
    return ~missing


def _check_kind(network: BaseEstimator, target: Target) -> None:
    """Check that there is one label, or one number, per image."""
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
