"""Losses of numbers against those of scikit-learn, and far from the actual values."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import (
    mean_absolute_error,
    mean_gamma_deviance,
    mean_pinball_loss,
    mean_poisson_deviance,
    mean_squared_error,
)

from skcnn._targets._losses import (
    LOSSES,
    log_of_softplus_link,
    log_of_sums,
    make_loss,
    softplus_link,
)

METRICS = {
    "squared_error": lambda y, p, **more: mean_squared_error(y, p, **more) / 2,
    "absolute_error": mean_absolute_error,
    "poisson": lambda y, p, **more: mean_poisson_deviance(y, p, **more) / 2,
    "gamma": lambda y, p, **more: mean_gamma_deviance(y, p, **more) / 2,
    "quantile": lambda y, p, **more: mean_pinball_loss(y, p, alpha=0.8, **more),
}


def loss_named(name):
    return make_loss(name, 0.8)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_the_metric_of_scikit_learn(name):
    y, predicted = np.random.RandomState(0).uniform(0.5, 4, size=(2, 200))
    loss = loss_named(name)
    read = np.log(predicted) if loss.is_positive else predicted
    losses = loss(torch.tensor(read), torch.tensor(y))
    assert losses.mean().item() == pytest.approx(METRICS[name](y, predicted), rel=1e-9)
    right = np.log(y) if loss.is_positive else y
    np.testing.assert_allclose(loss(torch.tensor(right), torch.tensor(y)), 0, atol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_no_constant_is_better_than_the_best_one(name):
    rng = np.random.RandomState(1)
    y, weight = rng.gamma(2, size=99), rng.uniform(size=99)
    loss, metric = loss_named(name), METRICS[name]
    best = loss.best_constant(y, weight)
    least = metric(y, np.full(99, best), sample_weight=weight)
    for other in np.linspace(0.05, 5, 200):
        assert metric(y, np.full(99, other), sample_weight=weight) >= least - 1e-12


def test_a_count_may_be_zero():
    losses = make_loss("poisson")(torch.tensor([0.0, -3.0]), torch.tensor([0.0, 0.0]))
    assert losses.tolist() == pytest.approx([1, math.exp(-3)])


@pytest.mark.parametrize("name", ["poisson", "gamma"])
@pytest.mark.parametrize("output", [-1e4, -100.0, -15.0, 0.0, 100.0, 1e4])
def test_a_guess_that_is_far_off_has_a_loss_and_a_gradient(name, output):
    outputs = torch.tensor([output], requires_grad=True)
    loss = make_loss(name)(log_of_softplus_link(outputs), torch.tensor([1.5])).sum()
    (gradient,) = torch.autograd.grad(loss, outputs)
    assert math.isfinite(loss.item())
    assert math.isfinite(gradient.item())
    # It leads back.
    assert (gradient.item() > 0) == (output > 1)
    assert abs(gradient.item()) > 1e-5


def test_the_link_turns_zero_into_one_and_has_a_stable_logarithm():
    outputs = torch.linspace(-14, 60, 300, dtype=torch.float64)
    linked = softplus_link(outputs)
    assert softplus_link(torch.zeros(1)).item() == pytest.approx(1)
    np.testing.assert_allclose(log_of_softplus_link(outputs), linked.log(), atol=1e-6)
    np.testing.assert_allclose(log_of_sums(linked), linked.log(), atol=1e-12)
    assert log_of_sums(torch.zeros(1)).isfinite().all()


def test_the_gamma_loss_is_straight_where_it_would_overflow():
    ratios = torch.tensor([4.999, 5.001, 6.0, 7.0, 1000.0])
    losses = make_loss("gamma")(-ratios, torch.ones(5))
    assert losses[1].item() == pytest.approx(losses[0].item(), rel=1e-2)
    steps = (losses[3] - losses[2]).item()
    assert steps == pytest.approx(math.exp(5) - 1, rel=1e-4)
    assert losses.isfinite().all()


def test_a_quantile_has_to_be_named():
    with pytest.raises(ValueError, match=r"quantile=None\. Give a number"):
        make_loss("quantile")
