"""Summary of a network: its layers with their roles, output shapes, parameters and work."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from skcnn.networks._attention import AttentionProduct
from skcnn.networks._copy import structural_copy
from skcnn.networks._layers import Residual

# The first entry that a layer is an instance of decides.
_ROLES: dict[str, tuple[type[nn.Module], ...]] = {
    "convolution": (
        nn.Conv1d,
        nn.Conv2d,
        nn.Conv3d,
        nn.ConvTranspose1d,
        nn.ConvTranspose2d,
        nn.ConvTranspose3d,
    ),
    "pooling": (
        nn.MaxPool1d,
        nn.MaxPool2d,
        nn.MaxPool3d,
        nn.AvgPool1d,
        nn.AvgPool2d,
        nn.AvgPool3d,
        nn.LPPool1d,
        nn.LPPool2d,
        nn.FractionalMaxPool2d,
        nn.AdaptiveMaxPool1d,
        nn.AdaptiveMaxPool2d,
        nn.AdaptiveMaxPool3d,
        nn.AdaptiveAvgPool1d,
        nn.AdaptiveAvgPool2d,
        nn.AdaptiveAvgPool3d,
    ),
    "normalization": (
        nn.BatchNorm1d,
        nn.BatchNorm2d,
        nn.BatchNorm3d,
        nn.SyncBatchNorm,
        nn.InstanceNorm1d,
        nn.InstanceNorm2d,
        nn.InstanceNorm3d,
        nn.GroupNorm,
        nn.LayerNorm,
        nn.RMSNorm,
        nn.LocalResponseNorm,
    ),
    "activation": (
        nn.ReLU,
        nn.ReLU6,
        nn.LeakyReLU,
        nn.PReLU,
        nn.RReLU,
        nn.ELU,
        nn.SELU,
        nn.CELU,
        nn.GELU,
        nn.SiLU,
        nn.Mish,
        nn.Hardswish,
        nn.Hardsigmoid,
        nn.Hardtanh,
        nn.Softplus,
        nn.Softsign,
        nn.Sigmoid,
        nn.LogSigmoid,
        nn.Tanh,
        nn.GLU,
        nn.Softmax,
        nn.LogSoftmax,
    ),
    "dense": (nn.Linear, nn.Bilinear),
    "attention": (nn.MultiheadAttention, AttentionProduct),
}
# Convolutions that may enlarge maps.
_UPWARD = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
# Roles of the layers that can make the outputs of a network.
_OUTPUT_ROLES = ("convolution", "dense")
_COLUMNS = ("layer", "type", "output shape", "parameters")


class Layer(NamedTuple):
    """One row of a summary.

    Attributes
    ----------
    name : str
        Path of the module in the network.
    type : str
        Name of its class.
    output_shape : tuple of int
        Output shape for one image: (height, width, channels) or (units,).
    n_parameters : int
        Number of trainable parameters.
    multiply_adds : int
        Multiply-adds (MACs) per image.
    role : str, default=""
        What the layer is for: "convolution", "pooling", "normalization", "activation", "dense",
        "attention", "shortcut" for all layers in the shortcut of a residual block, "output" for
        the layer that makes the outputs of the network, or "" for others.
    block : str, default=""
        Name of the residual block among whose convolutions the layer is; "" outside.
    """

    name: str
    type: str
    output_shape: tuple[int, ...]
    n_parameters: int
    multiply_adds: int
    role: str = ""
    block: str = ""


@dataclass(frozen=True, repr=False)
class NetworkSummary:
    """Table of the layers of a network. `print` shows it, and so do notebooks.

    Attributes
    ----------
    layers : tuple of Layer
        Name, type, output shape for one image, trainable parameters, multiply-adds per image,
        role and residual block of each layer, in the order in which they run.
    n_parameters : int
        Trainable parameters of the whole network.
    output_shape : tuple of int
        Output shape of the network for one image.
    multiply_adds : int
        Multiply-adds (MACs) per image.
    n_values : int
        Number of activations per image: the sizes of all outputs of layers together.
    """

    layers: tuple[Layer, ...]
    n_parameters: int
    output_shape: tuple[int, ...]

    @property
    def multiply_adds(self) -> int:
        return sum(layer.multiply_adds for layer in self.layers)

    @property
    def n_values(self) -> int:
        return sum(math.prod(layer.output_shape) for layer in self.layers)

    def __str__(self) -> str:
        rows = [_COLUMNS, *self._cells()]
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = [
            "  ".join([*map(str.ljust, row[:-1], widths), row[-1].rjust(widths[-1])])
            for row in rows
        ]
        rule = "-" * len(lines[0])
        return "\n".join([lines[0], rule, *lines[1:], rule, self._total()])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{column}</th>" for column in _COLUMNS)
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
            for cells in self._cells()
        )
        total = f'<tr><td colspan="{len(_COLUMNS)}">{self._total()}</td></tr>'
        return (
            f"<table><thead><tr>{head}</tr></thead>"
            f"<tbody>{rows}</tbody><tfoot>{total}</tfoot></table>"
        )

    def _cells(self) -> list[tuple[str, ...]]:
        return [
            (
                layer.name,
                layer.type,
                " x ".join(map(str, layer.output_shape)),
                f"{layer.n_parameters:,}",
            )
            for layer in self.layers
        ]

    def _total(self) -> str:
        return (
            f"{self.n_parameters:,} parameters, "
            f"{self.multiply_adds / 1e6:,.1f} million multiply-adds (MACs) per image"
        )


class Part(NamedTuple):
    """One module of a network, with its role and residual block as in `Layer`."""

    module: nn.Module
    role: str
    block: str


def role_of(module: nn.Module) -> str:
    """Role of a layer by its class, wherever it is; "" for classes that have none.

    Examples
    --------
    >>> role_of(nn.Conv2d(3, 8, 3)), role_of(nn.Flatten())
    ('convolution', '')
    """
    return next((role for role, kinds in _ROLES.items() if isinstance(module, kinds)), "")


def named_parts(network: nn.Module) -> dict[str, Part]:
    """All modules of a network by the names that summaries give them.

    Examples
    --------
    >>> block = Residual(nn.Sequential(nn.Conv2d(3, 8, 1)), nn.Conv2d(3, 8, 1))
    >>> parts = named_parts(nn.Sequential(block, nn.ReLU()))
    >>> parts["0.convolutions.0"].role, parts["0.convolutions.0"].block, parts["0.shortcut"].role
    ('convolution', '0', 'shortcut')
    """
    names = {module: _short_name(name) for name, module in network.named_modules()}
    blocks: dict[nn.Module, str] = {}
    shortcuts: set[nn.Module] = set()
    for module, name in names.items():
        # Blocks in blocks come later: the innermost one counts.
        if isinstance(module, Residual):
            blocks |= dict.fromkeys(module.convolutions.modules(), name)
            shortcuts |= set(module.shortcut.modules())
    return {
        name: Part(
            module,
            "shortcut" if module in shortcuts else role_of(module),
            "" if module in shortcuts else blocks.get(module, ""),
        )
        for module, name in names.items()
        if name
    }


def summarize(network: nn.Module, image_shape: tuple[int, int, int]) -> NetworkSummary:
    """Run one blank image through a network and record the output of each of its layers.

    Parameters
    ----------
    network : torch.nn.Module
        Takes images (n, height, width, channels). It stays as it is, but for the layout in memory
        in which its layers get images, if they do not take the fastest.
    image_shape : tuple of (height, width, channels)

    Returns
    -------
    summary : NetworkSummary
    """
    # Hooks on the network itself would see what other threads run through it.
    copied = structural_copy(network).eval()
    records: list[tuple[Layer, Tensor]] = []

    def record(name: str, part: Part) -> Callable[..., None]:
        def hook(
            module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: object
        ) -> None:
            # Attention returns its weights beside the output.
            values = output[0] if isinstance(output, tuple) else output
            if isinstance(values, Tensor):
                inputs = [each for each in (*args, *kwargs.values()) if isinstance(each, Tensor)]
                records.append((_describe(name, part, inputs, values), values))

        return hook

    for name, part in named_parts(copied).items():
        if _is_layer(part):
            part.module.register_forward_hook(record(name, part), with_kwargs=True)
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    image = torch.zeros(1, *image_shape, device=device)
    with torch.inference_mode():
        output = copied(image)
        layout: Any = getattr(copied, "is_channels_last", None)
        if layout != getattr(network, "is_channels_last", None):
            # A first pass ended within: its layers do not count.
            network.is_channels_last = layout
            records.clear()
            output = copied(image)
    layers = tuple(
        layer._replace(role="output")
        if values is output and layer.role in _OUTPUT_ROLES
        else layer
        for layer, values in records
    )
    return NetworkSummary(layers, _n_trainable(network), tuple(output.shape[1:]))


def _short_name(name: str) -> str:
    """Name of a module without the part of the network that holds all layers.

    Examples
    --------
    >>> _short_name("own.block1.0"), _short_name("body.block1.0"), _short_name("head")
    ('block1.0', 'block1.0', 'head')
    """
    return re.sub(r"^(own|body)\.", "", name)


def _is_layer(part: Part) -> bool:
    is_leaf = next(part.module.children(), None) is None
    return (is_leaf and not isinstance(part.module, nn.Identity)) or part.role == "attention"


def _describe(name: str, part: Part, inputs: Sequence[Tensor], output: Tensor) -> Layer:
    layer, role, block = part
    shape = tuple(output.shape[1:])
    if len(shape) == 3:
        shape = (shape[1], shape[2], shape[0])
    work = _multiply_adds(layer, inputs, output)
    return Layer(name, type(layer).__name__, shape, _n_trainable(layer), work, role, block)


def _multiply_adds(layer: nn.Module, inputs: Sequence[Tensor], output: Tensor) -> int:
    """Multiply-adds of a layer for one image."""
    if isinstance(layer, AttentionProduct):
        # It has no weights and multiplies all the same.
        return layer.multiply_adds(output)
    if isinstance(layer, nn.MultiheadAttention):
        return _of_attention(layer, inputs)
    weight = getattr(layer, "weight", None)
    if not isinstance(weight, Tensor):
        return 0
    if isinstance(layer, _UPWARD):
        # Each weight is used once at each place of the input.
        return weight.numel() * (inputs[0].numel() // weight.shape[0])
    if isinstance(layer, nn.Linear | nn.Bilinear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
        # Each weight is used once at each place of the output, or at each that is added up.
        places = output[0].numel() // weight.shape[0] * getattr(layer, "n_places", 1)
        return weight.numel() * places
    return 0


def _of_attention(layer: nn.MultiheadAttention, inputs: Sequence[Tensor]) -> int:
    """Multiply-adds of torch's attention: its dense layers, and both products between tokens."""
    # A subclass may take the tokens once.
    query, key, value = inputs[:3] if len(inputs) > 2 else [inputs[0]] * 3
    n_queries, n_keys = (each.numel() // each.shape[-1] for each in (query, key))
    width: int = layer.embed_dim
    dense = 2 * n_queries * width + n_keys * (key.shape[-1] + value.shape[-1])
    return width * (dense + 2 * n_queries * n_keys)


def _n_trainable(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
