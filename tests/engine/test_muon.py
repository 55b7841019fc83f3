"""Muon: orthogonal steps for filters, those of SGD for all else."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from skcnn._engine import _muon
from skcnn._engine._muon import Muon, orthogonalize


@given(st.integers(1, 12), st.integers(1, 12), st.floats(1e-3, 1e3), st.integers(0, 100))
def test_singular_values_come_near_to_one(n, m, scale, seed):
    torch.manual_seed(seed)
    left, right = (torch.linalg.qr(torch.randn(side, side))[0] for side in (n, m))
    rank = min(n, m)
    values = scale * torch.linspace(1, 3, rank)
    matrix = left[:, :rank] @ torch.diag(values) @ right[:rank]
    result = orthogonalize(matrix, 5, torch.float32)
    assert result.shape == (n, m)
    found = torch.linalg.svdvals(result)
    assert found.min() > 0.6
    assert found.max() < 1.3
    # The directions stay the same.
    nearest = left[:, :rank] @ right[:rank]
    assert torch.linalg.matrix_norm(result - nearest, 2) < 0.4


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 12), st.integers(0, 100))
def test_several_iterations_at_once_are_those_one_by_one(n, m, n_iterations, seed):
    torch.manual_seed(seed)
    x = torch.randn(n, m)
    result = orthogonalize(x, n_iterations, torch.float32)
    x = x / x.norm()
    for _ in range(n_iterations):
        square = x @ x.T
        x = 3.4445 * x - 4.775 * square @ x + 2.0315 * square @ square @ x
    assert torch.linalg.matrix_norm(result - x, 2) < 0.02


def test_nothing_becomes_nothing():
    assert torch.equal(orthogonalize(torch.zeros(3, 4), 3, torch.float32), torch.zeros(3, 4))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_results_are_in_float32_whatever_is_computed_in(dtype):
    torch.manual_seed(0)
    matrix = torch.randn(20, 50)
    result = orthogonalize(matrix, 3, dtype)
    assert result.dtype == torch.float32
    exact = orthogonalize(matrix, 3, torch.float32)
    assert torch.linalg.matrix_norm(result - exact, 2) < 0.1


def stepped(layer, optimizer, n_steps=3):
    torch.manual_seed(1)
    for _ in range(n_steps):
        optimizer.zero_grad()
        shape = (4, 3, 6, 6) if isinstance(layer, nn.Conv2d) else (4, 5)
        layer(torch.randn(shape)).square().sum().backward()
        optimizer.step()
    return [p.detach().clone() for p in layer.parameters()]


def test_what_is_no_filter_takes_the_steps_of_sgd():
    torch.manual_seed(0)
    layer = nn.Linear(5, 4)
    twin = nn.Linear(5, 4)
    twin.load_state_dict(layer.state_dict())
    ours = stepped(layer, Muon(layer.parameters(), lr=0.01, weight_decay=0.1))
    sgd = torch.optim.SGD(
        twin.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=0.1
    )
    for one, other in zip(ours, stepped(twin, sgd)):
        torch.testing.assert_close(one, other)


def test_a_step_of_filters_is_orthogonal_and_as_long_as_the_rate():
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 8, 3)
    before = layer.weight.detach() * (8**0.5 / layer.weight.detach().norm())
    optimizer = Muon(layer.parameters(), lr=0.05, n_iterations=8)
    after, _ = stepped(layer, optimizer, 1)
    values = torch.linalg.svdvals((after - before).flatten(1)) / 0.05
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_filters_keep_their_length():
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 8, 3, bias=False)
    optimizer = Muon(layer.parameters(), lr=0.1, weight_decay=0.5)
    layer.weight.grad = torch.zeros_like(layer.weight)
    before = layer.weight.detach().clone()
    optimizer.step()
    after = layer.weight.detach()
    assert after.square().sum() == pytest.approx(8)
    torch.testing.assert_close(after / after.norm(), before / before.norm())
    with torch.no_grad():
        layer.weight.zero_()
    optimizer.step()
    assert not layer.weight.any()


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_the_layout_of_filters_makes_no_difference(layout):
    def filters(memory_format):
        torch.manual_seed(0)
        layer = nn.Conv2d(3, 8, 3).to(memory_format=memory_format)
        return stepped(layer, Muon(layer.parameters(), lr=0.1))[0]

    torch.testing.assert_close(filters(layout), filters(torch.contiguous_format))


def test_a_rate_may_lie_on_a_device():
    """As it does where steps are recorded."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3), nn.Conv2d(3, 8, 3)]
    layers[1].load_state_dict(layers[0].state_dict())
    number, tensor = (Muon(layer.parameters(), lr=0.1) for layer in layers)
    tensor.param_groups[0]["lr"] = torch.tensor(0.1)
    for one, other in zip(stepped(layers[0], number), stepped(layers[1], tensor)):
        torch.testing.assert_close(one, other)


def test_parameters_without_gradients_stay():
    layer = nn.Conv2d(3, 8, 3)
    before = layer.weight.detach().clone()
    assert Muon(layer.parameters()).step(lambda: 7) == 7
    assert torch.equal(layer.weight, before)


def test_momentum_goes_on_after_being_stored():
    def layer_and_optimizer():
        torch.manual_seed(0)
        layer = nn.Conv2d(3, 8, 3)
        return layer, Muon(layer.parameters(), lr=0.1)

    layer, optimizer = layer_and_optimizer()
    stepped(layer, optimizer)
    twin, other = layer_and_optimizer()
    twin.load_state_dict(layer.state_dict())
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for one, two in zip(stepped(layer, optimizer), stepped(twin, other)):
        assert torch.equal(one, two)


def several_layers():
    torch.manual_seed(0)
    convolutions = [nn.Conv2d(4, 4, 3), nn.Conv2d(4, 12, 1), nn.Conv2d(12, 4, 3)]
    return nn.Sequential(*convolutions, nn.Conv2d(4, 4, 3), nn.Conv2d(4, 12, 1))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("keeps_norm", [True, False])
def test_filters_of_the_same_shape_together_take_the_same_steps(keeps_norm, dtype, monkeypatch):
    shapes = []
    original = _muon.orthogonalize

    def look(matrix, *arguments):
        shapes.append(tuple(matrix.shape))
        return original(matrix, *arguments)

    monkeypatch.setattr(_muon, "orthogonalize", look)
    results = []
    for batched in (False, True):
        layer = several_layers()
        groups = [{"params": layer.parameters(), "keeps_norm": keeps_norm}]
        optimizer = Muon(groups, lr=0.05, weight_decay=0.1, batched=batched, dtype=dtype)
        torch.manual_seed(1)
        for _ in range(3):
            optimizer.zero_grad()
            layer(torch.randn(5, 4, 9, 9)).square().sum().backward()
            optimizer.step()
        results.append([p.detach() for p in layer.parameters()])
    alone, together = shapes[:5], shapes[15:18]
    assert alone == [(4, 36), (12, 4), (4, 108), (4, 36), (12, 4)]
    assert together == [(2, 4, 36), (2, 12, 4), (1, 4, 108)]
    tolerance = 1e-4 if dtype == "float32" else 2e-2
    for one, other in zip(*results):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 7), st.integers(0, 100))
def test_several_matrices_are_orthogonalized_each_by_itself(n, m, n_iterations, seed):
    torch.manual_seed(seed)
    matrices = torch.randn(3, n, m) * torch.tensor([1e-3, 1, 50])[:, None, None]
    together = orthogonalize(matrices, n_iterations, torch.float32)
    for one, matrix in zip(together, matrices):
        alone = orthogonalize(matrix, n_iterations, torch.float32)
        torch.testing.assert_close(one, alone, rtol=1e-2, atol=1e-3)
