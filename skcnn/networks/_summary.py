"""What a network is made of: its layers, their output shapes, parameters and work."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class Layer(NamedTuple):
    """One row of a summary."""

    name: str
    type: str
    output_shape: tuple[int, ...]
    n_parameters: int
    multiply_adds: int


class NetworkSummary(str):
    """A table of layers: a string to print, with its figures as attributes.

    Attributes
    ----------
    layers : list of Layer
        Name, type, output shape of one image, trainable parameters and multiply-adds for one
        image of each layer. Output shapes are (height, width, channels) or (units,).
    n_parameters : int
        Trainable parameters of the whole network.
    multiply_adds : int
        Multiplications with additions that one image takes through the network.
    n_values : int
        How many values all layers together make of one image.
    output_shape : tuple of int
        The shape of what the network makes of one image.
    """

    layers: list[Layer]
    n_parameters: int
    multiply_adds: int
    n_values: int
    output_shape: tuple[int, ...]

    def __new__(
        cls, layers: list[Layer], n_parameters: int, output_shape: tuple[int, ...]
    ) -> "NetworkSummary":
        multiply_adds = sum(layer.multiply_adds for layer in layers)
        self = super().__new__(cls, _table(layers, n_parameters, multiply_adds))
        self.layers, self.n_parameters = layers, n_parameters
        self.multiply_adds, self.output_shape = multiply_adds, output_shape
        self.n_values = sum(math.prod(layer.output_shape) for layer in layers)
        return self

    def __getnewargs__(self) -> tuple[Any, ...]:
        return self.layers, self.n_parameters, self.output_shape

    def __repr__(self) -> str:
        return str(self)


def summarize(network: nn.Module, image_shape: tuple[int, int, int]) -> NetworkSummary:
    """Run one blank image through a network and note what each of its layers makes of it.

    Parameters
    ----------
    network : torch.nn.Module
        Takes images (n, height, width, channels).
    image_shape : tuple of (height, width, channels)

    Returns
    -------
    summary : NetworkSummary
    """
    layers: list[Layer] = []

    def note(name: str) -> Any:
        def hook(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            if isinstance(output, Tensor):
                layers.append(_describe(name, layer, output))

        return hook

    hooks = [
        layer.register_forward_hook(note(name.removeprefix("layers.")))
        for name, layer in network.named_modules()
        if next(layer.children(), None) is None and not isinstance(layer, nn.Identity)
    ]
    training = {module: module.training for module in network.modules()}
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    try:
        with torch.inference_mode():
            output = network.eval()(torch.zeros(1, *image_shape, device=device))
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in training.items():
            module.training = mode
    return NetworkSummary(layers, _n_trainable(network), tuple(output.shape[1:]))


def _describe(name: str, layer: nn.Module, output: Tensor) -> Layer:
    shape = tuple(output.shape[1:])
    weight = getattr(layer, "weight", None)
    multiply_adds = 0
    if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d) and weight is not None:
        # Each weight is used once at each place of the output.
        places = output[0].numel() // weight.shape[0]
        multiply_adds = weight.numel() * places
    if len(shape) == 3:
        shape = (shape[1], shape[2], shape[0])
    return Layer(name, type(layer).__name__, shape, _n_trainable(layer), multiply_adds)


def _n_trainable(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def _table(layers: list[Layer], n_parameters: int, multiply_adds: int) -> str:
    rows = [("layer", "type", "output shape", "parameters")]
    rows += [
        (name, kind, " x ".join(map(str, shape)), f"{count:,}")
        for name, kind, shape, count, _ in layers
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = [
        "  ".join([*(t.ljust(w) for t, w in zip(row[:3], widths)), row[3].rjust(widths[3])])
        for row in rows
    ]
    rule = "-" * len(lines[0])
    total = (
        f"{n_parameters:,} parameters, {multiply_adds / 1e6:,.1f} million multiply-adds an image"
    )
    return "\n".join([lines[0], rule, *lines[1:], rule, total])
