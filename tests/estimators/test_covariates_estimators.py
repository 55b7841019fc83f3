"""Estimators that learn from columns beside the images."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, cross_val_predict, train_test_split
from sklearn.preprocessing import StandardScaler
from torch import nn

import skcnn
from skcnn import ConvNetClassifier, ConvNetMultiTask, ConvNetRegressor, FeatureExtractor
from skcnn._engine import _loop, _step
from skcnn.datasets import make_images_and_covariates, make_organisms
from skcnn.inspection import (
    EmbeddingDisplay,
    GradCAMDisplay,
    ImageGridDisplay,
    PredictionsDisplay,
    density_map,
    feature_maps,
    grad_cam,
)
from skcnn.networks import Backbone, CompactTransformer, NetworkSpec

SMALL = {"filters": (4, 8), "max_epochs": 2, "random_state": 0}


@pytest.fixture(scope="module")
def data():
    """Labels that follow from the elevation alone; 16x16 pixels of organisms."""
    images, _ = make_organisms(160, n_classes=2, image_size=16, random_state=0)
    rng = np.random.RandomState(0)
    elevation = rng.uniform(0, 2000, size=160)
    y = (elevation > 1000).astype(int)
    elevation[5::20] = np.nan
    frame = pd.DataFrame(
        {
            "elevation": elevation,
            "noise": rng.normal(size=160),
            "site": pd.Categorical(rng.choice(["a", "b"], size=160)),
        }
    )
    return make_images_and_covariates(images, frame), y


@pytest.fixture(scope="module")
def fitted(data):
    X, y = data
    return ConvNetClassifier(**SMALL | {"max_epochs": 8}).fit(X, y)


def logits_change(estimator, X, column, values):
    """Whether outputs depend on a column."""
    before = estimator._outputs(X)
    return not np.allclose(before, estimator._outputs(X.assign(**{column: values})), atol=1e-5)


# ---------------------------------------------------------------- learning


def test_it_learns_what_only_a_column_says(data, fitted):
    X, y = data
    assert fitted.score(X, y) > 0.9
    images = np.stack(X["image"])
    assert ConvNetClassifier(**SMALL | {"max_epochs": 8}).fit(images, y).score(images, y) < 0.8


ESTIMATORS = {
    "classifier": (ConvNetClassifier, {}),
    "dense layers": (ConvNetClassifier, {"dense_units": 8, "dropout": 0.1}),
    "no convolutions": (ConvNetClassifier, {"filters": (), "dense_units": 8}),
    "test_time_flip": (ConvNetClassifier, {"test_time_flip": True}),
    "mixing and averaging": (
        ConvNetClassifier,
        {"augment": ("mixup", "cutmix", "flip"), "weight_averaging": 0.5},
    ),
    "resizing": (ConvNetClassifier, {"progressive_resizing": (0.5, 1)}),
    "regressor": (ConvNetRegressor, {}),
    "poisson": (ConvNetRegressor, {"loss": "poisson"}),
    "multilabel": (ConvNetClassifier, {}),
    "several questions": (
        ConvNetMultiTask,
        {"tasks": {"kind": "classification", "n": "squared_error"}},
    ),
    "transformer": (
        ConvNetClassifier,
        {"filters": "auto", "module": CompactTransformer(depth=1, width=8, heads=2)},
    ),
    "backbone": (
        ConvNetClassifier,
        {"filters": "auto", "module": Backbone("efficientnet_lite0", image_size=32)},
    ),
    "backbone, not cached": (
        ConvNetClassifier,
        {
            "filters": "auto",
            "augment": "flip",
            "module": Backbone("efficientnet_lite0", image_size=32, unfreeze=1),
        },
    ),
}


@pytest.mark.parametrize("case", ESTIMATORS)
def test_every_estimator_and_network_takes_columns(case, data):
    kind, parameters = ESTIMATORS[case]
    X, y = (part[:60] for part in data)
    if case == "several questions":
        y = pd.DataFrame({"kind": y, "n": y * 2.0})
    elif case == "multilabel":
        y = np.stack([y, X["noise"] > 0], axis=1).astype(int)
    estimator = kind(**{**SMALL, **parameters}).fit(X, y)
    assert logits_change(estimator, X, "elevation", X["elevation"].to_numpy()[::-1])
    assert np.isfinite(estimator.score(X, y))
    features = estimator.transform(X)
    assert features.shape == (60, len(estimator.get_feature_names_out()))
    assert "covariates" in [layer.name for layer in estimator.summary().layers]
    again = clone(estimator).fit(X, y)
    assert_array_equal(again._outputs(X), estimator._outputs(X))
    stored = pickle.loads(pickle.dumps(estimator))
    assert_array_equal(stored._outputs(X), estimator._outputs(X))


def test_saved_estimators_know_their_columns(data, tmp_path):
    X, y = data
    X = X.assign(zone=pd.cut(X["noise"], [-9, 0, 9]), year=pd.Categorical(2020 + y))
    clf = ConvNetClassifier(**SMALL).fit(X, y)
    skcnn.save(clf, tmp_path / "net.skcnn")
    loaded = skcnn.load(tmp_path / "net.skcnn")
    assert_array_equal(loaded.predict_proba(X), clf.predict_proba(X))
    assert loaded._covariates == clf._covariates


def test_early_stopping_takes_statistics_of_the_training_rows(data):
    X, y = data
    clf = ConvNetClassifier(**SMALL, early_stopping=True, validation_fraction=0.5).fit(X, y)
    column = clf._covariates.columns[0]
    assert column.mean != pytest.approx(X["elevation"].mean(), rel=1e-9)
    alone = ConvNetClassifier(**SMALL).fit(X, y)._covariates.columns[0]
    assert alone.mean == pytest.approx(X["elevation"].mean())
    assert alone.had_missing


def test_validation_images_come_with_their_columns(data):
    X, y = data
    clf = ConvNetClassifier(**SMALL).fit(X[:100], y[:100], X_val=X[100:], y_val=y[100:])
    last = clf.history_.iloc[-1]
    probability = clf.predict_proba(X[100:])[np.arange(60), y[100:]]
    assert last["valid_accuracy"] == pytest.approx(clf.score(X[100:], y[100:]))
    assert last["valid_loss"] == pytest.approx(-np.log(probability).mean(), rel=0.02)
    with pytest.raises(ValueError, match="X_val has images alone, but ConvNetClassifier"):
        clf.fit(X, y, X_val=np.stack(X["image"]), y_val=y)


def test_training_continues_with_the_columns(data):
    X, y = data
    clf = ConvNetClassifier(**SMALL, warm_start=True).fit(X[:100], y[:100])
    encoder = clf._covariates
    clf.fit(X[60:], y[60:])
    assert clf._covariates is encoder
    assert len(clf.history_) == 4
    step_by_step = ConvNetClassifier(**SMALL)
    for rows in (slice(0, 80), slice(80, 160)):
        step_by_step.partial_fit(X[rows], y[rows], classes=[0, 1])
    assert logits_change(step_by_step, X, "elevation", 0)
    with pytest.raises(ValueError, match="X has no column 'noise'"):
        step_by_step.partial_fit(X.drop(columns="noise"), y)


@pytest.mark.parametrize("sample_weight", [None, np.linspace(0, 2, 160)])
def test_captured_steps_get_the_columns(sample_weight, data, monkeypatch):
    """A runner that calls what it would capture on a GPU takes the same steps."""

    def mirrored(images, generator):
        return images.flip(2)

    X, y = data
    clf = ConvNetClassifier(**SMALL, augment=mirrored, batch_size=32)
    expected = clone(clf).fit(X, y, sample_weight)._outputs(X)
    calls = []

    def runner(function):
        return lambda *parts: calls.append(len(parts)) or function(*parts)

    monkeypatch.setattr(_loop, "make_capturable", lambda *_: True)
    monkeypatch.setattr(_step, "CUDAGraphRunner", runner)
    assert_array_equal(clf.fit(X, y, sample_weight)._outputs(X), expected)
    assert set(calls) == {3 if sample_weight is None else 4}


def test_checkpoints_tell_columns_apart(data, tmp_path):
    X, y = data
    longer = ConvNetClassifier(
        **SMALL | {"max_epochs": 3}, lr_schedule=None, checkpoint_dir=str(tmp_path)
    )
    clone(longer).set_params(max_epochs=1).fit(X, y)
    other = X.assign(noise=X["noise"].to_numpy()[::-1])
    expected = clone(longer).set_params(checkpoint_dir=None).fit(other, y)
    assert_array_equal(longer.fit(other, y)._outputs(other), expected._outputs(other))


def test_skipped_files_leave_out_their_rows(data, tmp_path):
    from PIL import Image

    X, y = (part[:40] for part in data)
    paths = [str(tmp_path / f"{number}.png") for number in range(40)]
    for path, image in zip(paths, X["image"]):
        Image.fromarray(image).save(path)
    table = X.drop(columns="image").assign(file=paths)
    whole = ConvNetClassifier(**SMALL).fit(table, y)
    assert_allclose(whole.predict_proba(table), whole.predict_proba(X), atol=1e-6)
    (tmp_path / "3.png").write_bytes(b"")
    with pytest.warns(UserWarning, match="Left out 1 of 40"):
        clf = ConvNetClassifier(**SMALL, on_error="skip").fit(table, y)
    rest = table.drop(index=3)
    fewer = ConvNetClassifier(**SMALL).fit(rest, np.delete(y, 3))
    assert_array_equal(clf.predict_proba(rest), fewer.predict_proba(rest))


def test_a_column_that_equals_y_gives_a_warning(data):
    X, y = data
    with pytest.warns(UserWarning, match="Column 'leak' of X equals y in every row"):
        ConvNetClassifier(**SMALL).fit(X.assign(leak=y), y)


# ---------------------------------------------------------------- scikit-learn's tools


def test_permutation_importance_finds_the_column(data, fitted):
    X, y = data
    found = permutation_importance(fitted, X, y, n_repeats=3, random_state=0)
    assert list(X) == ["image", "elevation", "noise", "site"]
    assert found.importances_mean.argmax() == 1
    assert found.importances_mean[1] > 0.3


def test_searches_and_cross_validation(data):
    X, y = data
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    search = GridSearchCV(ConvNetClassifier(**SMALL), {"dense_units": [None, 8]}, cv=2)
    assert search.fit(X_train, y_train).score(X_test, y_test) > 0.5
    assert cross_val_predict(ConvNetClassifier(**SMALL), X, y, cv=2).shape == (160,)


def test_feature_extractor_in_a_column_transformer(data):
    X, _ = data
    extractor = FeatureExtractor(Backbone("efficientnet_lite0", image_size=32))
    with pytest.raises(ValueError, match=r"'elevation', 'noise', 'site', which FeatureExtractor"):
        extractor.fit(X)
    both = ColumnTransformer(
        [("image", extractor, ["image"]), ("numbers", StandardScaler(), ["elevation", "noise"])]
    )
    features = both.fit_transform(X[:20])
    assert features.shape == (20, 1282)


# ---------------------------------------------------------------- displays


def test_displays_use_the_columns(data, fitted):
    X, _ = data
    assert grad_cam(fitted, X[:5]).shape == (5, 16, 16)
    assert GradCAMDisplay.from_estimator(fitted, X[:2]).axes_.size
    assert ImageGridDisplay(X[:2]).images.shape == (2, 16, 16, 3)
    assert len(EmbeddingDisplay.from_estimator(fitted, X[:30]).embedding) == 30
    head = feature_maps(fitted, X[:5], "head")
    assert_allclose(head, fitted._outputs(X[:5]), rtol=1e-4, atol=1e-5)
    turned = X[:5].assign(elevation=X["elevation"].to_numpy()[5:10])
    assert not np.allclose(feature_maps(fitted, turned, "head"), head)
    assert PredictionsDisplay.from_estimator(fitted, X[:4], data[1][:4]).axes_.size


def test_density_maps_add_up_to_predictions(data):
    X, y = (part[:60] for part in data)
    reg = ConvNetRegressor(**SMALL, loss="poisson").fit(X, y + 1)
    assert_allclose(density_map(reg, X).sum(axis=(1, 2)), reg.predict(X), rtol=1e-3)


# ---------------------------------------------------------------- networks of users


class Own(nn.Module):
    """A module that takes covariates."""

    def __init__(self, n_channels, n_classes, n_covariates=0):
        super().__init__()
        self.convolution = nn.Conv2d(n_channels, 4, 3)
        self.head = nn.Linear(4 + n_covariates, n_classes)

    def forward(self, images, covariates):
        maps = self.convolution(images).mean((2, 3))
        return self.head(torch.cat([maps, covariates], dim=1))


class Plain(nn.Sequential):
    """A module that does not."""

    def __init__(self, n_channels, n_classes):
        super().__init__(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(n_channels, n_classes))


class PlainSpec(NetworkSpec):
    """A specification that does not."""

    def build(self, image_shape, n_outputs, *, measured=None, clip_pool_size=False):
        """Never called."""


def test_own_modules_take_columns_if_they_say_so(data):
    X, y = data
    clf = ConvNetClassifier(module=Own, max_epochs=8, random_state=0).fit(X, y)
    assert clf.score(X, y) > 0.8
    assert logits_change(clf, X, "elevation", 0)
    assert_array_equal(pickle.loads(pickle.dumps(clf))._outputs(X), clf._outputs(X))
    with pytest.raises(ValueError, match=r"X has 5 covariates .* Give it an argument"):
        ConvNetClassifier(module=Plain).fit(X, y)
    with pytest.raises(ValueError, match="`build` has no argument `n_covariates`"):
        ConvNetClassifier(module=PlainSpec()).fit(X, y)


def test_a_body_of_images_is_a_backbone_for_others(data):
    X, y = data
    donor = ConvNetClassifier(**SMALL, dense_units=8).fit(X, y)
    for given in (X, np.stack(X["image"])):
        clf = ConvNetClassifier(module=Backbone(donor), max_epochs=1, random_state=0)
        assert clf.fit(given, y).predict(given).shape == (160,)


# ---------------------------------------------------------------- other columns than in fit


def test_images_alone_and_columns_alone_are_refused(data, fitted):
    X, _ = data
    images = np.stack(X["image"])
    with pytest.raises(ValueError, match=r"X has images alone, .*'elevation', 'noise', 'site'"):
        fitted.predict(images)
    with pytest.raises(ValueError, match=r"X has a column 'slope', .*was not fitted"):
        fitted.predict(X.assign(slope=1))
    alone = ConvNetClassifier(**SMALL).fit(images, data[1])
    with pytest.raises(ValueError, match="was fitted on images alone"):
        alone.predict(X)
    assert_array_equal(alone.predict(X[["image"]]), alone.predict(images))


def test_a_fit_that_fails_leaves_the_columns_of_the_last_one(data, fitted):
    X, y = data
    clf = pickle.loads(pickle.dumps(fitted))
    with pytest.raises(ValueError, match="Infinite"):
        clf.fit(X.assign(elevation=np.inf), y)
    assert_array_equal(clf.predict(X), fitted.predict(X))
    clf.fit(np.stack(X["image"]), y)
    assert clf._covariates is None
