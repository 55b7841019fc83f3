"""Drawing of a U-Net: the encoder going down, the decoder going up, and what joins them."""

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, NamedTuple

from skcnn.inspection import _drawing
from skcnn.networks._summary import NetworkSummary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Sizes in inches.
_BOX_WIDTH, _BOX_HEIGHT = 1.35, 0.72
_GAP_ACROSS, _GAP_DOWN = 0.35, 0.3
# A box on another level begins above the end of the one before.
_STEP_ASIDE = 0.8
_MARGIN = 0.2
_FONT_SIZE = 7.5
_FACES = {"encoder": "#56B4E9", "decoder": "#E69F00", "image": "#FFFFFF", "output": "#009E73"}


class Box(NamedTuple):
    """Layers that work on maps of one size, one after the other.

    Attributes
    ----------
    half : {"image", "encoder", "decoder", "output"}
    name : str
    shape : tuple of int
        Of what they return.
    n_convolutions, n_parameters : int
    """

    half: str
    name: str
    shape: tuple[int, ...]
    n_convolutions: int = 0
    n_parameters: int = 0


def is_u_net(summary: NetworkSummary) -> bool:
    """Whether the layers are those of `UNet`; other networks have encoders and decoders too."""
    return any(layer.name == "decoder.block1.reduce" for layer in summary.layers)


def boxes_of(summary: NetworkSummary, image_shape: Sequence[int]) -> list[Box]:
    """Return the boxes of a drawing, from the image to the output."""
    boxes = [Box("image", "image", tuple(image_shape))]
    split = [layer.name.split(".") for layer in summary.layers]
    n_stages = len({tuple(parts[:3]) for parts in split if parts[:2] == ["encoder", "stages"]})
    for layer, (half, *inner) in zip(summary.layers, split):
        if half == "encoder" and inner[0].startswith("pool"):
            continue
        name = ".".join([half, *inner[:1]])
        if inner[:1] == ["stages"]:
            # Stages of a backbone, or what has maps of one size where it is not divided.
            sides = " × ".join(map(str, layer.output_shape[:2]))
            name = f"{half}.{inner[1]}" if n_stages > 1 else f"{half}, {sides}"
        if half not in ("encoder", "decoder"):
            half, name = "output", layer.name
        if boxes[-1].half != half or boxes[-1].name != name:
            boxes.append(Box(half, name, layer.output_shape))
        last = boxes[-1]
        boxes[-1] = last._replace(
            # The layers of a shortcut do not run last.
            shape=last.shape if layer.role == "shortcut" else layer.output_shape,
            n_convolutions=last.n_convolutions + (layer.role == "convolution"),
            n_parameters=last.n_parameters + layer.n_parameters,
        )
    return boxes


def draw_u(ax: "Axes | None", boxes: Sequence[Box], n_parameters: int) -> "Axes":
    """Draw boxes as a U, with arrows down, up and across."""
    from matplotlib.patches import Rectangle

    heights = sorted({box.shape[0] for box in boxes}, reverse=True)
    # The image may have a size that no map has.
    levels = {side: number for number, side in enumerate(heights)}
    steps = [
        (1.0 if box.shape[0] == after.shape[0] else _STEP_ASIDE) * (_BOX_WIDTH + _GAP_ACROSS)
        for box, after in pairwise(boxes)
    ]
    lefts = [0.0, *accumulate(steps)]
    width = lefts[-1] + _BOX_WIDTH
    height = len(heights) * (_BOX_HEIGHT + _GAP_DOWN) + 0.2
    ax, scale = _drawing.make_sheet(ax, width + 2 * _MARGIN, height + 2 * _MARGIN)
    font = _FONT_SIZE * scale
    ax.set(xlim=(-_MARGIN, width + _MARGIN), ylim=(height + _MARGIN, -_MARGIN))
    tops = [levels[box.shape[0]] * (_BOX_HEIGHT + _GAP_DOWN) for box in boxes]
    places = list(zip(lefts, tops))
    for box, (left, top) in zip(boxes, places):
        ax.add_patch(
            Rectangle(
                (left, top),
                _BOX_WIDTH,
                _BOX_HEIGHT,
                facecolor=_FACES[box.half],
                edgecolor="black",
                alpha=0.55,
                linewidth=0.8,
                zorder=2,
            )
        )
        ax.text(
            left + _BOX_WIDTH / 2,
            top + _BOX_HEIGHT / 2,
            _text(box),
            ha="center",
            va="center",
            fontsize=font,
            linespacing=1.35,
            zorder=3,
        )
    for (left, top), (next_left, next_top) in pairwise(places):
        _arrow(ax, _edge(left, top, next_left, next_top), _edge(next_left, next_top, left, top))
    for first, last in _joined(boxes):
        (left, top), (right, _) = places[first], places[last]
        middle = top + _BOX_HEIGHT / 2
        _arrow(ax, (left + _BOX_WIDTH, middle), (right, middle), line="--")
    total = f"{n_parameters:,} parameters   (dashed: the decoder joins maps of the encoder)"
    ax.text(0, height, total, fontsize=font, va="bottom", weight="bold")
    return ax


def _text(box: Box) -> str:
    lines = [box.name, " × ".join(map(str, box.shape))]
    if box.n_convolutions:
        plural = "" if box.n_convolutions == 1 else "s"
        lines.append(f"{box.n_convolutions} convolution{plural}")
    if box.half != "image":
        lines.append(f"{_short(box.n_parameters)} parameters" if box.n_parameters else "frozen")
    return "\n".join(lines)


def _short(number: int) -> str:
    """Write a number in about three digits.

    Examples
    --------
    >>> _short(68), _short(17_234), _short(2_500_000)
    ('68', '17.2k', '2.5M')
    """
    power = min(2, int(math.log10(max(1, number)) // 3))
    return f"{number / 1000**power:.3g}{('', 'k', 'M')[power]}"


def _joined(boxes: Sequence[Box]) -> list[tuple[int, int]]:
    """Return the pairs of boxes whose maps the decoder joins: those of the same size."""
    pairs = []
    for last, box in enumerate(boxes):
        if box.half != "decoder":
            continue
        same = [
            n
            for n, other in enumerate(boxes[:last])
            if other.half in ("encoder", "image") and other.shape[:2] == box.shape[:2]
        ]
        if same:
            pairs.append((same[-1], last))
    return pairs


def _edge(left: float, top: float, to_left: float, to_top: float) -> tuple[float, float]:
    """Point of a box from which an arrow to another box leaves."""
    if to_top == top:
        return (left + _BOX_WIDTH if to_left > left else left), top + _BOX_HEIGHT / 2
    # Arrows down and up run from the middle of one box to that of the next.
    return left + _BOX_WIDTH / 2, (top + _BOX_HEIGHT if to_top > top else top)


def _arrow(
    ax: "Axes", start: tuple[float, float], end: tuple[float, float], line: str = "-"
) -> None:
    ax.annotate(
        "",
        xy=end,
        xytext=start,
        arrowprops={
            "arrowstyle": "-|>",
            "linestyle": line,
            "color": "black",
            "linewidth": 0.9,
            "shrinkA": 0,
            "shrinkB": 0,
        },
        zorder=1,
    )
