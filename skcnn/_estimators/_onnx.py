"""Fitted estimators as ONNX files, for other programs and languages."""

import copy
import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import is_classifier, is_regressor
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from skcnn._estimators._base import ConvNetEstimator
from skcnn._estimators._feature_extractor import FeatureExtractor
from skcnn._from_r import as_path
from skcnn._storage._container import replacing
from skcnn._targets._several import SeveralTarget

_PACKAGES = ("onnx", "onnxruntime", "onnxscript")
_LOGGERS = ("torch.onnx", "onnxscript", "onnx_ir")
_TOLERANCE = 1e-4
_N_CHECKED = 5


def export_onnx(
    estimator: ConvNetEstimator | FeatureExtractor, path: str | os.PathLike[str]
) -> None:
    """Write a fitted estimator as an ONNX file, which many programs and languages can run.

    The preprocessing is part of the file. It takes images as they were given to `fit`, as
    float32, in batches of any size. Images keep the shape that the estimator was fitted on.

    Parameters
    ----------
    estimator : ConvNetClassifier, ConvNetRegressor or FeatureExtractor
        A fitted classifier gives probabilities, a regressor numbers, and a feature extractor
        features.
    path : str or path-like
        The file, for example "birds.onnx". A file that is there is replaced.

    Raises
    ------
    ImportError
        If the packages of ``pip install "skcnn[onnx]"`` are missing.
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If the estimator answers something else, such as several questions.
    ValueError
        If a module of your own does something that ONNX cannot express; or if onnxruntime
        computes other results from the file, by more than 0.0001.

    See Also
    --------
    save : Write a file for skcnn itself, which can be trained further.

    Notes
    -----
    The input is ``images`` of shape (n, height, width, channels). The output is ``probabilities``
    of shape (n, n_classes), or ``features`` of shape (n, n_features). The metadata of the model
    holds the labels as JSON under ``classes``, in the order of the probabilities.

    Regressors give ``predictions``, in the shape of those of `predict`.

    Each file is run by onnxruntime [1]_ on a few random images before it is written.

    References
    ----------
    .. [1] https://onnxruntime.ai

    Examples
    --------
    >>> import skcnn
    >>> skcnn.export_onnx(clf, "birds.onnx")  # doctest: +SKIP
    >>> import onnxruntime  # doctest: +SKIP
    >>> session = onnxruntime.InferenceSession("birds.onnx")  # doctest: +SKIP
    >>> (proba,) = session.run(None, {"images": X.astype("float32")})  # doctest: +SKIP
    """
    answer, name = _answer_of(estimator)
    check_is_fitted(estimator)
    _check_one_answer(estimator)
    missing = [package for package in _PACKAGES if find_spec(package) is None]
    if missing:
        raise ImportError(f'export_onnx needs {", ".join(missing)}: pip install "skcnn[onnx]".')
    whole = _Whole(estimator).eval()
    with _quiet():
        program = _convert(whole, estimator.image_shape_, name)
        program.model.metadata_props.update(_metadata(estimator))
        data = program.model_proto.SerializeToString()
        images = _random_images(estimator)
        expected = np.asarray(answer(images))
    _check_same(data, images, expected)
    with replacing(as_path(path)) as file:
        file.write(data)


class _Whole(nn.Module):
    """From float images to what the estimator answers."""

    def __init__(self, estimator: ConvNetEstimator | FeatureExtractor) -> None:
        super().__init__()
        self.network = copy.deepcopy(estimator.module_).cpu()
        self.target = None if isinstance(estimator, FeatureExtractor) else estimator._target
        self.flips = getattr(estimator, "test_time_flip", False)

    def forward(self, images: Tensor) -> Tensor:
        """Return features or probabilities."""
        if self.target is None:
            return self.network.features(images)
        outputs: Tensor = self.network(images)
        if self.flips:
            outputs = (outputs + self.network(images.flip(2))) / 2
        return self.target.answer(outputs)


@contextmanager
def _quiet() -> Iterator[None]:
    """Drop what the exporter says about its own ways."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels):
                logger.setLevel(level)


def _answer_of(
    estimator: ConvNetEstimator | FeatureExtractor,
) -> tuple[Callable[[npt.NDArray[np.float32]], npt.ArrayLike], str]:
    """Return the method whose results the file gives, and the name of these."""
    if isinstance(estimator, FeatureExtractor):
        return estimator.transform, "features"
    if isinstance(estimator, ConvNetEstimator):
        if is_regressor(estimator):
            return estimator.predict, "predictions"
        if is_classifier(estimator):
            return estimator.predict_proba, "probabilities"
    raise TypeError(
        f"export_onnx got a {type(estimator).__name__}. Expected a classifier or regressor of "
        "skcnn or a FeatureExtractor, fitted: of a pipeline, its step (pipeline[-1]); of a "
        "search, its best_estimator_."
    )


def _check_one_answer(estimator: ConvNetEstimator | FeatureExtractor) -> None:
    if getattr(estimator, "_covariates", None) is not None:
        raise TypeError(
            f"export_onnx got a {type(estimator).__name__} that was fitted with columns beside "
            "the images, which the file cannot take. Fit on the images alone."
        )
    if isinstance(getattr(estimator, "_target", None), SeveralTarget):
        raise TypeError(
            "export_onnx got a classifier with several columns of labels, each with probabilities "
            "of its own. Expected one label for each image, or indicators: 0 and 1 for each label."
        )


def _convert(whole: nn.Module, image_shape: tuple[int, int, int], name: str) -> Any:
    # A batch of one image would be taken for a constant.
    images = torch.zeros(2, *image_shape)
    try:
        with torch.no_grad():
            return torch.onnx.export(
                whole,
                (images,),
                input_names=["images"],
                output_names=[name],
                dynamic_shapes=({0: torch.export.Dim("n", min=1)},),
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # whatever a module of one's own does
        first_line = str(error).strip().partition("\n")[0]
        raise ValueError(
            f"The network cannot be written as ONNX: {first_line} A module of your own may only "
            "use operations that ONNX has, and must take batches of any size."
        ) from error


def _metadata(estimator: ConvNetEstimator | FeatureExtractor) -> dict[str, str]:
    about = {"skcnn": version("skcnn"), "image_shape": json.dumps(estimator.image_shape_)}
    classes = getattr(estimator, "classes_", None)
    if isinstance(classes, np.ndarray):
        plain = (value.item() if isinstance(value, np.generic) else value for value in classes)
        about["classes"] = json.dumps(list(plain), default=str)
    return about


def _random_images(estimator: ConvNetEstimator | FeatureExtractor) -> npt.NDArray[np.float32]:
    low, high = getattr(estimator, "_pixel_range", (0.0, 255.0))
    shape = (_N_CHECKED, *estimator.image_shape_)
    return np.random.RandomState(0).uniform(low, high, size=shape).astype(np.float32)


def _check_same(
    data: bytes, images: npt.NDArray[np.float32], expected: npt.NDArray[np.float64]
) -> None:
    """Compare what onnxruntime makes of images with what the estimator does."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"images": images})
    scale = max(1.0, float(np.abs(expected).max()))
    if found.shape != expected.shape or not np.abs(found - expected).max() <= _TOLERANCE * scale:
        raise ValueError(
            "onnxruntime computes other results from the file than the estimator does. Does your "
            "own module do something else in each call, or depend on the size of the batch?"
        )
