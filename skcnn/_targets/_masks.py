"""Label images: one label per pixel."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from skcnn._targets._base import Target
from skcnn._targets._classes import Labels, check_same_classes, encode
from skcnn._targets._constants import DeviceConstants
from skcnn._targets._split import Rows, Seed, split_with_each_label
from skcnn._targets._weights import class_weights
from skcnn._utils import warn

#: Code of pixels without a label.
NO_LABEL = -1
_MOST_CLASSES = 2**15
_TINY = 1e-6
# From so many labels on, 255 may be what soft edges lead to.
_LEAST_FADED = 8


def labels_of(masks: Iterable[npt.NDArray[Any]], ignore_label: object = None) -> Labels:
    """Return the sorted labels in label images; masked pixels have none."""
    try:
        found = [np.unique(_known(mask)) for mask in masks]
        labels = np.unique(np.concatenate(found)) if found else np.empty(0)
    except TypeError as error:
        raise ValueError(
            f"y has pixels with labels of different types, which cannot be sorted ({error}). "
            "Expected numbers alone or text alone."
        ) from error
    return labels if ignore_label is None else labels[labels != ignore_label]


def _known(mask: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return mask.compressed() if isinstance(mask, np.ma.MaskedArray) else mask


@dataclass(frozen=True, eq=False)
class MaskTarget(Target):
    """One label per pixel: cross-entropy and soft Dice loss of logits, one output per class.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
        The labels, sorted.
    class_weight : ndarray of shape (n_classes,) or None
        Weight of the pixels of each class in the loss.
    ignore_label : label or None
        Label of pixels that have none: they do not count.
    is_flat : bool
        Whether label images come and go as rows of pixels.

    References
    ----------
    Milletari, Navab, Ahmadi: V-Net: fully convolutional neural networks for volumetric medical
    image segmentation. 3DV 2016.

    Examples
    --------
    >>> target = MaskTarget.infer(np.array([[["leaf", "soil"], ["leaf", "?"]]]), ignore_label="?")
    >>> target.classes.tolist(), target.encode(np.array([[["soil", "?"]]])).tolist()
    (['leaf', 'soil'], [[[1, -1]]])
    """

    score_name = "iou"

    classes: Labels
    class_weight: npt.NDArray[np.float64] | None = None
    ignore_label: object = None
    is_flat: bool = False
    _constants: DeviceConstants = field(default_factory=DeviceConstants, init=False, repr=False)

    @classmethod
    def infer(
        cls,
        y: npt.NDArray[Any],
        classes: npt.ArrayLike | None = None,
        *,
        class_weight: dict[Any, float] | str | None = None,
        ignore_label: object = None,
        is_flat: bool = False,
    ) -> Self:
        """Make the target of the labels in label images, or of the classes that are named.

        Raises
        ------
        ValueError
            If there are fewer than two classes, or labels are fractions.
        """
        found = labels_of(y if classes is None else np.asarray(classes)[None], ignore_label)
        if found.dtype.kind == "f":
            if not np.isfinite(found).all():
                raise ValueError(
                    "y has pixels that are missing or infinite. Give pixels without a label a "
                    "number of their own, such as 255, and name it with ignore_label=255."
                )
            if (found != found.round()).any():
                raise ValueError(
                    f"y has pixels with fractions, such as {found[found != found.round()][0]:g}. "
                    "Unknown label type: expected whole numbers or text. Probabilities become "
                    "labels by a threshold: y > 0.5."
                )
        if not 2 <= len(found) <= _MOST_CLASSES:
            value = found[0].item() if len(found) == 1 else None
            got = f"1 class, {value!r}" if len(found) == 1 else f"{len(found)} classes"
            raise ValueError(
                f"y holds {got}. Expected at least 2 classes of pixels to tell apart, beside "
                "those with the ignore_label. If this is the first of several calls of "
                "partial_fit, name all classes there will be with classes=[...]."
            )
        weights = class_weight
        if isinstance(class_weight, str):
            # "balanced": n_pixels / (n_classes * n_pixels_of_class), as in scikit-learn.
            codes = cls(found, None, ignore_label).encode(y)
            counts = np.bincount(codes[codes >= 0], minlength=len(found))
            weights = {
                label: counts.sum() / (len(found) * max(1, count))
                for label, count in zip(found.tolist(), counts.tolist())
            }
        return cls(found, class_weights(weights, found, found), ignore_label, is_flat)

    def warn_of_255(self) -> None:
        """Tell of a class 255 that is probably none, or what an edge fades into."""
        labels = self.classes
        if labels.dtype.kind not in "iu" or labels[-1] != 255 or self.ignore_label is not None:
            return
        others = labels[:-1]
        if len(labels) >= _LEAST_FADED:
            warn(
                f"y has {len(labels)} labels from {labels[0]} to 255, and each is a class. Edges "
                "that fade from 0 to 255, as drawn with a soft brush or resized, have labels that "
                "nobody gave: y > 127 has two. If 255 means that a pixel has no label, say "
                "ignore_label=255."
            )
        elif len(others) > 1 and others[-1] - others[0] == len(others) - 1:
            warn(
                f"y has the labels {others[0]} to {others[-1]} and 255, which is a class like the "
                "others. If it means that a pixel has no label, as in many data sets, say "
                "ignore_label=255."
            )

    def warn_of_unknown(self, masks: Iterable[npt.ArrayLike]) -> None:
        """Tell of labels in masks that are scored, and that no prediction can have."""
        found = labels_of([np.asanyarray(mask) for mask in masks], self.ignore_label)
        known = self.classes.tolist()
        unknown = [label for label in found.tolist() if label not in known]
        if unknown:
            warn(
                f"y has the label {unknown[0]!r}, and the network knows {known}: its pixels count "
                "as wrong. Masks of 0 and 255 have the labels of fit if they are read alike, "
                "such as y > 127."
            )

    @property
    def n_outputs(self) -> int:
        """Number of classes."""
        return len(self.classes)

    @property
    def description(self) -> str:
        """The outputs in words."""
        return f"the logits of {len(self.classes)} classes at each pixel"

    def output_shape(self, image_shape: tuple[int, int, int]) -> tuple[int, ...]:
        """Return the shape of the outputs for one image."""
        return (self.n_outputs, *image_shape[:2])

    def encode(self, y: npt.ArrayLike, name: str = "y") -> npt.NDArray[np.int16]:
        """Number labels by their position in `classes`; pixels without a label get -1."""
        masks: npt.NDArray[Any] = np.asanyarray(y)
        codes = np.full(masks.shape, NO_LABEL, dtype=np.int16)
        for place, mask in zip(codes, masks):
            known = ~np.ma.getmaskarray(mask)
            if self.ignore_label is not None:
                known &= np.asarray(mask != self.ignore_label)
            values, inverse = np.unique(np.asarray(mask)[known], return_inverse=True)
            if len(values):
                place[known] = encode(values, self.classes, name)[inverse.ravel()]
        return codes

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Return the probability of each class at each pixel."""
        return outputs.softmax(1)

    def answer(self, outputs: Tensor) -> Tensor:
        """Return probabilities of shape (n, height, width, n_classes)."""
        return self.probabilities(outputs).permute(0, 2, 3, 1)

    def predict(self, outputs: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
        """Return the index of the most probable class of each pixel."""
        indices: npt.NDArray[np.intp] = outputs.argmax(axis=1)
        return indices

    def decode(self, encoded: npt.NDArray[Any]) -> Labels:
        """Return the labels of indices."""
        labels: Labels = self.classes[encoded]
        return labels

    def loss(self, outputs: Tensor, encoded: Tensor, *, training: bool) -> Tensor:
        """Cross-entropy of the labeled pixels, plus one minus the mean Dice of their classes."""
        # Not by torch's own cross-entropy of maps, which no GPU computes alike each time.
        true = _indicators(encoded, self.n_outputs).to(outputs.dtype)
        known = encoded != NO_LABEL
        logarithm = outputs.log_softmax(1)
        weighted = true
        if self.class_weight is not None:
            weight = self._constants.get("weight", self.class_weight, like=outputs)
            weighted = true * weight[:, None, None]
        n_known = known.sum((1, 2)).clamp_min(1)
        entropy = -(weighted * logarithm).sum((1, 2, 3)) / n_known
        probability = logarithm.exp() * known[:, None]
        size = true.sum((2, 3))
        both = (probability * true).sum((2, 3))
        dice = 2 * both / (probability.sum((2, 3)) + size).clamp_min(_TINY)
        counts = (size > 0).to(outputs.dtype)
        if self.class_weight is not None:
            counts = counts * weight
        # An image without a labeled pixel teaches nothing.
        missed = (counts * (1 - dice)).sum(1) / counts.sum(1).clamp_min(_TINY)
        return entropy + missed

    def score(self, outputs: Tensor, encoded: Tensor) -> Tensor:
        """Mean intersection over union of each image, over the classes in either mask."""
        known = (encoded != NO_LABEL)[:, None]
        true = _indicators(encoded, self.n_outputs)
        guess = _indicators(outputs.argmax(1), self.n_outputs) & known
        both = (true & guess).sum((2, 3)).float()
        either = (true | guess).sum((2, 3)).float()
        there = (either > 0).float()
        return (both / either.clamp_min(1)).sum(1) / there.sum(1).clamp_min(1)

    def check(self, y: npt.ArrayLike, n_images: int, name: str) -> npt.NDArray[Any]:
        """Check label images that come beside those of the training images."""
        masks: npt.NDArray[Any] = np.asanyarray(y)
        if len(masks) != n_images:
            raise ValueError(f"{name} has {len(masks)} label images for {n_images} images.")
        return masks

    def continued(self, new: Self) -> Self:
        """Continue with the same classes, and with the weights set now."""
        self.check_same(new)
        return new

    def check_same(self, other: Self) -> None:
        """Training continues with the same classes only."""
        check_same_classes(self.classes, other.classes)

    def split(
        self,
        encoded: npt.NDArray[Any],
        fraction: float,
        groups: npt.ArrayLike | None,
        random_state: Seed,
    ) -> tuple[Rows, Rows]:
        """Split at random, but train on images of every class."""
        counts = [np.bincount(m[m != NO_LABEL], minlength=self.n_outputs) for m in encoded]
        return split_with_each_label(np.array(counts) > 0, fraction, groups, random_state)

    def moved(self, encoded: Tensor, move: Callable[[Tensor], Tensor]) -> Tensor:
        """Move pixels of label images as those of their images were moved."""
        return move(encoded[..., None])[..., 0]


def _indicators(codes: Tensor, n_classes: int) -> Tensor:
    """Say for each class and pixel whether it is there: (n, n_classes, height, width)."""
    numbers = torch.arange(n_classes, device=codes.device)
    return codes[:, None] == numbers[:, None, None]
