"""From the values of the parameter `augment` to functions that change images."""

import copy
import inspect
from collections.abc import Callable
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


# No augmentation of sense makes images so much darker; a division by 255, or by the standard
# deviation of all pixels, does.
_MUCH_DARKER = 16


def check_changed(change: object, images: Tensor, changed: object) -> Tensor:
    """Return changed images if they may stand for those before, or else refuse.

    Parameters
    ----------
    change : callable
        Augmentation or function that has changed them.
    images : torch.Tensor of shape (n, height, width, channels)
        Images before any change.
    changed : object
        What it has returned.

    Raises
    ------
    ValueError
        If these are no images, of another shape, integers in place of floats, or floats in place
        of integers with another range of values: the network would learn from images unlike all
        that it is to predict.
    """
    if not isinstance(changed, Tensor) or changed.shape != images.shape:
        got = tuple(changed.shape) if isinstance(changed, Tensor) else type(changed).__name__
        raise ValueError(
            f"{_name(change)} in augment= returned {got} for images of shape "
            f"{tuple(images.shape)}. Expected a tensor of the same shape."
        )
    if _is_another_range(images, changed):
        got, given = (str(each.dtype).removeprefix("torch.") for each in (changed, images))
        raise ValueError(
            f"{_name(change)} in augment= returned {got} up to {changed.abs().max():.3g} for "
            f"images of {given} up to {images.max():.3g}. Expected the same type and the same "
            "range of values: for uint8 from 0 to 255, for example "
            "changed.round().clamp(0, 255).to(images.dtype)."
        )
    return changed


def _name(change: object) -> str:
    # Only for errors: to write an object takes longer than to look at what it has returned.
    return str(getattr(change, "__name__", None) or repr(change))


def _is_another_range(images: Tensor, changed: Tensor) -> bool:
    # Of the same type, nothing is looked at: on a GPU, each look makes training wait.
    if changed.dtype.is_floating_point == images.dtype.is_floating_point:
        return False
    if images.dtype.is_floating_point:
        return True
    # Noise in floats is as good as in integers. Images that are all black fit any range.
    highest = float(changed.abs().max())
    return highest > 0 and highest * _MUCH_DARKER < float(images.max())


def as_augmentation(change: Any) -> Callable[[Tensor, Generator], Tensor]:
    """Return a function of images and a generator for one value of the parameter `augment`.

    Parameters
    ----------
    change : str, Augmentation, torch.nn.Module or callable
        A name in `AUGMENTATIONS` gives a new object with default parameters. A module is copied
        and wrapped. Any other function is returned as it is.

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
    function: Callable[[Tensor, Generator], Tensor] = change
    return function


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
