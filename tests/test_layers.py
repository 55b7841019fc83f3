"""The layers that torch does not have."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from skcnn._layers import Dropout


@given(
    st.lists(st.integers(0, 7), min_size=1, max_size=4),
    st.floats(0, 1, exclude_max=True),
    st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
)
def test_dropout_sets_values_to_zero_and_scales_the_others(shape, rate, dtype):
    x = torch.ones(shape, dtype=dtype)
    dropped = Dropout(rate)(x)
    assert (dropped.shape, dropped.dtype) == (x.shape, dtype)
    kept = dropped[dropped != 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - rate)))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.93])
def test_dropout_has_its_rate_and_no_pattern(rate):
    torch.manual_seed(0)
    dropped = Dropout(rate)(torch.ones(500, 403)) == 0
    # Ten standard deviations of a binomial.
    assert abs(dropped.double().mean() - rate) < 10 * np.sqrt(rate * (1 - rate) / dropped.numel())
    for axis in (0, 1):
        share = dropped.double().mean(axis)
        expected = np.sqrt(rate * (1 - rate) / dropped.shape[axis])
        assert share.std() == pytest.approx(expected, rel=0.25)
    # Four values share a random number, and are none the less independent.
    flat = dropped.flatten().double()
    for distance in range(1, 6):
        assert abs(torch.corrcoef(torch.stack([flat[:-distance], flat[distance:]]))[0, 1]) < 0.02


def test_the_generator_of_torch_decides_what_is_dropped():
    x = torch.ones(64)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        first = Dropout(0.5)(x)
        other = Dropout(0.5)(x)
        torch.manual_seed(3)
        assert torch.equal(Dropout(0.5)(x), first)
    assert not torch.equal(first, other)


def test_gradients_flow_where_values_do():
    x = torch.rand(1000, requires_grad=True)
    dropped = Dropout(0.25)(x)
    dropped.sum().backward()
    torch.testing.assert_close(x.grad, (dropped.detach() != 0) / 0.75)


@pytest.mark.parametrize(("rate", "training"), [(0.5, False), (0.0, True), (0.0, False)])
def test_where_nothing_is_to_be_dropped_nothing_changes(rate, training):
    x = torch.rand(100)
    assert torch.equal(Dropout(rate).train(training)(x), x)
