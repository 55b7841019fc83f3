"""Batch normalization of small groups of images in large batches."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skcnn.networks._mirror import MirroredBatchNorm2d

#: Images that are normalized together.
GROUP_SIZE = 32


class GhostBatchNorm2d(nn.BatchNorm2d):
    """Batch normalization whose training steps normalize each 32 images of a batch by themselves.

    The noise in the statistics of few images regularizes training, and large batches would lose
    it [1]_. The last group has 32 to 63 images, so that none is smaller; batches of fewer than 64
    images are one group. The running statistics are those of whole batches, and evaluation is that
    of `torch.nn.BatchNorm2d`.

    Parameters
    ----------
    num_features : int
        Number of channels.

    References
    ----------
    .. [1] Hoffer, Hubara, Soudry: Train longer, generalize better: closing the generalization
       gap in large batch training of neural networks. NIPS 2017.

    Examples
    --------
    >>> import torch
    >>> maps = torch.rand(64, 8, 6, 6)
    >>> normalized = GhostBatchNorm2d(8)(maps)
    >>> alone = nn.BatchNorm2d(8)(maps[:32])
    >>> torch.allclose(normalized[:32], alone, atol=1e-5)
    True
    """

    def __init__(self, num_features: int) -> None:
        super().__init__(num_features)

    def forward(self, input: Tensor) -> Tensor:
        # An export would take the length of `len` for a constant.
        n_groups = input.shape[0] // GROUP_SIZE
        if not self.training or n_groups < 2:
            normalized: Tensor = super().forward(input)
            return normalized
        n_equal = n_groups if len(input) % GROUP_SIZE == 0 else n_groups - 1
        equal, last = input[: n_equal * GROUP_SIZE], input[n_equal * GROUP_SIZE :]
        parts = [self._normalize(equal, n_equal)]
        if len(last):
            parts.append(self._normalize(last, 1))
        self._update([part[1:] for part in parts])
        return parts[0][0] if len(parts) == 1 else torch.cat([part[0] for part in parts])

    def _normalize(self, images: Tensor, n_groups: int) -> tuple[Tensor, Tensor, Tensor, int]:
        """Return groups of equal size normalized, their means, variances, and values of each."""
        n, channels, height, width = images.shape
        # Channels of different groups are different channels of fewer images: one operation.
        grouped = images.permute(0, 2, 3, 1).reshape(n_groups, -1, height, width, channels)
        beside = grouped.permute(1, 2, 3, 0, 4).flatten(3).permute(0, 3, 1, 2)
        means, variances = (self.weight.new_zeros(n_groups * channels) for _ in range(2))
        normalized = F.batch_norm(
            beside,
            means,
            variances,
            self.weight.repeat(n_groups),
            self.bias.repeat(n_groups),
            training=True,
            # The statistics of these images alone.
            momentum=1.0,
            eps=self.eps,
        )
        apart = normalized.permute(0, 2, 3, 1).reshape(-1, height, width, n_groups, channels)
        together = apart.permute(3, 0, 1, 2, 4).reshape(n, height, width, channels)
        n_values = n // n_groups * height * width
        shape = (n_groups, channels)
        return together.permute(0, 3, 1, 2), means.view(shape), variances.view(shape), n_values

    @torch.no_grad()
    def _update(self, groups: list[tuple[Tensor, Tensor, int]]) -> None:
        """Move the running statistics towards those of the whole batch."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        total = sum(len(means) * n_values for means, _, n_values in groups)
        mean = torch.stack([n * means.sum(0) for means, _, n in groups]).sum(0) / total
        squares = torch.stack(
            [
                (n - 1) * variances.sum(0) + n * (means - mean).square().sum(0)
                for means, variances, n in groups
            ]
        )
        self.num_batches_tracked.add_(1)
        # Without a momentum, as in averages over some batches, all of these count the same.
        counted = self.num_batches_tracked.to(mean.dtype)
        factor = counted.reciprocal() if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, factor)
        self.running_var.lerp_(squares.sum(0) / (total - 1), factor)


class MirroredGhostBatchNorm2d(MirroredBatchNorm2d, GhostBatchNorm2d):
    """Ghost batch normalization shared by each channel and its mirror channel.

    Examples
    --------
    >>> import torch
    >>> MirroredGhostBatchNorm2d(8)(torch.rand(70, 8, 6, 6)).shape
    torch.Size([70, 8, 6, 6])
    """
