"""One image file as pixels: formats, colors, orientation, resizing, and what cannot be read."""

import os
import struct
import sys

import numpy as np
import pytest
from _image_files import photograph, write_broken_files, write_odd_files
from numpy.testing import assert_array_equal
from PIL import Image, ImageOps

from skcnn._decode import UnreadableImageError, decode, read_header

RGB = np.asarray(photograph(12, 8))
GRAY = np.asarray(photograph(12, 8).convert("L"))


def close(actual, expected, tolerance):
    return np.abs(actual.astype(int) - np.asarray(expected).astype(int)).max() <= tolerance


# ---------------------------------------------------------------- formats and modes


def _palette(image):
    return image.quantize(256, dither=Image.Dither.NONE)


LOSSLESS = {
    "rgb.png": (lambda: Image.fromarray(RGB), RGB),
    "rgb.tif": (lambda: Image.fromarray(RGB), RGB),
    "rgb.bmp": (lambda: Image.fromarray(RGB), RGB),
    "rgb.ppm": (lambda: Image.fromarray(RGB), RGB),
    "gray.png": (lambda: Image.fromarray(GRAY), GRAY[..., None]),
    "gray.pgm": (lambda: Image.fromarray(GRAY), GRAY[..., None]),
    "gray.gif": (lambda: Image.fromarray(GRAY), GRAY[..., None]),
    "palette.png": (
        lambda: _palette(Image.fromarray(RGB)),
        np.asarray(_palette(Image.fromarray(RGB)).convert("RGB")),
    ),
    "gray palette.png": (lambda: _palette(Image.fromarray(GRAY)), GRAY[..., None]),
    "black and white.png": (
        lambda: Image.fromarray(GRAY > 127),
        255 * (GRAY > 127)[..., None].astype(np.uint8),
    ),
    "16 bits.png": (lambda: Image.fromarray(GRAY.astype(np.uint16) * 257), GRAY[..., None]),
    "16 bits.tif": (lambda: Image.fromarray(GRAY.astype(np.uint16) * 256), GRAY[..., None]),
    "16 bits.pgm": (
        lambda: Image.fromarray(GRAY.astype(np.int32) * 257),
        GRAY[..., None],
    ),
}


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_files_keep_their_pixels(name, tmp_path):
    make, expected = LOSSLESS[name]
    make().save(tmp_path / name)
    assert read_header(tmp_path / name) == expected.shape
    for resize in ("crop", "pad", "stretch"):
        found = decode(tmp_path / name, expected.shape, resize)
        assert found.dtype == np.uint8
        assert_array_equal(found, expected)


def test_jpeg_is_decoded_as_by_pillow(tmp_path):
    photograph(40, 30).save(tmp_path / "a.jpg")
    photograph(40, 30).convert("L").save(tmp_path / "gray.jpg")
    with Image.open(tmp_path / "a.jpg") as image:
        assert_array_equal(decode(tmp_path / "a.jpg", (30, 40, 3), "crop"), np.asarray(image))
    assert read_header(tmp_path / "a.jpg") == (30, 40, 3)
    assert read_header(tmp_path / "gray.jpg") == (30, 40, 1)


def test_color_and_gray_are_converted_to_each_other(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "rgb.png")
    Image.fromarray(GRAY).save(tmp_path / "gray.png")
    assert_array_equal(decode(tmp_path / "rgb.png", (8, 12, 1), "crop")[..., 0], GRAY)
    assert_array_equal(
        decode(tmp_path / "gray.png", (8, 12, 3), "crop"), np.stack([GRAY] * 3, axis=-1)
    )


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_cmyk_becomes_rgb(suffix, tmp_path):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(RGB).convert("CMYK").save(path)
    assert close(decode(path, (8, 12, 3), "crop"), RGB, 2 if suffix == "tif" else 40)
    assert read_header(path) == (8, 12, 3)


def _transparent(mode):
    image = Image.fromarray(RGB).convert(mode)
    alpha = Image.new("L", image.size, 255)
    alpha.paste(0, (0, 0, 6, 8))
    alpha.paste(51, (6, 0, 9, 8))
    image.putalpha(alpha)
    return image


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pixels_are_on_white(mode, tmp_path):
    _transparent(mode).save(tmp_path / "a.png")
    opaque = RGB if mode == "RGBA" else np.stack([GRAY] * 3, axis=-1)
    found = decode(tmp_path / "a.png", (8, 12, 3), "crop")
    assert (found[:, :6] == 255).all()
    assert close(found[:, 6:9], 0.2 * opaque[:, 6:9] + 0.8 * 255, 1)
    assert_array_equal(found[:, 9:], opaque[:, 9:])
    assert read_header(tmp_path / "a.png") == (8, 12, 3 if mode == "RGBA" else 1)


def test_transparent_colors_of_palettes_and_of_plain_images_are_on_white(tmp_path):
    indices = np.zeros((8, 8), dtype=np.uint8)
    indices[4:] = 1
    palette = Image.fromarray(indices)
    palette.putpalette([200, 0, 0, 0, 0, 90])
    palette.save(tmp_path / "palette.gif", transparency=0)
    palette.save(tmp_path / "palette.png", transparency=b"\0\xff")
    palette.convert("RGB").save(tmp_path / "rgb.png", transparency=(200, 0, 0))
    for name in ("palette.gif", "palette.png", "rgb.png"):
        found = decode(tmp_path / name, (8, 8, 3), "crop")
        assert (found[:4] == 255).all(), name
        assert (found[4:] == (0, 0, 90)).all(), name


def _tiff_of_12_bits(path, values):
    """A TIFF file as microscopes write it, with 12 bits per pixel, two pixels in three bytes."""
    flat = [int(value) for value in values.ravel()]
    packed = b"".join(
        struct.pack(">I", first << 12 | second)[1:] for first, second in zip(flat[::2], flat[1::2])
    )
    height, width = values.shape
    short, long = 3, 4
    tags = [
        (256, short, width),
        (257, short, height),
        (258, short, 12),
        (259, short, 1),
        (262, short, 1),
        (273, long, 8),
        (277, short, 1),
        (278, short, height),
        (279, long, len(packed)),
    ]
    entries = b"".join(
        struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in sorted(tags)
    )
    path.write_bytes(
        struct.pack("<2sHI", b"II", 42, 8 + len(packed))
        + packed
        + struct.pack("<H", len(tags))
        + entries
        + bytes(4)
    )


def test_16_bits_are_scaled_and_never_clipped(tmp_path):
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    expected = np.arange(256).reshape(16, 16, 1)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    Image.fromarray(ramp.astype(">u2")).save(tmp_path / "big endian.tif")
    _tiff_of_12_bits(tmp_path / "12 bits.tif", ramp >> 4)
    for path in sorted(tmp_path.iterdir()):
        assert_array_equal(decode(path, (16, 16, 1), "crop"), expected, err_msg=path.name)


def _frames():
    return [Image.fromarray(RGB), Image.fromarray(255 - RGB)]


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.gif", "a.webp"])
def test_first_of_several_frames_is_read(name, tmp_path):
    first, second = _frames()
    options = {"lossless": True} if name == "a.webp" else {}
    first.save(tmp_path / name, save_all=True, append_images=[second], **options)
    with Image.open(tmp_path / name) as image:
        assert image.n_frames == 2
    assert close(decode(tmp_path / name, RGB.shape, "crop"), RGB, 12 if name == "a.gif" else 0)


# ---------------------------------------------------------------- orientation


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation, suffix, tmp_path):
    path = tmp_path / f"a.{suffix}"
    exif = Image.Exif()
    exif[274] = orientation
    photograph(40, 30).save(path, exif=exif, quality=95)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    assert read_header(path) == expected.shape
    assert_array_equal(decode(path, expected.shape, "crop"), expected)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_box_and_shrinking_follow_the_orientation(orientation, tmp_path):
    exif = Image.Exif()
    exif[274] = orientation
    photograph(400, 320).save(tmp_path / "a.jpg", exif=exif, quality=95)
    with Image.open(tmp_path / "a.jpg") as image:
        whole = ImageOps.exif_transpose(image)
    width, height = whole.size
    part = whole.crop((width // 4, height // 2, width // 2, height))
    for shape in ((20, 10, 3), (9, 16, 3)):
        expected = part.resize(shape[1::-1], Image.Resampling.LANCZOS)
        found = decode(tmp_path / "a.jpg", shape, "stretch", (0.25, 0.5, 0.25, 0.5))
        assert close(found, expected, 8)


def test_damaged_exif_is_no_reason_to_refuse_an_image(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    path = tmp_path / "a.webp"
    photograph(40, 30).save(path, exif=exif, lossless=True)
    data = path.read_bytes().replace(exif.tobytes()[6:14], b"MM\xff\xff\xff\xff\xff\xff")
    path.write_bytes(data)
    assert decode(path, (30, 40, 3), "crop").shape == (30, 40, 3)


# ---------------------------------------------------------------- resizing


def test_crop_takes_the_middle_pad_adds_edges_and_stretch_distorts(tmp_path):
    pixels = np.zeros((8, 16, 3), dtype=np.uint8)
    pixels[:, :4], pixels[:, 4:12], pixels[:, 12:] = (200, 0, 0), (0, 200, 0), (0, 0, 200)
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    Image.fromarray(pixels.transpose(1, 0, 2)).save(tmp_path / "high.png")
    for name, turn in (("wide.png", (0, 1, 2)), ("high.png", (1, 0, 2))):
        crop, pad, stretch = (
            decode(tmp_path / name, (8, 8, 3), resize).transpose(turn)
            for resize in ("crop", "pad", "stretch")
        )
        assert_array_equal(crop, np.full((8, 8, 3), (0, 200, 0)))
        # Lanczos swings a little next to where colors meet.
        assert close(stretch[:, [0, 3, 4, 7]], pixels[:, [0, 6, 9, 15]], 6)
        assert close(pad[2:6, [0, 3, 4, 7]], pixels[:4, [0, 6, 9, 15]], 6)
        # Of the pixels along the edges of an image of 8x4, half are green.
        edge = pad[0, 0].astype(int)
        assert close(edge, (50, 67, 50), 35)
        assert edge.min() > 20
        assert (pad[[0, 1, 6, 7]] == edge).all()


@pytest.mark.parametrize("resize", ["crop", "pad", "stretch"])
def test_images_of_the_same_proportions_are_the_same_in_every_way(resize, tmp_path):
    photograph(120, 90).save(tmp_path / "a.png")
    expected = photograph(120, 90).resize((40, 30), Image.Resampling.LANCZOS)
    assert close(decode(tmp_path / "a.png", (30, 40, 3), resize), expected, 4)


def test_resizing_is_antialiased(tmp_path):
    row, column = np.mgrid[:240, :240]
    checks = (255 * ((row + column) % 2)).astype(np.uint8)
    for name in ("checks.png", "checks.jpg"):
        Image.fromarray(checks).save(tmp_path / name, quality=100)
        found = decode(tmp_path / name, (12, 12, 1), "stretch")
        assert np.abs(found.astype(int) - 127).max() <= 3, name


def test_large_jpeg_is_decoded_at_a_fraction_of_its_size(tmp_path, monkeypatch):
    from PIL.JpegImagePlugin import JpegImageFile

    path = tmp_path / "a.jpg"
    photograph(1200, 900).save(path, quality=95)
    sizes = []
    load = JpegImageFile.load

    def spy(image):
        sizes.append(image.size)
        return load(image)

    monkeypatch.setattr(JpegImageFile, "load", spy)
    with Image.open(path) as image:
        expected = image.convert("RGB").resize((32, 24), Image.Resampling.LANCZOS)
    sizes.clear()
    assert close(decode(path, (24, 32, 3), "crop"), expected, 3)
    assert set(sizes) == {(150, 113)}
    sizes.clear()
    # Of an eighth of the image, no pixel can be spared.
    decode(path, (112, 150, 3), "crop", (0.5, 0.5, 0.125, 0.125))
    assert set(sizes) == {(1200, 900)}


def test_box_is_a_part_of_the_image(tmp_path):
    pixels = np.asarray(photograph(40, 40))
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = decode(tmp_path / "a.png", (10, 20, 3), "crop", (0.25, 0.5, 0.5, 0.25))
    assert_array_equal(found, pixels[20:30, 10:30])
    # A detector's box may be less than a pixel, and lie at the edge.
    tiny = decode(tmp_path / "a.png", (4, 4, 3), "stretch", (0.999, 0.999, 1e-6, 1e-6))
    assert close(tiny, np.broadcast_to(pixels[-1, -1], (4, 4, 3)), 2)


@pytest.mark.parametrize("resize", ["crop", "pad", "stretch"])
def test_extreme_proportions(resize, tmp_path):
    for name, path in write_odd_files(tmp_path).items():
        found = decode(path, (12, 10, 3), resize)
        assert found.shape == (12, 10, 3), name
        assert found.std() > 0 or name == "one pixel.png"


# ---------------------------------------------------------------- what cannot be read


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    return write_broken_files(tmp_path_factory.mktemp("broken"))


def test_broken_files_are_named_with_their_reason(broken):
    for name, (path, reason) in broken.items():
        with pytest.raises(UnreadableImageError, match=f"^({reason})"):
            decode(path, (8, 8, 3), "crop")
        assert name == name.strip()


def test_a_file_is_not_to_blame_for_a_missing_pillow(tmp_path, monkeypatch):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match="PIL"):
        read_header(tmp_path / "a.png")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_forbidden_file(tmp_path):
    photograph().save(tmp_path / "a.png")
    (tmp_path / "a.png").chmod(0)
    with pytest.raises(UnreadableImageError, match="permission denied"):
        decode(tmp_path / "a.png", (8, 8, 3), "crop")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no such files")
def test_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(UnreadableImageError, match="is not a regular file"):
        decode(tmp_path / "pipe.jpg", (8, 8, 3), "crop")


def test_limit_on_pixels_is_pillows(tmp_path, monkeypatch):
    photograph(40, 30).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    with pytest.raises(UnreadableImageError, match="has 40x30 pixels, more than 1,000"):
        decode(tmp_path / "a.png", (8, 8, 3), "crop")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    decode(tmp_path / "a.png", (8, 8, 3), "crop")


def test_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("USERPROFILE" if sys.platform == "win32" else "HOME", str(tmp_path))
    photograph().save(tmp_path / "a.png")
    assert decode("~/a.png", (8, 8, 3), "crop").shape == (8, 8, 3)


def test_formats_of_other_plugins_are_read(tmp_path, monkeypatch):
    from PIL import BmpImagePlugin

    class OwnFormat(BmpImagePlugin.BmpImageFile):
        format = "OWN"

        def _open(self):
            assert self.fp.read(4) == b"own!"
            inner = self.fp.tell()
            self.fp.seek(inner)
            self._bitmap(offset=inner + 54, header=inner + 14)

    monkeypatch.setitem(Image.OPEN, "OWN", (OwnFormat, lambda prefix: prefix[:4] == b"own!"))
    photograph().save(tmp_path / "a.bmp")
    (tmp_path / "a.own").write_bytes(b"own!" + (tmp_path / "a.bmp").read_bytes())
    assert_array_equal(decode(tmp_path / "a.own", (30, 40, 3), "crop"), np.asarray(photograph()))


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "tif", "webp", "bmp", "jp2"])
def test_mutated_files_are_decoded_or_named(suffix, tmp_path):
    rng = np.random.RandomState(0)
    original = tmp_path / f"original.{suffix}"
    photograph(60, 50).save(original)
    data = np.frombuffer(original.read_bytes(), dtype=np.uint8)
    reasons = []
    for number in range(40):
        changed = data.copy()
        if number % 2:
            changed = changed[: rng.randint(len(data))]
        else:
            # Headers are hit as often as pixels.
            places = rng.randint(200 if number % 4 else len(data), size=4)
            changed[places] = rng.randint(256, size=4)
        path = tmp_path / f"{number}.{suffix}"
        path.write_bytes(changed.tobytes())
        try:
            assert decode(path, (8, 8, 3), "crop").shape == (8, 8, 3)
        except UnreadableImageError as error:
            reasons.append(str(error))
    assert len(reasons) >= 10
    assert all(reasons)


@pytest.mark.parametrize(
    ("bits", "n_channels", "planes", "reason"),
    [
        (16, 3, 1, None),
        (8, 3, 2, None),
        (16, 3, 2, "has its channels of 16 bits one after the other"),
        (8, 5, 1, "has channels or pixels of a type that Pillow cannot read"),
    ],
)
def test_tiff_files_of_instruments(tmp_path, bits, n_channels, planes, reason):
    pixels = np.random.RandomState(0).randint(0, 256, (6, 8, n_channels)).astype(f"u{bits // 8}")
    values = np.moveaxis(pixels, 2, 0) if planes == 2 else pixels
    data = (values * (257 if bits == 16 else 1)).tobytes()
    n_strips = n_channels if planes == 2 else 1
    size = len(data) // n_strips
    tags = {
        256: [8], 257: [6], 258: [bits] * n_channels, 259: [1], 262: [2],
        273: [8 + i * size for i in range(n_strips)], 277: [n_channels], 278: [6],
        279: [size] * n_strips, 284: [planes],
    }  # fmt: skip
    place = 8 + len(data) + 2 + 12 * len(tags) + 4
    entries, more = b"", b""
    for tag, numbers in tags.items():
        packed = struct.pack(f"<{len(numbers)}I", *numbers)
        entries += struct.pack("<HHI", tag, 4, len(numbers))
        if len(numbers) == 1:
            entries += packed
        else:
            entries += struct.pack("<I", place + len(more))
            more += packed
    path = tmp_path / "instrument.tif"
    start = struct.pack("<2sHI", b"II", 42, 8 + len(data))
    path.write_bytes(start + data + struct.pack("<H", len(tags)) + entries + bytes(4) + more)
    if reason is None:
        assert_array_equal(decode(path, (6, 8, 3), "stretch"), pixels)
    else:
        with pytest.raises(UnreadableImageError, match=reason):
            decode(path, (6, 8, 3), "stretch")
