"""Inference for each pixel: whole images through a fitted network, and large ones in tiles."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from skcnn._compute._fork import computing
from skcnn._compute._interrupt import hold_interrupts
from skcnn._data._arrays import Images, ImageShape
from skcnn._data._inputs import AnyImages
from skcnn._engine._inference import infer, scale_plan
from skcnn._engine._net import TrainedNet
from skcnn._engine._tiles import Part, blended_tiles, exact_tiles, find_margin
from skcnn.networks._folding import fold

# Images of up to this side are run as a whole; of larger ones, tiles of this side.
_TILE_SIDE = 1024

TileSize = int | Literal["auto"] | None


@dataclass(frozen=True)
class PixelInference:
    """A fitted network that answers for each pixel, and how it is run.

    Attributes
    ----------
    net : TrainedNet
    image_shape : tuple of (height, width, channels)
        Shape of the training images, for which the batches of the net are planned.
    flip : bool
        Whether predictions are averaged over each image and its mirror image.
    thread_limit : int or None
        As for `compute_threads`.
    """

    net: TrainedNet
    image_shape: ImageShape
    flip: bool
    thread_limit: int | None

    def run(
        self, images: AnyImages, finish: Callable[[Tensor], Tensor]
    ) -> npt.NDArray[np.float32]:
        """Run images through the network, and return what `finish` makes of the logits."""
        network = fold(self.net.module_)
        device = torch.device(self.net.device)

        def run(batch: Tensor) -> Tensor:
            logits: Tensor = network(batch)
            if self.flip:
                mirrored = network(batch.flip(2)).softmax(1).flip(3)
                logits = ((logits.softmax(1) + mirrored) / 2).log()
            return finish(logits)

        batching, costs = self.net.batching, self.net.costs_
        if images.shape != self.image_shape:
            batching, costs = scale_plan(costs, self.image_shape, images.shape, device)
        batching = batching.suited_to(network)
        return infer(run, images, device, batching, costs, self.thread_limit)

    def tiles(self, images: AnyImages, side: int) -> Callable[[int], Iterator[Part]]:
        """Return a function from the row of an image to its parts and their probabilities."""
        assert isinstance(images, Images)
        network, size = self.net.module_, images.shape[:2]
        with hold_interrupts(), computing():
            margin = find_margin(network, images.shape[2])

        def run(row: int, rows: slice, columns: slice) -> npt.NDArray[np.float32]:
            tile = images.window(row, rows, columns)
            found = self.run(tile, lambda logits: logits.softmax(1).permute(0, 2, 3, 1))
            probability: npt.NDArray[np.float32] = found[0]
            return probability

        def tiles_of(row: int) -> Iterator[Part]:
            if margin is None or network.stride is None:
                return blended_tiles(partial(run, row), size, side)
            return exact_tiles(partial(run, row), size, side, margin, network.stride)

        return tiles_of


def tile_side(images: AnyImages, tile_size: TileSize) -> int | None:
    """Return the side of the tiles that images are run in; None for images run as a whole."""
    if tile_size is None or not isinstance(images, Images):
        return None
    side = _TILE_SIDE if tile_size == "auto" else int(tile_size)
    return side if max(images.shape[:2]) > side else None
