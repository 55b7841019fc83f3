"""ConvNetRegressor in scikit-learn's tools for regression, and the same numbers from a seed."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from _helpers import small_regressor, stripes
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import BaggingRegressor, StackingRegressor, VotingRegressor
from sklearn.inspection import permutation_importance
from sklearn.metrics import PredictionErrorDisplay
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skcnn._targets._losses import LOSSES


@pytest.fixture(scope="module")
def data():
    """Stripes, flattened; the number is their contrast times their direction."""
    X, y = stripes(200, n_classes=2)
    return X.reshape(200, -1)[:150], X.reshape(200, -1)[150:], 3.0 * y[:150] + 1, 3.0 * y[150:] + 1


def regressor(**parameters):
    return small_regressor(**{"max_epochs": 5, "image_shape": (8, 8, 3), **parameters})


def test_in_a_pipeline_and_a_search(data):
    X, X_test, y, y_test = data
    pipeline = make_pipeline(FunctionTransformer(lambda images: images / 255), regressor())
    search = GridSearchCV(
        pipeline,
        {"convnetregressor__lr": [1e-9, 0.1], "convnetregressor__loss": ["squared_error"]},
        cv=2,
    )
    search.fit(X, y)
    assert search.best_params_["convnetregressor__lr"] == 0.1
    assert search.score(X_test, y_test) > 0.8


def test_cross_validation(data):
    X, _, y, _ = data
    predicted = cross_val_predict(regressor(), X, y, cv=2)
    assert np.corrcoef(predicted, y)[0, 1] > 0.8
    scores = cross_val_score(
        regressor(loss="gamma", max_epochs=12), X, y, cv=2, scoring="neg_mean_gamma_deviance"
    )
    assert scores.min() > -0.5


def test_one_network_per_number_or_one_for_all(data):
    X, X_test, y, y_test = data
    both = np.column_stack([y, -y])
    apart = MultiOutputRegressor(regressor()).fit(X, both)
    together = regressor().fit(X, both)
    for fitted in (apart, together):
        assert fitted.predict(X_test).shape == (50, 2)
        assert fitted.score(X_test, np.column_stack([y_test, -y_test])) > 0.7


def test_a_transformed_target(data):
    X, X_test, y, y_test = data
    reg = TransformedTargetRegressor(regressor(), func=np.log, inverse_func=np.exp).fit(X, y)
    assert reg.score(X_test, y_test) > 0.7
    assert reg.predict(X_test).min() > 0


def test_ensembles(data):
    X, X_test, y, y_test = data
    ensembles = [
        VotingRegressor([("a", regressor()), ("b", regressor(random_state=1))]),
        BaggingRegressor(regressor(), n_estimators=3, random_state=0),
        StackingRegressor([("net", regressor()), ("mean", DummyRegressor())], cv=2),
    ]
    for ensemble in ensembles:
        assert ensemble.fit(X, y).score(X_test, y_test) > 0.7, type(ensemble)


def test_permutation_importance_finds_the_pixel_that_counts():
    X = np.random.RandomState(0).rand(200, 6)
    reg = small_regressor(global_pool=None, max_epochs=20).fit(X, X[:, 2])
    importance = permutation_importance(reg, X, X[:, 2], n_repeats=3, random_state=0)
    assert importance.importances_mean.argmax() == 2


def test_predicted_against_actual_is_drawn_by_scikit_learn(data):
    X, X_test, y, y_test = data
    display = PredictionErrorDisplay.from_estimator(regressor().fit(X, y), X_test, y_test)
    assert_array_equal(display.y_true, y_test)
    plt.close(display.figure_)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_same_seed_gives_the_same_network(loss, data):
    X, X_test, y, _ = data
    options = {
        "loss": loss,
        "quantile": 0.8,
        "global_pool": "sum" if loss == "poisson" else "average",
        "augment": ("flip", "mixup"),
        "dropout": (0.1, 0.2),
        "early_stopping": True,
        "max_epochs": 3,
    }
    first, again, other = (regressor(**options, random_state=seed).fit(X, y) for seed in (0, 0, 1))
    assert_array_equal(first.predict(X_test), again.predict(X_test))
    figures = ["train_loss", "valid_loss", "valid_d2"]
    assert_array_equal(first.history_[figures], again.history_[figures])
    assert np.abs(first.predict(X_test) - other.predict(X_test)).max() > 1e-4


def test_an_image_is_predicted_the_same_in_any_company(data):
    X, X_test, y, _ = data
    for parameters in ({}, {"loss": "poisson", "global_pool": "sum"}):
        reg = regressor(**parameters, max_epochs=1).fit(X, y)
        alone = np.concatenate([reg.predict(image[None]) for image in X_test])
        assert_array_equal(alone, reg.predict(X_test))


def test_clones_have_nothing_learned(data):
    X, X_test, y, _ = data
    reg = regressor(loss="quantile", quantile=0.3).fit(X, y)
    copy = clone(reg)
    assert repr(copy) == repr(reg)
    assert not hasattr(copy, "net_")
    assert_allclose(copy.fit(X, y).predict(X_test), reg.predict(X_test), rtol=0)
