"""From what the parameter `augment` holds to what changes images."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor, nn

from skcnn.augmentation._base import Augmentation, cast_saturating
from skcnn.augmentation._mixing import CutMix, MixUp
from skcnn.augmentation._single import Color, Cutout, Flip, Shift

AUGMENTATIONS: dict[str, Augmentation] = {
    "flip": Flip(),
    "shift": Shift(),
    "cutout": Cutout(),
    "mixup": MixUp(),
    "cutmix": CutMix(),
    "color": Color(),
}


@dataclass(frozen=True)
class ModuleAugmentation:
    """A torch module that changes float images (n, channels, height, width) of 0 to 1.

    Modules of kornia or torchvision are like that. They draw from torch's own generator.

    Parameters
    ----------
    module : torch.nn.Module
    """

    module: nn.Module

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Let the module change the images."""
        largest = 255 if images.dtype == torch.uint8 else 1
        pixels = (images.float() / largest).permute(0, 3, 1, 2)
        changed = self.module.train()(pixels)
        if not isinstance(changed, Tensor) or changed.shape != pixels.shape:
            got = tuple(changed.shape) if isinstance(changed, Tensor) else type(changed).__name__
            raise ValueError(
                f"The module {type(self.module).__name__} in augment= returned {got} for images "
                f"of shape {tuple(pixels.shape)}. Expected a tensor of the same shape."
            )
        return cast_saturating(changed.float().permute(0, 2, 3, 1) * largest, images.dtype)


def as_augmentation(change: Any) -> Callable[[Tensor, Generator], Tensor]:
    """Return what changes images out of what the parameter `augment` holds.

    Examples
    --------
    >>> as_augmentation("shift")
    Shift(fraction=0.125)
    """
    if isinstance(change, str):
        return AUGMENTATIONS[change]
    if isinstance(change, nn.Module):
        return ModuleAugmentation(change)
    function: Callable[[Tensor, Generator], Tensor] = change
    return function
