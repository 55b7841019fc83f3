"""Networks that add up a map of positive numbers: counts, with the places of what they count."""

import math

from torch import Tensor, nn

from skcnn.networks._image_network import ImageNetwork


class SumHead(nn.Linear):
    """Head that computes a positive number at each place, and adds these numbers up.

    Parameters
    ----------
    in_features, out_features : int
        As in `torch.nn.Linear`.
    n_places : int
        Number of places in the maps of a training image. For an image of this size, the sum of
        a head that has learned nothing is near 1; it grows with the area of the image.

    Examples
    --------
    >>> import torch
    >>> head = SumHead(8, 1, n_places=16)
    >>> maps, wide = torch.zeros(1, 8, 4, 4), torch.zeros(1, 8, 4, 8)
    >>> bool(torch.isclose(head(wide), 2 * head(maps)))
    True
    """

    def __init__(self, in_features: int, out_features: int, n_places: int) -> None:
        super().__init__(in_features, out_features)
        self.n_places = n_places

    def density(self, maps: Tensor) -> Tensor:
        """Return the numbers that are added up.

        Parameters
        ----------
        maps : torch.Tensor of shape (n, in_features, height, width)

        Returns
        -------
        density : torch.Tensor of shape (n, height, width, out_features), float32
        """
        # Not in the low precision of training, in which sums lose digits.
        at_places = super().forward(maps.permute(0, 2, 3, 1)).float()
        return nn.functional.softplus(at_places) / (self.n_places * math.log(2))

    def forward(self, input: Tensor) -> Tensor:
        return self.density(input).sum((1, 2))


class DensityNetwork(ImageNetwork):
    """Network whose outputs are sums of a map over the image.

    Its body returns feature maps (n, channels, height, width), its head is a `SumHead`, and its
    features are the means of the maps. It takes images of any size, and should not be able to tell
    where their edges are. Covariates are the same at all places.
    """

    takes_any_size = True
    head: SumHead

    def features(self, images: Tensor, covariates: Tensor | None = None) -> Tensor:
        """Return the features of images, of shape (n, n_features)."""
        return self.run_body(self.standardize(images), covariates).mean((2, 3))

    def density(self, images: Tensor, covariates: Tensor | None = None) -> Tensor:
        """Return the maps that are added up, of shape (n, height, width, n_outputs)."""
        return self.head.density(self.run_body(self.standardize(images), covariates))

    def forward(self, images: Tensor, covariates: Tensor | None = None) -> Tensor:
        """Return the outputs for images, of shape (n, n_outputs)."""
        outputs: Tensor = self.head(self.run_body(self.standardize(images), covariates))
        return outputs
