"""Image files as X: images that are decoded when they are needed."""

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NoReturn

import numpy as np
import numpy.typing as npt
import pandas as pd

from skcnn._data._arrays import Images, ImageShape
from skcnn._data._decoded_cache import DecodedCache, Keys
from skcnn._data._file_keys import file_keys
from skcnn._data._paths import Paths
from skcnn._data._statistics import channel_statistics
from skcnn._data._threads import call_in_threads
from skcnn._decode import UnreadableImageError, check_file, decode
from skcnn._utils import warn

#: How images of other proportions get the shape of all.
DEFAULT_RESIZE = "pad"
#: What is done where files cannot be read.
ON_ERROR = ("raise", "skip")
# Decoded images of up to so many bytes are kept in memory during a fit; of more, each batch is
# read when it is needed.
_MAX_BYTES_IN_MEMORY = 2**31
_CHUNK_ROWS = 512
# After a file that cannot be read, so many more are looked at, for one error to name them all.
_MAX_ROWS_CHECKED = 10_000

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class FileImages:
    """Images that are decoded from files, row by row, in several threads.

    Attributes
    ----------
    paths : Paths
    shape : tuple of (height, width, channels)
        The shape that all images get.
    resize : {"crop", "pad", "stretch"}
    name : str
        Name of the images in messages.
    skips : bool
        Whether files that cannot be read are noted in `failures`, their images black. Otherwise
        they are an error.
    may_skip : bool
        Whether the error offers to skip them.
    cache : DecodedCache or None
        Where decoded images are stored.
    rows : ndarray of int, or None
        Rows of `paths` to use; None uses all.
    keys : ndarray of shape (n_paths,), or None
        Result of `file_keys` for all paths, computed once; None computes keys when needed.
    failures : dict of int to str
        The reason for each row of `paths` that could not be read.
    covariates : ndarray of shape (n_rows, n_covariates), or None
        Numbers beside the images, one row for each of `rows`.
    """

    paths: Paths
    shape: ImageShape
    resize: str = DEFAULT_RESIZE
    name: str = "X"
    skips: bool = False
    may_skip: bool = True
    cache: DecodedCache | None = None
    rows: Rows | None = None
    keys: Keys | None = None
    failures: dict[int, str] = field(default_factory=dict)
    covariates: npt.NDArray[Any] | None = None

    #: That a batch takes time, so that it is prepared ahead.
    decodes: ClassVar[bool] = True
    shape_inferred: ClassVar[bool] = False

    def __len__(self) -> int:
        return len(self.paths if self.rows is None else self.rows)

    def take(self, rows: Rows) -> "FileImages":
        """Return some of the images, without decoding them."""
        return replace(
            self,
            rows=rows if self.rows is None else self.rows[rows],
            covariates=None if self.covariates is None else self.covariates[rows],
        )

    def __getitem__(self, rows: slice | npt.ArrayLike) -> npt.NDArray[np.uint8]:
        """Decode images as a uint8 array (n, height, width, channels)."""
        numbers = self._numbers(rows)
        pixels = np.empty((len(numbers), *self.shape), dtype=np.uint8)
        found = self._read(numbers, pixels)
        if found and not self.skips:
            self.raise_failures(found, int(max(numbers)))
        self.failures.update(found)
        return pixels

    def channel_statistics(self) -> tuple[list[float], list[float]]:
        """Mean and standard deviation of each channel."""
        return channel_statistics(self)

    def load(self) -> "tuple[Images | FileImages, Rows | None]":
        """Decode all files once, before training.

        Returns
        -------
        images : Images or FileImages
            In memory if they fit; otherwise they are read again for each batch.
        rows : ndarray of int, or None
            The rows that could be read; None where all could.

        Raises
        ------
        ValueError
            If a file cannot be read and must not be skipped, or no file can be read.
        """
        n_images = len(self)
        source = self
        if self.cache is not None:
            source = replace(self, keys=self._keys(slice(None)))
        with source._filling_cache():
            if n_images * int(np.prod(self.shape)) <= _MAX_BYTES_IN_MEMORY:
                images: Images | FileImages = Images(source.to_array(), covariates=self.covariates)
            else:
                source._visit()
                images = replace(source, skips=False, failures={})
        if self.failures and (not self.skips or len(self.failures) == n_images):
            self.raise_failures(self.failures)
        if not self.failures:
            return images, None
        readable = np.setdiff1d(np.arange(n_images), list(self.failures))
        return images.take(readable), readable

    def to_array(self) -> npt.NDArray[np.uint8]:
        """Decode all files; those that cannot be read are noted in `failures`."""
        pixels = np.empty((len(self), *self.shape), dtype=np.uint8)
        for start in range(0, len(self), _CHUNK_ROWS):
            numbers = self._numbers(slice(start, start + _CHUNK_ROWS))
            self.failures.update(self._read(numbers, pixels[start : start + _CHUNK_ROWS]))
        return pixels

    def _visit(self) -> None:
        """Decode all files that are not in the cache, to store them or to see what is wrong."""
        pixels = np.empty((min(len(self), _CHUNK_ROWS), *self.shape), dtype=np.uint8)
        for start in range(0, len(self), _CHUNK_ROWS):
            numbers = self._numbers(slice(start, start + _CHUNK_ROWS))
            if self.cache is not None:
                numbers = numbers[~self.cache.has(self._keys(numbers))]
            self.failures.update(self._read(numbers, pixels[: len(numbers)]))

    def _filling_cache(self) -> AbstractContextManager[None]:
        return nullcontext() if self.cache is None else self.cache.filling(self._keys(slice(None)))

    def check(self) -> None:
        """Look for files that are missing or empty, before the first of many is decoded."""
        if self.skips or len(self) <= _MAX_ROWS_CHECKED:
            return
        found = {}
        for row in range(len(self)):
            try:
                check_file(self.paths.names[row])
            except UnreadableImageError as error:
                found[row] = str(error)
        if found:
            self.raise_failures(found)

    def clear_missing(self, outputs: npt.NDArray[Any]) -> None:
        """Set the outputs of images that could not be read to NaN, with a warning."""
        if not self.failures:
            return
        outputs[list(self.failures)] = np.nan
        warn(
            f"{len(self.failures)} of {len(self)} image file(s) of {self.name} cannot be read, "
            f"and have no result:{self.describe_failures()}"
        )

    def report(self) -> pd.DataFrame:
        """Describe the files that could not be read, one row per file."""
        rows = sorted(self.failures)
        return pd.DataFrame(
            {
                "argument": pd.Series([self.name] * len(rows), dtype=object),
                "row": np.array(rows, dtype=np.int64),
                "path": pd.Series([self.paths.names[row] for row in rows], dtype=object),
                "reason": pd.Series([self.failures[row] for row in rows], dtype=object),
            }
        )

    def contents(self) -> list[object]:
        """Return what tells these images from others, for hashing."""
        beside = [] if self.covariates is None else [self.covariates]
        return [self._keys(self._numbers(slice(None))), self.shape, self.resize, *beside]

    def describe_failures(self, failures: dict[int, str] | None = None) -> str:
        """Name the first files that cannot be read, and how many more there are."""
        return self.paths.describe_failures(self.failures if failures is None else failures)

    def _numbers(self, rows: slice | npt.ArrayLike) -> Rows:
        """Rows of `paths` for a slice or an array of rows."""
        if isinstance(rows, slice):
            chosen = range(len(self))[rows]
            numbers = np.arange(chosen.start, chosen.stop, chosen.step)
        else:
            numbers = np.asarray(rows)
            if numbers.dtype == np.bool_:
                numbers = np.flatnonzero(numbers)
            numbers = np.where(numbers < 0, numbers + len(self), numbers)
        return numbers if self.rows is None else self.rows[numbers]

    def _keys(self, numbers: Rows | slice) -> Keys:
        """Keys of rows of `paths`."""
        if self.keys is not None:
            return self.keys[numbers]
        return file_keys(self.paths, np.arange(len(self.paths))[numbers])

    def _read(self, numbers: Rows, pixels: npt.NDArray[np.uint8]) -> dict[int, str]:
        """Read rows of `paths` into an array; return the reasons for those that failed."""
        if self.cache is None:
            return self._decode(numbers, pixels)
        keys = self._keys(numbers)
        missing = np.flatnonzero(~self.cache.read(keys, pixels))
        if not len(missing):
            return {}
        decoded = np.empty((len(missing), *self.shape), dtype=np.uint8)
        failures = self._decode(numbers[missing], decoded)
        pixels[missing] = decoded
        good = np.array([number not in failures for number in numbers[missing]])
        self.cache.write(keys[missing[good]], decoded[good])
        return failures

    def _decode(self, numbers: Rows, pixels: npt.NDArray[np.uint8]) -> dict[int, str]:
        """Decode rows of `paths` into an array; return the reasons for those that failed."""
        failures: dict[int, str] = {}

        def read(place: int) -> None:
            row = int(numbers[place])
            try:
                pixels[place] = decode(
                    self.paths.names[row], self.shape, self.resize, self.paths.box(row)
                )
            except UnreadableImageError as error:
                pixels[place] = 0
                failures[row] = str(error)

        call_in_threads(read, len(numbers))
        return failures

    def raise_failures(
        self, failures: dict[int, str] | None = None, last: int | None = None
    ) -> NoReturn:
        """Raise an error that names the failures, and some that would follow after `last`."""
        failures = self.failures if failures is None else failures
        n_images, unchecked = len(self.paths), ""
        or_skip = ', or set on_error="skip"' if self.may_skip and not self.skips else ""
        if last is not None:
            stop = min(n_images, last + 1 + _MAX_ROWS_CHECKED)
            for start in range(last + 1, stop, _CHUNK_ROWS):
                numbers = np.arange(start, min(stop, start + _CHUNK_ROWS))
                pixels = np.empty((len(numbers), *self.shape), dtype=np.uint8)
                failures = {**failures, **self._read(numbers, pixels)}
            if stop < n_images:
                unchecked = f"\n  Rows from {stop} on were not looked at."
        raise ValueError(
            f"{len(failures)} of {n_images} image file(s) of {self.name} cannot be read:"
            f"{self.describe_failures(failures)}{unchecked}\n"
            f"Repair them or leave them out{or_skip}."
        )


def read_files(
    paths: Paths,
    shape: ImageShape,
    *,
    resize: str = DEFAULT_RESIZE,
    on_error: str = "raise",
    cache_dir: str | os.PathLike[str] | None = None,
    name: str = "X",
    keys: Keys | None = None,
) -> FileImages:
    """Return images of files, with the parameters that estimators have for them."""
    cache = None if cache_dir is None else DecodedCache(cache_dir, shape, resize)
    return FileImages(paths, shape, resize, name, skips=on_error == "skip", cache=cache, keys=keys)
