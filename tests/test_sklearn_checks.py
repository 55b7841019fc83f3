"""scikit-learn's own battery of checks, on estimators that differ as much as they can."""

import pytest
from sklearn.base import clone
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import (
    estimator_checks_generator,
    parametrize_with_checks,
)

from skcnn import ConvNetClassifier

ESTIMATORS = {
    "defaults": ConvNetClassifier(),
    "early_stopping": ConvNetClassifier(
        (8,), residual=False, lr=0.05, batch_size=32, early_stopping=True, n_iter_no_change=3
    ),
    "dense": ConvNetClassifier(
        (16,),
        residual=False,
        normalization=None,
        global_pool=None,
        dense_units=32,
        dropout=0.1,
        optimizer="adam",
        lr=0.01,
        lr_schedule=None,
        batch_size=16,
        max_epochs=6,
    ),
    "residual": ConvNetClassifier(
        (8,),
        residual=True,
        convs_per_block=2,
        pool=None,
        activation="silu",
        lr_schedule="cosine",
        batch_size=16,
        max_epochs=4,
    ),
    "rmsprop": ConvNetClassifier(
        (8, 16),
        residual=False,
        pool=("average", None),
        global_pool="max",
        optimizer="rmsprop",
        lr=0.01,
        weight_decay=0,
        label_smoothing=0,
        augment=None,
        batch_size=16,
        max_epochs=6,
    ),
}
EXPECTED_FAILURES = {
    "check_sample_weight_equivalence_on_dense_data": (
        "Training goes by mini-batches: a row that is there twice is drawn into two steps, one "
        "of weight 2 into a single step."
    )
}


def _as_list(mark):
    """Hand pytest the checks as a list; scikit-learn 1.6 passes an iterator, which it refuses."""
    names, checks = mark.args
    return pytest.mark.parametrize(names, list(checks), **mark.kwargs)


# An expected failure that passes is an error: pyproject.toml sets strict_xfail.
@_as_list(
    parametrize_with_checks(
        [clone(e) for e in ESTIMATORS.values()], expected_failed_checks=lambda _: EXPECTED_FAILURES
    )
)
def test_check_of_scikit_learn_passes(estimator, check):
    check(estimator)


each_estimator = pytest.mark.parametrize("estimator", ESTIMATORS.values(), ids=ESTIMATORS.keys())


@each_estimator
def test_more_than_fifty_checks_apply(estimator):
    checks = {
        getattr(check, "func", check).__name__
        for _, check in estimator_checks_generator(estimator)
    }
    assert len(checks) > 45
    assert len(list(estimator_checks_generator(estimator))) > 50
    assert EXPECTED_FAILURES.keys() <= checks


@each_estimator
def test_tags_keep_the_checks_on_rows_of_numbers(estimator):
    tags = get_tags(estimator)
    assert tags.input_tags.two_d_array
    assert tags.input_tags.three_d_array
    assert not tags.input_tags.sparse
    assert tags.estimator_type == "classifier"
    assert tags.classifier_tags.multi_class
    assert not tags.no_validation
    assert not tags._skip_test


def test_strict_xfail_is_set(request):
    """Without it an expected failure could pass unnoticed."""
    assert request.config.getini("strict_xfail") is True
