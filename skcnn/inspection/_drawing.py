"""Drawing tools that the displays share: grids of axes, images, titles and legends."""

import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

# Sizes in inches.
_MAX_WIDTH = 12.0
_MAX_HEIGHT = 16.0
_MIN_WIDTH = 2.8
_TITLE_CHARACTER_WIDTH = 0.08

# Longer names would leave no space for what they name.
_MAX_CHARACTERS = 36

# Colors that people with any color vision tell apart. Signs and lines do so in gray print.
CORRECT = "#0072B2"
WRONG = "#D55E00"


def make_axes(
    ax: "Axes | None",
    n_rows: int,
    n_cols: int,
    *,
    cell: tuple[float, float],
    height_ratios: Sequence[float] | None = None,
) -> npt.NDArray[Any]:
    """Make a grid of axes: in a new figure, or in the place of `ax`.

    Parameters
    ----------
    ax : matplotlib.axes.Axes or None
    n_rows, n_cols : int
    cell : tuple of (width, height)
        Size of each in inches, in a new figure.
    height_ratios : sequence of float, default=None
        Heights of the rows, relative to each other; None makes them the same.

    Returns
    -------
    axes : ndarray of shape (n_rows, n_cols)
    """
    import matplotlib.pyplot as plt

    if ax is None:
        width = max(_MIN_WIDTH, min(_MAX_WIDTH, n_cols * cell[0]))
        figure, axes = plt.subplots(
            n_rows,
            n_cols,
            figsize=(width, min(_MAX_HEIGHT, n_rows * cell[1])),
            squeeze=False,
            layout="constrained",
            height_ratios=height_ratios,
        )
        # Text below a picture must be nearer to it than to the next one.
        engine: Any = figure.get_layout_engine()
        engine.set(h_pad=0.08)
        return axes
    place = ax.get_subplotspec()
    if place is None:
        raise ValueError(
            "ax is not part of a grid of subplots, so that its place cannot be divided. Make it "
            "with plt.subplots or figure.add_subplot, or pass ax=None for a new figure."
        )
    ax.set_axis_off()
    inner: npt.NDArray[Any] = place.subgridspec(
        n_rows, n_cols, height_ratios=height_ratios
    ).subplots(squeeze=False)
    return inner


def make_grid(
    ax: "Axes | None", n_pictures: int, n_columns: int, *, cell: tuple[float, float]
) -> npt.NDArray[Any]:
    """Make axes for some pictures, row by row, as `make_axes` does; those left over are hidden."""
    n_cols = max(1, min(n_pictures, n_columns))
    axes = make_axes(ax, math.ceil(n_pictures / n_cols), n_cols, cell=cell)
    hide_rest(axes, n_pictures)
    return axes


def make_sheet(ax: "Axes | None", width: float, height: float) -> tuple["Axes", float]:
    """Make axes for a drawing of this size in inches, all places of which are known.

    Returns
    -------
    ax : matplotlib.axes.Axes
        A new one where it is None.
    text_scale : float
        Factor on the size of text: below 1 where there is less space than the drawing takes.
    """
    import matplotlib.pyplot as plt

    if ax is None:
        # Without a layout engine, axes of the figure's size cut nothing.
        size = width, min(_MAX_HEIGHT, height)
        ax = plt.figure(figsize=size).add_axes((0, 0, 1, 1))
    ax.set_axis_off()
    to_inches: Any = ax.figure.dpi_scale_trans
    space = ax.get_window_extent().transformed(to_inches.inverted())
    return ax, min(1.0, space.width / width, space.height / height)


def set_title(axes: npt.NDArray[Any], title: str) -> None:
    """Write a title above all axes of a new figure, in lines as wide as the figure."""
    figure = axes.flat[0].figure
    width = int(figure.get_size_inches()[0] / _TITLE_CHARACTER_WIDTH)
    lines = [textwrap.fill(line, width) for line in title.split("\n")]
    figure.suptitle("\n".join(lines), fontsize=9)


def set_legend(axes: npt.NDArray[Any], handles: Iterable["Artist"]) -> None:
    """Put a legend above all axes of a new figure, side by side where there is room."""
    handles = list(handles)
    figure = axes.flat[0].figure
    n_cols = len(handles) if figure.get_size_inches()[0] > 5 else 1
    figure.legend(
        handles=handles, loc="outside upper center", ncols=n_cols, frameon=False, fontsize=8
    )


def show_image(ax: "Axes", image: npt.NDArray[Any], limits: tuple[float, float]) -> "AxesImage":
    """Show an image (height, width, channels) as `as_shown` scales it, without smoothing."""
    shown = as_shown(image, limits)
    picture = ax.imshow(shown, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    remove_ticks(ax)
    return picture


def as_shown(image: npt.NDArray[Any], limits: tuple[float, float]) -> npt.NDArray[np.float64]:
    """Scale an image (height, width, channels) from the limits to 0 (black) and 1 (white).

    Three channels are shown in color; of other numbers of channels their mean, (height, width).
    """
    low, high = limits
    shown = np.clip((image.astype(np.float64) - low) / max(high - low, 1e-12), 0, 1)
    return shown if shown.shape[2] == 3 else shown.mean(axis=2)


# Share of the pixels of an image that stretching shows as black, and of those shown as white.
_CLIPPED = 0.01


def stretched_limits(image: npt.NDArray[Any]) -> tuple[float, float]:
    """Pixel values of one image that show nearly all of its pixels with full contrast.

    Examples
    --------
    >>> stretched_limits(np.arange(101.0).reshape(1, 101, 1))
    (1.0, 99.0)
    """
    low, high = np.quantile(image, [_CLIPPED, 1 - _CLIPPED])
    return float(low), float(high)


def limits_of(images: npt.NDArray[Any]) -> tuple[float, float]:
    """Pixel values that are shown as black and as white.

    Examples
    --------
    >>> limits_of(np.zeros((1, 2, 2, 1), dtype=np.uint8)), limits_of(np.array([0.25, 0.5]))
    ((0.0, 255.0), (0.0, 1.0))
    """
    if images.dtype == np.uint8:
        return 0.0, 255.0
    low, high = float(images.min()), float(images.max())
    return (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)


def remove_ticks(ax: "Axes") -> None:
    """Remove the ticks, which mean nothing in a picture."""
    ax.set(xticks=[], yticks=[])


def hide_rest(axes: npt.NDArray[Any], n_used: int) -> None:
    """Hide the axes of a grid after those that are used."""
    for ax in axes.flat[n_used:]:
        ax.set_axis_off()


def set_frame(ax: "Axes", color: str, line: str) -> None:
    """Give a picture a frame."""
    for spine in ax.spines.values():
        spine.set(edgecolor=color, linewidth=2.5, linestyle=line)


def plain_text(label: object) -> str:
    r"""Return a label so that matplotlib shows it as it is: text between two $ is no formula.

    Examples
    --------
    >>> print(plain_text("$size_1$"))
    \$size_1\$
    """
    from matplotlib import rcParams

    text = str(label)
    return text.replace("$", r"\$") if rcParams["text.parse_math"] else text


def legend_text(label: object) -> str:
    """Return a label as `plain_text` does; a legend leaves out those that begin with _.

    Examples
    --------
    >>> legend_text("oak"), legend_text("_background")
    ('oak', ' _background')
    """
    text = plain_text(label)
    return f" {text}" if text.startswith("_") else text


def shorten(label: object) -> str:
    """Return a name, without its middle if it is long: names may differ in their ends only.

    Examples
    --------
    >>> shorten("Vulpes vulpes"), shorten("Vulpes vulpes (Linnaeus, 1758) ssp. crucigera")
    ('Vulpes vulpes', 'Vulpes vulpes (Lin…8) ssp. crucigera')
    """
    text = str(label)
    if len(text) <= _MAX_CHARACTERS:
        return text
    half = _MAX_CHARACTERS // 2
    return f"{text[:half]}…{text[-half + 1 :]}"


def wrap_label(label: object, width: int = 18) -> str:
    """Break a label into lines that fit the width of a picture.

    Examples
    --------
    >>> print(wrap_label("Ursus_arctos_horribilis", 14))
    Ursus_arctos_
    horribilis
    """
    # Names of species often have underscores. Lines may break after those too.
    lines = textwrap.wrap(str(label).replace("_", "_ "), width) or [""]
    return plain_text("\n".join(line.replace("_ ", "_") for line in lines))
