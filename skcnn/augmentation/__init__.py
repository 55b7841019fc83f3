"""Random changes to training images, each with its strength as a parameter.

The names that `ConvNetClassifier(augment=...)` takes stand for the classes in this module with
their default strengths: "cutout" means ``Cutout()``. Pass an object for another strength,
``augment=Cutout(0.3)``, and search for the best one as ``augment__fraction``.

Each image gets its own random draw. Only training images are changed.

`Flip` and `Shift` move pixels (`GeometricAugmentation`), and can move a mask with its image.
`Color` and `Cutout` change pixel values; masks stay as they are. `MixUp` and `CutMix` mix pairs of
images and their labels (`MixingAugmentation`).
"""

from skcnn.augmentation._base import Augmentation, GeometricAugmentation, MixingAugmentation
from skcnn.augmentation._geometric import Flip, Shift
from skcnn.augmentation._mixing import CutMix, MixUp
from skcnn.augmentation._names import AUGMENTATIONS, as_augmentation
from skcnn.augmentation._pixel_values import Color, Cutout

__all__ = [
    "AUGMENTATIONS",
    "Augmentation",
    "Color",
    "CutMix",
    "Cutout",
    "Flip",
    "GeometricAugmentation",
    "MixUp",
    "MixingAugmentation",
    "Shift",
    "as_augmentation",
]
