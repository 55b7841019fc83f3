"""The best weights of a training so far, for the case that it fails."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from skorch import NeuralNet
from skorch.history import History
from torch import Tensor, nn

from skcnn._engine._sklearn_callbacks import prediction_copy

_REMEDY = "pixels and sample_weight of smaller range"


@dataclass(frozen=True)
class BestWeights:
    """Weights after the epoch with the lowest loss.

    Attributes
    ----------
    epoch : int
    loss : float
        Of the validation images, or of the training where there are none.
    weights : dict of torch.Tensor
        Without those of frozen stages, which stay as they are.
    """

    epoch: int
    loss: float
    weights: dict[str, Tensor]

    def put_into_copy(self, net: NeuralNet) -> Any:
        """Return a net that is as this one was after the best epoch."""
        former = prediction_copy(net)
        former.module_.load_state_dict(self.weights, strict=False)
        former.history_ = History(net.history[: self.epoch])
        former.train_split = None
        former.initialize_optimizer()
        former.set_lr(former.lr)
        return former


class NotFiniteError(ValueError):
    """Training has led to numbers that are not finite.

    Parameters
    ----------
    what : str
        What is not finite, with the epoch.
    lr : float
        Learning rate of the training.
    best : BestWeights or None

    Attributes
    ----------
    estimator : estimator or None
        Fitted with the best weights so far; None if no epoch has ended before.
    """

    def __init__(self, what: str, lr: float, best: BestWeights | None) -> None:
        offer = (
            ""
            if best is None
            else f" The best weights so far are those after epoch {best.epoch}. To use them, "
            "catch this error: `except ValueError as error: clf = error.estimator`."
        )
        super().__init__(f"{what}. Try a smaller learning rate than lr={lr}, or {_REMEDY}.{offer}")
        self.best = best
        self.net: Any = None
        self.estimator: Any = None

    def __reduce__(self) -> Any:
        # Errors of worker processes come without the weights.
        return ValueError, self.args


def tensors_of(network: nn.Module) -> dict[str, Tensor]:
    """Return the parameters and stored buffers of a network, without what else a module stores.

    Modules may define `get_extra_state`, whose result can be anything.
    """
    state = network.state_dict()
    return {name: values for name, values in state.items() if isinstance(values, Tensor)}


def better_weights(best: BestWeights | None, net: NeuralNet) -> BestWeights | None:
    """Return the weights after this epoch if they are the best so far, and else the former."""
    row = net.history[-1]
    loss = row.get("valid_loss", row.get("train_loss", math.nan))
    if not math.isfinite(loss) or (best is not None and loss >= best.loss):
        return best
    stages = getattr(net.module_, "frozen_stages", ())
    frozen = tuple(f"body.{stage}." for stage in stages)
    weights = {
        name: values
        for name, values in tensors_of(net.module_).items()
        if not name.startswith(frozen)
    }
    # The device is waited for once.
    if not torch.stack([values.isfinite().all() for values in weights.values()]).all():
        return best
    copied = {name: values.clone() for name, values in weights.items()}
    return BestWeights(len(net.history), loss, copied)
