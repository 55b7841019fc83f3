"""Attention of a compact transformer: which regions of an image its features come from."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from skcnn._compute._ambient import no_autocast
from skcnn._compute._fork import computing
from skcnn._compute._interrupt import hold_interrupts
from skcnn._from_r import whole_arguments
from skcnn.inspection._images import take_rows
from skcnn.inspection._overlay import OverlayDisplay
from skcnn.inspection._reading import image_batches, read_images
from skcnn.inspection._unwrap import unwrap
from skcnn.networks._attention import AttentionProduct, Positions, SequencePooling
from skcnn.networks._copy import structural_copy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_METHODS = ("rollout", "pooling")


def attention_maps(
    estimator: BaseEstimator, X: npt.ArrayLike, *, method: str = "rollout"
) -> npt.NDArray[np.float32]:
    """Compute which regions of images the features of a transformer come from.

    A map does not tell for which class a region counts; `grad_cam` explains a class. Several
    threads may call the function with the same estimator.

    Parameters
    ----------
    estimator : skcnn estimator with a network, Pipeline or search
        A fitted one with ``module=CompactTransformer(...)``. Of a pipeline, the last step counts.
    X : array-like of shape (n, height, width, n_channels), (n, height, width) or (n, n_pixels)
        Images, in any form that ``estimator.predict`` takes.
    method : {"rollout", "pooling"}, default="rollout"
        "pooling" shows how much each token of the last layer weighs in the features. But these
        tokens have gathered from all others: "rollout" follows the attention back, layer by
        layer, to the tokens that the image was cut into [1]_.

    Returns
    -------
    maps : ndarray of shape (n, height, width), float32
        Maps of the size of the images, each scaled so that its maximum is 1.

    Raises
    ------
    ValueError
        If the network is not a compact transformer, the method is not one of those above, or X
        does not fit the network.
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If the estimator has no network.

    See Also
    --------
    AttentionDisplay : Draws the maps over the images.

    References
    ----------
    .. [1] Abnar, Zuidema: Quantifying attention flow in transformers. ACL 2020,
       arXiv:2005.00928.

    Examples
    --------
    >>> from skcnn import ConvNetClassifier
    >>> from skcnn.datasets import make_organisms
    >>> from skcnn.inspection import attention_maps
    >>> from skcnn.networks import CompactTransformer
    >>> X, y = make_organisms(n_samples=60, n_classes=3, image_size=16, random_state=0)
    >>> small = CompactTransformer(depth=2, width=16, heads=2)
    >>> clf = ConvNetClassifier(module=small, max_epochs=2, random_state=0).fit(X, y)
    >>> attention_maps(clf, X[:5]).shape
    (5, 16, 16)
    """
    if method not in _METHODS:
        raise ValueError(f"method must be one of {', '.join(_METHODS)}, got {method!r}.")
    estimator, X = unwrap(estimator, X)
    images = read_images(estimator, X)
    maps = []
    device = estimator.device_
    with hold_interrupts(), no_autocast(device), torch.inference_mode():
        run = _AttentionRecorder(estimator)
        for _, inputs in image_batches(images, device):
            tokens = run(*inputs, follow=method == "rollout")
            size = (inputs[0].shape[1], inputs[0].shape[2])
            large = nn.functional.interpolate(tokens[:, None], size=size, mode="bilinear")[:, 0]
            maps.append((large / large.amax((1, 2), keepdim=True)).cpu().numpy())
    array: npt.NDArray[np.float32] = np.concatenate(maps)
    return array


class _AttentionRecorder:
    """Runs batches through a transformer, and returns the weight of each token in the features.

    The hooks are on a copy that shares the weights: on the network itself they would record what
    other threads run through it.
    """

    def __init__(self, estimator: BaseEstimator) -> None:
        self._network = structural_copy(estimator.module_).eval()
        self._layers: list[Tensor] = []
        self._sides: tuple[int, int] = (0, 0)
        self._pooling = torch.zeros(0)
        found = False
        for module in self._network.modules():
            if isinstance(module, AttentionProduct):
                module.register_forward_pre_hook(self._record_layer)
            elif isinstance(module, Positions):
                module.register_forward_pre_hook(self._record_sides)
            elif isinstance(module, SequencePooling):
                found = True
                module.score.register_forward_hook(self._record_pooling)
        if not found:
            raise ValueError(
                f"The network of {type(estimator).__name__} has no attention between tokens. "
                "Expected a network of module=CompactTransformer(...). For networks of "
                "convolutions, skcnn.inspection.grad_cam shows which regions count."
            )

    def __call__(self, *inputs: Tensor, follow: bool) -> Tensor:
        """Return weights of shape (n, height, width), for the places of the tokens."""
        self._layers = []
        with computing():
            self._network(*inputs)
        weights = self._pooling
        for attention in reversed(self._layers if follow else []):
            # Half of what a token becomes is the token itself, by the shortcut.
            weights = (weights + torch.einsum("nq,nqk->nk", weights, attention)) / 2
        return weights.view(len(weights), *self._sides)

    def _record_layer(self, module: AttentionProduct, inputs: tuple[Tensor, ...]) -> None:
        query, key, _ = inputs
        self._layers.append(module.weights(query.float(), key.float()).mean(1))

    def _record_sides(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._sides = (inputs[0].shape[2], inputs[0].shape[3])

    def _record_pooling(
        self, module: nn.Module, inputs: tuple[Tensor, ...], scores: Tensor
    ) -> None:
        self._pooling = SequencePooling.weights(scores.float())[..., 0]


class AttentionDisplay(OverlayDisplay):
    """Images, and below each its attention map: the regions that its features come from.

    Make one with `from_estimator`.

    Parameters
    ----------
    images : ndarray of shape (n, height, width, n_channels)
    maps : ndarray of shape (n, height, width)
        As returned by `attention_maps`.
    labels : ndarray of shape (n,)
        Predicted class of each image.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure

    References
    ----------
    Abnar, Zuidema: Quantifying attention flow in transformers. ACL 2020, arXiv:2005.00928.

    Examples
    --------
    >>> from skcnn import ConvNetClassifier
    >>> from skcnn.datasets import make_organisms
    >>> from skcnn.inspection import AttentionDisplay
    >>> from skcnn.networks import CompactTransformer
    >>> X, y = make_organisms(n_samples=60, n_classes=3, image_size=16, random_state=0)
    >>> small = CompactTransformer(depth=2, width=16, heads=2)
    >>> clf = ConvNetClassifier(module=small, max_epochs=2, random_state=0).fit(X, y)
    >>> AttentionDisplay.from_estimator(clf, X[:4]).axes_.shape
    (2, 4)
    """

    _bar_label = "attention"
    _title = "Attention: the features come from the bright regions"

    @classmethod
    @whole_arguments("max_images")
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: npt.NDArray[Any] | Sequence[Any],
        *,
        method: str = "rollout",
        max_images: int = 8,
        random_state: int | np.random.RandomState | None = None,
        ax: "Axes | None" = None,
        alpha: float = 0.55,
    ) -> Self:
        """Compute the maps of images and draw them.

        Parameters
        ----------
        estimator, method
            As in `attention_maps`.
        X : array-like
            Images, in any form that ``estimator.predict`` takes.
        max_images : int, default=8
            Number of images to draw, from the first.
        random_state : int or RandomState, default=None
            Draws the images at random, for data sorted by class. None takes the first ones.
        ax, alpha
            As in `plot`.

        Returns
        -------
        display : AttentionDisplay

        Raises
        ------
        ValueError, NotFittedError, TypeError
            As in `attention_maps`.
        """
        X, _ = take_rows(X, None, max_images, random_state)
        estimator, X = unwrap(estimator, X)
        maps = attention_maps(estimator, X, method=method)
        images = read_images(estimator, X)[:]
        return cls(images=images, maps=maps, labels=estimator.predict(X)).plot(ax, alpha=alpha)
