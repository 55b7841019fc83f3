"""What the displays share: places for several pictures, and how a picture is shown."""

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

# Inches that figures may become wide and high.
_WIDEST, _HIGHEST = 12.0, 16.0

# Told apart with any colour vision and, together with signs, in grey print too.
RIGHT, WRONG = "#0072B2", "#D55E00"


def make_axes(
    ax: Any,
    n_rows: int,
    n_cols: int,
    *,
    cell: tuple[float, float],
    height_ratios: Sequence[float] | None = None,
) -> tuple[Any, Any]:
    """Make a grid of axes: in a figure of its own, or in the place of `ax`.

    Parameters
    ----------
    ax : matplotlib.axes.Axes or None
    n_rows, n_cols : int
    cell : tuple of (width, height)
        Inches of each in a figure of its own.
    height_ratios : sequence of float, default=None
        Heights of the rows, relative to each other; None makes them the same.

    Returns
    -------
    figure : matplotlib.figure.Figure
    axes : ndarray of shape (n_rows, n_cols)
    """
    import matplotlib.pyplot as plt

    if ax is None:
        size = min(_WIDEST, n_cols * cell[0]), min(_HIGHEST, n_rows * cell[1])
        figure, axes = plt.subplots(
            n_rows,
            n_cols,
            figsize=size,
            squeeze=False,
            layout="constrained",
            height_ratios=height_ratios,
        )
        # So that what is written below a picture is not taken for that of the next one.
        engine: Any = figure.get_layout_engine()
        engine.set(h_pad=0.08)
        return figure, axes
    place = ax.get_subplotspec()
    if place is None:
        raise ValueError(
            "ax has no place in a grid that could be divided. Make it with plt.subplots or "
            "figure.add_subplot, or pass ax=None for a figure of its own."
        )
    ax.set_axis_off()
    inner = place.subgridspec(n_rows, n_cols, height_ratios=height_ratios)
    return ax.figure, inner.subplots(squeeze=False)


def make_grid(
    ax: Any, n_pictures: int, n_columns: int, *, cell: tuple[float, float]
) -> tuple[Any, Any]:
    """Make axes for some pictures, row by row, as `make_axes` does; those left over are hidden."""
    n_cols = max(1, min(n_pictures, n_columns))
    figure, axes = make_axes(ax, math.ceil(n_pictures / n_cols), n_cols, cell=cell)
    hide_rest(axes, n_pictures)
    return figure, axes


def show_image(ax: Any, image: npt.NDArray[Any], limits: tuple[float, float]) -> Any:
    """Show an image (height, width, channels) of which nothing is smoothed over.

    `as_shown` says what of it.
    """
    shown = as_shown(image, limits)
    picture = ax.imshow(shown, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    clear(ax)
    return picture


def as_shown(image: npt.NDArray[Any], limits: tuple[float, float]) -> npt.NDArray[np.float64]:
    """Scale an image (height, width, channels) to 0 to 1, between what is black and white.

    Three channels are shown in colour; of other numbers of channels their mean, (height, width).
    """
    low, high = limits
    shown = np.clip((image.astype(np.float64) - low) / max(high - low, 1e-12), 0, 1)
    return shown if shown.shape[2] == 3 else shown.mean(axis=2)


def limits_of(images: npt.NDArray[Any]) -> tuple[float, float]:
    """What is shown as black and as white.

    Examples
    --------
    >>> limits_of(np.zeros((1, 2, 2, 1), dtype=np.uint8)), limits_of(np.array([0.25, 0.5]))
    ((0.0, 255.0), (0.0, 1.0))
    """
    if images.dtype == np.uint8:
        return 0.0, 255.0
    low, high = float(images.min()), float(images.max())
    return (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)


def clear(ax: Any) -> None:
    """Take away the ticks, which mean nothing in a picture."""
    ax.set(xticks=[], yticks=[])


def hide_rest(axes: Any, n_used: int) -> None:
    """Hide those of a grid's axes that nothing is drawn in."""
    for ax in axes.flat[n_used:]:
        ax.set_axis_off()


def framed(ax: Any, colour: str, style: str = "-") -> None:
    """Give a picture a frame."""
    for spine in ax.spines.values():
        spine.set(edgecolor=colour, linewidth=2.5, linestyle=style)


def wrapped(label: Any, width: int = 18) -> str:
    """A label in lines that are not too long for a picture's width.

    Examples
    --------
    >>> print(wrapped("Ursus_arctos_horribilis", 14))
    Ursus_arctos_
    horribilis
    """
    # Names of species come with underscores, and may break behind them, too.
    lines = textwrap.wrap(str(label).replace("_", "_ "), width) or [""]
    return "\n".join(line.replace("_ ", "_") for line in lines)
