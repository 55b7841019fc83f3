"""The estimators: their parameters, and fit and predict as a short story."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import log_softmax, softmax
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from skcnn._compute._process_group import broadcast_from_rank_zero
from skcnn._compute._rng import draw_seed, make_random_state
from skcnn._data._arrays import Images, check_images
from skcnn._data._dataset import ImageDataset
from skcnn._engine._early_stopping import StopEarly
from skcnn._engine._sklearn_callbacks import FitTask, with_callbacks
from skcnn._estimators._fitting import TrainableEstimator, Training
from skcnn._estimators._parameters import CONSTRAINTS
from skcnn._targets._classes import check_labels, encode, find_classes
from skcnn._targets._split import train_validation_split
from skcnn._targets._weights import class_weights, combine_weights, normalize_weights


class ConvNetClassifier(ClassifierMixin, TrainableEstimator):
    """A convolutional network that classifies images.

    Blocks of convolutions and pooling, a head, and an output layer with one unit a class,
    trained by stochastic gradient descent on cross-entropy. Images come as arrays in any of the
    forms described under `fit`, are standardised by the network itself, and may have any size.

    Parameters
    ----------
    filters : int, sequence of int or "auto", default="auto"
        Convolution filters of each block. As many blocks are built as there are values, and
        each halves the sides of the image unless `pool` or `pool_size` say otherwise. "auto"
        takes as many of 32, 64, 128, 256 as the image can be halved.
    convs_per_block : int or sequence of int, default=1
        Convolution layers of each block, in front of its pooling.
    kernel_size : int or sequence of int, default=3
        Side of the convolution windows in pixels, the same for height and width. Images are
        padded with zeros so that a convolution keeps their size.
    stem : {"whitening"} or None, default=None
        What stands before the blocks. "whitening" is a convolution of windows of 2x2 pixels whose
        filters are computed from the training images, so that what it makes of them is
        uncorrelated and of variance 1 [9]_. They do not change in training.
    pool : {"max", "average"}, None, or a sequence of these, default="max"
        How each block condenses its image; None leaves it at its size.
    pool_size : int or sequence of int, default=2
        Side of the pooling windows in pixels, and the distance between them.
    pool_after : {"first", "last"}, default="last"
        After which of its convolutions a block pools. After the first, the others have less to
        do. A shortcut then leads past the others, if there are any. Beside several convolutions
        of which the last is followed by the pooling, it takes the mean of the windows [16]_.
    activation : {"relu", "leaky_relu", "elu", "gelu", "silu", "tanh"}, default="silu"
        Applied after each convolution and each dense layer.
    normalization : {"batch"}, None, or a sequence of these, default="batch"
        What stands between convolution and activation: batch normalisation [1]_ or nothing.
    residual : bool or sequence of bool, default=True
        Whether the convolutions of a block run beside a shortcut [2]_.
    symmetry : {"mirror"} or None, default=None
        What the network shall not see a difference in. "mirror" learns half of the filters of
        each convolution and takes their mirror images, left to right, for the other half [13]_,
        so that a photograph and its mirror image are the same to it. For as many filters that is
        half of the parameters. Pooling windows grow by what would be left over at the edges.
        Needs even numbers of filters. Wrong for letters and digits.
    dense_units : int, sequence of int or None, default=None
        Units of the dense layers between the head and the output layer.
    dropout : float or sequence of float, default=0.0
        Share of values in [0, 1) set to zero at random while training [3]_. A single rate acts
        on the features that leave the head. With one rate a block, each of the others acts on
        what leaves its block, and the last one on the features.
    head : {"flatten", "average", "max", "average_max"}, default="average"
        How the last block's images become features: all their pixels in a row, or the average
        or the maximum of each channel, or a quarter of the sum of both (global pooling [4]_).
    init : {"uniform", "dirac"}, default="uniform"
        What the weights of convolutions begin as: torch's random numbers, or, for as many filters
        as there are channels, the filter that leaves an image as it is [10]_.
    module : callable, default=None
        Your own network in place of the one that the parameters above describe: a
        torch.nn.Module class, or a function that returns a module. It is called with those of
        the keyword arguments `image_shape` (height, width, channels), `n_channels` and
        `n_classes` that its signature names, receives standardised float images (n, channels,
        height, width) and returns logits (n, n_classes).
    image_shape : sequence of (height, width) or (height, width, channels), default=None
        The shape that flattened images had. None reads rows of a square number of values as
        square grey images, of three times a square number as square RGB images, and any others
        as images one pixel high.
    data_format : {"auto", "channels_last", "channels_first"}, default="auto"
        Whether images come as (n, height, width, channels) or (n, channels, height, width).
        "auto" reads channels last, and raises an error where that looks wrong.
    augment : str, Augmentation, callable, torch.nn.Module, sequence of these, or None, \
            default=("shift",)
        Random changes to each training image in each epoch, in this order: "flip", "shift",
        "cutout", "color", "mixup", "cutmix", or the same with a strength of your choice, such as
        ``Cutout(0.5)``, see `skcnn.augmentation`. A torch module takes float images (n, channels,
        height, width) of 0 to 1, as kornia's do; any other callable takes uint8 or float32
        images (n, height, width, channels) and a torch.Generator to draw from. Both return
        images of the same shape.
    progressive_resizing : sequence of float, default=None
        Shares in (0, 1] of their sides that training images are scaled down to, the epochs spread
        evenly over them [11]_: ``(0.625, 0.75, 1)`` trains on images of 32x32 pixels at 20x20,
        24x24 and then as they are, in little more than half the time. Not with
        ``head="flatten"``, which takes images of one size only.
    optimizer : {"sgd", "rmsprop", "adam", "adamw", "muon"} or torch.optim.Optimizer class, \
            default="muon"
        "sgd" has Nesterov momentum 0.9, "rmsprop" the settings that Keras has. "muon" takes
        orthogonalised steps for the filters of convolutions [12]_, whose length it keeps in place
        of a decay, and the steps of "sgd" for all else, both at the rate `lr`.
    lr : float, default=0.1
        The learning rate; with a schedule, the highest one.
    bias_lr_factor : float, default=1.0
        How many times `lr` the learning rate of biases and of normalisation layers is [15]_. 4
        learns sooner; 16 hardly sooner than that, and does harm with few images.
    lr_schedule : {"onecycle", "cosine"} or None, default="onecycle"
        Course of the learning rate over the batches of one call of `fit`: up for a fifth of
        them and down to zero [5]_, down along half a cosine [6]_, or constant.
    weight_decay : float, default=5e-4
        Decay of the weights, but not of biases and normalisation layers.
    weight_averaging : float, default=0.0
        Share in [0, 1] of the batches of one call of `fit`, the last ones, over which the weights
        are averaged in the end [14]_: 0.25 averages over the last quarter. A training that stops
        early does without.
    label_smoothing : float, default=0.1
        Share in [0, 1) of the target that is spread evenly over all classes [7]_.
    max_epochs : int, default=15
        How often the training images are gone through.
    batch_size : int or "auto", default="auto"
        Images for each step of the optimizer. "auto" takes the largest of 32, 64 and 128 that
        makes at least 60 batches an epoch, and 32 where none does: few images need small
        batches to get anywhere in `max_epochs`.
    class_weight : dict, "balanced" or None, default=None
        Weight of each class in the loss. "balanced" weights classes inversely to their
        frequencies.
    early_stopping : bool, default=False
        Whether to hold out images for validation, to stop when the loss on them no longer
        falls, and to restore the weights of the epoch where it was lowest.
    validation_fraction : float, default=0.1
        Share in (0, 1) of the images held out, in equal proportions of all classes, where
        `early_stopping` is set and `fit` gets no `X_val`.
    n_iter_no_change : int, default=10
        Epochs without improvement after which early stopping ends the training.
    tol : float, default=1e-4
        By how much the validation loss must fall to count as an improvement.
    warm_start : bool, default=False
        Whether a further call of `fit` goes on from the weights that are there.
    memory : str or joblib.Memory, default=None
        Folder where the state after the last epoch is kept, for fits on the same images with the
        same parameters and more epochs to go on from: those of a successive halving, for example.
        They come out as if they had not been interrupted, to the bit. That takes a constant
        learning rate, ``lr_schedule=None``, a number for `random_state`, and no
        `early_stopping`, `progressive_resizing`, `callbacks` or functions of your own; otherwise
        a warning says what is in the way, and the fit begins afresh. Each state takes two to
        four times the memory of the weights; who made the folder clears it.
    callbacks : list of skorch callbacks, default=None
        Classes, instances or (name, callback) pairs, see `skorch.callbacks`. A callback that
        sets the learning rate needs ``lr_schedule=None``.
    device : str or torch.device, default="auto"
        "auto" takes the first of "cuda", "xpu", "mps" and "cpu" that is there.
    precision : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        What training, and the validation in its course, compute in [8]_. "auto" is bfloat16
        where the hardware multiplies it fast (CPUs with avx512_bf16 or AMX, CUDA GPUs from
        compute capability 8.0), float16 on GPUs from 7.0, and float32 elsewhere. Weights are
        kept, and predictions made, in float32.
    compile : bool, default=False
        Whether to train the network through `torch.compile`, which takes a while at first and
        needs a C++ compiler. What is stored is the network as it was before.
    deterministic : bool, default=False
        Whether a GPU, too, shall give the same network bit for bit for the same `random_state`,
        at the cost of speed.
    test_time_flip : bool, default=False
        Whether to predict from the mean of each image and its mirror image. That doubles the time
        it takes, and is right where `augment` may hold "flip".
    random_state : int, RandomState instance or None, default=None
        Decides initial weights, order of the images, augmentation, dropout and the images held
        out. The same number gives the same network, bit for bit, on the CPU of one machine.
    verbose : int, default=0
        0 is silent, 1 shows a progress bar with the figures of the epoch.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    n_features_in_ : int
        Values of one image: height * width * channels.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the pixels, where X was a DataFrame.
    image_shape_ : tuple of (height, width, channels)
        Shape of one image.
    net_ : skorch.NeuralNetClassifier
        The fitted skorch net.
    module_ : torch.nn.Module
        The fitted torch network, from images (n, height, width, channels) to logits.
    device_ : torch.device
        Where the network lies.
    history_ : DataFrame
        One row an epoch, with `train_loss`, `valid_loss`, `valid_accuracy`, `lr` (of the last
        batch) and `seconds`; NaN in what was not measured. Figures that callbacks note follow.
    loss_curve_ : list of float
        The training loss of each epoch.
    n_iter_ : int
        Number of epochs trained.
    best_epoch_ : int
        The epoch whose weights were restored, counted from 1. Only with `early_stopping`.

    See Also
    --------
    skcnn.datasets.fetch_cifar100 : Real photographs to try it on.
    skcnn.datasets.make_organisms : Made-up images to try it on.

    References
    ----------
    .. [1] Ioffe, Szegedy: Batch normalization. ICML 2015.
    .. [2] He, Zhang, Ren, Sun: Deep residual learning for image recognition. CVPR 2016.
    .. [3] Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov: Dropout. JMLR 15, 2014.
    .. [4] Lin, Chen, Yan: Network in network. ICLR 2014.
    .. [5] Smith, Topin: Super-convergence: very fast training of neural networks using large
       learning rates. 2018, arXiv:1708.07120.
    .. [6] Loshchilov, Hutter: SGDR: stochastic gradient descent with warm restarts. ICLR 2017.
    .. [7] Szegedy, Vanhoucke, Ioffe, Shlens, Wojna: Rethinking the Inception architecture for
       computer vision. CVPR 2016.
    .. [8] Micikevicius et al.: Mixed precision training. ICLR 2018.
    .. [9] Page: How to train your ResNet 8: bag of tricks. 2019,
       https://myrtle.ai/learn/how-to-train-your-resnet-8-bag-of-tricks/.
    .. [10] Zagoruyko, Komodakis: DiracNets: training very deep neural networks without
       skip-connections. 2017, arXiv:1706.00388.
    .. [11] Touvron, Vedaldi, Douze, Jegou: Fixing the train-test resolution discrepancy.
       NeurIPS 2019.
    .. [12] Jordan et al.: Muon: an optimizer for hidden layers in neural networks. 2024,
       https://kellerjordan.github.io/posts/muon/.
    .. [13] Cohen, Welling: ProcessGroup equivariant convolutional networks. ICML 2016.
    .. [14] Izmailov, Podoprikhin, Garipov, Vetrov, Wilson: Averaging weights leads to wider optima
       and better generalization. UAI 2018.
    .. [15] Jordan: 94% on CIFAR-10 in 3.29 seconds on a single GPU. 2024, arXiv:2404.00498.
    .. [16] He, Zhang, Zhang, Zhang, Xie, Li: Bag of tricks for image classification with
       convolutional neural networks. CVPR 2019.

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
    classes_: npt.NDArray[Any]

    def __init__(
        self,
        filters: int | Sequence[int] | Literal["auto"] = "auto",
        *,
        convs_per_block: int | Sequence[int] = 1,
        kernel_size: int | Sequence[int] = 3,
        stem: str | None = None,
        pool: str | Sequence[str | None] | None = "max",
        pool_size: int | Sequence[int] = 2,
        pool_after: str = "last",
        activation: str = "silu",
        normalization: str | Sequence[str | None] | None = "batch",
        residual: bool | Sequence[bool] = True,
        symmetry: str | None = None,
        dense_units: int | Sequence[int] | None = None,
        dropout: float | Sequence[float] = 0.0,
        head: str = "average",
        init: str = "uniform",
        module: Callable[..., torch.nn.Module] | None = None,
        image_shape: Sequence[int] | None = None,
        data_format: str = "auto",
        augment: Any = ("shift",),
        progressive_resizing: Sequence[float] | None = None,
        optimizer: str | type[torch.optim.Optimizer] = "muon",
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
        memory: Any = None,
        callbacks: Sequence[Any] | None = None,
        device: str | torch.device = "auto",
        precision: str = "auto",
        compile: bool = False,
        deterministic: bool = False,
        test_time_flip: bool = False,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.filters = filters
        self.convs_per_block = convs_per_block
        self.kernel_size = kernel_size
        self.stem = stem
        self.pool = pool
        self.pool_size = pool_size
        self.pool_after = pool_after
        self.activation = activation
        self.normalization = normalization
        self.residual = residual
        self.symmetry = symmetry
        self.dense_units = dense_units
        self.dropout = dropout
        self.head = head
        self.init = init
        self.module = module
        self.image_shape = image_shape
        self.data_format = data_format
        self.augment = augment
        self.progressive_resizing = progressive_resizing
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
        self.memory = memory
        self.callbacks = callbacks
        self.device = device
        self.precision = precision
        self.compile = compile
        self.deterministic = deterministic
        self.test_time_flip = test_time_flip
        self.random_state = random_state
        self.verbose = verbose

    @with_callbacks
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        groups: Any = None,
    ) -> Self:
        """Fit the network to images and their labels.

        Parameters
        ----------
        X : array-like
            Images in one of these forms, of any real dtype: (n, height, width, channels), or
            (n, channels, height, width) with ``data_format="channels_first"``; grey images
            (n, height, width); flattened images (n, n_pixels), also as a DataFrame. Torch
            tensors and memory maps count as arrays of their shape; a memory map is never loaded
            as a whole.
        y : array-like of shape (n,)
            Labels: strings, integers or booleans.
        sample_weight : array-like of shape (n,), default=None
            Weights of the images in the loss, from 0. None weights all the same.
        X_val : array-like, default=None
            Images for validation, in any of the forms of X, in place of images held out. Without
            `early_stopping` they are only watched: their loss and accuracy go to `history_`.
        y_val : array-like of shape (n_val,), default=None
            Labels of `X_val`.
        groups : array-like of shape (n,), default=None
            Images of the same group, of one site or one burst of a camera trap for instance,
            are not parted when images are held out.

        Returns
        -------
        self : ConvNetClassifier

        Raises
        ------
        ValueError
            Where a parameter, X, y or the weights are not as described, or the training loss
            stops being finite.
        """
        self._check_parameters()
        metadata = {} if sample_weight is None else {"sample_weight": sample_weight}
        task = FitTask(self, self.max_epochs, X=X, y=y, metadata=metadata)
        again = self.warm_start and hasattr(self, "net_")
        images, y = self._read(X, y, reset=not again)
        self._set_classes(find_classes(y), again=again)
        codes = encode(y, self.classes_)
        check_consistent_length(codes, groups)
        by_class = class_weights(self.class_weight, self.classes_, y)
        weight = combine_weights(sample_weight, by_class, codes, images.pixels)

        validation = self._read_validation(X_val, y_val, by_class)
        training_rows = None
        if validation is None and self.early_stopping:
            training_rows, held_out = train_validation_split(
                codes, self.validation_fraction, groups, self._split_seed
            )
            validation = _dataset(images, codes, weight, held_out)

        stopper = StopEarly(self.n_iter_no_change, self.tol)
        # Last, so that the other callbacks see the epoch in which it stops.
        callbacks = [*(self.callbacks or ()), *([stopper] if self.early_stopping else [])]
        self._train(
            Training(
                _dataset(images, codes, weight, training_rows),
                n_outputs=len(self.classes_),
                epochs=self.max_epochs,
                again=again,
                fit_pooling=images.shape_inferred,
                validation=validation,
                schedule=self.lr_schedule,
                averaging=self.weight_averaging,
                callbacks=task.wrap_callbacks(callbacks),
            )
        )
        if self.early_stopping:
            self.best_epoch_ = stopper.best_epoch_
        elif hasattr(self, "best_epoch_"):
            del self.best_epoch_
        task.end()
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Go through a batch of data once, at the constant learning rate `lr`.

        Parameters
        ----------
        X : array-like
            Images, as in `fit`.
        y : array-like of shape (n,)
            Their labels.
        classes : array-like of shape (n_classes,), default=None
            All labels there will ever be; needed in the first call unless `y` holds them all.
        sample_weight : array-like of shape (n,), default=None
            Weights of the images in the loss, from 0.

        Returns
        -------
        self : ConvNetClassifier

        Raises
        ------
        ValueError
            As `fit`; and where a label is not among the classes, or ``class_weight="balanced"``.
        """
        self._check_parameters()
        again = hasattr(self, "net_")
        images, y = self._read(X, y, reset=not again)
        if classes is not None or not again:
            self._set_classes(find_classes(y, classes), again=again)
        if self.class_weight == "balanced":
            raise ValueError(
                'class_weight="balanced" cannot be used with partial_fit, which does not know how '
                "often each class will come. Pass class_weight as a dict."
            )
        codes = encode(y, self.classes_)
        by_class = class_weights(self.class_weight, self.classes_, y)
        weight = combine_weights(sample_weight, by_class, codes, images.pixels)
        self._train(
            Training(
                _dataset(images, codes, weight),
                n_outputs=len(self.classes_),
                epochs=1,
                again=again,
                fit_pooling=images.shape_inferred,
                callbacks=self.callbacks or (),
            )
        )
        return self

    def decision_function(self, X: Any) -> npt.NDArray[np.float64]:
        """Return the logits of images.

        Parameters
        ----------
        X : array-like
            Images of the shape that the network was fitted on, in any of the forms of `fit`.

        Returns
        -------
        logits : ndarray of shape (n, n_classes), or (n,) for two classes
            With two classes, the logit of ``classes_[1]`` less that of ``classes_[0]``.
        """
        check_is_fitted(self, "net_")
        logits = self._outputs(X).astype(np.float64)
        return logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 else logits

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Return the probability of each class for each image.

        Parameters
        ----------
        X : array-like
            Images of the shape that the network was fitted on, in any of the forms of `fit`.

        Returns
        -------
        probability : ndarray of shape (n, n_classes)
            Columns in the order of `classes_`; each row sums to 1.
        """
        check_is_fitted(self, "net_")
        probability: npt.NDArray[np.float64] = softmax(self._outputs(X).astype(np.float64), axis=1)
        return probability

    def predict_log_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Return the logarithm of the probability of each class for each image.

        Parameters
        ----------
        X : array-like
            Images of the shape that the network was fitted on, in any of the forms of `fit`.

        Returns
        -------
        log_probability : ndarray of shape (n, n_classes)
            Columns in the order of `classes_`.
        """
        check_is_fitted(self, "net_")
        logarithm: npt.NDArray[np.float64] = log_softmax(
            self._outputs(X).astype(np.float64), axis=1
        )
        return logarithm

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Return the most probable label of each image.

        Parameters
        ----------
        X : array-like
            Images of the shape that the network was fitted on, in any of the forms of `fit`.

        Returns
        -------
        y : ndarray of shape (n,)
            Labels out of `classes_`.
        """
        check_is_fitted(self, "net_")
        labels: npt.NDArray[Any] = self.classes_[self._outputs(X).argmax(axis=1)]
        return labels

    def _read(self, X: Any, y: Any, *, reset: bool) -> tuple[Images, npt.NDArray[Any]]:
        images, y = check_images(
            self,
            X,
            y,
            reset=reset,
            image_shape=self.image_shape,
            data_format=self.data_format,
        )
        if reset:
            # Should this fit fail, no network of an earlier one must meet the new labels.
            if hasattr(self, "net_"):
                del self.net_
            self.image_shape_ = images.shape
            self._random_state = broadcast_from_rank_zero(make_random_state(self.random_state))
            # The same images are held out when training goes on.
            self._split_seed = draw_seed(self._random_state)
        return images, y

    def _read_validation(
        self, X_val: Any, y_val: Any, by_class: npt.NDArray[np.float64] | None
    ) -> ImageDataset | None:
        if X_val is None and y_val is None:
            return None
        if X_val is None or y_val is None:
            given, missing = ("X_val", "y_val") if y_val is None else ("y_val", "X_val")
            raise ValueError(f"fit got {given} without {missing}. Give both, or neither.")
        images, _ = check_images(
            self, X_val, reset=False, data_format=self.data_format, name="X_val"
        )
        labels = check_labels(y_val, len(images), "y_val")
        codes = encode(labels, self.classes_, "y_val")
        return _dataset(images, codes, combine_weights(None, by_class, codes, images.pixels))

    def _set_classes(self, classes: npt.NDArray[Any], *, again: bool) -> None:
        if again and not np.array_equal(classes, self.classes_):
            raise ValueError(
                f"Training goes on with the classes {self.classes_.tolist()}, but now got "
                f"{classes.tolist()}. Give labels of the same classes, or fit anew: with "
                "warm_start=False, or a clone of this estimator."
            )
        self.classes_ = classes

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = []
        return tags


def _dataset(
    images: Images,
    codes: npt.NDArray[np.int64],
    weight: npt.NDArray[np.float64] | None,
    rows: npt.NDArray[np.intp] | None = None,
) -> ImageDataset:
    if rows is not None:
        images, codes = images.take(rows), codes[rows]
        weight = None if weight is None else weight[rows]
    return ImageDataset(images, codes, None if weight is None else normalize_weights(weight))
