"""Large images through a network in tiles, in the memory of one tile."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from skcnn.networks import ImageNetwork

# How far a network may see. One that sees farther is run on overlapping tiles, whose results are
# blended.
_DISTANCES = (128, 1024)
# Height of the strip on which is measured how far a network sees.
_STRIP = 64
# Blended tiles weigh most in their middle; this many standard deviations fit into a side.
_DEVIATIONS = 8

Floats = npt.NDArray[np.float32]
# From a slice of rows and one of columns to probabilities (height, width, n_classes).
Run = Callable[[slice, slice], Floats]
Part = tuple[slice, slice, Floats]


class Span(NamedTuple):
    """What is read along one side, and the middle of it that is kept."""

    start: int
    stop: int
    kept_from: int
    kept_to: int


def find_margin(network: ImageNetwork, n_channels: int) -> tuple[int, int] | None:
    """Return how far around a tile a pixel can change the outputs for the tile.

    A strip of NaN is run through the network: every output that depends on it is NaN.

    Parameters
    ----------
    network : ImageNetwork
        In evaluation mode.
    n_channels : int

    Returns
    -------
    margin : tuple of (height, width), or None
        Multiples of the network's stride. None where the network sees the whole image, or does
        not say its stride.

    References
    ----------
    Araujo, Norris, Sim: Computing receptive fields of convolutional neural networks. Distill,
    2019.
    """
    if network.stride is None:
        return None
    found = [_reach(network, n_channels, axis) for axis in (0, 1)]
    if found[0] is None or found[1] is None:
        return None
    return found[0], found[1]


def _reach(network: ImageNetwork, n_channels: int, axis: int) -> int | None:
    """Return how far a network sees along an axis, in multiples of its stride."""
    assert network.stride is not None
    stride, across = network.stride[axis], network.stride[1 - axis]
    # Most networks see less far than the first of them, and a short strip takes little time.
    for distance in _DISTANCES:
        farthest = -(-distance // stride) * stride
        shape = [2 * farthest + stride, -(-_STRIP // across) * across]
        images = torch.zeros(1, *(shape if axis == 0 else shape[::-1]), n_channels)
        images.narrow(1 + axis, farthest, stride).fill_(torch.nan)
        with torch.inference_mode():
            unknown = network(images.to(network.mean.device)).isnan()[0]
        touched = unknown.any(0).any(1 - axis).nonzero()
        reach = max(farthest - int(touched[0]), int(touched[-1]) + 1 - farthest - stride)
        if reach < farthest:
            return max(1, -(-reach // stride)) * stride
    return None


def exact_spans(side: int, tile: int, margin: int, stride: int) -> list[Span]:
    """Divide a side into spans of nearly `tile` pixels, each read with a margin.

    Examples
    --------
    >>> exact_spans(100, 50, 16, 8)
    [Span(start=0, stop=72, kept_from=0, kept_to=56), Span(start=40, stop=100, kept_from=56, ...)]
    """
    n_spans = -(-side // tile)
    step = -(-side // (n_spans * stride)) * stride
    return [
        Span(
            max(0, first - margin),
            min(side, first + step + margin),
            first,
            min(side, first + step),
        )
        for first in range(0, side, step)
    ]


def exact_tiles(
    run: Run,
    size: tuple[int, int],
    tile: int,
    margin: tuple[int, int],
    stride: tuple[int, int],
) -> Iterator[Part]:
    """Run an image in tiles that say what the whole image would.

    Tiles begin at multiples of the network's stride, and are read with a margin as wide as what
    the network sees around them.

    Yields
    ------
    rows, columns : slice
    probability : ndarray of shape (height, width, n_classes)
    """
    high, wide = (exact_spans(side, tile, *rest) for side, *rest in zip(size, margin, stride))
    for row in high:
        for column in wide:
            found = run(slice(row.start, row.stop), slice(column.start, column.stop))
            kept = found[
                row.kept_from - row.start : row.kept_to - row.start,
                column.kept_from - column.start : column.kept_to - column.start,
            ]
            yield (
                slice(row.kept_from, row.kept_to),
                slice(column.kept_from, column.kept_to),
                kept,
            )


def blended_tiles(run: Run, size: tuple[int, int], tile: int) -> Iterator[Part]:
    """Run an image in tiles that overlap by half, and average what they say.

    Tiles weigh less toward their edges, where a network has seen less. The memory is that of a
    row of tiles.

    Yields
    ------
    rows, columns : slice
    probability : ndarray of shape (height, width, n_classes)

    References
    ----------
    Isensee, Jaeger, Kohl, Petersen, Maier-Hein: nnU-Net: a self-configuring method for deep
    learning-based biomedical image segmentation. Nature Methods 18, 2021.
    """
    height, width = (min(side, tile) for side in size)
    weight = np.outer(_bell(height), _bell(width)).astype(np.float32)[..., None]
    done, total, weights = 0, np.zeros(0, np.float32), np.zeros(0, np.float32)
    for top in _overlapping(size[0], tile):
        for left in _overlapping(size[1], tile):
            found = run(slice(top, top + height), slice(left, left + width))
            if not total.size:
                total = np.zeros((height, size[1], found.shape[2]), np.float32)
                weights = np.zeros((height, size[1], 1), np.float32)
            if top > done:
                n_ready = top - done
                yield slice(done, top), slice(0, size[1]), total[:n_ready] / weights[:n_ready]
                for sums in (total, weights):
                    sums[:-n_ready] = sums[n_ready:].copy()
                    sums[-n_ready:] = 0
                done = top
            total[:, left : left + width] += weight * found
            weights[:, left : left + width] += weight
    yield slice(done, size[0]), slice(0, size[1]), total / weights


def _bell(side: int) -> npt.NDArray[np.float64]:
    place = (np.arange(side) + 0.5 - side / 2) / (side / _DEVIATIONS)
    return np.exp(-(place**2) / 2)


def _overlapping(side: int, tile: int) -> list[int]:
    """Return where tiles begin that overlap by half or more.

    Examples
    --------
    >>> _overlapping(100, 40), _overlapping(30, 40)
    ([0, 20, 40, 60], [0])
    """
    if side <= tile:
        return [0]
    n_tiles = -(-(side - tile) // max(1, tile // 2)) + 1
    return [int(start) for start in np.linspace(0, side - tile, n_tiles)]
