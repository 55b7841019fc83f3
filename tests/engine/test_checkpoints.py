"""Fits that go on from shorter ones: the same network, to the bit, or a fresh start."""

import pickle

import joblib
import numpy as np
import pytest
import torch
from _helpers import small_net, stripes
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import HalvingGridSearchCV, HalvingRandomSearchCV
from sklearn.pipeline import Pipeline
from skorch.callbacks import Callback

from skcnn import ConvNetClassifier
from skcnn.networks import ConvBlocks
from skcnn.optimizers import SGD

X, Y = stripes(90)


def steady_net(**parameters):
    return small_net(**{"lr_schedule": None, "lr": 0.05, **parameters})


@pytest.fixture
def trained(monkeypatch):
    """How many epochs each fit has trained, in order."""
    from skcnn._engine._net import TrainedNet

    counts = []
    loop = TrainedNet.fit_loop

    def counting(net, *args, **kwargs):
        counts.append(0)
        return loop(net, *args, **kwargs)

    def ends(net, *args, **kwargs):
        counts[-1] += 1
        return end(net, *args, **kwargs)

    end = TrainedNet.on_epoch_end
    monkeypatch.setattr(TrainedNet, "fit_loop", counting)
    monkeypatch.setattr(TrainedNet, "on_epoch_end", ends)
    return counts


def assert_same(one, other):
    for name, tensor in one.module_.state_dict().items():
        assert torch.equal(tensor, other.module_.state_dict()[name]), name
    assert one.loss_curve_ == other.loss_curve_
    figures = ["train_loss", "valid_loss", "valid_accuracy", "lr"]
    assert one.history_[figures].equals(other.history_[figures])
    assert one.n_iter_ == other.n_iter_


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"optimizer": "muon", "augment": ("flip", "shift", "cutout", "color"), "dropout": 0.3},
        {"optimizer": "adamw", "augment": ("mixup", "cutmix"), "lr": 0.01},
        {"optimizer": torch.optim.Adagrad, "stem": "whitening", "normalization": None},
        {"optimizer": "rmsprop", "lr": 0.001, "precision": "bfloat16"},
        {"optimizer": SGD(0.8, nesterov=False), "module": ConvBlocks((8, 16), symmetry="mirror")},
    ],
    ids=str,
)
def test_a_fit_goes_on_as_if_it_had_not_been_interrupted(parameters, tmp_path, trained):
    whole = steady_net(max_epochs=7, **parameters).fit(X, Y)
    memory = joblib.Memory(tmp_path, verbose=0)
    for max_epochs in (2, 3, 7):
        resumed = steady_net(max_epochs=max_epochs, checkpoint_dir=memory, **parameters).fit(X, Y)
        assert resumed.n_iter_ == max_epochs
    assert trained == [7, 2, 1, 4]
    assert_same(resumed, whole)
    assert resumed.net_.max_epochs == 7


def test_what_follows_the_fit_is_the_same_too(tmp_path):
    whole = steady_net(max_epochs=4, dropout=0.2).fit(X, Y)
    steady_net(max_epochs=2, dropout=0.2, checkpoint_dir=str(tmp_path)).fit(X, Y)
    resumed = steady_net(max_epochs=4, dropout=0.2, checkpoint_dir=str(tmp_path)).fit(X, Y)
    assert_same(resumed.partial_fit(X, Y), whole.partial_fit(X, Y))


def test_the_same_fit_again_trains_nothing(tmp_path, trained):
    first = steady_net(max_epochs=3, checkpoint_dir=str(tmp_path)).fit(X, Y)
    again = steady_net(max_epochs=3, checkpoint_dir=str(tmp_path)).fit(X, Y)
    assert trained == [3, 0]
    assert_same(first, again)
    np.testing.assert_array_equal(first.predict_proba(X), again.predict_proba(X))


def test_a_shorter_fit_does_not_begin_at_a_longer_one(tmp_path, trained):
    steady_net(max_epochs=4, checkpoint_dir=str(tmp_path)).fit(X, Y)
    short = steady_net(max_epochs=2, checkpoint_dir=str(tmp_path)).fit(X, Y)
    assert trained == [4, 2]
    assert_same(short, steady_net(max_epochs=2).fit(X, Y))


def _other(y):
    return np.where(y == 0, 1, np.where(y == 1, 0, y))


DIFFERENT = {
    "images": ({}, lambda: (X + np.uint8(1), Y)),
    "order of images": ({}, lambda: (X[::-1], Y[::-1])),
    "labels": ({}, lambda: (X, _other(Y))),
    "weights": ({}, lambda: (X, Y, np.where(Y == 0, 2.0, 1.0))),
    "class_weight": ({"class_weight": {0: 2, 1: 1, 2: 1}}, lambda: (X, Y)),
    "random_state": ({"random_state": 1}, lambda: (X, Y)),
    "lr": ({"lr": 0.06}, lambda: (X, Y)),
    "filters": ({"filters": (8, 8)}, lambda: (X, Y)),
    "augment": ({"augment": ("flip",)}, lambda: (X, Y)),
    "batch_size": ({"batch_size": 30}, lambda: (X, Y)),
    "precision": ({"precision": "bfloat16"}, lambda: (X, Y)),
    "optimizer": ({"optimizer": SGD(0.8)}, lambda: (X, Y)),
    "module": ({"module": ConvBlocks((8, 16))}, lambda: (X, Y)),
}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"optimizer": SGD(0.8)}, {"optimizer": SGD(0.85)}),
        ({"module": ConvBlocks((8, 16))}, {"module": ConvBlocks((8, 16), init="dirac")}),
    ],
    ids=["optimizer", "module"],
)
def test_options_of_a_specification_are_part_of_what_was_trained(first, second, tmp_path, trained):
    for parameters in (first, second, first):
        steady_net(max_epochs=1, checkpoint_dir=str(tmp_path), **parameters).fit(X, Y)
    assert trained == [1, 1, 0]


@pytest.mark.parametrize("case", DIFFERENT)
def test_another_training_is_not_taken_for_this_one(case, tmp_path, trained):
    steady_net(max_epochs=1, checkpoint_dir=str(tmp_path)).fit(X, Y)
    parameters, data = DIFFERENT[case]
    steady_net(max_epochs=2, checkpoint_dir=str(tmp_path), **parameters).fit(*data())
    assert trained == [1, 2]


def test_images_watched_are_part_of_what_was_trained(tmp_path, trained):
    watched = {"X_val": X[:20], "y_val": Y[:20]}
    steady_net(max_epochs=1, checkpoint_dir=str(tmp_path)).fit(X, Y)
    steady_net(max_epochs=1, checkpoint_dir=str(tmp_path)).fit(X, Y, **watched)
    resumed = steady_net(max_epochs=2, checkpoint_dir=str(tmp_path)).fit(X, Y, **watched)
    assert trained == [1, 1, 1]
    assert_same(resumed, steady_net(max_epochs=2).fit(X, Y, **watched))


def test_what_only_predictions_depend_on_may_differ(tmp_path, trained):
    steady_net(max_epochs=1, checkpoint_dir=str(tmp_path)).fit(X, Y)
    steady_net(max_epochs=2, checkpoint_dir=str(tmp_path), test_time_flip=True).fit(X, Y)
    assert trained == [1, 1]


class MyAdam(torch.optim.Adam):
    pass


def dense_network(image_shape, n_outputs):
    n_pixels = int(np.prod(image_shape))
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(n_pixels, n_outputs))


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"lr_schedule": "onecycle"}, "lr_schedule='onecycle'"),
        ({"random_state": None}, "random_state"),
        ({"random_state": np.random.RandomState(0)}, "random_state"),
        ({"early_stopping": True}, "early_stopping"),
        ({"progressive_resizing": (0.5, 1)}, "progressive_resizing"),
        ({"weight_averaging": 0.5}, "weight_averaging"),
        ({"callbacks": [Callback]}, "callbacks"),
        ({"augment": lambda images, generator: images}, "augment"),
        ({"optimizer": MyAdam}, "optimizer"),
        ({"module": dense_network}, "own module"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_where_it_would_not_be_sound_training_begins_afresh(parameters, words, tmp_path, trained):
    for max_epochs in (1, 2):
        with pytest.warns(UserWarning, match=f"checkpoint_dir=.* has no effect.*{words}"):
            steady_net(max_epochs=max_epochs, checkpoint_dir=str(tmp_path), **parameters).fit(X, Y)
    assert trained == [1, 2]


def test_an_interrupted_training_is_not_kept(tmp_path, trained, monkeypatch):
    from skcnn._engine._loop import TrainingLoop

    step, calls = TrainingLoop.train_on_batch, []

    def interrupted(net, *args):
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return step(net, *args)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingLoop, "train_on_batch", interrupted)
        with pytest.warns(UserWarning, match="interrupted in epoch 2"):
            steady_net(max_epochs=2, checkpoint_dir=str(tmp_path)).fit(X, Y)
    again = steady_net(max_epochs=2, checkpoint_dir=str(tmp_path)).fit(X, Y)
    assert trained == [1, 2]
    assert_same(again, steady_net(max_epochs=2).fit(X, Y))


def test_warm_start_goes_on_from_the_network_at_hand(tmp_path, trained):
    net = (
        steady_net(max_epochs=2, checkpoint_dir=str(tmp_path), warm_start=True).fit(X, Y).fit(X, Y)
    )
    plain = steady_net(max_epochs=2, warm_start=True).fit(X, Y).fit(X, Y)
    assert_same(net, plain)


def test_what_is_stored_of_a_network_is_no_larger(tmp_path):
    plain = len(pickle.dumps(steady_net(max_epochs=1).fit(X, Y)))
    kept = len(pickle.dumps(steady_net(max_epochs=1, checkpoint_dir=str(tmp_path)).fit(X, Y)))
    assert kept < plain + 2000


GRID = {"lr": [0.02, 0.05, 0.1], "filters": [(4, 8), (8, 16), (8, 8)]}
HALVING = {"resource": "max_epochs", "min_resources": 1, "max_resources": 9, "cv": 2}


@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_halving_scores_as_it_does_from_scratch(n_jobs, tmp_path, trained):
    scratch = HalvingGridSearchCV(steady_net(), GRID, refit=False, **HALVING).fit(X, Y)
    del trained[:]
    resumed = HalvingGridSearchCV(
        steady_net(checkpoint_dir=str(tmp_path)), GRID, n_jobs=n_jobs, refit=False, **HALVING
    ).fit(X, Y)
    assert resumed.n_resources_ == [1, 3, 9]
    np.testing.assert_array_equal(
        resumed.cv_results_["mean_test_score"], scratch.cv_results_["mean_test_score"]
    )
    assert resumed.best_params_ == scratch.best_params_
    if n_jobs == 1:
        # 9 candidates for one epoch, 3 for two more, 1 for six more, in two folds.
        assert sum(trained) == 2 * (9 * 1 + 3 * 2 + 1 * 6)


def test_random_halving_of_a_pipeline(tmp_path, trained):
    network = ConvNetClassifier(**steady_net(checkpoint_dir=str(tmp_path)).get_params())
    search = HalvingRandomSearchCV(
        Pipeline([("net", network)]),
        {"net__lr": [0.02, 0.05, 0.1], "net__dropout": [0.0, 0.2]},
        n_candidates=4,
        factor=2,
        random_state=0,
        **{**HALVING, "resource": "net__max_epochs", "max_resources": 4},
    ).fit(X, Y)
    assert search.n_resources_ == [1, 2, 4]
    # The refit is on other images, all of them.
    assert sum(trained[:-1]) == 2 * (4 * 1 + 2 * 1 + 1 * 2)
    assert trained[-1] == 4
    assert search.best_estimator_["net"].n_iter_ == 4


def flip(data):
    changed = bytearray(data)
    changed[len(data) // 2] ^= 1
    return bytes(changed)


DAMAGES = {
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "a bit": flip,
    "zeros": lambda data: bytes(len(data)),
    "something else": lambda data: pickle.dumps({"module": None}),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_checkpoint_is_named_and_its_epochs_trained_again(damage, tmp_path, trained):
    whole = steady_net(max_epochs=4).fit(X, Y)
    steady_net(max_epochs=2, checkpoint_dir=str(tmp_path)).fit(X, Y)
    before = set(tmp_path.rglob("output.pkl"))
    steady_net(max_epochs=3, checkpoint_dir=str(tmp_path)).fit(X, Y)
    (file,) = set(tmp_path.rglob("output.pkl")) - before
    file.write_bytes(damage(file.read_bytes()))
    clf = steady_net(max_epochs=4, checkpoint_dir=str(tmp_path))
    with pytest.warns(UserWarning, match="damaged") as caught:
        clf.fit(X, Y)
    assert [str(file) in str(w.message) for w in caught] == [True]
    assert_same(clf, whole)
    # The next fits have whole checkpoints again.
    assert_same(steady_net(max_epochs=4, checkpoint_dir=str(tmp_path)).fit(X, Y), whole)
    assert trained == [4, 2, 1, 2, 0]


def test_a_damaged_checkpoint_of_the_same_length_is_replaced(tmp_path, trained):
    for _ in range(2):
        steady_net(max_epochs=2, checkpoint_dir=str(tmp_path)).fit(X, Y)
    (file,) = tmp_path.rglob("output.pkl")
    file.write_bytes(flip(file.read_bytes()))
    with pytest.warns(UserWarning, match="damaged"):
        steady_net(max_epochs=2, checkpoint_dir=str(tmp_path)).fit(X, Y)
    steady_net(max_epochs=2, checkpoint_dir=str(tmp_path)).fit(X, Y)
    assert trained == [2, 0, 2, 0]
