"""Weights averaged over the last steps of training."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from skcnn._compute._fork import computing


class WeightAverage:
    """Mean of a network's weights over the last fraction of the training steps.

    Parameters
    ----------
    network : torch.nn.Module
    n_steps : int
        Number of steps of the whole training.
    fraction : float
        In (0, 1]; at least one step is averaged over.

    References
    ----------
    Izmailov, Podoprikhin, Garipov, Vetrov, Wilson: Averaging weights leads to wider optima and
    better generalization. UAI 2018.

    Examples
    --------
    >>> import torch
    >>> network = torch.nn.Linear(1, 1, bias=False)
    >>> average = WeightAverage(network, n_steps=4, fraction=0.5)
    >>> for value in (8.0, 6.0, 2.0, 1.0):
    ...     _ = torch.nn.init.constant_(network.weight, value)
    ...     average.update()
    >>> average.apply([])
    >>> network.weight.item()
    1.5
    """

    def __init__(self, network: nn.Module, n_steps: int, fraction: float) -> None:
        self.network = network
        # What is frozen would come out with other last bits.
        is_frozen = bool(getattr(network, "frozen_stages", ()))
        self._parameters = [p for p in network.parameters() if p.requires_grad or not is_frozen]
        # Steps before the average, of the training as planned and of what is left of it.
        self.start = self.n_before = n_steps - max(1, round(fraction * n_steps))
        self._sums: list[Tensor] = []
        self._n_steps = 0

    def update(self) -> None:
        """Include the weights after a step."""
        if self.n_before:
            self.n_before -= 1
            return
        weights = [parameter.detach() for parameter in self._parameters]
        if self._sums:
            # Unlike torch's AveragedModel, this does not wait for a GPU.
            for total, weight in zip(self._sums, weights):
                total.add_(weight)
        else:
            dtypes = [torch.promote_types(weight.dtype, torch.float32) for weight in weights]
            self._sums = [w.to(dtype, copy=True) for w, dtype in zip(weights, dtypes)]
        self._n_steps += 1

    def state(self) -> dict[str, object]:
        """Return what `restore` needs to go on from here."""
        return {"sums": self._sums, "n_steps": self._n_steps, "n_before": self.n_before}

    def restore(self, sums: list[Tensor], n_steps: int, n_before: int) -> None:
        """Go on from a stored state."""
        self._sums = [total.to(own.device) for total, own in zip(sums, self._parameters)]
        self._n_steps, self.n_before = n_steps, n_before

    def apply(self, batches: Iterable[tuple[Tensor, ...]]) -> None:
        """Give the network the mean of its weights.

        Parameters
        ----------
        batches : iterable of tuple of torch.Tensor
            Training images, with what the network takes beside them. Batch normalization takes
            new statistics from these, since the statistics of no single step are right for the
            mean of the weights.

        Notes
        -----
        If anything fails, the network is as it was.
        """
        means = [total / self._n_steps for total in self._sums]
        with (
            torch.no_grad(),
            _other_values(self._parameters, means),
            _fresh_statistics(self.network) as n_layers,
        ):
            for inputs in batches if n_layers else ():
                with computing():
                    self.network(*inputs)


@contextmanager
def _other_values(parameters: Sequence[Tensor], values: Sequence[Tensor]) -> Iterator[None]:
    """Give parameters other values, and their own ones back if anything fails."""
    before = [parameter.detach().clone() for parameter in parameters]
    try:
        _copy(values, parameters)
        yield
    except BaseException:
        _copy(before, parameters)
        raise


def _copy(values: Sequence[Tensor], parameters: Sequence[Tensor]) -> None:
    for parameter, value in zip(parameters, values):
        parameter.copy_(value)


@contextmanager
def _fresh_statistics(network: nn.Module) -> Iterator[int]:
    """Let batch normalization average over the next batches, as torch's `update_bn` does.

    Frozen layers, in evaluation mode or without trained parameters, keep their statistics. Yields
    the number of the others. If anything fails, all statistics are as they were.
    """
    was_training = network.training
    network.train()
    layers = [
        layer
        for layer in network.modules()
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d)
        and layer.training
        and layer.track_running_stats
        and any(p.requires_grad for p in layer.parameters())
    ]
    momenta = [layer.momentum for layer in layers]
    before = [{name: b.clone() for name, b in layer.named_buffers()} for layer in layers]
    try:
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None
        yield len(layers)
    except BaseException:
        for layer, buffers in zip(layers, before):
            layer.load_state_dict(buffers, strict=False)
        raise
    finally:
        for layer, momentum in zip(layers, momenta):
            layer.momentum = momentum
        network.train(was_training)
