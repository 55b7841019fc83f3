"""The classifier: its parameters, their documentation, and its kinds of predictions."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, Self

import joblib
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from scipy.special import log_softmax, softmax
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.validation import check_consistent_length

from skcnn._engine._optimizers import Optimizer
from skcnn._engine._sklearn_callbacks import with_callbacks
from skcnn._estimators._base import ConvNetEstimator
from skcnn._estimators._parameters import CONSTRAINTS
from skcnn._targets import ClassTarget
from skcnn._utils import safe_indexing
from skcnn.networks import NetworkSpec


class ConvNetClassifier(ClassifierMixin, ConvNetEstimator):
    """A convolutional network that classifies images.

    Blocks of convolutions and pooling, global pooling, and a head with one output per class,
    trained by stochastic gradient descent on cross-entropy. Images come as paths of files or as
    arrays, in any of the forms described under `fit`. They are standardized by the network itself,
    and may have any size.

    The parameters are in five groups:

    - network: `filters`, `convs_per_block`, `kernel_size`, `pool`, `pool_size`, `activation`,
      `normalization`, `residual`, `dense_units`, `dropout`, `global_pool`, `module`;
    - images and augmentation: `image_shape`, `data_format`, `resize`, `on_error`, `augment`,
      `progressive_resizing`, `test_time_flip`;
    - optimization: `optimizer`, `lr`, `bias_lr_factor`, `lr_schedule`, `weight_decay`,
      `weight_averaging`, `label_smoothing`, `max_epochs`, `batch_size`, `class_weight`;
    - stopping and resuming: `early_stopping`, `validation_fraction`, `n_iter_no_change`, `tol`,
      `warm_start`, `checkpoint_dir`, `callbacks`;
    - machine: `device`, `precision`, `compile`, `deterministic`, `random_state`, `verbose`.

    Start with the eight under Parameters; the defaults of the others serve most images.

    Parameters
    ----------
    filters : int, sequence of int or "auto", default="auto"
        Convolution filters of each block. There are as many blocks as values. Each block halves
        the sides of the image unless `pool` or `pool_size` say otherwise. "auto" takes as many
        of 32, 64, 128, 256 as the image can be halved. ``()`` is a network without convolutions:
        all pixels go to `dense_units`, if any, and to the head.
    image_shape : sequence of (height, width) or (height, width, channels), default=None
        Shape that image files get, in pixels, and that flattened images had. Files without a
        number of channels are read in gray (1) if all are gray, else in RGB (3). None keeps the
        size of files if they all have the same and no side is longer than 128 pixels, and makes
        others 96x96; and it reads rows of a square number of values as square grayscale images,
        of three times a square number as square RGB images, and any others as images one pixel
        high.
    augment : str, Augmentation, callable, torch.nn.Module, sequence of these, or None, \
            default="auto"
        Random changes to each training image in each epoch, in this order: "flip", "shift",
        "cutout", "color", "mixup", "cutmix", or an object with a strength of your choice, such
        as ``Cutout(0.5)``, see `skcnn.augmentation`; a single one is searched as
        ``augment__fraction``. A torch module takes float images (n, channels, height, width) of
        0 to 1, as kornia's do; any other callable takes uint8 or float32 images (n, height,
        width, channels) and a torch.Generator. Both return images of the same shape. "auto" is
        "shift", and None for a `skcnn.networks.Backbone`, which then runs only once per image.
    lr : float, default=0.1
        Learning rate; with a schedule, the highest one.
    max_epochs : int, default=15
        Number of passes over the training images.
    class_weight : dict, "balanced" or None, default=None
        Weight of each class in the loss. "balanced" weights classes inversely to their
        frequencies.
    early_stopping : bool, default=False
        Whether to hold out images for validation, to stop when the loss on them no longer
        falls, and to restore the weights of the epoch where it was lowest.
    random_state : int, RandomState instance or None, default=None
        Decides initial weights, order of the images, augmentation, dropout and the images held
        out. The same number gives the same network, bit for bit, on the CPU of one machine.

    Other Parameters
    ----------------
    convs_per_block : int or sequence of int, default=1
        Convolution layers per block, before its pooling.
    kernel_size : int or sequence of int, default=3
        Side of the convolution windows in pixels, the same for height and width. Images are
        padded with zeros so that a convolution keeps their size.
    pool : {"max", "average"}, None, or a sequence of these, default="max"
        Pooling at the end of each block. None means no pooling.
    pool_size : int or sequence of int, default=2
        Side of the pooling windows in pixels, and their stride.
    activation : {"relu", "leaky_relu", "elu", "gelu", "silu", "tanh"}, default="silu"
        Activation function after each convolution and each dense layer.
    normalization : {"batch"}, None, or a sequence of these, default="batch"
        Batch normalization [1]_ between convolution and activation, or none.
    residual : bool or sequence of bool, default=True
        Whether a shortcut spans the convolutions of a block [2]_.
    dense_units : int, sequence of int or None, default=None
        Units of the dense layers between global pooling and the head.
    dropout : float or sequence of float, default=0.0
        Fraction in [0, 1) of values set to zero at random in training [3]_. A single rate acts
        on the features after global pooling. With one rate per block, each of the others acts on
        the output of its block, and the last one on the features.
    global_pool : {"average", "max", "average_max"} or None, default="average"
        Pooling of the last block's feature maps into features: the average or the maximum of
        each channel, or a quarter of the sum of both (global pooling [4]_). None flattens the
        maps: each pixel of each channel is a feature.
    module : NetworkSpec or callable, default=None
        Another network, in place of the one that the parameters above describe; giving both is
        an error. A specification such as `skcnn.networks.ConvBlocks` is searched as
        ``module__filters``. Your own network is a torch.nn.Module class, or a function that
        returns a module. It is called with those of the keyword arguments `image_shape` (height,
        width, channels), `n_channels` and `n_classes` that its signature names, takes
        standardized float images (n, channels, height, width) and returns logits (n, n_classes).
    data_format : {"auto", "channels_last", "channels_first"}, default="auto"
        Whether images come as (n, height, width, channels) or (n, channels, height, width).
        "auto" reads channels last, and raises an error where that looks wrong.
    resize : {"crop", "pad", "stretch"}, default="stretch"
        How image files of other proportions get the shape of all. "crop" takes the middle, and
        loses two opposite edges. "pad" keeps the proportions, and fills the rest with the mean
        color of the edges. "stretch" keeps the whole image, and changes its proportions.
    on_error : {"raise", "skip"}, default="raise"
        What is done with image files that cannot be read: a single error that names the first
        ten, or training without them, with a warning and the attribute `skipped_`. Skipped files
        get no prediction: their probabilities, logits and features are NaN, and their label is
        None, in an array of objects.
    progressive_resizing : sequence of float, default=None
        Fractions in (0, 1] of their sides that training images are reduced to, the epochs spread
        evenly over them [5]_: ``(0.625, 0.75, 1)`` trains on images of 32x32 pixels at 20x20,
        24x24 and then in full, in little more than half the time. Not with
        ``global_pool=None``, which takes images of one size only.
    test_time_flip : bool, default=False
        Whether to average predictions over each image and its mirror image. Doubles the
        prediction time; use it only where flips are valid.
    optimizer : {"sgd", "rmsprop", "adam", "adamw", "muon"}, specification of \
            `skcnn.optimizers`, or torch.optim.Optimizer class, default="muon"
        "sgd" has Nesterov momentum 0.9, "rmsprop" the settings of Keras. "muon" takes
        orthogonalized steps for the filters of convolutions [6]_ and the steps of "sgd" for
        everything else, both at the learning rate `lr`. Options are those of a specification,
        such as ``SGD(momentum=0.8)``, searched as ``optimizer__momentum``.
    bias_lr_factor : float, default=1.0
        Multiplier on `lr` for biases and normalization layers [7]_. 4 speeds up early training;
        16 adds little and hurts on small data sets.
    lr_schedule : {"onecycle", "cosine"} or None, default="onecycle"
        Learning-rate schedule over the batches of one call of `fit`: up for a fifth of them and
        down to zero [8]_, down along half a cosine [9]_, or constant.
    weight_decay : float, default=5e-4
        Decay of the weights, but not of biases and normalization layers.
    weight_averaging : float, default=0.0
        Fraction in [0, 1] of the batches of one call of `fit`, the last ones, over which the
        weights are averaged at the end [10]_: 0.25 averages over the last quarter. A training
        that stops early does without.
    label_smoothing : float, default=0.1
        Fraction in [0, 1) of the target that is spread evenly over all classes [11]_.
    batch_size : int or "auto", default="auto"
        Images per step of the optimizer. "auto" takes the largest of 32, 64 and 128 that makes
        at least 60 batches per epoch, and 32 where none does: small data sets need small batches
        to take enough steps.
    validation_fraction : float, default=0.1
        Fraction in (0, 1) of the images held out, in equal proportions of all classes, if
        `early_stopping` is set and `fit` gets no `X_val`.
    n_iter_no_change : int, default=10
        Epochs without improvement after which early stopping ends the training.
    tol : float, default=1e-4
        Smallest decrease of the validation loss that counts as an improvement.
    warm_start : bool, default=False
        Whether another call of `fit` continues from the fitted weights.
    checkpoint_dir : str or joblib.Memory, default=None
        Folder for training checkpoints. A later fit on the same images with the same parameters
        but more epochs resumes from the longest one, with bit-identical results: successive
        halving, for example. That needs a constant learning rate, ``lr_schedule=None``, a number
        for `random_state`, and no `early_stopping`, `progressive_resizing`, `callbacks` or
        functions of your own; otherwise a warning names the obstacle, and training begins from
        the start. A damaged checkpoint is named in a warning, and its epochs are trained again.
        Each checkpoint takes two to four times the memory of the weights.
        Checkpoints are never deleted automatically.
    callbacks : list of skorch callbacks, default=None
        Classes, instances or (name, callback) pairs, see `skorch.callbacks`. A callback that
        sets the learning rate needs ``lr_schedule=None``.
    device : str or torch.device, default="auto"
        "auto" takes the first of "cuda", "xpu", "mps" and "cpu" that is available.
    precision : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        Floating-point type of training and of validation during training [12]_. "auto" is
        bfloat16 where the hardware multiplies it fast (AMD CPUs with avx512_bf16, Intel CPUs with
        AMX, CUDA GPUs from compute capability 8.0), float16 on GPUs from 7.0, and float32
        elsewhere. Weights are stored, and predictions made, in float32.
    compile : bool, default=False
        Whether to train through `torch.compile`, which takes a while at first and needs a C++
        compiler. The fitted network is the uncompiled one.
    deterministic : bool, default=False
        Whether a GPU, too, gives the same network bit for bit for the same `random_state`, at
        the cost of speed.
    verbose : int, default=0
        0 is silent, 1 shows a progress bar with the figures of the epoch.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    n_features_in_ : int
        Values per image: height * width * channels.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the pixels, if X was a DataFrame.
    image_shape_ : tuple of (height, width, channels)
        Shape of one image.
    skipped_ : DataFrame
        The image files that the last fit left out: `argument` ("X" or "X_val"), `row`, `path` and
        `reason`. Only if image files were fitted with ``on_error="skip"``.
    net_ : skorch.NeuralNet
        The fitted skorch net.
    module_ : skcnn.networks.ImageNetwork
        The fitted torch network, from images (n, height, width, channels) to logits.
    device_ : torch.device
        Device the network is on.
    history_ : DataFrame
        One row per epoch, with `train_loss`, `valid_loss`, `valid_accuracy`, `lr` (of the last
        batch) and `seconds`; NaN where nothing was measured. Figures of callbacks follow.
    loss_curve_ : list of float
        The training loss of each epoch.
    n_iter_ : int
        Number of epochs trained.
    best_epoch_ : int
        The epoch whose weights were restored, counted from 1. Only with `early_stopping`.

    See Also
    --------
    skcnn.datasets.fetch_cifar100 : Real photographs to try it on.
    skcnn.datasets.make_organisms : Generated images to try it on.
    skcnn.networks.ConvBlocks : The network, with four more parameters.

    References
    ----------
    .. [1] Ioffe, Szegedy: Batch normalization. ICML 2015.
    .. [2] He, Zhang, Ren, Sun: Deep residual learning for image recognition. CVPR 2016.
    .. [3] Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov: Dropout. JMLR 15, 2014.
    .. [4] Lin, Chen, Yan: Network in network. ICLR 2014.
    .. [5] Touvron, Vedaldi, Douze, Jegou: Fixing the train-test resolution discrepancy.
       NeurIPS 2019.
    .. [6] Jordan et al.: Muon: an optimizer for hidden layers in neural networks. 2024,
       https://kellerjordan.github.io/posts/muon/.
    .. [7] Jordan: 94% on CIFAR-10 in 3.29 seconds on a single GPU. 2024, arXiv:2404.00498.
    .. [8] Smith, Topin: Super-convergence: very fast training of neural networks using large
       learning rates. 2018, arXiv:1708.07120.
    .. [9] Loshchilov, Hutter: SGDR: stochastic gradient descent with warm restarts. ICLR 2017.
    .. [10] Izmailov, Podoprikhin, Garipov, Vetrov, Wilson: Averaging weights leads to wider optima
       and better generalization. UAI 2018.
    .. [11] Szegedy, Vanhoucke, Ioffe, Shlens, Wojna: Rethinking the Inception architecture for
       computer vision. CVPR 2016.
    .. [12] Micikevicius et al.: Mixed precision training. ICLR 2018.

    Examples
    --------
    >>> from sklearn.model_selection import train_test_split
    >>> from skcnn import ConvNetClassifier
    >>> from skcnn.datasets import make_organisms
    >>> X, y = make_organisms(n_samples=600, n_classes=3, image_size=16, random_state=0)
    >>> X.shape, X.dtype
    ((600, 16, 16, 3), dtype('uint8'))
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    >>> clf = ConvNetClassifier(filters=(16, 32, 64), random_state=0).fit(X_train, y_train)
    >>> clf.score(X_test, y_test) > 0.8
    True
    """

    _parameter_constraints = CONSTRAINTS

    def __init__(
        self,
        filters: int | Sequence[int] | Literal["auto"] = "auto",
        *,
        convs_per_block: int | Sequence[int] = 1,
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
        resize: str = "stretch",
        on_error: str = "raise",
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
        max_epochs: int = 15,
        batch_size: int | Literal["auto"] = "auto",
        class_weight: dict[Any, float] | Literal["balanced"] | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        warm_start: bool = False,
        checkpoint_dir: str | joblib.Memory | None = None,
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
        X : array-like of images, or paths of image files
            Images in one of these forms, of any real dtype: (n, height, width, channels), or
            (n, channels, height, width) with ``data_format="channels_first"``; grayscale images
            (n, height, width); flattened images (n, n_pixels), also as a DataFrame. Torch
            tensors and memory maps are read as arrays of their shape; a memory map is never
            loaded as a whole.

            Paths (str or PathLike) in a list, an array, a Series or a DataFrame. A DataFrame is
            read as paths if it has a column `path`, or just one column of text. The columns
            `box_x`, `box_y`, `box_width` and `box_height` beside it are the part of each image to
            use, in fractions of it (0 to 1) from its top left corner, or missing for the whole
            image; any other column is an error.
        y : array-like of shape (n,)
            Labels: strings, integers or booleans.
        sample_weight : array-like of shape (n,), default=None
            Weights of the images in the loss, from 0. None weights all images equally.
        X_val : array-like, default=None
            Images for validation, in any of the forms of X, in place of images held out. Without
            `early_stopping` they are only measured: their loss and accuracy go to `history_`.
        y_val : array-like of shape (n_val,), default=None
            Labels of `X_val`.
        groups : array-like of shape (n,), default=None
            Images of the same group, such as one site or one burst of a camera trap, stay
            together when images are held out.

        Returns
        -------
        self : ConvNetClassifier

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
        classes: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
    ) -> Self:
        """Process a batch of data once, at the constant learning rate `lr`.

        Parameters
        ----------
        X : array-like
            Images, as in `fit`.
        y : array-like of shape (n,)
            Their labels.
        classes : array-like of shape (n_classes,), default=None
            All labels there will ever be; needed in the first call unless `y` has them all.
        sample_weight : array-like of shape (n,), default=None
            Weights of the images in the loss, from 0.

        Returns
        -------
        self : ConvNetClassifier

        Raises
        ------
        ValueError
            As in `fit`; and if a label is not among the classes, or ``class_weight="balanced"``.
        """
        if self.class_weight == "balanced":
            raise ValueError(
                'class_weight="balanced" cannot be used with partial_fit, which does not know how '
                "often each class will come. Pass class_weight as a dict."
            )
        if classes is None and hasattr(self, "net_"):
            # A batch need not have all the classes that training continues with.
            classes = self.classes_
        return self._partial_fit(X, y, sample_weight, classes)

    @property
    def classes_(self) -> npt.NDArray[Any]:
        """The labels, sorted."""
        if not hasattr(self, "_target"):
            raise AttributeError(f"This {type(self).__name__} is not fitted and has no classes_.")
        target = self._target
        assert isinstance(target, ClassTarget)
        return target.classes

    def decision_function(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the logits of images.

        Parameters
        ----------
        X : array-like
            Images of the fitted shape, in any of the forms of `fit`.

        Returns
        -------
        logits : ndarray of shape (n, n_classes), or (n,) for two classes
            With two classes, the logit of ``classes_[1]`` minus that of ``classes_[0]``.
        """
        logits = self._outputs(X).astype(np.float64)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict_proba(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the probability of each class for each image.

        Parameters
        ----------
        X : array-like
            Images of the fitted shape, in any of the forms of `fit`.

        Returns
        -------
        probability : ndarray of shape (n, n_classes)
            Columns in the order of `classes_`; each row sums to 1.
        """
        probability: npt.NDArray[np.float64] = softmax(self._outputs(X).astype(np.float64), axis=1)
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
            Columns in the order of `classes_`.
        """
        logits = self._outputs(X).astype(np.float64)
        logarithm: npt.NDArray[np.float64] = log_softmax(logits, axis=1)
        return logarithm

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return the most probable label of each image.

        Parameters
        ----------
        X : array-like
            Images of the fitted shape, in any of the forms of `fit`.

        Returns
        -------
        y : ndarray of shape (n,)
            Labels from `classes_`. If image files were skipped, an array of objects with None in
            their rows.
        """
        outputs = self._outputs(X)
        labels = self._target.decode(self._target.predict(outputs))
        missing = np.isnan(outputs).all(axis=1)
        if missing.any():
            labels = labels.astype(object)
            labels[missing] = None
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
        y : array-like of shape (n,)
            Their labels.
        sample_weight : array-like of shape (n,), default=None
            Weights of the images.

        Returns
        -------
        accuracy : float
        """
        predicted = self.predict(X)
        known = pd.notna(predicted)
        if not known.all():
            check_consistent_length(predicted, y, sample_weight)
            y, predicted = safe_indexing(y, known), predicted[known].astype(self.classes_.dtype)
            sample_weight = None if sample_weight is None else safe_indexing(sample_weight, known)
        return float(accuracy_score(y, predicted, sample_weight=sample_weight))

    def _make_target(
        self, y: npt.NDArray[Any], classes: npt.ArrayLike | None = None
    ) -> ClassTarget:
        return ClassTarget.infer(
            y,
            classes,
            class_weight=self.class_weight,
            label_smoothing=self.label_smoothing,
        )
