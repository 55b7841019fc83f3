"""Fits that go on from shorter ones: the same network, to the bit, or a fresh start."""

import os
import pickle
import signal
import time
from functools import partial

import joblib
import numpy as np
import pytest
import torch
from _helpers import small_multi_task, small_net, stripes
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import HalvingGridSearchCV, HalvingRandomSearchCV
from sklearn.pipeline import Pipeline
from skorch.callbacks import Callback

from skcnn import ConvNetClassifier, ConvNetRegressor, ConvNetSegmenter
from skcnn._engine import _checkpoints
from skcnn._engine._checkpoints import TrainingCheckpoint
from skcnn._storage._container import read_file
from skcnn.networks import Backbone, CompactTransformer, ConvBlocks, UNet
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
        {"optimizer": partial(torch.optim.SGD, momentum=0.7)},
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
        (
            {"optimizer": partial(torch.optim.SGD, momentum=0.8)},
            {"optimizer": partial(torch.optim.SGD, momentum=0.85)},
        ),
        ({"module": ConvBlocks((8, 16))}, {"module": ConvBlocks((8, 16), init="dirac")}),
    ],
    ids=["optimizer", "partial", "module"],
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


@pytest.mark.parametrize("kind", ["indicators", "tasks", "masks"])
def test_class_weights_inside_a_loss_are_part_of_what_was_trained(kind, tmp_path, trained):
    estimator, y, weight = {
        "indicators": (small_net(), np.c_[Y != 0, Y == 1].astype(int), "balanced"),
        "tasks": (small_multi_task(), Y[:, None], {"stripes": {0: 2, 1: 1, 2: 1}}),
        "masks": (
            ConvNetSegmenter(UNet(ConvBlocks((4, 8))), device="cpu", random_state=0),
            (X.mean(axis=3) > 120).astype(int),
            "balanced",
        ),
    }[kind]
    estimator.set_params(max_epochs=1, checkpoint_dir=str(tmp_path)).fit(X, y)
    clone(estimator).set_params(class_weight=weight).fit(X, y)
    assert trained == [1, 1]


def test_a_partial_fit_and_a_fit_are_not_taken_for_each_other(tmp_path, trained):
    for first, second in (("partial_fit", "fit"), ("fit", "partial_fit")):
        folder = str(tmp_path / first)
        for method in (first, second):
            clf = small_net(max_epochs=1, lr_schedule="onecycle", checkpoint_dir=folder)
            getattr(clf, method)(X, Y)
    assert trained == [1] * 4


def test_weights_below_a_unet_are_part_of_what_was_trained():
    unet = UNet(Backbone("efficientnet_lite0"))
    networks = [torch.nn.Linear(2, 2) for _ in range(2)]
    first, second = (joblib.hash(_checkpoints._description(unet, n)) for n in networks)
    assert first != second
    assert first == joblib.hash(_checkpoints._description(clone(unet), networks[0]))


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
        ({"random_state": None}, "random_state"),
        ({"random_state": np.random.RandomState(0)}, "random_state"),
        ({"callbacks": [Callback]}, "callbacks"),
        ({"augment": lambda images, generator: images}, "augment"),
        ({"optimizer": MyAdam}, "optimizer"),
        ({"optimizer": partial(MyAdam, eps=1e-7)}, "optimizer of your own"),
        ({"module": dense_network}, "own module"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_where_it_would_not_be_sound_training_begins_afresh(parameters, words, tmp_path, trained):
    for max_epochs in (1, 2):
        with pytest.warns(UserWarning, match=f"checkpoint_dir=.* has no effect.*{words}"):
            steady_net(max_epochs=max_epochs, checkpoint_dir=str(tmp_path), **parameters).fit(X, Y)
    assert trained == [1, 2]


def test_an_empty_list_of_callbacks_is_no_callback(tmp_path, trained):
    for max_epochs in (1, 2):
        steady_net(max_epochs=max_epochs, checkpoint_dir=str(tmp_path), callbacks=[]).fit(X, Y)
    assert trained == [1, 1]


def test_an_interrupted_training_goes_on_after_its_last_whole_epoch(
    tmp_path, trained, monkeypatch
):
    from skcnn._engine._step import TrainingStep

    step, calls = TrainingStep.train_on_batch, []

    def interrupted(net, *args):
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return step(net, *args)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingStep, "train_on_batch", interrupted)
        with pytest.warns(UserWarning, match="interrupted in epoch 2"):
            steady_net(max_epochs=2, checkpoint_dir=str(tmp_path)).fit(X, Y)
    again = steady_net(max_epochs=2, checkpoint_dir=str(tmp_path)).fit(X, Y)
    assert trained == [1, 1]
    assert_same(again, steady_net(max_epochs=2).fit(X, Y))


def donor():
    return small_net(max_epochs=1, lr_schedule=None).fit(X[:30], Y[:30])


WHOLE = {
    "onecycle": lambda: {"dropout": 0.3, "augment": ("flip", "shift", "mixup")},
    "cosine": lambda: {"lr_schedule": "cosine", "optimizer": "muon", "bias_lr_factor": 4.0},
    "averaging": lambda: {"weight_averaging": 0.6, "optimizer": "adamw", "lr": 0.01},
    "resizing": lambda: {"progressive_resizing": (0.5, 0.75, 1.0), "symmetry": "mirror"},
    "stopping": lambda: {"early_stopping": True, "lr_schedule": None, "n_iter_no_change": 2},
    "stopping of a schedule": lambda: {
        "early_stopping": True,
        "n_iter_no_change": 1,
        "tol": 10.0,
        "max_epochs": 8,
        "weight_averaging": 0.3,
        "progressive_resizing": (0.5, 1.0),
    },
    "float16": lambda: {"precision": "float16", "lr_schedule": None, "max_epochs": 4},
    "transformer": lambda: {
        "module": CompactTransformer(width=8, depth=1, heads=2, dropout=0.2),
        "optimizer": "adam",
        "lr": 0.01,
    },
    "backbone": lambda: {"module": Backbone(donor())},
    "backbone in part": lambda: {"module": Backbone(donor(), unfreeze=1), "augment": "shift"},
}


def fit_and_die(clf, n_epochs):
    """Fit in another process, which is killed after the state of an epoch was written."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    on_epoch_end = TrainingCheckpoint.on_epoch_end

    def die(checkpoint, net, **kwargs):
        on_epoch_end(checkpoint, net, **kwargs)
        if len(net.history) == n_epochs:
            os.kill(os.getpid(), signal.SIGKILL)

    TrainingCheckpoint.on_epoch_end = die
    try:
        clf.fit(X, Y)
    finally:
        os._exit(1)


@pytest.fixture
def each_epoch(monkeypatch):
    """States are written after each epoch, however short it is."""
    monkeypatch.setattr(_checkpoints, "_MOST_WRITING", 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("case", WHOLE)
def test_a_fit_that_was_killed_goes_on_as_if_it_had_not_been(case, tmp_path, each_epoch, trained):
    parameters = {"lr_schedule": "onecycle", "max_epochs": 5, **WHOLE[case]()}
    whole = small_net(**parameters).fit(X, Y)
    clf = small_net(**parameters, checkpoint_dir=str(tmp_path))
    for n_epochs in (1, 3):
        assert fit_and_die(clf, n_epochs) == signal.SIGKILL
    clf.fit(X, Y)
    # Of the epochs, three were trained by the processes that are gone.
    assert trained[-1] == len(whole.net_.history) - 3
    assert_same(clf, whole)
    batches = [row["batches"] for row in clf.net_.history]
    assert batches == [row["batches"] for row in whole.net_.history]
    assert getattr(clf, "best_epoch_", None) == getattr(whole, "best_epoch_", None)
    np.testing.assert_array_equal(clf.predict_proba(X), whole.predict_proba(X))
    # Training on the network itself goes on from the same state, too.
    if "early_stopping" not in parameters:
        assert_same(clf.partial_fit(X, Y), whole.partial_fit(X, Y))


def test_other_kinds_of_targets_go_on_as_well(tmp_path, trained):
    several = np.stack([Y < 2, Y > 0], axis=1)
    for estimator, y in ((ConvNetRegressor(loss="poisson"), Y), (ConvNetClassifier(), several)):
        estimator.set_params(filters=(4,), device="cpu", random_state=0, lr_schedule=None)
        whole = clone(estimator).set_params(max_epochs=3).fit(X, y)
        estimator.set_params(checkpoint_dir=str(tmp_path))
        clone(estimator).set_params(max_epochs=1).fit(X, y)
        resumed = clone(estimator).set_params(max_epochs=3).fit(X, y)
        assert trained[-3:] == [3, 1, 2]
        np.testing.assert_array_equal(resumed.predict(X), whole.predict(X))


def test_states_of_former_epochs_are_removed(tmp_path, each_epoch, monkeypatch):
    names = []
    on_epoch_end = TrainingCheckpoint.on_epoch_end

    def listed(checkpoint, net, **kwargs):
        on_epoch_end(checkpoint, net, **kwargs)
        names.append(sorted(path.name.partition("-")[2] for path in tmp_path.rglob("*-*")))

    monkeypatch.setattr(TrainingCheckpoint, "on_epoch_end", listed)
    steady_net(max_epochs=2, checkpoint_dir=str(tmp_path)).fit(X, Y)
    steady_net(max_epochs=5, checkpoint_dir=str(tmp_path)).fit(X, Y)
    assert names == [
        ["1.running"],
        ["2.finished"],
        ["2.finished", "3.running"],
        ["2.finished", "4.running"],
        ["2.finished", "5.finished"],
    ]


def test_writing_takes_a_small_part_of_the_time(tmp_path, monkeypatch):
    written = []

    def slow(path, *args):
        time.sleep(0.02)
        written.append(path.suffix)

    monkeypatch.setattr(_checkpoints, "write_file", slow)
    steady_net(max_epochs=6, checkpoint_dir=str(tmp_path)).fit(X, Y)
    assert written[0] == ".running"
    assert written[-1] == ".finished"
    assert len(written) < 5


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"max_epochs": 3}, {"max_epochs": 4}),
        ({"lr_schedule": "cosine"}, {}),
        ({"lr_schedule": None}, {}),
        ({"weight_averaging": 0.5}, {}),
        ({"early_stopping": True}, {}),
        ({"early_stopping": True, "tol": 0.5}, {"early_stopping": True}),
        ({"early_stopping": True, "n_iter_no_change": 1}, {"early_stopping": True}),
    ],
    ids=str,
)
def test_with_a_schedule_only_the_same_fit_goes_on(first, second, tmp_path, trained):
    for parameters in (first, second, first):
        parameters = {"max_epochs": 3, **parameters, "checkpoint_dir": str(tmp_path)}
        small_net(**parameters).fit(X, Y)
    assert trained[1] == second.get("max_epochs", 3)
    # What early stopping ends is not stored after its last epoch.
    assert trained[2] <= 1


def test_another_donor_is_another_training(tmp_path, trained):
    donors = [small_net(max_epochs=1, random_state=seed).fit(X, Y) for seed in (0, 1, 0)]
    del trained[:]
    for source in donors:
        small_net(module=Backbone(source), max_epochs=2, checkpoint_dir=str(tmp_path)).fit(X, Y)
    assert trained == [2, 2, 0]


def test_a_folder_that_cannot_be_written_does_not_end_the_training(tmp_path):
    (tmp_path / "file").write_text("in the way")
    clf = steady_net(max_epochs=3, checkpoint_dir=str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="cannot be written, and training goes on") as caught:
        clf.fit(X, Y)
    assert len(caught) == 1
    assert_same(clf, steady_net(max_epochs=3).fit(X, Y))


def test_what_killed_processes_have_begun_is_removed_after_a_while(tmp_path):
    steady_net(max_epochs=1, checkpoint_dir=str(tmp_path)).fit(X, Y)
    (path,) = tmp_path.rglob("*.finished")
    old, new = (path.with_name(f".{path.name}.{name}.tmp") for name in ("old", "new"))
    for part in (old, new):
        part.write_bytes(b"begun")
    os.utime(old, (0, 0))
    steady_net(max_epochs=1, checkpoint_dir=str(tmp_path)).fit(X, Y)
    assert not old.exists()
    assert new.exists()


def test_checkpoints_hold_no_pickles(tmp_path):
    steady_net(max_epochs=1, checkpoint_dir=str(tmp_path)).fit(X, Y)
    (path,) = tmp_path.rglob("*.finished")
    content, _ = read_file(path, "checkpoint")
    assert set(content) == {"state"}


def test_a_memory_without_a_folder_keeps_nothing(trained):
    for _ in range(2):
        steady_net(max_epochs=1, checkpoint_dir=joblib.Memory(None, verbose=0)).fit(X, Y)
    assert trained == [1, 1]


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
    before = set(tmp_path.rglob("*.finished"))
    steady_net(max_epochs=3, checkpoint_dir=str(tmp_path)).fit(X, Y)
    (file,) = set(tmp_path.rglob("*.finished")) - before
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
    (file,) = tmp_path.rglob("*.finished")
    file.write_bytes(flip(file.read_bytes()))
    with pytest.warns(UserWarning, match="damaged"):
        steady_net(max_epochs=2, checkpoint_dir=str(tmp_path)).fit(X, Y)
    steady_net(max_epochs=2, checkpoint_dir=str(tmp_path)).fit(X, Y)
    assert trained == [2, 0, 2, 0]
