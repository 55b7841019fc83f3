"""Convolutional networks as scikit-learn estimators."""

from importlib.metadata import version

from skcnn._estimators._classifier import ConvNetClassifier
from skcnn.inspection._search import SearchReport, search_report

__version__ = version("skcnn")
__all__ = ["ConvNetClassifier", "SearchReport", "search_report"]
