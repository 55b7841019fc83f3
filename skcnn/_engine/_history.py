"""The history of a training run: one row per epoch, from the history of a skorch net."""

from collections.abc import Iterable
from typing import Any

import pandas as pd
from skorch import NeuralNet

from skcnn._utils import warn

_NAMES = {"dur": "seconds"}


def whole_epochs(history: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of a skorch history, without that of an epoch that was interrupted."""
    return [row for row in history if "dur" in row]


def history_frame(history: Any, score_name: str | None = None) -> pd.DataFrame:
    """Return a skorch history with one row per epoch and the figures of callbacks last.

    Parameters
    ----------
    history : skorch.history.History or list of dict
    score_name : str, default=None
        Score of the validation images that the target has, such as "accuracy".

    Examples
    --------
    >>> print(history_frame([{"epoch": 1, "train_loss": 0.5, "dur": 2.0, "mine": 7}]).to_string())
           train_loss  valid_loss  lr  seconds  mine
    epoch
    1             0.5         NaN NaN      2.0     7
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
    score = [] if score_name is None else [f"valid_{score_name}"]
    columns = ["train_loss", "valid_loss", *score, "lr", "seconds"]
    others = [name for name in figures if name not in columns]
    return figures.reindex(columns=[*columns, *others])


def ends_within_epoch(net: NeuralNet) -> bool:
    """Whether the last epoch was not finished."""
    # Rows further up may be of epochs that an earlier call left unfinished.
    return len(net.history) > 0 and "dur" not in net.history[-1]


def warn_of_interrupt(net: NeuralNet, best_epoch: int = 0) -> None:
    """Warn that training has ended early, and with which weights.

    Parameters
    ----------
    net : NeuralNet
    best_epoch : int, default=0
        Epoch to whose weights early stopping has gone back, if it has.
    """
    within = ends_within_epoch(net)
    when = f"{'in' if within else 'after'} epoch {len(net.history)}"
    if best_epoch:
        state = f"; the network has its weights after epoch {best_epoch}, the best so far"
    else:
        state = "; the network is as the last batch left it" if within else ""
    warn(f"Training was interrupted {when}{state}.")
