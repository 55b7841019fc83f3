"""Early stopping: when training ends, how the learning rate gets there, which weights stay."""

import contextlib
import math

import numpy as np
import pytest
import torch
from _helpers import small_net, stripes
from sklearn.base import clone
from skorch.callbacks import Callback
from skorch.history import History

from skcnn._engine._early_stopping import StopEarly
from skcnn._engine._schedule import TrainingPlan

N_BATCHES = 4


class Net:
    """As much of a net as early stopping asks for, with a weight that tells its epoch."""

    def __init__(self, schedule=None, epochs=20, spread=0.0):
        self.module_ = torch.nn.Linear(1, 1)
        self.history = History()
        self.schedule = schedule
        self.lr = 0.5
        self.plan = TrainingPlan(epochs * N_BATCHES, schedule, 5 * N_BATCHES)
        self.spread = spread
        self.rates = []

    def train(self, loss):
        """Go through an epoch with this validation loss."""
        for _ in range(N_BATCHES):
            self.rates.append(self.plan.lr_multiplier())
            self.plan.advance()
        self.history.new_epoch()
        self.history.record("valid_loss", loss)
        torch.nn.init.constant_(self.module_.weight, len(self.history))

    def shorten(self, n_epochs):
        self.plan.shorten(n_epochs * N_BATCHES)

    @property
    def is_complete(self):
        return self.plan.n_left == 0

    @property
    def validation_losses(self):
        """Losses of 16 images, whose differences between epochs have the given deviation."""
        signs = torch.tensor([-1.0, 1.0]).repeat(8)
        return self.history[-1, "valid_loss"] + signs * self.spread * len(self.history)


def run(net, stopper, losses):
    """Return the epoch in which training stops, if any does, and the rates of all steps."""
    stopper.on_train_begin(net)
    stopped = None
    try:
        for loss in losses:
            net.train(loss)
            stopper.on_epoch_end(net)
    except KeyboardInterrupt:
        stopped = len(net.history)
    stopper.on_train_end(net)
    return stopped, np.array(net.rates)


@pytest.mark.parametrize(
    ("losses", "patience", "tol", "stops", "best"),
    [
        ([3, 2, 1], 2, 0, None, 3),
        ([1, 2, 3, 0], 2, 0, 3, 1),
        ([3, 2.95, 2.9, 2.85], 3, 0.1, None, 4),
        ([3, 2.95, 2.91, 2.9], 2, 0.1, 3, 3),
    ],
    ids=["falling", "rising", "slowly_falling", "too_slowly_falling"],
)
def test_stopping_waits_for_patience_and_restores_the_lowest(losses, patience, tol, stops, best):
    net, stopper = Net(), StopEarly(patience, tol)
    stopped, _ = run(net, stopper, losses)
    assert (stopped, stopper.best_epoch_) == (stops, best)
    assert net.module_.weight.item() == (best or stopped)


def test_stopping_without_a_finite_loss_is_an_error():
    net, stopper = Net(), StopEarly(2, 0)
    stopper.on_train_begin(net)
    with contextlib.suppress(KeyboardInterrupt):
        for _ in range(2):
            net.train(math.nan)
            stopper.on_epoch_end(net)
    with pytest.raises(ValueError, match=r"no epoch with a finite validation loss, of 2.*lr=0\.5"):
        stopper.on_train_end(net)


@pytest.mark.parametrize("schedule", ["onecycle", "cosine"])
def test_with_a_schedule_the_rate_falls_to_zero_where_the_loss_stalls(schedule):
    losses = [5, 4, 3, 2, 2, 2, 2] + [2] * 93
    net = Net(schedule, epochs=100)
    stopped, rates = run(net, StopEarly(3, 0), losses)
    # Epoch 4 was the last to improve; after 3 more the rate falls for twice as many.
    assert stopped == 7 + 6
    planned = TrainingPlan(400, schedule, 5 * N_BATCHES)
    for rate in rates[: 7 * N_BATCHES]:
        assert rate == planned.lr_multiplier()
        planned.advance()
    # It goes on from where it is, and its next step would be zero.
    falling = rates[7 * N_BATCHES :]
    assert 0 < rates[7 * N_BATCHES - 1] - falling[0] < 0.05
    assert np.all(np.diff(falling) < 0)
    assert falling[-1] < 1.01 / len(falling)
    if schedule == "onecycle":
        np.testing.assert_allclose(np.diff(falling), falling[-1] * -1, rtol=1e-6)


def test_a_rate_that_still_rises_turns_where_it_is():
    net = Net("onecycle", epochs=100)
    stopped, rates = run(net, StopEarly(2, 0), [1] * 100)
    assert stopped == 3 + 4
    assert rates.argmax() in (11, 12)
    assert 0.5 < rates.max() < 0.65
    assert rates[-1] < 0.1


def test_a_stall_near_the_end_changes_nothing():
    with_stall, without = Net("onecycle", 10), Net("onecycle", 10)
    stopped, rates = run(with_stall, StopEarly(4, 0), [3, 2, 1, 1, 1, 1, 1, 1, 1, 1])
    _, planned = run(without, StopEarly(4, 0), range(10, 0, -1))
    np.testing.assert_array_equal(rates, planned)
    assert stopped == 10


@pytest.mark.parametrize(
    ("schedule", "last", "spread", "best"),
    [
        # Of 16 images, twice the standard error is 1.03 for two epochs that differ by 2 each.
        ("onecycle", 1.9, 1.0, 6),
        ("onecycle", 2.1, 1.0, 4),
        ("onecycle", 1.9, 0.0, 4),
        (None, 1.9, 1.0, 4),
    ],
    ids=["within the error", "clearly higher", "no error", "no schedule"],
)
def test_the_last_epoch_of_a_schedule_wins_unless_it_is_clearly_worse(
    schedule, last, spread, best
):
    net, stopper = Net(schedule, epochs=6, spread=spread), StopEarly(10, 0)
    run(net, stopper, [4, 3, 2, 1, 2, last])
    assert stopper.best_epoch_ == net.module_.weight.item() == best


# ---------------------------------------------------------------- real fits


@pytest.fixture(scope="module")
def hard():
    """Stripes behind so much noise that a high rate does not settle."""
    X, y = stripes(1200, noise=200)
    return X[:200], y[:200], X[200:], y[200:]


def settings(**more):
    return {"max_epochs": 40, "n_iter_no_change": 4, "lr": 0.2, "early_stopping": True, **more}


def test_a_fit_that_has_too_many_epochs_ends_sooner_and_is_as_accurate(hard):
    X, y, X_test, y_test = hard
    full = small_net(**settings(early_stopping=False)).fit(X, y)
    early = small_net(**settings()).fit(X, y)
    cut = small_net(**settings(lr_schedule=None)).fit(X, y)
    assert early.n_iter_ < 30
    accuracy = early.score(X_test, y_test)
    # There are 1,000 test images, so that the standard error is 0.015.
    assert accuracy > full.score(X_test, y_test) - 0.03
    assert accuracy > cut.score(X_test, y_test) + 0.05
    lr = early.history_["lr"]
    assert lr.iloc[-1] < 0.01
    assert lr.idxmax() == 5


def test_where_there_are_no_epochs_to_spare_the_schedule_is_that_of_a_full_fit(hard):
    X, y, X_val, y_val = hard
    few = settings(max_epochs=6)
    early = small_net(**few).fit(X, y, X_val=X_val, y_val=y_val)
    full = small_net(**few | {"early_stopping": False}).fit(X, y)
    assert early.loss_curve_ == full.loss_curve_
    np.testing.assert_array_equal(early.predict_proba(X_val), full.predict_proba(X_val))


def test_a_shortened_fit_repeats_bit_for_bit(hard):
    X, y, *_ = hard
    first, again = (small_net(**settings()).fit(X, y) for _ in range(2))
    assert first.n_iter_ == again.n_iter_ < 40
    assert first.best_epoch_ == again.best_epoch_
    np.testing.assert_array_equal(first.predict_proba(X), again.predict_proba(X))


class Scales(Callback):
    def on_train_begin(self, net, **kwargs):
        self.scales = []

    def on_epoch_end(self, net, **kwargs):
        self.scales.append(net._loop.batches.scale)


def test_all_image_sizes_come_before_the_end(hard):
    X, y, *_ = hard
    scales = Scales()
    more = settings(progressive_resizing=(0.5, 0.75, 1), callbacks=[scales], tol=1e3)
    clf = small_net(**more).fit(X, y)
    # No epoch after the first counts as an improvement: it stalls in epoch 5, and ends in 13.
    assert clf.n_iter_ == len(scales.scales) == 13
    assert set(scales.scales[:5]) == {0.5}
    assert sorted(scales.scales) == scales.scales
    assert set(scales.scales[5:]) == {0.5, 0.75, 1}


def test_weights_are_averaged_over_the_last_steps_of_a_shortened_fit(hard):
    X, y, *_ = hard
    more = settings(tol=1e3)
    plain = small_net(**more).fit(X, y)
    averaged = clone(plain).set_params(weight_averaging=0.3).fit(X, y)
    assert plain.loss_curve_ == averaged.loss_curve_
    assert plain.n_iter_ == averaged.n_iter_ == 13
    np.testing.assert_allclose(
        plain.history_["valid_loss"].iloc[:-1], averaged.history_["valid_loss"].iloc[:-1]
    )
    assert plain.history_["valid_loss"].iloc[-1] != averaged.history_["valid_loss"].iloc[-1]


def test_another_fit_continues_after_a_shortened_one(hard):
    X, y, *_ = hard
    clf = small_net(**settings(tol=1e3, warm_start=True)).fit(X, y)
    assert clf.n_iter_ == 13
    clf.fit(X, y)
    assert clf.n_iter_ == 26
    assert clf.best_epoch_ > 13
    lr = clf.history_["lr"]
    assert lr.iloc[12] < 0.02 < lr.iloc[15]


def test_early_stopping_leaves_no_losses_in_a_stored_net(hard):
    X, y, *_ = hard
    clf = small_net(**settings(max_epochs=2)).fit(X, y)
    stopper = next(c for _, c in clf.net_.callbacks_ if isinstance(c, StopEarly))
    assert stopper.weights_ is None
    assert stopper.losses_ is None
    assert clf.net_._losses == []


def test_what_is_learnt_from_noise_is_dropped_again():
    rng = np.random.RandomState(0)
    X = rng.randint(256, size=(80, 8, 8, 3), dtype=np.uint8)
    X_val = rng.randint(256, size=(400, 8, 8, 3), dtype=np.uint8)
    y, y_val = np.arange(80) % 2, np.arange(400) % 2
    clf = small_net(**settings(lr=0.02, max_epochs=200, label_smoothing=0.0))
    clf.fit(X, y, X_val=X_val, y_val=y_val)
    assert clf.best_epoch_ < clf.n_iter_ < 200
    assert clf.best_epoch_ == clf.history_["valid_loss"].idxmin()
