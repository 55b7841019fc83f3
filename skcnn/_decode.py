"""One image file as pixels: decoding, orientation, color and resizing."""

import os
import stat
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

#: Ways in which an image of other proportions gets the shape that is wanted.
RESIZE = ("crop", "pad", "stretch")

# Formats of photographs, scans and microscopes. Pillow has more, some of which start programs, or
# take any file for an image.
_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP", "PPM", "JPEG2000", "AVIF")
_GRAY_MODES = {"1", "L", "LA", "La", "I", "F"}
# Formats whose pixels of mode "I" are those of 16 bits.
_SCALED_TO_16_BITS = {"PNG", "PPM"}
_ORIENTATION, _WIDTH, _HEIGHT, _BITS, _PLANES = 274, 256, 257, 258, 284
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"}
# What Pillow finds the orientation in.
_DESCRIPTIONS = {"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"}
# At twice the final size, what JPEG's decoder has shrunk differs little from the whole image.
_SHRUNK_FACTOR = 2
_SHRINKING = (8, 4, 2)

Path = str | bytes | os.PathLike[str]
Part = tuple[float, float, float, float]
Region = tuple[float, float, float, float]
Size = tuple[int, int]
Opener = tuple[Callable[[IO[bytes], str], "ImageFile"], Callable[[bytes], bool | str] | None]


class UnreadableImageError(Exception):
    """A file that is no readable image; the message is the reason."""


def read_header(path: Path) -> tuple[int, int, int]:
    """Read the shape of an image (height, width, channels), where possible without its pixels.

    Gray images have one channel, all others three.

    Raises
    ------
    UnreadableImageError
    """
    with reading(path) as file:
        width, height = displayed_size(file)
        return height, width, 1 if _is_gray(file) else 3


def decode(
    path: Path,
    shape: tuple[int, int, int],
    resize: str,
    box: Sequence[float] | npt.NDArray[np.float64] | None = None,
) -> npt.NDArray[np.uint8]:
    """Read an image file as an array of a given shape.

    The first frame of an animation or of several pages is read, turned as its EXIF orientation
    says. Transparent pixels become white. 16 bits are scaled to 8.

    Parameters
    ----------
    path : str or PathLike
    shape : tuple of (height, width, channels)
        One channel for gray, three for RGB.
    resize : {"crop", "pad", "stretch"}
        How an image of other proportions gets the shape.
    box : sequence of (x, y, width, height), default=None
        The part of the image to read, in fractions of it, from its top left corner.

    Returns
    -------
    pixels : ndarray of shape (height, width, channels), uint8

    Raises
    ------
    UnreadableImageError
    """
    part: Part = (0.0, 0.0, 1.0, 1.0)
    if box is not None:
        x, y, width, height = (float(value) for value in box)
        part = (x, y, width, height)
    with reading(path) as file:
        if file.format == "JPEG":
            _shrink_in_decoder(file, plan_resizing(displayed_size(file), part, shape, resize))
        file.load()
        image = turned(in_mode(file, "L" if shape[2] == 1 else "RGB"), orientation(file))
        pixels = np.asarray(_resized(image, plan_resizing(image.size, part, shape, resize)))
    return _padded(pixels.reshape(*pixels.shape[:2], shape[2]), shape)


@contextmanager
def reading(path: Path) -> "Iterator[ImageFile]":
    """Open an image file, and give the reason for whatever goes wrong with it."""
    try:
        with open(check_file(path), "rb") as file:
            image = _identify(file)
            _check_size(image)
            _check_planes(image)
            yield image
    except UnreadableImageError:
        raise
    except Exception as error:
        if isinstance(error, ImportError) and (error.name or "").partition(".")[0] == "PIL":
            raise  # the fault of the installation, not of the file
        # Damaged files make decoders raise errors of nearly every type.
        raise UnreadableImageError(_reason(error)) from error


def check_file(path: Path) -> str:
    """Return the name of a regular file that is not empty.

    Raises
    ------
    UnreadableImageError
    """
    if not isinstance(path, str | bytes | os.PathLike):
        raise UnreadableImageError("is a missing value, not a path")
    name = local_name(path)
    try:
        found = os.stat(name)
    except FileNotFoundError:
        is_url = "://" in name
        reason = "is a URL: download the file first" if is_url else "does not exist"
        if name == "NA":
            reason += ": this is how R hands over NA, a missing value"
        raise UnreadableImageError(reason) from None
    if stat.S_ISDIR(found.st_mode):
        raise UnreadableImageError("is a folder")
    if not stat.S_ISREG(found.st_mode):
        raise UnreadableImageError("is not a regular file")
    if not found.st_size:
        raise UnreadableImageError("is empty (0 bytes)")
    return name


def local_name(path: Path) -> str:
    """Return a path as text; R leaves ``~`` in paths."""
    name = os.fsdecode(path)
    return os.path.expanduser(name) if name.startswith("~") else name


def _reason(error: Exception) -> str:
    if isinstance(error, PermissionError):
        return "cannot be opened: permission denied"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    text = " ".join(str(error).split())[:200]
    if text == "unknown pixel mode":
        return (
            "has channels or pixels of a type that Pillow cannot read. Save it as gray or RGB of "
            "8 or 16 bits"
        )
    return f"is damaged: {text or type(error).__name__}"


def _identify(file: IO[bytes]) -> "ImageFile":
    """Open an image of one of the supported formats, whatever the name of its file."""
    from PIL import Image

    Image.init()
    prefix = file.read(16)
    problem: Exception | None = None
    for factory, accepts in _openers(len(Image.OPEN)):
        accepted = accepts is None or accepts(prefix)
        if not accepted or isinstance(accepted, str):
            continue
        file.seek(0)
        try:
            # Without a name, no plugin maps the file into memory: it may become shorter.
            return factory(file, "")
        except (SyntaxError, IndexError, TypeError, struct.error) as error:
            problem = problem or error
    if prefix[4:8] == b"ftyp" and prefix[8:12] in _HEIF_BRANDS:
        raise UnreadableImageError(
            "is a HEIC photograph, as phones take them: pip install pillow-heif, and call "
            "pillow_heif.register_heif_opener() first, or save it as JPEG"
        )
    if problem is not None:
        raise UnreadableImageError(_reason(problem))
    raise UnreadableImageError("is not an image in a format that Pillow can read")


@cache
def _openers(n_registered: int) -> list[Opener]:
    """Return the plugins for images: Pillow's own, and those that other packages add."""
    from PIL import Image
    from PIL.JpegImagePlugin import JpegImageFile

    known = {name: Image.OPEN[name] for name in _FORMATS if name in Image.OPEN}
    # Pillow's own function reads some JPEG files as several pages.
    known["JPEG"] = (JpegImageFile, known["JPEG"][1])
    others = [
        opener
        for opener in Image.OPEN.values()
        if not getattr(opener[0], "__module__", "").startswith("PIL.")
    ]
    openers: list[Opener] = [*known.values(), *others]
    return openers


def _check_size(image: "ImageFile") -> None:
    from PIL import Image

    width, height = image.size
    # Pillow warns of half as many pixels, and refuses more, too.
    limit = None if Image.MAX_IMAGE_PIXELS is None else 2 * Image.MAX_IMAGE_PIXELS
    if limit is not None and width * height > limit:
        raise UnreadableImageError(
            f"has {width}x{height} pixels, more than {limit:,}: a file made to fill the memory? "
            "If it is a real image, raise PIL.Image.MAX_IMAGE_PIXELS"
        )
    if width < 1 or height < 1:
        raise UnreadableImageError("has no pixels")


def _check_planes(image: "ImageFile") -> None:
    """Refuse TIFF files with 16 bits and one channel after the other, as Pillow mixes their bytes.

    Its decoder of compressed files does not.
    """
    if image.format != "TIFF" or len(image.getbands()) < 3 or _tiff_tag(image, _BITS) <= 8:
        return
    tags: dict[int, Any] = image.tag_v2  # type: ignore[attr-defined]
    if tags.get(_PLANES) == 2 and image.info.get("compression") == "raw":
        raise UnreadableImageError(
            "has its channels of 16 bits one after the other, which Pillow reads wrongly. Save it "
            "with interleaved channels, or with 8 bits"
        )


def orientation(image: "ImageFile") -> int:
    """Return the EXIF orientation, from 1 to 8; 1 where there is none."""
    if image.format != "TIFF" and not _DESCRIPTIONS & image.info.keys():
        return 1
    try:
        found = image.getexif().get(_ORIENTATION, 1)
    except Exception:
        # What is wrong with the description of an image need not be wrong with the image.
        return 1
    return found if found in range(1, 9) else 1


def displayed_size(image: "ImageFile") -> Size:
    """Return (width, height) as they will be after the image is turned."""
    width, height = image.size
    if image.format == "TIFF":
        # Some versions of Pillow exchange the sides already here, others later.
        width, height = _tiff_tag(image, _WIDTH), _tiff_tag(image, _HEIGHT)
    return (height, width) if orientation(image) >= 5 else (width, height)


def _tiff_tag(image: "ImageFile", tag: int) -> int:
    tags: dict[int, Any] = image.tag_v2  # type: ignore[attr-defined]
    value = tags[tag]
    return int(value[0] if isinstance(value, tuple) else value)


def _is_gray(image: "ImageFile") -> bool:
    if image.mode in ("P", "PA"):
        palette = np.array(image.getpalette("RGB") or [0, 0, 0]).reshape(-1, 3)
        return bool((palette == palette[:, :1]).all())
    return image.mode in _GRAY_MODES or image.mode.startswith("I;16")


def turned(image: "Image", orientation: int) -> "Image":
    """Turn an image as its EXIF orientation says."""
    if orientation == 1:
        return image
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return image.transpose(turns[orientation])


def in_mode(file: "ImageFile", mode: str) -> "Image":
    """Convert a loaded image to gray or RGB of 8 bits, on white where it is transparent."""
    from PIL import Image

    image: Image.Image = file
    if image.mode[0] in "IF":
        image = _scaled_to_8_bits(file)
    elif file.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image if image.mode == mode else image.convert(mode)


def _scaled_to_8_bits(file: "ImageFile") -> "Image":
    """Keep the highest 8 of up to 16 bits. `Image.convert` would set all high values to white."""
    from PIL import Image

    bits = _tiff_tag(file, _BITS) if file.format == "TIFF" else 16
    is_16_bit = file.mode.startswith("I;16") or file.format in _SCALED_TO_16_BITS
    if file.mode == "F" or not is_16_bit:
        raise UnreadableImageError(
            f"has pixels of Pillow's mode {file.mode!r}, whose black and white are not known. "
            "Save it with 8 or 16 bits"
        )
    values = np.asarray(file)
    return Image.fromarray((values >> max(0, bits - 8)).astype(np.uint8))


def plan_resizing(
    image_size: Size, part: Part, shape: tuple[int, int, int], resize: str
) -> tuple[Region, Size]:
    """Return what to take of an image, (left, top, right, bottom), and to resize it to.

    Both are in pixels; the size is (width, height), which padding may add to.
    """
    height, width, _ = shape
    left, right = _span(part[0], part[2], image_size[0])
    top, bottom = _span(part[1], part[3], image_size[1])
    across, down = right - left, bottom - top
    if resize == "crop":
        spare = across - min(across, down * width / height)
        spare_down = down - min(down, across * height / width)
        left, right = left + spare / 2, right - spare / 2
        top, bottom = top + spare_down / 2, bottom - spare_down / 2
    elif resize == "pad":
        fitting = min(width, across * height / down), min(height, down * width / across)
        width, height = max(1, round(fitting[0])), max(1, round(fitting[1]))
    return (left, top, right, bottom), (width, height)


def _span(start: float, length: float, n_pixels: int) -> tuple[float, float]:
    """Return where a part of one side begins and ends in pixels, at least one pixel apart."""
    low = min(max(0.0, start * n_pixels), n_pixels - 1.0)
    return low, min(max(low + 1, (start + length) * n_pixels), float(n_pixels))


def _shrink_in_decoder(file: "ImageFile", plan: tuple[Region, Size]) -> None:
    """Have a JPEG decoded at a fraction of its size, if that suffices: much less work."""
    (left, top, right, bottom), (width, height) = plan
    factor = min((right - left) / width, (bottom - top) / height) / _SHRUNK_FACTOR
    shrinking = next((n for n in _SHRINKING if n <= factor), 1)
    if shrinking > 1:
        file.draft(None, (file.size[0] // shrinking, file.size[1] // shrinking))


def _resized(image: "Image", plan: tuple[Region, Size]) -> "Image":
    from PIL.Image import Resampling

    region, size = plan
    if image.size == size and region == (0, 0, *size):
        return image
    # Lanczos averages over as many pixels as become one; it starts from means of small blocks.
    return image.resize(size, Resampling.LANCZOS, region, reducing_gap=_SHRUNK_FACTOR)


def _padded(pixels: npt.NDArray[np.uint8], shape: tuple[int, int, int]) -> npt.NDArray[np.uint8]:
    """Center an image on a canvas of the mean color of its edges."""
    if pixels.shape == shape:
        return pixels
    edges = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
    canvas = np.empty(shape, dtype=np.uint8)
    canvas[:] = np.round(np.concatenate(edges).mean(axis=0))
    canvas[centered(pixels.shape, shape)] = pixels
    return canvas


def centered(shape: Sequence[int], whole: Sequence[int]) -> tuple[slice, slice]:
    """Return the rows and columns of an image in the middle of a larger one, by their shapes."""
    top, left = ((outer - inner) // 2 for inner, outer in zip(shape[:2], whole[:2]))
    return slice(top, top + shape[0]), slice(left, left + shape[1])
