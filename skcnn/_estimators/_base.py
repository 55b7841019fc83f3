"""Base of the estimators: fit and predict as a template, whatever the target."""

import copy
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin, clone
from sklearn.utils import Tags
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from skcnn._compute._ambient import default_torch_settings
from skcnn._compute._device import find_device, find_precision
from skcnn._compute._fork import computing
from skcnn._compute._interrupt import (
    InterruptHold,
    allow_interrupts,
    hold_interrupts,
    is_in_search,
)
from skcnn._compute._process_group import broadcast_from_rank_zero
from skcnn._compute._rng import draw_seed, make_random_state, own_random_numbers
from skcnn._compute._threads import ThreadLimitMixin
from skcnn._data._arrays import ImageShape, as_shape, from_torch
from skcnn._data._covariates import CovariateEncoder
from skcnn._data._dataset import ImageDataset
from skcnn._data._files import FileImages
from skcnn._data._inputs import AnyImages, check_input
from skcnn._engine._best_weights import NotFiniteError
from skcnn._engine._checkpoints import CheckpointRequest
from skcnn._engine._early_stopping import RestoreBest, StopEarly
from skcnn._engine._fit import (
    FitJob,
    FitSettings,
    ends_within_epoch,
    fit_net,
    warn_of_interrupt,
)
from skcnn._engine._history import as_frame, whole_epochs
from skcnn._engine._inference import infer, plan_inference
from skcnn._engine._net import TrainedNet
from skcnn._engine._sklearn_callbacks import CallbackSupportMixin, FitTask
from skcnn._engine._storing import without_state
from skcnn._estimators._parameters import (
    check_parameters,
    flat_spec,
    parameters_of,
    validate_each,
)
from skcnn._targets import Target
from skcnn._targets._columns import as_table
from skcnn._targets._split import check_groups
from skcnn._targets._weights import normalize_weights
from skcnn._utils import as_tuple, safe_indexing, warn, whole
from skcnn.augmentation import as_augmentation
from skcnn.networks import ImageNetwork, NetworkSpec
from skcnn.networks._spec import OwnModule
from skcnn.networks._summary import NetworkSummary, summarize

# Parameters that hold objects with parameters of their own, and an example of each.
_SLOTS = {
    "module": "ConvBlocks()",
    "augment": "Shift()",
    "optimizer": "Muon()",
}
# Private attributes that a fit sets, those of all estimators included.
_FITTED_PRIVATE = {
    "_costs",
    "_covariates",
    "_has_flat_masks",
    "_n_features_out",
    "_pixel_range",
    "_random_state",
    "_spec",
    "_split_seed",
    "_target",
}

Classes = npt.ArrayLike | Mapping[str, npt.ArrayLike] | None


class ConvNetEstimator(
    ThreadLimitMixin,
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Base of estimators that hold a skorch net.

    A subclass is its signature, its documentation, its `_make_target`, and its way to read
    predictions from `_outputs`. Only what holds for every target belongs here.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]]
    image_shape_: ImageShape
    net_: TrainedNet
    n_features_in_: int
    skipped_: pd.DataFrame
    _covariates: CovariateEncoder | None
    _random_state: np.random.RandomState
    _target: Target

    @abstractmethod
    def _make_target(
        self,
        y: npt.NDArray[Any],
        classes: Any = None,
        sample_weight: npt.ArrayLike | None = None,
    ) -> Target:
        """Return the target of a y; `classes` are those that `partial_fit` names."""

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        if "callbacks" in state:
            state["callbacks"] = without_state(self.callbacks)
        return state

    # ------------------------------------------------------------------ fitting

    def _fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None,
        X_val: npt.ArrayLike | None,
        y_val: npt.ArrayLike | None,
        groups: npt.ArrayLike | None,
    ) -> Self:
        """Fit the network: the body of `fit`."""
        with hold_interrupts() as interrupts:
            with self._unchanged_on_error(interrupts):
                self._fit_or_fail(X, y, sample_weight, X_val, y_val, groups)
            if interrupts.were_raised() or ends_within_epoch(self.net_):
                warn_of_interrupt(self.net_, getattr(self, "best_epoch_", 0))
        return self

    def _fit_or_fail(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None,
        X_val: npt.ArrayLike | None,
        y_val: npt.ArrayLike | None,
        groups: npt.ArrayLike | None,
    ) -> None:
        self._check_parameters()
        y, sample_weight, y_val, groups = map(from_torch, (y, sample_weight, y_val, groups))
        metadata = {} if sample_weight is None else {"sample_weight": sample_weight}
        epochs = int(self.max_epochs)
        task = FitTask(self, epochs, X=X, y=y, metadata=metadata)
        continues = self.warm_start and hasattr(self, "net_")
        images, labels = self._read(X, y, reset=not continues)
        images, readable = self._load(images)
        labels, sample_weight, groups = (
            _rows_of(part, readable, len(labels)) for part in (labels, sample_weight, groups)
        )
        made = self._make_target(labels, sample_weight=sample_weight)
        target = self._take_target(made, continues=continues)
        encoded = target.encode(labels)
        check_groups(groups, len(encoded))
        weight = target.weights(sample_weight, encoded)

        training_rows = held_out = None
        if X_val is None and y_val is None and self.early_stopping:
            training_rows, held_out = target.split(
                encoded, self.validation_fraction, groups, self._split_seed
            )
        if not continues:
            images = self._fit_covariates(images, labels, training_rows)
        validation = self._read_validation(X_val, y_val, target)
        if held_out is not None:
            validation = _dataset(images, encoded, weight, held_out)
        stopper = StopEarly(int(self.n_iter_no_change), self.tol)
        callbacks = list(self.callbacks or ())
        if self.early_stopping:
            callbacks = [RestoreBest(stopper), *callbacks, stopper]
        self._train(
            _dataset(images, encoded, weight, training_rows),
            target,
            epochs,
            continues=continues,
            clip_pool_size=images.shape_inferred,
            validation=validation,
            schedule=self.lr_schedule,
            averaging=self.weight_averaging,
            open_ended=self.early_stopping,
            callbacks=task.wrap_callbacks(callbacks),
        )
        if self.early_stopping:
            self.best_epoch_ = stopper.best_epoch_
        elif hasattr(self, "best_epoch_"):
            del self.best_epoch_
        task.end()

    def _partial_fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None,
        classes: Classes = None,
    ) -> Self:
        """Process a batch of data once: the body of `partial_fit`."""
        with hold_interrupts() as interrupts:
            with self._unchanged_on_error(interrupts):
                self._partial_fit_or_fail(X, y, sample_weight, classes)
            if interrupts.were_raised() or ends_within_epoch(self.net_):
                warn_of_interrupt(self.net_)
        return self

    def _partial_fit_or_fail(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None,
        classes: Classes,
    ) -> None:
        self._check_parameters()
        y, sample_weight, classes = map(from_torch, (y, sample_weight, classes))
        continues = hasattr(self, "net_")
        images, labels = self._read(X, y, reset=not continues)
        images, readable = self._load(images)
        labels, sample_weight = (
            _rows_of(part, readable, len(labels)) for part in (labels, sample_weight)
        )
        made = self._make_target(labels, classes, sample_weight)
        target = self._take_target(made, continues=continues)
        encoded = target.encode(labels)
        weight = target.weights(sample_weight, encoded)
        if not continues:
            images = self._fit_covariates(images, labels, None)
        self._train(
            _dataset(images, encoded, weight),
            target,
            1,
            continues=continues,
            clip_pool_size=images.shape_inferred,
            callbacks=self.callbacks or (),
        )

    @contextmanager
    def _unchanged_on_error(self, interrupts: InterruptHold) -> Iterator[None]:
        """Leave the estimator as it was, fitted or not, if a fit fails or is refused.

        After Ctrl-C, a fit keeps its epochs, but not one of several: whoever called it would take
        a network that is half trained for a candidate.
        """
        before = {name: value for name, value in vars(self).items() if is_fitted_state(name)}
        try:
            yield
            if self._is_to_end(interrupts):
                raise KeyboardInterrupt
        except BaseException as error:
            for name in [name for name in vars(self) if is_fitted_state(name)]:
                delattr(self, name)
            for name, value in before.items():
                setattr(self, name, value)
            if isinstance(error, Exception) and self._is_to_end(interrupts):
                # A search would go on after a fit that fails.
                raise KeyboardInterrupt from error
            raise

    def _is_to_end(self, interrupts: InterruptHold) -> bool:
        """Whether Ctrl-C is for the caller of a fit as well."""
        return interrupts.were_raised() and (interrupts.nested or is_in_search())

    def _train(
        self, dataset: ImageDataset, target: Target, epochs: int, *, continues: bool, **job: Any
    ) -> None:
        """Train the net, new or not, and store what came of it."""
        checkpoint = None
        if self.checkpoint_dir is not None:
            parameters = parameters_of(self)
            checkpoint = CheckpointRequest(
                self.checkpoint_dir, type(self).__qualname__, parameters
            )
        # Drawn before anything can fail, so that the random state moves on all the same.
        settings, seed = self._settings(), draw_seed(self._random_state)
        try:
            net = fit_net(
                FitJob(
                    dataset,
                    self.image_shape_,
                    target,
                    epochs,
                    seed,
                    checkpoint=checkpoint,
                    **job,
                ),
                settings,
                self.net_ if continues else None,
            )
        except Exception as error:
            if isinstance(error, NotFiniteError) and error.net is not None:
                error.estimator = copy.copy(self)
                error.estimator._take_net(error.net)
            # A search continues without this fit, and shows the error.
            error.add_note(f"Training {self!r} failed.")
            raise
        self._take_net(net)

    def _take_net(self, net: TrainedNet) -> None:
        self.net_ = net
        rows = whole_epochs(self.net_.history)
        self.n_iter_ = len(rows)
        self.loss_curve_ = [row["train_loss"] for row in rows]

    def _settings(self) -> FitSettings:
        device, spec = find_device(self.device), self._spec()
        is_auto = isinstance(self.augment, str) and self.augment == "auto"
        augment = self._default_augment(spec) if is_auto else as_tuple(self.augment)
        return FitSettings(
            spec=spec,
            device=device,
            precision=find_precision(self.precision, device),
            optimizer=self.optimizer,
            lr=float(self.lr),
            bias_lr_factor=float(self.bias_lr_factor),
            weight_decay=float(self.weight_decay),
            augment=tuple(as_augmentation(change) for change in augment),
            resizing=as_tuple(getattr(self, "progressive_resizing", None)),
            batch_size=whole(self.batch_size),
            compiles=self.compile,
            deterministic=self.deterministic,
            thread_limit=self._thread_limit,
            verbose=int(self.verbose),
        )

    def _default_augment(self, spec: NetworkSpec) -> tuple[Any, ...]:
        """Return what ``augment="auto"`` stands for."""
        return spec.default_augment

    def _spec(self) -> NetworkSpec:
        """Specification of the network: that of `module`, or of the flat parameters."""
        if self.module is None:
            return flat_spec(parameters_of(self))
        if isinstance(self.module, NetworkSpec):
            spec: NetworkSpec = clone(self.module)
            return spec
        return OwnModule(self.module)

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

    def _check_input(
        self, X: npt.ArrayLike, y: npt.ArrayLike, *, reset: bool
    ) -> tuple[AnyImages, npt.NDArray[Any] | pd.DataFrame]:
        """Read images and what is known about them, and check that they fit each other."""
        images, checked = check_input(
            self,
            X,
            y,
            reset=reset,
            image_shape=self._asked_shape(X),
            data_format=self.data_format,
            takes_covariates=True,
        )
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
        self,
        images: AnyImages,
        labels: npt.NDArray[Any] | pd.DataFrame,
        rows: npt.NDArray[np.intp] | None,
    ) -> AnyImages:
        """Encode covariates, with statistics of the training rows; None for all rows."""
        values = images.covariates
        if values is None:
            return images
        assert self._covariates is not None
        self._covariates.warn_of_labels(values, labels)
        self._covariates = self._covariates.fit(values if rows is None else values[rows], "X")
        return replace(images, covariates=self._covariates.encode(values))

    def _take_target(self, target: Target, *, continues: bool) -> Target:
        """Store the target of this fit, which may continue that of an earlier one."""
        if continues and type(target) is not type(self._target):
            raise ValueError(
                f"Training continues with {self._target.description}, but this y asks for "
                f"{target.description}. Give a y of the same kind, or fit from the start: with "
                "warm_start=False, or a clone of this estimator."
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
        with allow_interrupts():
            images, _ = check_input(
                self,
                X_val,
                reset=False,
                data_format=self.data_format,
                takes_covariates=True,
                name="X_val",
            )
        labels = self._check_validation_target(y_val, images, target)
        images, readable = self._load(images)
        encoded = target.encode(_rows_of(labels, readable, len(labels)), "y_val")
        return _dataset(images, encoded, target.weights(None, encoded))

    def _check_validation_target(
        self, y_val: npt.ArrayLike, images: AnyImages, target: Target
    ) -> npt.NDArray[Any]:
        return target.check(y_val, len(images), "y_val")

    def _check_parameters(self) -> None:
        validate_each(self)
        check_parameters(self)

    def set_params(self, **params: object) -> Self:
        """Set parameters, of this estimator or of objects in its parameters.

        Parameters
        ----------
        **params : dict
            Parameters of the estimator, such as ``lr=0.05``, or of the objects in `module`,
            `augment` and `optimizer`, such as ``module__filters=(32, 64)``. These objects are
            copied first, so that others that hold them, such as a recipe, do not change.

        Returns
        -------
        self : estimator

        Raises
        ------
        ValueError
            If there is no such parameter, or no object that could have it.
        """
        for slot, example in _SLOTS.items():
            nested = [name for name in params if name.startswith(f"{slot}__")]
            if not nested or not hasattr(self, slot):
                continue
            holder = params.get(slot, getattr(self, slot))
            if not hasattr(holder, "get_params") or isinstance(holder, type):
                raise ValueError(
                    f"{nested[0]} cannot be set, since {slot}={holder!r} has no parameters of its "
                    f"own. Give an object that has them first, for example {slot}={example}."
                )
            params = {slot: clone(holder), **{n: v for n, v in params.items() if n != slot}}
        super().set_params(**params)
        return self

    # ------------------------------------------------------------------ the fitted network

    @property
    def module_(self) -> ImageNetwork:
        """The fitted torch network; it takes images (n, height, width, channels)."""
        check_is_fitted(self, "net_")
        network: ImageNetwork = self.net_.module_
        return network

    @property
    def device_(self) -> torch.device:
        """Device the network is on."""
        check_is_fitted(self, "net_")
        return torch.device(self.net_.device)

    @property
    def history_(self) -> pd.DataFrame:
        """Figures of the training: one row per epoch."""
        check_is_fitted(self, "net_")
        return as_frame(self.net_.history, self._target.score_name)

    def transform(self, X: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Return the features of images: the input of the network's head.

        In a pipeline, the network can therefore act as a feature extractor.

        Parameters
        ----------
        X : array-like of shape (n, height, width, channels), (n, height, width) or (n, n_pixels)
            Images of the shape that the network was fitted on.

        Returns
        -------
        features : ndarray of shape (n, n_features), float32

        Raises
        ------
        ValueError
            If X does not fit, or the network of `module` does not say what its features are: by
            attributes `body` and `head`, or as a Sequential that ends in a Linear layer.
        """
        return self._outputs(X, features=True)

    def summary(
        self, image_shape: Sequence[int] | None = None, n_classes: int | None = None
    ) -> NetworkSummary:
        """Describe the network: its layers, their output shapes and parameters.

        Parameters
        ----------
        image_shape : sequence of (height, width) or (height, width, channels), default=None
            Shape of the images, for a network that is not fitted yet. None describes the fitted
            network.
        n_classes : int, default=None
            Number of classes or other outputs, needed together with `image_shape`.

        Returns
        -------
        summary : NetworkSummary
            It prints as a table, and has the attributes `layers`, `n_parameters` and
            `multiply_adds`.

        Raises
        ------
        ValueError
            If only one of the arguments is given, or nothing of such an image is left to pool.
        NotFittedError
            If neither is given and the estimator is not fitted.

        Examples
        --------
        >>> from skcnn import ConvNetClassifier
        >>> print(ConvNetClassifier(filters=(8, 16)).summary((28, 28), n_classes=10))
        layer                    type               output shape  parameters
        --------------------------------------------------------------------
        block1.0.convolutions.0  Conv2d             28 x 28 x 8           72
        ...
        head                     Linear             10                   170
        --------------------------------------------------------------------
        1,578 parameters, 0.3 million multiply-adds (MACs) per image
        """
        if image_shape is None and n_classes is None:
            with hold_interrupts(), computing():
                return summarize(self.module_, self.image_shape_)
        if image_shape is None or n_classes is None:
            raise ValueError(
                f"summary got image_shape={image_shape} and n_classes={n_classes}. Expected both, "
                "or neither to describe the fitted network."
            )
        self._check_parameters()
        shape = as_shape(image_shape)
        settings = default_torch_settings(torch.device("cpu"))
        with hold_interrupts(), own_random_numbers(), settings, computing():
            return summarize(self._spec().build(shape, n_classes), shape)

    @property
    def _n_features_out(self) -> int:
        device = self.device_
        with hold_interrupts(), torch.inference_mode(), computing():
            features = self.module_.features(torch.zeros(1, *self.image_shape_, device=device))
        return features.shape[1]

    def _outputs(self, X: npt.ArrayLike, *, features: bool = False) -> npt.NDArray[np.float32]:
        """Return the outputs of the network for images, or their features."""
        check_is_fitted(self, "net_")
        net, network = self.net_, self.module_
        images, _ = check_input(
            self,
            X,
            reset=False,
            data_format=self.data_format,
            any_size=network.takes_any_size,
            takes_covariates=True,
        )
        device = torch.device(net.device)
        plan, costs = net.plan, net.costs_
        if images.shape != self.image_shape_:
            plan, costs = plan_inference(network, images.shape, device)
        if network.training:
            network.eval()
        return infer(
            network.features if features else network,
            images,
            device,
            plan,
            costs,
            self._thread_limit,
            flip=self.test_time_flip and not features,
        )

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        assert tags.transformer_tags is not None
        tags.transformer_tags.preserves_dtype = []
        return tags


def without_missing(
    missing: npt.NDArray[np.bool_],
    y: npt.ArrayLike,
    predicted: npt.NDArray[Any],
    sample_weight: npt.ArrayLike | None,
) -> tuple[npt.ArrayLike, npt.NDArray[Any], npt.ArrayLike | None]:
    """Leave out the rows of image files that were skipped, before a score is computed."""
    if not missing.any():
        return y, predicted, sample_weight
    check_consistent_length(predicted, y, sample_weight)
    if sample_weight is not None:
        sample_weight = safe_indexing(sample_weight, ~missing)
    return safe_indexing(y, ~missing), predicted[~missing], sample_weight


def is_fitted_state(attribute: str) -> bool:
    """Whether an attribute is set by a fit, and not by scikit-learn's own machinery."""
    return attribute in _FITTED_PRIVATE or attribute.endswith("_")


def _rows_of(values: Any, rows: npt.NDArray[np.intp] | None, n_rows: int) -> Any:
    """Return some rows of what has one row per image, or is the same for all images."""
    if rows is None or values is None or np.ndim(values) == 0:
        return values
    check_consistent_length(values, range(n_rows))
    return safe_indexing(values, rows)


def _dataset(
    images: AnyImages,
    encoded: npt.NDArray[Any],
    weight: npt.NDArray[np.float64] | None,
    rows: npt.NDArray[np.intp] | None = None,
) -> ImageDataset:
    if rows is not None:
        images, encoded = images.take(rows), encoded[rows]
        weight = None if weight is None else weight[rows]
    return ImageDataset(images, encoded, None if weight is None else normalize_weights(weight))
