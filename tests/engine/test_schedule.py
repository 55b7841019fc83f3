"""Learning rates and sizes of images over a training."""

import numpy as np
import pytest
import torch
from _helpers import optimizer_with
from hypothesis import given
from hypothesis import strategies as st

from skcnn._engine._schedule import SCHEDULES, LRSchedule, lr_multiplier, scale_of

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


@pytest.mark.parametrize(
    ("n_epochs", "scales", "expected"),
    [
        (3, (), [1, 1, 1]),
        (4, (0.5, 1), [0.5, 0.5, 1, 1]),
        (5, (0.5, 0.75, 1), [0.5, 0.75, 0.75, 1, 1]),
        (2, (0.5, 0.75, 1), [0.75, 1]),
        (1, (0.5, 1), [1]),
    ],
)
def test_epochs_are_spread_over_the_sizes(n_epochs, scales, expected):
    assert [scale_of(epoch, n_epochs, scales) for epoch in range(n_epochs)] == expected
