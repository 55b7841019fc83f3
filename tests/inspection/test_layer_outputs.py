"""Layers by name or number, and what they return."""

import numpy as np
import pytest
import torch
from torch import nn

from skcnn import ConvNetClassifier
from skcnn.inspection import feature_maps, filters, grad_cam


def test_a_convolution_can_be_named_by_its_number(fitted):
    convolutions = [layer for layer in fitted.summary().layers if layer.role == "convolution"]
    for number, layer in enumerate(convolutions):
        by_name = filters(fitted, layer.name)
        np.testing.assert_array_equal(filters(fitted, number), by_name)
        np.testing.assert_array_equal(filters(fitted, number - len(convolutions)), by_name)


def test_looking_changes_nothing(fitted, organisms):
    X = organisms[0][:20]
    before = (
        fitted.predict_proba(X),
        {k: v.clone() for k, v in fitted.module_.state_dict().items()},
    )
    grad_cam(fitted, X)
    feature_maps(fitted, X)
    np.testing.assert_array_equal(fitted.predict_proba(X), before[0])
    assert all(torch.equal(v, before[1][k]) for k, v in fitted.module_.state_dict().items())
    assert all(p.grad is None for p in fitted.module_.parameters())
    hooks = [(m._forward_hooks, m._forward_pre_hooks) for m in fitted.module_.modules()]
    assert not any(a or b for a, b in hooks)


class WithSpare(nn.Module):
    """Has a layer that it does not use."""

    def __init__(self, n_channels, n_classes):
        super().__init__()
        self.spare = nn.Conv2d(n_channels, 2, 1)
        self.out = nn.Linear(n_channels, n_classes)

    def forward(self, x):
        return self.out(x.mean((2, 3)))


def test_layers_that_are_not_used_have_no_feature_maps(organisms):
    X, y = organisms
    clf = ConvNetClassifier(module=WithSpare, max_epochs=1, random_state=0).fit(X[:40], y[:40])
    for function in (feature_maps, lambda clf, X, layer: grad_cam(clf, X, layer=layer)):
        with pytest.raises(ValueError, match="layer='spare' is not used when the network runs"):
            function(clf, X[:2], "spare")


def test_feature_maps_are_those_before_a_layer_that_works_in_place(organisms):
    X, y = organisms

    def in_place(n_channels, n_classes):
        conv = nn.Conv2d(n_channels, 4, 3, stride=6)
        return nn.Sequential(conv, nn.ReLU(inplace=True), nn.Flatten(), nn.LazyLinear(n_classes))

    clf = ConvNetClassifier(module=in_place, max_epochs=1, random_state=0).fit(X[:40], y[:40])
    assert feature_maps(clf, X[:2]).min() < 0
