"""Optimizers and schedules."""

import copy
import pickle
from functools import partial

import numpy as np
import pytest
import torch
from _helpers import make_net, small_blocks, small_net, stripes, train
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch import nn

from skcnn import ConvNetClassifier
from skcnn._engine._muon import Muon as MuonOptimizer
from skcnn._engine._optimizers import (
    OPTIMIZERS,
    make_capturable,
    parameter_groups,
    resolve_optimizer,
    set_lr,
    supports_weight_decay,
)
from skcnn._engine._schedule import SCHEDULES, LRSchedule, lr_multiplier
from skcnn.optimizers import SGD, Adam, AdamW, Muon, RMSprop

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
    with pytest.raises(ValueError, match=r"Rprop has no weight decay. Set weight_decay=0"):
        clf.fit(images, labels)
    clf.set_params(weight_decay=0).fit(images, labels)
    assert clf.n_iter_ == 2


def test_an_optimizer_of_several_evaluations_a_batch_is_refused(images, labels):
    clf = ConvNetClassifier((4,), optimizer=torch.optim.LBFGS, weight_decay=0)
    with pytest.raises(ValueError, match="is LBFGS, which evaluates each batch several times"):
        clf.fit(images, labels)


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


# ---------------------------------------------------------------- groups of parameters


class Foreign(nn.Module):
    """Layers that are not the package's own, and parameters of many shapes.

    Class token, positions and a scale per channel are as in vision transformers and ConvNeXt.
    """

    def __init__(self, n_channels=3, n_outputs=3):
        super().__init__()
        self.stem = nn.Conv2d(n_channels, 8, 2, stride=2)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.layer_scale = nn.Parameter(torch.full((8, 1, 1), 0.1))
        self.positions = nn.Parameter(torch.randn(1, 16, 8))
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.norm = nn.LayerNorm(8)
        self.dense = nn.Linear(8, 8)
        self.tied = self.dense
        self.output = nn.Linear(8, n_outputs)
        self.frozen = nn.Linear(8, 8).requires_grad_(False)

    def forward(self, images):
        x = self.stem(images)
        x = x + self.layer_scale * self.depthwise(x)
        x = x.flatten(2).mT + self.positions + self.token
        return self.output(self.tied(self.dense(self.norm(x))).mean(1))


def names_by_role(network):
    names = {id(p): name for name, p in network.named_parameters()}
    return {
        (group["role"], group.get("keeps_norm")): {names[id(p)] for p in group["params"]}
        for group in parameter_groups(network)
    }


def test_parameter_groups_follow_the_modules_that_hold_the_parameters():
    network = Foreign()
    assert names_by_role(network) == {
        ("filters", False): {"stem.weight", "depthwise.weight"},
        ("weights", None): {"positions", "dense.weight", "output.weight"},
        ("others", None): {
            "stem.bias",
            "layer_scale",
            "token",
            "norm.weight",
            "norm.bias",
            "dense.bias",
            "output.bias",
        },
    }
    listed = [p for group in parameter_groups(network) for p in group["params"]]
    assert len(listed) == len({id(p) for p in listed})


def test_parameter_groups_know_the_filters_of_conv_blocks():
    spec = small_blocks(filters=(4, 6), normalization="batch", residual=True, dense_units=5)
    network = spec.build((8, 8, 3), 3)
    found = names_by_role(network)
    convolutions = {
        f"{name}.weight" for name, m in network.named_modules() if isinstance(m, nn.Conv2d)
    }
    assert found["filters", True] == convolutions
    assert ("filters", False) not in found
    dense = {f"{name}.weight" for name, m in network.named_modules() if isinstance(m, nn.Linear)}
    assert found["weights", None] == dense
    everything = {name for name, _ in network.named_parameters()}
    assert found["others", None] == everything - convolutions - dense


def test_parameter_groups_of_others_do_not_decay():
    decays = {group["role"]: group.get("weight_decay") for group in parameter_groups(Foreign())}
    assert decays == {"filters": None, "weights": None, "others": 0.0}


def test_norms_and_biases_of_any_shape_do_not_decay():
    class UntiedBias(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.bias = (nn.Parameter(torch.zeros(4, 6, 6)) for _ in range(2))

    norms = [nn.LayerNorm((4, 6, 6)), nn.RMSNorm((4, 6, 6)), nn.GroupNorm(2, 4), nn.BatchNorm2d(4)]
    norms += [nn.InstanceNorm2d(4, affine=True)]
    network = nn.Sequential(*norms, UntiedBias())
    groups = {group["role"]: group["params"] for group in parameter_groups(network)}
    assert [p is network[-1].weight for p in groups["weights"]] == [True]
    assert len(groups["others"]) == len(list(network.parameters())) - 1


def step_once(network, optimizer):
    torch.manual_seed(1)
    optimizer.zero_grad()
    images = torch.rand(4, 3, 8, 8)
    nn.functional.cross_entropy(network(images), torch.arange(4) % 3).backward()
    optimizer.step()


def test_the_rate_of_the_head_is_a_multiple_of_that_of_filters():
    def fitted(factor, bias_factor=1.0):
        optimizer = Muon(head_lr_factor=factor)
        module = small_blocks(filters=(4, 6), normalization="batch", dense_units=5)
        clf = ConvNetClassifier(
            module=module,
            optimizer=optimizer,
            lr=0.02,
            bias_lr_factor=bias_factor,
            lr_schedule=None,
            max_epochs=1,
            random_state=0,
        )
        return clf.fit(X, Y)

    rates = {
        group["role"]: group["lr"]
        for group in fitted(7.5, bias_factor=3.0).net_.optimizer_.param_groups
    }
    assert rates == pytest.approx({"filters": 0.02, "weights": 0.15, "others": 0.06})
    one, other = (
        {name: p.detach() for name, p in fitted(factor).module_.named_parameters()}
        for factor in (1.0, 7.5)
    )
    assert not torch.equal(one["head.weight"], other["head.weight"])
    # The rate that is shown is that of the filters.
    assert fitted(7.5).history_["lr"].tolist() == pytest.approx([0.02])


def test_a_head_steps_as_far_as_its_rate_says():
    def steps(factor):
        network = small_blocks(filters=(4,)).build((8, 8, 3), 3)
        torch.manual_seed(0)
        for p in network.parameters():
            nn.init.normal_(p, std=0.1)
        optimizer = MuonOptimizer(parameter_groups(network), head_lr_factor=factor)
        set_lr(optimizer, 0.01)
        before = {name: p.detach().clone() for name, p in network.named_parameters()}
        images = torch.rand(4, 8, 8, 3, generator=torch.Generator().manual_seed(1))
        nn.functional.cross_entropy(network(images), torch.arange(4) % 3).backward()
        optimizer.step()
        return {name: p.detach() - before[name] for name, p in network.named_parameters()}

    one, five = steps(1.0), steps(5.0)
    for name, step in five.items():
        factor = 5 if name == "head.weight" else 1
        torch.testing.assert_close(step, factor * one[name], rtol=1e-3, atol=1e-6)


def test_muon_does_not_rescale_what_is_foreign():
    torch.manual_seed(0)
    network = Foreign()
    before = copy.deepcopy(network.state_dict())
    step_once(network, MuonOptimizer(parameter_groups(network), lr=1e-12))
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=1e-6, msg=name)


def test_a_fit_with_muon_does_not_rescale_a_foreign_network():
    before = []

    def module(n_channels, n_outputs):
        network = Foreign(n_channels, n_outputs)
        before.append(copy.deepcopy(network.state_dict()))
        return network

    clf = small_net(module=module, optimizer="muon", lr=1e-12, max_epochs=1).fit(X, Y)
    for name, value in clf.module_.own.state_dict().items():
        torch.testing.assert_close(value, before[0][name], rtol=0, atol=1e-6, msg=name)
    trained = small_net(module=module, optimizer="muon", lr=0.02, max_epochs=1).fit(X, Y)
    for name, value in trained.module_.own.state_dict().items():
        assert torch.equal(value, before[1][name]) == name.startswith("frozen")


def test_muon_lets_foreign_filters_decay():
    torch.manual_seed(0)
    network = Foreign()
    optimizer = MuonOptimizer(parameter_groups(network), lr=0.1, weight_decay=0.5)
    before = network.stem.weight.detach().clone()
    network.stem.weight.grad = torch.zeros_like(before)
    optimizer.step()
    torch.testing.assert_close(network.stem.weight.detach(), 0.95 * before)


@pytest.mark.parametrize("lr", [1e-12, 0.05])
def test_muon_keeps_the_norm_of_the_filters_of_conv_blocks(lr, images):
    network = {"filters": (4, 6), "normalization": "batch"}
    net = make_net(optimizer=MuonOptimizer, lr=lr, max_epochs=1, network=network)
    convolutions = [m for m in net.module_.modules() if isinstance(m, nn.Conv2d)]
    before = [m.weight.detach().clone() for m in convolutions]
    train(net, images)
    assert len(convolutions) == 2
    for convolution, old in zip(convolutions, before):
        weight = convolution.weight.detach()
        # The mean squared norm per filter is 1, but for the last step.
        norm = weight.norm() / len(weight) ** 0.5
        assert norm == pytest.approx(1, abs=1e-6 if lr < 1e-6 else 3 * lr)
        assert old.norm() / len(old) ** 0.5 != pytest.approx(1, abs=0.05)
        if lr < 1e-6:
            torch.testing.assert_close(weight / weight.norm(), old / old.norm())


@pytest.mark.parametrize("factor", [1.0, 8.0])
def test_set_lr_multiplies_the_rate_of_others_only(factor):
    optimizer = torch.optim.SGD(parameter_groups(Foreign()), lr=0.1)
    set_lr(optimizer, 0.5, factor)
    rates = {group["role"]: group["lr"] for group in optimizer.param_groups}
    assert rates == {"filters": 0.5, "weights": 0.5, "others": 0.5 * factor}
    assert [group["lr_factor"] for group in optimizer.param_groups] == [1, 1, factor]


def test_set_lr_takes_groups_without_a_role():
    optimizer = optimizer_with(0.1, 0.02)
    set_lr(optimizer, 0.5, 8)
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.5]
