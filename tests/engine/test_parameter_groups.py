"""Groups of parameters, and what optimizers do with each of them."""

import copy

import numpy as np
import pytest
import torch
from _helpers import (
    make_net,
    optimizer_with,
    small_blocks,
    small_net,
    small_regressor,
    stripes,
    train,
)
from torch import nn

from skcnn import ConvNetClassifier
from skcnn._engine._muon import Muon as MuonOptimizer
from skcnn._engine._parameter_groups import parameter_groups, set_lr
from skcnn.optimizers import SGD, Muon

X, Y = stripes(60)


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


def test_dense_layers_of_one_output_have_weights_like_all_others():
    one_output = nn.Sequential(nn.Linear(4, 1), nn.Bilinear(1, 4, 1), nn.Linear(1, 1))
    assert names_by_role(one_output) == {
        ("weights", None): {"0.weight", "1.weight", "2.weight"},
        ("others", None): {"0.bias", "1.bias", "2.bias"},
    }
    network = small_blocks(filters=(4,)).build((8, 8, 3), 1)
    assert "head.weight" in names_by_role(network)["weights", None]


def test_the_head_of_a_regressor_decays_and_its_bias_has_a_rate_of_its_own():
    def head_after_a_step(**parameters):
        reg = small_regressor(
            optimizer=SGD(momentum=0, nesterov=False),
            lr_schedule=None,
            batch_size=len(X),
            max_epochs=1,
            random_state=0,
            **parameters,
        )
        head = reg.fit(X, np.arange(len(X))).module_.head
        return head.weight.detach(), head.bias.detach()

    weight, bias = head_after_a_step(weight_decay=0)
    once, twice = (head_after_a_step(weight_decay=decay)[0] for decay in (0.1, 0.2))
    assert (weight - once).abs().min() > 1e-5
    torch.testing.assert_close(weight - twice, 2 * (weight - once), rtol=1e-2, atol=1e-7)
    same_weight, other_bias = head_after_a_step(weight_decay=0, bias_lr_factor=3)
    torch.testing.assert_close(same_weight, weight)
    assert not torch.allclose(other_bias, bias)


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
