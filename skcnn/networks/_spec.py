"""Network specifications: objects that build a network for images of a given shape."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator
from torch import nn

from skcnn._utils import RowChoice
from skcnn.networks._copy import copy_of_returned
from skcnn.networks._image_network import ImageNetwork, OwnNetwork

ImageShape = tuple[int, int, int]
Measured = Mapping[str, Any]


class TrainingImages(Protocol):
    """Images as a specification measures them."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: RowChoice) -> npt.NDArray[Any]: ...

    def channel_statistics(self) -> tuple[list[float], list[float]]: ...


class NetworkSpec(BaseEstimator, ABC):
    """Base of network specifications, for the parameter `module` of an estimator.

    A specification holds the parameters of a family of networks, as scikit-learn's estimators
    hold theirs: `get_params`, `set_params` and `clone` work, and a grid search reaches them as
    ``module__<name>``. It builds a new network for each fit and stays as it is.

    Examples
    --------
    >>> import math
    >>> from torch import nn
    >>> from skcnn import ConvNetClassifier
    >>> from skcnn.networks import ImageNetwork, NetworkSpec
    >>> class OneLayer(NetworkSpec):
    ...     def __init__(self, dropout=0.0):
    ...         self.dropout = dropout
    ...
    ...     def build(self, image_shape, n_outputs, *, measured=None, clip_pool_size=False):
    ...         body = nn.Sequential(nn.Flatten(), nn.Dropout(self.dropout))
    ...         head = nn.Linear(math.prod(image_shape), n_outputs)
    ...         unknown = {"mean": [0] * image_shape[2], "scale": [1] * image_shape[2]}
    ...         return ImageNetwork(body, head, **(measured or unknown))
    >>> clf = ConvNetClassifier(module=OneLayer())
    >>> clf.summary((8, 8, 3), n_classes=2).n_parameters
    386
    """

    #: What ``augment="auto"`` of an estimator is for this network.
    default_augment: tuple[str, ...] = ("shift",)

    @property
    def is_static(self) -> bool:
        """Whether each training step does the same operations, so that a GPU can replay them."""
        return True

    @property
    def adds_up(self) -> bool:
        """Whether outputs are sums of positive numbers over the places of the image."""
        return False

    def check(self) -> None:
        """Raise a ValueError if a parameter is not as described."""

    def measure(self, images: TrainingImages) -> dict[str, Any]:
        """Compute what the network takes from the training images, as small arrays.

        Parameters
        ----------
        images : sequence of images (height, width, channels)

        Returns
        -------
        measured : dict
            Argument of `build`.
        """
        mean, scale = images.channel_statistics()
        return {"mean": mean, "scale": scale}

    @abstractmethod
    def build(
        self,
        image_shape: ImageShape,
        n_outputs: int,
        *,
        measured: Measured | None = None,
        clip_pool_size: bool = False,
        n_covariates: int = 0,
    ) -> ImageNetwork:
        """Build a network with new weights.

        Parameters
        ----------
        image_shape : tuple of (height, width, channels)
        n_outputs : int
        measured : dict, default=None
            Result of `measure`. None builds a network that shows its structure only.
        clip_pool_size : bool, default=False
            Whether to pool less where nothing is left to pool, in place of an error: for rows of
            numbers that nobody called images.
        n_covariates : int, default=0
            Number of standardized numbers beside each image, which join its features. A
            specification without this argument does not take covariates.

        Returns
        -------
        network : ImageNetwork
        """

    def first_phase(self) -> "NetworkSpec | None":
        """Return the specification of a network that is trained before, for its head; or None."""
        return None

    def allows_any_size(self) -> bool:
        """Whether the network also takes images of other sizes than it was built for."""
        return True


def statistics(image_shape: ImageShape, measured: Measured | None) -> dict[str, list[float]]:
    """Return the mean and scale of the channels, or stand-ins where nothing was measured."""
    if measured is None:
        return {"mean": [0.0] * image_shape[2], "scale": [1.0] * image_shape[2]}
    return {name: measured[name] for name in ("mean", "scale")}


class OwnModule(NetworkSpec):
    """A user's torch module class, or function that returns a module, as a specification.

    Parameters
    ----------
    module : callable
        It is called with those of `image_shape`, `n_channels`, `n_outputs`, `n_classes` and
        `n_covariates` that its signature names; `n_outputs` and `n_classes` are the same number.
    """

    def __init__(self, module: Callable[..., nn.Module]) -> None:
        self.module = module

    @property
    def is_static(self) -> bool:
        """Whether each step does the same operations: those of a user's module are not known."""
        return False

    def build(
        self,
        image_shape: ImageShape,
        n_outputs: int,
        *,
        measured: Measured | None = None,
        clip_pool_size: bool = False,
        n_covariates: int = 0,
    ) -> OwnNetwork:
        """Call the user's class or function."""
        if isinstance(self.module, type) and issubclass(self.module, NetworkSpec):
            name = self.module.__name__
            raise TypeError(
                f"module={name} is a class. Expected what it makes, with the parameters that you "
                f"want: module={name}(...)."
            )
        arguments = self._accepted(image_shape, n_outputs, n_covariates)
        if n_covariates and "n_covariates" not in arguments:
            raise ValueError(
                f"X has {n_covariates} covariates beside the images, which "
                f"module={self.module!r} does not take. Give it an argument `n_covariates`, and "
                "its `forward` a second argument, the covariates of a batch; or pass the images "
                "alone."
            )
        own = self.module(**arguments)
        if not isinstance(own, nn.Module):
            raise TypeError(
                f"module={self.module!r} returned {type(own).__name__}, expected a "
                "torch.nn.Module. Pass a Module class, or a function that returns a Module."
            )
        check_has_no_scripts(own, "The network of module=")
        if not isinstance(self.module, type):
            own = copy_of_returned(own)
        network = OwnNetwork(own, **statistics(image_shape, measured), n_covariates=n_covariates)
        if any(isinstance(p, nn.UninitializedParameter) for p in network.parameters()):
            # Lazy layers take their shape from the first image they see.
            with torch.no_grad():
                network.eval()(torch.zeros(1, *image_shape))
            network.train()
        if not any(p.requires_grad for p in network.parameters()):
            raise ValueError(
                f"The network of module={self.module!r} has no parameters to train. Expected a "
                "Module with at least one layer that has weights."
            )
        return network

    def _accepted(
        self, image_shape: ImageShape, n_outputs: int, n_covariates: int
    ) -> dict[str, Any]:
        if getattr(self.module, "__init__", None) is nn.Module.__init__:
            # A class without its own constructor takes no arguments.
            return {}
        offered = {
            "image_shape": image_shape,
            "n_channels": image_shape[2],
            "n_outputs": n_outputs,
            "n_classes": n_outputs,
        }
        accepted = inspect.signature(self.module).parameters
        if n_covariates or "n_covariates" in accepted:
            offered["n_covariates"] = n_covariates
        if any(p.kind is p.VAR_KEYWORD for p in accepted.values()):
            return offered
        missing = [
            name
            for name, p in accepted.items()
            if p.default is p.empty and p.kind is not p.VAR_POSITIONAL and name not in offered
        ]
        if missing:
            raise TypeError(
                f"module={self.module!r} needs the arguments {', '.join(missing)}, which fit does "
                f"not know. Expected some of {', '.join(offered)}. Rename them, or write a "
                "function: def build(n_channels, n_classes): return ..."
            )
        return {name: value for name, value in offered.items() if name in accepted}


def check_has_no_scripts(own: nn.Module, name: str) -> None:
    """Refuse modules of torch.jit, which take no hooks, and cannot be copied or stored."""
    for part in own.modules():
        if isinstance(part, torch.jit.ScriptModule):
            raise TypeError(
                f"{name} has a part that torch.jit has compiled, "
                f"{type(part).__name__}. Expected plain modules. Give the Module that was "
                "scripted or traced, without torch.jit, and set compile=True to compile it."
            )
