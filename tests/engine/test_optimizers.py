"""Optimizers: by name, by specification, and classes of one's own."""

import pickle
from functools import partial

import numpy as np
import pytest
import torch
from _helpers import optimizer_with, small_net, stripes
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch import nn

from skcnn import ConvNetClassifier
from skcnn._engine._muon import Muon as MuonOptimizer
from skcnn._engine._optimizers import (
    OPTIMIZERS,
    make_capturable,
    resolve_optimizer,
    supports_weight_decay,
)
from skcnn.optimizers import SGD, Adam, AdamW, Muon, RMSprop


def test_it_is_known_which_optimizers_decay_weights():
    assert supports_weight_decay("sgd")
    assert supports_weight_decay(torch.optim.AdamW)
    assert not supports_weight_decay(torch.optim.Rprop)


def test_an_optimizer_without_weight_decay_is_told_to_the_user(images, labels):
    clf = ConvNetClassifier((4,), optimizer=torch.optim.Rprop, lr=0.01, max_epochs=2)
    with pytest.raises(ValueError, match=r"Rprop has no weight decay. Set weight_decay=0"):
        clf.fit(images, labels)
    clf.set_params(weight_decay=0).fit(images, labels)
    assert clf.n_iter_ == 2


def test_an_optimizer_of_several_evaluations_a_batch_is_refused(images, labels):
    clf = ConvNetClassifier((4,), optimizer=torch.optim.LBFGS, weight_decay=0)
    with pytest.raises(ValueError, match="is LBFGS, which evaluates each batch several times"):
        clf.fit(images, labels)


# ---------------------------------------------------------------- learning rates


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_by_name_can_be_recorded_on_a_gpu_and_nowhere_else(name):
    kind, settings = resolve_optimizer(name)
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


# ---------------------------------------------------------------- specifications

X, Y = stripes(60)

SPECIFICATIONS = [
    (SGD(0.8, nesterov=False), torch.optim.SGD, {"momentum": 0.8, "nesterov": False}),
    (
        RMSprop(0.8, eps=1e-5, momentum=0.3),
        torch.optim.RMSprop,
        {"alpha": 0.8, "eps": 1e-5, "momentum": 0.3},
    ),
    (Adam((0.8, 0.99), eps=1e-6), torch.optim.Adam, {"betas": (0.8, 0.99), "eps": 1e-6}),
    (AdamW([0.7, 0.9], eps=1e-5), torch.optim.AdamW, {"betas": (0.7, 0.9), "eps": 1e-5}),
    (
        Muon(0.7, sgd_momentum=0.8, n_iterations=2),
        MuonOptimizer,
        {"momentum": 0.7, "sgd_momentum": 0.8, "n_iterations": 2},
    ),
    (
        partial(torch.optim.Adagrad, initial_accumulator_value=0.5),
        torch.optim.Adagrad,
        {"initial_accumulator_value": 0.5},
    ),
]


@pytest.mark.parametrize(
    ("optimizer", "kind", "options"), SPECIFICATIONS, ids=lambda v: str(v)[:30]
)
def test_options_of_a_specification_reach_torch(optimizer, kind, options):
    clf = small_net(optimizer=optimizer, lr=0.003, weight_decay=0.02, max_epochs=1).fit(X, Y)
    found = clf.net_.optimizer_
    assert type(found) is kind
    for group in found.param_groups:
        assert {name: group[name] for name in options} == options
        assert group["lr"] == 0.003
        assert group["weight_decay"] == (0 if group["role"] == "others" else 0.02)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_name_is_the_specification_with_its_defaults(name):
    assert resolve_optimizer(name) == resolve_optimizer(OPTIMIZERS[name]())
    nets = [
        small_net(optimizer=optimizer, lr=0.01, max_epochs=2).fit(X, Y)
        for optimizer in (name, OPTIMIZERS[name]())
    ]
    assert nets[0].loss_curve_ == nets[1].loss_curve_


@pytest.mark.parametrize("optimizer", [spec for spec, *_ in SPECIFICATIONS[:-1]], ids=str)
def test_a_specification_can_be_cloned_stored_and_changed(optimizer):
    for other in (clone(optimizer), pickle.loads(pickle.dumps(optimizer))):
        assert type(other) is type(optimizer)
        assert other.get_params() == optimizer.get_params()
    name = next(iter(optimizer.get_params()))
    clf = small_net(optimizer=optimizer)
    before = getattr(optimizer, name)
    clf.set_params(**{f"optimizer__{name}": 0.25})
    assert getattr(clf.optimizer, name) == 0.25
    # Others that hold the specification see no change.
    assert getattr(optimizer, name) == before


def test_options_of_a_specification_can_be_searched():
    search = GridSearchCV(
        small_net(optimizer=SGD(), lr=0.02, max_epochs=3),
        {"optimizer__momentum": [0.5, 0.95]},
        cv=2,
    ).fit(X, Y)
    assert search.best_estimator_.optimizer.momentum == search.best_params_["optimizer__momentum"]
    group = search.best_estimator_.net_.optimizer_.param_groups[0]
    assert group["momentum"] == search.best_params_["optimizer__momentum"]
    kinds = GridSearchCV(
        small_net(lr=0.003, max_epochs=1), {"optimizer": [SGD(0.5), Adam(), "muon"]}, cv=2
    ).fit(X, Y)
    assert np.isfinite(kinds.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (SGD(1.0), "'momentum' parameter of SGD .*Got 1.0"),
        (SGD(-0.1), "'momentum' parameter of SGD"),
        (SGD(nesterov="yes"), "'nesterov' parameter of SGD .*'yes'"),
        (SGD(0.0), "SGD has momentum=0.0 and nesterov=True.*nesterov=False"),
        (RMSprop(alpha=1.5), "'alpha' parameter of RMSprop"),
        (RMSprop(eps=-1.0), "'eps' parameter of RMSprop"),
        (RMSprop(momentum="high"), "'momentum' parameter of RMSprop"),
        (Adam(betas=0.9), "'betas' parameter of Adam "),
        (Adam(betas=(0.9,)), r"'betas' parameter of Adam must be two numbers.*\(0.9,\)"),
        (Adam(betas=(0.9, 1.0)), "'betas' parameter of Adam must be two numbers"),
        (Adam(betas=(0.9, "high")), "'betas' parameter of Adam must be two numbers"),
        (AdamW(betas=(-1, 0.9)), "'betas' parameter of AdamW must be two numbers"),
        (AdamW(eps=None), "'eps' parameter of AdamW"),
        (Muon(momentum=1), "'momentum' parameter of Muon"),
        (Muon(sgd_momentum=2), "'sgd_momentum' parameter of Muon"),
        (Muon(n_iterations=0), "'n_iterations' parameter of Muon"),
        (Muon(dtype="float64"), "'dtype' parameter of Muon"),
        (Muon(batched="yes"), "'batched' parameter of Muon"),
        (Muon(head_lr_factor=0), "'head_lr_factor' parameter of Muon"),
        (Muon(n_iterations=2.5), "'n_iterations' parameter of Muon"),
        (partial(nn.Linear, bias=False), "'optimizer' parameter of .* is the class Linear"),
        (partial(torch.optim.LBFGS, max_iter=3), "is LBFGS, which evaluates each batch"),
        (partial(torch.optim.Rprop, etas=(0.4, 1.3)), "Rprop has no weight decay"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_options_of_an_optimizer_are_refused_by_name(optimizer, message):
    clf = small_net(optimizer=optimizer)
    with pytest.raises(ValueError, match=message):
        clf.fit(X, Y)
    assert not hasattr(clf, "net_")


def test_sgd_needs_no_momentum():
    clf = small_net(optimizer=SGD(0.0, nesterov=False), max_epochs=1).fit(X, Y)
    assert clf.net_.optimizer_.param_groups[0]["momentum"] == 0


def test_a_partial_class_may_have_a_weight_decay_of_its_own():
    optimizer = partial(torch.optim.SGD, weight_decay=0.03, momentum=0.5)
    clf = small_net(optimizer=optimizer, weight_decay=0.01, max_epochs=1).fit(X, Y)
    groups = {group["role"]: group for group in clf.net_.optimizer_.param_groups}
    assert [groups[role]["weight_decay"] for role in ("filters", "weights", "others")] == [
        0.03,
        0.03,
        0,
    ]
    assert groups["filters"]["momentum"] == 0.5
    assert clone(clf).fit(X, Y).loss_curve_ == clf.loss_curve_
