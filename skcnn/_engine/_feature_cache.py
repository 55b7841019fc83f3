"""Features of images on disk: what frozen stages make of an image is computed once."""

import os
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from importlib.metadata import version
from itertools import chain
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from skcnn._data._arrays import Images, ImageShape
from skcnn._data._decoded_cache import DecodedCache, Keys
from skcnn._data._file_keys import KEY
from skcnn._data._inputs import AnyImages
from skcnn.networks import ImageNetwork
from skcnn.networks._batch_independence import is_batch_independent
from skcnn.networks._model_libraries import LIBRARIES

_CHUNK_ROWS = 512

Features = npt.NDArray[np.float32]


class FeatureCache:
    """What the frozen stages of a network made of images, on disk beside decoded images.

    An image is known by its pixels, and the stages by their weights, layers and input. Fits,
    candidates of a search and processes that share the folder share the features, too.

    Parameters
    ----------
    cache_dir : str or PathLike
    network : ImageNetwork
        With `frozen_stages`.
    image_shape : tuple of (height, width, channels)
        Of the images outside.
    device : torch.device
    """

    def __init__(
        self,
        cache_dir: str | os.PathLike[str],
        network: ImageNetwork,
        image_shape: ImageShape,
        device: torch.device,
    ) -> None:
        self.network = network
        self.n_values = network.n_frozen_values
        n_bytes = self.n_values * np.dtype(np.float32).itemsize
        name = f"features-{_network_key(network, image_shape, device)}"
        self._cache = DecodedCache(cache_dir, (n_bytes,), name, what="Features are computed")

    @classmethod
    def open(
        cls,
        cache_dir: str | os.PathLike[str] | None,
        network: ImageNetwork,
        image_shape: ImageShape,
        device: torch.device,
    ) -> Self | None:
        """Return the cache for a network; None where nothing is kept.

        That is without `cache_dir`, for networks that have no frozen stages, or are of code that
        may change, for those whose hooks want to see every image, and where the features of an
        image depend on the others in its batch.
        """
        if cache_dir is None or not network.frozen_stages or not is_batch_independent(network):
            return None
        return cls(cache_dir, network, image_shape, device)

    def replace_images(
        self,
        images: AnyImages,
        compute: Callable[[npt.NDArray[np.generic]], Features],
        batch_size: int,
        *,
        is_fit: bool,
    ) -> Images:
        """Return features in place of images; those that are not stored yet are computed.

        Parameters
        ----------
        images : Images or FileImages
        compute : callable
            From images (n, height, width, channels) to their frozen features.
        batch_size : int
            Images that it runs at once.
        is_fit : bool
            Whether one process computes features while others wait for them, and a folder that
            cannot be written to is an error.

        Returns
        -------
        features : Images
            One row for each image, with its covariates.
        """
        features = np.empty((len(images), self.n_values), dtype=np.float32)
        # Whole batches, so that results do not depend on the cache.
        size = max(1, _CHUNK_ROWS // batch_size) * batch_size
        chunks = [slice(start, start + size) for start in range(0, len(images), size)]
        if is_fit:
            keys = [_image_keys(images[rows]) for rows in chunks]
            with self._cache.filling(np.concatenate(keys)):
                for rows in chunks:
                    self._fill(features[rows], images[rows], compute)
        else:
            for rows in chunks:
                self._fill(features[rows], images[rows], compute)
            self._cache.close()
        return Images(features, covariates=images.covariates)

    def _fill(
        self,
        features: Features,
        pixels: npt.NDArray[np.generic],
        compute: Callable[[npt.NDArray[np.generic]], Features],
    ) -> None:
        keys = _image_keys(pixels)
        missing = np.flatnonzero(~self._cache.read(keys, features.view(np.uint8)))
        if len(missing):
            computed = compute(pixels[missing])
            features[missing] = computed
            self._cache.write(keys[missing], computed.view(np.uint8))


def _image_keys(pixels: npt.NDArray[np.generic]) -> Keys:
    """Return a key of each image, by its pixels."""
    begun = sha256(str(pixels.dtype).encode())
    digests = bytearray()
    for image in pixels:
        digest = begun.copy()
        digest.update(np.ascontiguousarray(image).data)
        digests += digest.digest()[: KEY.itemsize]
    return np.frombuffer(digests, dtype=KEY)


def _network_key(network: ImageNetwork, image_shape: ImageShape, device: torch.device) -> str:
    """Return what tells frozen stages, with their input, from all others."""
    stages = nn.ModuleList(network.get_submodule(f"body.{name}") for name in network.frozen_stages)
    digest = sha256()
    outside = [version("skcnn"), _versions_of_libraries(stages), device.type, image_shape]
    digest.update(repr([*outside, network.inner_shape(image_shape), stages]).encode())
    for name, module in stages.named_modules():
        # Not all of them are in the text of a module.
        settings = {n: v for n, v in vars(module).items() if _is_setting(n, v)}
        # Functions of a library, such as activations: others are not known.
        functions = {n: v for n, v in vars(module).items() if callable(v)}
        named = {n: getattr(v, "__qualname__", repr(v)) for n, v in functions.items()}
        digest.update(repr([name, type(module).__qualname__, settings, named]).encode())
    tensors = chain(stages.named_parameters(), stages.named_buffers())
    for name, values in chain(tensors, _input_statistics(network)):
        flat = values.detach().cpu().contiguous().reshape(-1)
        digest.update(repr([name, values.dtype, tuple(values.shape)]).encode())
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()[: 2 * KEY.itemsize]


def _versions_of_libraries(stages: nn.Module) -> dict[str, str]:
    """Return the versions of torch, and of libraries of models whose code the stages are."""
    libraries = {type(module).__module__.partition(".")[0] for module in stages.modules()}
    known = sorted(libraries.intersection(LIBRARIES))
    versions = {name: str(getattr(sys.modules.get(name), "__version__", "")) for name in known}
    return {"torch": torch.__version__, **versions}


def _is_setting(name: str, value: object) -> bool:
    # torchvision has the windows of its Swin transformers in lists.
    is_plain = isinstance(value, bool | int | float | str | tuple | list | dict | None)
    return is_plain and name != "training" and not name.startswith("_")


def _input_statistics(network: ImageNetwork) -> Iterator[tuple[str, Tensor]]:
    yield "mean", network.mean
    yield "scale", network.scale
