"""Random changes to training images, each with its strength as a parameter.

What `ConvNetClassifier(augment=...)` takes by name, "cutout" for one, is one of these with its
default strength, ``Cutout()``. All are drawn for every image on its own, and act on training
images only.
"""

from skcnn.augmentation._base import Augmentation, MixingAugmentation
from skcnn.augmentation._mixing import CutMix, MixUp
from skcnn.augmentation._names import AUGMENTATIONS, as_augmentation
from skcnn.augmentation._single import Color, Cutout, Flip, Shift

__all__ = [
    "AUGMENTATIONS",
    "Augmentation",
    "Color",
    "CutMix",
    "Cutout",
    "Flip",
    "MixUp",
    "MixingAugmentation",
    "Shift",
    "as_augmentation",
]
