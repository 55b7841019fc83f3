"""The network in a pipeline or a search."""

from typing import Any

from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skcnn._targets import (
    AnswersTarget,
    MaskTarget,
    MultilabelTarget,
    MultioutputTarget,
    NumberTarget,
    Target,
)

_ONE_COLUMN = "Look at one at a time: ConfusionDisplay.from_predictions(y{0}, predicted{0})"
# What else networks predict, and the way to look at it.
_OTHER_ANSWERS = {
    MultilabelTarget: ("several labels per image", _ONE_COLUMN.format("[:, 0]")),
    MultioutputTarget: ("several columns of labels", _ONE_COLUMN.format("[:, 0]")),
    AnswersTarget: ("several answers", _ONE_COLUMN.format("[task]")),
    MaskTarget: ("label images", "Use MaskDisplay"),
    NumberTarget: ("numbers", "Use PredictionsDisplay"),
}


def unwrap(estimator: BaseEstimator, X: Any | None = None) -> tuple[BaseEstimator, Any]:
    """Find the fitted network in pipelines and searches, and transform X as they do.

    Parameters
    ----------
    estimator : skcnn estimator with a network, Pipeline or search
        A fitted one. The last step of a pipeline counts, and the best estimator of a search.
    X : array-like, default=None
        Images, in any form that ``estimator.predict`` takes. None where none are needed.

    Returns
    -------
    estimator : skcnn estimator with a network
    X : array-like
        The images as this estimator gets them, after the earlier steps of the pipelines.

    Raises
    ------
    TypeError
        If the last step has no network.
    NotFittedError
        If the network, the search or an earlier step is not fitted.
    ValueError
        If the search has no best estimator because of ``refit=False``.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import FunctionTransformer
    >>> from skcnn import ConvNetClassifier
    >>> from skcnn.datasets import make_organisms
    >>> X, y = make_organisms(n_samples=30, n_classes=3, image_size=8, random_state=0)
    >>> brighter = FunctionTransformer(lambda images: np.sqrt(images / 255))
    >>> clf = ConvNetClassifier(filters=(4,), max_epochs=1, random_state=0)
    >>> pipeline = make_pipeline(brighter, clf).fit(X, y)
    >>> found, images = unwrap(pipeline, X)
    >>> found is pipeline[-1], bool(images.max() <= 1)
    (True, True)
    """
    estimator, X = unwrap_unfitted(estimator, X)
    check_is_fitted(estimator, "net_")
    return estimator, X


def unwrap_unfitted(estimator: BaseEstimator, X: Any | None = None) -> tuple[BaseEstimator, Any]:
    """As `unwrap`, for networks that need not be fitted."""
    while True:
        if isinstance(estimator, Pipeline):
            *earlier, (_, last) = estimator.steps
            for _, step in earlier:
                if X is not None and step not in (None, "passthrough"):
                    X = step.transform(X)
            estimator = last
        elif hasattr(estimator, "refit"):
            estimator = _best_estimator(estimator)
        else:
            break
    if not hasattr(estimator, "summary"):
        raise TypeError(
            f"estimator is or ends in {estimator!r}, which has no network to look into. Expected "
            "a classifier, regressor, segmenter or multi-task estimator of skcnn, or a Pipeline "
            "or a search whose last step is one."
        )
    return estimator, X


def _best_estimator(search: BaseEstimator) -> BaseEstimator:
    if not search.refit:
        raise ValueError(
            f"The {type(search).__name__} with refit=False keeps no fitted network. Search with "
            "refit=True, or fit an estimator with its best_params_."
        )
    check_is_fitted(search, "best_estimator_")
    return search.best_estimator_


def check_one_label(
    estimator: BaseEstimator,
    display: str,
    *,
    allowed: tuple[type[Target], ...] = (),
) -> None:
    """Refuse a fitted network that does not answer with one label per image.

    Targets in `allowed` are taken, too.

    Raises
    ------
    TypeError
        Naming what it answers with, and the way to look at it.
    """
    for kind, (answers, way_out) in _OTHER_ANSWERS.items():
        if isinstance(estimator._target, kind) and not issubclass(kind, allowed):
            raise TypeError(
                f"{display} shows one label per image, and this {type(estimator).__name__} "
                f"predicts {answers}. {way_out}."
            )
