"""Optimizers that cannot train a network are refused, with a way out."""

from functools import partial

import pytest
import torch
from _helpers import small_net, stripes

from skcnn._engine._optimizer_checks import check_optimizer


class Step(torch.optim.Optimizer):
    """Steps against the sign of the gradients."""

    def __init__(self, params, lr=0.1, size=1.0):
        super().__init__(params, {"lr": lr, "size": size})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p -= group["lr"] * group["size"] * p.grad.sign()


class WithoutRate(Step):
    def __init__(self, params):
        super().__init__(params)


class WithoutStep(torch.optim.Optimizer):
    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})


class WithClosure(Step):
    def step(self, closure):
        return closure()


class WithHorizon(Step):
    def __init__(self, params, lr, horizon):
        super().__init__(params, lr)


class TakesAll(Step):
    def __init__(self, params, **options):
        super().__init__(params, options["lr"])


SGD, SparseAdam = torch.optim.SGD, torch.optim.SparseAdam


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (SparseAdam, r'SparseAdam, .*dense\. Pass optimizer="adam"'),
        (WithoutRate, r"WithoutRate, which takes no learning rate.*parameter `lr`"),
        (WithoutStep, r"WithoutStep, which has no step\(\)"),
        (torch.optim.Optimizer, r"Optimizer, which has no step\(\)"),
        (WithClosure, r"WithClosure, whose step\(\) needs arguments"),
        (WithHorizon, r"needs a value of horizon.*functools\.partial\(WithHorizon, horizon="),
        (partial(SGD, differentiable=True), r"SGD with differentiable=True.*Leave it out"),
        (partial(torch.optim.AdamW, differentiable=True), r"AdamW with differentiable=True"),
        (partial(SGD, momentun=0.9), r"momentun=0\.9, which SGD does not take.*mean momentum\?"),
        (partial(Step, momentum=0.9), r"Step does not take\. Expected options among size"),
        (partial(SGD, momentum=-1), r"momentum=-1, which torch refuses: Invalid momentum"),
        (partial(SGD, nesterov=True), r"nesterov=True, which torch refuses: Nesterov"),
    ],
)
def test_optimizers_that_cannot_train_are_refused(optimizer, message):
    with pytest.raises(ValueError, match=rf"'optimizer' parameter of Net is .*{message}"):
        check_optimizer("Net", optimizer, 0)


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch is older than its Muon")
@pytest.mark.parametrize("weight_decay", [0, 5e-4])
def test_muon_of_torch_is_not_the_one_of_the_package(weight_decay):
    for optimizer in (torch.optim.Muon, partial(torch.optim.Muon, momentum=0.9)):
        with pytest.raises(ValueError, match=r'Pass optimizer="muon", or .*skcnn\.optimizers'):
            check_optimizer("Net", optimizer, weight_decay)


@pytest.mark.parametrize(
    "optimizer",
    [
        "sgd",
        SGD,
        torch.optim.Rprop,
        partial(SGD, momentum=0.9),
        Step,
        partial(Step, size=2.0),
        partial(WithHorizon, horizon=3),
        TakesAll,
        partial(TakesAll, anything=1),
    ],
    ids=str,
)
def test_others_are_not(optimizer):
    check_optimizer("Net", optimizer, 0)


def test_a_refused_optimizer_is_refused_by_fit():
    X, y = stripes(12)
    with pytest.raises(ValueError, match="ConvNetClassifier is the class WithoutRate"):
        small_net(optimizer=WithoutRate, weight_decay=0).fit(X, y)


def test_an_optimizer_of_your_own_trains():
    X, y = stripes(60)
    options = {"weight_decay": 0, "lr": 0.01, "max_epochs": 1}
    small = small_net(optimizer=partial(Step, size=1e-9), **options).fit(X, y)
    large = small_net(optimizer=Step, **options).fit(X, y)
    start = small_net(optimizer="sgd", **{**options, "lr": 1e-9}).fit(X, y)
    weights = [net.module_.head.weight for net in (small, large, start)]
    assert torch.allclose(weights[0], weights[2], atol=1e-6)
    assert not torch.allclose(weights[1], weights[2], atol=1e-3)
