"""Grad-CAM: which regions of an image support a class, or raise a number."""

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from skcnn._compute._ambient import default_torch_settings
from skcnn._compute._fork import computing
from skcnn._compute._interrupt import hold_interrupts
from skcnn._from_r import whole_arguments
from skcnn._targets import MultilabelTarget, NumberTarget, SeveralTarget
from skcnn._utils import number_text
from skcnn.inspection._images import take_rows
from skcnn.inspection._layers import LayerRecorder, find_layer
from skcnn.inspection._overlay import OverlayDisplay
from skcnn.inspection._question import Question, find_question
from skcnn.inspection._reading import class_indices, image_batches, read_images
from skcnn.inspection._unwrap import check_one_label, unwrap

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@whole_arguments("layer", "task")
def grad_cam(
    estimator: BaseEstimator,
    X: npt.ArrayLike,
    target: npt.ArrayLike | None = None,
    *,
    layer: str | int | None = None,
    task: str | int | None = None,
) -> npt.NDArray[np.float32]:
    """Compute Grad-CAM maps: which regions of an image support a class, or raise a number.

    A map is the sum of the feature maps of a layer. Their weights are the gradients of the logit
    of the class, or of the output of a regressor, with respect to each feature map, averaged over
    its pixels. Negative values are set to zero. Several threads may call the function with the
    same estimator.

    Parameters
    ----------
    estimator : skcnn estimator with a network, Pipeline or search
        A fitted one. Of a pipeline, the last step counts.
    X : array-like of shape (n, height, width, n_channels), (n, height, width) or (n, n_pixels)
        Images, in any form that ``estimator.predict`` takes.
    target : label or array-like of shape (n,), default=None
        Class to explain: one for all images, or one per image, out of ``estimator.classes_``.
        None takes the predicted class of each image. With several labels per image, it is one of
        the labels; None takes the most probable one of each image. Of a regressor with several
        outputs, it is the number of the output, from 0; None takes the first.
    layer : str or int, default=None
        Layer whose feature maps are summed, as in `feature_maps`. None takes the last layer
        that is as large as the last convolution.
    task : str or int, default=None
        Of several questions, the one to explain: one of the tasks of a `ConvNetMultiTask`, or
        a column of labels, by its name, or by its number where it has none. `target` is then
        one of its classes.

    Returns
    -------
    maps : ndarray of shape (n, height, width), float32
        Maps of the size of the images, each scaled so that its maximum is 1. A map is all zero
        if no region supports the class.

    Raises
    ------
    ValueError
        If the target is not a class, if there is no such task, if the layer has no feature maps,
        or if no gradient reaches it.
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If the estimator has no network, predicts label images, which have no single class to
        explain, or answers several questions and `task` names none.

    See Also
    --------
    GradCAMDisplay : Draws the maps over the images.

    References
    ----------
    Selvaraju et al.: Grad-CAM: visual explanations from deep networks via gradient-based
    localization. ICCV 2017, arXiv:1610.02391.

    Examples
    --------
    >>> from skcnn import ConvNetClassifier
    >>> from skcnn.datasets import make_organisms
    >>> from skcnn.inspection import grad_cam
    >>> X, y = make_organisms(n_samples=60, n_classes=3, image_size=16, random_state=0)
    >>> clf = ConvNetClassifier(filters=(8, 16), max_epochs=2, random_state=0).fit(X, y)
    >>> grad_cam(clf, X[:5]).shape
    (5, 16, 16)
    """
    estimator, X = unwrap(estimator, X)
    check_one_label(estimator, "grad_cam", allowed=(MultilabelTarget, NumberTarget, SeveralTarget))
    question = find_question(estimator, task)
    name, _ = find_layer(estimator, _last_before_pooling(estimator) if layer is None else layer)
    images = read_images(estimator, X)
    if target is None and question.has_numbers:
        target = 0
    codes = None if target is None else _output_numbers(question, target, len(images))

    maps = []
    with hold_interrupts(), default_torch_settings(estimator.device_):
        run = LayerRecorder(estimator, [name])
        for rows, inputs in image_batches(images, estimator.device_):
            all_logits, outputs = run(*inputs)
            logits = question.outputs_of(all_logits)
            chosen = logits.argmax(1) if codes is None else codes[rows].to(logits.device)
            score = logits.gather(1, chosen[:, None]).sum()
            weighted = _weighted_maps(score, outputs[name], name)
            size = inputs[0].shape[1:3]
            large = nn.functional.interpolate(weighted[:, None], size=size, mode="bilinear")[:, 0]
            highest = large.amax((1, 2), keepdim=True)
            maps.append((large / torch.where(highest > 0, highest, 1)).detach().cpu().numpy())
    array: npt.NDArray[np.float32] = np.concatenate(maps)
    return array


def _weighted_maps(score: Tensor, output: Tensor, name: str) -> Tensor:
    if output.ndim != 4:
        raise ValueError(
            f"layer={name!r} has an output of shape {tuple(output.shape[1:])} per image, which is "
            "not a set of feature maps. Choose a layer before the images become features."
        )
    gradient = None
    if output.requires_grad:
        with computing():
            (gradient,) = torch.autograd.grad(score, output, allow_unused=True)
    if gradient is None:
        raise ValueError(
            f"layer={name!r} comes before all trained layers or does not affect the logits, so "
            "that no gradient reaches it. Choose a later layer."
        )
    weights = gradient.mean((2, 3), keepdim=True)
    return (weights * output.detach()).sum(1).clamp_min(0).float()


def _last_before_pooling(estimator: BaseEstimator) -> str:
    """Name of the last layer whose maps are as large as those of the last convolution."""
    layers = estimator.summary().layers
    # Convolutions in shortcuts may have fewer pixels than those beside them.
    sizes = [layer.output_shape[:2] for layer in layers if layer.role == "convolution"]
    if not sizes:
        raise ValueError(
            "The network has no convolution, and Grad-CAM needs feature maps. Name a layer that "
            "has some with layer=."
        )
    name: str = next(
        layer.name
        for layer in reversed(layers)
        if len(layer.output_shape) == 3 and layer.output_shape[:2] == sizes[-1]
    )
    return name


def _output_numbers(question: Question, target: npt.ArrayLike, n_images: int) -> Tensor:
    """Return the number of the output to explain for each image, among those of the question."""
    labels = np.asarray(target)
    if labels.ndim > 1 or (labels.ndim == 1 and len(labels) != n_images):
        raise ValueError(
            f"target has shape {labels.shape}, expected one label for all images, or {n_images} "
            "labels, one per image."
        )
    codes = class_indices(np.atleast_1d(labels), question.names, "target")
    return torch.from_numpy(np.broadcast_to(codes, n_images).copy())


class GradCAMDisplay(OverlayDisplay):
    """Images, and below each its Grad-CAM map: the regions that support a class or raise a number.

    Make one with `from_estimator`.

    Parameters
    ----------
    images : ndarray of shape (n, height, width, n_channels)
    maps : ndarray of shape (n, height, width)
        As returned by `grad_cam`.
    labels : ndarray of shape (n,)
        Class or label that each map explains, or the prediction of a regressor.
    are_predicted : bool, default=False
        Whether these are the predictions for the images, which the titles then say.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure

    References
    ----------
    Selvaraju et al.: Grad-CAM: visual explanations from deep networks via gradient-based
    localization. ICCV 2017, arXiv:1610.02391.

    Examples
    --------
    >>> from skcnn import ConvNetClassifier
    >>> from skcnn.datasets import make_organisms
    >>> from skcnn.inspection import GradCAMDisplay
    >>> X, y = make_organisms(n_samples=60, n_classes=3, image_size=16, random_state=0)
    >>> clf = ConvNetClassifier(filters=(8, 16), max_epochs=2, random_state=0).fit(X, y)
    >>> GradCAMDisplay.from_estimator(clf, X[:4]).axes_.shape
    (2, 4)
    """

    _title = "Grad-CAM: bright regions support the class, or raise the number, above"
    _bar_label = "support"

    def __init__(
        self,
        *,
        images: npt.NDArray[Any],
        maps: npt.NDArray[np.floating],
        labels: npt.NDArray[Any],
        are_predicted: bool = False,
    ) -> None:
        super().__init__(images=images, maps=maps, labels=labels)
        self.are_predicted = are_predicted

    @classmethod
    @whole_arguments("layer", "task", "max_images")
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: Any,
        target: npt.ArrayLike | None = None,
        *,
        layer: str | int | None = None,
        task: str | int | None = None,
        max_images: int = 8,
        random_state: int | np.random.RandomState | None = None,
        ax: "Axes | None" = None,
        **kwargs: Any,
    ) -> Self:
        """Compute the maps of images and draw them.

        Parameters
        ----------
        estimator : skcnn estimator with a network, Pipeline or search
            A fitted one. Of a pipeline, the last step counts.
        X : array-like
            Images, in any form that ``estimator.predict`` takes.
        target, layer, task
            As in `grad_cam`.
        max_images : int, default=8
            Number of images to draw, from the first.
        random_state : int or RandomState, default=None
            Draws the images at random, for data sorted by class. None takes the first ones.
        ax, **kwargs
            As in `plot`.

        Returns
        -------
        display : GradCAMDisplay

        Raises
        ------
        ValueError, NotFittedError, TypeError
            As in `grad_cam`.
        """
        one_each = np.ndim(target) == 1  # type: ignore[arg-type]
        X, own = take_rows(X, target if one_each else None, max_images, random_state)
        target = np.asarray(own) if one_each else target
        estimator, X = unwrap(estimator, X)
        maps = grad_cam(estimator, X, target, layer=layer, task=task)
        question = find_question(estimator, task)
        has_several = isinstance(question.target, MultilabelTarget)
        are_predicted = question.has_numbers or (target is None and not has_several)
        if question.has_numbers:
            predicted = question.answers_of(estimator.predict(X))
            labels = np.array([_as_text(numbers) for numbers in predicted])
        elif target is None and has_several:
            labels = question.names[estimator.predict_proba(X).argmax(axis=1)]
        elif target is None:
            labels = question.answers_of(estimator.predict(X))
        else:
            labels = np.broadcast_to(target, len(maps))
        images = read_images(estimator, X)[:]
        display = cls(images=images, maps=maps, labels=labels, are_predicted=are_predicted)
        return display.plot(ax, **kwargs)

    def _shown(self) -> tuple[npt.NDArray[Any], npt.NDArray[np.floating]]:
        if not self.are_predicted:
            return self.labels, self.maps
        return np.array([f"predicted: {label}" for label in self.labels]), self.maps


def _as_text(numbers: npt.ArrayLike) -> str:
    return ", ".join(number_text(number, 3) for number in np.atleast_1d(np.asarray(numbers)))
