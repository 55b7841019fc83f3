"""ConvNetClassifier, method by method and attribute by attribute."""

import inspect
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from _helpers import Spy, small_blocks, small_net, stripes
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import softmax
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback
from torch import nn

from skcnn import ConvNetClassifier
from skcnn._estimators._parameters import NETWORK_PARAMETERS
from skcnn.augmentation import Cutout
from skcnn.datasets import fetch_cifar100, make_organisms
from skcnn.networks import ConvBlocks
from skcnn.optimizers import SGD


@pytest.fixture(scope="module")
def data():
    """180 images to train on and 60 to test, three classes."""
    X, y = stripes(240)
    return X[:180], X[180:], y[:180], y[180:]


@pytest.fixture(scope="module")
def fitted(data):
    X, _, y, _ = data
    return small_net().fit(X, y)


@pytest.fixture(scope="module")
def two_classes():
    X, y = stripes(160, n_classes=2)
    names = np.array(["across", "down"])[y]
    return small_net().fit(X[:100], names[:100]), X[100:], names[100:]


def noise(n, seed=0, size=8):
    """Images without anything to learn from."""
    return np.random.RandomState(seed).randint(256, size=(n, size, size, 1)).astype(np.uint8)


def documented(section):
    """Names in a section of the class's docstring."""
    text = inspect.getdoc(ConvNetClassifier)
    body = re.search(rf"^{section}\n-+\n(.*?)(?=^\w[\w ]*\n-+\n|\Z)", text, re.M | re.S)[1]
    return re.findall(r"^(\w+) : (.*)", body, re.M)


# ---------------------------------------------------------------- fit and predict


def test_learns_what_tells_the_classes_apart(fitted, data):
    _, X_test, _, y_test = data
    assert fitted.score(X_test, y_test) > 0.95
    assert fitted.score(X_test, y_test) == (fitted.predict(X_test) == y_test).mean()


def test_score_takes_weights(fitted, data):
    _, X, _, y = data
    wrong = np.where(np.arange(len(y)) < 30, (y + 1) % 3, y)
    weight = np.arange(len(y)) >= 30
    assert fitted.score(X, wrong) < 0.6
    assert fitted.score(X, wrong, sample_weight=weight) > 0.9


def test_fit_returns_the_estimator_itself(data):
    X, _, y, _ = data
    clf = small_net(max_epochs=1)
    assert clf.fit(X, y) is clf
    assert clf.partial_fit(X, y) is clf


def test_outputs_agree_with_each_other(fitted, data):
    X = data[1]
    logits = fitted.decision_function(X)
    assert (logits.shape, logits.dtype) == ((60, 3), np.float64)
    probability = fitted.predict_proba(X)
    assert (probability.shape, probability.dtype) == ((60, 3), np.float64)
    assert_allclose(probability, softmax(logits, axis=1), rtol=1e-12)
    assert_allclose(probability.sum(axis=1), 1, rtol=1e-12)
    assert_allclose(np.exp(fitted.predict_log_proba(X)), probability, rtol=1e-12)
    assert_array_equal(fitted.predict(X), fitted.classes_[logits.argmax(axis=1)])


def test_two_classes_have_one_logit_whose_sign_is_the_prediction(two_classes):
    clf, X, y = two_classes
    logit = clf.decision_function(X)
    assert logit.shape == (60,)
    assert_array_equal(clf.predict(X), clf.classes_[(logit > 0).astype(int)])
    assert_allclose(clf.predict_proba(X)[:, 1], 1 / (1 + np.exp(-logit)), rtol=1e-9)
    assert clf.score(X, y) > 0.95


def test_logarithms_stay_finite_where_probabilities_vanish(data):
    X, _, y, _ = data
    clf = small_net(label_smoothing=0).fit(X, y)
    with torch.no_grad():
        clf.module_.head.weight *= 10_000
    assert clf.predict_proba(X).min() == 0
    assert np.isfinite(clf.predict_log_proba(X)).all()


def test_an_image_is_predicted_the_same_in_any_company(fitted, data):
    X = data[1]
    together = fitted.predict_proba(X)
    assert_array_equal(fitted.predict_proba(X[7:8]), together[7:8])
    assert_array_equal(fitted.predict_proba(X[::-1]), together[::-1])


def test_predicting_changes_nothing(fitted, data):
    before = pickle.dumps(fitted.module_.state_dict())
    fitted.predict_proba(data[1])
    fitted.transform(data[1])
    assert pickle.dumps(fitted.module_.state_dict()) == before


def test_images_given_to_fit_are_left_as_they_were(data):
    X, _, y, _ = data
    for dtype in (np.uint8, np.float32):
        given = X.astype(dtype)
        small_net(max_epochs=2, augment=("flip", "shift")).fit(given, y)
        assert_array_equal(given, X)


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        pytest.param(["wolf", "elm", "bee"], "U", id="strings"),
        pytest.param(np.array(["wolf", "elm", "bee"], dtype=object), "OTU", id="objects"),
        pytest.param([-5, 1000, 7], "i", id="integers with gaps"),
        pytest.param(np.array([3, 1, 250], dtype=np.uint8), "u", id="unsigned"),
        pytest.param([2.0, 0.0, 1.0], "f", id="whole floats"),
        pytest.param([True, False], "b", id="booleans"),
    ],
)
def test_labels_come_back_as_they_went_in(labels, kind):
    labels = np.asarray(labels)
    X, codes = stripes(120, n_classes=len(labels))
    clf = small_net().fit(X, labels[codes])
    assert_array_equal(clf.classes_, np.sort(labels))
    predicted = clf.predict(X)
    assert predicted.dtype == clf.classes_.dtype
    assert predicted.dtype.kind in kind
    assert (predicted == labels[codes]).mean() > 0.95


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(list, id="list"),
        pytest.param(pd.Series, id="Series"),
        pytest.param(lambda y: pd.Series(y, index=range(1000, 1000 + len(y))), id="index"),
        pytest.param(lambda y: pd.Series(y).astype("category"), id="categorical"),
    ],
)
def test_labels_may_come_in_any_container(wrap, data):
    X, _, y, _ = data
    names = np.array(["a", "b", "c"])[y]
    expected = small_net(max_epochs=2).fit(X, names).predict_proba(X)
    assert_array_equal(small_net(max_epochs=2).fit(X, wrap(names)).predict_proba(X), expected)


# ---------------------------------------------------------------- transform


@pytest.mark.parametrize(
    ("parameters", "n_features"),
    [
        pytest.param({}, 16, id="average"),
        pytest.param({"global_pool": "max"}, 16, id="max"),
        pytest.param({"global_pool": None}, 2 * 2 * 16, id="flatten"),
        pytest.param({"dense_units": 5}, 5, id="dense"),
        pytest.param({"dense_units": (7, 4), "dropout": 0.2}, 4, id="two dense"),
    ],
)
def test_transform_gives_what_goes_into_the_last_layer(parameters, n_features, data):
    X, X_test, y, _ = data
    clf = small_net(max_epochs=1, **parameters).fit(X, y)
    features = clf.transform(X_test)
    assert (features.shape, features.dtype) == ((60, n_features), np.float32)
    output = clf.module_.head
    logits = features @ output.weight.detach().numpy().T + output.bias.detach().numpy()
    assert_allclose(logits, clf.decision_function(X_test), rtol=1e-4, atol=1e-5)
    names = clf.get_feature_names_out()
    assert names.tolist() == [f"convnetclassifier{i}" for i in range(n_features)]


# ---------------------------------------------------------------- weights


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_images_of_weight_zero_have_no_say(method, data):
    X, X_test, y, y_test = data
    wrong = np.arange(len(y)) % 10 < 6
    labels = np.where(wrong, (y + 1) % 3, y)
    weight = np.where(wrong, 0.0, 1.0)

    def score(weight):
        clf = small_net(lr=0.05)
        for _ in range(1 if method == "fit" else 6):
            getattr(clf, method)(X, labels, sample_weight=weight)
        return clf.score(X_test, y_test)

    assert score(weight) > 0.9
    assert score(None) < 0.6


def test_only_the_proportions_of_weights_count(data):
    X, _, y, _ = data
    weight = np.random.RandomState(0).randint(1, 5, size=len(y))
    plain = small_net(max_epochs=2).fit(X, y).predict_proba(X)
    equal = small_net(max_epochs=2).fit(X, y, sample_weight=np.full(len(y), 8))
    assert_array_equal(equal.predict_proba(X), plain)
    some = small_net(max_epochs=2).fit(X, y, sample_weight=weight).predict_proba(X)
    double = small_net(max_epochs=2).fit(X, y, sample_weight=2 * weight).predict_proba(X)
    assert_array_equal(double, some)
    assert np.abs(some - plain).max() > 1e-4


def test_class_weight_is_sample_weight_by_class(data):
    X, _, y, _ = data
    names = np.array(["a", "b", "c"])[y]
    weight = np.array([1.0, 3.0, 0.5])
    by_class = small_net(max_epochs=2, class_weight={"c": 0.5, "b": 3}).fit(X, names)
    by_row = small_net(max_epochs=2).fit(X, names, sample_weight=weight[y])
    assert_array_equal(by_class.predict_proba(X), by_row.predict_proba(X))
    both = small_net(max_epochs=2, class_weight={"b": 3}).fit(
        X, names, sample_weight=np.array([2, 2, 1])[y]
    )
    assert_array_equal(both.predict_proba(X), by_row.predict_proba(X))


@pytest.mark.parametrize(
    ("class_weight", "expected"),
    [
        pytest.param(None, 0.1, id="none"),
        pytest.param("balanced", 0.5, id="balanced"),
        pytest.param({0: 1, 1: 81}, 0.9, id="dict"),
    ],
)
def test_class_weight_shifts_what_is_expected_of_noise(class_weight, expected):
    X, y = noise(200), np.arange(200) % 10 == 0
    clf = small_net(
        class_weight=class_weight, filters=2, lr=0.01, max_epochs=15, label_smoothing=0
    ).fit(X, y.astype(int))
    assert clf.predict_proba(X)[:, 1].mean() == pytest.approx(expected, abs=0.1)


# ---------------------------------------------------------------- validation, early stopping


@pytest.fixture(scope="module")
def overfitted():
    """A network that soon learns noise by heart, so that its validation loss rises again."""
    X, y = noise(80), np.arange(80) % 2
    X_val, y_val = noise(80, seed=1), np.arange(80) % 2
    clf = small_net(
        early_stopping=True, n_iter_no_change=4, max_epochs=60, lr=0.02, lr_schedule=None
    )
    return clf.fit(X, y, X_val=X_val, y_val=y_val), X_val, y_val


def test_early_stopping_stops_after_so_many_epochs_without_improvement(overfitted):
    clf, _, _ = overfitted
    assert clf.n_iter_ == clf.best_epoch_ + 4 < 60
    assert clf.n_iter_ == len(clf.history_) == len(clf.loss_curve_)


def test_early_stopping_restores_the_best_weights(overfitted):
    clf, X_val, y_val = overfitted
    losses = clf.history_["valid_loss"]
    assert losses.idxmin() == clf.best_epoch_
    assert log_loss(y_val, clf.predict_proba(X_val)) == pytest.approx(losses.min(), rel=1e-5)
    assert losses.iloc[-1] > losses.min() + 1e-3
    accuracy = clf.history_.loc[clf.best_epoch_, "valid_accuracy"]
    assert clf.score(X_val, y_val) == pytest.approx(accuracy)


def test_early_stopping_without_an_end_in_sight_uses_all_epochs(data):
    X, X_val, y, y_val = data
    clf = small_net(early_stopping=True, max_epochs=5).fit(X, y, X_val=X_val, y_val=y_val)
    assert clf.n_iter_ == 5
    assert clf.score(X_val, y_val) > 0.9


def test_an_improvement_has_to_be_larger_than_tol(data):
    X, X_val, y, y_val = data
    # So low a rate that the loss falls in each epoch.
    clf = small_net(early_stopping=True, max_epochs=8, n_iter_no_change=3, lr=0.001)
    clf.set_params(lr_schedule=None)
    assert clone(clf).set_params(tol=0).fit(X, y, X_val=X_val, y_val=y_val).n_iter_ == 8
    assert clone(clf).set_params(tol=1e3).fit(X, y, X_val=X_val, y_val=y_val).n_iter_ == 4


def test_the_lowest_validation_loss_is_restored_even_if_it_fell_by_less_than_tol(data):
    X, X_val, y, y_val = data
    clf = small_net(early_stopping=True, n_iter_no_change=4, lr=0.01, tol=1e3)
    clf.fit(X, y, X_val=X_val, y_val=y_val)
    losses = clf.history_["valid_loss"]
    assert losses.idxmin() > 1
    assert log_loss(y_val, clf.predict_proba(X_val)) == pytest.approx(losses.min(), rel=1e-4)


def test_a_net_that_has_stopped_early_can_be_trained_on_by_itself(data):
    X, _, y, _ = data
    clf = small_net(early_stopping=True, max_epochs=2).fit(X, y)
    before = clf.predict_proba(X)
    clf.net_.partial_fit(X, clf.classes_.searchsorted(y), epochs=3)
    assert len(clf.net_.history) == 5
    assert not np.allclose(clf.predict_proba(X), before)


def test_a_refit_without_early_stopping_has_no_best_epoch(data):
    X, _, y, _ = data
    clf = small_net(early_stopping=True, max_epochs=1).fit(X, y)
    assert clf.best_epoch_ == 1
    clf.set_params(early_stopping=False).fit(X, y)
    assert not hasattr(clf, "best_epoch_")


def test_a_partial_fit_after_early_stopping_has_no_best_epoch(data):
    X, _, y, _ = data
    clf = small_net(early_stopping=True, max_epochs=1).fit(X, y)
    clf.partial_fit(X, y)
    assert clf.n_iter_ == 2
    # Its weights are those of the last epoch.
    assert not hasattr(clf, "best_epoch_")


def _split(clf, X, y, **more):
    """Rows that a fit trained on and validated with, read off the images themselves."""
    numbered = np.zeros((len(X), 8, 8, 1), dtype=np.float32)
    numbered[:] = np.arange(len(X))[:, None, None, None]
    spy = Spy()
    clf.set_params(callbacks=[spy], max_epochs=1).fit(numbered, y, **more)
    return [
        np.array([], dtype=int) if d is None else d.X[np.arange(len(d))][:, 0, 0, 0].astype(int)
        for d in (spy.training_, spy.validation_)
    ]


@pytest.mark.parametrize(("fraction", "n_held_out"), [(0.1, 20), (0.25, 50)])
def test_validation_images_are_held_out_in_proportion_of_their_classes(fraction, n_held_out):
    y = np.repeat([0, 1, 2], [120, 60, 20])
    training, validation = _split(
        small_net(early_stopping=True, validation_fraction=fraction), noise(200), y
    )
    assert len(validation) == n_held_out
    assert_array_equal(np.bincount(y[validation]), n_held_out * np.array([0.6, 0.3, 0.1]))
    assert_array_equal(np.sort(np.r_[training, validation]), np.arange(200))


def test_which_images_are_held_out_is_left_to_the_random_state():
    y = np.arange(100) % 2
    clf = small_net(early_stopping=True)
    first, again, other = (
        _split(clone(clf).set_params(random_state=seed), noise(100), y)[1] for seed in (0, 0, 1)
    )
    assert_array_equal(first, again)
    assert set(first) != set(other)


def test_groups_are_not_parted():
    groups = np.repeat(np.arange(25), 4)
    y = np.repeat(np.arange(50) % 2, 2)
    clf = small_net(early_stopping=True, validation_fraction=0.2)
    training, validation = _split(clf, noise(100), y, groups=groups)
    assert len(training) + len(validation) == 100
    assert 12 <= len(validation) <= 28
    assert not set(groups[training]) & set(groups[validation])
    # Without groups they are parted, or this would show nothing.
    training, validation = _split(clone(clf), noise(100), y)
    assert set(groups[training]) & set(groups[validation])


@pytest.mark.parametrize("early_stopping", [False, True])
def test_validation_images_of_the_caller_leave_all_others_for_training(early_stopping, data):
    _, X_val, _, y_val = data
    clf = small_net(early_stopping=early_stopping)
    training, validation = _split(clf, noise(60), y_val, X_val=X_val[..., :1], y_val=y_val)
    assert_array_equal(training, np.arange(60))
    assert len(validation) == 60
    assert clf.history_["valid_loss"].notna().all()
    assert hasattr(clf, "best_epoch_") == early_stopping


def test_watching_a_validation_set_does_not_change_the_training(fitted, data):
    X, X_val, y, y_val = data
    watched = small_net().fit(X, y, X_val=X_val, y_val=y_val)
    assert_array_equal(watched.predict_proba(X_val), fitted.predict_proba(X_val))
    last = watched.history_.iloc[-1]
    assert last["valid_accuracy"] == pytest.approx(watched.score(X_val, y_val))
    assert last["valid_loss"] == pytest.approx(log_loss(y_val, watched.predict_proba(X_val)), 1e-5)


def test_validation_labels_may_lack_a_class(data):
    X, X_val, y, y_val = data
    some = y_val != 1
    clf = small_net(max_epochs=2).fit(X, y, X_val=X_val[some], y_val=y_val[some])
    assert clf.history_["valid_accuracy"].between(0, 1).all()


# ---------------------------------------------------------------- warm start, partial_fit


def test_warm_start_goes_on(data):
    X, X_test, y, y_test = data
    clf = small_net(warm_start=True, max_epochs=2, lr_schedule=None, lr=0.02).fit(X, y)
    net, before = clf.net_, clf.loss_curve_
    clf.fit(X, y)
    assert clf.net_ is net
    assert clf.n_iter_ == 4
    assert clf.loss_curve_[:2] == before
    assert clf.loss_curve_[2] < before[0]
    assert clf.history_.index.tolist() == [1, 2, 3, 4]
    clf.set_params(max_epochs=6).fit(X, y)
    assert clf.n_iter_ == 10
    assert clf.score(X_test, y_test) > 0.9


def test_a_training_that_goes_on_takes_the_rates_of_now(data):
    X, _, y, _ = data
    clf = small_net(warm_start=True, max_epochs=1, lr=0.02, bias_lr_factor=2).fit(X, y)
    rates = [group["lr"] for group in clf.net_.optimizer_.param_groups]
    # Filters of convolutions, the weights of the head, and everything else.
    assert rates == pytest.approx([0.02, 0.02, 0.04])
    clf.set_params(lr=0.01, bias_lr_factor=8).fit(X, y)
    rates = [group["lr"] for group in clf.net_.optimizer_.param_groups]
    assert rates == pytest.approx([0.01, 0.01, 0.08])


def test_without_warm_start_each_fit_begins_afresh(data):
    X, _, y, _ = data
    clf = small_net(max_epochs=2).fit(X, y)
    first = clf.predict_proba(X)
    assert_array_equal(clf.fit(X, y).predict_proba(X), first)
    assert clf.n_iter_ == 2
    # Also on images of another shape, with other labels.
    X, y = stripes(80, n_classes=2, size=12, channels=1)
    assert clf.fit(X, y == 1).image_shape_ == (12, 12, 1)
    assert clf.classes_.tolist() == [False, True]


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_going_on_with_other_classes_is_an_error(method, data):
    X, _, y, _ = data
    clf = small_net(warm_start=True, max_epochs=1).fit(X, y)
    before = clf.predict_proba(X)
    with pytest.raises(ValueError, match=r"classes.*\[0, 1, 2\]"):
        getattr(clf, method)(X, y + 1)
    assert clf.classes_.tolist() == [0, 1, 2]
    assert_array_equal(clf.predict_proba(X), before)


def test_going_on_with_images_of_another_shape_is_an_error(data):
    X, _, y, _ = data
    clf = small_net(warm_start=True, max_epochs=1).fit(X, y)
    with pytest.raises(ValueError, match=r"height 6, width 8.*fitted on images of height 8"):
        clf.fit(X[:, 1:-1], y)


def test_partial_fit_learns_batch_by_batch(data):
    X, X_test, y, y_test = data
    clf = small_net(lr=0.02)
    order = np.argsort(y, kind="stable")
    clf.partial_fit(X[order[:60]], y[order[:60]], classes=[2, 0, 1])
    assert clf.classes_.tolist() == [0, 1, 2]
    assert clf.n_iter_ == 1
    for _ in range(8):
        for part in np.array_split(np.random.RandomState(0).permutation(len(y)), 3):
            clf.partial_fit(X[part], y[part])
    assert clf.n_iter_ == 25
    assert clf.score(X_test, y_test) > 0.9
    assert (clf.history_["lr"] == 0.02).all()


def test_partial_fit_finds_the_classes_where_the_first_batch_has_them_all(data):
    X, _, y, _ = data
    clf = small_net().partial_fit(X, y)
    assert clf.classes_.tolist() == [0, 1, 2]
    clf.partial_fit(X[y == 1], y[y == 1])
    assert clf.n_iter_ == 2


def test_partial_fit_goes_on_after_fit(data):
    X, _, y, _ = data
    clf = small_net(max_epochs=3).fit(X, y)
    assert clf.partial_fit(X, y).n_iter_ == 4
    assert clf.fit(X, y).n_iter_ == 3


# ---------------------------------------------------------------- a network of one's own


class OwnNetwork(nn.Module):
    """Takes only what it needs of what it is offered."""

    def __init__(self, n_channels, n_classes):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(n_channels, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.head = nn.Linear(6, n_classes)

    def forward(self, images):
        return self.head(self.body(images).flatten(1))


class Convolutions(nn.Module):
    """A network without any dense layer."""

    def __init__(self, n_channels, n_classes):
        super().__init__()
        self.convolution = nn.Conv2d(n_channels, n_classes, 3)

    def forward(self, images):
        return self.convolution(images).relu().mean((2, 3))


def make_network(image_shape, n_classes):
    height, width, channels = image_shape
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, padding="same"),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(height * width * 8, 5),
        nn.ReLU(),
        nn.Linear(5, n_classes),
    )


def make_with_keywords(**offered):
    sizes = {"n_channels": 3, "n_outputs": 3, "n_classes": 3}
    assert offered == {"image_shape": (8, 8, 3), **sizes}
    return OwnNetwork(offered["n_channels"], offered["n_classes"])


def make_for_these_images():
    return OwnNetwork(3, 3)


@pytest.mark.parametrize(
    ("module", "n_features"),
    [
        pytest.param(OwnNetwork, 6, id="class"),
        pytest.param(make_network, 5, id="function"),
        pytest.param(make_with_keywords, 6, id="keywords"),
        pytest.param(make_for_these_images, 6, id="no arguments"),
    ],
)
def test_a_network_of_ones_own_is_trained(module, n_features, data):
    X, X_test, y, y_test = data
    clf = small_net(module=module, max_epochs=20, optimizer="adam", lr=0.02, lr_schedule=None).fit(
        X, y
    )
    assert clf.score(X_test, y_test) > 0.85
    features = torch.tensor(clf.transform(X_test))
    assert features.shape == (60, n_features)
    own = clf.module_.own
    head = own.head if hasattr(own, "head") else own[-1]
    with torch.inference_mode():
        assert_allclose(head(features), clf.decision_function(X_test), rtol=1e-4, atol=1e-5)
    assert len(clf.get_feature_names_out()) == n_features
    assert clf.summary().n_parameters == sum(p.numel() for p in clf.module_.parameters())
    again = pickle.loads(pickle.dumps(clf))
    assert_array_equal(again.predict_proba(X_test), clf.predict_proba(X_test))


def convolutions_in_a_row(n_channels, n_classes):
    return nn.Sequential(
        nn.Conv2d(n_channels, n_classes, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


@pytest.mark.parametrize(
    ("module", "kind"), [(Convolutions, "Convolutions"), (convolutions_in_a_row, "Sequential")]
)
def test_a_network_that_does_not_name_its_features_lacks_only_transform(module, kind, data):
    X, X_test, y, _ = data
    clf = small_net(module=module, max_epochs=2).fit(X, y)
    assert clf.predict_proba(X_test).shape == (60, 3)
    assert kind not in str(clf.summary())
    message = f"module= is a {kind} that does not say .* `body` and `head`.* torch.nn.Linear"
    with pytest.raises(ValueError, match=message):
        clf.transform(X_test)
    with pytest.raises(ValueError, match=message):
        clf.get_feature_names_out()


def test_conv_blocks_are_the_network_of_the_flat_parameters(data):
    X, X_test, y, _ = data
    options = {"filters": (4, 6), "kernel_size": 5, "residual": True, "dense_units": 7}
    more = {"max_epochs": 2, "augment": "shift", "early_stopping": True}
    flat = small_net(**options, **more).fit(X, y)
    spec = ConvBlocks(**{name: flat.get_params()[name] for name in NETWORK_PARAMETERS})
    blocks = small_net(module=spec, **more).fit(X, y)
    one, other = blocks.module_.state_dict(), flat.module_.state_dict()
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert_array_equal(blocks.predict_proba(X_test), flat.predict_proba(X_test))
    assert_array_equal(blocks.transform(X_test), flat.transform(X_test))
    assert blocks.summary() == flat.summary()
    assert repr(blocks.module_) == repr(flat.module_)


def test_the_network_is_given_standardised_pixels(data):
    X, _, y, _ = data
    seen = []

    class Looking(OwnNetwork):
        def forward(self, images):
            seen.append((images.detach().mean((0, 2, 3)), images.detach().std((0, 2, 3))))
            return super().forward(images)

    small_net(module=Looking, max_epochs=1, batch_size=180).fit(X, y)
    mean, deviation = seen[-1]
    assert_allclose(mean, 0, atol=1e-4)
    assert_allclose(deviation, 1, atol=1e-3)


# ---------------------------------------------------------------- what a fit leaves behind


def test_history_has_one_row_an_epoch(fitted):
    history = fitted.history_
    assert history.columns.tolist() == [
        "train_loss",
        "valid_loss",
        "valid_accuracy",
        "lr",
        "seconds",
    ]
    assert history.index.name == "epoch"
    assert history.index.tolist() == [1, 2, 3, 4, 5, 6]
    assert history["valid_loss"].isna().all()
    assert history["valid_accuracy"].isna().all()
    assert (history["seconds"] > 0).all()
    assert fitted.loss_curve_ == history["train_loss"].tolist()
    assert fitted.n_iter_ == 6
    assert fitted.loss_curve_[-1] < fitted.loss_curve_[0]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        # Up for a fifth of the 30 steps, then down to zero: the rate of every sixth step.
        pytest.param(
            "onecycle", [0.1 * 11 / 12, 0.1 * 19 / 24, 0.1 * 13 / 24, 0.1 * 7 / 24, 0.1 / 24]
        ),
        pytest.param(
            "cosine", [0.05 * (1 + np.cos(np.pi * step / 30)) for step in (5, 11, 17, 23, 29)]
        ),
        pytest.param(None, [0.1] * 5),
    ],
)
def test_history_shows_the_learning_rate_of_the_schedule(schedule, expected, data):
    X, _, y, _ = data
    clf = small_net(lr_schedule=schedule, max_epochs=5, batch_size=30).fit(X, y)
    assert_allclose(clf.history_["lr"], expected, rtol=1e-6)


def test_training_loss_is_that_of_the_weighted_smoothed_targets():
    """One batch of all images: the loss noted is that of the network before its first step."""
    X, y = stripes(60)
    weight = np.random.RandomState(0).uniform(size=60)
    clf = small_net(max_epochs=1, batch_size=60, lr=1e-12, label_smoothing=0.2)
    clf.set_params(normalization=None).fit(X, y, sample_weight=weight)
    log_p = clf.predict_log_proba(X)
    target = 0.8 * np.eye(3)[y] + 0.2 / 3
    expected = np.average(-(target * log_p).sum(axis=1), weights=weight)
    assert clf.loss_curve_[0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu")], ids=["text", "torch"])
def test_device_is_where_the_network_lies(device, data):
    X, _, y, _ = data
    clf = small_net(device=device, max_epochs=1).fit(X, y)
    assert clf.device_ == torch.device("cpu")
    assert {p.device for p in clf.module_.parameters()} == {clf.device_}


def test_shapes_of_the_images_are_noted():
    X, y = stripes(40, size=12, channels=1, n_classes=2)
    clf = small_net(max_epochs=1).fit(X, y)
    assert clf.image_shape_ == (12, 12, 1)
    assert clf.n_features_in_ == 144
    assert not hasattr(clf, "feature_names_in_")


def test_attributes_are_there_after_fit_and_only_then(data):
    names = [name for name, _ in documented("Attributes")]
    assert {"classes_", "net_", "module_", "device_", "history_", "best_epoch_"} <= {*names}
    X, _, y, _ = data
    X = pd.DataFrame(X.reshape(len(X), -1)).rename(columns=str)
    clf = small_net(max_epochs=1, early_stopping=True)
    assert [name for name in names if hasattr(clf, name)] == []
    clf.fit(X, y)
    # Nothing was left out: all images could be read.
    assert [name for name in names if not hasattr(clf, name)] == ["skipped_"]
    public = {name for name in vars(clf) if name.endswith("_") and not name.startswith("_")}
    assert public <= {*names}


def test_parameters_are_documented_as_they_are():
    signature = inspect.signature(ConvNetClassifier).parameters
    sections = [documented("Parameters"), documented("Other Parameters")]
    names = [name for lines in sections for name, _ in lines]
    assert len(signature) == 43
    assert sorted(names) == sorted(signature)
    for lines in sections:
        for name, line in lines:
            default = eval(re.search(r"default=(.*)", line)[1])
            assert default == signature[name].default, name
            assert type(default) is type(signature[name].default), name
    # The text above the sections lists each of them once, in one of its groups.
    groups = re.search(r"five groups:\n(.*?)\n\n\w", inspect.getdoc(ConvNetClassifier), re.S)[1]
    assert re.findall(r"`(\w+)`", groups) == list(signature)
    assert len(re.findall("^- ", groups, re.M)) == 5


@pytest.mark.parametrize("name", ["module_", "device_"])
def test_reading_a_fitted_attribute_too_early_says_so(name):
    clf = ConvNetClassifier()
    assert not hasattr(clf, name)
    with pytest.raises(NotFittedError, match="ConvNetClassifier instance is not fitted yet"):
        getattr(clf, name)


@pytest.mark.parametrize(
    "method",
    ["predict", "predict_proba", "predict_log_proba", "decision_function", "transform"],
)
def test_methods_need_a_fit(method, data):
    with pytest.raises(NotFittedError, match="ConvNetClassifier instance is not fitted yet"):
        getattr(ConvNetClassifier(), method)(data[0])


def test_summary_and_names_of_features_need_a_fit():
    with pytest.raises(NotFittedError):
        ConvNetClassifier().summary()
    with pytest.raises(NotFittedError):
        ConvNetClassifier().get_feature_names_out()


@pytest.mark.parametrize(
    "parameters",
    [
        {"filters": [4, 8], "dropout": np.array([0.1, 0.2]), "pool": ["max", None]},
        {"filters": np.array([4, 5]), "augment": Cutout(0.25), "optimizer": SGD(0.8)},
        {"module": ConvBlocks([4, 8], stem="whitening", dropout=np.array([0.1, 0.2]))},
    ],
    ids=["sequences", "objects", "module"],
)
def test_fit_does_not_change_parameters(parameters, data):
    X, _, y, _ = data
    clf = small_net(**parameters, max_epochs=1)
    before = {name: (value, repr(value)) for name, value in clf.get_params().items()}
    clf.fit(X, y)
    after = clf.get_params()
    assert after.keys() == before.keys()
    for name, (value, text) in before.items():
        assert after[name] is value
        assert repr(value) == text


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({}, id="plain"),
        pytest.param({"early_stopping": True}, id="held out"),
        pytest.param({"given": True}, id="given"),
        pytest.param({"early_stopping": True, "given": True}, id="given and stopping"),
    ],
)
def test_pickles_hold_no_images(more):
    more = dict(more)
    given = more.pop("given", False)

    def size(n):
        X, y = stripes(n)
        clf = small_net(max_epochs=1, filters=(4,), batch_size=100, **more)
        validation = {"X_val": X[::2], "y_val": y[::2]} if given else {}
        clf.fit(X, y, sample_weight=np.ones(n), **validation)
        again = pickle.loads(pickle.dumps(clf))
        assert_array_equal(again.predict_proba(X), clf.predict_proba(X))
        return len(pickle.dumps(clf))

    # A few bytes a batch go to the history.
    assert abs(size(1000) - size(100)) < 2_000


def test_a_pickled_network_can_be_trained_further(data):
    X, _, y, _ = data
    clf = small_net(warm_start=True, max_epochs=2, optimizer="adam", lr=0.01).fit(X, y)
    again = pickle.loads(pickle.dumps(clf))
    assert_array_equal(again.fit(X, y).predict_proba(X), clf.fit(X, y).predict_proba(X))
    assert again.n_iter_ == 4


# ---------------------------------------------------------------- what is shown while training


def test_verbose_shows_a_bar_with_the_figures(data, capsys):
    X, X_val, y, y_val = data
    clf = small_net(verbose=1, max_epochs=3).fit(X, y, X_val=X_val, y_val=y_val)
    out, err = capsys.readouterr()
    assert out == ""
    last = clf.history_.iloc[-1]
    figures = (
        f", epoch 3, loss {last['train_loss']:.3f}, valid loss {last['valid_loss']:.3f}, "
        f"accuracy {last['valid_accuracy']:.3f}"
    )
    line = err.split("\r")[-1]
    assert line.rstrip().endswith(figures)
    assert line.startswith("fit 100%|██████████| ")
    # In a terminal of 80 columns, all figures are there, and some of the bar.
    assert len(line.rstrip()) <= 88
    assert "valid" not in _shown(small_net(verbose=1, max_epochs=1), X, y, capsys)


def _shown(clf, X, y, capsys):
    clf.fit(X, y)
    return "".join(capsys.readouterr())


@pytest.mark.parametrize("more", [{}, {"early_stopping": True, "n_iter_no_change": 1}])
def test_nothing_is_shown_unless_wished(more, data, capsys):
    X, _, y, _ = data
    assert _shown(small_net(**more), X, y, capsys) == ""


def test_verbose_does_not_change_the_network(fitted, data):
    X, _, y, _ = data
    assert_array_equal(small_net(verbose=1).fit(X, y).predict_proba(X), fitted.predict_proba(X))


# ---------------------------------------------------------------- parameters at work


@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param({"filters": 8}, id="one filter number"),
        pytest.param({"filters": [4, 16], "convs_per_block": [1, 2]}, id="lists"),
        pytest.param({"kernel_size": (2, 5)}, id="kernels"),
        pytest.param({"pool": ("average", None), "pool_size": (3, 2)}, id="pooling"),
        pytest.param({"activation": "leaky_relu"}, id="leaky_relu"),
        pytest.param({"activation": "elu"}, id="elu"),
        pytest.param({"activation": "gelu"}, id="gelu"),
        pytest.param({"activation": "silu"}, id="silu"),
        pytest.param({"activation": "tanh"}, id="tanh"),
        pytest.param({"normalization": (None, "batch")}, id="normalization"),
        pytest.param({"residual": (False, True), "convs_per_block": 2}, id="residual"),
        pytest.param({"global_pool": "max"}, id="max"),
        pytest.param({"global_pool": None, "dense_units": (16, 8), "lr": 0.05}, id="dense"),
        pytest.param({"dropout": (0.0, 0.2)}, id="dropout"),
        pytest.param({"augment": "shift"}, id="shift"),
        pytest.param({"augment": ["shift", lambda x, generator: x]}, id="own augmentation"),
        pytest.param({"augment": "cutout"}, id="cutout"),
        pytest.param({"augment": "color"}, id="color"),
        pytest.param({"augment": "mixup"}, id="mixup"),
        pytest.param({"augment": "cutmix", "max_epochs": 12}, id="cutmix"),
        pytest.param({"progressive_resizing": (0.75, 1)}, id="progressive resizing"),
        pytest.param({"module__stem": "whitening"}, id="whitening"),
        pytest.param(
            {"module__pool_after": "first", "module__convs_per_block": 2}, id="pool after first"
        ),
        pytest.param({"module__init": "dirac"}, id="dirac"),
        pytest.param({"module__symmetry": "mirror"}, id="mirror"),
        pytest.param({"global_pool": "average_max"}, id="average_max"),
        pytest.param({"test_time_flip": True}, id="test-time flip"),
        pytest.param({"optimizer": "muon"}, id="muon"),
        pytest.param({"optimizer": "rmsprop", "lr": 0.01}, id="rmsprop"),
        pytest.param({"optimizer": "adam", "lr": 0.01}, id="adam"),
        pytest.param({"optimizer": "adamw", "lr": 0.01}, id="adamw"),
        pytest.param({"optimizer": torch.optim.NAdam, "lr": 0.01}, id="NAdam"),
        pytest.param({"lr_schedule": "cosine"}, id="cosine"),
        pytest.param({"lr_schedule": None, "lr": 0.02}, id="constant"),
        pytest.param({"weight_decay": 0}, id="no decay"),
        pytest.param({"label_smoothing": 0}, id="no smoothing"),
        pytest.param({"batch_size": 1000, "max_epochs": 40}, id="one batch"),
        pytest.param(
            {"batch_size": 1, "normalization": None, "lr": 0.005, "max_epochs": 4},
            id="single images",
        ),
        pytest.param({"precision": "bfloat16"}, id="bfloat16"),
    ],
)
def test_the_stripes_are_learnt_with(parameters, data):
    X, X_test, y, y_test = data
    clf = _with(parameters).fit(X, y)
    assert clf.score(X_test, y_test) > 0.85
    for name in parameters.keys() - {"lr", "max_epochs"}:
        others = {other: value for other, value in parameters.items() if other != name}
        if others.get("batch_size") == 1 and name == "normalization":
            # A single image cannot be normalized.
            continue
        without = _with(others).fit(X, y)
        found, expected = (fit.predict_proba(X_test) for fit in (clf, without))
        assert not np.array_equal(found, expected), f"{name} had no effect"


def _with(parameters):
    """A small network with parameters of its own, or of its specification."""
    if not any(name.startswith("module__") for name in parameters):
        return small_net(**parameters)
    blocks = small_blocks(filters=(8, 16), normalization="batch")
    return small_net(module=blocks).set_params(**parameters)


@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param({"filters": np.array([8, 16])}, id="array"),
        pytest.param({"filters": [8, 16]}, id="list"),
        pytest.param({"augment": torch.nn.Identity()}, id="torch module"),
        pytest.param({"precision": "float32"}, id="float32"),
        pytest.param({"optimizer": SGD()}, id="specification of an optimizer"),
        pytest.param({"module__filters": [8, 16]}, id="specification of the network"),
    ],
)
def test_parameters_in_other_words_give_the_same_network(parameters, fitted, data):
    X, X_test, y, _ = data
    clf = _with(parameters).fit(X, y)
    assert_array_equal(clf.predict_proba(X_test), fitted.predict_proba(X_test))


def test_a_test_time_flip_makes_mirror_images_alike(data):
    X, _, y, _ = data
    clf = small_net().fit(X, y)
    mirrored = np.ascontiguousarray(X[:, :, ::-1])
    assert not np.allclose(clf.predict_proba(X), clf.predict_proba(mirrored), atol=1e-3)
    mean_logits = (clf.decision_function(X) + clf.decision_function(mirrored)) / 2
    clf.set_params(test_time_flip=True)
    np.testing.assert_allclose(clf.predict_proba(X), clf.predict_proba(mirrored), atol=1e-6)
    np.testing.assert_allclose(clf.predict_proba(X), softmax(mean_logits, axis=1), atol=1e-6)
    # Features are those of the image itself.
    assert not np.allclose(clf.transform(X), clf.transform(mirrored), atol=1e-3)


def test_progressive_resizing_trains_on_small_images_first(data):
    X, _, y, _ = data
    seen = []

    class Look(Callback):
        def on_batch_begin(self, net, batch=None, training=False, **kwargs):
            if training:
                seen.append(tuple(batch[0].shape[1:3]))

    small_net(
        progressive_resizing=(0.5, 0.75, 1), max_epochs=3, batch_size=90, callbacks=[Look()]
    ).fit(X, y)
    height, width = X.shape[1:3]
    expected = [(round(s * height), round(s * width)) for s in (0.5, 0.75, 1)]
    assert list(dict.fromkeys(seen)) == expected


@pytest.mark.parametrize("n_features", [5, 8])
def test_rows_of_numbers_are_not_resized_below_what_the_network_takes(n_features):
    """Two blocks halve a row twice: the row of 8 can shrink to 4, the row of 5 not at all."""
    X = np.random.RandomState(0).standard_normal((40, n_features))
    widths = []

    class Look(Callback):
        def on_batch_begin(self, net, batch=None, training=False, **kwargs):
            widths.append(batch[0].shape[2])

    clf = small_net(
        filters=(4, 8),
        pool_size=2,
        progressive_resizing=(0.2, 0.5, 1),
        max_epochs=3,
        batch_size=40,
        callbacks=[Look()],
    )
    clf.fit(X, np.arange(40) % 2)
    assert widths == ([5, 5, 5] if n_features == 5 else [8, 4, 8])
    assert clf.predict(X).shape == (40,)


def test_weights_of_zero_count_for_nothing_in_mixtures_either(data):
    X, _, y, _ = data
    wrong = y.copy()
    wrong[::2] = np.roll(wrong[::2], 1)
    weight = np.arange(len(y)) % 2
    clf = small_net(augment=("mixup", "cutmix"), max_epochs=15)
    clf.fit(X, wrong, sample_weight=weight)
    assert clf.score(X[1::2], y[1::2]) > 0.85


@pytest.mark.slow
def test_the_defaults_learn_the_stripes(data):
    X, X_test, y, y_test = data
    # Half of the images, which is harder and takes half as long.
    clf = ConvNetClassifier(batch_size=32, device="cpu", random_state=0).fit(X[::2], y[::2])
    assert clf.score(X_test, y_test) > 0.95


def test_augmentation_is_given_batches_of_training_images_only(data):
    X, X_val, y, y_val = data
    seen = []

    def look(images, generator):
        seen.append((tuple(images.shape), images.dtype))
        return images

    small_net(augment=look, max_epochs=1, batch_size=90).fit(X, y, X_val=X_val, y_val=y_val)
    assert seen == [((90, 8, 8, 3), torch.uint8)] * 2


# ---------------------------------------------------------------- images that are not so easy

REAL_IMAGES = Path(__file__).resolve().parents[2] / "shared" / "cifar100-ecology"


@pytest.mark.slow
def test_photographs_are_told_apart(tmp_path):
    if not REAL_IMAGES.is_dir():
        pytest.skip(f"the photographs are not in {REAL_IMAGES}")
    pytest.importorskip("PIL", reason="the photographs are unpacked with Pillow")
    subprocess.run([sys.executable, REAL_IMAGES / "unpack.py", tmp_path], check=True)
    names = ["bee", "forest", "leopard", "sunflower", "whale"]
    (X, y), (X_test, y_test) = (
        fetch_cifar100(
            subset=subset,
            categories=names,
            data_home=tmp_path,
            download_if_missing=False,
            return_X_y=True,
        )
        for subset in ("train", "test")
    )
    assert len(X) == 2500
    assert len(X_test) == 100
    clf = ConvNetClassifier(
        (16, 32, 64),
        activation="relu",
        residual=False,
        max_epochs=5,
        batch_size=64,
        device="cpu",
        random_state=0,
    )
    assert clf.fit(X, y).score(X_test, y_test) > 0.7


@pytest.mark.slow
def test_organisms_need_a_convolutional_network():
    X, y = make_organisms(n_samples=1500, n_classes=5, random_state=0)
    X_test, y_test = make_organisms(n_samples=500, n_classes=5, random_state=1)
    pixels = make_pipeline(StandardScaler(), LogisticRegression(C=1e-4, max_iter=200))
    pixels.fit(X[:1000].reshape(1000, -1), y[:1000])
    assert pixels.score(X_test.reshape(500, -1), y_test) < 0.6
    clf = ConvNetClassifier(
        (16, 32, 64),
        convs_per_block=1,
        activation="relu",
        residual=False,
        augment=("flip", "shift"),
        max_epochs=12,
        batch_size=64,
        device="cpu",
        random_state=0,
    )
    assert clf.fit(X, y).score(X_test, y_test) > 0.9
