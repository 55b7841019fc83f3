"""Base of the estimators: fit and predict as a template, whatever the target."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Self

import numpy.typing as npt
from sklearn.base import clone
from sklearn.utils import Tags

from skcnn._compute._device import find_device, find_precision
from skcnn._compute._interrupt import (
    InterruptHold,
    hold_interrupts,
    is_in_search,
)
from skcnn._compute._rng import draw_seed
from skcnn._compute._threads import ThreadLimitMixin
from skcnn._data._conversion import from_torch
from skcnn._data._dataset import ImageDataset
from skcnn._engine._best_weights import NotFiniteError
from skcnn._engine._checkpoints import CheckpointRequest
from skcnn._engine._early_stopping import RestoreBest, StopEarly
from skcnn._engine._fit import fit_net
from skcnn._engine._history import ends_within_epoch, warn_of_interrupt, whole_epochs
from skcnn._engine._job import FitJob, FitSettings
from skcnn._engine._net import TrainedNet
from skcnn._engine._optimizers import specification_of
from skcnn._engine._schedule import choose_epochs
from skcnn._engine._sklearn_callbacks import CallbackSupportMixin, FitTask
from skcnn._engine._storing import without_state
from skcnn._estimators._fitted import FittedNetEstimator
from skcnn._estimators._parameters import (
    check_parameters,
    flat_spec,
    parameters_of,
    validate_each,
)
from skcnn._estimators._reading import Classes, ReadingEstimator
from skcnn._from_r import whole
from skcnn._targets import Target
from skcnn._utils import as_tuple, restored_on_error
from skcnn.augmentation import as_augmentation
from skcnn.networks import NetworkSpec
from skcnn.networks._spec import OwnModule

# Parameters that hold objects with parameters of their own, and an example of each.
_SLOTS = {
    "module": "skcnn.networks.ConvBlocks()",
    "augment": "skcnn.augmentation.Shift()",
    "optimizer": "skcnn.optimizers.Muon()",
}
# Private attributes that a fit sets, those of all estimators included.
_FITTED_PRIVATE = {
    "_costs",
    "_covariates",
    "_has_flat_masks",
    "_has_image_column",
    "_n_features_out",
    "_pixel_range",
    "_random_state",
    "_spec",
    "_split_seed",
    "_target",
}


class ConvNetEstimator(
    ThreadLimitMixin,
    CallbackSupportMixin,
    ReadingEstimator,
    FittedNetEstimator,
):
    """Base of estimators that hold a skorch net.

    A subclass is its signature, its documentation, its `_make_target`, and its way to read
    predictions from `_outputs`. Only what holds for every target belongs here. What a fit learns
    from is in `ReadingEstimator`, and what a fitted net offers in `FittedNetEstimator`.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]]
    n_features_in_: int

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
        continues = self.warm_start and hasattr(self, "net_")
        rows = self._read_rows(X, y, sample_weight, continues=continues, groups=groups)
        training_rows = held_out = None
        if X_val is None and y_val is None and self.early_stopping:
            training_rows, held_out = rows.target.split(
                rows.encoded, self.validation_fraction, rows.groups, self._split_seed
            )
        if not continues:
            rows = self._fit_covariates(rows, training_rows)
        validation = self._read_validation(X_val, y_val, rows.target)
        if held_out is not None:
            validation = rows.dataset(held_out)
        dataset = rows.dataset(training_rows)
        is_auto = isinstance(self.max_epochs, str)
        epochs = choose_epochs(len(dataset)) if is_auto else int(self.max_epochs)
        task = FitTask(self, epochs, X=X, y=y, metadata=metadata)
        stopper = StopEarly(int(self.n_iter_no_change), self.tol)
        callbacks = list(self.callbacks or ())
        if self.early_stopping:
            callbacks = [RestoreBest(stopper), *callbacks, stopper]
        self._train(
            dataset,
            rows.target,
            epochs,
            continues=continues,
            clip_pool_size=rows.images.shape_inferred,
            validation=validation,
            schedule=self.lr_schedule,
            averaging=self.weight_averaging,
            open_ended=self.early_stopping,
            callbacks=task.wrap_callbacks(callbacks),
        )
        if self.early_stopping:
            self.best_epoch_ = stopper.best_epoch_
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
        _check_class_weight_is_known(getattr(self, "class_weight", None))
        y, sample_weight, classes = map(from_torch, (y, sample_weight, classes))
        continues = hasattr(self, "net_")
        rows = self._read_rows(X, y, sample_weight, continues=continues, classes=classes)
        if not continues:
            rows = self._fit_covariates(rows, None)
        self._train(
            rows.dataset(),
            rows.target,
            1,
            continues=continues,
            clip_pool_size=rows.images.shape_inferred,
            callbacks=self.callbacks or (),
        )

    @contextmanager
    def _unchanged_on_error(self, interrupts: InterruptHold) -> Iterator[None]:
        """Leave the estimator as it was, fitted or not, if a fit fails or is refused.

        After Ctrl-C, a fit keeps its epochs, but not one of several: whoever called it would take
        a network that is half trained for a candidate.
        """
        try:
            with restored_on_error(self, is_fitted_state):
                yield
                if self._is_to_end(interrupts):
                    raise KeyboardInterrupt
        except Exception as error:
            if self._is_to_end(interrupts):
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
                self.checkpoint_dir,
                type(self).__qualname__,
                parameters,
                listeners=getattr(self, "_skl_callbacks", ()),
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
        if hasattr(self, "best_epoch_"):
            # Of an earlier training. Early stopping alone sets it again.
            del self.best_epoch_
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
            cache_dir=self.cache_dir,
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
                if slot == "optimizer":
                    example = specification_of(holder)
                raise ValueError(
                    f"{nested[0]} cannot be set, since {slot}={holder!r} has no parameters of its "
                    f"own. Give an object that has them first, for example {slot}={example}."
                )
            params = {slot: clone(holder), **{n: v for n, v in params.items() if n != slot}}
        super().set_params(**params)
        return self

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        assert tags.transformer_tags is not None
        tags.transformer_tags.preserves_dtype = []
        return tags


def is_fitted_state(attribute: str) -> bool:
    """Whether an attribute is set by a fit, and not by scikit-learn's own machinery."""
    return attribute in _FITTED_PRIVATE or attribute.endswith("_")


def _check_class_weight_is_known(class_weight: Any) -> None:
    """Refuse weights that depend on how often each class comes, alone or for one of several."""
    several: Any = [class_weight]
    if isinstance(class_weight, dict):
        several = class_weight.values()
    elif isinstance(class_weight, list):
        several = class_weight
    if any(isinstance(weight, str) for weight in several):
        raise ValueError(
            f"class_weight={class_weight!r} cannot be used with partial_fit, which does not know "
            'how often each class will come. Pass numbers in place of "balanced": a dict of label '
            "and weight."
        )
