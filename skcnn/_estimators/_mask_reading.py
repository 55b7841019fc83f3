"""Images and label images: how a segmenter reads, cuts and checks them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from skcnn._compute._interrupt import allow_interrupts
from skcnn._data._arrays import as_shape
from skcnn._data._dataset import ImageDataset
from skcnn._data._files import FileImages
from skcnn._data._inputs import AnyImages
from skcnn._data._masks import read_label_files, read_masks
from skcnn._data._paths import as_rows, read_paths
from skcnn._data._pieces import cut_pieces, image_list, piece_size
from skcnn._estimators._reading import Classes, ReadingEstimator, TrainingRows, rows_of
from skcnn._targets import Target
from skcnn.masks._scores import LabelImages


class MaskReadingEstimator(ReadingEstimator):
    """Base of estimators whose y is a label image per image: reads both, and cuts large ones."""

    _takes_covariates = False
    _takes_masked_y = True
    _has_flat_masks: bool

    def _read_rows(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None,
        *,
        continues: bool,
        classes: Classes = None,
        groups: npt.ArrayLike | None = None,
    ) -> TrainingRows:
        asked = self.image_shape_ if continues else self.image_shape
        pixels, masks, rows = self._cut(X, y, asked)
        if rows is not None:
            sample_weight = rows_of(sample_weight, rows, X)
            if groups is not None or len(np.unique(rows)) > 1:
                # Pieces of an image stay together.
                groups = rows if groups is None else rows_of(groups, rows, X)
        return super()._read_rows(
            pixels, masks, sample_weight, continues=continues, classes=classes, groups=groups
        )

    def _read_validation(
        self, X_val: npt.ArrayLike | None, y_val: npt.ArrayLike | None, target: Target
    ) -> ImageDataset | None:
        if X_val is not None and y_val is not None:
            X_val, y_val, _ = self._cut(X_val, y_val, self.image_shape_, "_val")
        return super()._read_validation(X_val, y_val, target)

    def _cut(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        asked: Sequence[int] | None,
        suffix: str = "",
    ) -> tuple[Any, Any, npt.NDArray[np.intp] | None]:
        """Cut images of unequal or large sizes into pieces; return the row of each piece."""
        images = image_list(X, self.data_format)
        if images is None:
            return X, y, None
        wanted = piece_size(images, None if asked is None else as_shape(asked)[:2])
        if wanted is None:
            return X, y, None
        with allow_interrupts():
            pieces = cut_pieces(images, y, wanted, self.ignore_label, suffix)
        pixels = pieces.images
        if self.data_format == "channels_first":
            pixels = np.moveaxis(pixels, -1, 1)
        return pixels, pieces.masks, pieces.rows

    def _check_input(
        self, X: npt.ArrayLike, y: npt.ArrayLike, *, reset: bool
    ) -> tuple[AnyImages, npt.NDArray[Any]]:
        rows = as_rows(X)
        n_images = len(rows if hasattr(rows, "__len__") else np.asarray(rows))
        # Label images are checked here: scikit-learn takes none.
        images, _ = super()._check_input(X, np.zeros(n_images), reset=reset)
        masks, self._has_flat_masks = self._read_masks(y, images)
        return images, masks

    def _read_masks(
        self, y: npt.ArrayLike, images: AnyImages, name: str = "y"
    ) -> tuple[npt.NDArray[Any], bool]:
        files = images.paths if isinstance(images, FileImages) else None
        return read_masks(y, len(images), images.shape[:2], self.resize, name, files)

    def _asked_shape(self, X: npt.ArrayLike) -> Sequence[int] | None:
        # Arrays of images have been cut to it.
        return None if image_list(X, self.data_format) is not None else self.image_shape

    def _check_validation_target(
        self, y_val: npt.ArrayLike, images: AnyImages, target: Target
    ) -> npt.NDArray[Any]:
        with allow_interrupts():
            masks, _ = self._read_masks(y_val, images, "y_val")
            return masks

    def _label_images(self, y: npt.ArrayLike, predicted: LabelImages, X: npt.ArrayLike) -> Any:
        """Read label images of X as fit does, each in the size of the predicted one."""
        paths = read_paths(y, "y")
        if paths is None:
            return y
        size = self.image_shape_[:2]
        sizes = [size if mask is None else np.shape(mask) for mask in predicted]
        return read_label_files(paths, sizes, self.resize, images=read_paths(X))
