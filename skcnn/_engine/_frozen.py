"""What training never changes is computed once per image: features in place of images."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from skcnn._compute._device_memory import reserve_device_memory
from skcnn._compute._threads import compute_threads
from skcnn._data._arrays import Images
from skcnn._data._dataset import ImageDataset
from skcnn._engine._feature_cache import FeatureCache
from skcnn._engine._predict import ImageSource, PredictionBatching, run_images
from skcnn.networks import ImageNetwork
from skcnn.networks._summary import NetworkSummary

# Feature maps that would take more memory are computed again in each epoch.
MOST_BYTES = 2**31
# Features of so many images tell their mean and standard deviation.
_STATISTICS_IMAGES = 500


class FrozenPart:
    """The part of a network that training does not change, and how images are run through it.

    Parameters
    ----------
    network : ImageNetwork
        With `frozen_stages`.
    summary : NetworkSummary
        Of the network.
    device : torch.device
    batching : PredictionBatching
    thread_limit : int or None
        As for `compute_threads`.
    cache : FeatureCache or None
        Where features are stored.
    """

    def __init__(
        self,
        network: ImageNetwork,
        summary: NetworkSummary,
        device: torch.device,
        batching: PredictionBatching,
        thread_limit: int | None,
        cache: FeatureCache | None = None,
    ) -> None:
        self.network = network
        self.summary = summary
        self.device = device
        self.batching = batching.suited_to(network)
        self.thread_limit = thread_limit
        self.cache = cache

    def fits_in_memory(self, n_images: int) -> bool:
        """Whether the features of so many images are kept."""
        n_values = self.network.n_frozen_values
        return n_images * n_values * torch.float32.itemsize <= MOST_BYTES

    def run(self, images: ImageSource, *, to_the_end: bool = False) -> npt.NDArray[np.float32]:
        """Return what the frozen part makes of images, or the features after all of the body.

        Parameters
        ----------
        images : Images, or ndarray of images or of earlier results
        to_the_end : bool, default=False
        """
        network, n_at_once = self.network, self.batching.batch_size
        needed = torch.float32.itemsize * self.summary.n_values * n_at_once
        work = self.summary.multiply_adds * min(len(images), n_at_once)
        was_training = network.training
        with (
            reserve_device_memory(self.device, needed),
            compute_threads(
                self.device,
                work,
                training=False,
                inherited=self.thread_limit,
                in_all=self.summary.multiply_adds * len(images),
            ),
        ):
            function = network.features if to_the_end else network.frozen_features
            network.eval()
            try:
                return run_images(function, images, self.device, self.batching)
            finally:
                network.train(was_training)

    def replace_images(self, dataset: ImageDataset) -> ImageDataset:
        """Return a data set with features in place of its images."""
        if self.cache is not None:
            size = self.batching.batch_size
            features: Any = self.cache.replace_images(dataset.X, self.run, size, is_fit=True)
            return ImageDataset(features, dataset.y, dataset.sample_weight)
        features = self.run(dataset.X)
        covariates = getattr(dataset.X, "covariates", None)
        if covariates is not None:
            features = Images(features, covariates=covariates)
        return ImageDataset(features, dataset.y, dataset.sample_weight)

    def fit_head(self, images: ImageSource) -> None:
        """Tell the head what the features of training images are like.

        Parameters
        ----------
        images : Images, or ndarray of images or of their frozen features
        """
        rows = np.unique(np.linspace(0, len(images) - 1, min(len(images), _STATISTICS_IMAGES)))
        features = self.run(images[rows.astype(np.intp)], to_the_end=True)
        self.network.fit_head(torch.from_numpy(features))


def summarize_trained(summary: NetworkSummary, network: ImageNetwork) -> NetworkSummary:
    """Return the rows of a summary that are not of the frozen part."""
    frozen = set(network.frozen_stages)
    layers = tuple(row for row in summary.layers if row.name.partition(".")[0] not in frozen)
    return replace(summary, layers=layers)
