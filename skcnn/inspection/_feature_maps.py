"""What a fitted network has learnt and what it makes of images, as arrays."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from skcnn._targets._classes import encode
from skcnn.networks._mirror import MirroredConv2d

# By the names of their classes, as summaries have them.
CONVOLUTIONS = ("Conv2d", "MirroredConv2d")
_IMAGES_AT_ONCE = 64


def find_layer(estimator: Any, layer: str | int) -> tuple[str, nn.Module]:
    """Find a layer of a fitted network by its name or, for convolutions, by its number.

    Parameters
    ----------
    estimator : ConvNetClassifier
        A fitted one.
    layer : str or int
        A name out of ``estimator.summary()``, or of a part that holds several layers, such as
        "block2"; or the number of a convolution, counted from 0, or from -1 backwards, without
        those of shortcuts.

    Returns
    -------
    name : str
    layer : torch.nn.Module

    Raises
    ------
    ValueError
        Where the network has no such layer.
    """
    check_is_fitted(estimator, "net_")
    parts = dict(estimator.module_.layers.named_modules())
    del parts[""]
    if isinstance(layer, str):
        if layer in parts:
            return layer, parts[layer]
        raise ValueError(
            f"layer={layer!r} is no layer of the network, expected one of {', '.join(parts)}, or "
            "the number of a convolution."
        )
    # Shortcuts lie beside the convolutions that are counted.
    names = [
        name
        for name, part in parts.items()
        if isinstance(part, nn.Conv2d) and not in_shortcut(name)
    ]
    if not -len(names) <= layer < len(names):
        raise ValueError(
            f"layer={layer} is no convolution of the network, which has {len(names)}: expected a "
            f"number from {-len(names)} to {len(names) - 1}, or the name of a layer."
        )
    return names[layer], parts[names[layer]]


def in_shortcut(name: str) -> bool:
    """Whether a layer lies beside the convolutions of a block.

    Examples
    --------
    >>> in_shortcut("block1.0.shortcut.1"), in_shortcut("block1.0.convolutions.0")
    (True, False)
    """
    return "shortcut" in name.split(".")


def filters(estimator: Any, layer: str | int = 0) -> npt.NDArray[np.float32]:
    """Return the filters of a convolution.

    Parameters
    ----------
    estimator : ConvNetClassifier
        A fitted one.
    layer : str or int, default=0
        The name of a convolution in ``estimator.summary()``, or its number, counted from 0, or
        from -1 backwards.

    Returns
    -------
    filters : ndarray of shape (n_filters, height, width, n_channels), float32
        The weights, without biases.

    Raises
    ------
    ValueError
        Where the network has no such layer, or it is no convolution of images.

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
    ((8, 3, 3, 3), (16, 3, 3, 8))
    """
    name, found = find_layer(estimator, layer)
    if not isinstance(found, nn.Conv2d):
        raise ValueError(
            f"layer={name!r} is a {type(found).__name__}, which has no filters. Expected a Conv2d."
        )
    weight = found.all_filters() if isinstance(found, MirroredConv2d) else found.weight
    weight = weight.detach().permute(0, 2, 3, 1)
    array: npt.NDArray[np.float32] = weight.float().cpu().contiguous().numpy()
    return array


def feature_maps(estimator: Any, X: Any, layer: str | int = 0) -> npt.NDArray[np.float32]:
    """Return what a layer makes of images.

    Parameters
    ----------
    estimator : ConvNetClassifier
        A fitted one.
    X : array-like
        Images, in any form that its `predict` takes.
    layer : str or int, default=0
        A name out of ``estimator.summary()``, or of a part that holds several layers, such as
        "block2"; or the number of a convolution, counted from 0, or from -1 backwards, without
        those of shortcuts.

    Returns
    -------
    maps : ndarray of shape (n, height, width, n_channels) or (n, n_units), float32

    Raises
    ------
    ValueError
        Where the network has no such layer, or X does not fit.

    See Also
    --------
    FeatureMapsDisplay : Draws those of one image, layer by layer.

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
    _, found = find_layer(estimator, layer)
    outputs: list[Tensor] = []

    def keep(_: nn.Module, inputs: Any, output: Tensor) -> None:
        # A layer that works in place changes what it was given.
        outputs.append(output.detach().float().cpu().clone())

    with _hook(found.register_forward_hook, keep):
        n_images = _run(estimator, X)
    maps = torch.cat(outputs)[:n_images]
    if maps.ndim == 4:
        maps = maps.permute(0, 2, 3, 1)
    array: npt.NDArray[np.float32] = maps.contiguous().numpy()
    return array


def grad_cam(
    estimator: Any, X: Any, target: Any = None, *, layer: str | int | None = None
) -> npt.NDArray[np.float32]:
    """Return where in images a network sees what speaks for a class.

    The feature maps of a layer are summed with the weights that the gradient of the class's logit
    has for each of them, averaged over all places; what is left above zero speaks for the class.

    Parameters
    ----------
    estimator : ConvNetClassifier
        A fitted one.
    X : array-like
        Images, in any form that its `predict` takes.
    target : label, array-like of shape (n,) or None, default=None
        The class to look for, one for all images or one for each, out of
        ``estimator.classes_``. None takes the class that is predicted.
    layer : str, int or None, default=None
        The layer whose feature maps are summed, as in `feature_maps`. None takes what becomes of
        the last convolution before anything is pooled.

    Returns
    -------
    maps : ndarray of shape (n, height, width), float32
        In the size of the images, scaled so that the highest value of each is 1; all zero where
        nothing speaks for the class.

    Raises
    ------
    ValueError
        Where the target is no class, or the layer has no feature maps or no say in the logits.

    See Also
    --------
    GradCAMDisplay : Draws them over the images.

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
    check_is_fitted(estimator, "net_")
    name, found = find_layer(
        estimator, _last_before_pooling(estimator) if layer is None else layer
    )
    network = estimator.module_
    images = _images_on_device(estimator, X)
    n_images = len(images)
    codes = None if target is None else _codes(estimator, target, n_images)

    outputs: list[Tensor] = []
    with _hook(found.register_forward_hook, lambda *call: outputs.append(call[2])):
        maps = []
        for start in range(0, n_images, _IMAGES_AT_ONCE):
            outputs.clear()
            batch = images[start : start + _IMAGES_AT_ONCE]
            with torch.enable_grad():
                logits = network(batch)
                chosen = (
                    logits.argmax(1)
                    if codes is None
                    else codes[start : start + len(batch)].to(logits.device)
                )
                score = logits.gather(1, chosen[:, None]).sum()
            (output,) = outputs
            maps.append(_weighted_maps(score, output, name))
    size = images.shape[1:3]
    large = nn.functional.interpolate(torch.cat(maps)[:, None], size=size, mode="bilinear")[:, 0]
    highest = large.amax((1, 2), keepdim=True)
    scaled = large / torch.where(highest > 0, highest, torch.ones_like(highest))
    array: npt.NDArray[np.float32] = scaled.cpu().numpy()
    return array


def class_indices(labels: Any, classes: Any, name: str) -> npt.NDArray[np.intp]:
    """Number labels by their place among classes in any order."""
    names = np.asarray(classes)
    order = np.argsort(names)
    numbers: npt.NDArray[np.intp] = order[encode(np.asarray(labels), names[order], name)]
    return numbers


def read_images(estimator: Any, X: Any) -> npt.NDArray[Any]:
    """Images as an estimator reads them, whatever form they come in.

    Parameters
    ----------
    estimator : ConvNetClassifier
        A fitted one.
    X : array-like
        Images, in any form that its `predict` takes.

    Returns
    -------
    images : ndarray of shape (n, height, width, n_channels), uint8 or float32
    """
    check_is_fitted(estimator, "net_")
    pixels: npt.NDArray[Any] = _images_on_device(estimator, X).cpu().numpy()
    return pixels


def _images_on_device(estimator: Any, X: Any) -> Tensor:
    batches: list[Tensor] = []

    def keep(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        batches.append(inputs[0])

    with _hook(estimator.module_.register_forward_pre_hook, keep):
        n_images = _run(estimator, X)
    # Out of inference mode this is an ordinary tensor, through which gradients can be computed.
    return torch.cat(batches)[:n_images]


def _weighted_maps(score: Tensor, output: Tensor, name: str) -> Tensor:
    if output.ndim != 4:
        raise ValueError(
            f"layer={name!r} makes {tuple(output.shape[1:])} values of an image, and no feature "
            "maps. Expected a layer in front of where images become features."
        )
    gradient = None
    if output.requires_grad:
        (gradient,) = torch.autograd.grad(score, output, allow_unused=True)
    if gradient is None:
        raise ValueError(
            f"layer={name!r} comes before everything that was trained or has no say in the "
            "logits, so that no gradient reaches it. Choose a later layer."
        )
    weights = gradient.mean((2, 3), keepdim=True)
    return (weights * output.detach()).sum(1).clamp_min(0).float()


def _last_before_pooling(estimator: Any) -> str:
    """Name of the last layer whose maps are as large as those of the last convolution."""
    layers = estimator.summary().layers
    # A shortcut may have fewer pixels than the convolutions that it leads past.
    kinds = [layer.type in CONVOLUTIONS and not in_shortcut(layer.name) for layer in layers]
    if not any(kinds):
        raise ValueError(
            "The network has no convolution, so that there is nothing to look through: Grad-CAM "
            "needs feature maps."
        )
    last = len(kinds) - 1 - kinds[::-1].index(True)
    size = layers[last].output_shape[:2]
    name: str = next(
        layer.name
        for layer in reversed(layers)
        if len(layer.output_shape) == 3 and layer.output_shape[:2] == size
    )
    return name


def _codes(estimator: Any, target: Any, n_images: int) -> Tensor:
    """Numbers of classes, one for each image."""
    labels = np.asarray(target)
    if labels.ndim > 1 or (labels.ndim == 1 and len(labels) != n_images):
        raise ValueError(
            f"target has shape {labels.shape}, expected one label, or {n_images} of them, one for "
            "each image."
        )
    codes = class_indices(np.atleast_1d(labels), estimator.classes_, "target")
    return torch.from_numpy(np.broadcast_to(codes, n_images).copy())


def _run(estimator: Any, X: Any) -> int:
    """Run images through the network as a prediction does, once, and return their number."""
    once = copy.copy(estimator).set_params(test_time_flip=False)
    return len(once.decision_function(X))


@contextmanager
def _hook(register: Callable[[Any], Any], function: Callable[..., Any]) -> Iterator[None]:
    handle = register(function)
    try:
        yield
    finally:
        handle.remove()
