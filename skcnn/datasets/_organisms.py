"""Synthetic images of organisms, to try convolutional networks without a download."""

from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from skcnn._from_r import whole_arguments
from skcnn._utils import Interval, check_random_state, check_values
from skcnn.datasets._drawing import (
    Floats,
    Indices,
    colors,
    coverage,
    ellipse_depth,
    paint,
    per_image,
    pixel_grid,
    rotation,
    smooth_noise,
    strand_depth,
)
from skcnn.datasets._species import SPECIES, Bodies, paint_bodies

# Number of pixels painted at once. The arrays of a chunk fit into the CPU's cache, and the memory
# needed in addition to the result does not grow with n_samples.
CHUNK_PIXELS = 2**15

_CONSTRAINTS = {
    "n_samples": [Interval(Integral, 1, None, closed="left")],
    "n_classes": [Interval(Integral, 2, len(SPECIES), closed="both")],
    "image_size": [Interval(Integral, 8, None, closed="left")],
    "difficulty": [Interval(Real, 0, 1, closed="both")],
    "random_state": ["random_state"],
}


@whole_arguments("n_samples", "n_classes", "image_size")
def make_organisms(
    n_samples: int = 1000,
    *,
    n_classes: int = 5,
    image_size: int = 32,
    difficulty: float = 0.5,
    random_state: int | np.random.RandomState | None = None,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Generate color images of organism-like shapes for classification.

    Each class is an invented organism (sea star, pennate diatom, moon jelly, triangular diatom,
    sea anemone, ...) whose outline and inner organ are superformula curves [1]_, some with rings,
    ribs or stripes. Only shape and pattern depend on the class. Every image has its own pose
    (rotation, position, size, foreshortening), light, colors and background, with debris and
    strands behind and in front of the body. The body is brighter than the background in some
    images and darker in others, so that no single pixel tells much about the class. At the
    default difficulty, the accuracy of logistic regression on pixels is near chance, whereas a
    small convolutional network learns the task.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of images.
    n_classes : int, default=5
        Number of classes, from 2 to 20. A class number means the same organism for every value
        of `n_classes` and `random_state`, so images generated with different seeds can be used
        for training and testing.
    image_size : int, default=32
        Height and width of the images in pixels, at least 8. The inner patterns are visible from
        about 24 pixels on.
    difficulty : float, default=0.5
        Difficulty of the images, from 0 (centered, nearly upright, on a plain background) to 1
        (any pose, low contrast, strong light, clutter and noise).
    random_state : int, RandomState instance or None, default=None
        Determines everything random about the images and the order of the classes. Pass an int
        to get the same images in every call. As in scikit-learn, None draws from numpy's global
        random state; any other value does not change that state.

    Returns
    -------
    X : ndarray of shape (n_samples, image_size, image_size, 3), dtype uint8
        The images, channels last (red, green, blue), values from 0 to 255.
    y : ndarray of shape (n_samples,), dtype int64
        Class of each image, from 0 to ``n_classes - 1``. The classes are in random order and
        balanced: their numbers of images differ by at most one.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    See Also
    --------
    fetch_cifar100 : Small photographs of animals, plants and landscapes.

    References
    ----------
    .. [1] Gielis, J. (2003). "A generic geometric transformation that unifies a wide range of
       natural and abstract shapes". American Journal of Botany, 90(3), 333-338.

    Examples
    --------
    >>> from skcnn.datasets import make_organisms
    >>> X, y = make_organisms(n_samples=200, n_classes=4, random_state=0)
    >>> X.shape, X.dtype
    ((200, 32, 32, 3), dtype('uint8'))
    >>> import numpy as np
    >>> np.bincount(y).tolist()
    [50, 50, 50, 50]
    """
    parameters = {
        "n_samples": n_samples,
        "n_classes": n_classes,
        "image_size": image_size,
        "difficulty": difficulty,
        "random_state": random_state,
    }
    check_values("make_organisms", _CONSTRAINTS, parameters)
    rng = check_random_state(random_state)
    y = rng.permutation(np.arange(n_samples) % n_classes).astype(np.int64)
    X = np.empty((n_samples, image_size, image_size, 3), dtype=np.uint8)
    chunk = max(1, CHUNK_PIXELS // image_size**2)
    for start in range(0, n_samples, chunk):
        rows = slice(start, start + chunk)
        scenes = sample_scenes(y[rows], float(difficulty), rng)
        X[rows] = _render(scenes, image_size, rng)
    return X, y


class Distractor(NamedTuple):
    """An object in each of n images that is not the organism."""

    depth: tuple[Floats, ...]  # arguments of its depth function, after the grid
    color: Floats  # (n, 3)
    opacity: Floats  # (n,), 0 for images without the object


class Scenes(NamedTuple):
    """Random properties of n images, except the noise."""

    ground: tuple[Floats, Floats]  # (n, 3) colors between which the background varies
    knots: Floats  # (n, 5, 5) texture of the background
    light: Floats  # (n, 2) direction and strength
    bodies: Bodies
    debris: list[Distractor]  # blobs behind the body
    strands: list[Distractor]  # the last one is in front of the body
    noise: float


def sample_scenes(kind: Indices, difficulty: float, rng: np.random.RandomState) -> Scenes:
    """Draw the random properties of n images. `difficulty` widens their ranges."""
    n = len(kind)

    def between(low: float, high: float, *shape: int) -> Floats:
        return np.asarray(rng.uniform(low, high, size=(n, *shape)), dtype=np.float32)

    # A flat body seen at an angle: turned, then shortened along a random axis.
    turn = between(-np.pi, np.pi) * min(1.0, 0.1 + 1.8 * difficulty)
    tilt = rotation(between(-np.pi, np.pi))
    stretch = np.ones((n, 2, 1), dtype=np.float32)
    stretch[:, 1, 0] /= 1 - difficulty * between(0, 0.4)
    pose = rotation(turn) @ tilt @ (stretch * tilt.swapaxes(1, 2))
    pose[:, 0] *= np.sign(between(-1, 1, 1))  # half of the bodies are mirror images

    hue, saturation = between(-np.pi, np.pi, 2), between(0.2, 0.9, 4)
    ground_light = between(0.12, 0.88)
    other_light = np.clip(ground_light + difficulty * between(-0.3, 0.3), 0, 1)
    # Backgrounds are muted, and bodies are on the other side of medium gray, to be visible.
    ground = (
        colors(ground_light, 0.65 * saturation[:, 0], hue[:, 0]),
        colors(other_light, 0.65 * saturation[:, 1], hue[:, 0] + between(-1, 1)),
    )
    contrast = between(0.5, 0.62) - np.float32(0.22 * difficulty)
    skin_light = np.clip(ground_light + _towards_gray(ground_light) * contrast, 0.14, 0.9)
    organ_light = skin_light + _towards_gray(skin_light) * between(0.22, 0.34)
    bodies = Bodies(
        kind=kind,
        pose=pose,
        center=difficulty * between(-0.4, 0.4, 2),
        scale=np.float32(0.8) - difficulty * between(0, 0.35),
        skin=colors(skin_light, saturation[:, 2], hue[:, 1]),
        organ=colors(organ_light, saturation[:, 3], hue[:, 1] + between(-1, 1)),
    )

    def distractor(*depth: Floats) -> Distractor:
        light = np.clip(ground_light + between(-0.4, 0.4), 0.05, 0.95)
        color = colors(light, between(0.2, 0.9), between(-np.pi, np.pi))
        present = between(0, 1) < 0.3 + 0.7 * difficulty
        opacity = np.minimum(difficulty * between(0.5, 1.5), 1) * present
        return Distractor(depth, color, opacity)

    def blob() -> Distractor:
        radii = np.stack([between(0.08, 0.4), between(0.08, 0.2)], axis=1)
        return distractor(between(-1, 1, 2), radii, between(-np.pi, np.pi))

    def strand() -> Distractor:
        return distractor(
            between(-0.9, 0.9), between(-np.pi, np.pi), between(-0.5, 0.5), between(0.02, 0.07)
        )

    return Scenes(
        ground=ground,
        knots=between(0, 1, 5, 5),
        light=between(-1, 1, 2) * np.float32(0.15 + 0.35 * difficulty),
        bodies=bodies,
        debris=[blob() for _ in range(3)],
        strands=[strand() for _ in range(3)],
        noise=0.01 + 0.04 * difficulty,
    )


def _towards_gray(lightness: Floats) -> Floats:
    """Return the sign of the step from a lightness towards the middle of its range."""
    return np.where(lightness > 0.5, -1, 1).astype(np.float32)


def _render(scenes: Scenes, size: int, rng: np.random.RandomState) -> npt.NDArray[np.uint8]:
    """Paint scenes from back to front, as uint8 images (n, size, size, 3)."""
    canvas = paint_behind(scenes, size)
    paint_bodies(canvas, pixel_grid(size), scenes.bodies, scenes.light)
    return finish(canvas, scenes, rng)


def paint_behind(scenes: Scenes, size: int) -> Floats:
    """Paint what is behind the bodies: background, debris and all strands but the last."""
    near, far = (color[:, None, None, :] for color in scenes.ground)
    canvas: Floats = near + smooth_noise(scenes.knots, size)[..., None] * (far - near)
    grid = pixel_grid(size)
    for blob in scenes.debris:
        _add(canvas, blob, ellipse_depth(grid, *blob.depth), softness=2.0)
    for strand in scenes.strands[:-1]:
        _add(canvas, strand, strand_depth(grid, *strand.depth), softness=1.0)
    return canvas


def finish(canvas: Floats, scenes: Scenes, rng: np.random.RandomState) -> npt.NDArray[np.uint8]:
    """Paint the strand in front, let light fall on the scene, and take a noisy picture of it."""
    grid, front = pixel_grid(canvas.shape[1]), scenes.strands[-1]
    _add(canvas, front, strand_depth(grid, *front.depth), softness=1.0)
    light = scenes.light
    shine = per_image(light[:, 0]) * grid.x + per_image(light[:, 1]) * grid.y
    canvas *= (1 + np.float32(0.6) * shine)[..., None]
    # The sum of two random bytes has a standard deviation of 105, and is far faster than randn.
    grain = np.frombuffer(rng.bytes(2 * canvas.size), dtype=np.int8).reshape(2, *canvas.shape)
    canvas += (grain[0].astype(np.float32) + grain[1]) * np.float32(scenes.noise / 105)
    return (np.clip(canvas, 0, 1) * 255 + np.float32(0.5)).astype(np.uint8)


def _add(canvas: Floats, distractor: Distractor, depth: Floats, softness: float) -> None:
    cover = coverage(depth, canvas.shape[1], softness)
    paint(canvas, cover * per_image(distractor.opacity), distractor.color)
