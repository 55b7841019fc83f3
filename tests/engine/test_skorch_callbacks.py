"""Callbacks of skorch, and callbacks of one's own, at work in a fit."""

import pickle
import re
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from _helpers import small_net, stripes
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import f1_score, log_loss
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    Freezer,
    GradientNormClipping,
    LRScheduler,
    PassthroughScoring,
    PrintLog,
    ProgressBar,
    TrainEndCheckpoint,
    Unfreezer,
)


@pytest.fixture(scope="module")
def data():
    X, y = stripes(180)
    return X[:120], X[120:], y[:120], y[120:]


@pytest.fixture(scope="module")
def plain(data):
    """What a fit without callbacks comes to."""
    return _fit(data)


def _fit(data, *callbacks, **parameters):
    X, X_val, y, y_val = data
    clf = small_net(**{"max_epochs": 3, "callbacks": list(callbacks) or None, **parameters})
    return clf.fit(X, y, X_val=X_val, y_val=y_val)


class Epochs(Callback):
    """Hooks around epochs only."""

    def on_train_begin(self, net, **kwargs):
        self.calls_ = ["train begin"]

    def on_epoch_begin(self, net, **kwargs):
        self.calls_.append("epoch begin")

    def on_epoch_end(self, net, **kwargs):
        self.calls_.append(f"epoch end {net.history[-1]['epoch']}")
        net.history.record("twice", 2 * net.history[-1]["train_loss"])

    def on_train_end(self, net, **kwargs):
        self.calls_.append("train end")


class EveryBatch(Callback):
    """Hooks around batches."""

    def on_train_begin(self, net, **kwargs):
        self.begun_, self.ended_, self.norms_, self.losses_ = [], [], [], []

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        self.begun_.append((training, len(batch[0]), len(batch[1])))

    def on_batch_end(self, net, training=False, loss=None, y_pred=None, **kwargs):
        self.ended_.append((training, len(y_pred)))
        if training:
            self.losses_.append(loss.item())

    def on_grad_computed(self, net, named_parameters=(), **kwargs):
        self.norms_.append({name: p.grad.norm().item() for name, p in named_parameters})


FORMS = {
    "class": lambda kind: kind,
    "instance": lambda kind: kind(),
    "pair": lambda kind: ("mine", kind()),
    "pair with class": lambda kind: ("mine", kind),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", [Epochs, EveryBatch])
def test_a_callback_comes_as_class_instance_or_pair(form, kind, data, plain):
    clf = _fit(data, FORMS[form](kind))
    found = [(name, c) for name, c in clf.net_.callbacks_ if isinstance(c, kind)]
    assert len(found) == 1
    assert found[0][0] == ("mine" if form.startswith("pair") else kind.__name__)
    if kind is Epochs:
        epochs = [call for n in (1, 2, 3) for call in ("epoch begin", f"epoch end {n}")]
        assert found[0][1].calls_ == ["train begin", *epochs, "train end"]
        assert_allclose(clf.history_["twice"], 2 * clf.history_["train_loss"])
    else:
        # 120 images in batches of 16, all 60 validation images at once.
        epoch = [(True, 16)] * 7 + [(True, 8)] + [(False, 60)]
        assert found[0][1].ended_ == epoch * 3
        assert [(t, n) for t, n, _ in found[0][1].begun_] == epoch * 3
        assert len(found[0][1].norms_) == 24
        names = {name for name, _ in clf.module_.named_parameters()}
        assert set(found[0][1].norms_[0]) == names
        assert max(found[0][1].norms_[0].values()) > 0


@pytest.mark.parametrize("kind", [Epochs, EveryBatch])
def test_looking_on_does_not_change_the_network(kind, data, plain):
    clf = _fit(data, kind())
    assert_array_equal(clf.predict_proba(data[1]), plain.predict_proba(data[1]))
    figures = ["train_loss", "valid_loss", "valid_accuracy", "lr"]
    assert_allclose(clf.history_[figures], plain.history_[figures], rtol=1e-6)


def test_figures_of_callbacks_follow_in_the_history(data):
    clf = _fit(data, Epochs())
    assert clf.history_.columns.tolist()[-2:] == ["seconds", "twice"]


def test_callbacks_work_again_in_each_fit(data):
    X, _, y, _ = data
    callback = Epochs()
    clf = small_net(max_epochs=2, warm_start=True, callbacks=[callback])
    for n_epochs in (2, 4):
        clf.fit(X, y)
        assert len(clf.history_["twice"]) == n_epochs
        assert len(callback.calls_) == 6
    clf.partial_fit(X, y)
    assert callback.calls_[1:3] == ["epoch begin", "epoch end 5"]


def test_several_callbacks_of_a_kind(data):
    clf = _fit(
        data, EpochScoring("f1_macro"), EpochScoring("neg_log_loss"), EpochScoring("accuracy")
    )
    assert_allclose(clf.history_["neg_log_loss"], -clf.history_["valid_loss"], rtol=1e-5)
    assert_allclose(clf.history_["accuracy"], clf.history_["valid_accuracy"], rtol=1e-6)


# ---------------------------------------------------------------- scoring


@pytest.mark.parametrize("use_caching", [True, False])
def test_epoch_scoring_of_the_validation_images(use_caching, data):
    scoring = EpochScoring("f1_macro", lower_is_better=False, name="f1", use_caching=use_caching)
    clf = _fit(data, scoring)
    assert clf.history_["f1"].iloc[-1] == pytest.approx(
        f1_score(data[3], clf.predict(data[1]), average="macro")
    )
    assert clf.history_["f1"].notna().all()


@pytest.mark.parametrize("use_caching", [True, False])
def test_epoch_scoring_of_the_training_images(use_caching, data):
    scoring = EpochScoring("accuracy", on_train=True, name="train_acc", use_caching=use_caching)
    clf = _fit(data, scoring, max_epochs=6)
    accuracy = clf.history_["train_acc"]
    assert accuracy.iloc[-1] > 0.85
    if use_caching:  # of the predictions that the steps were made from
        assert accuracy.iloc[0] < 0.8
    else:
        assert accuracy.iloc[-1] == clf.score(data[0], data[2])


def test_epoch_scoring_with_a_function(data):
    def sure(net, X, y):
        return net.predict_proba(X).max(axis=1).mean()

    clf = _fit(data, EpochScoring(sure, use_caching=False))
    expected = clf.predict_proba(data[1]).max(axis=1).mean()
    assert clf.history_["sure"].iloc[-1] == pytest.approx(expected, rel=1e-5)


def test_early_stopping_sees_the_images_held_out_by_itself(data):
    X, _, y, _ = data
    scoring = EpochScoring("accuracy", name="again")
    clf = small_net(early_stopping=True, callbacks=[scoring], max_epochs=4).fit(X, y)
    assert_allclose(clf.history_["again"], clf.history_["valid_accuracy"], rtol=1e-6)


def test_batch_scoring(data):
    clf = _fit(
        data,
        BatchScoring("accuracy", name="valid_by_batch"),
        BatchScoring("accuracy", name="train_by_batch", on_train=True),
        max_epochs=6,
    )
    assert_allclose(clf.history_["valid_by_batch"], clf.history_["valid_accuracy"], rtol=1e-6)
    assert clf.history_["train_by_batch"].iloc[-1] > 0.85


class RecordsLoss(Callback):
    def on_batch_end(self, net, training=False, loss=None, **kwargs):
        if training:
            net.history.record_batch("own", loss.item())


def test_passthrough_scoring_averages_what_batches_note(data):
    clf = _fit(data, RecordsLoss, PassthroughScoring("own", on_train=True))
    assert_allclose(clf.history_["own"], clf.history_["train_loss"], rtol=1e-5)


def test_passthrough_scoring_of_the_loss_of_the_batches(data):
    plain = _fit(data)
    clf = _fit(data, PassthroughScoring("train_loss", on_train=True))
    assert_allclose(clf.history_["train_loss"], plain.history_["train_loss"])


# ---------------------------------------------------------------- what a batch is


class Pairs(Callback):
    """Takes each batch apart, as callbacks of skorch do."""

    def on_train_begin(self, net, **kwargs):
        self.seen_ = {"begin": [], "grad": [], "end": []}

    def _note(self, hook, batch):
        images, target = batch
        assert images.shape[1:] == (8, 8, 3)
        self.seen_[hook].append(target)

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        self._note("begin", batch)

    def on_grad_computed(self, net, named_parameters=None, batch=None, **kwargs):
        self._note("grad", batch)

    def on_batch_end(self, net, batch=None, training=False, y_pred=None, **kwargs):
        self._note("end", batch)
        assert len(y_pred) == len(batch[1])


@pytest.mark.parametrize("weighted", [False, True])
def test_callbacks_get_pairs_of_images_and_targets(weighted, data):
    X, X_val, y, y_val = data
    weight = np.linspace(0.5, 1.5, len(y)) if weighted else None
    pairs = Pairs()
    small_net(max_epochs=2, callbacks=[pairs]).fit(X, y, weight, X_val=X_val, y_val=y_val)
    # Eight batches for training and one for validation, in each epoch.
    assert [len(pairs.seen_[hook]) for hook in ("begin", "grad", "end")] == [18, 16, 18]
    for begin, end in zip(pairs.seen_["begin"], pairs.seen_["end"]):
        assert torch.equal(begin, end)
    for epoch in range(2):
        codes = torch.cat(pairs.seen_["grad"][8 * epoch : 8 * epoch + 8])
        assert_array_equal(np.bincount(codes), np.bincount(y))
        assert_array_equal(pairs.seen_["end"][9 * epoch + 8], y_val)


def test_callbacks_get_the_mixed_targets_of_mixed_images(data):
    pairs = Pairs()
    _fit(data, pairs, augment="mixup", max_epochs=1)
    mixed = torch.cat(pairs.seen_["grad"])
    assert mixed.shape == (120, 3)
    torch.testing.assert_close(mixed.sum(1), torch.ones(120))
    assert pairs.seen_["end"][-1].ndim == 1


@pytest.mark.parametrize("use_caching", [True, False])
@pytest.mark.parametrize("on_train", [True, False], ids=["training", "validation"])
def test_epoch_scoring_of_weighted_images(on_train, use_caching, data):
    X, _, y, _ = data
    weight = np.where(y == 0, 2.0, 1.0)
    scoring = EpochScoring(
        "accuracy", name="found", on_train=on_train, use_caching=use_caching, lower_is_better=False
    )
    clf = small_net(early_stopping=True, callbacks=[scoring], max_epochs=4).fit(X, y, weight)
    assert clf.history_["found"].between(0, 1).all()
    if not on_train:
        assert_allclose(clf.history_["found"], clf.history_["valid_accuracy"], rtol=1e-6)
    elif not use_caching:
        best = small_net(callbacks=[scoring], max_epochs=4).fit(X, y, weight)
        assert best.history_["found"].iloc[-1] == best.score(X, y)


# ---------------------------------------------------------------- training


@pytest.mark.parametrize("step_every", ["epoch", "batch"])
def test_a_scheduler_of_skorch_sets_the_learning_rate(step_every, data):
    scheduler = LRScheduler("StepLR", step_size=1, gamma=0.5, step_every=step_every)
    clf = _fit(data, scheduler, lr_schedule=None, lr=0.08)
    # One epoch is eight batches, and the rate that is noted that of the last one.
    factor = 0.5 if step_every == "epoch" else 0.5**8
    rates = clf.history_["lr"].to_numpy()
    assert_allclose(rates[1:] / rates[:-1], factor, rtol=1e-6)
    assert_allclose(rates[0], 0.08 if step_every == "epoch" else 0.08 * 0.5**7)


def test_a_scheduler_that_waits_for_a_plateau(data):
    scheduler = LRScheduler("ReduceLROnPlateau", monitor="valid_loss", patience=0, threshold=10.0)
    clf = _fit(data, scheduler, lr_schedule=None, lr=0.08)
    assert_allclose(clf.history_["lr"], [0.08, 0.008, 0.0008])


def test_gradients_are_clipped_before_the_step(data):
    watch = EveryBatch()
    clipped = _fit(data, GradientNormClipping(1e-9), watch, weight_decay=0.0, max_epochs=1)
    total = [np.sqrt(sum(n**2 for n in norms.values())) for norms in watch.norms_]
    assert_allclose(total, 1e-9, rtol=0.05)
    start = _fit(data, weight_decay=0.0, max_epochs=1, lr=1e-12)
    name = "head.weight"
    weights = [clf.module_.state_dict()[name] for clf in (clipped, start)]
    assert_allclose(*weights, atol=1e-7)


def test_checkpoints_hold_the_weights_of_the_last_improvement(data, tmp_path):
    clf = _fit(data, Checkpoint(dirname=tmp_path, monitor="train_loss_best"), max_epochs=5)
    assert {"params.pt", "optimizer.pt", "history.json"} <= {p.name for p in tmp_path.iterdir()}
    assert clf.history_["train_loss"].idxmin() == 5
    stored = torch.load(tmp_path / "params.pt", weights_only=True)
    assert stored.keys() == clf.module_.state_dict().keys()
    for name, value in clf.module_.state_dict().items():
        assert torch.equal(stored[name], value)


def test_checkpoint_restores_the_best_weights_where_wished(data, tmp_path):
    checkpoint = Checkpoint(dirname=tmp_path, monitor="valid_loss_best", load_best=True)
    clf = _fit(data, checkpoint, lr_schedule=None, lr=0.3, max_epochs=8)
    found = log_loss(data[3], clf.predict_proba(data[1]))
    assert found == pytest.approx(clf.history_["valid_loss"].min(), rel=1e-4)


def test_checkpoints_beside_a_callback_for_batches(data, tmp_path):
    _fit(data, EveryBatch, Checkpoint(dirname=tmp_path, f_params="{last_epoch[epoch]}.pt"))
    assert (tmp_path / "1.pt").is_file()


def test_early_stopping_of_skorch(data):
    clf = _fit(
        data, EarlyStopping("train_loss", patience=2, threshold=100.0, threshold_mode="abs")
    )
    assert clf.n_iter_ == 3
    clf = _fit(
        data,
        EarlyStopping("train_loss", patience=2, threshold=100.0, threshold_mode="abs"),
        max_epochs=20,
    )
    assert clf.n_iter_ == 3
    assert not hasattr(clf, "best_epoch_")


def test_frozen_layers_stay_as_they_began(data):
    short, long = (_fit(data, Freezer("*block1*"), max_epochs=n, lr_schedule=None) for n in (1, 4))
    free = _fit(data, max_epochs=4, lr_schedule=None)
    first, last = "body.block1.0.weight", "head.weight"
    before, after = short.module_.state_dict(), long.module_.state_dict()
    assert torch.equal(before[first], after[first])
    assert not torch.equal(before[last], after[last])
    assert not torch.equal(free.module_.state_dict()[first], after[first])


OPTIMIZERS = [*("muon", "sgd", "rmsprop", "adam", "adamw"), partial(torch.optim.SGD, momentum=0.9)]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
@pytest.mark.parametrize("layers", ["*block1*", "head*"])
def test_layers_that_are_frozen_for_some_epochs_are_trained_in_the_others(optimizer, layers, data):
    weights = []

    class Look(Callback):
        def on_epoch_end(self, net, **kwargs):
            module = net.module_
            filters = module.body.block1[0].weight
            weights.append((filters if "block1" in layers else module.head.weight).clone())

    # `at` counts epochs from 1, at the beginning of which layers are frozen.
    steps = [Freezer(layers, at=2), Unfreezer(layers, at=3)]
    _fit(data, *steps, Look(), optimizer=optimizer, lr=0.01, lr_schedule=None, max_epochs=4)
    changed = [not torch.equal(a, b) for a, b in pairwise(weights)]
    assert changed == [False, True, True]
    weights.clear()
    steps = [Freezer(layers, at=1), Unfreezer(layers, at=4)]
    _fit(data, *steps, Look(), optimizer=optimizer, lr=0.01, lr_schedule=None, max_epochs=4)
    changed = [not torch.equal(a, b) for a, b in pairwise(weights)]
    assert changed == [False, False, True]


def test_a_network_of_which_all_is_frozen_is_an_error_that_says_so(data):
    with pytest.raises(ValueError, match="No parameter of the network is trained in epoch 1"):
        _fit(data, Freezer("*"))


def test_the_last_checkpoint_of_early_stopping_holds_the_best_weights(data, tmp_path):
    _, X_val, _, y_val = data
    stored = TrainEndCheckpoint(dirname=str(tmp_path), f_pickle="net.pkl")
    clf = _fit(
        data,
        stored,
        early_stopping=True,
        n_iter_no_change=3,
        max_epochs=12,
        lr=0.5,
        lr_schedule=None,
    )
    losses = clf.history_["valid_loss"]
    assert losses.iloc[-1] > losses.min()
    weights = torch.load(tmp_path / "train_end_params.pt", weights_only=True)
    for name, tensor in clf.module_.state_dict().items():
        assert torch.equal(tensor, weights[name]), name
    net = pickle.loads((tmp_path / "train_end_net.pkl").read_bytes())
    probability = net.predict_proba(X_val)
    assert_array_equal(probability, clf.net_.predict_proba(X_val))
    loss = log_loss(y_val, probability)
    assert loss == pytest.approx(losses.min(), rel=1e-3)


# ---------------------------------------------------------------- showing


def test_progress_bar_of_skorch(data, capsys):
    _fit(data, ProgressBar(batches_per_epoch=9, detect_notebook=False))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count(" 0/9 ") >= 3  # a bar for each epoch


def test_print_log_writes_a_row_an_epoch(data):
    lines = []
    clf = _fit(data, PrintLog(sink=lines.append))
    text = "\n".join(lines)
    assert "train_loss" in text
    assert "valid_accuracy" in text
    for loss in clf.loss_curve_:
        assert re.search(rf"{loss:.4f}", text)


def test_print_log_prints_where_verbose(data, capsys):
    _fit(data, PrintLog(), verbose=1)
    assert "train_loss" in capsys.readouterr().out
