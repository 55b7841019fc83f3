"""Large images in tiles: exact ones, blended ones, and how far a network sees."""

import numpy as np
import pytest
import torch
from torch import nn

from skcnn._engine._tiles import blended_tiles, exact_spans, exact_tiles, find_margin
from skcnn.networks import Backbone, ConvBlocks, ImageNetwork, UNet
from skcnn.networks._image_network import OwnNetwork


class Sees(nn.Module):
    """A convolution of odd width: it sees half of it to each side."""

    def __init__(self, height, width, everything=False):
        super().__init__()
        self.conv = nn.Conv2d(3, 2, (height, width), padding=(height // 2, width // 2))
        self.everything = everything

    def forward(self, images):
        maps = self.conv(images)
        return maps * maps.mean((2, 3), keepdim=True).sigmoid() if self.everything else maps


def own(*arguments, stride=(1, 1)):
    network = OwnNetwork(Sees(*arguments), mean=[0.0] * 3, scale=[1.0] * 3).eval()
    network.stride = stride
    return network


def runner(network, image):
    def run(rows, columns):
        with torch.inference_mode():
            return network(image[None, rows, columns])[0].permute(1, 2, 0).numpy()

    return run


def assembled(parts, size):
    whole, times = np.zeros((*size, 2), np.float32), np.zeros(size, int)
    for rows, columns, part in parts:
        whole[rows, columns] = part
        times[rows, columns] += 1
    # Each pixel once.
    assert (times == 1).all()
    return whole


def test_the_margin_is_what_a_network_sees():
    assert find_margin(own(7, 11), 3) == (3, 5)
    assert find_margin(own(7, 11, stride=(4, 4)), 3) == (4, 8)
    assert find_margin(own(1, 401), 3) == (1, 200)


def test_what_sees_everything_or_does_not_say_its_stride_has_no_margin():
    assert find_margin(own(7, 11, True), 3) is None
    assert find_margin(own(7, 11, stride=None), 3) is None
    assert find_margin(own(1, 2101), 3) is None


def test_a_margin_is_a_multiple_of_the_stride():
    network = UNet(ConvBlocks((4, 6, 8), convs_per_block=2)).build((32, 32, 3), 2).eval()
    height, width = find_margin(network, 3)
    assert height == width
    assert height % 4 == 0
    # Two convolutions at each of three scales down and two up, one pixel of its scale each.
    assert 2 * (1 + 2 + 4 + 2 + 1) <= height <= 32


@pytest.mark.parametrize("side", [1, 37, 64, 100, 129])
@pytest.mark.parametrize("tile", [16, 40, 200])
def test_spans_cover_a_side_once_and_begin_at_multiples(side, tile):
    spans = exact_spans(side, tile, margin=16, stride=8)
    kept = [n for span in spans for n in range(span.kept_from, span.kept_to)]
    assert kept == list(range(side))
    for span in spans:
        assert span.start % 8 == 0
        assert span.start == max(0, span.kept_from - 16)
        assert span.stop == min(side, span.kept_to + 16)


@pytest.mark.parametrize(
    ("spec", "size", "tile"),
    [
        (UNet(ConvBlocks((4, 6, 8), convs_per_block=2)), (101, 147), 48),
        (UNet(ConvBlocks((4, 6), pool_size=3, pool="average")), (101, 147), 48),
        (UNet(Backbone("efficientnet_lite0", weights=None)), (33, 601), 200),
    ],
    ids=["blocks", "thirds", "backbone"],
)
def test_exact_tiles_say_what_the_whole_image_says(spec, size, tile):
    torch.manual_seed(0)
    network = spec.build((64, 64, 3), 2).eval()
    with torch.no_grad():
        network.head.weight.mul_(10)
    image = torch.rand(*size, 3)
    margin = find_margin(network, 3)
    run = runner(network, image)
    whole = run(slice(0, size[0]), slice(0, size[1]))
    tiles = assembled(exact_tiles(run, size, tile, margin, network.stride), size)
    assert np.abs(whole).max() > 0.05
    np.testing.assert_allclose(tiles, whole, atol=1e-5)
    # A margin that is too small shows, or tiles that are no multiples of the stride.
    for short in (network.stride, tuple(side + 1 for side in margin)):
        wrong = assembled(exact_tiles(run, size, tile, short, network.stride), size)
        assert isinstance(spec.encoder, Backbone) or np.abs(wrong - whole).max() > 1e-4


def test_blended_tiles_cover_the_image_and_agree_away_from_edges():
    network, size = own(9, 9), (150, 170)
    image = torch.rand(*size, 3)
    run = runner(network, image)
    tiles = assembled(blended_tiles(run, size, 64), size)
    whole = run(slice(0, size[0]), slice(0, size[1]))
    wrong = np.abs(tiles - whole).max(axis=2)
    assert np.median(wrong) < 1e-4
    assert wrong.max() < 0.3 * np.abs(whole).max()


def test_blended_tiles_are_averages_weighted_to_the_middle():
    """Where two tiles meet, the one whose middle is nearer weighs more."""

    def run(rows, columns):
        number = 1.0 if columns.start else 0.0
        return np.full((rows.stop - rows.start, columns.stop - columns.start, 2), number, "f4")

    row = assembled(blended_tiles(run, (10, 30), 20), (10, 30))[5, :, 0]
    assert (row[:10] == 0).all()
    assert (row[20:] == 1).all()
    assert (np.diff(row[10:20]) > 0).all()
    assert row[10:20].mean() == pytest.approx(0.5, abs=0.01)


def test_an_image_smaller_than_a_tile_is_one_tile():
    network, size = own(3, 3), (20, 30)
    run = runner(network, torch.rand(*size, 3))
    whole = run(slice(0, 20), slice(0, 30))
    np.testing.assert_allclose(assembled(blended_tiles(run, size, 64), size), whole, atol=1e-6)


def test_a_margin_is_no_property_of_other_networks():
    assert ImageNetwork.stride is None
