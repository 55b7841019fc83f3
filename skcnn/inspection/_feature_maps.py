"""Filters, feature maps and Grad-CAM maps of a fitted network, as arrays."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator, is_regressor
from torch import Tensor, nn

from skcnn._compute._ambient import default_torch_settings, no_autocast
from skcnn._compute._fork import computing
from skcnn._compute._interrupt import check_interrupts, hold_interrupts
from skcnn._data._files import FileImages
from skcnn._data._inputs import AnyImages
from skcnn._from_r import whole_arguments
from skcnn._targets._classes import encode
from skcnn.inspection._unwrap import unwrap
from skcnn.networks._copy import structural_copy
from skcnn.networks._mirror import MirroredConv2d
from skcnn.networks._summary import Part, named_parts

_BATCH_SIZE = 64


def find_layer(estimator: BaseEstimator, layer: str | int) -> tuple[str, Part]:
    """Find a layer of a fitted network by its name, or a convolution by its number.

    Parameters
    ----------
    estimator : ConvNetClassifier
        A fitted one.
    layer : str or int
        Name of a layer in ``estimator.summary()``, or of a part that holds several layers, such
        as "block2". Or the number of a convolution, counted from 0, or backwards from -1;
        convolutions in shortcuts are not counted.

    Returns
    -------
    name : str
    part : Part
        The module, with its role.

    Raises
    ------
    ValueError
        If the network has no such layer.
    """
    parts = named_parts(estimator.module_)
    if isinstance(layer, str):
        if layer in parts:
            return layer, parts[layer]
        raise ValueError(
            f"layer={layer!r} is not a layer of the network. Expected one of {', '.join(parts)}, "
            "or the number of a convolution."
        )
    names = [name for name, part in parts.items() if part.role == "convolution"]
    if not -len(names) <= layer < len(names):
        raise ValueError(
            f"layer={layer} is not a convolution of the network, which has {len(names)}. Expected "
            f"a number from {-len(names)} to {len(names) - 1}, or the name of a layer."
        )
    return names[layer], parts[names[layer]]


@whole_arguments("layer")
def filters(estimator: BaseEstimator, layer: str | int = 0) -> npt.NDArray[np.float32]:
    """Return the filters of a convolution.

    Parameters
    ----------
    estimator : ConvNetClassifier, Pipeline or search
        A fitted one. The last step of a pipeline must be a ConvNetClassifier.
    layer : str or int, default=0
        Name of a convolution in ``estimator.summary()``, or its number, counted from 0, or
        backwards from -1; convolutions in shortcuts are not counted.

    Returns
    -------
    filters : ndarray of shape (n_filters, height, width, n_channels), float32
        The weights, without biases.

    Raises
    ------
    ValueError
        If the network has no such layer, or the layer is not a 2-D convolution.
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If the estimator has no network.

    See Also
    --------
    FiltersDisplay : Draws them.

    Examples
    --------
    >>> from skcnn import ConvNetClassifier
    >>> from skcnn.datasets import make_organisms
    >>> from skcnn.inspection import filters
    >>> X, y = make_organisms(n_samples=60, n_classes=3, image_size=16, random_state=0)
    >>> clf = ConvNetClassifier(filters=(8, 16), max_epochs=2, random_state=0).fit(X, y)
    >>> filters(clf).shape, filters(clf, -1).shape
    ((8, 3, 3, 3), (16, 3, 3, 16))
    """
    estimator, _ = unwrap(estimator)
    name, part = find_layer(estimator, layer)
    conv = part.module
    if not isinstance(conv, nn.Conv2d):
        raise ValueError(
            f"layer={name!r} is a {type(conv).__name__}, which has no filters. Expected a Conv2d."
        )
    weight = conv.all_filters() if isinstance(conv, MirroredConv2d) else conv.weight
    weight = weight.detach().permute(0, 2, 3, 1)
    array: npt.NDArray[np.float32] = weight.float().cpu().contiguous().numpy()
    return array


@whole_arguments("layer")
def feature_maps(
    estimator: BaseEstimator, X: npt.ArrayLike, layer: str | int = 0
) -> npt.NDArray[np.float32]:
    """Compute the outputs of a layer for images.

    Several threads may call it with the same estimator.

    Parameters
    ----------
    estimator : ConvNetClassifier, Pipeline or search
        A fitted one. The last step of a pipeline must be a ConvNetClassifier.
    X : array-like of shape (n, height, width, n_channels), (n, height, width) or (n, n_pixels)
        Images, in any form that ``estimator.predict`` takes.
    layer : str or int, default=0
        Name of a layer in ``estimator.summary()``, or of a part that holds several layers, such
        as "block2". Or the number of a convolution, counted from 0, or backwards from -1;
        convolutions in shortcuts are not counted.

    Returns
    -------
    maps : ndarray of shape (n, height, width, n_channels) or (n, n_units), float32

    Raises
    ------
    ValueError
        If the network has no such layer or does not use it, or X does not fit the network.
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If the estimator has no network.

    See Also
    --------
    FeatureMapsDisplay : Draws the maps of one image, layer by layer.

    Examples
    --------
    >>> from skcnn import ConvNetClassifier
    >>> from skcnn.datasets import make_organisms
    >>> from skcnn.inspection import feature_maps
    >>> X, y = make_organisms(n_samples=60, n_classes=3, image_size=16, random_state=0)
    >>> clf = ConvNetClassifier(filters=(8, 16), max_epochs=2, random_state=0).fit(X, y)
    >>> feature_maps(clf, X[:5]).shape, feature_maps(clf, X[:5], "block2").shape
    ((5, 16, 16, 8), (5, 4, 4, 16))
    """
    estimator, X = unwrap(estimator, X)
    name, _ = find_layer(estimator, layer)
    return compute_outputs(estimator, read_images(estimator, X), [name])[name]


@whole_arguments("layer")
def grad_cam(
    estimator: BaseEstimator,
    X: npt.ArrayLike,
    target: npt.ArrayLike | None = None,
    *,
    layer: str | int | None = None,
) -> npt.NDArray[np.float32]:
    """Compute Grad-CAM maps: which regions of an image support a class, or raise a number.

    A map is the sum of the feature maps of a layer. Their weights are the gradients of the logit
    of the class, or of the output of a regressor, with respect to each feature map, averaged over
    its pixels. Negative values are set to zero. Several threads may call the function with the
    same estimator.

    Parameters
    ----------
    estimator : ConvNetClassifier, Pipeline or search
        A fitted one. The last step of a pipeline must be a ConvNetClassifier.
    X : array-like of shape (n, height, width, n_channels), (n, height, width) or (n, n_pixels)
        Images, in any form that ``estimator.predict`` takes.
    target : label or array-like of shape (n,), default=None
        Class to explain: one for all images, or one per image, out of ``estimator.classes_``.
        None takes the predicted class of each image. Of a regressor with several outputs, the
        number of the output, from 0; None takes the first.
    layer : str or int, default=None
        Layer whose feature maps are summed, as in `feature_maps`. None takes the last layer
        that is as large as the last convolution.

    Returns
    -------
    maps : ndarray of shape (n, height, width), float32
        Maps of the size of the images, each scaled so that its maximum is 1. A map is all zero
        if no region supports the class.

    Raises
    ------
    ValueError
        If the target is not a class, if the layer has no feature maps, or if no gradient reaches
        it.
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If the estimator has no network.

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
    name, _ = find_layer(estimator, _last_before_pooling(estimator) if layer is None else layer)
    images = read_images(estimator, X)
    if target is None and is_regressor(estimator):
        target = 0
    codes = None if target is None else _output_numbers(estimator, target, len(images))

    maps = []
    with hold_interrupts(), default_torch_settings(estimator.device_):
        run = _LayerRecorder(estimator, [name])
        for rows, inputs in image_batches(images, estimator.device_):
            logits, outputs = run(*inputs)
            chosen = logits.argmax(1) if codes is None else codes[rows].to(logits.device)
            score = logits.gather(1, chosen[:, None]).sum()
            weighted = _weighted_maps(score, outputs[name], name)
            size = inputs[0].shape[1:3]
            large = nn.functional.interpolate(weighted[:, None], size=size, mode="bilinear")[:, 0]
            highest = large.amax((1, 2), keepdim=True)
            maps.append((large / torch.where(highest > 0, highest, 1)).detach().cpu().numpy())
    array: npt.NDArray[np.float32] = np.concatenate(maps)
    return array


def compute_outputs(
    estimator: BaseEstimator, images: AnyImages, names: Sequence[str]
) -> dict[str, npt.NDArray[np.float32]]:
    """Run images through the network once, and return the outputs of some layers.

    Parameters
    ----------
    estimator : ConvNetClassifier
        A fitted one.
    images : Images or FileImages
    names : sequence of str
        Names of layers, as `find_layer` returns them.

    Returns
    -------
    outputs : dict of str to ndarray of shape (n, height, width, n_channels) or (n, n_units)
    """

    def to_host(output: Tensor) -> Tensor:
        # A copy in all cases: the next layer may work in place.
        return output.to("cpu", torch.float32, copy=True)

    batches: dict[str, list[Tensor]] = {name: [] for name in names}
    device = estimator.device_
    with hold_interrupts(), no_autocast(device), torch.inference_mode():
        run = _LayerRecorder(estimator, names, to_host)
        for _, inputs in image_batches(images, device):
            for name, output in run(*inputs)[1].items():
                batches[name].append(output.movedim(1, -1) if output.ndim == 4 else output)
    return {name: torch.cat(outputs).contiguous().numpy() for name, outputs in batches.items()}


def class_indices(
    labels: npt.ArrayLike, classes: npt.ArrayLike, name: str
) -> npt.NDArray[np.intp]:
    """Number labels by their place among classes in any order."""
    names = np.asarray(classes)
    order = np.argsort(names)
    numbers: npt.NDArray[np.intp] = order[encode(np.asarray(labels), names[order], name)]
    return numbers


def read_images(estimator: BaseEstimator, X: npt.ArrayLike) -> AnyImages:
    """Read images as a fitted estimator does, without gathering their pixels.

    Parameters
    ----------
    estimator : ConvNetClassifier
        A fitted one.
    X : array-like
        Images, in any form that its `predict` takes.

    Returns
    -------
    images : Images or FileImages
        Slices and arrays of row numbers give uint8 or float32 arrays of shape (n, height, width,
        n_channels).
    """
    images: AnyImages = estimator._read_images(X)
    # There is nothing to show of a file that cannot be read.
    return replace(images, skips=False) if isinstance(images, FileImages) else images


class _LayerRecorder:
    """Runs batches through a network, and returns the outputs of some of its layers.

    The hooks are on a copy that shares the weights: on the network itself they would record what
    other threads run through it.

    Parameters
    ----------
    estimator : ConvNetClassifier
        A fitted one.
    names : sequence of str
        Names of the layers.
    keep : callable, default=None
        Called with an output as soon as it is computed; its result is kept instead.
    """

    def __init__(
        self,
        estimator: BaseEstimator,
        names: Sequence[str],
        keep: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self._network = structural_copy(estimator.module_).eval()
        self._names = names
        self._keep = keep or (lambda output: output)
        self._outputs: dict[str, Tensor] = {}
        parts = named_parts(self._network)
        for name in names:
            parts[name].module.register_forward_hook(self._hook(name))

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        self._outputs = {}
        with computing():
            logits: Tensor = self._network(*inputs)
        for name in self._names:
            if name not in self._outputs:
                raise ValueError(
                    f"layer={name!r} is not used when the network runs, or does not return a "
                    "tensor. Choose a layer out of estimator.summary()."
                )
        return logits, self._outputs

    def _hook(self, name: str) -> Callable[..., None]:
        def record(module: nn.Module, inputs: object, output: object) -> None:
            # Attention returns its weights beside the output.
            values = output[0] if isinstance(output, tuple) else output
            if isinstance(values, Tensor):
                self._outputs[name] = self._keep(values)

        return record


def image_batches(
    images: AnyImages, device: torch.device
) -> Iterator[tuple[slice, tuple[Tensor, ...]]]:
    """Gather the arguments of the network batch by batch, and move them to the device."""
    parts = [images] if images.covariates is None else [images, images.covariates]
    for start in range(0, len(images), _BATCH_SIZE):
        check_interrupts()
        rows = slice(start, start + _BATCH_SIZE)
        # Torch warns of arrays that cannot be written to.
        arrays = (np.require(part[rows], requirements=["C", "W"]) for part in parts)
        yield rows, tuple(torch.from_numpy(array).to(device) for array in arrays)


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


def _output_numbers(estimator: BaseEstimator, target: npt.ArrayLike, n_images: int) -> Tensor:
    """Return the number of the output to explain for each image."""
    labels = np.asarray(target)
    if labels.ndim > 1 or (labels.ndim == 1 and len(labels) != n_images):
        raise ValueError(
            f"target has shape {labels.shape}, expected one label for all images, or {n_images} "
            "labels, one per image."
        )
    names = getattr(estimator, "classes_", None)
    if names is None:
        names = np.arange(estimator.net_.target.n_outputs)
    codes = class_indices(np.atleast_1d(labels), names, "target")
    return torch.from_numpy(np.broadcast_to(codes, n_images).copy())
