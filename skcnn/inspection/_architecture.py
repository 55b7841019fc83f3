"""Drawing of a network."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from sklearn.base import BaseEstimator

from skcnn.inspection import _drawing
from skcnn.inspection._display import Display
from skcnn.inspection._u_shape import boxes_of, draw_u, is_u_net
from skcnn.inspection._unwrap import unwrap_unfitted
from skcnn.networks._summary import Layer, NetworkSummary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Sizes in inches.
_DRAWING_WIDTH = 2.4
_ROW_HEIGHT = 0.4
_CHARACTER_WIDTH = 0.073
_COLUMN_GAP = 0.25
_MAX_BAR_WIDTH = 0.9
_MAX_PLATE_WIDTH = 1.7
_MAX_PLATE_HEIGHT = 0.2
_PLATE_TOP_INSET = 0.12

_FONT_SIZE = 9.0
_HEADER = ("layer", "", "output", "parameters")
_OTHER_LOOK = ("#999999", "")
# Color and hatching by role. The hatching tells roles apart in gray print.
_LOOKS = {
    "convolution": ("#56B4E9", ""),
    "shortcut": ("#FFFFFF", ""),
    "pooling": ("#E69F00", "////"),
    "attention": ("#CC79A7", "\\\\\\\\"),
    "dense": ("#009E73", "...."),
    "output": ("#009E73", "...."),
}


class _Row(NamedTuple):
    """A plate of the drawing, and what is written beside it."""

    name: str
    types: list[str]
    shape: tuple[int, ...]
    n_parameters: int
    role: str = ""
    block: str = ""


class ArchitectureDisplay(Display):
    """Drawing of a network, layer by layer from top to bottom.

    Each plate stands for the output of a layer. It is as wide as the square root of the longer
    side of the output and as high as the logarithm of its number of channels. Beside it are the
    name of the layer, as in `summary` and the other displays, its type, its output shape (height
    × width × channels), and its number of trainable parameters, also as a bar. The types of
    layers that follow and keep the shape are in the same row. Arrows on the left are the
    shortcuts of residual blocks. The layers in a shortcut have white plates below the
    convolutions that it skips.

    A U-Net is drawn as a U: a box for each block, the encoder on the way down and the decoder on
    the way up, and dashed arrows to where the decoder joins the maps of the encoder.

    Make one with `from_estimator`.

    Parameters
    ----------
    summary : NetworkSummary
        As returned by `ConvNetClassifier.summary`.
    image_shape : tuple of (height, width, channels)
        Shape of the images that the network takes.

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

    def __init__(self, *, summary: NetworkSummary, image_shape: Sequence[int]) -> None:
        self.summary = summary
        self.image_shape = tuple(image_shape)

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        image_shape: Sequence[int] | None = None,
        n_classes: int | None = None,
        *,
        ax: "Axes | None" = None,
    ) -> Self:
        """Draw the network of an estimator.

        Parameters
        ----------
        estimator : skcnn estimator with a network, Pipeline or search
            A fitted one, or one that is not fitted together with the next two arguments. Of a
            pipeline, the last step counts.
        image_shape : sequence of (height, width) or (height, width, channels), default=None
            Shape of the images for a network that is not fitted yet.
        n_classes : int, default=None
            Number of classes for a network that is not fitted yet.
        ax
            As in `plot`.

        Returns
        -------
        display : ArchitectureDisplay

        Raises
        ------
        ValueError, NotFittedError
            As in `ConvNetClassifier.summary`.
        TypeError
            If the estimator has no network.
        """
        estimator, _ = unwrap_unfitted(estimator)
        summary = estimator.summary(image_shape, n_classes)
        shape = estimator.image_shape_ if image_shape is None else tuple(image_shape)
        shape = (*shape, 1) if len(shape) == 2 else shape
        return cls(summary=summary, image_shape=shape).plot(ax)

    def _draw(self, ax: "Axes | None") -> "Axes":
        if is_u_net(self.summary):
            return draw_u(ax, boxes_of(self.summary, self.image_shape), self.summary.n_parameters)
        rows = [_Row("", ["image"], self.image_shape, 0), *_rows_of(self.summary.layers)]
        cells = [_cells(row) for row in rows]
        columns = _Columns([_HEADER, *cells])
        height = (len(rows) + 2) * _ROW_HEIGHT
        ax, text_scale = _drawing.make_sheet(ax, columns.width, height)
        font = _FONT_SIZE * text_scale
        ax.set(xlim=(0, columns.width), ylim=(height, 0))

        columns.write(ax, _ROW_HEIGHT / 2, _HEADER, font, weight="bold")
        scale = _Scale(rows)
        most = max(1, *(row.n_parameters for row in rows))
        for number, (row, texts) in enumerate(zip(rows, cells), start=1):
            y = (number + 0.5) * _ROW_HEIGHT
            scale.draw(ax, y, row)
            columns.write(ax, y, texts, font)
            bar = _MAX_BAR_WIDTH * row.n_parameters / most
            ax.barh(y, bar, height=0.3 * _ROW_HEIGHT, left=columns.bars, color="#777777")
        for first, last in _shortcuts(rows):
            _bracket(ax, first * _ROW_HEIGHT, (last + 0.75) * _ROW_HEIGHT)
        total = ("", "total", "", f"{self.summary.n_parameters:,}")
        columns.write(ax, height - _ROW_HEIGHT / 2, total, font, weight="bold")
        return ax


class _Columns:
    """Columns of text, as wide as their longest text."""

    def __init__(self, cells: Sequence[tuple[str, ...]]) -> None:
        self.ends = [_DRAWING_WIDTH]
        for texts in zip(*cells):
            longest = max(len(line) for text in texts for line in text.split("\n"))
            self.ends.append(self.ends[-1] + longest * _CHARACTER_WIDTH + _COLUMN_GAP)
        self.bars = self.ends[-1] - _COLUMN_GAP / 2
        self.width = self.bars + _MAX_BAR_WIDTH + _COLUMN_GAP

    def write(self, ax: "Axes", y: float, texts: Sequence[str], font: float, **style: Any) -> None:
        style = {"va": "center", "fontsize": font, **style}
        for start, text in zip(self.ends, texts[:-1]):
            ax.text(start, y, text, **style)
        ax.text(self.ends[-1] - _COLUMN_GAP, y, texts[-1], ha="right", **style)


class _Scale:
    """Sizes of the plates, relative to the largest one."""

    def __init__(self, rows: Sequence[_Row]) -> None:
        self.side = max(max(_sides(row.shape)) for row in rows)
        self.channels = max(row.shape[-1] for row in rows)

    def draw(self, ax: "Axes", y: float, row: _Row) -> None:
        width = _MAX_PLATE_WIDTH * math.sqrt(max(_sides(row.shape)) / self.side)
        thick = _MAX_PLATE_HEIGHT * math.log2(1 + row.shape[-1]) / math.log2(1 + self.channels)
        left = (_DRAWING_WIDTH - _COLUMN_GAP - width) / 2 + 0.1
        low, high = y + thick / 2 + 0.03, y - thick / 2
        face, hatch = _LOOKS.get(row.role, _OTHER_LOOK)
        inset = min(_PLATE_TOP_INSET, width / 3)
        front = [(left, low), (left + width, low), (left + width, high), (left, high)]
        top = [
            (left, high),
            (left + width, high),
            (left + width - inset, high - _PLATE_TOP_INSET / 2),
            (left + inset, high - _PLATE_TOP_INSET / 2),
        ]
        for corners, alpha in ((front, 1.0), (top, 0.45)):
            x, ys = zip(*corners)
            ax.fill(x, ys, facecolor=face, alpha=alpha, linewidth=0)
            ax.fill(x, ys, facecolor="none", edgecolor="black", linewidth=0.6)
        if hatch:
            x, ys = zip(*front)
            ax.fill(x, ys, facecolor="none", edgecolor="black", hatch=hatch, linewidth=0.6)


def _sides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Height and width of an image; one value for features, which have none."""
    return shape[:2] if len(shape) == 3 else (1,)


def _rows_of(layers: Sequence[Layer]) -> list[_Row]:
    """Rows of the drawing; layers that keep the shape join the row before."""
    rows: list[_Row] = []
    shape: tuple[int, ...] = ()
    for layer in layers:
        changes_shape = layer.output_shape != shape and layer.type != "Flatten"
        shape = layer.output_shape
        if layer.role in _LOOKS or changes_shape or not rows:
            rows.append(
                _Row(layer.name, [layer.type], shape, layer.n_parameters, layer.role, layer.block)
            )
        else:
            # A layer after a residual block works on the sum, not on the shortcut alone.
            place = len(rows) - 1
            while place and rows[place].role == "shortcut":
                place -= 1
            row = rows[place]
            n_parameters = row.n_parameters + layer.n_parameters
            rows[place] = row._replace(types=[*row.types, layer.type], n_parameters=n_parameters)
    return rows


def _cells(row: _Row) -> tuple[str, ...]:
    first, *others = row.types
    # Long lists of types would make the column too wide.
    more = [*others[:2], "…"] if len(others) > 3 else others
    types = " + ".join([first, *more]) + (" (shortcut)" if row.role == "shortcut" else "")
    shape = " × ".join(map(str, row.shape))
    return row.name, types, shape, f"{row.n_parameters:,}" if row.n_parameters else ""


def _shortcuts(rows: Sequence[_Row]) -> list[tuple[int, int]]:
    """First and last row, counted from 1, of the convolutions that each shortcut skips."""
    spans: dict[str, tuple[int, int]] = {}
    for number, row in enumerate(rows, start=1):
        if row.block:
            first, _ = spans.get(row.block, (number, number))
            spans[row.block] = first, number
    return list(spans.values())


def _bracket(ax: "Axes", top: float, bottom: float) -> None:
    ax.plot([0.25, 0.12, 0.12, 0.25], [top, top, bottom, bottom], color="black", linewidth=1)
    ax.plot([0.25], [bottom], marker=">", color="black", markersize=4)
