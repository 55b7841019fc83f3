"""Compiled networks: one after the other, and batches of several shapes."""

import functools

import pytest
import torch
from torch import nn

from skcnn._compute._compiler import compile_network


@pytest.fixture
def compiled_graphs(monkeypatch):
    """Shapes of batches for which torch compiled something. What it compiles runs as it is."""
    shapes = []

    def keep(graph, inputs):
        shapes.append([tuple(tensor.shape) for tensor in inputs if tensor.ndim == 4][-1])
        return graph.forward

    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=keep))
    yield shapes
    torch.compiler.reset()


class Network(nn.Sequential):
    def __init__(self, width):
        super().__init__(nn.Conv2d(3, width, 3, padding=1), nn.ReLU())


def test_each_of_many_networks_is_compiled(compiled_graphs):
    x = torch.rand(2, 3, 8, 8)
    for width in range(1, 15):
        network = Network(width)
        torch.testing.assert_close(compile_network(network)(x), network(x))
        assert len(compiled_graphs) == width


def test_each_shape_is_compiled_once(compiled_graphs):
    network = Network(2)
    shapes = [(4, 3, 8, 8), (3, 3, 8, 8), (4, 3, 12, 12)]
    for _ in range(2):
        compiled = compile_network(network)
        for shape in shapes:
            x = torch.rand(shape)
            torch.testing.assert_close(compiled(x), network(x))
    assert compiled_graphs == shapes
