"""Fitted estimators as ONNX files, for other programs and languages."""

import json
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from skcnn._estimators._base import ConvNetEstimator
from skcnn._estimators._feature_extractor import FeatureExtractor
from skcnn._estimators._onnx_check import check_same
from skcnn._estimators._onnx_graph import (
    COVARIATES,
    IMAGES,
    Fitted,
    Output,
    Program,
    free_sides,
    outputs_of,
    rename_inner_values,
)
from skcnn._from_r import as_path
from skcnn._storage._replacing import check_target, replacing
from skcnn._utils import warn

_PACKAGES = ("onnx", "onnxruntime", "onnxscript")
_LOGGERS = ("torch.onnx", "onnxscript", "onnx_ir")
_LEAST_SIDE = 128
_SIDES = {1: "height", 2: "width"}


def export_onnx(estimator: Fitted, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator as an ONNX file, which many programs and languages can run.

    The preprocessing is part of the file. It takes images as they were given to `fit`, as
    float32, in batches of any size.

    Parameters
    ----------
    estimator : estimator of skcnn
        A fitted `ConvNetClassifier`, `ConvNetRegressor`, `ConvNetMultiTask`, `ConvNetSegmenter`
        or `FeatureExtractor`, with any network and any form of y.
    path : str or path-like
        The file, for example "birds.onnx". A file that is there is replaced.

    Raises
    ------
    ImportError
        If the packages of ``pip install "skcnn[onnx]"`` are missing.
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If it is something else, such as a pipeline or a search.
    ValueError
        If a module of your own does something that ONNX cannot express; or if onnxruntime
        computes other results from the file.

    See Also
    --------
    save : Write a file for skcnn itself, which can be trained further.

    Notes
    -----
    The input ``images`` has the shape (n, height, width, channels), float32. Its height and width
    are those of `image_shape_`, but of a `ConvNetSegmenter`, and with ``global_pool="sum"``, as in
    counting, they may be any; if a network makes that impossible, a warning says so.

    After a fit with columns beside the images, there is a second input ``covariates`` of shape
    (n, n_columns), float64, with columns in the order of the metadata. It takes numbers as they
    were given to `fit`, and NaN where one is missing. In place of a category it takes its position
    in the list of categories, from 0, and -1 where it is missing or unknown. The user guide on
    saving shows how to make this input of a DataFrame.

    The outputs are:

    - ``probabilities`` of a `ConvNetClassifier`, of shape (n, n_classes), or of a
      `ConvNetSegmenter`, of shape (n, height, width, n_classes), float32;
    - ``predictions`` of a `ConvNetRegressor`, in the shape of those of `predict`, float64;
    - ``features`` of a `FeatureExtractor`, of shape (n, n_features), float32;
    - of a `ConvNetMultiTask`, and of a classifier with several columns of labels, one for each
      task or column, with its name: probabilities, or predictions of shape (n,). What is no
      unaccented letter or digit becomes ``_``, and ``output_`` comes before a name that starts
      with a digit.

    The metadata of the file, as JSON:

    - ``classes``: the labels, in the order of the probabilities. Where there are several outputs,
      an object with the labels of each that has any;
    - ``questions``: where there are several outputs, an object with the task or column of each;
    - ``covariates``: a list with one object for each column: its ``name``, and its ``categories``
      if it has any;
    - ``image_shape``: height, width and channels of the images of `fit`.

    Each file is run by onnxruntime [1]_ on a few random images before it is written. Results must
    be those of the estimator up to 0.0001: predictions relative to their spread, features relative
    to the largest one.

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
    if not isinstance(estimator, ConvNetEstimator | FeatureExtractor):
        raise TypeError(
            f"export_onnx got a {type(estimator).__name__}. Expected an estimator of skcnn, "
            "fitted: of a pipeline, its step (pipeline[-1]); of a search, its best_estimator_."
        )
    check_is_fitted(estimator)
    missing = [package for package in _PACKAGES if find_spec(package) is None]
    if missing:
        raise ImportError(f'export_onnx needs {", ".join(missing)}: pip install "skcnn[onnx]".')
    target = check_target(as_path(path))
    outputs, free = outputs_of(estimator), free_sides(estimator)
    is_fixed = False
    with _quiet():
        try:
            program = _convert(estimator, outputs, free)
        except ValueError:
            if not free:
                raise
            is_fixed, free = True, ()
            program = _convert(estimator, outputs, free)
        program.model.metadata_props.update(_metadata(estimator, outputs))
        data = program.model_proto.SerializeToString()
        check_same(data, estimator, outputs, free)
    with replacing(target) as file:
        file.write(data)
    if is_fixed:
        height, width, _ = estimator.image_shape_
        warn(
            f"The file takes images of {height}x{width} pixels only, as in fit: what this network "
            "does depends on their size, in a way that ONNX cannot express."
        )


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


def _convert(estimator: Fitted, outputs: Sequence[Output], free: Sequence[int]) -> Any:
    """Return the program that torch makes of an estimator."""
    n = torch.export.Dim("n", min=1)
    # A batch of one image would be taken for a constant.
    shape, sides = [2, *estimator.image_shape_], {}
    for axis in free:
        # Smaller sides work, too, but the exporter would ask whether maps have more than a pixel.
        least = max(_LEAST_SIDE, 2 * (estimator.module_.stride or (1, 1))[axis - 1])
        sides[axis] = torch.export.Dim(_SIDES[axis], min=least)
        shape[axis] = max(shape[axis], least)
    inputs = {IMAGES: torch.zeros(*shape)}
    dynamic = {IMAGES: {0: n, **sides}}
    encoder = getattr(estimator, "_covariates", None)
    if encoder is not None:
        inputs[COVARIATES] = torch.zeros(2, len(encoder.columns), dtype=torch.float64)
        dynamic[COVARIATES] = {0: n}
    try:
        with torch.no_grad():
            # What torch.onnx tries where this fails takes time, and leaves sizes that are fixed.
            exported = torch.export.export(
                Program(estimator).eval(), (), inputs, dynamic_shapes=dynamic, strict=False
            )
            program = torch.onnx.export(
                exported,
                input_names=list(inputs),
                output_names=[output.name for output in outputs],
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # whatever a module of one's own does
        first_line = str(error).strip().partition("\n")[0]
        raise ValueError(
            f"The network cannot be written as ONNX: {first_line} A module of your own may only "
            "use operations that ONNX has, and must take batches of any size."
        ) from error
    assert program is not None
    rename_inner_values(program.model, outputs)
    return program


def _metadata(estimator: Fitted, outputs: Sequence[Output]) -> dict[str, str]:
    """Return what a program needs to know beside the network, as JSON."""
    about: dict[str, Any] = {"image_shape": estimator.image_shape_}
    classes = {
        output.name: [_plain(label) for label in getattr(output.target, "classes", ())]
        for output in outputs
        if hasattr(output.target, "classes")
    }
    if outputs[0].question is not None:
        about["questions"] = {output.name: output.question for output in outputs}
        about["classes"] = classes
    elif classes:
        about["classes"] = classes[outputs[0].name]
    encoder = getattr(estimator, "_covariates", None)
    if encoder is not None:
        about["covariates"] = [
            {"name": column.name}
            | ({} if column.categories is None else {"categories": column.categories})
            for column in encoder.columns
        ]
    texts = {name: json.dumps(value, default=str) for name, value in about.items()}
    return {"skcnn": version("skcnn"), **texts}


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
