"""Base classes of augmentations."""

from inspect import signature
from numbers import Real
from typing import Any, ClassVar, Self

import torch
from torch import Generator, Tensor

from skcnn._utils import Interval, check_values

FRACTION = [Interval(Real, 0, 1, closed="both")]
FRACTION_BELOW_ONE = [Interval(Real, 0, 1, closed="left")]
POSITIVE = [Interval(Real, 0, None, closed="neither")]


class Augmentation:
    """Base class of random changes to training images.

    A subclass implements `__call__`. It may have parameters, under scikit-learn's rules: the
    constructor names each of them, and stores it unchanged in an attribute of the same name.

    Notes
    -----
    On a GPU, `__call__` is recorded once as a CUDA graph and then replayed. So it computes on the
    device of the images, and neither copies values to the CPU nor branches on them.

    Examples
    --------
    >>> from skcnn.augmentation import Cutout
    >>> cutout = Cutout(0.25)
    >>> cutout.get_params()
    {'fraction': 0.25}
    >>> cutout.set_params(fraction=0.5)
    Cutout(fraction=0.5)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {}

    def __post_init__(self) -> None:
        check_values(type(self).__name__, self._parameter_constraints, self.get_params())

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Return changed images.

        Parameters
        ----------
        images : torch.Tensor of shape (n, height, width, channels)
            uint8 from 0 to 255, or float32 of any range. They are not modified.
        generator : torch.Generator
            Source of all random numbers.

        Returns
        -------
        images : torch.Tensor of shape (n, height, width, channels)
            Changed images, of the same dtype and on the same device.
        """
        raise NotImplementedError

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, as scikit-learn's estimators do.

        Parameters
        ----------
        deep : bool, default=True
            Without effect. It is here because scikit-learn passes it.

        Returns
        -------
        parameters : dict
            Names and values of the constructor's parameters.
        """
        return {name: getattr(self, name) for name in signature(type(self)).parameters}

    def set_params(self, **parameters: object) -> Self:
        """Change parameters of this object, as scikit-learn's estimators do.

        Parameters
        ----------
        **parameters : dict
            Names and new values. Parameters that are not named keep their values.

        Returns
        -------
        self : Augmentation
            This object.

        Raises
        ------
        ValueError
            If there is no such parameter or a value is out of range. The object then stays as it
            was.
        """
        current = self.get_params()
        for name in parameters:
            if name not in current:
                raise ValueError(
                    f"Invalid parameter {name!r} for {self!r}. Valid parameters are: "
                    f"{list(current)!r}."
                )
        # A new object checks the values, before this one takes them.
        vars(self).update(vars(type(self)(**current | parameters)))
        return self


class GeometricAugmentation(Augmentation):
    """Base class of augmentations that move pixels and leave their values alone.

    The random draw and its application are two steps, so that an image and its mask can be moved
    in the same way. A subclass implements `draw` and `apply`.

    Examples
    --------
    >>> import torch
    >>> from skcnn.augmentation import Shift
    >>> images = torch.arange(16, dtype=torch.uint8).view(1, 4, 4, 1)
    >>> masks = images.long() // 4
    >>> shift = Shift(0.25)
    >>> drawn = shift.draw(images, torch.Generator().manual_seed(0))
    >>> moved, moved_masks = shift.apply(images, drawn), shift.apply(masks, drawn)
    >>> torch.equal(moved_masks, moved.long() // 4)
    True
    """

    def draw(self, images: Tensor, generator: Generator) -> Any:
        """Draw how each image is moved.

        Parameters
        ----------
        images : torch.Tensor of shape (n, height, width, channels)
            Only their shape and device are used.
        generator : torch.Generator
            Source of all random numbers.

        Returns
        -------
        drawn : object
            Input of `apply`.
        """
        raise NotImplementedError

    def apply(self, images: Tensor, drawn: Any) -> Tensor:
        """Move images, or masks, in the way that was drawn.

        Parameters
        ----------
        images : torch.Tensor of shape (n, height, width, channels)
            Images of the shape that `draw` got, or their masks with one channel of labels. Any
            dtype. They are not modified.
        drawn : object
            Result of `draw`.

        Returns
        -------
        images : torch.Tensor of shape (n, height, width, channels)
            Moved images or masks, of the same dtype. Labels are moved, never interpolated.
        """
        raise NotImplementedError

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Return moved images: ``apply(images, draw(images, generator))``.

        Parameters
        ----------
        images : torch.Tensor of shape (n, height, width, channels)
            uint8 from 0 to 255, or float32 of any range. They are not modified.
        generator : torch.Generator
            Source of all random numbers.

        Returns
        -------
        images : torch.Tensor of shape (n, height, width, channels)
            Moved images, of the same dtype and on the same device.
        """
        return self.apply(images, self.draw(images, generator))


class MixingAugmentation(Augmentation):
    """Base class of augmentations that mix each image with another one of its batch.

    The labels have to be mixed in the same proportions, so `mix` returns the partner of each
    image and the fraction of the mixture that is its own. A subclass implements `mix`.

    Examples
    --------
    >>> import torch
    >>> from skcnn.augmentation import MixingAugmentation
    >>> class Means(MixingAugmentation):
    ...     def mix(self, images, generator):
    ...         n, device = len(images), images.device
    ...         partner = torch.randperm(n, generator=generator, device=device)
    ...         mixed = (images / 2 + images[partner] / 2).to(images.dtype)
    ...         return mixed, partner, torch.full((n,), 0.5, device=device)
    >>> images = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1)
    >>> _, _, fraction_own = Means().mix(images, torch.Generator().manual_seed(0))
    >>> fraction_own
    tensor([0.5000, 0.5000])
    """

    def mix(self, images: Tensor, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Mix each image with another one.

        Parameters
        ----------
        images : torch.Tensor of shape (n, height, width, channels)
            uint8 from 0 to 255, or float32 of any range. They are not modified.
        generator : torch.Generator
            Source of all random numbers.

        Returns
        -------
        images : torch.Tensor of shape (n, height, width, channels)
            Mixed images, of the same dtype and on the same device.
        partner : torch.Tensor of shape (n,), int64
            For each image, the index in the batch of the image that was mixed in.
        fraction_own : torch.Tensor of shape (n,), float32
            For each mixture, the fraction in [0, 1] that comes from the image itself. The target
            of a mixture is ``fraction_own * target + (1 - fraction_own) * target[partner]``.
        """
        raise NotImplementedError

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Return mixed images without what `mix` says about labels.

        Parameters
        ----------
        images : torch.Tensor of shape (n, height, width, channels)
            uint8 from 0 to 255, or float32 of any range. They are not modified.
        generator : torch.Generator
            Source of all random numbers.

        Returns
        -------
        images : torch.Tensor of shape (n, height, width, channels)
            Mixed images, of the same dtype and on the same device.
        """
        return self.mix(images, generator)[0]


def cast_saturating(pixels: Tensor, dtype: torch.dtype) -> Tensor:
    """Convert pixels to a dtype; for integers, round and clip them to its range."""
    if dtype.is_floating_point:
        return pixels.to(dtype)
    info = torch.iinfo(dtype)
    return pixels.round().clamp(info.min, info.max).to(dtype)
