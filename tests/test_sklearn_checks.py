"""scikit-learn's own battery of checks, on estimators that differ as much as they can."""

import pytest
from sklearn.base import clone, is_regressor
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import (
    estimator_checks_generator,
    parametrize_with_checks,
)

from skcnn import ConvNetClassifier, ConvNetRegressor, recipes
from skcnn.networks import ConvBlocks


def _small(recipe, max_epochs):
    """A recipe with fewer epochs and blocks: the checks fit some 200 networks."""
    blocks = {"module__filters": (4, 8), "module__convs_per_block": 2}
    return ConvNetClassifier(**recipe).set_params(**blocks, max_epochs=max_epochs)


# With `max_epochs="auto"`, few rows are trained for fifty epochs and more. That takes most of the
# time of all checks, and of what they check, it decides only what is learned.
DEFAULTS = (ConvNetClassifier(), ConvNetRegressor())
ESTIMATORS = {
    "defaults": ConvNetClassifier(max_epochs=15),
    "early_stopping": ConvNetClassifier(
        (8,),
        residual=False,
        lr=0.05,
        batch_size=32,
        max_epochs=30,
        early_stopping=True,
        n_iter_no_change=3,
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
    "resizing": ConvNetClassifier(
        (8,), residual=False, progressive_resizing=(0.5, 1.0), batch_size=16, max_epochs=4
    ),
    "test_time_flip": ConvNetClassifier(
        (8,), residual=False, test_time_flip=True, batch_size=32, max_epochs=1
    ),
    "mirror": ConvNetClassifier(
        module=ConvBlocks((8,), residual=False, symmetry="mirror"), batch_size=32, max_epochs=1
    ),
    "fast": _small(recipes.fast, max_epochs=2),
    "accurate": _small(recipes.accurate, max_epochs=3),
    "lesson": ConvNetClassifier(**recipes.lesson | {"max_epochs": 6}),
    "transformer": ConvNetClassifier(**recipes.transformer).set_params(
        module__depth=1, module__width=24, max_epochs=10
    ),
    "regressor": ConvNetRegressor(max_epochs=15),
    "counts": ConvNetRegressor(
        (8, 16),
        convs_per_block=1,
        loss="poisson",
        max_epochs=15,
        batch_size=32,
        early_stopping=True,
    ),
    "medians": ConvNetRegressor(
        (16, 32),
        convs_per_block=1,
        loss="absolute_error",
        dense_units=32,
        optimizer="adam",
        lr=0.003,
        max_epochs=20,
    ),
}
EXPECTED_FAILURES = {
    "check_sample_weight_equivalence_on_dense_data": (
        "Training goes by mini-batches: a row that is there twice is drawn into two steps, one "
        "of weight 2 into a single step."
    )
}
# Of estimators that see no difference between an image and its mirror image.
EXPECTED_FAILURES_OF_MIRRORED = {
    "check_classifiers_train": (
        "It asks for an accuracy on rows of numbers that are no images, and whose order matters: "
        "predictions are the same for a row read backwards."
    )
}
# Of estimators that count.
EXPECTED_FAILURES_OF_POSITIVE = {
    "check_regressor_multioutput": "It has negative numbers, which are no counts."
}


def is_mirrored(estimator):
    return estimator.test_time_flip or getattr(estimator.module, "symmetry", None) == "mirror"


def expected_failures(estimator):
    mirrored = EXPECTED_FAILURES_OF_MIRRORED if is_mirrored(estimator) else {}
    positive = get_tags(estimator).target_tags.positive_only
    return {
        **EXPECTED_FAILURES,
        **mirrored,
        **(EXPECTED_FAILURES_OF_POSITIVE if positive else {}),
    }


def _name(check):
    return getattr(check, "func", check).__name__


def _as_list(mark):
    """Hand pytest the checks as a list; scikit-learn 1.6 passes an iterator, which it refuses."""
    names, checks = mark.args
    return pytest.mark.parametrize(names, list(checks), **mark.kwargs)


# Checked with the oldest supported versions, too, which leave out what is slow.
OFTEN = ("early_stopping", "dense", "residual")


def _checks_of(names):
    # An expected failure that passes is an error: pyproject.toml sets strict_xfail.
    return _as_list(
        parametrize_with_checks(
            [clone(ESTIMATORS[name]) for name in names], expected_failed_checks=expected_failures
        )
    )


@_checks_of(OFTEN)
def test_check_of_scikit_learn_passes(estimator, check):
    check(estimator)


@pytest.mark.slow
@_checks_of(name for name in ESTIMATORS if name not in OFTEN)
def test_check_of_scikit_learn_passes_with_every_recipe_and_option(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.parametrize("estimator", DEFAULTS, ids=["classifier", "regressor"])
def test_the_defaults_learn_what_checks_ask(estimator):
    name = "check_regressors_train" if is_regressor(estimator) else "check_classifiers_train"
    checks = [c for _, c in estimator_checks_generator(estimator) if _name(c) == name]
    assert checks[0].keywords == {}
    checks[0](clone(estimator))


@pytest.mark.parametrize("estimator", DEFAULTS, ids=["classifier", "regressor"])
def test_all_but_the_epochs_of_the_defaults_is_checked(estimator):
    name = "regressor" if is_regressor(estimator) else "defaults"
    assert ESTIMATORS[name].get_params() == estimator.get_params() | {"max_epochs": 15}


each_estimator = pytest.mark.parametrize("estimator", ESTIMATORS.values(), ids=ESTIMATORS.keys())


@each_estimator
def test_more_than_fifty_checks_apply(estimator):
    checks = {_name(check) for _, check in estimator_checks_generator(estimator)}
    assert len(checks) > 45
    assert len(list(estimator_checks_generator(estimator))) > 50
    assert expected_failures(estimator).keys() <= checks


@each_estimator
def test_tags_keep_the_checks_on_rows_of_numbers(estimator):
    tags = get_tags(estimator)
    assert tags.input_tags.two_d_array
    assert tags.input_tags.three_d_array
    assert not tags.input_tags.sparse
    assert tags.estimator_type == ("regressor" if is_regressor(estimator) else "classifier")
    assert is_regressor(estimator) or tags.classifier_tags.multi_class
    assert not tags.no_validation
    assert not tags._skip_test


def test_strict_xfail_is_set(request):
    """Without it an expected failure could pass unnoticed."""
    assert request.config.getini("strict_xfail") is True
