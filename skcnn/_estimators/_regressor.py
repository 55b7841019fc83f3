"""The regressor: its parameters, their documentation, and its predictions."""

import os
from collections.abc import Callable, Sequence
from typing import Any, Literal, Self

import joblib
import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import Tags

from skcnn._engine._optimizers import Optimizer
from skcnn._engine._sklearn_callbacks import with_callbacks
from skcnn._estimators._base import ConvNetEstimator
from skcnn._estimators._docs import documented
from skcnn._estimators._parameters import REGRESSOR_CONSTRAINTS
from skcnn._targets import NumberTarget
from skcnn._utils import without_missing
from skcnn.networks import NetworkSpec


@documented
class ConvNetRegressor(RegressorMixin, ConvNetEstimator):
    """A convolutional network that predicts numbers from images.

    Counts, lengths, areas, biomass, age, cover: one number per image, or several. Blocks of
    convolutions and pooling, and a head with one output per number, trained by stochastic
    gradient descent on one of five losses. Images come as paths of files or as arrays, in any of
    the forms described under `fit`. They are standardized by the network itself, and may have any
    size. The network learns numbers relative to those of the training images, so that their unit
    does not matter.

    To count, set ``loss="poisson"``. The network then computes a small positive number at each
    place of the image, and its prediction is their sum [lempitsky2010]_. So a count grows with
    the area of the image: `predict` also takes images of other heights and widths than those of
    training, and `skcnn.inspection.DensityDisplay` shows where it counts.

    The parameters are in five groups:

    - network: `filters`, `convs_per_block`, `kernel_size`, `pool`, `pool_size`, `activation`,
      `normalization`, `residual`, `dense_units`, `dropout`, `global_pool`, `module`;
    - images and augmentation: `image_shape`, `data_format`, `resize`, `on_error`, `cache_dir`,
      `augment`, `progressive_resizing`, `test_time_flip`;
    - optimization: `loss`, `quantile`, `optimizer`, `lr`, `bias_lr_factor`, `lr_schedule`,
      `weight_decay`, `weight_averaging`, `max_epochs`, `batch_size`;
    - stopping and resuming: `early_stopping`, `validation_fraction`, `n_iter_no_change`, `tol`,
      `warm_start`, `checkpoint_dir`, `callbacks`;
    - machine: `device`, `precision`, `compile`, `deterministic`, `random_state`, `verbose`.

    Start with the eight under Parameters; the defaults of the others serve most images.

    Parameters
    ----------
    {filters, image_shape}
    augment : str, Augmentation, callable, torch.nn.Module, sequence of these, or None, \
            default=None
        {description of augment}
        Choose only changes that leave the answer as it is: "flip" is right for counts and sizes,
        but not for directions; "shift" repeats what is near the edge, which is wrong for counts;
        "color" is wrong if brightness matters. Those that mix images mix their numbers.
    loss : {"squared_error", "absolute_error", "poisson", "gamma", "quantile"}, \
            default="squared_error"
        What training minimizes. "squared_error" leads to means, "absolute_error" to medians:
        a few wrong numbers matter less. "poisson" is for counts from 0, "gamma" for positive
        numbers that differ by factors, such as biomass; predictions are then positive.
        "quantile" leads to the quantile named below. Squared error and the deviances of
        "poisson" and "gamma" are halved, as in scikit-learn.
    {lr, max_epochs, early_stopping, random_state}

    Other Parameters
    ----------------
    {convs_per_block, kernel_size, pool, pool_size, activation, normalization, residual}
    {dense_units, dropout}
    global_pool : {"auto", "average", "max", "average_max", "sum"} or None, default="auto"
        {description of global_pool}
        "sum" is as described above: dense layers and head see each place of the maps by itself,
        and the positive numbers of all places are added up. "auto" is "sum" with
        ``loss="poisson"``, else "average".
    module : NetworkSpec or callable, default=None
        Another network, in place of the one that the parameters above describe; giving both is
        an error. A specification such as `skcnn.networks.ConvBlocks` is searched as
        ``module__filters``. Your own network is a torch.nn.Module class, or a function that
        returns a module. It is called with those of the keyword arguments `image_shape` (height,
        width, channels), `n_channels` and `n_outputs` that its signature names, takes
        standardized float images (n, channels, height, width) and returns numbers of any sign,
        (n, n_outputs), also with the losses of positive numbers.
    {data_format, resize, on_error, cache_dir, progressive_resizing, test_time_flip}
    quantile : float, default=None
        The quantile in [0, 1] that ``loss="quantile"`` predicts, which needs it; other losses
        ignore it.
    {optimizer, bias_lr_factor, lr_schedule, weight_decay, weight_averaging, batch_size}
    validation_fraction : float, default=0.1
        Fraction in (0, 1) of the images held out at random if `early_stopping` is set and `fit`
        gets no `X_val`.
    {n_iter_no_change, tol, warm_start, checkpoint_dir, callbacks, device, precision, compile}
    {deterministic, verbose}

    Attributes
    ----------
    {n_features_in_, feature_names_in_, image_shape_, skipped_, net_}
    module_ : skcnn.networks.ImageNetwork
        The fitted torch network, from images (n, height, width, channels) to outputs, from which
        `predict` computes numbers in the unit of y.
    {device_}
    history_ : DataFrame
        One row per epoch, with `train_loss`, `valid_loss`, `valid_d2`, `lr` (of the last batch)
        and `seconds`; NaN where nothing was measured. Losses are in units of the spread of y, or
        of its mean with the losses of positive numbers. `valid_d2` is the fraction of the loss of
        a constant, the best one for the training images, that the predictions save: R² for
        squared errors. Figures of callbacks follow.
    {loss_curve_, n_iter_, best_epoch_}

    See Also
    --------
    ConvNetClassifier : Predicts classes.
    skcnn.datasets.make_scenes : Generated images to count and measure in.
    skcnn.inspection.density_map : Where a network counts.
    sklearn.metrics.d2_tweedie_score : A score for counts, with ``power=1``.

    References
    ----------
    {references}

    Examples
    --------
    >>> from sklearn.model_selection import train_test_split
    >>> from skcnn import ConvNetRegressor
    >>> from skcnn.datasets import make_scenes
    >>> scenes = make_scenes(400, image_size=32, count=(0, 9), random_state=0)
    >>> X_train, X_test, y_train, y_test = train_test_split(
    ...     scenes.data, scenes.count, random_state=0
    ... )
    >>> reg = ConvNetRegressor(
    ...     filters=(16, 32), loss="poisson", max_epochs=20, random_state=0
    ... )
    >>> reg.fit(X_train, y_train).score(X_test, y_test) > 0.5
    True
    """

    _parameter_constraints = REGRESSOR_CONSTRAINTS
    _target: NumberTarget

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
        global_pool: str | None = "auto",
        module: NetworkSpec | Callable[..., torch.nn.Module] | None = None,
        image_shape: Sequence[int] | None = None,
        data_format: str = "auto",
        resize: str = "pad",
        on_error: str = "raise",
        cache_dir: str | os.PathLike[str] | None = None,
        augment: Any = None,
        progressive_resizing: Sequence[float] | None = None,
        test_time_flip: bool = False,
        loss: str = "squared_error",
        quantile: float | None = None,
        optimizer: Optimizer = "muon",
        lr: float = 0.1,
        bias_lr_factor: float = 1.0,
        lr_schedule: str | None = "onecycle",
        weight_decay: float = 5e-4,
        weight_averaging: float = 0.0,
        max_epochs: int | Literal["auto"] = "auto",
        batch_size: int | Literal["auto"] = "auto",
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
        self.loss = loss
        self.quantile = quantile
        self.optimizer = optimizer
        self.lr = lr
        self.bias_lr_factor = bias_lr_factor
        self.lr_schedule = lr_schedule
        self.weight_decay = weight_decay
        self.weight_averaging = weight_averaging
        self.max_epochs = max_epochs
        self.batch_size = batch_size
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
        """Fit the network to images and their numbers.

        Parameters
        ----------
        {X}
        y : array-like of shape (n,) or (n, n_outputs)
            Numbers: one per image, or several. From 0 with ``loss="poisson"`` or
            ``global_pool="sum"``, and above 0 with ``loss="gamma"``.
        {sample_weight}
        X_val : array-like, default=None
            Images for validation, in any of the forms of X, in place of images held out. Without
            `early_stopping` they are only measured: their loss and score go to `history_`.
        y_val : array-like of shape (n_val,) or (n_val, n_outputs), default=None
            Numbers of `X_val`.
        {groups}

        Returns
        -------
        self : ConvNetRegressor

        Raises
        ------
        ValueError
            If a parameter, X, y or the weights are not as described, an image file cannot be
            read, or the training loss stops being finite.
        """
        return self._fit(X, y, sample_weight, X_val, y_val, groups)

    def partial_fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
    ) -> Self:
        """Process a batch of data once, at the constant learning rate `lr`.

        Parameters
        ----------
        X : array-like
            Images, as in `fit`.
        y : array-like of shape (n,) or (n, n_outputs)
            Their numbers. The first call decides in which unit the network learns them: its
            numbers should be like those to come.
        sample_weight : array-like of shape (n,), default=None
            Weights of the images in the loss, from 0. They are scaled to a mean of 1 in each
            call, and compare images of the same call.

        Returns
        -------
        self : ConvNetRegressor

        Raises
        ------
        ValueError
            As in `fit`; and if y has another number of columns than before, or the loss has
            changed.
        """
        return self._partial_fit(X, y, sample_weight)

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the numbers of images.

        Parameters
        ----------
        X : array-like
            Images of the fitted shape, in any of the forms of `fit`. With ``global_pool="sum"``,
            which ``loss="poisson"`` has by default, arrays of images may have any height and
            width.

        Returns
        -------
        y : ndarray of shape (n,) or (n, n_outputs)
            Numbers in the unit of the y of `fit`. NaN for image files that were skipped.
        """
        outputs = self._outputs(X)
        return self._target.decode(self._target.predict(outputs))

    def score(
        self, X: npt.ArrayLike, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> float:
        """Return R² of the predicted numbers.

        For counts, ``sklearn.metrics.d2_tweedie_score(y, reg.predict(X), power=1)`` is R² with
        the Poisson deviance in place of the squared error.

        Parameters
        ----------
        X : array-like
            Images, in any of the forms of `predict`. Files that cannot be read do not count, with
            ``on_error="skip"``.
        y : array-like of shape (n,) or (n, n_outputs)
            Their numbers.
        sample_weight : array-like of shape (n,), default=None
            Weights of the images.

        Returns
        -------
        r2 : float
            Of several outputs, the mean.
        """
        predicted = self.predict(X)
        self._target.check_columns(y)
        missing = np.isnan(predicted.reshape(len(predicted), -1)[:, 0])
        y, predicted, sample_weight = without_missing(missing, y, predicted, sample_weight)
        return float(r2_score(y, predicted, sample_weight=sample_weight))

    def _make_target(
        self,
        y: npt.NDArray[Any],
        classes: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
    ) -> NumberTarget:
        return NumberTarget.infer(
            y,
            self.loss,
            quantile=self.quantile,
            sums=self._spec().adds_up,
            sample_weight=sample_weight,
        )

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.positive_only = self.loss in ("poisson", "gamma")
        return tags
