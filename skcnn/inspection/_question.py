"""One question out of several that a network answers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from torch import Tensor

from skcnn._targets import MultioutputTarget, NumberTarget, SeveralTarget, Target


@dataclass(frozen=True)
class Question:
    """What a network is asked, and which of its outputs answer it.

    Parameters
    ----------
    target : Target
        Of this question alone.
    among : SeveralTarget or None, default=None
        Of all questions; None where this is the only one.
    place : int, default=0
        Its number among them.
    """

    target: Target
    among: SeveralTarget | None = None
    place: int = 0

    @property
    def name(self) -> str | None:
        """What it is called among others; None where it is the only one."""
        return None if self.among is None else str(self.among.names[self.place])

    @property
    def has_numbers(self) -> bool:
        """Whether the answer is a number, not a class."""
        return isinstance(self.target, NumberTarget)

    @property
    def names(self) -> npt.NDArray[Any]:
        """What its outputs are called: the classes, or the numbers of the outputs."""
        names = getattr(self.target, "classes", None)
        return np.arange(self.target.n_outputs) if names is None else np.asarray(names)

    def outputs_of(self, outputs: Tensor) -> Tensor:
        """Return the outputs of this question, out of those of all."""
        return outputs if self.among is None else self.among.split_outputs(outputs)[self.place]

    def answers_of(self, predicted: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return the answers to this question, out of what `predict` returns."""
        answers = np.asarray(predicted)
        return answers if self.among is None else answers[:, self.place]

    def probabilities_of(self, found: Any) -> npt.NDArray[np.float64]:
        """Return the probabilities of its classes, out of what `predict_proba` returns."""
        if self.among is not None:
            found = found[self.name] if isinstance(found, dict) else found[self.place]
        return np.asarray(found, dtype=np.float64)


def find_question(estimator: BaseEstimator, task: str | int | None) -> Question:
    """Find the question that is meant.

    Parameters
    ----------
    estimator : skcnn estimator with a network
        A fitted one.
    task : str, int or None
        Name of a question of `ConvNetMultiTask`, or of a column of labels, or its number. None is
        for a network that answers one question.

    Returns
    -------
    question : Question

    Raises
    ------
    TypeError
        If there are several questions and none is named.
    ValueError
        If there is no such question, or one is named where there is only one.
    """
    target = estimator._target
    kind = type(estimator).__name__
    if not isinstance(target, SeveralTarget):
        if task is not None:
            raise ValueError(
                f"task={task!r} names one of several questions, and this {kind} answers only one. "
                "Leave task out."
            )
        return Question(target)
    # Columns that have no names are known by their numbers.
    names = [str(name) for name in target.names]
    what = "columns of labels" if isinstance(target, MultioutputTarget) else "tasks"
    if task is None:
        raise TypeError(
            f"This {kind} answers several questions, the {what} {names}. Name the one that "
            f"is meant, for example task={names[0]!r}."
        )
    if str(task) not in names:
        raise ValueError(f"task={task!r} is none of the {what} {names} of this {kind}.")
    place = names.index(str(task))
    return Question(target.targets[place], target, place)
