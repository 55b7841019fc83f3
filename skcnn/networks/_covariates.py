"""Covariates in a network: numbers that join the features of images."""

import math

import torch
from torch import Tensor, nn

# Standardized covariates together get at most this root mean square length: steps of the usual
# learning rate stay stable however many there are, and however much they agree.
_MOST_LENGTH = 2.0


class JoinCovariates(nn.Module):
    """Put covariates beside features, or beside each place of feature maps.

    Parameters
    ----------
    n_covariates : int

    Examples
    --------
    >>> import torch
    >>> join = JoinCovariates(2)
    >>> join(torch.zeros(5, 8), torch.ones(5, 2)).shape
    torch.Size([5, 10])
    >>> join(torch.zeros(5, 8, 4, 4)).shape
    torch.Size([5, 10, 4, 4])
    """

    def __init__(self, n_covariates: int) -> None:
        super().__init__()
        self.n_covariates = n_covariates
        self.factor = min(1.0, _MOST_LENGTH / math.sqrt(n_covariates))

    def forward(self, features: Tensor, covariates: Tensor | None = None) -> Tensor:
        """Return features and covariates side by side.

        Parameters
        ----------
        features : torch.Tensor of shape (n, n_features, ...)
        covariates : torch.Tensor of shape (n, n_covariates), default=None
            Standardized. None puts zeros there, the means.

        Returns
        -------
        joined : torch.Tensor of shape (n, n_features + n_covariates, ...)
        """
        # An export would take the length of `len` for a constant.
        n, places = features.shape[0], features.shape[2:]
        if covariates is None:
            covariates = features.new_zeros(n, self.n_covariates)
        beside = (self.factor * covariates).to(features.dtype)
        beside = beside.view(n, -1, *[1] * len(places)).expand(-1, -1, *places)
        return torch.cat([features, beside], dim=1)

    def extra_repr(self) -> str:
        """Show the number of covariates, as torch's layers show their parameters."""
        return str(self.n_covariates)
