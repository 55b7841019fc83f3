"""Convolutional networks as scikit-learn estimators."""

from importlib.metadata import version

from skcnn._estimators import ConvNetClassifier

__version__ = version("skcnn")
__all__ = ["ConvNetClassifier"]
