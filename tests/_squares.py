"""Images of squares with their label images, and a small segmenter."""

import numpy as np

from skcnn import ConvNetSegmenter
from skcnn.networks import ConvBlocks, UNet

SIDE = 16


def squares(n=24, size=(SIDE, SIDE), channels=3, seed=0):
    """Dark images with bright and gray squares: the class of a pixel is how bright it is."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((n, *size), dtype=np.uint8)
    for mask in masks:
        for label in (1, 2):
            top, left = (rng.integers(0, max(1, side - 5)) for side in size)
            mask[top : top + 6, left : left + 6] = label
    pixels = np.array([50, 220, 130])[masks][..., None] + rng.normal(
        0, 15, (*masks.shape, channels)
    )
    return pixels.clip(0, 255).astype(np.uint8), masks


def small(module=None, **parameters):
    defaults = {
        "max_epochs": 6,
        "batch_size": 4,
        "device": "cpu",
        "precision": "float32",
        "augment": None,
        "random_state": 0,
    }
    return ConvNetSegmenter(
        module or UNet(ConvBlocks((6, 8), convs_per_block=1)), **{**defaults, **parameters}
    )


X, MASKS = squares()
X_NEW, MASKS_NEW = squares(8, seed=1)
