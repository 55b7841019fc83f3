"""Convolutional networks as scikit-learn estimators."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skcnn import (
        augmentation,
        datasets,
        inspection,
        masks,
        networks,
        optimizers,
        parallel,
        recipes,
        uncertainty,
    )
    from skcnn._compute._show_versions import show_versions
    from skcnn._data._cache_folder import clear_image_cache
    from skcnn._estimators._classifier import ConvNetClassifier
    from skcnn._estimators._feature_extractor import FeatureExtractor
    from skcnn._estimators._image_loader import ImageLoader
    from skcnn._estimators._multi_task import ConvNetMultiTask
    from skcnn._estimators._onnx import export_onnx
    from skcnn._estimators._regressor import ConvNetRegressor
    from skcnn._estimators._saving import load, save
    from skcnn._estimators._segmenter import ConvNetSegmenter
    from skcnn._report._report import EvaluationReport, report
    from skcnn.inspection._search import SearchReport, search_report

    __version__: str

__all__ = [
    "ConvNetClassifier",
    "ConvNetMultiTask",
    "ConvNetRegressor",
    "ConvNetSegmenter",
    "EvaluationReport",
    "FeatureExtractor",
    "ImageLoader",
    "SearchReport",
    "augmentation",
    "clear_image_cache",
    "datasets",
    "export_onnx",
    "inspection",
    "load",
    "masks",
    "networks",
    "optimizers",
    "parallel",
    "recipes",
    "report",
    "save",
    "search_report",
    "show_versions",
    "uncertainty",
]

# Everything is imported when it is first used, so that ``skcnn --help`` does not wait for torch,
# and Ctrl-C soon finds the command line, which shows no traceback.
_HOMES = {
    "ConvNetClassifier": "_estimators._classifier",
    "ConvNetMultiTask": "_estimators._multi_task",
    "ConvNetRegressor": "_estimators._regressor",
    "ConvNetSegmenter": "_estimators._segmenter",
    "EvaluationReport": "_report._report",
    "FeatureExtractor": "_estimators._feature_extractor",
    "ImageLoader": "_estimators._image_loader",
    "SearchReport": "inspection._search",
    "clear_image_cache": "_data._cache_folder",
    "export_onnx": "_estimators._onnx",
    "load": "_estimators._saving",
    "report": "_report._report",
    "save": "_estimators._saving",
    "search_report": "inspection._search",
    "show_versions": "_compute._show_versions",
}
# Public modules: ``import skcnn; skcnn.datasets``.
_MODULES = {
    "augmentation",
    "datasets",
    "inspection",
    "masks",
    "networks",
    "optimizers",
    "parallel",
    "recipes",
    "uncertainty",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        globals()[name] = version("skcnn")
        return globals()[name]
    if name in _MODULES:
        return import_module(f"skcnn.{name}")
    if name in _HOMES:
        found = getattr(import_module(f"skcnn.{_HOMES[name]}"), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module 'skcnn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, "__version__"})
