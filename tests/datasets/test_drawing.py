"""The brushes: curves, edges, colors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skcnn.datasets._drawing import (
    Outline,
    colors,
    coverage,
    ellipse_depth,
    look_up,
    outline_table,
    paint,
    pixel_grid,
    rotation,
    smooth_noise,
    strand_depth,
    superformula,
)

CIRCLE = Outline(4, 2, 2, 2)


def test_superformula_known_curves():
    angle = np.linspace(0, 2 * np.pi, 50)
    np.testing.assert_allclose(superformula(angle, CIRCLE), 1)
    # m=4 with all exponents 1 is the square |x| + |y| = 1 standing on its corner.
    radius = superformula(angle, Outline(4, 1, 1, 1))
    np.testing.assert_allclose(radius * (np.abs(np.cos(angle)) + np.abs(np.sin(angle))), 1)


@given(m=st.integers(1, 12), angle=st.floats(-10, 10))
def test_superformula_has_m_fold_symmetry(m, angle):
    outline = Outline(m, 2, 3, 3)
    turned = superformula(angle + 2 * np.pi / m, outline)
    np.testing.assert_allclose(turned, superformula(angle, outline), rtol=1e-9)


def test_depth_is_the_distance_from_the_outline():
    table = outline_table([Outline(5, 2, 7, 7), CIRCLE])
    distance = np.array([[[0.25, 1.0, 1.5]]], dtype=np.float32)
    angle = np.array([[[-3.0, 0.5, 6.0]]], dtype=np.float32)
    relative, depth = look_up(table, np.array([1]), angle, distance)
    np.testing.assert_allclose(relative, distance, rtol=1e-3)
    np.testing.assert_allclose(depth, 1 - distance, atol=1e-3)


def test_depth_at_slanted_edges_is_measured_across_the_edge():
    table = outline_table([Outline(4, 1, 1, 1)])
    x, y = np.float32(0.75), np.float32(0.15)
    _, depth = look_up(
        table,
        np.array([0]),
        np.arctan2(y, x).reshape(1, 1, 1),
        np.hypot(x, y).reshape(1, 1, 1),
    )
    assert depth.item() == pytest.approx((1 - 0.75 - 0.15) / np.sqrt(2), abs=0.005)


@pytest.mark.parametrize("size", [8, 31, 64])
def test_antialiased_disc_has_the_area_of_the_disc(size):
    grid = pixel_grid(size)
    disc = ellipse_depth(
        grid,
        np.zeros((1, 2), np.float32),
        np.full((1, 2), 0.6, np.float32),
        np.zeros(1, np.float32),
    )
    cover = coverage(disc, size)
    assert cover.mean() * 4 == pytest.approx(np.pi * 0.36, rel=0.03)
    assert ((cover > 0) & (cover < 1)).any()


def test_strand_has_its_width():
    zero = np.zeros(1, np.float32)
    depth = strand_depth(pixel_grid(64), zero, zero, zero, np.array([0.25], np.float32))
    assert coverage(depth, 64).mean() == pytest.approx(0.25, rel=0.01)


def test_paint_covers_what_it_covers():
    canvas = np.zeros((1, 2, 2, 3), np.float32)
    cover = np.array([[[0, 0.5], [1, 1]]], np.float32)
    paint(canvas, cover, np.array([[1, 0.5, 0]], np.float32))
    np.testing.assert_allclose(canvas[0, 0], [[0, 0, 0], [0.5, 0.25, 0]])
    np.testing.assert_allclose(canvas[0, 1], [[1, 0.5, 0]] * 2)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(-4, 4))
def test_colors_are_within_range_and_as_light_as_asked(lightness, saturation, hue):
    rgb = colors(*(np.array([value], np.float32) for value in (lightness, saturation, hue)))
    assert rgb.shape == (1, 3)
    assert rgb.min() >= -1e-6
    assert rgb.max() <= 1 + 1e-6
    assert rgb.mean() == pytest.approx(lightness, abs=1e-5)


def test_noise_passes_through_its_knots_and_stays_between_them():
    knots = np.random.RandomState(0).uniform(size=(3, 5, 5)).astype(np.float32)
    texture = smooth_noise(knots, 17)
    np.testing.assert_allclose(texture[:, ::4, ::4], knots, atol=1e-6)
    assert texture.min() >= knots.min() - 1e-6
    assert texture.max() <= knots.max() + 1e-6


def test_rotation_turns_x_towards_y():
    quarter = rotation(np.array([np.pi / 2], np.float32))
    np.testing.assert_allclose(quarter[0] @ [1, 0], [0, 1], atol=1e-6)
