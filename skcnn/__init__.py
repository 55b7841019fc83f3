"""Convolutional networks as scikit-learn estimators."""

from importlib.metadata import version

__version__ = version("skcnn")
__all__: list[str] = []
