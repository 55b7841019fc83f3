"""Synthetic images with many organisms, whose numbers, sizes, kinds and places are known."""

from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.utils import Bunch

from skcnn._from_r import whole_arguments
from skcnn._utils import Interval, check_random_state, check_values
from skcnn.datasets._drawing import Floats, Grid, Indices, rotation
from skcnn.datasets._organisms import Scenes, finish, paint_behind, sample_scenes
from skcnn.datasets._species import SPECIES, Bodies, paint_bodies

# Places that are tried for an organism before the one farthest from its neighbors is taken.
_TRIES = 12
# Distance that organisms keep, as a fraction of the sum of their half lengths.
_DISTANCE = 0.9
_SHORTEST = 3
# Number of pixels painted at once: more than by make_organisms, since most of the work is on small
# patches.
_CHUNK_PIXELS = 2**17

_CONSTRAINTS = {
    "n_samples": [Interval(Integral, 1, None, closed="left")],
    "image_size": [Interval(Integral, 8, None, closed="left")],
    "n_kinds": [Interval(Integral, 1, len(SPECIES), closed="both")],
    "count": [tuple, list],
    "length": [tuple, list],
    "difficulty": [Interval(Real, 0, 1, closed="both")],
    "random_state": ["random_state"],
}


@whole_arguments("n_samples", "image_size", "n_kinds")
def make_scenes(
    n_samples: int = 500,
    *,
    image_size: int = 64,
    n_kinds: int = 3,
    count: tuple[int, int] = (0, 30),
    length: tuple[float, float] = (8, 14),
    difficulty: float = 0.3,
    random_state: int | np.random.RandomState | None = None,
) -> Bunch:
    """Generate color images with many organisms, to count, measure, name or outline them.

    The organisms are those of `make_organisms`, seen from above. In each image, some kinds out of
    `n_kinds` are present. Their number does not depend on the colors, light and background.

    Parameters
    ----------
    n_samples : int, default=500
        Number of images.
    image_size : int, default=64
        Height and width of the images in pixels, at least 8.
    n_kinds : int, default=3
        Number of kinds of organisms, from 1 to 20, with the numbers that they have as classes of
        `make_organisms`.
    count : tuple of (int, int), default=(0, 30)
        Smallest and largest number of organisms per image, all equally likely.
    length : tuple of (float, float), default=(8, 14)
        Smallest and largest length of an organism in pixels, at least 3. Images of another
        `image_size` have organisms of the same size.
    difficulty : float, default=0.3
        From 0 (a plain background) to 1 (low contrast, strong light, clutter and noise).
    random_state : int, RandomState instance or None, default=None
        Determines everything random. Pass an int to get the same images in every call.

    Returns
    -------
    scenes : :class:`~sklearn.utils.Bunch`
        data : ndarray of shape (n_samples, image_size, image_size, 3), dtype uint8
            The images, channels last.
        count : ndarray of shape (n_samples,), dtype int64
            Number of organisms in each image.
        kinds : ndarray of shape (n_samples, n_kinds), dtype int64
            Number of organisms of each kind. ``kinds > 0`` says which of them are in an image.
        masks : ndarray of shape (n_samples, image_size, image_size), dtype uint8
            For each pixel, 0 for the background, or 1 plus the number of the kind. Strands in
            front of the organisms are ignored.
        organisms : DataFrame
            One row per organism: `image` (its row in `data`), `kind`, `x`, `y` (the center in
            pixels, from the upper left corner) and `length` (twice the distance from the center
            to the farthest tip, in pixels). No organism that fits into the image is cut by its
            edge, and they hardly overlap, unless there are too many.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    See Also
    --------
    make_organisms : One organism per image, to classify.

    Examples
    --------
    >>> from skcnn.datasets import make_scenes
    >>> scenes = make_scenes(n_samples=20, count=(0, 5), random_state=0)
    >>> scenes.data.shape, scenes.count.tolist()[:6]
    ((20, 64, 64, 3), [...])
    >>> list(scenes.organisms)
    ['image', 'kind', 'x', 'y', 'length']
    """
    parameters = {
        "n_samples": n_samples,
        "image_size": image_size,
        "n_kinds": n_kinds,
        "count": count,
        "length": length,
        "difficulty": difficulty,
        "random_state": random_state,
    }
    check_values("make_scenes", _CONSTRAINTS, parameters)
    fewest, most = _check_range("count", count, 0)
    shortest, longest = _check_range("length", length, _SHORTEST)
    if int(fewest) != fewest or int(most) != most:
        raise ValueError(f"count={count!r} is not a range of whole numbers.")
    rng = check_random_state(random_state)
    counts = rng.randint(int(fewest), int(most) + 1, size=n_samples).astype(np.int64)
    placed = _place(counts, n_kinds, image_size, (shortest, longest), rng)
    data = np.empty((n_samples, image_size, image_size, 3), dtype=np.uint8)
    masks = np.empty(data.shape[:3], dtype=np.uint8)
    chunk = max(1, _CHUNK_PIXELS // image_size**2)
    for start in range(0, n_samples, chunk):
        rows = slice(start, start + chunk)
        part = Placed(placed.kind[rows], placed.length[rows], placed.center[rows])
        data[rows], masks[rows] = _render(part, counts[rows], image_size, float(difficulty), rng)
    there = np.arange(placed.kind.shape[1]) < counts[:, None]
    organisms = pd.DataFrame(
        {
            "image": there.nonzero()[0],
            "kind": placed.kind[there],
            "x": placed.center[there][:, 0],
            "y": placed.center[there][:, 1],
            "length": placed.length[there],
        }
    )
    kinds = np.stack([(there & (placed.kind == k)).sum(axis=1) for k in range(n_kinds)], axis=1)
    return Bunch(data=data, count=counts, kinds=kinds, masks=masks, organisms=organisms)


class Placed(NamedTuple):
    """Organisms of n images, as many for each; those after the count of an image do not exist."""

    kind: Indices  # (n, most)
    length: npt.NDArray[np.float64]  # (n, most), in pixels
    center: npt.NDArray[np.float64]  # (n, most, 2), x and y in pixels


def _check_range(name: str, values: tuple[float, float], least: float) -> tuple[float, float]:
    ordered = len(values) == 2 and all(isinstance(v, Real) for v in values)
    if not ordered or not least <= values[0] <= values[1] < np.inf:
        raise ValueError(
            f"{name}={values!r} of make_scenes is not a range. Expected (smallest, largest), from "
            f"{least}."
        )
    return values[0], values[1]


def _place(
    counts: Indices,
    n_kinds: int,
    size: int,
    lengths: tuple[float, float],
    rng: np.random.RandomState,
) -> Placed:
    """Draw kinds, lengths and centers, one organism after the other in all images at once."""
    n, most = len(counts), int(counts.max())
    length = rng.uniform(*lengths, size=(n, most))
    # Half of the kinds live in an image, and one in any case.
    lives = rng.uniform(size=(n, n_kinds)) < 0.5
    lives[np.arange(n), rng.randint(n_kinds, size=n)] = True
    chances = rng.uniform(size=(n, most, n_kinds)) * lives[:, None]
    center = np.empty((n, most, 2))
    for number in range(most):
        edge = np.minimum(length[:, number] / 2, size / 2)[:, None, None]
        tried = edge + rng.uniform(size=(n, _TRIES, 2)) * (size - 2 * edge)
        away = np.linalg.norm(tried[:, :, None] - center[:, None, :number], axis=3)
        apart = _DISTANCE * (length[:, None, :number] + length[:, number, None, None]) / 2
        room = (away / apart).min(axis=2, initial=2)
        enough = room >= 1
        chosen = np.where(enough.any(axis=1), enough.argmax(axis=1), room.argmax(axis=1))
        center[:, number] = tried[np.arange(n), chosen]
    return Placed(chances.argmax(axis=2), length, center)


def _render(
    placed: Placed, counts: Indices, size: int, difficulty: float, rng: np.random.RandomState
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Paint the images of some scenes, and their masks."""
    scenes = sample_scenes(np.zeros(len(counts), dtype=np.int64), difficulty, rng)
    behind = paint_behind(scenes, size)
    # Organisms are painted on patches, which may reach beyond the edges.
    patch = int(np.ceil(placed.length.max(initial=_SHORTEST))) + 3
    margin = patch
    wide = ((0, 0), (margin, margin), (margin, margin))
    canvas = np.pad(behind, (*wide, (0, 0)))
    mask = np.pad(np.zeros(behind.shape[:3], dtype=np.uint8), wide)
    for number in range(int(counts.max(initial=0))):
        rows = np.flatnonzero(counts > number)
        center = placed.center[rows, number]
        corner = np.floor(center - patch / 2 + 0.5).astype(np.int64)
        pixels = (corner + margin)[:, :, None] + np.arange(patch)
        where = rows[:, None, None], pixels[:, 1, :, None], pixels[:, 0, None, :]
        painted = canvas[where]
        bodies, light = _bodies(scenes, placed, rows, number, center - corner, patch, rng)
        cover = paint_bodies(painted, _patch_grid(patch), bodies, light)
        canvas[where] = painted
        mask[where] = np.where(cover >= 0.5, bodies.kind[:, None, None] + 1, mask[where])
    inside = slice(margin, margin + size)
    front = np.ascontiguousarray(canvas[:, inside, inside])
    return finish(front, scenes, rng), mask[:, inside, inside]


def _patch_grid(patch: int) -> Grid:
    line = ((np.arange(patch) + 0.5) * (2 / patch) - 1).astype(np.float32)
    return Grid(line[None, None, :], line[None, :, None])


def _bodies(
    scenes: Scenes,
    placed: Placed,
    rows: Indices,
    number: int,
    offset: npt.NDArray[np.float64],
    patch: int,
    rng: np.random.RandomState,
) -> tuple[Bodies, Floats]:
    """Return one organism for each of some images, in units of a patch, and its light."""
    pose = rotation(rng.uniform(-np.pi, np.pi, size=len(rows)).astype(np.float32))
    brightness = rng.uniform(0.9, 1.1, size=(len(rows), 1)).astype(np.float32)
    looks = scenes.bodies
    bodies = Bodies(
        kind=placed.kind[rows, number],
        pose=pose,
        center=(2 * offset / patch - 1).astype(np.float32),
        scale=(placed.length[rows, number] / patch).astype(np.float32),
        skin=brightness * looks.skin[rows],
        organ=brightness * looks.organ[rows],
    )
    return bodies, scenes.light[rows]
