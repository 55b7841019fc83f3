"""Copies of networks, which share their weights or have their own."""

import pytest
import torch
from torch import nn

from skcnn.networks._copy import copy_of_returned, independent_copy, structural_copy


def test_structural_copy_shares_weights_and_buffers_and_nothing_else():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).train()
    copied = structural_copy(network).eval()
    assert network.training
    for one, other in zip(copied.modules(), network.modules()):
        assert one is not other
    assert all(one is other for one, other in zip(copied.parameters(), network.parameters()))
    assert all(one is other for one, other in zip(copied.buffers(), network.buffers()))
    copied[2].register_forward_hook(lambda *call: None)
    assert not network[2]._forward_hooks
    images = torch.rand(2, 3, 5, 5)
    torch.testing.assert_close(copied(images), network.eval()(images))


def test_structural_copy_keeps_weights_that_layers_share():
    conv = nn.Conv2d(2, 2, 1)
    twice = nn.Sequential(conv, nn.ReLU(), conv, nn.Conv2d(2, 2, 1))
    twice[3].weight = conv.weight
    copied = structural_copy(twice)
    assert copied[0] is copied[2]
    assert copied[3].weight is conv.weight


@pytest.mark.parametrize("normalize", [nn.utils.weight_norm, nn.utils.spectral_norm])
@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
def test_independent_copies_have_weights_of_their_own(normalize):
    network = nn.Sequential(normalize(nn.Linear(4, 4)), nn.Linear(4, 2)).eval()
    network[1].bias = nn.Parameter(torch.zeros(2))
    x = torch.rand(3, 4)
    expected = network(x)
    copied = independent_copy(network)
    torch.testing.assert_close(copied(x), expected)
    with torch.no_grad():
        for values in copied.parameters():
            values.add_(1)
    torch.testing.assert_close(network(x), expected)


def test_a_network_that_a_function_returned_is_copied_unless_a_closure_computes_with_it():
    network = nn.Sequential(nn.Linear(4, 2))
    assert copy_of_returned(network)[0].weight is not network[0].weight
    seen = []
    network.register_forward_hook(lambda *call: seen.append(call))
    assert copy_of_returned(network)[0].weight is not network[0].weight
    network.forward = lambda x: network[0](x) + 1
    assert copy_of_returned(network) is network
