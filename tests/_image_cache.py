"""Small caches of decoded images, for the tests of their parts."""

from pathlib import Path

import numpy as np

from skcnn._data._decoded_cache import DecodedCache
from skcnn._data._file_keys import KEY
from skcnn._data._files import read_files
from skcnn._data._paths import read_paths

SHAPE = (6, 5, 3)


def images(n, seed=0):
    """Images that all differ."""
    return np.random.RandomState(seed).randint(256, size=(n, *SHAPE), dtype=np.uint8)


def keys(*numbers):
    """Keys of images by their numbers."""
    found = np.zeros(len(numbers), dtype=KEY)
    found["high"] = np.array(numbers) * 7919 % 1009
    found["low"] = numbers
    return found


def open_cache(folder, shape=SHAPE, resize="crop"):
    """A new cache in a folder, as another process would see it."""
    return DecodedCache(folder, shape, resize)


def stored(folder, numbers, shape=SHAPE):
    """What a new cache reads for some numbers, None where it has nothing."""
    pixels = np.zeros((len(numbers), *shape), dtype=np.uint8)
    is_read = open_cache(folder, shape).read(keys(*numbers), pixels)
    return [image if found else None for image, found in zip(pixels, is_read)]


def segments(folder):
    """The files of pixels."""
    return sorted(Path(folder).rglob("*.pixels"))


def read(names, folder, shape=SHAPE, **options):
    """Images of files, with a cache."""
    return read_files(read_paths(names), shape, cache_dir=folder, **options)
