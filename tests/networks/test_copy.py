"""Copies of networks that share their weights."""

import torch
from torch import nn

from skcnn.networks._copy import structural_copy


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
