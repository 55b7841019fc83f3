"""Targets: what y is, and everything about it that training and prediction need."""

from skcnn._targets._base import Target
from skcnn._targets._classes import ClassTarget
from skcnn._targets._numbers import NumberTarget

__all__ = ["ClassTarget", "NumberTarget", "Target"]
