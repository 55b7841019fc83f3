"""Several questions about each image: one network with several heads."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Self

import joblib
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from sklearn.utils.metaestimators import available_if

from skcnn._data._inputs import AnyImages, check_input
from skcnn._engine._optimizers import Optimizer
from skcnn._engine._sklearn_callbacks import with_callbacks
from skcnn._estimators._base import ConvNetEstimator
from skcnn._estimators._docs import documented
from skcnn._estimators._parameters import MULTI_TASK_CONSTRAINTS, check_tasks
from skcnn._targets import AnswersTarget, ClassTarget
from skcnn._targets._answers import mean_score, read_answers
from skcnn.networks import NetworkSpec


def _has_classes(estimator: "ConvNetMultiTask") -> bool:
    if "classification" not in estimator.tasks.values():
        raise AttributeError(
            f"None of tasks={estimator.tasks} is a classification. Only classes have "
            "probabilities."
        )
    return True


@documented
class ConvNetMultiTask(ConvNetEstimator):
    """A convolutional network that answers several questions about each image at once.

    Which species, how many, how long: one network looks at the image, and a head of its own
    answers each question. The questions share what the network has learned to see, and training
    takes the time of one. Answers may be missing: a head learns nothing from an image whose
    answer is not known, and the others do.

    Each head is as in `ConvNetClassifier` or `ConvNetRegressor`. The loss is the sum of the losses
    of all heads, each in a unit of its own [caruana1997]_: cross-entropies as they are, and those
    of numbers relative to the spread of the training images.

    The parameters are in five groups:

    - questions: `tasks`, `task_weights`, `class_weight`, `label_smoothing`;
    - network: `filters`, `convs_per_block`, `kernel_size`, `pool`, `pool_size`, `activation`,
      `normalization`, `residual`, `dense_units`, `dropout`, `global_pool`, `module`;
    - images and augmentation: `image_shape`, `data_format`, `resize`, `on_error`, `cache_dir`,
      `augment`, `progressive_resizing`, `test_time_flip`;
    - training: `optimizer`, `lr`, `bias_lr_factor`, `lr_schedule`, `weight_decay`,
      `weight_averaging`, `max_epochs`, `batch_size`, `early_stopping`, `validation_fraction`,
      `n_iter_no_change`, `tol`, `warm_start`, `checkpoint_dir`, `callbacks`;
    - machine: `device`, `precision`, `compile`, `deterministic`, `random_state`, `verbose`.

    Start with the nine under Parameters; the defaults of the others serve most images.

    Parameters
    ----------
    tasks : dict of str to str
        The questions. The keys are the names of their columns in y. The values say what an answer
        is: "classification" for a label, or the loss of a number, "squared_error",
        "absolute_error", "poisson" for counts, or "gamma" for positive numbers that differ by
        factors.
    {filters, image_shape}
    augment : str, Augmentation, callable, torch.nn.Module, sequence of these, or None, \
            default="auto"
        {description of augment}
        "auto" is None if one of the tasks asks for a number, which a change may make wrong, and as
        in `ConvNetClassifier` otherwise.
    {lr, max_epochs}
    task_weights : dict of str to float, default=None
        Factors, from 0, on the losses of some questions. It is 1 for the others, and for all with
        None.
    {early_stopping, random_state}

    Other Parameters
    ----------------
    {convs_per_block, kernel_size, pool, pool_size, activation, normalization, residual}
    {dense_units, dropout}
    global_pool : {"average", "max", "average_max"} or None, default="average"
        {description of global_pool}
    module : NetworkSpec or callable, default=None
        Another network, in place of the one that the parameters above describe; giving both is
        an error. A specification such as `skcnn.networks.ConvBlocks` is searched as
        ``module__filters``. Your own network is a torch.nn.Module class, or a function that
        returns a module. It is called with those of the keyword arguments `image_shape` (height,
        width, channels), `n_channels` and `n_outputs` that its signature names, takes
        standardized float images (n, channels, height, width) and returns (n, n_outputs): in the
        order of `tasks`, a logit per class, and one output per number.
    {data_format, resize, on_error, cache_dir, progressive_resizing, test_time_flip, optimizer}
    {bias_lr_factor, lr_schedule, weight_decay, weight_averaging}
    class_weight : dict of str to (dict or "balanced"), "balanced", or None, default=None
        Weights of the classes in the losses of some questions, such as ``{"species": {"fox":
        2}}``. "balanced" weights the classes of all questions inversely to their frequencies.
    label_smoothing : float, default=0.1
        Fraction in [0, 1) of the target that is spread evenly over all classes of a question
        [szegedy2016]_.
    {batch_size}
    validation_fraction : float, default=0.1
        Fraction in (0, 1) of the images held out at random if `early_stopping` is set and `fit`
        gets no `X_val`. A class of a single image stays in training.
    {n_iter_no_change, tol, warm_start, checkpoint_dir, callbacks, device, precision, compile}
    {deterministic, verbose}

    Attributes
    ----------
    classes_ : dict of str to ndarray
        The labels of each classification, sorted.
    {n_features_in_, feature_names_in_, image_shape_, skipped_, net_}
    module_ : skcnn.networks.ImageNetwork
        The fitted torch network, from images (n, height, width, channels) to the outputs of all
        heads side by side.
    {device_}
    history_ : DataFrame
        One row per epoch, with `train_loss`, `valid_loss`, `lr` (of the last batch) and
        `seconds`, and the loss of each question, such as `train_loss_species` and
        `valid_loss_species`: the mean over images whose answer is known, without the factor of
        `task_weights`. NaN where nothing was measured.
    {loss_curve_, n_iter_, best_epoch_}

    See Also
    --------
    ConvNetClassifier : One question, or several whose answers are all classes.
    ConvNetRegressor : Numbers.

    References
    ----------
    {references}

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skcnn import ConvNetMultiTask
    >>> from skcnn.datasets import make_organisms
    >>> X, species = make_organisms(n_samples=400, n_classes=3, image_size=16, random_state=0)
    >>> y = pd.DataFrame({"species": species, "brightness": X.mean(axis=(1, 2, 3))})
    >>> y.loc[::2, "brightness"] = np.nan
    >>> net = ConvNetMultiTask(
    ...     {"species": "classification", "brightness": "squared_error"},
    ...     filters=(16, 32),
    ...     max_epochs=20,
    ...     random_state=0,
    ... )
    >>> net.fit(X[:300], y[:300]).predict(X[300:]).columns.tolist()
    ['species', 'brightness']
    >>> net.score(X[300:], y[300:]) > 0.7
    True
    """

    _parameter_constraints = MULTI_TASK_CONSTRAINTS
    _takes_masked_y = True
    _target: AnswersTarget

    def __init__(
        self,
        tasks: dict[str, str],
        *,
        filters: int | Sequence[int] | Literal["auto"] = "auto",
        convs_per_block: int | Sequence[int] = 2,
        kernel_size: int | Sequence[int] = 3,
        pool: str | Sequence[str | None] | None = "max",
        pool_size: int | Sequence[int] = 2,
        activation: str = "silu",
        normalization: str | Sequence[str | None] | None = "batch",
        residual: bool | Sequence[bool] = True,
        dense_units: int | Sequence[int] | None = None,
        dropout: float | Sequence[float] = 0.0,
        global_pool: str | None = "average",
        module: NetworkSpec | Callable[..., torch.nn.Module] | None = None,
        image_shape: Sequence[int] | None = None,
        data_format: str = "auto",
        resize: str = "pad",
        on_error: str = "raise",
        cache_dir: str | os.PathLike[str] | None = None,
        augment: Any = "auto",
        progressive_resizing: Sequence[float] | None = None,
        test_time_flip: bool = False,
        optimizer: Optimizer = "muon",
        lr: float = 0.1,
        bias_lr_factor: float = 1.0,
        lr_schedule: str | None = "onecycle",
        weight_decay: float = 5e-4,
        weight_averaging: float = 0.0,
        label_smoothing: float = 0.1,
        max_epochs: int | Literal["auto"] = "auto",
        batch_size: int | Literal["auto"] = "auto",
        task_weights: dict[str, float] | None = None,
        class_weight: dict[str, Any] | Literal["balanced"] | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        warm_start: bool = False,
        checkpoint_dir: str | os.PathLike[str] | joblib.Memory | None = None,
        callbacks: Sequence[Any] | None = None,
        device: str | torch.device = "auto",
        precision: str = "auto",
        compile: bool = False,
        deterministic: bool = False,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.tasks = tasks
        self.filters = filters
        self.convs_per_block = convs_per_block
        self.kernel_size = kernel_size
        self.pool = pool
        self.pool_size = pool_size
        self.activation = activation
        self.normalization = normalization
        self.residual = residual
        self.dense_units = dense_units
        self.dropout = dropout
        self.global_pool = global_pool
        self.module = module
        self.image_shape = image_shape
        self.data_format = data_format
        self.resize = resize
        self.on_error = on_error
        self.cache_dir = cache_dir
        self.augment = augment
        self.progressive_resizing = progressive_resizing
        self.test_time_flip = test_time_flip
        self.optimizer = optimizer
        self.lr = lr
        self.bias_lr_factor = bias_lr_factor
        self.lr_schedule = lr_schedule
        self.weight_decay = weight_decay
        self.weight_averaging = weight_averaging
        self.label_smoothing = label_smoothing
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.task_weights = task_weights
        self.class_weight = class_weight
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.checkpoint_dir = checkpoint_dir
        self.callbacks = callbacks
        self.device = device
        self.precision = precision
        self.compile = compile
        self.deterministic = deterministic
        self.random_state = random_state
        self.verbose = verbose

    @with_callbacks
    def fit(
        self,
        X: npt.ArrayLike,
        y: Any,
        sample_weight: npt.ArrayLike | None = None,
        *,
        X_val: npt.ArrayLike | None = None,
        y_val: Any = None,
        groups: npt.ArrayLike | None = None,
    ) -> Self:
        """Fit the network to images and the answers to all questions.

        Parameters
        ----------
        {X}
        y : DataFrame, dict of array-like, or array-like of shape (n, n_tasks)
            One column for each question: labels, or numbers. None and NaN are missing answers.
            A DataFrame or dict may have other columns, too, which are not read; the columns of
            an array are in the order of `tasks`. Searches and cross-validation need a DataFrame
            or an array, of which they take rows.
        {sample_weight}
        X_val : array-like, default=None
            Images for validation, in any of the forms of X, in place of images held out. Without
            `early_stopping` they are only measured: their losses go to `history_`.
        y_val : as y, default=None
            Answers for `X_val`.
        {groups}

        Returns
        -------
        self : ConvNetMultiTask

        Raises
        ------
        ValueError
            If a parameter, X, y or the weights are not as described, if there is no answer to a
            question, or if the training loss stops being finite.
        """
        return self._fit(X, y, sample_weight, X_val, y_val, groups)

    def partial_fit(
        self,
        X: npt.ArrayLike,
        y: Any,
        classes: Mapping[str, npt.ArrayLike] | None = None,
        sample_weight: npt.ArrayLike | None = None,
    ) -> Self:
        """Process a batch of data once, at the constant learning rate `lr`.

        Parameters
        ----------
        X : array-like
            Images, as in `fit`.
        y : DataFrame, dict of array-like, or array-like of shape (n, n_tasks)
            Answers, as in `fit`. The first call decides in which unit the network learns
            numbers, which should be like those to come.
        classes : dict of str to array-like, default=None
            For each classification, all labels there will ever be; needed in the first call
            unless y has them all.
        sample_weight : array-like of shape (n,), default=None
            Weights of the images in the loss, from 0. These, and `class_weight`, are scaled to a
            mean of 1 in each call: they compare images of the same call, which should therefore
            be of several classes.

        Returns
        -------
        self : ConvNetMultiTask

        Raises
        ------
        ValueError
            As in `fit`; and if a label is not among the classes, or a class weight is "balanced".
        """
        if classes is None and hasattr(self, "net_"):
            # A batch need not have all the classes that training continues with.
            classes = self.classes_
        return self._partial_fit(X, y, sample_weight, classes)

    @property
    def classes_(self) -> dict[str, npt.NDArray[Any]]:
        """The labels of each classification, sorted."""
        if not hasattr(self, "_target"):
            raise AttributeError(f"This {type(self).__name__} is not fitted and has no classes_.")
        each = zip(self._target.names, self._target.targets)
        return {name: target.classes for name, target in each if isinstance(target, ClassTarget)}

    def predict(self, X: npt.ArrayLike) -> pd.DataFrame:
        """Return the answers to all questions.

        Parameters
        ----------
        X : array-like
            Images of the fitted shape, in any of the forms of `fit`.

        Returns
        -------
        y : DataFrame of shape (n, n_tasks)
            The most probable label of each classification, and numbers in the unit of the y of
            `fit`. Its index is that of X, where X is a DataFrame. Image files that were skipped
            have None and NaN.
        """
        outputs = self._outputs(X)
        target = self._target
        answers = dict(zip(target.names, target.decode_each(target.predict(outputs))))
        unread = np.isnan(outputs).all(axis=1)
        if unread.any():
            for name in self.classes_:
                answers[name] = answers[name].astype(object)
                answers[name][unread] = None
        # Lists have an attribute of this name, too, which is none.
        index = X.index if isinstance(X, pd.DataFrame | pd.Series) else None
        return pd.DataFrame(answers, index=index)

    @available_if(_has_classes)
    def predict_proba(self, X: npt.ArrayLike) -> dict[str, npt.NDArray[np.float64]]:
        """Return the probabilities of the classes of each classification.

        Parameters
        ----------
        X : array-like
            Images of the fitted shape, in any of the forms of `fit`.

        Returns
        -------
        probability : dict of str to ndarray of shape (n, n_classes)
            For each classification, columns in the order of its `classes_`.
        """
        parts = self._target.split_outputs(self._outputs(X).astype(np.float64))
        each = zip(self._target.names, self._target.targets, parts)
        return {n: t.predict_proba(part) for n, t, part in each if isinstance(t, ClassTarget)}

    def score(self, X: npt.ArrayLike, y: Any, sample_weight: npt.ArrayLike | None = None) -> float:
        """Return the mean over all questions of the accuracy, or D², of their answers.

        A classification counts with its accuracy. A number counts with its D²: the fraction of
        the loss of the best constant that the predictions save, which is R² for
        "squared_error". Missing answers do not count.

        Parameters
        ----------
        X : array-like
            Images of the fitted shape, in any of the forms of `fit`. Files that cannot be read do
            not count, with ``on_error="skip"``.
        y : DataFrame, dict of array-like, or array-like of shape (n, n_tasks)
            Their answers.
        sample_weight : array-like of shape (n,), default=None
            Weights of the images.

        Returns
        -------
        score : float
            At most 1. Questions that have no answer in y are left out.
        """
        predicted = self.predict(X)
        answers = self._target.check(y, len(predicted), "y")
        return mean_score(self.tasks, answers, predicted, sample_weight)

    def _check_input(
        self, X: npt.ArrayLike, y: Any, *, reset: bool
    ) -> tuple[AnyImages, pd.DataFrame]:
        images, _ = check_input(
            self,
            X,
            reset=reset,
            image_shape=self.image_shape,
            data_format=self.data_format,
            takes_covariates=True,
        )
        return images, read_answers(y, list(self.tasks), len(images))

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_tasks(type(self).__name__, self.tasks, self.task_weights, self.class_weight)

    def _default_augment(self, spec: NetworkSpec) -> tuple[Any, ...]:
        only_classes = set(self.tasks.values()) == {"classification"}
        return super()._default_augment(spec) if only_classes else ()

    def _make_target(
        self,
        y: pd.DataFrame,
        classes: Any = None,
        sample_weight: npt.ArrayLike | None = None,
    ) -> AnswersTarget:
        continues = hasattr(self, "_target") and (self.warm_start or classes is not None)
        return AnswersTarget.infer(
            y,
            self.tasks,
            classes=classes,
            task_weights=self.task_weights,
            class_weight=self.class_weight,
            label_smoothing=self.label_smoothing,
            before=self._target if continues else None,
        )
