"""Numbers in files of labels: those that are as they were drawn, and what is refused."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from skcnn._data._label_numbers import read_numbers
from skcnn._data._masks import read_masks
from skcnn._decode import UnreadableImageError

LABELS = (np.arange(24).reshape(4, 6) % 5).astype(np.uint8)
STROKES = np.where(LABELS > 2, 255, 0).astype(np.uint8)


def with_opacity(numbers, opacity):
    return Image.fromarray(np.dstack([*[numbers] * 3, np.broadcast_to(opacity, numbers.shape)]))


def in_palette(labels, colors):
    image = Image.new("P", labels.shape[::-1])
    image.putdata(labels.ravel().tolist())
    image.putpalette(np.ravel(colors).tolist())
    return image


def png_of_16_bits(labels, n_channels):
    """A PNG file as Pillow does not write it."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    color_type = {1: 0, 3: 2}[n_channels]
    header = struct.pack(">IIBBBBB", *labels.shape[::-1], 16, color_type, 0, 0, 0)
    lines = [b"\0" + row.repeat(n_channels).astype(">u2").tobytes() for row in labels]
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(b"".join(lines))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


@pytest.mark.parametrize(
    "image",
    [
        with_opacity(LABELS, np.uint8(255)),
        with_opacity(LABELS, np.uint8(0)),
        # Transparent where nothing is: the number alone tells.
        with_opacity(LABELS, np.where(LABELS > 0, 255, 0).astype(np.uint8)),
        Image.fromarray(np.dstack([LABELS, np.full_like(LABELS, 255)])),
    ],
    ids=["opaque", "transparent", "background", "gray"],
)
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_transparency_that_tells_nothing_else(tmp_path, image, ending):
    image.save(tmp_path / f"mask.{ending}")
    np.testing.assert_array_equal(read_numbers(tmp_path / f"mask.{ending}").values, LABELS)


@pytest.mark.parametrize("color", [0, 255])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_strokes_on_a_transparent_image_are_refused(tmp_path, color, mode):
    layer = with_opacity(np.full_like(LABELS, color), STROKES)
    layer.convert(mode).save(tmp_path / "strokes.png")
    with pytest.raises(
        UnreadableImageError, match=rf"pixels of the number {color} .*\[\.\.\., -1]"
    ):
        read_numbers(tmp_path / "strokes.png")
    alpha = np.asarray(Image.open(tmp_path / "strokes.png"))[..., -1]
    np.testing.assert_array_equal(alpha > 127, LABELS > 2)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mask.jpg", {}, "is a JPEG file"),
        ("mask.jp2", {}, "is a JPEG2000 file"),
        ("mask.tif", {"compression": "jpeg"}, "is a TIFF file that is compressed as JPEG"),
    ],
)
def test_files_whose_compression_changes_numbers_are_refused(tmp_path, name, options, message):
    Image.fromarray(STROKES).save(tmp_path / name, **options)
    with pytest.raises(UnreadableImageError, match=f"{message}, whose compression"):
        read_numbers(tmp_path / name)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate", "packbits"])
def test_tiff_files_that_keep_numbers(tmp_path, compression):
    Image.fromarray(LABELS).save(tmp_path / "mask.tif", compression=compression)
    np.testing.assert_array_equal(read_numbers(tmp_path / "mask.tif").values, LABELS)


def test_colors_that_are_no_numbers_are_refused(tmp_path):
    empty = np.zeros_like(LABELS)
    # Black is in the fourth channel, and the others are alike.
    ink = Image.frombytes("CMYK", LABELS.shape[::-1], np.dstack([*[empty] * 3, STROKES]).tobytes())
    ink.save(tmp_path / "ink.tif")
    with pytest.raises(UnreadableImageError, match="color image of Pillow's mode 'CMYK'"):
        read_numbers(tmp_path / "ink.tif")


def test_16_bits_in_several_channels_are_refused(tmp_path):
    deep = LABELS.astype(np.uint16) * 300
    (tmp_path / "gray.png").write_bytes(png_of_16_bits(deep, 1))
    np.testing.assert_array_equal(read_numbers(tmp_path / "gray.png").values, deep)
    (tmp_path / "color.png").write_bytes(png_of_16_bits(deep, 3))
    with pytest.raises(UnreadableImageError, match="16 bits, of which only the upper 8 are read"):
        read_numbers(tmp_path / "color.png")


RED, GREEN, BLUE, BLACK = [200, 0, 0], [0, 200, 0], [0, 0, 200], [0, 0, 0]


def test_palettes_that_agree(tmp_path):
    y = [tmp_path / f"{row}.png" for row in range(4)]
    some = np.minimum(LABELS, 2)
    in_palette(some, [BLACK, RED, GREEN]).save(y[0])
    in_palette(np.minimum(LABELS, 3), [BLACK, RED, GREEN, BLUE]).save(y[1])
    # A color that is not used, and one that two numbers have, tell nothing.
    in_palette(np.minimum(LABELS, 1), [BLACK, RED, BLUE, GREEN]).save(y[2])
    in_palette(LABELS, [BLACK, RED, GREEN, BLUE, RED]).save(y[3])
    masks, _ = read_masks(y, 4, LABELS.shape, "pad")
    np.testing.assert_array_equal(masks[0], some)
    np.testing.assert_array_equal(masks[3], LABELS)


def test_palettes_of_each_file_are_refused(tmp_path):
    y = [tmp_path / name for name in ("both.png", "green.png")]
    in_palette(np.minimum(LABELS, 2), [BLACK, RED, GREEN]).save(y[0])
    # As saved with as few colors as are in the image.
    in_palette(np.minimum(LABELS, 1), [BLACK, GREEN]).save(y[1])
    with pytest.raises(
        ValueError,
        match=r"\(0, 200, 0\) is 2 in row 0, \S*both\.png, and 1 in row 1, \S*green\.png.*gray",
    ):
        read_masks(y, 2, LABELS.shape, "pad")


def test_white_of_1_and_of_255_is_refused(tmp_path):
    y = [tmp_path / name for name in ("bits.png", "bytes.png", "none.png")]
    Image.fromarray(STROKES > 0).save(y[0])
    Image.fromarray(STROKES).save(y[1])
    Image.fromarray(np.zeros(LABELS.shape, dtype=bool)).save(y[2])
    with pytest.raises(ValueError, match=r"white is 1, such as row 0, .*white is 255, .*row 1"):
        read_masks(y, 3, LABELS.shape, "pad")
    # All of one kind, or without white.
    masks, _ = read_masks([y[0], y[2]], 2, LABELS.shape, "pad")
    assert masks.max() == 1
    masks, _ = read_masks([y[1], y[2]], 2, LABELS.shape, "pad")
    assert masks.max() == 255
    Image.open(y[0]).convert("L").save(y[0])
    masks, _ = read_masks(y, 3, LABELS.shape, "pad")
    np.testing.assert_array_equal(masks[0], masks[1])
