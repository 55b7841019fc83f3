"""Filters of a convolution, and their display."""

import numpy as np
import pytest

from skcnn.inspection import FiltersDisplay, filters


def test_filters_are_the_weights_of_the_layer_with_channels_last(fitted):
    weight = fitted.module_.body.block2[0].convolutions[0].weight.detach()
    found = filters(fitted, "block2.0.convolutions.0")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, weight.permute(0, 2, 3, 1))
    found[:] = 0
    assert weight.abs().max() > 0


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("block9", "layer='block9' is not a layer of the network. Expected one of .*block1, "),
        (99, r"layer=99 is not a convolution of the network, which has \d+. Expected a number"),
        ("head", "layer='head' is a Linear, which has no filters"),
    ],
)
def test_a_layer_that_there_is_not_is_named(fitted, layer, message):
    with pytest.raises(ValueError, match=message):
        filters(fitted, layer)


def test_filters_are_drawn_on_one_scale(fitted):
    display = FiltersDisplay.from_estimator(fitted)
    found = filters(fitted)
    shown = np.stack([ax.images[0].get_array() for ax in display.axes_.flat[: len(found)]])
    np.testing.assert_allclose(2 * np.abs(found).max() * (shown - 0.5), found, atol=1e-6)
    assert not any(ax.images for ax in display.axes_.flat[len(found) :])


def test_filters_that_are_not_shown_are_counted(fitted):
    display = FiltersDisplay(filters=filters(fitted, -1), name="last").plot(max_filters=5)
    n_more = len(filters(fitted, -1)) - 5
    title = display.figure_.get_suptitle().partition("\n")[0]
    assert title == f"First 5 of {n_more + 5} filters of last"
