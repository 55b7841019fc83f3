"""Drawing functions for synthetic images, vectorized over n images.

The functions take one value, point or color per image, and return float32 arrays of shape (n,
size, size), or (n, size, size, 3) for colors. Lengths are fractions of half the image side, so
that a picture looks the same at every size. Colors and coverages are from 0 to 1, angles are in
radians.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
Scalar = TypeVar("Scalar", bound=np.generic)

# Outlines are looked up in tables of so many angles, because computing the superformula for each
# pixel would take longer than all other drawing. This is a power of two, and finer than the
# outermost pixels of a 512 x 512 image.
N_ANGLES = 4096


class Outline(NamedTuple):
    """Parameters of the superformula: rotational symmetry and three exponents."""

    m: float
    n1: float
    n2: float
    n3: float


class OutlineTable(NamedTuple):
    """Radius of k outlines at `N_ANGLES` angles, and its derivative, both (k, N_ANGLES)."""

    radius: Floats
    slope: Floats


class Grid(NamedTuple):
    """Coordinates of the pixel centers, from -1 to 1: x (1, 1, size) and y (1, size, 1)."""

    x: Floats
    y: Floats


def superformula(angle: npt.ArrayLike, outline: Outline) -> npt.NDArray[np.float64]:
    """Return the radius of a superformula curve at each angle (Gielis 2003, with a = b = 1).

    Gielis, J. (2003). "A generic geometric transformation that unifies a wide range of natural
    and abstract shapes". American Journal of Botany, 90(3), 333-338.
    """
    turn = np.asarray(angle, dtype=np.float64) * outline.m / 4
    total = np.abs(np.cos(turn)) ** outline.n2 + np.abs(np.sin(turn)) ** outline.n3
    return np.asarray(total ** (-1 / outline.n1))


def outline_table(outlines: Sequence[Outline]) -> OutlineTable:
    """Tabulate outlines, each scaled so that its farthest point has radius 1."""
    angles = np.arange(N_ANGLES) * (2 * np.pi / N_ANGLES)
    radius = np.stack([superformula(angles, outline) for outline in outlines])
    radius /= radius.max(axis=1, keepdims=True)
    # Deep notches would split a body in a small image, and distances are divided by this radius.
    radius = np.maximum(radius, 0.04)
    ahead, behind = np.roll(radius, -1, axis=1), np.roll(radius, 1, axis=1)
    slope = (ahead - behind) * (N_ANGLES / (4 * np.pi))
    return OutlineTable(radius.astype(np.float32), slope.astype(np.float32))


def look_up(
    table: OutlineTable, kind: Indices, angle: Floats, distance: Floats
) -> tuple[Floats, Floats]:
    """Return the position of points, in polar coordinates, relative to an outline per image.

    The results are their relative distance from the center (1 on the outline), and their
    approximate Euclidean distance from the outline, positive inside. `kind` is the row of each
    image's outline in the table.
    """
    entry = (angle * np.float32(N_ANGLES / (2 * np.pi))).astype(np.int32) & (N_ANGLES - 1)
    entry += per_image(kind.astype(np.int32) * N_ANGLES)
    radius = table.radius.ravel()[entry]
    steepness = table.slope.ravel()[entry]
    # Without this first-order distance from the curve, the sides of arms would look frayed.
    steepness /= np.maximum(distance, np.float32(0.08))
    depth = (radius - distance) / np.sqrt(1 + steepness * steepness)
    return distance / radius, depth


def pixel_grid(size: int) -> Grid:
    """Return the pixel centers of a square image."""
    line = ((np.arange(size) + 0.5) * (2 / size) - 1).astype(np.float32)
    return Grid(line[None, None, :], line[None, :, None])


def per_image(values: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    """Reshape one value per image (n,) to broadcast with pixels (n, size, size)."""
    return values[:, None, None]


def rotation(angle: Floats) -> Floats:
    """Return rotation matrices (n, 2, 2)."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([cos, -sin, sin, cos], axis=1).reshape(-1, 2, 2)


def coverage(depth: Floats, size: int, softness: float = 1.0) -> Floats:
    """Return the fraction of each pixel inside an outline at distance `depth`.

    The edge is `softness` pixels wide.
    """
    fraction: Floats = depth * np.float32(size / (2 * softness)) + np.float32(0.5)
    return np.clip(fraction, 0, 1)


def paint(canvas: Floats, cover: Floats, color: Floats) -> None:
    """Paint one color per image (n, 3), or one per pixel, over the canvas, in place."""
    if color.ndim == 2:
        color = color[:, None, None, :]
    canvas += cover[..., None] * (color - canvas)


def colors(lightness: Floats, saturation: Floats, hue: Floats) -> Floats:
    """Return RGB colors (n, 3) for lightness and saturation from 0 to 1 and hue."""
    thirds = np.array([0, -2 * np.pi / 3, 2 * np.pi / 3], dtype=np.float32)
    # Chroma has to decrease towards black and white: otherwise channels clip and the hue shifts.
    chroma = saturation * np.minimum(lightness, 1 - lightness)
    rgb: Floats = lightness[:, None] + chroma[:, None] * np.cos(hue[:, None] + thirds)
    return rgb


def smooth_noise(knots: Floats, size: int) -> Floats:
    """Interpolate values on a coarse grid (n, k, k) smoothly, for a cloudy texture."""
    k = knots.shape[1]
    position = np.linspace(0, k - 1, size, dtype=np.float32)[:, None]
    away = np.clip(np.abs(position - np.arange(k, dtype=np.float32)), 0, 1)
    weights = 1 - away * away * (3 - 2 * away)
    return np.asarray(weights @ knots @ weights.T)


def ellipse_depth(grid: Grid, center: Floats, radii: Floats, angle: Floats) -> Floats:
    """Return the approximate distance from the outline of ellipses, positive inside."""
    x, y = grid.x - per_image(center[:, 0]), grid.y - per_image(center[:, 1])
    cos, sin = per_image(np.cos(angle)), per_image(np.sin(angle))
    a, b = per_image(radii[:, 0]), per_image(radii[:, 1])
    relative: Floats = np.hypot((cos * x + sin * y) / a, (cos * y - sin * x) / b)
    return (1 - relative) * np.minimum(a, b)


def strand_depth(
    grid: Grid, offset: Floats, angle: Floats, bend: Floats, half_width: Floats
) -> Floats:
    """Return the distance from the edge of bent strands across the image, positive inside."""
    cos, sin = per_image(np.cos(angle)), per_image(np.sin(angle))
    along = cos * grid.x + sin * grid.y
    across = cos * grid.y - sin * grid.x - per_image(offset)
    # The constant keeps the middle of a strand near its straight line, whatever the bend.
    bow = per_image(bend) * (along * along - np.float32(0.3))
    return per_image(half_width) - np.abs(across + bow)
