"""scikit-learn's own checks on the segmenter, with one label for all pixels of an image."""

import numpy as np
import pytest
from scipy.sparse import issparse
from sklearn.utils.estimator_checks import parametrize_with_checks

from skcnn import ConvNetSegmenter
from skcnn._data._arrays import infer_shape
from skcnn.networks import ConvBlocks, UNet


class LabelForAllPixels(ConvNetSegmenter):
    """Takes one label per image, as the checks give them, as the label of each of its pixels.

    Everything else is the segmenter's own: what it checks, stores, predicts and leaves alone.
    """

    def fit(self, X, y, sample_weight=None):
        return super().fit(X, _spread(X, y), sample_weight)

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        return super().partial_fit(X, _spread(X, y), classes, sample_weight)

    def score(self, X, y, sample_weight=None):
        return super().score(X, _spread(X, y), sample_weight)


def _spread(X, y):
    """Repeat the label of each image for its pixels; numbers become two labels."""
    if issparse(X):
        # It is refused as it is.
        return y
    rows, labels = (np.asarray(part) if part is not None else None for part in (X, y))
    if labels is None or rows.ndim != 2 or len(labels) != len(rows) or not rows.shape[1]:
        return y
    labels = labels.reshape(len(labels), -1)[:, 0]
    is_number = labels.dtype.kind == "f" and np.isfinite(labels).all()
    if is_number and (labels % 1).any():
        labels = labels > np.median(labels)
    height, width, _ = infer_shape(rows.shape[1])
    return np.repeat(labels[:, None], height * width, axis=1)


EXPECTED_FAILURES = {
    "check_sample_weight_equivalence_on_dense_data": (
        "Training goes by mini-batches: a row that is there twice is drawn into two steps, one "
        "of weight 2 into a single step."
    )
}
ESTIMATOR = LabelForAllPixels(
    UNet(ConvBlocks((4,))), max_epochs=1, augment=None, device="cpu", precision="float32"
)


def _as_list(mark):
    names, checks = mark.args
    return pytest.mark.parametrize(names, list(checks), **mark.kwargs)


@_as_list(parametrize_with_checks([ESTIMATOR], expected_failed_checks=lambda _: EXPECTED_FAILURES))
def test_check_of_scikit_learn_passes(estimator, check):
    check(estimator)
