"""A network that somebody else trained, as stages with their preprocessing."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from skcnn.networks._backbone_network import Preprocessing
from skcnn.networks._stages import Stages, find_units

PRETRAINED = "pretrained"


@dataclass
class Source:
    """A network somebody else trained, divided into stages.

    Attributes
    ----------
    stages : OrderedDict of torch.nn.Module
        They run one after the other, from standardized images (n, channels, height, width) to
        feature maps, tokens or features.
    preprocessing : Preprocessing or None
        None where it is not known.
    n_prefix : int
        Number of tokens of a transformer before those of the patches.
    pooling : str
        How its own training made features of the last maps or tokens, as `Pool` calls it.
    units : list of list of torch.nn.Module
        Parts that are trained or frozen as a whole. By default, those that `find_units` finds.
    set_size : callable or None
        Prepares the network for images of a (height, width) other than those of its training;
        None where it takes any.
    is_channels_last : bool
        Whether its maps are (n, height, width, channels).
    """

    stages: Stages
    preprocessing: Preprocessing | None
    n_prefix: int = 0
    pooling: str = "auto"
    units: list[list[nn.Module]] = field(default_factory=list)
    set_size: Callable[[tuple[int, int]], None] | None = None
    is_channels_last: bool = False

    def __post_init__(self) -> None:
        if not self.units:
            self.units = find_units(nn.Sequential(OrderedDict(self.stages)))


class ForwardFeatures(nn.Module):
    """What a module's `forward_features` returns: the contract of timm's models.

    Parameters
    ----------
    model : torch.nn.Module
    pools : bool, default=False
        Whether to use the model's own pooling as well, its `forward_head`.
    """

    def __init__(self, model: nn.Module, *, pools: bool = False) -> None:
        super().__init__()
        self.model = model
        self.pools = pools

    def forward(self, images: Tensor) -> Tensor:
        """Return feature maps, tokens or features."""
        model = self.model
        features: Tensor = model.forward_features(images)  # type: ignore[operator]
        if self.pools:
            features = model.forward_head(features, pre_logits=True)  # type: ignore[operator]
        elif features.ndim == 4 and is_channels_last(model):
            features = features.permute(0, 3, 1, 2)
        return features


def is_channels_last(model: nn.Module) -> bool:
    """Whether the maps inside a model of timm or torchvision are (n, height, width, channels).

    Those of Swin transformers are. timm says so; torchvision permutes them at the end.
    """
    permutes = type(getattr(model, "permute", None)).__name__ == "Permute"
    return permutes or getattr(model, "output_fmt", "NCHW") == "NHWC"


def read_config(config: Mapping[str, Any], multiple: int = 1) -> Preprocessing:
    """Read the preprocessing of timm's configuration.

    Examples
    --------
    >>> read_config({"mean": (0.5,) * 3, "std": (0.5,) * 3, "input_size": (3, 160, 160)})
    Preprocessing(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), image_size=160, multiple=1, ...)
    """
    mean, std = (tuple(map(float, config[name])) for name in ("mean", "std"))
    size = config.get("input_size")
    image_size = min(int(side) for side in size[1:]) if isinstance(size, list | tuple) else None
    return Preprocessing(mean, std, image_size, multiple)
