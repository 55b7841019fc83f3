"""Mixed targets of mixed images."""

import torch
from torch import Tensor


def mix_targets(
    n_classes: int, partner: Tensor, share: Tensor, target: Tensor, weight: Tensor | None = None
) -> tuple[Tensor, ...]:
    """Mix the targets of images with those of their partners, and so their weights.

    Parameters
    ----------
    n_classes : int
    partner : torch.Tensor of shape (n,), int64
        Number of the image that each one is mixed with.
    share : torch.Tensor of shape (n,)
        Of the image itself in the mixture.
    target : torch.Tensor of shape (n,) or (n, n_classes)
        Labels, or probabilities of classes where they were mixed before.
    weight : torch.Tensor of shape (n,), default=None

    Returns
    -------
    target : torch.Tensor of shape (n, n_classes)
        Probabilities of classes.
    weight : torch.Tensor of shape (n,)
        Only where weights came in. The loss of a mixture so is the mixture of both losses,
        each with its own weight.
    """
    if target.ndim == 1:
        classes = torch.arange(n_classes, device=target.device)
        target = (target[:, None] == classes).float()
    if weight is None:
        own = share[:, None]
        return (own * target + (1 - own) * target[partner],)
    mixed = share * weight + (1 - share) * weight[partner]
    # Where nothing has a weight, any share will do.
    own = torch.where(mixed > 0, share * weight / mixed, share)[:, None]
    return own * target + (1 - own) * target[partner], mixed
