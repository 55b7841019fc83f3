"""Fitted estimators and nets as pickle and skops store them: the model, and nothing else."""

import copy
import pickle
from functools import partial

import numpy as np
import pytest
import torch
from _helpers import small_net
from skorch.callbacks import Callback, Checkpoint, EarlyStopping, EpochScoring, LRScheduler
from torch import nn

from skcnn import ConvNetClassifier
from skcnn.networks import ConvBlocks
from skcnn.optimizers import SGD

sio = pytest.importorskip("skops.io", reason="skops is not installed; the extra `test` has it")


class Network(nn.Sequential):
    def __init__(self, n_channels, n_classes):
        pooled = (nn.AdaptiveAvgPool2d(1), nn.Flatten())
        super().__init__(nn.Conv2d(n_channels, 4, 3), *pooled, nn.Linear(4, n_classes))


def through_skops(estimator):
    stored = sio.dumps(estimator)
    return sio.loads(stored, trusted=sio.get_untrusted_types(data=stored))


CASES = {
    "defaults": {},
    "bfloat16": {"precision": "bfloat16"},
    "float16": {"precision": "float16"},
    "muon": {"optimizer": "muon"},
    "class of torch": {"optimizer": torch.optim.AdamW, "lr": 0.01},
    "partial": {"optimizer": partial(torch.optim.SGD, momentum=0.5)},
    "specifications": {"optimizer": SGD(0.5), "module": ConvBlocks((4,), symmetry="mirror")},
    "own module": {"module": Network},
    "augmented": {"augment": ("flip", "mixup"), "weight_averaging": 0.5},
    "device of torch": {"device": torch.device("cpu")},
    "class_weight": {"class_weight": {"across": 1, "down": 2.0, "squares": 1}},
    "own random state": {"random_state": np.random.RandomState(3)},
    "early stopping": {"early_stopping": True, "n_iter_no_change": 2},
    "callbacks": {
        "lr_schedule": None,
        "callbacks": [
            LRScheduler("StepLR", step_size=1),
            ("stop", EarlyStopping("train_loss", load_best=True)),
        ],
    },
}


@pytest.mark.parametrize("parameters", CASES.values(), ids=CASES.keys())
def test_skops_stores_all_that_training_needs_to_continue(parameters, images, labels):
    clf = small_net(max_epochs=2, **parameters).fit(images, labels)
    for load in (through_skops, copy.deepcopy):
        loaded = load(clf)
        np.testing.assert_array_equal(loaded.predict_proba(images), clf.predict_proba(images))
        assert loaded.history_.equals(clf.history_)
        assert loaded.get_params().keys() == clf.get_params().keys()
        again = pickle.loads(pickle.dumps(clf))
        for net in (loaded, again):
            net.partial_fit(images, labels)
        np.testing.assert_array_equal(loaded.predict_proba(images), again.predict_proba(images))


def test_skops_stores_an_estimator_that_is_not_fitted():
    clf = through_skops(ConvNetClassifier(**{"module": ConvBlocks((8,)), "lr": 0.05}))
    assert clf.lr == 0.05
    assert clf.module.filters == (8,)


class StoresItself(Callback):
    """Stores the net after each epoch, as some callbacks do."""

    def on_epoch_end(self, net, **kwargs):
        self.stored = pickle.dumps(net)


MANY = np.random.RandomState(0).randint(256, size=(300, 8, 8, 3)).astype(np.uint8)
MANY_LABELS = np.arange(300) % 3
_REST = 30_000
KINDS = {
    "plain": {},
    "early stopping": {"early_stopping": True},
    "scored": {"callbacks": [EpochScoring("accuracy")]},
    "best weights": {"callbacks": [EarlyStopping("train_loss", load_best=True)]},
    "scheduled": {"callbacks": [LRScheduler("StepLR", step_size=1)], "lr_schedule": None},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_pickle_holds_the_model_and_nothing_else(kind):
    clf = small_net(filters=(32, 64), max_epochs=3, batch_size=150, **KINDS[kind])
    clf.fit(MANY, MANY_LABELS, X_val=MANY, y_val=MANY_LABELS)
    weights = sum(tensor.nbytes for tensor in clf.module_.state_dict().values())
    momenta = sum(p.nbytes for p in clf.module_.parameters())
    # The rest is names, figures of the history and the like.
    assert weights > _REST
    assert MANY.nbytes > _REST
    assert len(pickle.dumps(clf)) < weights + momenta + _REST
    assert len(pickle.dumps(clf.net_)) < weights + momenta + _REST


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_net_that_a_callback_stores_in_training_holds_no_images(tmp_path, early_stopping):
    file = tmp_path / "net.pkl"
    own = StoresItself()
    clf = small_net(
        max_epochs=2,
        batch_size=150,
        early_stopping=early_stopping,
        callbacks=[Checkpoint(monitor=None, f_pickle=str(file), dirname=str(tmp_path)), own],
    )
    # Several times as much as the net itself.
    images, labels = np.tile(MANY, (4, 1, 1, 1)), np.tile(MANY_LABELS, 4)
    clf.fit(images, labels, X_val=images, y_val=labels)
    for stored in (file.read_bytes(), own.stored):
        assert len(stored) < images.nbytes / 3
        net = pickle.loads(stored)
        assert net.predict(MANY).shape == (300,)


def test_a_net_that_was_stored_can_be_trained_with_its_callbacks():
    stopping = EarlyStopping("train_loss", patience=2, threshold=10.0, threshold_mode="abs")
    clf = small_net(max_epochs=1, callbacks=[stopping]).fit(MANY, MANY_LABELS)
    net = pickle.loads(pickle.dumps(clf.net_))
    net.set_params(max_epochs=9)
    net.partial_fit(MANY, MANY_LABELS)
    assert 1 < len(net.history) < 9
    assert "dur" in net.history[-1]


class CountsFromTheStart(Callback):
    """Has state that only its constructor sets."""

    def __init__(self):
        self.epochs_ = 0

    def on_epoch_end(self, net, **kwargs):
        self.epochs_ += 1


def test_callbacks_of_users_are_stored_as_they_are(images, labels):
    clf = small_net(max_epochs=2, callbacks=[CountsFromTheStart()]).fit(images, labels)
    loaded = pickle.loads(pickle.dumps(clf))
    assert loaded.callbacks[0].epochs_ == 2
    loaded.fit(images, labels)
