"""Networks that add up a map: their head, their maps, and images of any size."""

import pytest
import torch
from numpy.testing import assert_allclose

from skcnn.networks import ConvBlocks
from skcnn.networks._density import DensityNetwork, SumHead
from skcnn.networks._folding import fold
from skcnn.networks._summary import summarize


def build(n_outputs=1, shape=(16, 16, 3), **parameters):
    torch.manual_seed(0)
    spec = ConvBlocks(**{"filters": (8, 8), "global_pool": "sum", **parameters})
    return spec.build(shape, n_outputs).eval()


def images(n=3, height=16, width=16):
    return torch.rand(n, height, width, 3, generator=torch.Generator().manual_seed(0))


def test_outputs_are_the_sums_of_positive_maps():
    network = build(n_outputs=2)
    assert isinstance(network, DensityNetwork)
    with torch.no_grad():
        density, outputs = network.density(images()), network(images())
    assert density.shape == (3, 4, 4, 2)
    assert density.min() > 0
    assert_allclose(outputs, density.sum((1, 2)), rtol=1e-6)


def test_a_network_that_has_learned_nothing_predicts_about_one():
    with torch.no_grad():
        outputs = build(n_outputs=50)(images())
    assert outputs.mean().item() == pytest.approx(1, abs=0.3)


def test_a_repeated_image_has_a_repeated_sum():
    # With circular images there would be no edges; the middle of a constant image has none either.
    network = build(normalization=None, kernel_size=1)
    small = images()
    with torch.no_grad():
        wide = network(torch.cat([small, small], dim=2))
        assert_allclose(wide, 2 * network(small), rtol=1e-5)


def test_features_are_the_means_of_the_maps_before_the_head():
    network = build(dense_units=(5,))
    with torch.no_grad():
        maps = network.body(network.standardize(images()))
        features = network.features(images(4, 20, 12))
        assert maps.shape == (3, 5, 4, 4)
        assert_allclose(network.features(images()), maps.mean((2, 3)), rtol=1e-5)
    assert features.shape == (4, 5)


def test_a_head_sums_in_float32():
    head = SumHead(4, 1, n_places=64)
    maps = torch.rand(2, 4, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        low = head(maps)
    assert low.dtype == torch.float32
    assert_allclose(low.detach(), head(maps).detach(), rtol=0.02)


def test_a_summary_counts_the_work_at_each_place():
    summary = summarize(build(n_outputs=3), (16, 16, 3))
    *_, head = summary.layers
    assert (head.name, head.role, head.output_shape) == ("head", "output", (3,))
    assert head.multiply_adds == 3 * 8 * 16
    assert not any(layer.role == "pooling" and layer.name == "pool" for layer in summary.layers)


def test_the_sum_over_a_mirror_image_is_the_same():
    network = build(symmetry="mirror")
    with torch.no_grad():
        density = network.density(images())
        mirrored = network.density(images().flip(2))
    assert_allclose(mirrored, density.flip(2), atol=1e-6)
    assert (density - mirrored).abs().max() > 1e-4


def test_without_convolutions_there_is_nothing_to_add_up():
    assert not ConvBlocks((), global_pool="sum").adds_up
    assert not isinstance(build(filters=()), DensityNetwork)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"kernel_size": (2, 5)},
        {"convs_per_block": 2, "pool_after": "first"},
        {"symmetry": "mirror"},
        {"filters": (4, 4, 4, 4), "dense_units": 5},  # down to one place
    ],
    ids=str,
)
def test_places_do_not_tell_where_the_edge_is(parameters):
    # If they did, a network could count all in the middle of training images, and count too much
    # in images with a larger middle.
    network = build(**parameters)
    same = torch.full((1, 16, 16, 3), 200.0)
    with torch.no_grad():
        density, of_folded = network.density(same), fold(network).density(same)
    assert_allclose(density, torch.full_like(density, float(density[0, 0, 0, 0])), rtol=1e-5)
    assert_allclose(of_folded, density, rtol=1e-5)


def test_other_networks_see_zeros_beyond_the_edge():
    maps = build(global_pool="average").body[0](torch.ones(1, 3, 16, 16))
    assert (maps[..., 0, 0] - maps[..., 4, 4]).abs().max() > 1e-3
