"""Whether the outputs of a network for an image depend on the images beside it."""

from functools import cache, partial

from torch import nn

from skcnn.networks._folding import has_hooks
from skcnn.networks._image_network import OwnNetwork
from skcnn.networks._model_libraries import LIBRARIES
from skcnn.networks._stages import stop

_KNOWN = ("skcnn", "torch", *LIBRARIES)
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def is_batch_independent(network: nn.Module) -> bool:
    """Whether outputs do not depend on the other images of a batch, and no hook sees these.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode.

    Returns
    -------
    is_independent : bool
        False for a user's own module, whose code is not known, and where hooks see each batch.

    Examples
    --------
    >>> from skcnn.networks import ConvBlocks
    >>> network = ConvBlocks((8,)).build((8, 8, 3), n_outputs=2)
    >>> is_batch_independent(network)
    True
    >>> network.body.append(nn.BatchNorm1d(8, track_running_stats=False))
    Sequential(...
    >>> is_batch_independent(network)
    False
    """
    if isinstance(network, OwnNetwork) or has_hooks(network, but=stop):
        return False
    return all(map(_is_known, network.modules()))


def _is_known(module: nn.Module) -> bool:
    """Whether a module is of a library, and does not normalize by the batch at hand."""
    if isinstance(module, _BATCH_NORMS) and module.running_mean is None:
        return False
    if not _is_of_library(type(module)):
        return False
    # Somebody may have put a function of their own in, such as an activation or `forward`.
    return all(_is_of_library(value) for value in vars(module).values() if callable(value))


def _is_of_library(thing: object) -> bool:
    """Whether a class or function, or what a partial one is made of, is of a library."""
    if isinstance(thing, partial):
        return all(map(_is_of_library, (thing.func, *filter(callable, thing.keywords.values()))))
    return _is_library(str(getattr(thing, "__module__", "")))


@cache  # asked for each part of a network, at each prediction
def _is_library(name: str) -> bool:
    return name.partition(".")[0] in _KNOWN
