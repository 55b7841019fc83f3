"""Mixed targets of mixed images."""

import torch
from torch import Tensor


def blend(
    partner: Tensor, own: Tensor, target: Tensor, weight: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """Blend the targets of images with those of their partners, and their weights.

    Parameters
    ----------
    partner : torch.Tensor of shape (n,), int64
        Index of the image that each image was mixed with.
    own : torch.Tensor of shape (n,)
        Fraction of the image itself in the mixture.
    target : torch.Tensor of shape (n, ...), floating point
    weight : torch.Tensor of shape (n,), default=None

    Returns
    -------
    target : torch.Tensor of shape (n, ...)
    weight : torch.Tensor of shape (n,) or None
        The loss of a mixture is the mixture of both losses, each with its own weight.
    """
    mixed = None
    if weight is not None:
        mixed = own * weight + (1 - own) * weight[partner]
        # Where both weights are zero, the fraction does not matter.
        own = torch.where(mixed > 0, own * weight / mixed, own)
    own = own.view(-1, *[1] * (target.ndim - 1))
    return own * target + (1 - own) * target[partner], mixed
