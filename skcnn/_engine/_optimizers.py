"""Optimizers by name."""

from inspect import signature
from typing import Any

import torch

from skcnn._engine._muon import Muon

# With what serves each best on a CPU and on a GPU.
OPTIMIZERS: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any]]] = {
    "sgd": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True, "fused": True}),
    "rmsprop": (torch.optim.RMSprop, {"alpha": 0.9, "eps": 1e-7, "foreach": True}),
    "adam": (torch.optim.Adam, {"fused": True}),
    "adamw": (torch.optim.AdamW, {"fused": True}),
    "muon": (Muon, {}),
}


def supports_weight_decay(optimizer: str | type) -> bool:
    """Whether an optimizer has the parameter weight_decay."""
    return isinstance(optimizer, str) or "weight_decay" in signature(optimizer).parameters


def make_capturable(optimizer: torch.optim.Optimizer, device: torch.device) -> bool:
    """Make an optimizer ready for steps that a GPU records, and tell whether they can be.

    Only those in `OPTIMIZERS` are known to compute everything there.
    """
    on_gpu = device.type == "cuda"
    for group in optimizer.param_groups:
        if "capturable" in group:
            group["capturable"] = on_gpu
    return on_gpu and type(optimizer) in {kind for kind, _ in OPTIMIZERS.values()}
