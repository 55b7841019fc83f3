"""A second estimator: a target and a signature are all that a new one needs.

The toy predicts the mean brightness of images.
"""

import inspect
import pickle
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from sklearn.base import RegressorMixin, clone, is_regressor
from sklearn.model_selection import GridSearchCV
from sklearn.utils.validation import check_array
from skorch.callbacks import Checkpoint, EpochScoring
from torch.nn import functional as F

from skcnn import ConvNetClassifier
from skcnn._engine._sklearn_callbacks import with_callbacks
from skcnn._estimators._base import ConvNetEstimator
from skcnn._estimators._parameters import CONSTRAINTS
from skcnn._targets import Target
from skcnn._targets._mixing import blend

# An estimator of the package spells its parameters out.
SIGNATURE = inspect.Signature(
    parameter
    for name, parameter in inspect.signature(ConvNetClassifier.__init__).parameters.items()
    if name not in ("label_smoothing", "class_weight")
)


@dataclass(frozen=True)
class NumberTarget(Target):
    """One number per image, standardized: squared error, one output."""

    kind = "regressor"
    n_outputs = 1
    mean: float
    scale: float

    def encode(self, y, name="y"):
        return ((np.asarray(y, dtype=float) - self.mean) / self.scale).astype(np.float32)

    def predict(self, outputs):
        return outputs[:, 0]

    def decode(self, encoded):
        return encoded * self.scale + self.mean

    def loss(self, outputs, encoded, *, training):
        return F.mse_loss(outputs[:, 0], encoded, reduction="none")

    def check(self, y, n_images, name):
        y = check_array(y, ensure_2d=False, dtype=float, input_name=name)
        if y.shape != (n_images,):
            raise ValueError(f"{name} has shape {y.shape}. Expected ({n_images},).")
        return y

    def check_same(self, other):
        pass

    def mix(self, partner, own, encoded, weight):
        return blend(partner, own, encoded, weight)


class BrightnessRegressor(RegressorMixin, ConvNetEstimator):
    """Predicts how bright images are."""

    _parameter_constraints: ClassVar = {n: CONSTRAINTS[n] for n in list(SIGNATURE.parameters)[1:]}

    def __init__(self, *args, **parameters):
        bound = SIGNATURE.bind(self, *args, **parameters)
        bound.apply_defaults()
        vars(self).update(list(bound.arguments.items())[1:])

    __init__.__signature__ = SIGNATURE

    @with_callbacks
    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, groups=None):
        return self._fit(X, y, sample_weight, X_val, y_val, groups)

    def partial_fit(self, X, y, sample_weight=None):
        return self._partial_fit(X, y, sample_weight)

    def predict(self, X):
        return self._target.decode(self._target.predict(self._outputs(X)))

    def _make_target(self, y, classes=None, sample_weight=None):
        return NumberTarget(float(np.mean(y)), float(np.std(y)) or 1.0)


@pytest.fixture(scope="module")
def data():
    """Noise around a brightness of its own in each image; it is the mean of the pixels."""
    rng = np.random.RandomState(0)
    light = rng.uniform(40, 200, size=(240, 1, 1, 1))
    X = (light + rng.normal(0, 20, size=(240, 8, 8, 3))).clip(0, 255).astype(np.uint8)
    y = X.mean(axis=(1, 2, 3))
    return X[:180], y[:180], X[180:], y[180:]


def regressor(**parameters):
    defaults = {
        "filters": (8,),
        "normalization": None,
        "residual": False,
        "augment": None,
        "optimizer": "adam",
        "lr": 0.01,
        "max_epochs": 15,
        "batch_size": 16,
        "device": "cpu",
        "precision": "float32",
        "random_state": 0,
    }
    return BrightnessRegressor(**{**defaults, **parameters})


@pytest.fixture(scope="module")
def fitted(data):
    return regressor().fit(*data[:2])


def test_a_second_estimator_learns_and_scores(fitted, data):
    _, y, X_test, y_test = data
    predicted = fitted.predict(X_test)
    assert predicted.shape == y_test.shape
    assert predicted.dtype.kind == "f"
    assert abs(predicted.mean() - y_test.mean()) < 0.1 * y.std()
    assert fitted.score(X_test, y_test) > 0.95
    assert is_regressor(fitted)
    assert is_regressor(fitted.net_)


def test_a_second_estimator_has_all_that_the_base_offers(fitted, data):
    assert fitted.transform(data[2]).shape == (60, 8)
    assert fitted.get_feature_names_out().tolist() == [f"brightnessregressor{i}" for i in range(8)]
    assert fitted.summary().output_shape == (1,)
    assert list(fitted.history_) == ["train_loss", "valid_loss", "lr", "seconds"]
    assert fitted.loss_curve_[-1] < 0.1 * fitted.loss_curve_[0]
    assert fitted.n_iter_ == 15
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict(data[2]), fitted.predict(data[2]))


def test_a_second_estimator_can_be_cloned_and_searched(fitted, data):
    copy = clone(fitted)
    assert repr(copy) == repr(fitted)
    assert not hasattr(copy, "net_")
    np.testing.assert_array_equal(copy.fit(*data[:2]).predict(data[2]), fitted.predict(data[2]))
    search = GridSearchCV(regressor(max_epochs=4), {"lr": [1e-6, 0.01]}, cv=2).fit(*data[:2])
    assert search.best_params_ == {"lr": 0.01}


def test_a_second_estimator_stops_early_on_rows_of_its_own(data):
    X, y, X_test, y_test = data
    # Without learning nothing improves.
    still = regressor(lr=1e-12, lr_schedule=None, early_stopping=True, n_iter_no_change=3)
    assert still.fit(X, y).n_iter_ == 4
    clf = regressor(lr_schedule=None, early_stopping=True)
    clf.fit(X, y, groups=np.arange(180) // 6)
    assert clf.best_epoch_ == clf.history_["valid_loss"].idxmin()
    assert clf.score(X_test, y_test) > 0.9


def test_a_second_estimator_is_validated_on_other_images(data):
    X, y, X_test, y_test = data
    # At the end, the validation loss is the squared error in units of the variance.
    clf = regressor().fit(X, y, X_val=X_test, y_val=y_test)
    error = np.mean((clf.predict(X_test) - y_test) ** 2) / np.var(y)
    assert clf.history_["valid_loss"].iloc[-1] == pytest.approx(error, rel=1e-3)
    with pytest.raises(ValueError, match="y_val has shape"):
        regressor().fit(X, y, X_val=X_test, y_val=y_test[:5])


def test_a_second_estimator_weights_its_images(data):
    X, y, X_test, y_test = data
    wrong, weight = y.copy(), np.ones(len(y))
    wrong[::2], weight[::2] = 500, 0
    assert regressor().fit(X, wrong, weight).score(X_test, y_test) > 0.9
    assert regressor().fit(X, wrong).score(X_test, y_test) < 0.5


def test_a_second_estimator_takes_batches_of_data_one_by_one(data):
    X, y, X_test, y_test = data
    clf = regressor()
    for _ in range(10):
        for part in range(3):
            clf.partial_fit(X[part::3], y[part::3])
    assert clf.score(X_test, y_test) > 0.9
    assert clf.n_iter_ == 30


def test_a_second_estimator_continues_with_warm_start(data):
    X, y, *_ = data
    clf = regressor(warm_start=True, max_epochs=3).fit(X, y)
    first = clf.loss_curve_[-1]
    assert clf.fit(X, y).n_iter_ == 6
    assert clf.loss_curve_[-1] < first


def test_a_second_estimator_mixes_images_where_its_target_can(data):
    X, y, X_test, y_test = data
    assert regressor(augment="mixup").fit(X, y).score(X_test, y_test) > 0.8

    class Unmixed(BrightnessRegressor):
        def _make_target(self, y, classes=None, sample_weight=None):
            made = super()._make_target(y)
            return type("Unmixed", (NumberTarget,), {"mix": Target.mix})(made.mean, made.scale)

    with pytest.raises(ValueError, match=r"Unmixed cannot mix their targets\. Leave out MixUp"):
        Unmixed(augment="cutmix", device="cpu", max_epochs=1).fit(X, y)


def test_a_second_estimator_has_callbacks_for_its_metrics(data):
    X, y, X_test, y_test = data
    scoring = EpochScoring("r2", lower_is_better=False)
    clf = regressor(callbacks=[scoring]).fit(X, y, X_val=X_test, y_val=y_test)
    assert clf.history_["r2"].iloc[-1] == pytest.approx(clf.score(X_test, y_test), rel=1e-3)
    assert clf.net_.score(X_test, clf._target.encode(y_test)) == pytest.approx(
        clf.score(X_test, y_test), rel=1e-4
    )
    assert not hasattr(clf.net_, "classes_")


def test_errors_of_a_second_estimator_name_it(data):
    X, y, *_ = data
    with pytest.raises(ValueError, match="The 'lr' parameter of BrightnessRegressor"):
        regressor(lr=-1).fit(X, y)

    def module(n_outputs):
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, n_outputs + 1))

    with pytest.raises(ValueError, match=r"\('n', 2\), expected 1 output, \('n', 1\)"):
        BrightnessRegressor(module=module, device="cpu").fit(X, y)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_training_that_continues_keeps_the_scale_of_the_first_y(method, data):
    X, y, X_test, _ = data
    clf = regressor(warm_start=True, max_epochs=1, lr=1e-9).fit(X, y)
    before = clf.predict(X_test)
    # The network was trained on the first scale; at this rate it learns nothing more.
    np.testing.assert_allclose(getattr(clf, method)(X, 10 * y).predict(X_test), before, rtol=1e-3)


@dataclass(frozen=True)
class ScoredTarget(NumberTarget):
    """Validation reports how far predictions are from y, or how near."""

    score_name = "figure"

    def score(self, outputs, encoded):
        distance = (outputs[:, 0] - encoded).abs()
        return distance if self.lower_score_is_better else -distance


class ErrorTarget(ScoredTarget):
    lower_score_is_better = True


@pytest.mark.parametrize("kind", [ScoredTarget, ErrorTarget])
def test_the_best_epoch_so_far_is_that_of_the_best_score_as_the_target_sees_it(
    kind, data, tmp_path
):
    class Regressor(BrightnessRegressor):
        def _make_target(self, y, classes=None, sample_weight=None):
            return kind(float(np.mean(y)), float(np.std(y)))

    Regressor.__init__.__signature__ = SIGNATURE
    checkpoint = Checkpoint(
        monitor="valid_figure_best", dirname=str(tmp_path), load_best=True, f_history=None
    )
    # The rate is so high that the error rises and falls.
    clf = regressor(lr=0.1, max_epochs=8, lr_schedule=None, callbacks=[checkpoint])
    clf = Regressor(**clf.get_params()).fit(*data[:2], X_val=data[2], y_val=data[3])
    figures = clf.history_["valid_figure"].to_numpy()
    best = np.minimum if kind is ErrorTarget else np.maximum
    so_far = best.accumulate(figures)
    expected = [n == 0 or so_far[n] != so_far[n - 1] for n in range(8)]
    assert clf.net_.history[:, "valid_figure_best"] == expected
    assert not all(expected)
    assert any(expected[1:])
    # What is the best of all was loaded at the end.
    distance = np.abs(clf.predict(data[2]) - data[3]) / data[1].std()
    assert distance.mean() == pytest.approx(np.abs(figures).min(), rel=1e-3)
