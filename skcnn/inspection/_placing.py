"""Placement of images and names without overlap."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from skcnn.inspection._drawing import plain_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def select_non_overlapping(places: npt.NDArray[Any], distance: float) -> list[int]:
    """Choose points in order, leaving out those in the square around an earlier choice.

    Examples
    --------
    >>> select_non_overlapping(np.array([[0, 0], [1, 1], [0, 9], [2, 9]]), 2)
    [0, 2, 3]
    """
    chosen: list[int] = []
    for number, place in enumerate(places):
        away = np.abs(places[chosen] - place).max(axis=1) if chosen else np.array([distance])
        if away.min() >= distance:
            chosen.append(number)
    return chosen


def annotate_without_overlap(ax: "Axes", names: npt.ArrayLike, places: npt.NDArray[Any]) -> None:
    """Write names at places, moved apart as far as needed to avoid overlap."""
    from matplotlib.patheffects import withStroke

    outline = [withStroke(linewidth=2.5, foreground="white")]
    texts = [
        ax.text(x, y, plain_text(name), ha="center", va="center", fontsize=7, path_effects=outline)
        for name, (x, y) in zip(np.asarray(names), places)
    ]
    canvas: Any = ax.figure.canvas
    renderer = canvas.get_renderer()
    boxes = [text.get_window_extent(renderer) for text in texts]
    sizes = np.array([(box.width + 4, box.height + 2) for box in boxes])
    frame = ax.get_window_extent(renderer)
    before = ax.transData.transform(places)
    after = _apart(before, sizes, np.array([frame.p0, frame.p1]))
    back = ax.transData.inverted().transform(after)
    for text, place, start in zip(texts, back, places):
        text.set_position(place)
        ax.plot(*zip(start, place), color="#555555", linewidth=0.5, zorder=1.5)


def _apart(
    places: npt.NDArray[Any], sizes: npt.NDArray[Any], frame: npt.NDArray[Any]
) -> npt.NDArray[Any]:
    """Push boxes apart within a frame, each pair in the direction in which it overlaps less.

    Parameters
    ----------
    places : ndarray of shape (n, 2)
        Centers of the boxes.
    sizes : ndarray of shape (n, 2)
        Widths and heights.
    frame : ndarray of shape (2, 2)
        Lower left and upper right corner.

    Returns
    -------
    places : ndarray of shape (n, 2)

    Examples
    --------
    >>> places, sizes = np.array([[4.0, 4.0], [4.0, 5.0]]), np.full((2, 2), 2.0)
    >>> _apart(places, sizes, np.array([[0, 0], [9, 9]])).round(1)
    array([[4. , 3.5],
           [4. , 5.5]])
    """
    places = places.astype(np.float64)
    low, high = frame[0] + sizes / 2, frame[1] - sizes / 2
    # Boxes at the same place need a small offset to have a direction to move in.
    places += np.random.default_rng(0).uniform(-1e-6, 1e-6, places.shape)
    reach = (sizes[:, None] + sizes) / 2
    for _ in range(500):
        places = np.clip(places, low, high)
        between = places[:, None] - places
        overlap = np.maximum(reach - np.abs(between), 0)
        overlap[np.diag_indices(len(places))] = 0
        meets = overlap.min(axis=2) > 1e-3
        if not meets.any():
            break
        side = np.arange(2) == overlap.argmin(axis=2)[..., None]
        places += (meets[..., None] * side * overlap * np.sign(between) / 2).sum(axis=1)
    return places
