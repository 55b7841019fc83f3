"""Figures of the loss and the score: of a batch, of an epoch, and in words."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from skorch.history import History
from torch import Tensor

from skcnn._data._dataset import Batch
from skcnn._targets import Target

# Figures of the parts of a loss, in the order of `loss_figures`.
_PARTS = ("loss_sum", "loss_weight")


def weighted_mean(losses: Tensor, weight: Tensor | None) -> Tensor:
    """Return the mean of the losses of images, each times its weight."""
    return losses.mean() if weight is None else (losses * weight).mean()


def loss_figures(
    target: Target, loss: Tensor, outputs: Tensor, batch: Batch, *, training: bool
) -> Tensor:
    """Return the loss of a batch, or, where it has parts, a vector of more figures.

    The loss is followed by the weighted sum of the losses of each part, and by the sum of the
    weights of the images that say something about each part.
    """
    loss = loss.detach()
    if not target.part_names:
        return loss
    parts = target.part_losses(outputs.detach(), batch.target, training=training)
    weight = torch.ones_like(parts) if batch.weight is None else batch.weight[:, None]
    weight = torch.where(parts.isnan(), 0, weight)
    return torch.cat([loss[None], (parts * weight).nansum(0), weight.sum(0)])


def batch_row(target: Target, prefix: str, figures: float | list[float]) -> dict[str, float]:
    """Name the `loss_figures` of a batch, as the history has them.

    Examples
    --------
    >>> from skcnn._targets import ClassTarget
    >>> batch_row(ClassTarget(["ash", "oak"]), "train", 0.5)
    {'train_loss': 0.5}
    """
    if isinstance(figures, float):
        return {f"{prefix}_loss": figures}
    parts = [f"{what}_{name}" for what in _PARTS for name in target.part_names]
    return {f"{prefix}_{name}": value for name, value in zip(["loss", *parts], figures)}


def record_loss(
    history: History, target: Target, prefix: str, rows: Sequence[dict[str, float]]
) -> float:
    """Write down the mean loss of an epoch, and of its parts, and return the former.

    Parameters
    ----------
    history : History
        Its last row is that of the epoch.
    target : Target
    prefix : {"train", "valid"}
    rows : sequence of dict
        A `batch_row` of each batch, with its number of images.
    """
    weights = [row[f"{prefix}_batch_size"] for row in rows]
    loss = float(np.average([row[f"{prefix}_loss"] for row in rows], weights=weights))
    record(history, f"{prefix}_loss", loss, lower_is_better=True)
    for name in target.part_names:
        total, weight = (sum(row[f"{prefix}_{what}_{name}"] for row in rows) for what in _PARTS)
        history.record(f"{prefix}_loss_{name}", total / weight if weight else math.nan)
    return loss


def record(history: History, name: str, value: float, *, lower_is_better: bool) -> None:
    """Write down a figure and, as skorch's own scorings do, whether it is the best so far."""
    before = [row[name] for row in history[:-1] if name in row]
    best = all(value < other if lower_is_better else value > other for other in before)
    history.record(name, value)
    history.record(f"{name}_best", best)


def in_words(row: dict[str, Any], score_name: str | None) -> str:
    """Return what a progress bar says of an epoch.

    Examples
    --------
    >>> row = {"epoch": 3, "train_loss": 0.51234, "valid_accuracy": 0.9, "lr": 0.1}
    >>> in_words(row, "accuracy")
    'epoch 3, loss 0.512, accuracy 0.900'
    """
    names = {"train_loss": "loss", "valid_loss": "valid loss", f"valid_{score_name}": score_name}
    figures = [f"{said} {row[name]:.3f}" for name, said in names.items() if name in row]
    return ", ".join([f"epoch {row['epoch']}", *figures])
