"""What a net learns from: X, y and what comes with them, read and checked."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_consistent_length

from skcnn._compute._interrupt import allow_interrupts
from skcnn._compute._process_group import broadcast_from_rank_zero
from skcnn._compute._rng import draw_seed, make_random_state
from skcnn._data._arrays import ImageShape
from skcnn._data._covariates import CovariateEncoder
from skcnn._data._dataset import ImageDataset
from skcnn._data._files import FileImages
from skcnn._data._inputs import AnyImages, check_input
from skcnn._targets import Target
from skcnn._targets._columns import as_table, check_none_missing
from skcnn._targets._split import check_groups
from skcnn._targets._weights import normalize_weights
from skcnn._utils import check_none_hidden, refuse_to_continue, safe_indexing, warn

Classes = npt.ArrayLike | Mapping[str, npt.ArrayLike] | None


@dataclass(frozen=True)
class TrainingRows:
    """Images that could be read, and what is known about them.

    Attributes
    ----------
    images : Images or FileImages
    labels : ndarray or DataFrame
        The y of the user.
    target : Target
    encoded : ndarray
        `labels`, as the target encodes them.
    weight : ndarray of shape (n,) or None
    groups : array-like of shape (n,) or None
    """

    images: AnyImages
    labels: npt.NDArray[Any] | pd.DataFrame
    target: Target
    encoded: npt.NDArray[Any]
    weight: npt.NDArray[np.float64] | None
    groups: npt.ArrayLike | None = None

    def dataset(self, rows: npt.NDArray[np.intp] | None = None) -> ImageDataset:
        """Return the data set of some rows; None for all."""
        images, encoded, weight = self.images, self.encoded, self.weight
        if rows is not None:
            images, encoded = images.take(rows), encoded[rows]
            weight = None if weight is None else weight[rows]
        return ImageDataset(images, encoded, None if weight is None else normalize_weights(weight))


class ReadingEstimator(BaseEstimator):
    """Base of estimators that learn from images: reads X and y.

    A subclass says in `_make_target` what it learns.
    """

    # Whether X may be a DataFrame with numbers and categories beside the images.
    _takes_covariates: ClassVar[bool] = True
    # Whether y may be a masked array, in which pixels or answers that are hidden do not count.
    _takes_masked_y: ClassVar[bool] = False

    image_shape_: ImageShape
    skipped_: pd.DataFrame
    _covariates: CovariateEncoder | None
    _random_state: np.random.RandomState
    _split_seed: int
    _target: Target

    @abstractmethod
    def _make_target(
        self,
        y: npt.NDArray[Any],
        classes: Any = None,
        sample_weight: npt.ArrayLike | None = None,
    ) -> Target:
        """Return the target of a y; `classes` are those that `partial_fit` names."""

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
        """Read what a fit learns from, and find or continue its target."""
        self._check_none_hidden(y, "y")
        check_none_hidden(sample_weight, "sample_weight")
        check_none_hidden(groups, "groups")
        images, labels = self._read(X, y, reset=not continues)
        images, readable = self._load(images)
        labels, sample_weight, groups = (
            rows_of(part, readable, labels) for part in (labels, sample_weight, groups)
        )
        made = self._make_target(labels, classes, sample_weight)
        target = self._take_target(made, continues=continues)
        encoded = target.encode(labels)
        check_groups(groups, len(encoded))
        weight = target.weights(sample_weight, encoded)
        return TrainingRows(images, labels, target, encoded, weight, groups)

    def _read(
        self, X: npt.ArrayLike, y: npt.ArrayLike, *, reset: bool
    ) -> tuple[AnyImages, npt.NDArray[Any] | pd.DataFrame]:
        if hasattr(self, "skipped_"):
            del self.skipped_
        with allow_interrupts():
            images, checked = self._check_input(X, y, reset=reset)
        if reset:
            self.image_shape_ = images.shape
            self._random_state = broadcast_from_rank_zero(make_random_state(self.random_state))
            # The same images are held out when training continues.
            self._split_seed = draw_seed(self._random_state)
        return images, checked

    def _check_none_hidden(self, y: object, name: str) -> None:
        if not self._takes_masked_y:
            check_none_hidden(y, name)

    def _check_input(
        self, X: npt.ArrayLike, y: npt.ArrayLike, *, reset: bool
    ) -> tuple[AnyImages, npt.NDArray[Any] | pd.DataFrame]:
        """Read images and what is known about them, and check that they fit each other."""
        try:
            images, checked = check_input(
                self,
                X,
                y,
                reset=reset,
                image_shape=self._asked_shape(X),
                data_format=self.data_format,
                takes_covariates=self._takes_covariates,
            )
        except (TypeError, ValueError):
            # scikit-learn says neither where a value is missing, nor always that it is one of y.
            check_none_missing(y)
            raise
        assert checked is not None
        return images, as_table(checked, y)

    def _asked_shape(self, X: npt.ArrayLike) -> Sequence[int] | None:
        """Return the shape that images must have, or that files and flattened images get."""
        shape: Sequence[int] | None = self.image_shape
        return shape

    def _load(self, images: AnyImages) -> tuple[AnyImages, npt.NDArray[np.intp] | None]:
        """Decode image files before training, and say which rows could be read; None for all."""
        if not isinstance(images, FileImages):
            return images, None
        with allow_interrupts():
            loaded, readable = images.load()
        if images.skips:
            skipped = images.report()
            earlier = [self.skipped_] if hasattr(self, "skipped_") else []
            self.skipped_ = pd.concat([*earlier, skipped], ignore_index=True)
        if images.failures:
            warn(
                f"Left out {len(images.failures)} of {len(images)} image file(s) of "
                f"{images.name}, which cannot be read; skipped_ lists them all:"
                f"{images.describe_failures()}"
            )
        return loaded, readable

    def _fit_covariates(
        self, rows: TrainingRows, training_rows: npt.NDArray[np.intp] | None
    ) -> TrainingRows:
        """Encode covariates, with statistics of the training rows; None for all rows."""
        values = rows.images.covariates
        if values is None:
            return rows
        assert self._covariates is not None
        self._covariates.warn_of_labels(values, rows.labels)
        trained = values if training_rows is None else values[training_rows]
        self._covariates = self._covariates.fit(trained, "X")
        encoded = self._covariates.encode(values)
        return replace(rows, images=replace(rows.images, covariates=encoded))

    def _take_target(self, target: Target, *, continues: bool) -> Target:
        """Store the target of this fit, which may continue that of an earlier one."""
        if continues and type(target) is not type(self._target):
            refuse_to_continue(
                self._target.description,
                f"this y asks for {target.description}",
                "Give a y of the same kind",
            )
        self._target = self._target.continued(target) if continues else target
        return self._target

    def _read_validation(
        self, X_val: npt.ArrayLike | None, y_val: npt.ArrayLike | None, target: Target
    ) -> ImageDataset | None:
        if X_val is None and y_val is None:
            return None
        if X_val is None or y_val is None:
            given, missing = ("X_val", "y_val") if y_val is None else ("y_val", "X_val")
            raise ValueError(f"fit got {given} without {missing}. Give both, or neither.")
        self._check_none_hidden(y_val, "y_val")
        with allow_interrupts():
            images, _ = check_input(
                self,
                X_val,
                reset=False,
                data_format=self.data_format,
                takes_covariates=self._takes_covariates,
                name="X_val",
            )
        labels = self._check_validation_target(y_val, images, target)
        images, readable = self._load(images)
        encoded = target.encode(rows_of(labels, readable, labels), "y_val")
        weight = target.weights(None, encoded)
        return TrainingRows(images, labels, target, encoded, weight).dataset()

    def _check_validation_target(
        self, y_val: npt.ArrayLike, images: AnyImages, target: Target
    ) -> npt.NDArray[Any]:
        return target.check(y_val, len(images), "y_val")


def rows_of(values: Any, rows: npt.NDArray[np.intp] | None, images: npt.ArrayLike) -> Any:
    """Return some rows of what has one row per image, or is the same for all images."""
    if rows is None or values is None or np.ndim(values) == 0:
        return values
    check_consistent_length(images, values)
    return safe_indexing(values, rows)
