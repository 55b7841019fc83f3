"""A network as a drawing."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

from skcnn.inspection._feature_maps import in_shortcut

# Inches: the drawing, a row, what a character takes, the gap between columns, and the longest bar.
_DRAWING, _ROW, _CHARACTER, _GAP, _BAR = 2.4, 0.4, 0.073, 0.25, 0.9
# Of a plate: how wide and how thick at most, and how far its upper side leans.
_WIDEST, _THICKEST, _LEAN = 1.7, 0.2, 0.12
_HIGHEST, _FONT = 16.0, 9.0

_OTHER = ("#999999", "")
# Told apart in grey print by their hatching.
_LOOKS = {
    "Conv": ("#56B4E9", ""),
    "Pool": ("#E69F00", "////"),
    "Linear": ("#009E73", "...."),
}


class _Row(NamedTuple):
    """A plate of the drawing, and what is written beside it."""

    name: str
    types: list[str]
    shape: tuple[int, ...]
    n_parameters: int


class ArchitectureDisplay:
    """The network as a drawing: what becomes of an image, layer by layer, from top to bottom.

    Each plate stands for what a layer makes of an image. It is as wide as the square root of the
    image's side and as thick as the logarithm of its channels. Beside it stand the layer's name,
    as `summary` and the other displays know it, with its type and those of the layers behind it
    that leave the shape as it is, its output shape (height × width × channels), and its trainable
    parameters, also as a bar. Brackets at the left are shortcuts of residual blocks; what
    lies within a shortcut stands below the convolutions that it leads past.

    Make one with `from_estimator`.

    Parameters
    ----------
    summary : NetworkSummary
        As `ConvNetClassifier.summary` returns it.
    image_shape : tuple of (height, width, channels)
        Of the images that go into the network.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure

    Examples
    --------
    >>> from skcnn import ConvNetClassifier
    >>> from skcnn.inspection import ArchitectureDisplay
    >>> clf = ConvNetClassifier(filters=(16, 32))
    >>> display = ArchitectureDisplay.from_estimator(clf, (28, 28, 1), n_classes=10)
    >>> display.figure_.savefig("network.png")  # doctest: +SKIP
    """

    def __init__(self, *, summary: Any, image_shape: Sequence[int]) -> None:
        self.summary = summary
        self.image_shape = tuple(image_shape)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        image_shape: Sequence[int] | None = None,
        n_classes: int | None = None,
        *,
        ax: Any = None,
    ) -> Self:
        """Draw the network of an estimator.

        Parameters
        ----------
        estimator : ConvNetClassifier
            Fitted or, together with the other two arguments, not yet.
        image_shape : sequence of (height, width) or (height, width, channels), default=None
            Of the images that a network not yet fitted shall take.
        n_classes : int, default=None
            How many classes it shall tell apart.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : ArchitectureDisplay

        Raises
        ------
        ValueError, NotFittedError
            As `ConvNetClassifier.summary` does.
        """
        summary = estimator.summary(image_shape, n_classes)
        shape = estimator.image_shape_ if image_shape is None else tuple(image_shape)
        shape = (*shape, 1) if len(shape) == 2 else shape
        return cls(summary=summary, image_shape=shape).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the network.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : ArchitectureDisplay
        """
        import matplotlib.pyplot as plt

        rows = [_Row("", ["image"], self.image_shape, 0), *_rows_of(self.summary.layers)]
        cells = [_cells(row) for row in rows]
        columns = _Columns([_HEADER, *cells])
        height = (len(rows) + 2) * _ROW
        if ax is None:
            size = columns.width, min(_HIGHEST, height)
            # No layout engine: all places are known, and axes of the figure's size cut nothing.
            ax = plt.figure(figsize=size).add_axes((0, 0, 1, 1))
        ax.set(xlim=(0, columns.width), ylim=(height, 0))
        ax.set_axis_off()
        box = ax.get_window_extent().transformed(ax.figure.dpi_scale_trans.inverted())
        font = _FONT * min(1.0, box.width / columns.width, box.height / height)

        columns.write(ax, _ROW / 2, _HEADER, font, weight="bold")
        scale = _Scale(rows)
        most = max(1, *(row.n_parameters for row in rows))
        for number, (row, texts) in enumerate(zip(rows, cells), start=1):
            y = (number + 0.5) * _ROW
            scale.draw(ax, y, row)
            columns.write(ax, y, texts, font)
            bar = _BAR * row.n_parameters / most
            ax.barh(y, bar, height=0.3 * _ROW, left=columns.bars, color="#777777")
        for first, last in _shortcuts(rows):
            _bracket(ax, first * _ROW, (last + 0.75) * _ROW)
        total = f"{self.summary.n_parameters:,}"
        columns.write(ax, height - _ROW / 2, ("", "all together", "", total), font, weight="bold")
        self.ax_, self.figure_ = ax, ax.figure
        return self


_HEADER = ("layer", "", "output", "parameters")


class _Columns:
    """Where the columns of text are, as wide as what is written in them."""

    def __init__(self, cells: Sequence[tuple[str, ...]]) -> None:
        self.ends = [_DRAWING]
        for texts in zip(*cells):
            longest = max(len(line) for text in texts for line in text.split("\n"))
            self.ends.append(self.ends[-1] + longest * _CHARACTER + _GAP)
        self.bars = self.ends[-1] - _GAP / 2
        self.width = self.bars + _BAR + _GAP

    def write(self, ax: Any, y: float, texts: Sequence[str], font: float, **style: Any) -> None:
        style = {"va": "center", "fontsize": font, **style}
        for start, text in zip(self.ends, texts[:-1]):
            ax.text(start, y, text, **style)
        ax.text(self.ends[-1] - _GAP, y, texts[-1], ha="right", **style)


class _Scale:
    """How large the plates are, relative to the largest one."""

    def __init__(self, rows: Sequence[_Row]) -> None:
        self.side = max(max(_extent(row.shape)) for row in rows)
        self.channels = max(row.shape[-1] for row in rows)

    def draw(self, ax: Any, y: float, row: _Row) -> None:
        width = _WIDEST * math.sqrt(max(_extent(row.shape)) / self.side)
        thick = _THICKEST * math.log2(1 + row.shape[-1]) / math.log2(1 + self.channels)
        left, low, high = (_DRAWING - _GAP - width) / 2 + 0.1, y + thick / 2 + 0.03, y - thick / 2
        face, hatch = next((look for k, look in _LOOKS.items() if k in row.types[0]), _OTHER)
        lean = min(_LEAN, width / 3)
        front = [(left, low), (left + width, low), (left + width, high), (left, high)]
        top = [
            (left, high),
            (left + width, high),
            (left + width - lean, high - _LEAN / 2),
            (left + lean, high - _LEAN / 2),
        ]
        for corners, alpha in ((front, 1.0), (top, 0.45)):
            x, ys = zip(*corners)
            ax.fill(x, ys, facecolor=face, alpha=alpha, linewidth=0)
            ax.fill(x, ys, facecolor="none", edgecolor="black", linewidth=0.6)
        if hatch:
            x, ys = zip(*front)
            ax.fill(x, ys, facecolor="none", edgecolor="black", hatch=hatch, linewidth=0.6)


def _extent(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Sides of an image; features have none."""
    return shape[:2] if len(shape) == 3 else (1,)


def _rows_of(layers: Sequence[Any]) -> list[_Row]:
    """Layers, with those in one row that leave the shape as it is."""
    rows: list[_Row] = []
    shape: tuple[int, ...] = ()
    for layer in layers:
        is_step = any(kind in layer.type for kind in _LOOKS)
        changes = layer.output_shape != shape and layer.type != "Flatten"
        shape = layer.output_shape
        if is_step or changes or not rows:
            row = _Row(layer.name, [layer.type], layer.output_shape, layer.n_parameters)
            rows.append(row)
        else:
            # What follows a block acts on the sum, not on its shortcut alone.
            place = len(rows) - 1
            while place and in_shortcut(rows[place].name) and not in_shortcut(layer.name):
                place -= 1
            row = rows[place]
            n_parameters = row.n_parameters + layer.n_parameters
            rows[place] = row._replace(types=[*row.types, layer.type], n_parameters=n_parameters)
    return rows


def _cells(row: _Row) -> tuple[str, ...]:
    first, *others = row.types
    # More than two behind one layer would be longer than what matters.
    more = [*others[:2], "…"] if len(others) > 3 else others
    types = " + ".join([first, *more]) + (" beside it" if in_shortcut(row.name) else "")
    shape = " × ".join(map(str, row.shape))
    return row.name, types, shape, f"{row.n_parameters:,}" if row.n_parameters else ""


def _shortcuts(rows: Sequence[_Row]) -> list[tuple[int, int]]:
    """First and last row, counted from 1, of all that a shortcut leads past."""
    spans: dict[str, tuple[int, int]] = {}
    for number, row in enumerate(rows, start=1):
        block, _, _ = row.name.partition(".convolutions.")
        if block != row.name:
            first, _ = spans.get(block, (number, number))
            spans[block] = first, number
    return list(spans.values())


def _bracket(ax: Any, top: float, bottom: float) -> None:
    ax.plot([0.25, 0.12, 0.12, 0.25], [top, top, bottom, bottom], color="black", linewidth=1)
    ax.plot([0.25], [bottom], marker=">", color="black", markersize=4)
