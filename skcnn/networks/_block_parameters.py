"""Parameters of single blocks, out of the values that `ConvBlocks` has for one or for all."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from skcnn._from_r import whole
from skcnn._utils import as_tuple
from skcnn.networks._spec import NetworkSpec

_AUTO_FILTERS = (32, 64, 128, 256)


class BlockParameters(NamedTuple):
    """Parameters of one block.

    Attributes
    ----------
    filters : int
    n_convs : int
        Number of convolutions.
    kernel_size : int
    pool : {"max", "average"} or None
    pool_size : int
    normalization : {"batch", "ghost"} or None
    residual : bool
    """

    filters: int
    n_convs: int
    kernel_size: int
    pool: str | None
    pool_size: int
    normalization: str | None
    residual: bool


# The parameters of ConvBlocks, in the order of the attributes behind the filters.
_NAMES = ("convs_per_block", "kernel_size", "pool", "pool_size", "normalization", "residual")


def block_parameters(spec: NetworkSpec, filters: Sequence[int]) -> list[BlockParameters]:
    """Return the parameters of each block.

    Parameters
    ----------
    spec : ConvBlocks
    filters : sequence of int
        Filters of each block.

    Raises
    ------
    ValueError
        If a parameter has another number of values than there are blocks.
    """
    values = [_per_block(name, getattr(spec, name), len(filters)) for name in _NAMES]
    return [BlockParameters(*each) for each in zip(filters, *values, strict=True)]


def dropout_rates(dropout: object, n_blocks: int) -> tuple[list[float], float]:
    """Return the rates of all blocks but the last, and of the features.

    Examples
    --------
    >>> dropout_rates(0.5, 3), dropout_rates((0.1, 0.2, 0.3), 3)
    (([0.0, 0.0], 0.5), ([0.1, 0.2], 0.3))
    """
    rates = whole(dropout)
    if not isinstance(rates, Sequence):
        return [0.0] * (n_blocks - 1), rates
    *of_blocks, of_features = _per_block("dropout", rates, n_blocks)
    return of_blocks, of_features


def choose_filters(sides: Sequence[int]) -> tuple[int, ...]:
    """Return as many of 32, 64, 128, 256 filters as the image can be halved.

    Examples
    --------
    >>> choose_filters((32, 32)), choose_filters((8, 8))
    ((32, 64, 128, 256), (32, 64, 128))
    """
    # A side of one pixel is never pooled, and sets no limit.
    halvings = [int(math.log2(side)) for side in sides if side > 1]
    return _AUTO_FILTERS[: min(halvings, default=1)]


def ints(value: object) -> tuple[int, ...]:
    """Return one or several numbers as a tuple of int."""
    return tuple(int(n) for n in as_tuple(value))


def _per_block(name: str, value: Any, n_blocks: int) -> list[Any]:
    """Repeat a scalar for each block, or check that there is one value per block.

    Examples
    --------
    >>> _per_block("kernel_size", 3, 2), _per_block("pool", ("max", None), 2)
    ([3, 3], ['max', None])
    """
    value = whole(value)
    if isinstance(value, str) or not isinstance(value, Sequence):
        return [value] * n_blocks
    if len(value) != n_blocks:
        raise ValueError(
            f"{name}={value!r} has {len(value)} values, but filters makes {n_blocks} blocks. "
            "Give one value, or one per block."
        )
    return list(value)
