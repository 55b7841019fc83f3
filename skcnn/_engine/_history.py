"""What happened in training, epoch by epoch, out of the history of a skorch net."""

from typing import Any

import pandas as pd

_NAMES = {"valid_acc": "valid_accuracy", "dur": "seconds"}
_COLUMNS = ("train_loss", "valid_loss", "valid_accuracy", "lr", "seconds")


def whole_epochs(history: Any) -> list[dict[str, Any]]:
    """Return the rows of a skorch history, without that of an epoch that was interrupted."""
    return [row for row in history if "dur" in row]


def as_frame(history: Any) -> pd.DataFrame:
    """Return a skorch history with one row an epoch and the figures of callbacks last.

    Examples
    --------
    >>> print(as_frame([{"epoch": 1, "train_loss": 0.5, "dur": 2.0, "mine": 7}]).to_string())
           train_loss  valid_loss  valid_accuracy  lr  seconds  mine
    epoch
    1             0.5         NaN             NaN NaN      2.0     7
    """
    rows = [
        {
            _NAMES.get(name, name): value
            for name, value in row.items()
            if name != "batches" and not name.endswith(("_best", "_batch_count"))
        }
        for row in whole_epochs(history)
    ]
    figures = pd.DataFrame(rows, columns=None if rows else ["epoch"]).set_index("epoch")
    others = [name for name in figures if name not in _COLUMNS]
    return figures.reindex(columns=[*_COLUMNS, *others])
