"""The segmenter: its parameters, their documentation, and its predictions for each pixel."""

import os
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any, Literal, Self

import joblib
import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from skcnn._data._pieces import image_list
from skcnn._engine._optimizers import Optimizer
from skcnn._engine._pixel_inference import PixelInference, TileSize, tile_side
from skcnn._engine._sklearn_callbacks import with_callbacks
from skcnn._estimators._base import ConvNetEstimator
from skcnn._estimators._docs import documented
from skcnn._estimators._mask_reading import MaskReadingEstimator
from skcnn._estimators._parameters import SEGMENTER_CONSTRAINTS, check_augmentation_of_masks
from skcnn._targets import MaskTarget
from skcnn._utils import Interval, StrOptions, check_values
from skcnn.masks import iou_score
from skcnn.networks import NetworkSpec

_TILE_SIZE = {
    "tile_size": [Interval(Integral, 64, None, closed="left"), StrOptions({"auto"}), None]
}


@documented
class ConvNetSegmenter(MaskReadingEstimator, ConvNetEstimator):
    """A convolutional network that names each pixel of an image.

    It learns from label images: for each pixel of an image, the label of what is there. The
    network is a U-Net [ronneberger2015]_, trained by stochastic gradient descent on the sum of
    cross-entropy and soft Dice loss [milletari2016]_. Images may have any size; they are
    standardized by the network itself.

    Not every pixel needs a label. With `ignore_label`, a few strokes of a brush in each class
    suffice: only the pixels that have a label are learned from, and scored.

    Images of unequal sizes, and images larger than 512 pixels, are cut into pieces for training.
    `predict` takes images of any size, and runs large ones in tiles, in the memory of one tile.

    Parameters
    ----------
    module : NetworkSpec or callable, default=None
        The network. None is `skcnn.networks.UNet` with its defaults. A specification such as
        ``UNet(ConvBlocks((16, 32)))`` or ``UNet(Backbone("efficientnet_lite0"))`` is searched as
        ``module__decoder_filters``, and its encoder as ``module__encoder__filters``. Your own
        network is a torch.nn.Module class, or a function that returns a module. It is called with
        those of the keyword arguments `image_shape` (height, width, channels), `n_channels` and
        `n_outputs` that its signature names, takes standardized float images (n, channels,
        height, width), and returns logits (n, n_outputs, height, width).
    ignore_label : int, str or bool, default=None
        Label of pixels that have none, such as 255 or 0. They do not count, and are no class.
    augment : str, Augmentation, sequence of these, "auto" or None, default="auto"
        Random changes to each training image in each epoch: "flip", "shift", "cutout", "color",
        or an object with a strength of your choice, such as ``Shift(0.2)``, see
        `skcnn.augmentation`. Masks move with their images. "auto" is ("flip", "shift") for a
        U-Net. Those that mix images, and functions of your own, are not for masks.
    {lr}
    max_epochs : int or "auto", default=20
        Number of passes over the training images. "auto" takes fewer, the more images there
        are: 75 for up to 100 images, 30 for 1,000, and 8 from 27,000 on.
    {early_stopping, random_state}

    Other Parameters
    ----------------
    image_shape : sequence of (height, width) or (height, width, channels), default=None
        Shape of the pieces that training images are cut into; files are resized to it, and
        flattened images had it. None takes images as they are if they all have one size and no
        side is longer than 512 pixels, and cuts others into pieces of 256x256 pixels; files, and
        flattened images, are read as by the other estimators.
    {data_format}
    resize : {"crop", "pad", "stretch"}, default="stretch"
        How image files of other proportions get the shape of all, with their masks. "crop" takes
        the middle, and loses two opposite edges. "pad" keeps the proportions; what it adds has no
        label. "stretch" keeps the whole image, and changes its proportions: label images then
        have nothing beside the photograph.
    on_error : {"raise", "skip"}, default="raise"
        What is done with image files that cannot be read: a single error that names the first
        ten, or training without them, with a warning and the attribute `skipped_`. Skipped files
        get no prediction: None in a list of label images.
    {cache_dir, test_time_flip, optimizer, bias_lr_factor, lr_schedule, weight_decay}
    {weight_averaging}
    batch_size : int or "auto", default=8
        Images per step of the optimizer. Each has thousands of pixels to learn from, so that
        small batches do. "auto" is as for the other estimators.
    class_weight : dict, "balanced" or None, default=None
        Weights of the pixels of each class in the loss. "balanced" weighs rare classes higher:
        n_pixels / (n_classes * n_pixels of the class).
    validation_fraction : float, default=0.1
        Fraction in (0, 1) of the images held out at random if `early_stopping` is set and `fit`
        gets no `X_val`. All pieces of an image stay on one side.
    {n_iter_no_change, tol, warm_start, checkpoint_dir, callbacks, device, precision, compile}
    {deterministic, verbose}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels of pixels, sorted, without `ignore_label`.
    {n_features_in_, feature_names_in_, image_shape_, skipped_, net_}
    module_ : skcnn.networks.ImageNetwork
        The fitted torch network, from images (n, height, width, channels) to logits (n,
        n_classes, height, width).
    {device_}
    history_ : DataFrame
        One row per epoch, with `train_loss`, `valid_loss`, `valid_iou`, `lr` (of the last batch)
        and `seconds`; NaN where nothing was measured. `valid_iou` is the mean over images of the
        mean intersection over union of the classes in them. Figures of callbacks follow.
    {loss_curve_, n_iter_, best_epoch_}

    See Also
    --------
    skcnn.masks.measure : Areas, counts and shapes of what is in label images.
    skcnn.masks.mask_scorer : Dice and IoU for searches, also of one class.
    skcnn.inspection.MaskDisplay : Label images over their images.
    skcnn.datasets.make_scenes : Generated images whose masks are known.

    References
    ----------
    {references}

    Examples
    --------
    >>> from skcnn import ConvNetSegmenter
    >>> from skcnn.datasets import make_scenes
    >>> scenes = make_scenes(60, image_size=32, n_kinds=1, random_state=0)
    >>> X, masks = scenes.data, scenes.masks > 0
    >>> seg = ConvNetSegmenter(max_epochs=8, random_state=0).fit(X[:40], masks[:40])
    >>> seg.predict(X[40:]).shape
    (20, 32, 32)
    >>> seg.score(X[40:], masks[40:]) > 0.5
    True
    """

    _parameter_constraints = SEGMENTER_CONSTRAINTS
    _target: MaskTarget

    def __init__(
        self,
        module: NetworkSpec | Callable[..., torch.nn.Module] | None = None,
        *,
        ignore_label: object = None,
        image_shape: Sequence[int] | None = None,
        data_format: str = "auto",
        resize: str = "stretch",
        on_error: str = "raise",
        cache_dir: str | os.PathLike[str] | None = None,
        augment: Any = "auto",
        test_time_flip: bool = False,
        optimizer: Optimizer = "muon",
        lr: float = 0.1,
        bias_lr_factor: float = 1.0,
        lr_schedule: str | None = "onecycle",
        weight_decay: float = 5e-4,
        weight_averaging: float = 0.0,
        max_epochs: int | Literal["auto"] = 20,
        batch_size: int | Literal["auto"] = 8,
        class_weight: dict[Any, float] | Literal["balanced"] | None = None,
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
        self.module = module
        self.ignore_label = ignore_label
        self.image_shape = image_shape
        self.data_format = data_format
        self.resize = resize
        self.on_error = on_error
        self.cache_dir = cache_dir
        self.augment = augment
        self.test_time_flip = test_time_flip
        self.optimizer = optimizer
        self.lr = lr
        self.bias_lr_factor = bias_lr_factor
        self.lr_schedule = lr_schedule
        self.weight_decay = weight_decay
        self.weight_averaging = weight_averaging
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
        """Fit the network to images and their label images.

        Parameters
        ----------
        X : array-like of images, list of images of unequal sizes, or paths of image files
            Images in any form that the other estimators take, or a list of arrays (height,
            width, channels) or (height, width) whose heights and widths differ.
        y : array-like of shape (n, height, width) or (n, height * width), list, or paths
            The label of each pixel: whole numbers, text or booleans. A list of arrays (height,
            width) where images differ in size. Paths of gray or palette images, such as PNG
            files, whose numbers are the labels. Pixels of a masked array that are masked have no
            label.
        {sample_weight}
        X_val : array-like, default=None
            Images for validation, in any of the forms of X, in place of images held out. Without
            `early_stopping` they are only measured: their loss and IoU go to `history_`.
        y_val : array-like, default=None
            Label images of `X_val`.
        {groups}

        Returns
        -------
        self : ConvNetSegmenter

        Raises
        ------
        ValueError
            If a parameter, X, y or the weights are not as described, a file cannot be read, or
            the training loss stops being finite.
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
        y : array-like
            Their label images.
        classes : array-like of shape (n_classes,), default=None
            All labels there will ever be; needed in the first call unless `y` has them all.
        sample_weight : array-like of shape (n,), default=None
            Weights of the images in the loss, from 0. They are scaled to a mean of 1 in each
            call, and compare images of the same call.

        Returns
        -------
        self : ConvNetSegmenter

        Raises
        ------
        ValueError
            As in `fit`; and if a label is not among the classes, or a class weight is "balanced".
        """
        if classes is None and hasattr(self, "net_"):
            classes = self.classes_
        return self._partial_fit(X, y, sample_weight, classes)

    @property
    def classes_(self) -> npt.NDArray[Any]:
        """The labels of pixels, sorted."""
        if not hasattr(self, "_target"):
            raise AttributeError(f"This {type(self).__name__} is not fitted and has no classes_.")
        return self._target.classes

    def predict(self, X: npt.ArrayLike, *, tile_size: TileSize = "auto") -> Any:
        """Return the most probable label of each pixel.

        Parameters
        ----------
        X : array-like
            Images in any of the forms of `fit`, of any height and width. Of a memory map, only
            one tile is in memory at a time. Files are resized to the fitted shape.
        tile_size : int, "auto" or None, default="auto"
            Side in pixels of the tiles that larger images are run in, from 64. "auto" is 1024;
            None runs images as a whole.

            Tiles are read with a margin as wide as what the network sees, and begin at multiples
            of its stride, so that the result is that of the whole image, to rounding. Where a
            network sees the whole image, or is your own and does not say its `stride`, tiles
            overlap by half, and their probabilities are averaged.

        Returns
        -------
        y : ndarray of shape (n, height, width), or list of ndarray of shape (height, width)
            Labels from `classes_`. A list where images have unequal sizes, or where files were
            skipped, which have None. Rows of pixels (n, height * width) if the y of `fit` was
            flattened.
        """
        found = self._in_each(X, self.predict, tile_size)
        if found is not None:
            return found
        images = self._read_images(X)
        target, n, (height, width) = self._target, len(images), images.shape[:2]
        inference, side = self._inference(), tile_side(images, tile_size)
        if side is not None:
            labels = np.empty((n, height, width), dtype=target.classes.dtype)
            tiles_of = inference.tiles(images, side)
            for row in range(n):
                for rows, columns, probability in tiles_of(row):
                    labels[row, rows, columns] = target.decode(probability.argmax(axis=2))
        else:
            codes = inference.run(images, lambda logits: logits.argmax(1))
            missing = np.isnan(codes[:, 0, 0])
            codes[missing] = 0
            labels = target.decode(codes.astype(np.intp))
            if missing.any():
                return [None if missing[row] else labels[row] for row in range(n)]
        return labels.reshape(n, -1) if target.is_flat else labels

    def predict_proba(self, X: npt.ArrayLike, *, tile_size: TileSize = "auto") -> Any:
        """Return the probability of each class at each pixel.

        Parameters
        ----------
        X, tile_size
            As for `predict`.

        Returns
        -------
        probability : ndarray of shape (n, height, width, n_classes), float32, or list of these
            Classes in the order of `classes_`. A list where images have unequal sizes; NaN for
            files that were skipped.
        """
        found = self._in_each(X, self.predict_proba, tile_size)
        if found is not None:
            return found
        images = self._read_images(X)
        inference, side = self._inference(), tile_side(images, tile_size)
        if side is None:
            return inference.run(images, lambda logits: logits.softmax(1).permute(0, 2, 3, 1))
        shape = (len(images), *images.shape[:2], self._target.n_outputs)
        whole_images = np.empty(shape, dtype=np.float32)
        tiles_of = inference.tiles(images, side)
        for row in range(len(images)):
            for rows, columns, probability in tiles_of(row):
                whole_images[row, rows, columns] = probability
        return whole_images

    def score(
        self, X: npt.ArrayLike, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> float:
        """Return the mean intersection over union of the classes in the label images.

        Parameters
        ----------
        X : array-like
            Images, in any of the forms of `predict`. Files that cannot be read do not count, with
            ``on_error="skip"``.
        y : array-like
            Their label images, in any of the forms of `fit`. Pixels with the `ignore_label` do
            not count.
        sample_weight : array-like of shape (n,), default=None
            Weights of the images.

        Returns
        -------
        iou : float
            See `skcnn.masks.iou_score`.
        """
        predicted = self.predict(X)
        actual = self._label_images(y, predicted, X)
        score = iou_score(
            actual, predicted, ignore_label=self.ignore_label, sample_weight=sample_weight
        )
        self._target.warn_of_unknown(actual)
        return float(score)

    def _make_target(
        self,
        y: npt.NDArray[Any],
        classes: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
    ) -> MaskTarget:
        target = MaskTarget.infer(
            y,
            classes,
            class_weight=self.class_weight,
            ignore_label=self.ignore_label,
            is_flat=self._has_flat_masks,
        )
        if classes is None:
            target.warn_of_255()
        return target

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_augmentation_of_masks(type(self).__name__, self.augment)

    def _inference(self) -> PixelInference:
        return PixelInference(
            self.net_, self.image_shape_, self.test_time_flip, self._thread_limit
        )

    def _in_each(self, X: npt.ArrayLike, method: Callable[..., Any], tile_size: TileSize) -> Any:
        """Predict images of unequal sizes one by one; None for any other X."""
        check_is_fitted(self, "net_")
        check_values(type(self).__name__, _TILE_SIZE, {"tile_size": tile_size})
        if not isinstance(X, list | tuple):
            return None
        images = image_list(X, self.data_format)
        if images is None or len({image.shape for image in images}) == 1:
            return None
        return [method([image], tile_size=tile_size)[0] for image in X]

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = False
        return tags
