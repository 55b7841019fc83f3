"""Check of an ONNX file: onnxruntime answers as the estimator does."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from skcnn._data._covariates import CovariateEncoder
from skcnn._estimators._feature_extractor import FeatureExtractor
from skcnn._estimators._multi_task import ConvNetMultiTask
from skcnn._estimators._onnx_graph import COVARIATES, IMAGES, Fitted, Output
from skcnn._estimators._segmenter import ConvNetSegmenter
from skcnn._targets import NumberTarget, Target
from skcnn.datasets import make_images_and_covariates

_TOLERANCE = 1e-4
# Of large images, fewer are compared, but never one alone.
_N_CHECKED = (2, 5)
_PIXELS_CHECKED = 2**19

Inputs = dict[str, npt.NDArray[Any]]


def check_same(
    data: bytes, estimator: Fitted, outputs: Sequence[Output], free: Sequence[int]
) -> None:
    """Compare what onnxruntime makes of random images with what the estimator does.

    Parameters
    ----------
    data : bytes
        The file.
    estimator : ConvNetEstimator or FeatureExtractor
    outputs : sequence of Output
    free : sequence of int
        Axes of images that may have another length than in fit.

    Raises
    ------
    ValueError
        If a result differs, for some images or for one alone.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in outputs]
    for inputs, X in _random_inputs(estimator, free):
        expected = answers_of(estimator, X, outputs)
        for n in (len(X), 1):
            try:
                found = session.run(names, {name: part[:n] for name, part in inputs.items()})
            except Exception as error:  # onnxruntime has no public class of its errors
                first_line = str(error).strip().partition("\n")[0]
                raise ValueError(
                    f"onnxruntime cannot compute {n} image(s) with the file: {first_line} A "
                    "module of your own must take batches of any size."
                ) from error
            for output, one, answer in zip(outputs, found, expected):
                if not _agree(one, answer[:n], output.target):
                    raise ValueError(
                        f"onnxruntime computes other results from the file ({output.name}) than "
                        "the estimator does. Does your own module do something else in each call, "
                        "or depend on the size of the batch?"
                    )


def answers_of(estimator: Fitted, X: Any, outputs: Sequence[Output]) -> list[npt.NDArray[Any]]:
    """Return what the estimator answers, in the order of the outputs of its file."""
    if isinstance(estimator, FeatureExtractor):
        return [estimator.transform(X)]
    if isinstance(estimator, ConvNetSegmenter):
        return [estimator.predict_proba(X, tile_size=None)]
    if isinstance(estimator, ConvNetMultiTask):
        answers = {name: np.asarray(column) for name, column in estimator.predict(X).items()}
        if estimator.classes_:
            answers.update(estimator.predict_proba(X))
        return [answers[output.question] for output in outputs]
    method = "predict_proba" if hasattr(estimator, "predict_proba") else "predict"
    answer = getattr(estimator, method)(X)
    return answer if isinstance(answer, list) else [answer]


def _random_inputs(estimator: Fitted, free: Sequence[int]) -> Iterator[tuple[Inputs, Any]]:
    """Yield inputs of a file, and the same as X: of the fitted size, and of another one."""
    random = np.random.RandomState(0)
    low, high = getattr(estimator, "_pixel_range", (0.0, 255.0))
    encoder: CovariateEncoder | None = getattr(estimator, "_covariates", None)
    shape = list(estimator.image_shape_)
    n = int(np.clip(_PIXELS_CHECKED // (shape[0] * shape[1]), *_N_CHECKED))
    for more in (0, 1) if free else (0,):
        for axis in free:
            shape[axis - 1] += more
        images = random.uniform(low, high, size=(n, *shape)).astype(np.float32)
        X: Any = images
        if estimator.data_format == "channels_first":
            X = np.moveaxis(images, -1, 1)
        inputs: Inputs = {IMAGES: images}
        if encoder is not None:
            inputs[COVARIATES], frame = _random_covariates(encoder, n, random)
            X = make_images_and_covariates(X, frame)
        yield inputs, X


def _random_covariates(
    encoder: CovariateEncoder, n: int, random: np.random.RandomState
) -> tuple[npt.NDArray[np.float64], pd.DataFrame]:
    """Return values of covariates, some of them missing, and the table they stand for."""
    values = np.empty((n, len(encoder.columns)))
    frame = {}
    for number, column in enumerate(encoder.columns):
        if column.categories is None:
            values[:, number] = column.mean + column.scale * random.standard_normal(n)
            values[number % n, number] = np.nan
            frame[column.name] = pd.Series(values[:, number])
        else:
            codes = random.randint(-1, len(column.categories), size=n)
            values[:, number] = codes
            categories = list(column.categories)
            frame[column.name] = pd.Series(pd.Categorical.from_codes(codes, categories))
    return values, pd.DataFrame(frame)


def _agree(found: npt.NDArray[Any], expected: npt.NDArray[Any], target: Target | None) -> bool:
    if found.shape != expected.shape:
        return False
    if isinstance(target, NumberTarget):
        # In units of what the network learned: numbers may be small, or far from zero.
        size = np.maximum(target.scale, np.abs(expected - target.center))
    else:
        size = np.maximum(1.0, np.abs(expected).max())
    return bool((np.abs(found - expected) <= _TOLERANCE * size).all())
