"""Layers that torch lacks, or that are faster or smaller here."""

import weakref

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from skcnn.networks._layers import AverageMaxPool2d, Conv2d, Dropout, MaxPool2d
from skcnn.networks._mirror import MirroredConv2d


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
    # Four values share a random number, and are still independent.
    flat = dropped.flatten().double()
    for distance in range(1, 6):
        assert abs(torch.corrcoef(torch.stack([flat[:-distance], flat[distance:]]))[0, 1]) < 0.02


def test_dropout_draws_from_the_generator_of_torch():
    x = torch.ones(64)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        first = Dropout(0.5)(x)
        other = Dropout(0.5)(x)
        torch.manual_seed(3)
        assert torch.equal(Dropout(0.5)(x), first)
    assert not torch.equal(first, other)


def test_dropout_passes_gradients_of_kept_values():
    x = torch.rand(1000, requires_grad=True)
    dropped = Dropout(0.25)(x)
    dropped.sum().backward()
    torch.testing.assert_close(x.grad, (dropped.detach() != 0) / 0.75)


@pytest.mark.parametrize(("rate", "training"), [(0.5, False), (0.0, True), (0.0, False)])
def test_dropout_changes_nothing_at_rate_zero_or_in_inference(rate, training):
    x = torch.rand(100)
    assert torch.equal(Dropout(rate).train(training)(x), x)


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.sampled_from([torch.channels_last, torch.contiguous_format]),
    st.sampled_from([torch.float32, torch.bfloat16]),
)
def test_max_pool_and_its_gradient_equal_those_of_torch(shape, window, layout, dtype):
    window = tuple(min(w, s) for w, s in zip(window, shape[2:]))
    # Small integers, so that windows often have tied maxima.
    images = torch.randint(0, 4, shape).to(dtype=dtype, memory_format=layout).requires_grad_()
    pooled, expected = MaxPool2d(window)(images), torch.nn.MaxPool2d(window)(images)
    assert torch.equal(pooled, expected)
    assert pooled.stride() == expected.stride()
    weight = torch.rand(pooled.shape).to(dtype)
    gradients = [torch.autograd.grad((p * weight).sum(), images)[0] for p in (pooled, expected)]
    assert torch.equal(*gradients)
    assert gradients[0].stride() == gradients[1].stride()


def test_max_pool_releases_its_input():
    images = torch.rand(4, 3, 8, 8, requires_grad=True)
    copied = images * 1
    gone = weakref.ref(copied)
    pooled = MaxPool2d((2, 2))(copied)
    del copied
    assert gone() is None
    pooled.sum().backward()
    assert images.grad.sum() == pooled.numel()


def test_average_max_pool_is_half_the_mean_of_both():
    images = torch.rand(4, 3, 5, 6)
    expected = (images.mean((2, 3)) + images.amax((2, 3))) / 4
    torch.testing.assert_close(AverageMaxPool2d()(images).flatten(1), expected)


def loss_and_gradients(convolve, images, filters, bias):
    leaves = [tensor.detach().requires_grad_() for tensor in (images, filters, bias)]
    out = convolve(*leaves)
    loss = (out.float() * torch.arange(out.numel()).view(out.shape).cos()).sum()
    return out, torch.autograd.grad(loss, leaves)


@given(
    shape=st.tuples(*[st.integers(1, 4)] * 2, *[st.integers(1, 6)] * 2),
    n_filters=st.integers(1, 5),
    kernel=st.tuples(*[st.integers(0, 2)] * 2),
    layout=st.sampled_from([torch.contiguous_format, torch.channels_last]),
    padded=st.booleans(),
)
def test_conv_gradients_equal_those_of_torch(shape, n_filters, kernel, layout, padded):
    # Odd kernels, which keep the size of padded images.
    kernel_size = tuple(2 * half + 1 for half in kernel)
    padding = kernel if padded else (0, 0)
    if not padded:
        shape = (*shape[:2], *[side + size for side, size in zip(shape[2:], kernel_size)])
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(shape, generator=generator, dtype=torch.float64).to(memory_format=layout)
    layer = Conv2d(shape[1], n_filters, kernel_size, padding).double()
    filters = torch.randn(layer.weight.shape, generator=generator, dtype=torch.float64)
    filters = filters.to(memory_format=layout)
    bias = torch.randn(n_filters, generator=generator, dtype=torch.float64)
    out, gradients = loss_and_gradients(layer._conv_forward, images, filters, bias)
    expected, others = loss_and_gradients(
        lambda *args: torch.nn.functional.conv2d(*args, padding=padding), images, filters, bias
    )
    assert torch.equal(out, expected)
    for gradient, other in zip(gradients, others, strict=True):
        torch.testing.assert_close(gradient, other)


def uses_small_convolution(out):
    waiting = [out.grad_fn]
    while waiting:
        function = waiting.pop()
        if function.name() == "_SmallConvolutionBackward":
            return True
        waiting += [parent for parent, _ in function.next_functions if parent is not None]
    return False


@pytest.mark.parametrize("kind", [Conv2d, MirroredConv2d])
def test_conv_uses_the_small_convolution_for_small_images_in_training(kind):
    layer = kind(4, 6, (3, 3), (1, 1))
    small = torch.rand(5, 4, 5, 5, requires_grad=True)
    assert uses_small_convolution(layer(small))
    assert not uses_small_convolution(layer(torch.rand(5, 4, 5, 6)))
    assert not uses_small_convolution(layer.requires_grad_(False)(small))


@pytest.mark.parametrize("kind", [Conv2d, MirroredConv2d])
@pytest.mark.parametrize(("precision", "error"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)])
def test_small_convolution_has_the_precision_of_torch(kind, precision, error, monkeypatch):
    torch.manual_seed(0)
    layer = kind(8, 6, (3, 3), (1, 1))
    images = torch.randn(64, 8, 4, 4)

    def gradients():
        with torch.autocast("cpu", precision, enabled=precision is not torch.float32):
            out = layer(images)
        assert out.dtype is precision
        return torch.autograd.grad(out.float().square().sum(), list(layer.parameters()))

    ours = gradients()
    monkeypatch.setattr("skcnn.networks._layers._MAX_SMALL_PIXELS", 0)
    for gradient, torchs in zip(ours, gradients(), strict=True):
        assert gradient.dtype is torch.float32
        # Sums of a thousand products, in different order.
        tolerance = error * float(torchs.abs().max())
        torch.testing.assert_close(gradient, torchs, rtol=0, atol=tolerance)
