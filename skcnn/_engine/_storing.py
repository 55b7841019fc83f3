"""Callbacks as they are stored with a net: their parameters, without the state of a training."""

import copy
from collections.abc import Iterable
from typing import Any

from skorch.callbacks import Callback

# Modules whose callbacks set their state again at the start of each training. Others may count on
# what their constructors have set.
_RESET_AT_START = ("skorch.", "skcnn.")


def without_state(callbacks: Iterable[Any] | None) -> list[Any] | None:
    """Return copies of callbacks as they were before training.

    Their state may hold weights, optimizers or targets, which a stored model does not need.

    Parameters
    ----------
    callbacks : iterable of skorch callbacks, classes or (name, callback) pairs, or None

    Examples
    --------
    >>> from skorch.callbacks import EarlyStopping
    >>> stopping = EarlyStopping(patience=3).initialize()
    >>> [name for name in vars(without_state([stopping])[0]) if name.endswith("_")]
    []
    """
    if callbacks is None:
        return None
    return [
        (entry[0], _reset(entry[1])) if isinstance(entry, tuple) else _reset(entry)
        for entry in callbacks
    ]


def _reset(callback: object) -> Any:
    known = f"{type(callback).__module__}.".startswith(_RESET_AT_START)
    if not known or not isinstance(callback, Callback):
        return callback
    before = copy.copy(callback)
    for name in [name for name in vars(before) if name.endswith("_")]:
        delattr(before, name)
    return before
