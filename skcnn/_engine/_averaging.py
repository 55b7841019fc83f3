"""Weights averaged over the last steps of a training."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn


class WeightAverage:
    """The mean of a network's weights over the last share of the steps of a training.

    Parameters
    ----------
    network : torch.nn.Module
    n_steps : int
        Of the whole training.
    share : float
        In (0, 1]; over one step at least.

    References
    ----------
    Izmailov, Podoprikhin, Garipov, Vetrov, Wilson: Averaging weights leads to wider optima and
    better generalization. UAI 2018.

    Examples
    --------
    >>> import torch
    >>> network = torch.nn.Linear(1, 1, bias=False)
    >>> average = WeightAverage(network, n_steps=4, share=0.5)
    >>> for value in (8.0, 6.0, 2.0, 1.0):
    ...     _ = torch.nn.init.constant_(network.weight, value)
    ...     average.update()
    >>> average.apply([])
    >>> network.weight.item()
    1.5
    """

    def __init__(self, network: nn.Module, n_steps: int, share: float) -> None:
        self.network = network
        self.n_before = n_steps - max(1, round(share * n_steps))
        self._sums: list[Tensor] = []
        self._n_noted = 0

    def update(self) -> None:
        """Take in the weights after a step."""
        if self.n_before:
            self.n_before -= 1
            return
        weights = [parameter.detach() for parameter in self.network.parameters()]
        if self._sums:
            # Nothing here waits for a GPU, unlike torch's AveragedModel.
            for total, weight in zip(self._sums, weights):
                total.add_(weight)
        else:
            dtypes = [torch.promote_types(weight.dtype, torch.float32) for weight in weights]
            self._sums = [w.to(dtype, copy=True) for w, dtype in zip(weights, dtypes)]
        self._n_noted += 1

    def apply(self, batches: Iterable[Tensor]) -> None:
        """Give the network the mean of its weights.

        Parameters
        ----------
        batches : iterable of torch.Tensor
            Training images. What normalises batches by the figures of earlier ones takes new
            figures from these, since those of no step are right for the mean.
        """
        with torch.no_grad():
            for own, total in zip(self.network.parameters(), self._sums):
                own.copy_(total / self._n_noted)
        update_bn(batches, self.network)
