"""Image files of every kind, good and broken, for the tests that read files."""

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image


def write_images(folder, images, suffix=".png", **options):
    """Write images as numbered files, and return their paths as text."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, image in enumerate(images):
        image = image[..., 0] if image.shape[-1] == 1 else image
        paths.append(str(folder / f"{number:05}{suffix}"))
        Image.fromarray(image).save(paths[-1], **options)
    return paths


def photograph(width=40, height=30, seed=0):
    """A smooth color image without any symmetry."""
    rng = np.random.RandomState(seed)
    small = Image.fromarray(rng.randint(256, size=(5, 6, 3), dtype=np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC)


def _truncated(path, image, fraction, **options):
    image.save(path, **options)
    data = path.read_bytes()
    path.write_bytes(data[: int(fraction * len(data))])


def _png_of_size(path, width, height):
    """A PNG file whose header promises more pixels than there are."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(100)))
        + chunk(b"IEND", b"")
    )


def write_broken_files(folder):
    """Write a file of each kind that cannot be read.

    Returns
    -------
    table : dict of str to (str, str)
        Path of each kind of file, and a pattern of the reason.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    image = photograph(200, 150)
    _truncated(folder / "truncated.jpg", image, 0.7)
    _truncated(folder / "truncated.png", image, 0.7)
    _truncated(folder / "truncated.gif", image.quantize(8), 0.5)
    _truncated(folder / "truncated.tif", image, 0.5)
    _truncated(folder / "truncated.webp", image, 0.5)
    _truncated(folder / "header only.jpg", image, 0.02)
    (folder / "zero bytes.jpg").touch()
    (folder / "text.jpg").write_text("This is not a photograph.\n" * 20)
    (folder / "video.jpg").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 4)
    (folder / "folder.jpg").mkdir(exist_ok=True)
    _png_of_size(folder / "bomb.png", 50_000, 50_000)
    _png_of_size(folder / "promises.png", 500, 500)
    Image.fromarray(np.linspace(-1, 1, 64, dtype=np.float32).reshape(8, 8)).save(
        folder / "floats.tif"
    )
    reasons = {
        "truncated.jpg": "is damaged: .*truncated",
        "truncated.png": "is damaged: .*",
        "truncated.gif": "is damaged: .*truncated",
        "truncated.tif": "is damaged: .*",
        "truncated.webp": "is damaged: .*",
        "header only.jpg": "is damaged: .*|is not an image",
        "zero bytes.jpg": r"is empty \(0 bytes\)",
        "text.jpg": "is not an image in a format that Pillow can read",
        "video.jpg": "is not an image in a format that Pillow can read",
        "folder.jpg": "is a folder",
        "bomb.png": "has 50000x50000 pixels, more than",
        "promises.png": "is damaged: .*",
        "floats.tif": "has pixels of Pillow's mode 'F'",
        "missing.jpg": "does not exist",
        "https://example.org/fox.jpg": "is a URL: download the file first",
    }
    return {
        name: (name if "://" in name else str(folder / name), reason)
        for name, reason in reasons.items()
    }


def write_odd_files(folder):
    """Write files that look wrong, but are readable.

    Returns
    -------
    paths : dict of str to str
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    image = photograph(64, 48)
    image.save(folder / "really a PNG.jpg", format="PNG")
    image.save(folder / "really a JPEG.png", format="JPEG")
    image.save(folder / "no suffix", format="JPEG")
    image.save(folder / "Taï (été) 1.JPG")
    image.resize((1, 1)).save(folder / "one pixel.png")
    image.resize((60_000, 20)).save(folder / "very wide.jpg")
    image.resize((20, 60_000)).save(folder / "very high.png")
    return {path.name: str(path) for path in sorted(folder.iterdir())}
