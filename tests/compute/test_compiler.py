"""Compiled networks: one after the other, and batches of several shapes."""

import functools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from skcnn import ConvNetClassifier
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


def test_each_fit_is_compiled(compiled_graphs):
    X, y = np.zeros((16, 8, 8, 3), np.uint8), np.arange(16) % 2
    n_graphs = []
    for width in range(2, 12):
        clf = ConvNetClassifier(filters=(width,), max_epochs=1, batch_size=16, compile=True)
        clf.fit(X, y)
        n_graphs.append(len(compiled_graphs))
    assert n_graphs == list(range(1, 11))


def test_code_that_another_thread_runs_is_kept(compiled_graphs):
    # Dropping it ended the process within seconds.
    def train(start):
        for width in range(start, start + 3):
            network = Network(width)
            compiled = compile_network(network)
            for _ in range(30):
                x = torch.rand(2, 3, 8, 8)
                torch.testing.assert_close(compiled(x), network(x))

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(train, (1, 11, 21)))


def test_each_shape_is_compiled_once(compiled_graphs):
    network = Network(2)
    shapes = [(4, 3, 8, 8), (3, 3, 8, 8), (4, 3, 12, 12)]
    for _ in range(2):
        compiled = compile_network(network)
        for shape in shapes:
            x = torch.rand(shape)
            torch.testing.assert_close(compiled(x), network(x))
    assert compiled_graphs == shapes
