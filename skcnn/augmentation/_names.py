"""From the values of the parameter `augment` to functions that change images."""

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor, nn

from skcnn.augmentation._base import Augmentation, cast_saturating
from skcnn.augmentation._geometric import Flip, Shift
from skcnn.augmentation._mixing import CutMix, MixUp
from skcnn.augmentation._pixel_values import Color, Cutout

# Classes rather than objects, so that nobody can change the object behind a name.
AUGMENTATIONS: dict[str, type[Augmentation]] = {
    "flip": Flip,
    "shift": Shift,
    "cutout": Cutout,
    "mixup": MixUp,
    "cutmix": CutMix,
    "color": Color,
}


class ModuleAugmentation:
    """A torch module that changes float images (n, channels, height, width) from 0 to 1.

    Modules of kornia and torchvision work this way. They draw from torch's global generator.

    Parameters
    ----------
    module : torch.nn.Module
        A copy of it is put into training mode and used. The module itself stays as it is.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = copy.deepcopy(module).train()
        self._is_range_checked = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.module!r})"

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Return images changed by the module.

        Parameters
        ----------
        images : torch.Tensor of shape (n, height, width, channels)
            uint8 from 0 to 255, or float32 from 0 to 1. They are not modified.
        generator : torch.Generator
            Not used: the module draws from torch's global generator.

        Returns
        -------
        images : torch.Tensor of shape (n, height, width, channels)
            Changed images, of the same dtype and on the same device.

        Raises
        ------
        ValueError
            If float images are not from 0 to 1 in the first call, or if the module does not
            return a tensor of the same shape.
        """
        if images.dtype == torch.uint8:
            largest = 255
        else:
            largest = 1
            self._check_range(images)
        pixels = (images.float() / largest).permute(0, 3, 1, 2)
        changed = self.module(pixels)
        if not isinstance(changed, Tensor) or changed.shape != pixels.shape:
            got = tuple(changed.shape) if isinstance(changed, Tensor) else type(changed).__name__
            raise ValueError(
                f"The module {type(self.module).__name__} in augment= returned {got} for images "
                f"of shape {tuple(pixels.shape)}. Expected a tensor of the same shape."
            )
        return cast_saturating(changed.float().permute(0, 2, 3, 1) * largest, images.dtype)

    def _check_range(self, images: Tensor) -> None:
        # Only in the first batch: on a GPU, reading values waits for all work in its queue.
        if self._is_range_checked:
            return
        low, high = (value.item() for value in torch.aminmax(images))
        if not (low >= 0 and high <= 1):
            raise ValueError(
                f"The module {type(self.module).__name__} in augment= expects values from 0 to "
                f"1, but got float images with values from {low:.6g} to {high:.6g}. Pass images "
                "as uint8 (0 to 255), or scale float images to values from 0 to 1. If augment "
                "contains anything that can exceed this range, such as 'color', list it after the "
                "module."
            )
        self._is_range_checked = True


@dataclass(frozen=True)
class CheckedFunction:
    """A user's own augmentation, whose result is checked.

    Parameters
    ----------
    function : callable
        From images (n, height, width, channels) and a torch.Generator to changed images.
    """

    function: Callable[[Tensor, Generator], Tensor]

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Let the function change the images."""
        changed = self.function(images, generator)
        if not isinstance(changed, Tensor) or changed.shape != images.shape:
            got = tuple(changed.shape) if isinstance(changed, Tensor) else type(changed).__name__
            name = getattr(self.function, "__name__", repr(self.function))
            raise ValueError(
                f"The function {name} in augment= returned {got} for images of shape "
                f"{tuple(images.shape)}. Expected a tensor of the same shape."
            )
        return changed


def as_augmentation(change: Any) -> Callable[[Tensor, Generator], Tensor]:
    """Return a function of images and a generator for one value of the parameter `augment`.

    Parameters
    ----------
    change : str, Augmentation, torch.nn.Module or callable
        A name in `AUGMENTATIONS` gives a new object with default parameters. A module is copied
        and wrapped. A function of your own is wrapped in a check of what it returns.

    Raises
    ------
    ValueError
        If it is a class, or a function that takes other arguments.

    Returns
    -------
    augmentation : callable
        Called with images (n, height, width, channels) and a torch.Generator, returns changed
        images of the same shape and dtype.

    Examples
    --------
    >>> as_augmentation("shift")
    Shift(fraction=0.125)
    """
    if isinstance(change, str):
        return AUGMENTATIONS[change]()
    if isinstance(change, nn.Module):
        return ModuleAugmentation(change)
    if isinstance(change, Augmentation):
        return change
    _check_arguments(change)
    return CheckedFunction(change)


def _check_arguments(function: Callable[..., Any]) -> None:
    """Refuse classes, and functions that do not take images and a generator."""
    name = getattr(function, "__name__", repr(function))
    if isinstance(function, type):
        raise ValueError(f"augment= holds the class {name}. Expected an object of it: {name}().")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        # Those of some functions in C are not known.
        return
    try:
        signature.bind("images", "generator")
    except TypeError:
        raise ValueError(
            f"The function {name} in augment= takes {signature}. Expected two arguments: images "
            "(n, height, width, channels) and a torch.Generator."
        ) from None
