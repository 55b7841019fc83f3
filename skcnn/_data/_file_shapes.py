"""The shape that images from files get."""

import os
from collections.abc import Iterator, Sequence
from hashlib import blake2b

import numpy as np

from skcnn._data._arrays import ImageShape, as_shape
from skcnn._data._decoded_cache import DecodedCache, Keys
from skcnn._data._file_keys import KEY, file_keys
from skcnn._data._paths import Paths
from skcnn._data._threads import call_in_threads
from skcnn._decode import UnreadableImageError, read_header

#: Height and width of images whose files are larger, or not all of one size.
DEFAULT_SIDES = (96, 96)
#: Files of one size keep it up to this side.
MAX_OWN_SIDE = 128
#: Channels that files are read with; "auto" is gray if all of them are gray, else RGB.
COLORS = {"auto": None, "gray": 1, "rgb": 3}

# Shapes are stored like images of three numbers.
_STORED = (1, 1, 12)
# In most cases the first files tell all there is to know.
_CHUNK_SIZES = (8, 512)


def find_shape(
    paths: Paths,
    image_shape: Sequence[int] | None = None,
    color: str = "auto",
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    keys: Keys | None = None,
) -> ImageShape:
    """Return the shape (height, width, channels) for images from files.

    Parameters
    ----------
    paths : Paths
    image_shape : sequence of (height, width) or (height, width, channels), default=None
        None takes the size of the files if they all have the same and no side is longer than
        `MAX_OWN_SIDE`, and otherwise `DEFAULT_SIDES`.
    color : {"auto", "gray", "rgb"}, default="auto"
        Used where `image_shape` has no channels.
    cache_dir : str or PathLike, default=None
        Folder where the result is kept, for the same files.
    keys : ndarray of shape (n_paths,), default=None
        Result of `file_keys` where it is known; otherwise it is computed if needed.

    Raises
    ------
    OSError
        If `cache_dir` cannot be used.
    ValueError
        If `image_shape` is not a shape, or does not have 1 or 3 channels.
    """
    sides, channels = None, COLORS[color]
    if image_shape is not None:
        shape = as_shape(image_shape)
        sides = shape[:2]
        if len(image_shape) == 3:
            channels = _check_channels(shape, color)
    if sides and channels:
        return (*sides, channels)
    if cache_dir is None:
        return _shape_of_files(paths, sides, channels)
    cache = DecodedCache(cache_dir, _STORED, "shapes")
    question = blake2b(f"{sides} {channels}".encode(), digest_size=KEY.itemsize)
    if keys is None:
        keys = file_keys(paths, np.arange(len(paths)))
    question.update(keys.tobytes())
    key = np.frombuffer(question.digest(), dtype=KEY)
    answer = np.zeros((1, *_STORED), dtype=np.uint8)
    if not cache.read(key, answer).all():
        with cache.filling(key):
            shape = _shape_of_files(paths, sides, channels)
            answer[:] = np.array(shape, dtype="<u4").view(np.uint8)
            cache.write(key, answer)
    height, width, n_channels = (int(value) for value in answer.view("<u4").ravel())
    return height, width, n_channels


def _shape_of_files(
    paths: Paths, sides: tuple[int, int] | None, channels: int | None
) -> ImageShape:
    """Complete the shape with what the headers of the files say."""
    sizes: set[tuple[int, int]] = set()
    has_color = False
    for height, width, file_channels in _headers(paths):
        sizes.add((height, width))
        has_color |= file_channels == 3
        differ = len(sizes) > 1 or max(height, width) > MAX_OWN_SIDE
        if (sides or differ) and (channels or has_color):
            break
    if channels is None:
        channels = 3 if has_color or not sizes else 1
    if sides is None:
        own = sizes.pop() if len(sizes) == 1 else DEFAULT_SIDES
        sides = own if max(own) <= MAX_OWN_SIDE else DEFAULT_SIDES
    return (*sides, channels)


def _check_channels(shape: ImageShape, color: str) -> int:
    channels = shape[2]
    if channels not in (1, 3):
        raise ValueError(
            f"image_shape={shape} has {channels} channels, but image files are read with 1 (gray) "
            "or 3 (RGB)."
        )
    if COLORS[color] not in (None, channels):
        raise ValueError(f"image_shape={shape} has {channels} channel(s), but color={color!r}.")
    return channels


def _headers(paths: Paths) -> Iterator[ImageShape]:
    """Yield the shapes of the images or their boxes, without those that cannot be read."""
    start = 0
    while start < len(paths):
        stop = min(len(paths), start + _CHUNK_SIZES[start > 0])
        found: list[ImageShape | None] = [None] * (stop - start)

        def read(place: int, start: int = start, found: list[ImageShape | None] = found) -> None:
            try:
                height, width, channels = read_header(paths.names[start + place])
            except UnreadableImageError:
                return
            box = paths.box(start + place)
            if box is not None:
                width, height = np.maximum(1, np.round(box[2:] * (width, height))).astype(int)
            found[place] = int(height), int(width), channels

        call_in_threads(read, stop - start)
        yield from (shape for shape in found if shape is not None)
        start = stop
