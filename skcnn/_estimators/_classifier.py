"""The classifier: its parameters, their documentation, and its kinds of predictions."""

import os
from collections.abc import Callable, Sequence
from typing import Any, Literal, Self

import joblib
import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import ClassifierMixin
from sklearn.utils import Tags

from skcnn._engine._optimizers import Optimizer
from skcnn._engine._sklearn_callbacks import with_callbacks
from skcnn._estimators._base import ConvNetEstimator
from skcnn._estimators._docs import documented
from skcnn._estimators._parameters import CONSTRAINTS
from skcnn._from_r import as_column
from skcnn._targets import (
    ClassifierTarget,
    ClassTarget,
    MultilabelTarget,
    MultioutputTarget,
)
from skcnn._targets._multilabel import is_indicator_matrix
from skcnn._utils import without_missing
from skcnn.networks import NetworkSpec


@documented
class ConvNetClassifier(ClassifierMixin, ConvNetEstimator):
    """A convolutional network that classifies images.

    Blocks of convolutions and pooling, global pooling, and a head with one output per class,
    trained by stochastic gradient descent on cross-entropy. Images come as paths of files or as
    arrays, in any of the forms described under `fit`. They are standardized by the network itself,
    and may have any size.

    An image has one label, or any number of labels, or one label of each of several kinds: the
    shape of y decides.

    The parameters are in five groups:

    - network: `filters`, `convs_per_block`, `kernel_size`, `pool`, `pool_size`, `activation`,
      `normalization`, `residual`, `dense_units`, `dropout`, `global_pool`, `module`;
    - images and augmentation: `image_shape`, `data_format`, `resize`, `on_error`, `cache_dir`,
      `augment`, `progressive_resizing`, `test_time_flip`;
    - optimization: `optimizer`, `lr`, `bias_lr_factor`, `lr_schedule`, `weight_decay`,
      `weight_averaging`, `label_smoothing`, `max_epochs`, `batch_size`, `class_weight`;
    - stopping and resuming: `early_stopping`, `validation_fraction`, `n_iter_no_change`, `tol`,
      `warm_start`, `checkpoint_dir`, `callbacks`;
    - machine: `device`, `precision`, `compile`, `deterministic`, `random_state`, `verbose`.

    Start with the eight under Parameters; the defaults of the others serve most images.

    Parameters
    ----------
    {filters, image_shape}
    augment : str, Augmentation, callable, torch.nn.Module, sequence of these, or None, \
            default="auto"
        {description of augment}
        "auto" is "shift", and None for a `skcnn.networks.Backbone`, which then runs only once
        per image.
    {lr, max_epochs}
    class_weight : dict, "balanced", list of these, or None, default=None
        Weight of each class in the loss. "balanced" weights classes inversely to their
        frequencies. Where y has several columns, a list has an entry for each; in those of a
        matrix of labels, 0 stands for absent and 1 for present.
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
        width, channels), `n_channels` and `n_classes` that its signature names, takes
        standardized float images (n, channels, height, width) and returns logits (n, n_classes).
    {data_format, resize, on_error, cache_dir, progressive_resizing, test_time_flip, optimizer}
    {bias_lr_factor, lr_schedule, weight_decay, weight_averaging}
    label_smoothing : float, default=0.1
        Fraction in [0, 1) of the target that is spread evenly over all classes [szegedy2016]_.
        For a matrix of labels, it is replaced by the frequency of each label.
    {batch_size}
    validation_fraction : float, default=0.1
        Fraction in (0, 1) of the images held out, in equal proportions of all classes, if
        `early_stopping` is set and `fit` gets no `X_val`.
    {n_iter_no_change, tol, warm_start, checkpoint_dir, callbacks, device, precision, compile}
    {deterministic, verbose}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,), or list of these
        The labels, sorted. For a matrix of labels, the numbers of its columns; for several columns
        of labels, a list with those of each.
    {n_features_in_, feature_names_in_, image_shape_, skipped_, net_}
    module_ : skcnn.networks.ImageNetwork
        The fitted torch network, from images (n, height, width, channels) to logits.
    {device_}
    history_ : DataFrame
        One row per epoch, with `train_loss`, `valid_loss`, `valid_accuracy`, `lr` (of the last
        batch) and `seconds`; NaN where nothing was measured. Figures of callbacks follow.
    {loss_curve_, n_iter_, best_epoch_}

    See Also
    --------
    skcnn.datasets.fetch_cifar100 : Real photographs to try it on.
    skcnn.datasets.make_organisms : Generated images to try it on.
    skcnn.networks.ConvBlocks : The network, with four more parameters.

    References
    ----------
    {references}

    Examples
    --------
    >>> from sklearn.model_selection import train_test_split
    >>> from skcnn import ConvNetClassifier
    >>> from skcnn.datasets import make_organisms
    >>> X, y = make_organisms(n_samples=600, n_classes=3, image_size=16, random_state=0)
    >>> X.shape, X.dtype
    ((600, 16, 16, 3), dtype('uint8'))
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    >>> clf = ConvNetClassifier(filters=(16, 32), random_state=0).fit(X_train, y_train)
    >>> clf.score(X_test, y_test) > 0.8
    True
    """

    _parameter_constraints = CONSTRAINTS
    _target: ClassifierTarget

    def __init__(
        self,
        filters: int | Sequence[int] | Literal["auto"] = "auto",
        *,
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
        class_weight: dict[Any, float] | list[Any] | Literal["balanced"] | None = None,
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
        y: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        *,
        X_val: npt.ArrayLike | None = None,
        y_val: npt.ArrayLike | None = None,
        groups: npt.ArrayLike | None = None,
    ) -> Self:
        """Fit the network to images and their labels.

        Parameters
        ----------
        {X}
        y : array-like of shape (n,) or (n, n_columns)
            Labels: strings, integers or booleans. A matrix of 0 and 1, dense or sparse, says
            which of `n_columns` labels each image has, as that of
            `sklearn.preprocessing.MultiLabelBinarizer`. A matrix of other values has a label of
            another kind in each column, such as species and habitat.
        {sample_weight}
        X_val : array-like, default=None
            Images for validation, in any of the forms of X, in place of images held out. Without
            `early_stopping` they are only measured: their loss and accuracy go to `history_`.
        y_val : array-like of shape (n_val,) or (n_val, n_columns), default=None
            Labels of `X_val`.
        {groups}

        Returns
        -------
        self : ConvNetClassifier

        Raises
        ------
        ValueError
            If a parameter, X, y or the weights are not as described, an image file cannot be
            read, or the training loss stops being finite. In the last case, the attribute
            `estimator` of the error is fitted with the best weights so far.
        """
        return self._fit(X, y, sample_weight, X_val, y_val, groups)

    def partial_fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        classes: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
    ) -> Self:
        """Process a batch of data once, at the constant learning rate `lr`.

        Parameters
        ----------
        X : array-like
            Images, as in `fit`.
        y : array-like of shape (n,) or (n, n_columns)
            Their labels, as in `fit`.
        classes : array-like of shape (n_classes,) or list of these, default=None
            All labels there will ever be; needed in the first call unless `y` has them all. For
            several columns of labels, a list with those of each.
        sample_weight : array-like of shape (n,), default=None
            Weights of the images in the loss, from 0. These, and `class_weight`, are scaled to a
            mean of 1 in each call: they compare images of the same call, which should therefore
            be of several classes.

        Returns
        -------
        self : ConvNetClassifier

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
    def classes_(self) -> npt.NDArray[Any] | list[npt.NDArray[Any]]:
        """The labels, sorted; where y has columns of labels, a list with those of each."""
        if not hasattr(self, "_target"):
            raise AttributeError(f"This {type(self).__name__} is not fitted and has no classes_.")
        classes: npt.NDArray[Any] | list[npt.NDArray[Any]] = self._target.classes
        return classes

    def decision_function(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the logits of images.

        Parameters
        ----------
        X : array-like
            Images of the fitted shape, in any of the forms of `fit`.

        Returns
        -------
        logits : ndarray of shape (n, n_classes), or (n,) for two classes
            With two classes, the logit of ``classes_[1]`` minus that of ``classes_[0]``. A list
            of these for several columns of labels.
        """
        logits = self._logits(X)
        decision: npt.NDArray[np.float64] = self._target.decision_function(logits)
        return decision

    def predict_proba(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the probability of each class for each image.

        Parameters
        ----------
        X : array-like
            Images of the fitted shape, in any of the forms of `fit`.

        Returns
        -------
        probability : ndarray of shape (n, n_classes)
            Columns in the order of `classes_`; each row sums to 1. For a matrix of labels, the
            probability that each label is there, so that rows have any sum. A list of these for
            several columns of labels.
        """
        logits = self._logits(X)
        probability: npt.NDArray[np.float64] = self._target.predict_proba(logits)
        return probability

    def predict_log_proba(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the logarithm of the probability of each class for each image.

        Parameters
        ----------
        X : array-like
            Images of the fitted shape, in any of the forms of `fit`.

        Returns
        -------
        log_probability : ndarray of shape (n, n_classes)
            Columns in the order of `classes_`. A list of these for several columns of labels.
        """
        logits = self._logits(X)
        logarithm: npt.NDArray[np.float64] = self._target.predict_log_proba(logits)
        return logarithm

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return the most probable label of each image.

        Parameters
        ----------
        X : array-like
            Images of the fitted shape, in any of the forms of `fit`.

        Returns
        -------
        y : ndarray of shape (n,) or (n, n_columns)
            Labels from `classes_`, in the form of the y of `fit`. Of a matrix of labels, those
            with a probability above 0.5 are there. If image files were skipped, an array of
            objects with None in their rows.
        """
        labels, known = self._labels(X)
        if not known.all():
            labels = labels.astype(object)
            labels[~known] = None
        return labels

    def score(
        self, X: npt.ArrayLike, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> float:
        """Return the accuracy of the predicted labels.

        Parameters
        ----------
        X : array-like
            Images, in any of the forms of `fit`. Files that cannot be read do not count, with
            ``on_error="skip"``.
        y : array-like of shape (n,) or (n, n_columns)
            Their labels. Where an image has several, it counts as correct only if all of them
            are: the subset accuracy.
        sample_weight : array-like of shape (n,), default=None
            Weights of the images.

        Returns
        -------
        accuracy : float
        """
        labels, known = self._labels(X)
        y = as_column(y)
        y, labels, sample_weight = without_missing(~known, y, labels, sample_weight)
        return self._target.accuracy(y, labels, sample_weight)

    def _labels(self, X: npt.ArrayLike) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
        """Return predicted labels, and which of them are of images that could be read."""
        outputs = self._outputs(X)
        labels = self._target.decode(self._target.predict(outputs))
        known = np.asarray(~np.isnan(outputs).all(axis=1))
        return labels, known

    def _logits(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        return self._outputs(X).astype(np.float64)

    def _make_target(
        self,
        y: npt.NDArray[Any],
        classes: Any = None,
        sample_weight: npt.ArrayLike | None = None,
    ) -> ClassifierTarget:
        kind: type[ClassTarget | MultilabelTarget | MultioutputTarget] = ClassTarget
        if y.ndim == 2:
            named = None if classes is None else list(classes)
            indicates = is_indicator_matrix(y) if named is None else np.ndim(named[0]) == 0
            kind = MultilabelTarget if indicates else MultioutputTarget
        # A list is for several columns; each kind of target refuses what is not for it.
        weight: Any = self.class_weight
        return kind.infer(
            y,
            classes,
            class_weight=weight,
            label_smoothing=self.label_smoothing,
        )

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.classifier_tags.multi_label = True
        return tags
