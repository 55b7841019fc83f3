"""Boxes around what was painted with a brush of Label Studio, in percent of the image."""

import base64
import io
from collections.abc import Sequence

from skcnn.datasets._boxes import Box, box_of_runs
from skcnn.datasets._scan import import_pillow
from skcnn.datasets._sources import as_number

# Red, green, blue and opacity of each pixel; where this is 0, nothing was painted.
_N_CHANNELS = 4
# Bits of what comes first: how many numbers there are, the bits of one, and of four lengths.
_HEADER_BITS = 32 + 5 + 4 * 4


def box_of_strokes(
    packed: Sequence[object], width: float, height: float, where: str
) -> Box | None:
    """Return the corners of the box around a mask in the format RLE of Label Studio.

    A stream of bits: each part tells whether one number follows, which is repeated, or as many as
    its length says.

    Raises
    ------
    ValueError
        If it is damaged, or the mask of an image of another size.
    """
    numbers = [as_number(number, where) for number in packed]
    if 8 * len(numbers) < _HEADER_BITS:
        return None
    if any(number not in range(256) for number in numbers):
        raise ValueError(f"{where}: expected numbers from 0 to 255, as of Label Studio.")
    bits = _Bits(bytes(map(int, numbers)), where)
    n_values, n_bits = bits.read(32), bits.read(5) + 1
    lengths = [bits.read(4) + 1 for _ in range(4)]
    if n_values != width * height * _N_CHANNELS:
        raise ValueError(
            f"{where}: expected {_N_CHANNELS} numbers for each pixel of an image of {width:g}x"
            f"{height:g}. Got {n_values}: the mask is damaged, or of another image."
        )
    starts, lasts = [], []
    place = 0
    while place < n_values:
        is_repeated = bits.read(1)
        end = place + 1 + bits.read(lengths[bits.read(2)])
        step = end - place if is_repeated else 1
        for first in range(place, end, step):
            # The pixels whose opacity is among these numbers.
            start, last = first // _N_CHANNELS, (first + step) // _N_CHANNELS - 1
            if bits.read(n_bits) and start <= last:
                starts.append(start)
                lasts.append(last)
        place = end
    box = box_of_runs(starts, lasts, int(width))
    if box is None:
        return None
    top, left, n_rows, n_columns = box
    return _in_percent((left, top, left + n_columns, top + n_rows), width, height)


class _Bits:
    """Numbers of any number of bits, read one after the other."""

    def __init__(self, content: bytes, where: str) -> None:
        self.content = content
        self.where = where
        self.place = 0

    def read(self, n_bits: int) -> int:
        first, self.place = self.place, self.place + n_bits
        stop = -(-self.place // 8)
        if stop > len(self.content):
            raise ValueError(f"{self.where}: the mask is damaged: its end is missing.")
        number = int.from_bytes(self.content[first // 8 : stop], "big")
        return number >> (8 * stop - self.place) & ((1 << n_bits) - 1)


def box_of_bitmask(text: str, where: str) -> Box | None:
    """Return the corners of the box around what is not transparent in an image in a text.

    Raises
    ------
    ValueError
        If it is no PNG image.
    """
    import_pillow()
    from PIL import Image

    kind, _, content = text.partition(",")
    try:
        with Image.open(io.BytesIO(base64.b64decode(content)), formats=["PNG"]) as image:
            width, height = image.size
            box = image.convert("RGBA").getchannel("A").getbbox()
    except Exception as error:
        # Damaged images make decoders raise errors of nearly every type.
        raise ValueError(
            f"{where}: expected a PNG image as a text that begins with data:image/png;base64. Got "
            f"{kind[:40]!r}, which cannot be read ({error})."
        ) from error
    return None if box is None else _in_percent(box, width, height)


def _in_percent(corners: tuple[float, float, float, float], width: float, height: float) -> Box:
    left, top, right, bottom = corners
    return 100 * left / width, 100 * top / height, 100 * right / width, 100 * bottom / height
