"""Where each decoded image is: the indices of all segments, in memory."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from skcnn._data._cache_folder import note_use
from skcnn._data._cache_segments import read_entries
from skcnn._data._file_keys import KEY

_PLACE = np.dtype([("segment", "<i4"), ("number", "<i4"), ("checksum", "<u4")])
# So many new images are remembered one by one before they join the index.
_MAX_FRESH = 50_000


class CacheIndex:
    """Places of the images in one folder, as they are at the first search.

    Parameters
    ----------
    folder : Path

    Attributes
    ----------
    segments : list of Path
        The files that places refer to by number.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.segments: list[Path] = []
        self._is_loaded = False
        self._high = self._low = np.empty(0, dtype=np.uint64)
        self._places = np.empty(0, dtype=_PLACE)
        self._fresh: dict[bytes, tuple[int, int, int]] = {}
        self._used: set[int] = set()

    def find(self, keys: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
        """Return segment, number in it, and checksum of images; segment -1 where there is none."""
        self._load()
        places = np.zeros(len(keys), dtype=_PLACE)
        places["segment"] = -1
        if len(self._high):
            at = np.searchsorted(self._high, keys["high"])
            at[at == len(self._high)] = 0
            same = (self._high[at] == keys["high"]) & (self._low[at] == keys["low"])
            places[same] = self._places[at[same]]
        if self._fresh:
            for row, key in enumerate(keys):
                fresh = self._fresh.get(key.tobytes())
                if fresh is not None:
                    places[row] = fresh
        for number in np.unique(places["segment"][places["segment"] >= 0]):
            if int(number) not in self._used:
                self._used.add(int(number))
                note_use(self.segments[number])
        return places

    def used(self) -> set[Path]:
        """Return the segments that images were found in, or added to."""
        return {self.segments[number] for number in self._used}

    def add(
        self, path: Path, keys: npt.NDArray[np.void], first: int, checksums: list[int]
    ) -> None:
        """Remember images that were appended to a segment."""
        self._load()
        if path not in self.segments:
            self.segments.append(path)
        segment = self.segments.index(path)
        self._used.add(segment)
        for i, (key, checksum) in enumerate(zip(keys, checksums)):
            self._fresh[key.tobytes()] = segment, first + i, checksum
        if len(self._fresh) > _MAX_FRESH:
            self._merge_fresh()

    def _load(self) -> None:
        if self._is_loaded:
            return
        entries, places = [np.empty(0, dtype=KEY)], [np.empty(0, dtype=_PLACE)]
        for index in sorted(self.folder.glob("*.index")):
            path = index.with_suffix(".pixels")
            found = read_entries(path)
            place = np.empty(len(found), dtype=_PLACE)
            place["segment"] = len(self.segments)
            place["number"] = np.arange(len(found))
            place["checksum"] = found["checksum"]
            self.segments.append(path)
            entries.append(found["key"])
            places.append(place)
        self._set(np.concatenate(entries), np.concatenate(places))
        self._is_loaded = True

    def _merge_fresh(self) -> None:
        fresh = np.frombuffer(b"".join(self._fresh), dtype=KEY)
        keys = np.empty(len(fresh) + len(self._high), dtype=KEY)
        # Of two with the same key, the first is found.
        keys["high"] = np.concatenate([fresh["high"], self._high])
        keys["low"] = np.concatenate([fresh["low"], self._low])
        places = np.array(list(self._fresh.values()), dtype=_PLACE)
        self._set(keys, np.concatenate([places, self._places]))
        self._fresh = {}

    def _set(self, keys: npt.NDArray[np.void], places: npt.NDArray[np.void]) -> None:
        order = np.argsort(keys["high"], kind="stable")
        # Searches need numbers side by side.
        self._high, self._low = keys["high"][order], keys["low"][order]
        self._places = places[order]
