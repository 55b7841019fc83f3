"""Images with their targets and weights, as skorch takes them."""

from typing import Any

import numpy as np
import numpy.typing as npt
import skorch.dataset


class ImageDataset(skorch.dataset.Dataset):
    """Images with their encoded labels and weights, as skorch's own tools take them.

    Parameters
    ----------
    X : Images or ndarray of shape (n, height, width, channels)
    y : ndarray of shape (n,), default=None
        Encoded labels, 0 to n_classes - 1.
    sample_weight : ndarray of shape (n,), default=None
        Weights whose mean is 1.
    """

    def __init__(
        self,
        X: Any,
        y: npt.NDArray[np.int64] | None = None,
        sample_weight: npt.NDArray[np.float32] | None = None,
    ) -> None:
        super().__init__(X, y, length=len(X))
        self.sample_weight = sample_weight
