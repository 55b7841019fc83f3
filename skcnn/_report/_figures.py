"""Pictures inside of a page: figures as SVG, photographs and maps as data."""

import base64
import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator

from skcnn._data._files import FileImages
from skcnn._data._inputs import AnyImages
from skcnn._decode import UnreadableImageError, centered, decode, plan_resizing, read_header
from skcnn._report._markup import Html, escape
from skcnn._utils import ignore_warning
from skcnn.inspection import _drawing

# The color of text and axes, which becomes that of the page around the figure.
_INK = "#010203"
# The blue of points and lines, which becomes that of the page: a brighter one in the dark.
_ACCENT = "#0072b2"
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "skcnn",
    # Names of classes are no formulas.
    "text.parse_math": False,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "legend.framealpha": 0,
    "font.size": 9,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.titlecolor", "axes.edgecolor"), _INK),
    **dict.fromkeys(("xtick.color", "ytick.color"), _INK),
}
# Longest side of photographs, in pixels.
_SIDE = 240
# Smaller images are shown with their pixels, and stored without loss.
_FEW_PIXELS = 100
_MAP_OPACITY = 0.55
# Widest figure that is made to fit into the page, of 690 points.
_MAX_POINTS = 1150

Pixels = npt.NDArray[np.uint8]


@contextmanager
def report_style() -> Iterator[None]:
    """Draw in the style of the page: without a background, in its color of text."""
    from matplotlib import rc_context

    settings: Any = _STYLE
    with rc_context(settings):
        yield


def as_svg(draw: Callable[[], object], name: str, label: str) -> Html:
    """Draw a figure and return it as SVG.

    Parameters
    ----------
    draw : callable
        Draws and returns the figure, which is closed afterwards.
    name : str
        What identifiers in the figure begin with, so that those of two figures differ.
    label : str
        What the figure shows, for people who do not see it.
    """
    from matplotlib import pyplot as plt

    # Text stays text in SVG: the browser has the letters that the font of matplotlib lacks.
    with report_style(), ignore_warning(r"Glyph \d+ .* missing from"):
        figure: Any = draw()
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
        plt.close(figure)
    text = buffer.getvalue()
    svg = text[text.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = svg.replace(_INK, "currentColor").replace(_ACCENT, "var(--accent)")
    head, rest = svg.split(">", 1)
    width = re.search(r'width="([\d.]+)pt"', head)
    head = re.sub(r' (?:width|height)="[\d.]+pt"', "", head)
    points = float(width[1]) if width else 0.0
    # Where it fits into the page only if its text is too small to read, it scrolls.
    wide = ' class="wide"' if points > _MAX_POINTS else ""
    return Html(
        f'{head}{wide} role="img" aria-label="{escape(label)}" '
        f'style="width:{points / 12:.2f}rem">{rest}'
    )


class Thumbnails:
    """Small pictures of images, and of maps over them.

    Photographs from files are shown in their own proportions where the network sees the whole of
    them. Otherwise they are shown as the network sees them.

    Parameters
    ----------
    network : ConvNetClassifier, ConvNetRegressor or ConvNetMultiTask
    images : Images or FileImages
        All images, as the network gets them.
    """

    def __init__(self, network: BaseEstimator, images: AnyImages) -> None:
        self._images = images
        self._is_padded = network.resize == "pad"
        self._from_files = isinstance(images, FileImages) and network.resize != "crop"
        self._limits = (0.0, 255.0)
        if not isinstance(images, FileImages):
            self._limits = _drawing.limits_of(np.asarray(images[: min(len(images), 256)]))

    def picture(self, row: int) -> Pixels:
        """Return an image (height, width) or (height, width, 3)."""
        photograph = self._photograph(row)
        return self._as_seen(row) if photograph is None else photograph

    def with_map(self, row: int, values: npt.NDArray[np.floating]) -> Pixels:
        """Return an image in gray with a map (height, width), from 0 to 1, laid over it."""
        from matplotlib import colormaps
        from PIL import Image

        photograph = self._photograph(row)
        if photograph is not None and self._is_padded:
            values = _without_padding(values, photograph.shape[:2])
        picture = (self._as_seen(row) if photograph is None else photograph) / np.float64(255)
        gray = picture if picture.ndim == 2 else picture.mean(axis=2)
        size = gray.shape[1], gray.shape[0]
        map_ = Image.fromarray(np.asarray(values, dtype=np.float32)).resize(size, 2)
        colors = colormaps["viridis"](np.clip(np.asarray(map_), 0, 1))[..., :3]
        return _as_bytes(_MAP_OPACITY * colors + (1 - _MAP_OPACITY) * gray[..., None])

    def _photograph(self, row: int) -> Pixels | None:
        """Return a file in its own proportions, if that is what is shown."""
        if not self._from_files:
            return None
        assert isinstance(self._images, FileImages)
        return _read_photograph(self._images, row)

    def _as_seen(self, row: int) -> Pixels:
        """Return an image as the network sees it."""
        image = np.asarray(self._images[np.array([row])])[0]
        return _as_bytes(_drawing.as_shown(image, self._limits))


def as_img(pixels: Pixels, label: str) -> Html:
    """Return an image as an element of the page that holds its data."""
    from PIL import Image

    height, width = pixels.shape[:2]
    small = max(height, width) <= _FEW_PIXELS
    buffer = io.BytesIO()
    options: dict[str, Any] = {"format": "PNG"} if small else {"format": "JPEG", "quality": 85}
    Image.fromarray(pixels).save(buffer, **options)
    data = base64.b64encode(buffer.getvalue()).decode()
    kind = "png" if small else "jpeg"
    sharp = ' class="pixels"' if max(height, width) <= _FEW_PIXELS // 2 else ""
    return Html(
        f'<img{sharp} src="data:image/{kind};base64,{data}" width="{width}" height="{height}" '
        f'alt="{escape(label)}">'
    )


def _as_bytes(shown: npt.NDArray[np.floating]) -> Pixels:
    pixels: Pixels = np.round(np.clip(shown, 0, 1) * 255).astype(np.uint8)
    return pixels


def _read_photograph(images: FileImages, row: int) -> Pixels | None:
    """Read a file, or its box, in its own proportions; None where it cannot be read any more."""
    row = int(row if images.rows is None else images.rows[row])
    path, box = images.paths.names[row], images.paths.box(row)
    try:
        height, width, channels = read_header(path)
        if box is not None:
            width, height = (max(1, round(side)) for side in box[2:] * (width, height))
        scale = min(1.0, _SIDE / max(height, width))
        shape = max(1, round(height * scale)), max(1, round(width * scale)), channels
        pixels = decode(path, shape, "stretch", box)
    except UnreadableImageError:
        return None
    shown: Pixels = pixels[..., 0] if channels == 1 else pixels
    return shown


def _without_padding(values: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Cut out of a map what belongs to an image of this (height, width) in its middle."""
    whole = (0.0, 0.0, 1.0, 1.0)
    height, width = values.shape
    _, (across, down) = plan_resizing((shape[1], shape[0]), whole, (height, width, 1), "pad")
    return values[centered((down, across), values.shape)]
