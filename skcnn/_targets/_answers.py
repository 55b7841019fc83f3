"""Answers to several questions about each image, any of which may be missing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import (
    accuracy_score,
    d2_absolute_error_score,
    d2_tweedie_score,
    r2_score,
)

from skcnn._from_r import check_no_na
from skcnn._targets._base import Target
from skcnn._targets._classes import ClassTarget, normalized_class_weights
from skcnn._targets._columns import given_names, without_empty_text
from skcnn._targets._losses import LOSSES
from skcnn._targets._numbers import NumberTarget
from skcnn._targets._several import Floats, SeveralTarget
from skcnn._targets._weights import ClassWeight
from skcnn._utils import check_score_weight

#: What a question can ask for: a class, or a number with one of these losses.
TASKS = ("classification", *(name for name in LOSSES if name != "quantile"))

# What pandas reads with its missing values, and numpy does not.
_WITH_GAPS = (list, tuple, np.ma.MaskedArray)


def read_answers(y: Any, questions: list[str], n_images: int, name: str = "y") -> pd.DataFrame:
    """Read answers as a table with one column for each question, in their order.

    Parameters
    ----------
    y : DataFrame, dict of array-like, or array-like of shape (n, n_questions)
        Where columns have names, those of the questions are taken. Empty text is a missing
        answer.
    questions : list of str
    n_images : int
    name : str, default="y"
        Name of the answers in messages.

    Raises
    ------
    ValueError
        If there is no column for a question, or the lengths differ.

    Examples
    --------
    >>> y = {"count": [3, None], "species": ["fox", "elk"]}
    >>> print(read_answers(y, ["species", "count"], 2))
      species  count
    0     fox    3.0
    1     elk    NaN
    """
    if y is None:
        raise ValueError(
            f"{name} is None, but ConvNetMultiTask requires y to be passed. Expected a DataFrame "
            f"with the columns {questions}."
        )
    if isinstance(y, Mapping) or hasattr(y, "columns"):
        names = given_names(y) or list(y)
        absent = [question for question in questions if question not in names]
        if absent:
            raise ValueError(
                f"{name} has no column {absent[0]!r}, which tasks names. Its columns are {names}."
            )
        # numpy would turn words with gaps between them into words alone, and show what is hidden.
        columns = [
            np.asarray(pd.Series(c) if isinstance(c, _WITH_GAPS) else c)
            for c in (y[question] for question in questions)
        ]
    else:
        given = y if isinstance(y, _WITH_GAPS) else np.asarray(y)
        try:
            table = pd.DataFrame(given)
        except ValueError as error:
            # pandas would not say what it is about.
            raise ValueError(
                f"{name} is no table ({error}). Expected one with a column for each of the tasks "
                f"{questions}: a DataFrame, or an array of shape (n, {len(questions)})."
            ) from error
        if table.shape[1] != len(questions):
            raise ValueError(
                f"{name} has {table.shape[1]} column(s), but there are the {len(questions)} tasks "
                f"{questions}. Expected a column for each, or a DataFrame that names them."
            )
        columns = [np.asarray(table[number]) for number in table]
    for question, column in zip(questions, columns):
        if column.ndim != 1:
            raise ValueError(
                f"{name}[{question!r}] has shape {column.shape}. Expected one answer per image."
            )
        if len(column) != n_images:
            raise ValueError(
                f"Found input variables with inconsistent numbers of samples: "
                f"[{n_images}, {len(column)}]. Expected an answer {name}[{question!r}] per image."
            )
        check_no_na(column, f"{name}[{question!r}]", may_be_missing=True)
    return pd.DataFrame({q: without_empty_text(c) for q, c in zip(questions, columns)})


@dataclass(frozen=True, eq=False)
class AnswersTarget(SeveralTarget):
    """Several questions, each with a kind of answer of its own.

    The loss is the sum of the losses of all answers that are known.

    Examples
    --------
    >>> y = pd.DataFrame({"species": ["fox", "elk", "fox"], "count": [1, 4, np.nan]})
    >>> target = AnswersTarget.infer(y, {"species": "classification", "count": "poisson"})
    >>> target.encode(y)
    array([[0. , 1. , 0.4],
           [1. , 0. , 1.6],
           [0. , 1. , nan]], dtype=float32)
    """

    @classmethod
    def infer(
        cls,
        y: pd.DataFrame,
        tasks: Mapping[str, str],
        *,
        classes: Mapping[str, npt.ArrayLike] | None = None,
        task_weights: Mapping[str, float] | None = None,
        class_weight: Mapping[str, ClassWeight] | str | None = None,
        label_smoothing: float = 0.0,
        before: Self | None = None,
    ) -> Self:
        """Make the target of a table of answers.

        Parameters
        ----------
        y : DataFrame
            As `read_answers` returns it.
        tasks : dict of str to str
            For each question, one of `TASKS`.
        classes : dict of str to array-like, default=None
            All labels there will be, of some questions.
        task_weights : dict of str to float, default=None
            Factors on the losses of some questions; 1 for the others.
        class_weight : dict of str to (dict or "balanced"), "balanced", or None
            Weights of the classes of some questions, or of all.
        label_smoothing : float, default=0.0
        before : AnswersTarget, default=None
            Target whose training continues: it stands in for questions without an answer.

        Raises
        ------
        ValueError
            If a question has no answer, or answers of another kind.
        """
        targets: list[Target] = []
        class_weights = []
        for number, (question, task) in enumerate(tasks.items()):
            answers = _known(y[question])
            if len(answers):
                labels = None if classes is None else classes.get(question)
                weight = _of_question(class_weight, question)
                try:
                    target, weights = _infer_one(task, answers, labels, weight, label_smoothing)
                except ValueError as error:
                    raise ValueError(f"In the answers to {question!r}: {error}") from error
            elif before is not None:
                target, weights = before.targets[number], before.class_weights[number]
            else:
                raise ValueError(
                    f"y[{question!r}] has no answer for any image. Expected at least one."
                )
            targets.append(target)
            class_weights.append(weights)
        factors = tuple(float((task_weights or {}).get(question, 1)) for question in tasks)
        return cls(tuple(tasks), tuple(targets), factors, tuple(class_weights))

    def encode(self, y: pd.DataFrame, name: str = "y") -> Floats:
        """Encode the known answers; the others become NaN."""
        parts = []
        for target, question in zip(self.targets, self.names):
            part = np.full((len(y), target.n_columns), np.nan, dtype=np.float32)
            known = y[question].notna().to_numpy()
            if known.any():
                answers = target.encode(_known(y[question]), f"{name}[{question!r}]")
                part[known] = target.as_columns(answers)
            parts.append(part)
        return np.hstack(parts)

    def check(self, y: Any, n_images: int, name: str) -> pd.DataFrame:
        """Check answers that come beside those of the training images."""
        answers = read_answers(y, list(self.names), n_images, name)
        if not answers.notna().to_numpy().any():
            raise ValueError(f"{name} has no answer for any image. Expected at least one.")
        return answers


def _infer_one(
    task: str,
    answers: npt.NDArray[Any],
    classes: npt.ArrayLike | None,
    class_weight: ClassWeight,
    label_smoothing: float,
) -> tuple[Target, npt.NDArray[np.float64] | None]:
    """Make the target of one question, and the weights of its classes."""
    if task != "classification":
        return NumberTarget.infer(answers, task), None
    target = ClassTarget.infer(answers, classes, label_smoothing=label_smoothing)
    return target, normalized_class_weights(class_weight, target.classes, answers)


def _of_question(
    class_weight: Mapping[str, ClassWeight] | str | None, question: str
) -> ClassWeight:
    return class_weight.get(question) if isinstance(class_weight, Mapping) else class_weight


def _known(answers: pd.Series) -> npt.NDArray[Any]:
    """Return the answers that are not missing, in a type of their own."""
    return np.asarray(answers[answers.notna()].infer_objects())


def _explained(
    y: npt.ArrayLike, predicted: npt.ArrayLike, *, power: int, sample_weight: npt.ArrayLike | None
) -> float:
    """Return the explained fraction of deviance, with the values of R² where answers are equal."""
    if np.ptp(np.asarray(y, dtype=float)) == 0:
        return float(np.array_equal(y, predicted))
    return float(d2_tweedie_score(y, predicted, sample_weight=sample_weight, power=power))


_SCORES: dict[str, Callable[..., float]] = {
    "classification": accuracy_score,
    "squared_error": r2_score,
    "absolute_error": d2_absolute_error_score,
    "poisson": partial(_explained, power=1),
    "gamma": partial(_explained, power=2),
}


def mean_score(
    tasks: Mapping[str, str],
    answers: pd.DataFrame,
    predicted: pd.DataFrame,
    sample_weight: npt.ArrayLike | None,
) -> float:
    """Return the mean of the scores of all questions: the accuracy, or D² of the loss.

    Raises
    ------
    ValueError
        If no answer is known.

    Examples
    --------
    >>> answers = pd.DataFrame({"species": ["fox", "elk", None], "length": [1.0, 2.0, 3.0]})
    >>> predicted = pd.DataFrame({"species": ["fox", "fox", "elk"], "length": [1.0, 2.0, 3.0]})
    >>> tasks = {"species": "classification", "length": "squared_error"}
    >>> mean_score(tasks, answers, predicted, None)
    0.75
    """
    check_score_weight(sample_weight, predicted)
    scores = []
    for question, task in tasks.items():
        known = np.asarray(answers[question].notna()) & np.asarray(predicted[question].notna())
        if not known.any():
            continue
        truth, guess = (
            np.asarray(t[question][known].infer_objects())
            for t in (answers, predicted.set_axis(answers.index))
        )
        weight = None if sample_weight is None else np.asarray(sample_weight)[known]
        scores.append(_SCORES[task](truth, guess, sample_weight=weight))
    if not scores:
        raise ValueError(
            "y has no answer for any image that could be read. Expected at least one."
        )
    return float(np.mean(scores))
