"""Optimizers, schedules, early stopping."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skorch.history import History

from skcnn import ConvNetClassifier
from skcnn._engine._early_stopping import StopEarly
from skcnn._engine._optimizers import OPTIMIZERS, make_capturable, supports_weight_decay
from skcnn._engine._schedule import SCHEDULES, LRSchedule, lr_multiplier

STEPS = st.integers(1, 1000).flatmap(lambda n: st.tuples(st.integers(0, n - 1), st.just(n)))


@pytest.mark.parametrize("schedule", SCHEDULES)
@given(STEPS)
def test_each_step_takes_a_share_of_the_learning_rate(schedule, step_of):
    assert 0 < lr_multiplier(schedule, *step_of) <= 1


@pytest.mark.parametrize("schedule", SCHEDULES)
@given(st.integers(2, 1000))
def test_schedules_end_at_zero(schedule, n_steps):
    assert lr_multiplier(schedule, n_steps, n_steps) == pytest.approx(0, abs=1e-9)


@given(STEPS)
def test_without_a_schedule_the_rate_is_constant(step_of):
    assert lr_multiplier(None, *step_of) == 1


@given(st.integers(5, 1000))
def test_one_cycle_climbs_for_a_fifth_of_the_steps_and_then_falls(n_steps):
    rates = [lr_multiplier("onecycle", step, n_steps) for step in range(n_steps + 1)]
    top = int(np.argmax(rates))
    assert top / n_steps == pytest.approx(0.2, abs=1.5 / n_steps)
    assert rates[top] > 0.7
    assert np.all(np.diff(rates[: top + 1]) > 0)
    # In a straight line down to zero.
    falling = np.diff(rates[top + 1 :])
    np.testing.assert_allclose(falling, -1 / (0.8 * n_steps), rtol=0.01)


def test_the_cosine_falls_from_the_start():
    rates = [lr_multiplier("cosine", step, 4) for step in range(5)]
    half = np.sqrt(2) / 2
    np.testing.assert_allclose(rates, [1, (1 + half) / 2, 0.5, (1 - half) / 2, 0], atol=1e-12)


def test_it_is_known_which_optimizers_decay_weights():
    assert supports_weight_decay("sgd")
    assert supports_weight_decay(torch.optim.AdamW)
    assert not supports_weight_decay(torch.optim.Rprop)


def test_an_optimizer_without_weight_decay_is_told_to_the_user(images, labels):
    clf = ConvNetClassifier((4,), optimizer=torch.optim.Rprop, lr=0.01, max_epochs=2)
    with pytest.raises(ValueError, match=r"Rprop knows no weight decay. Set weight_decay=0"):
        clf.fit(images, labels)
    clf.set_params(weight_decay=0).fit(images, labels)
    assert clf.n_iter_ == 2


def test_an_optimizer_of_several_evaluations_a_batch_is_refused(images, labels):
    clf = ConvNetClassifier((4,), optimizer=torch.optim.LBFGS, weight_decay=0)
    with pytest.raises(ValueError, match="is LBFGS, which evaluates each batch several times"):
        clf.fit(images, labels)


class Net:
    """As much of a net as early stopping asks for, with a weight that tells its epoch."""

    def __init__(self):
        self.module_ = torch.nn.Linear(1, 1)
        self.history = History()


@pytest.mark.parametrize(
    ("losses", "patience", "tol", "stops", "best"),
    [
        ([3, 2, 1], 2, 0, None, 3),
        ([1, 2, 3, 0], 2, 0, 3, 1),
        ([3, 2.95, 2.9, 2.85], 3, 0.1, None, 4),
        ([3, 2.95, 2.91, 2.9], 2, 0.1, 3, 3),
        ([math.nan, math.nan, 1], 2, 0, 2, 0),
    ],
    ids=["falling", "rising", "slowly_falling", "too_slowly_falling", "not_a_number"],
)
def test_stopping_waits_for_patience_and_restores_the_lowest(losses, patience, tol, stops, best):
    net, stopper = Net(), StopEarly(patience, tol)
    stopper.on_train_begin(net)
    stopped = None
    for epoch, loss in enumerate(losses, start=1):
        net.history.new_epoch()
        net.history.record("valid_loss", loss)
        torch.nn.init.constant_(net.module_.weight, epoch)
        try:
            stopper.on_epoch_end(net)
        except KeyboardInterrupt:
            stopped = epoch
            break
    stopper.on_train_end(net)
    assert (stopped, stopper.best_epoch_) == (stops, best)
    assert net.module_.weight.item() == (best or stopped)


# ---------------------------------------------------------------- learning rates


def optimizer_with(*rates, kind=torch.optim.SGD, **options):
    groups = [{"params": [torch.nn.Parameter(torch.ones(2))], "lr": rate} for rate in rates]
    return kind(groups, **options)


@pytest.mark.parametrize("device", [None, torch.device("cpu")], ids=["numbers", "on_device"])
@pytest.mark.parametrize("schedule", [*SCHEDULES, None])
def test_rates_follow_the_schedule_and_are_restored(schedule, device):
    optimizer = optimizer_with(0.1, 0.02)
    rates = LRSchedule(optimizer, schedule, device)
    tensors = [group["lr"] for group in optimizer.param_groups]
    rates.begin(10)
    for step in range(10):
        rates.advance()
        factor = lr_multiplier(schedule, step, 10)
        found = [float(group["lr"]) for group in optimizer.param_groups]
        assert found == pytest.approx([0.1 * factor, 0.02 * factor])
        assert rates.last_lr == pytest.approx(0.1 * factor)
    if device is not None:
        # In the same memory all the time, where recorded steps look for them.
        assert all(g["lr"] is tensor for g, tensor in zip(optimizer.param_groups, tensors))
    rates.restore()
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.02]


def test_the_rate_noted_is_the_one_that_the_step_took():
    optimizer = optimizer_with(0.1)
    rates = LRSchedule(optimizer, None)
    rates.begin(2)
    rates.advance()
    optimizer.param_groups[0]["lr"] = 0.05
    assert rates.last_lr == 0.1
    rates.advance()
    assert rates.last_lr == 0.05


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_by_name_can_be_recorded_on_a_gpu_and_nowhere_else(name):
    kind, settings = OPTIMIZERS[name]
    optimizer = optimizer_with(0.1, kind=kind, **settings)
    assert make_capturable(optimizer, torch.device("cuda"))
    group = optimizer.param_groups[0]
    assert group.get("capturable", True)
    # Trained on a GPU and opened on a CPU, it goes on there.
    assert not make_capturable(optimizer, torch.device("cpu"))
    assert not group.get("capturable", False)


def test_of_other_optimizers_it_is_not_known_whether_they_can_be_recorded():
    class Own(torch.optim.SGD):
        pass

    assert not make_capturable(optimizer_with(0.1, kind=Own), torch.device("cuda"))
