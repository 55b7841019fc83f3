"""Layers of a fitted network by name or number, and their outputs."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from skcnn._compute._ambient import no_autocast
from skcnn._compute._fork import computing
from skcnn._compute._interrupt import hold_interrupts
from skcnn._data._inputs import AnyImages
from skcnn.inspection._reading import image_batches
from skcnn.networks._copy import structural_copy
from skcnn.networks._summary import Part, named_parts


def find_layer(estimator: BaseEstimator, layer: str | int) -> tuple[str, Part]:
    """Find a layer of a fitted network by its name, or a convolution by its number.

    Parameters
    ----------
    estimator : skcnn estimator with a network
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


def compute_outputs(
    estimator: BaseEstimator, images: AnyImages, names: Sequence[str]
) -> dict[str, npt.NDArray[np.float32]]:
    """Run images through the network once, and return the outputs of some layers.

    Parameters
    ----------
    estimator : skcnn estimator with a network
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
        run = LayerRecorder(estimator, names, to_host)
        for _, inputs in image_batches(images, device):
            for name, output in run(*inputs)[1].items():
                batches[name].append(output.movedim(1, -1) if output.ndim == 4 else output)
    return {name: torch.cat(outputs).contiguous().numpy() for name, outputs in batches.items()}


class LayerRecorder:
    """Runs batches through a network, and returns the outputs of some of its layers.

    The hooks are on a copy that shares the weights: on the network itself they would record what
    other threads run through it.

    Parameters
    ----------
    estimator : skcnn estimator with a network
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
