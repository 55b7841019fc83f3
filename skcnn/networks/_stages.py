"""Networks as stages: parts that run one after another, of which the last ones can be trained."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import NoReturn

import torch
from torch import Tensor, nn

_MOST_NAMES = 20

Stages = OrderedDict[str, nn.Module]


class Reached(Exception):  # noqa: N818  (no error: it ends a run that is wanted no further)
    """The output of the layer whose output is wanted."""

    def __init__(self, output: Tensor) -> None:
        super().__init__()
        self.output = output


class UpTo(nn.Module):
    """A module that runs no further than one of its layers, and returns the layer's output.

    Parameters
    ----------
    module : torch.nn.Module
        It must not run by itself any more.
    layer : str
        Path of the layer in the module.
    """

    def __init__(self, module: nn.Module, layer: str) -> None:
        super().__init__()
        self.module = module
        self.layer = layer
        # The exception carries the output, so that threads do not meet.
        module.get_submodule(layer).register_forward_hook(stop)

    def forward(self, images: Tensor) -> Tensor:
        """Return the output of the layer."""
        try:
            self.module(images)
        except Reached as reached:
            return reached.output
        raise ValueError(f"layer={self.layer!r} does not run when the network does.")


def stop(module: nn.Module, inputs: object, output: Tensor) -> NoReturn:
    """End the run: the hook of the layer whose output is wanted."""
    raise Reached(output)


def cut_after(stages: Mapping[str, nn.Module], layer: str) -> Stages:
    """Return the stages up to a layer, which may be inside one of them.

    Parameters
    ----------
    stages : mapping of str to torch.nn.Module
    layer : str
        Name of a stage, or path of a layer in one, such as "stage4.2".

    Raises
    ------
    ValueError
        If there is no such layer.

    Examples
    --------
    >>> stages = {"a": nn.Sequential(nn.ReLU(), nn.Tanh()), "b": nn.Sigmoid()}
    >>> list(cut_after(stages, "a")), cut_after(stages, "a.0")["a"][-1]
    (['a'], ReLU())
    """
    name, _, rest = layer.partition(".")
    if name not in stages and len(stages) == 1:
        # Layers of a module that cannot be divided are named as in the module.
        ((own, stage),) = stages.items()
        return OrderedDict({own: _cut_stage(stage, layer)})
    if name not in stages:
        raise ValueError(_no_such_layer(layer, list(stages)))
    kept: Stages = OrderedDict()
    for own, stage in stages.items():
        kept[own] = stage
        if own == name:
            break
    if rest:
        kept[name] = _cut_stage(kept[name], rest)
    return kept


def _cut_stage(stage: nn.Module, layer: str) -> nn.Module:
    if isinstance(stage, nn.Sequential):
        return nn.Sequential(cut_after(dict(stage.named_children()), layer))
    names = [name for name, _ in stage.named_modules() if name]
    if layer not in names:
        raise ValueError(_no_such_layer(layer, names))
    return UpTo(stage, layer)


def _no_such_layer(layer: str, names: list[str]) -> str:
    shown = ", ".join(names[:_MOST_NAMES]) + (", ..." if len(names) > _MOST_NAMES else "")
    return f"layer={layer!r} is no layer of the backbone. Expected one of {shown}."


def units_that_run(
    units: Iterable[list[nn.Module]], network: nn.Module, images: Tensor
) -> list[list[nn.Module]]:
    """Return the units of which a part runs when the network does: not the head that was cut off.

    Parameters
    ----------
    units : iterable of list of torch.nn.Module
    network : torch.nn.Module
    images : torch.Tensor of shape (n, channels, height, width)
    """
    ran: set[nn.Module] = set()
    hooks = [
        module.register_forward_pre_hook(lambda module, _: ran.add(module))
        for module in network.modules()
    ]
    with torch.no_grad():
        network.eval()(images)
    for hook in hooks:
        hook.remove()
    parts = [[part for part in unit if not ran.isdisjoint(part.modules())] for unit in units]
    return [unit for unit in parts if unit]


def train_part(part: nn.Module, lr_factor: float) -> None:
    """Have a part trained at a multiple of the learning rate, in all of its layers."""
    part.requires_grad_(True)
    for module in part.modules():
        # A network that was trained before has a factor of that training.
        vars(module).pop("lr_factor", None)
    vars(part).update(lr_factor=lr_factor)


def find_units(module: nn.Module) -> list[list[nn.Module]]:
    """Divide a network into units that are trained or frozen as a whole, from first to last.

    The units of a residual network are its stages, and those of a transformer its blocks. Layers
    between them belong to the unit before, and those before the first unit to the first one.

    Parameters
    ----------
    module : torch.nn.Module

    Returns
    -------
    units : list of list of torch.nn.Module

    Examples
    --------
    >>> block = lambda: nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    >>> network = nn.Sequential(nn.Linear(2, 2), nn.Sequential(block(), block()), nn.Linear(2, 1))
    >>> [len(unit) for unit in find_units(network)]
    [2, 2]
    """
    children = [child for child in module.children() if _n_layers(child)]
    composites = [child for child in children if _n_layers(child) > 1]
    containers = [child for child in composites if _is_container(child)]
    if len(containers) == 1 or len(composites) == 1:
        (inner,) = containers if len(containers) == 1 else composites
        units, starts = find_units(inner), {id(inner)}
        if not units:
            units = [[inner]]
        place = next(n for n, child in enumerate(children) if child is inner)
        units[0] = [*children[:place], *units[0]]
        units[-1] = [*units[-1], *children[place + 1 :]]
        return units
    starts = {id(child) for child in composites} or {id(child) for child in children}
    return _group(children, starts)


def _group(children: Iterable[nn.Module], starts: set[int]) -> list[list[nn.Module]]:
    units: list[list[nn.Module]] = []
    before: list[nn.Module] = []
    for child in children:
        if id(child) in starts:
            units.append([*before, child])
            before = []
        elif units:
            units[-1].append(child)
        else:
            before.append(child)
    return units


def _is_container(module: nn.Module) -> bool:
    if not isinstance(module, nn.Sequential | nn.ModuleList):
        return False
    return sum(_n_layers(child) > 1 for child in module.children()) > 1


def _n_layers(module: nn.Module) -> int:
    """Count the layers that have parameters."""
    return sum(next(m.parameters(recurse=False), None) is not None for m in module.modules())
