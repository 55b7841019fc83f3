"""Targets: what y is, and everything about it that training and prediction need."""

from skcnn._targets._answers import AnswersTarget
from skcnn._targets._base import ClassifierTarget, Target
from skcnn._targets._classes import ClassTarget
from skcnn._targets._masks import MaskTarget
from skcnn._targets._multilabel import MultilabelTarget
from skcnn._targets._multioutput import MultioutputTarget
from skcnn._targets._numbers import NumberTarget
from skcnn._targets._several import SeveralTarget

__all__ = [
    "AnswersTarget",
    "ClassTarget",
    "ClassifierTarget",
    "MaskTarget",
    "MultilabelTarget",
    "MultioutputTarget",
    "NumberTarget",
    "SeveralTarget",
    "Target",
]
