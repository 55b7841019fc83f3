"""ConvNetRegressor: losses, several outputs, counts in images of any size, and its parameters."""

import inspect
import pickle
import re

import numpy as np
import pytest
import torch
from _helpers import small_regressor
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone, is_regressor
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.metrics import d2_tweedie_score, r2_score
from torch import nn

from skcnn import ConvNetClassifier, ConvNetRegressor
from skcnn._targets._losses import LOSSES
from skcnn.inspection import density_map
from skcnn.networks import ConvBlocks
from skcnn.networks._density import DensityNetwork

LOSS_NAMES = list(LOSSES)
each_loss = pytest.mark.parametrize("loss", LOSS_NAMES)


def dots(n=240, size=16, most=6, seed=0):
    """Images with some bright dots of 2x2 pixels, no two of which touch, and their number."""
    rng = np.random.RandomState(seed)
    X = rng.randint(40, 70, size=(n, size, size, 1))
    cells = size // 4
    order = rng.rand(n, cells**2).argsort(axis=1)
    y = rng.randint(most + 1, size=n)
    row, column = order // cells * 4 + 1, order % cells * 4 + 1
    for number in range(most):
        some = np.flatnonzero(y > number)
        for dy, dx in np.ndindex(2, 2):
            X[some, row[some, number] + dy, column[some, number] + dx] = 220
    return X.astype(np.uint8), y


@pytest.fixture(scope="module")
def data():
    X, y = dots()
    return X[:180], X[180:], y[:180], y[180:]


def counter(**parameters):
    return small_regressor(
        **{"loss": "poisson", "global_pool": "auto", "max_epochs": 10, **parameters}
    )


@pytest.fixture(scope="module")
def counting(data):
    return counter().fit(data[0], data[2], X_val=data[1], y_val=data[3])


# ---------------------------------------------------------------- losses


@each_loss
def test_each_loss_learns_what_it_stands_for(loss, data):
    X, X_test, y, y_test = data
    shift = 1 if loss == "gamma" else 0
    reg = small_regressor(loss=loss, quantile=0.9, max_epochs=12)
    predicted = reg.fit(X, y + shift).predict(X_test)
    assert (predicted.shape, predicted.dtype) == ((60,), np.float64)
    if loss == "quantile":
        low = small_regressor(loss=loss, quantile=0.1, max_epochs=12).fit(X, y).predict(X_test)
        assert np.mean(y_test <= predicted) > 0.75
        assert np.mean(y_test >= low) > 0.75
        assert np.mean(predicted - low) > 0.3
        assert np.corrcoef(predicted, y_test)[0, 1] > 0.9
    else:
        assert reg.score(X_test, y_test + shift) > 0.8
        assert reg.score(X_test, y_test + shift) == r2_score(y_test + shift, predicted)
    if loss in ("poisson", "gamma"):
        assert predicted.min() > 0


@each_loss
def test_the_first_predictions_are_near_the_best_constant(loss, data):
    X, X_test, y, _ = data
    reg = small_regressor(loss=loss, quantile=0.9, max_epochs=1, lr=1e-9)
    predicted = reg.fit(X, 100 + y).predict(X_test)
    expected = {"quantile": np.quantile(100 + y, 0.9), "absolute_error": np.median(100 + y)}
    reach = 0.7 * (100 + y.mean()) if loss in ("poisson", "gamma") else 2 * y.std()
    assert np.abs(predicted - expected.get(loss, 100 + y.mean())).max() < reach


@each_loss
def test_the_unit_of_y_decides_nothing(loss, data):
    X, X_test, y, _ = data
    reg = small_regressor(loss=loss, quantile=0.9, max_epochs=2)
    small = reg.fit(X, 1.0 + y).predict(X_test)
    # A power of two changes no digits.
    assert_allclose(reg.fit(X, 1024 * (1.0 + y)).predict(X_test), 1024 * small, rtol=1e-5)


def test_the_loss_decides(data):
    X, X_test, y, _ = data
    results = [
        small_regressor(loss=loss, quantile=quantile, max_epochs=2).fit(X, 1 + y).predict(X_test)
        for loss, quantile in [*((name, 0.9) for name in LOSS_NAMES), ("quantile", 0.1)]
    ]
    assert len(np.unique(np.round(results, 6), axis=0)) == 6


def test_history_has_the_score_of_the_validation_images(counting, data):
    _, X_test, _, y_test = data
    history = counting.history_
    assert list(history) == ["train_loss", "valid_loss", "valid_d2", "lr", "seconds"]
    actual = d2_tweedie_score(y_test, counting.predict(X_test), power=1)
    # Relative to the mean of the training images, not of those for validation.
    assert history["valid_d2"].iloc[-1] == pytest.approx(actual, abs=0.02)


# ---------------------------------------------------------------- several outputs


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_several_numbers_are_predicted_side_by_side(loss, data):
    X, X_test, y, y_test = data
    both = np.column_stack([y, 1000.0 * (7 - y)])
    reg = small_regressor(loss=loss, max_epochs=15).fit(X, both)
    predicted = reg.predict(X_test)
    assert predicted.shape == (60, 2)
    scores = r2_score(np.column_stack([y_test, 1000 * (7 - y_test)]), predicted, multioutput=None)
    assert np.min(scores) > 0.7
    assert reg.summary().output_shape == (2,)


def test_a_single_column_warns_as_in_scikit_learn(data):
    X, X_test, y, _ = data
    with pytest.warns(DataConversionWarning, match="column-vector y"):
        reg = small_regressor(max_epochs=1).fit(X, y[:, None])
    assert_array_equal(
        reg.predict(X_test), small_regressor(max_epochs=1).fit(X, y).predict(X_test)
    )


# ---------------------------------------------------------------- weights, stopping, continuing


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_images_of_weight_zero_have_no_say(loss, data):
    X, X_test, y, _ = data
    wrong, weight = y.astype(float), np.ones(len(y))
    wrong[::3], weight[::3] = 1e6, 0
    clean = small_regressor(loss=loss, max_epochs=2).fit(X, y.astype(float), weight)
    assert_array_equal(
        clean.predict(X_test),
        small_regressor(loss=loss, max_epochs=2).fit(X, wrong, weight).predict(X_test),
    )


def test_early_stopping_restores_the_best_epoch(data):
    X, _, y, _ = data
    reg = small_regressor(max_epochs=30, lr=0.3, early_stopping=True, n_iter_no_change=4)
    reg.fit(X, y, groups=np.arange(len(y)) // 3)
    history = reg.history_
    assert reg.best_epoch_ == history["valid_loss"].idxmin()
    assert reg.n_iter_ == len(history)


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_batches_of_data_one_by_one_keep_the_first_scale(loss, data):
    X, X_test, y, y_test = data
    reg = small_regressor(loss=loss, lr=0.05)
    for _ in range(15):
        for part in range(3):
            reg.partial_fit(X[part::3], y[part::3])
    assert reg.n_iter_ == 45
    assert reg.score(X_test, y_test) > 0.7
    before = reg.predict(X_test)
    reg.set_params(lr=1e-9).partial_fit(X, 100 * y)
    # Batch normalization has seen other batches.
    assert_allclose(reg.predict(X_test), before, atol=0.3)


def test_a_batch_without_anything_to_count_is_taken(data):
    X, _, y, _ = data
    reg = counter(max_epochs=1).fit(X, y)
    reg.partial_fit(X[y == 0], y[y == 0])
    assert reg.n_iter_ == 2


def test_warm_start_continues_and_refuses_another_question(data):
    X, _, y, _ = data
    reg = small_regressor(warm_start=True, max_epochs=2, loss="quantile", quantile=0.5).fit(X, y)
    assert reg.fit(X, y).n_iter_ == 4
    for changes in ({"quantile": 0.9}, {"loss": "absolute_error"}):
        with pytest.raises(ValueError, match="Training continues with"):
            clone(reg).fit(X, y).set_params(**changes).fit(X, y)
    counting = counter(max_epochs=1, warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match="fitted network, but global_pool has changed"):
        counting.set_params(global_pool="average").fit(X, y)


# ---------------------------------------------------------------- counts


def test_counts_are_sums_over_images_of_any_size(counting, data):
    _, X_test, _, y_test = data
    assert isinstance(counting.module_, DensityNetwork)
    assert counting.score(X_test, y_test) > 0.9
    # Four images in one: the network was trained on images of a quarter of the size.
    square = X_test[:40].reshape(10, 2, 2, 16, 16, 1).swapaxes(2, 3).reshape(10, 32, 32, 1)
    expected = y_test[:40].reshape(10, 4).sum(axis=1)
    predicted = counting.predict(square)
    assert predicted.shape == (10,)
    assert predicted.mean() == pytest.approx(expected.mean(), rel=0.15)
    assert np.corrcoef(predicted, expected)[0, 1] > 0.9
    # Larger in one direction, and a little smaller.
    assert counting.predict(square[:, :16])[0] < counting.predict(square)[0]
    assert counting.predict(X_test[:, :12, :15]).shape == (60,)
    assert counting.transform(square).shape == (10, 16)


def test_the_map_of_a_count_adds_up_to_it(counting, data):
    X, y = data[1], data[3]
    for images in (X[:7], X[:3, :12, :14]):
        maps = density_map(counting, images)
        assert maps.shape == images.shape[:3]
        assert maps.min() >= 0
        assert_allclose(maps.sum(axis=(1, 2)), counting.predict(images), rtol=1e-4)
    one = X[y == 1]
    row, column = np.array([np.argwhere(image[..., 0] > 200).mean(axis=0) for image in one]).T
    rows, columns = np.mgrid[:16, :16]
    maps = density_map(counting, one)
    share = maps / maps.sum(axis=(1, 2), keepdims=True)
    away = np.hypot((share * rows).sum(axis=(1, 2)) - row, (share * columns).sum((1, 2)) - column)
    assert np.median(away) < 2.5


def test_several_counts_have_a_map_each(data):
    X, X_test, y, _ = data
    reg = counter(max_epochs=2).fit(X, np.column_stack([y, 2 * y]))
    maps = density_map(reg, X_test)
    assert maps.shape == (60, 16, 16, 2)
    assert_allclose(maps.sum(axis=(1, 2)), reg.predict(X_test), rtol=1e-4)


@pytest.mark.parametrize(
    ("parameters", "adds_up"),
    [
        ({"loss": "poisson"}, True),
        ({"loss": "gamma"}, False),
        ({}, False),
        ({"global_pool": "sum"}, True),
        ({"loss": "poisson", "global_pool": "average"}, False),
        ({"loss": "poisson", "filters": ()}, False),
        ({"module": ConvBlocks((4,), global_pool="sum")}, True),
        ({"module": ConvBlocks((4,)), "loss": "poisson"}, False),
    ],
    ids=str,
)
def test_global_pool_decides_whether_a_network_adds_up(parameters, adds_up, data):
    X, _, y, _ = data
    reg = ConvNetRegressor(
        **{"filters": (4,), **parameters} if "module" not in parameters else parameters
    )
    reg.set_params(max_epochs=1, device="cpu", random_state=0).fit(X, y + 1)
    assert isinstance(reg.module_, DensityNetwork) == adds_up
    if adds_up:
        assert reg.predict(X[:5, :8]).shape == (5,)
    else:
        with pytest.raises(ValueError, match="height 8, width 16"):
            reg.predict(X[:5, :8])
        with pytest.raises(ValueError, match=r'does not add up a map.*global_pool="sum"'):
            density_map(reg, X[:5])


def test_a_network_that_adds_up_may_have_dense_layers_and_symmetry(data):
    X, X_test, y, y_test = data
    spec = ConvBlocks(
        (8, 16), dense_units=(16,), dropout=0.1, symmetry="mirror", global_pool="sum"
    )
    reg = small_regressor(module=spec, loss="poisson", max_epochs=10).fit(X, y)
    assert reg.score(X_test, y_test) > 0.7
    assert_allclose(reg.predict(X_test), reg.predict(X_test[:, :, ::-1]), rtol=1e-4)
    assert "dense1" in [layer.name for layer in reg.summary().layers]


def test_sums_do_not_go_with_smaller_images_nor_with_classes(data):
    X, _, y, _ = data
    with pytest.raises(ValueError, match=r"progressive_resizing=\(0.5, 1\) and global_pool=\"sum"):
        counter(progressive_resizing=(0.5, 1)).fit(X, y)
    with pytest.raises(ValueError, match="'global_pool' parameter of ConvNetClassifier must be"):
        ConvNetClassifier(global_pool="sum").fit(X, y)
    with pytest.raises(ValueError, match=r"ConvNetClassifier has a network with global_pool=.sum"):
        ConvNetClassifier(module=ConvBlocks((4,), global_pool="sum")).fit(X, y)


# ---------------------------------------------------------------- parameters and attributes


def documented(section):
    text = inspect.getdoc(ConvNetRegressor)
    body = re.search(rf"^{section}\n-+\n(.*?)(?=^\w[\w ]*\n-+\n|\Z)", text, re.M | re.S)[1]
    return re.findall(r"^(\w+) : (.*)", body, re.M)


def test_parameters_are_documented_as_they_are():
    signature = inspect.signature(ConvNetRegressor).parameters
    sections = [documented("Parameters"), documented("Other Parameters")]
    assert sorted(name for lines in sections for name, _ in lines) == sorted(signature)
    for name, line in (entry for lines in sections for entry in lines):
        default = eval(re.search(r"default=(.*)", line)[1])
        assert default == signature[name].default, name
        assert type(default) is type(signature[name].default), name
    groups = re.search(r"five groups:\n(.*?)\n\n\w", inspect.getdoc(ConvNetRegressor), re.S)[1]
    assert re.findall(r"`(\w+)`", groups) == list(signature)
    assert list(ConvNetRegressor._parameter_constraints.keys() ^ signature.keys()) == []


def test_the_estimators_differ_in_what_they_have_to():
    of_classes = inspect.signature(ConvNetClassifier).parameters
    of_numbers = inspect.signature(ConvNetRegressor).parameters
    assert of_classes.keys() - of_numbers.keys() == {"label_smoothing", "class_weight"}
    assert of_numbers.keys() - of_classes.keys() == {"loss", "quantile"}
    shared = of_numbers.keys() & of_classes.keys()
    differing = {n for n in shared if of_numbers[n].default != of_classes[n].default}
    assert differing == {"global_pool", "augment"}
    # Nothing that a number may depend on is changed.
    assert of_numbers["augment"].default is None


def test_attributes_are_there_after_fit_and_only_then(counting, data):
    names = {name for name, _ in documented("Attributes")} - {
        *("feature_names_in_", "best_epoch_", "skipped_")
    }
    assert [name for name in names if hasattr(counter(), name)] == []
    assert [name for name in names if not hasattr(counting, name)] == []
    assert is_regressor(counting)
    assert not hasattr(counting, "classes_")
    assert not hasattr(counting, "predict_proba")
    with pytest.raises(NotFittedError, match="ConvNetRegressor instance is not fitted yet"):
        ConvNetRegressor().predict(data[0])


def test_a_pickled_network_predicts_the_same_and_continues(counting, data):
    X, X_test, y, _ = data
    copy = pickle.loads(pickle.dumps(counting))
    assert_array_equal(copy.predict(X_test), counting.predict(X_test))
    assert_array_equal(
        copy.partial_fit(X, y).predict(X_test),
        pickle.loads(pickle.dumps(counting)).partial_fit(X, y).predict(X_test),
    )


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_a_module_of_ones_own_returns_numbers_of_any_sign(loss, data):
    X, X_test, y, y_test = data

    class Own(nn.Module):
        def __init__(self, image_shape, n_outputs):
            super().__init__()
            self.body = nn.Sequential(nn.Flatten(), nn.Linear(256, 64), nn.ReLU())
            self.head = nn.Linear(64, n_outputs)

        def forward(self, images):
            return self.head(self.body(images))

    reg = small_regressor(module=Own, loss=loss, max_epochs=30, optimizer="adam", lr=0.003)
    assert reg.fit(X, y).score(X_test, y_test) > 0.5
    assert reg.transform(X_test).shape == (60, 64)


def test_mixed_images_have_mixed_numbers(data):
    X, X_test, y, y_test = data
    for loss in ("squared_error", "poisson"):
        reg = small_regressor(loss=loss, augment="mixup", max_epochs=12).fit(X, y)
        assert reg.score(X_test, y_test) > 0.6


def test_checkpoints_of_another_loss_are_not_taken(tmp_path, data):
    X, X_test, y, _ = data
    common = {"lr_schedule": None, "checkpoint_dir": str(tmp_path), "quantile": 0.9}
    first = small_regressor(**common, max_epochs=1, loss="quantile").fit(X, y)
    assert first.n_iter_ == 1
    resumed = small_regressor(**common, max_epochs=2, loss="quantile").fit(X, y)
    straight = small_regressor(lr_schedule=None, quantile=0.9, loss="quantile", max_epochs=2)
    assert_array_equal(resumed.predict(X_test), straight.fit(X, y).predict(X_test))
    for other in ({"loss": "quantile", "quantile": 0.1}, {"loss": "absolute_error"}):
        fresh = small_regressor(**common | other, max_epochs=2).fit(X, y)
        alone = small_regressor(**{"lr_schedule": None} | other, max_epochs=2).fit(X, y)
        assert_array_equal(fresh.predict(X_test), alone.predict(X_test))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_large_counts_keep_their_digits_in_any_precision(precision, data):
    X, _, y, _ = data
    reg = counter(precision=precision, max_epochs=3).fit(X, 1000.0 * y)
    with torch.inference_mode():
        outputs = reg.module_(torch.from_numpy(X[:20]))
    assert outputs.dtype == torch.float32
    assert reg.score(X, 1000 * y) > 0.5
