"""The layers that torch does not have."""

import weakref

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from skcnn._layers import AverageMaxPool2d, Dropout, MaxPool2d


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


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.sampled_from([torch.channels_last, torch.contiguous_format]),
    st.sampled_from([torch.float32, torch.bfloat16]),
    st.sampled_from([2**21, 100]),
)
def test_pooling_is_that_of_torch_and_so_are_its_gradients(shape, window, layout, dtype, cache):
    window = tuple(min(w, s) for w, s in zip(window, shape[2:]))
    # Small whole numbers, so that the largest of a window is often there twice.
    images = torch.randint(0, 4, shape).to(dtype=dtype, memory_format=layout).requires_grad_()
    pooled, expected = MaxPool2d(window)(images), torch.nn.MaxPool2d(window)(images)
    assert torch.equal(pooled, expected)
    assert pooled.stride() == expected.stride()
    weight = torch.rand(pooled.shape).to(dtype)
    with pytest.MonkeyPatch.context() as patch:
        # With little of it, the gradients come about piece by piece.
        patch.setattr("skcnn._layers._CACHE_BYTES", cache)
        gradients = [
            torch.autograd.grad((p * weight).sum(), images)[0] for p in (pooled, expected)
        ]
    assert torch.equal(*gradients)
    assert gradients[0].stride() == gradients[1].stride()


def test_pooling_lets_go_of_the_images():
    images = torch.rand(4, 3, 8, 8, requires_grad=True)
    copied = images * 1
    gone = weakref.ref(copied)
    pooled = MaxPool2d((2, 2))(copied)
    del copied
    assert gone() is None
    pooled.sum().backward()
    assert images.grad.sum() == pooled.numel()


def test_pooling_over_all_places_takes_average_and_maximum():
    images = torch.rand(4, 3, 5, 6)
    expected = (images.mean((2, 3)) + images.amax((2, 3))) / 4
    torch.testing.assert_close(AverageMaxPool2d()(images).flatten(1), expected)
