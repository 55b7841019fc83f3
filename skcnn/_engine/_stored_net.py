"""Fitted nets as parts that a file without code can hold, and back."""

from collections.abc import Mapping
from typing import Any

import torch
from skorch.history import History

from skcnn._compute._ambient import default_torch_settings
from skcnn._compute._rng import fork_rng
from skcnn._engine._fit import build_network
from skcnn._engine._net import TrainedNet
from skcnn._engine._predict import plan_batches
from skcnn.networks._weights import load_weights

# What predictions and further training need. A fit sets everything else again.
_SETTINGS = (
    "target",
    "optimizer",
    "lr",
    "bias_lr_factor",
    "precision",
    "schedule",
    "resizing",
    "averaging",
    "open_ended",
    "max_epochs",
    "batch_size",
    "seed",
    "use_torch_compile",
    "use_cuda_graphs",
)
_OPTIONS = ("module__", "optimizer__")


def net_parts(net: TrainedNet) -> dict[str, object]:
    """Return what a fitted net consists of, without the state of its optimizer and callbacks."""
    own = vars(net)
    rows = [{n: v for n, v in row.items() if n != "batches"} for row in net.history]
    return {
        "settings": {name: own[name] for name in _SETTINGS},
        "options": {name: value for name, value in own.items() if name.startswith(_OPTIONS)},
        "costs": net.costs_,
        "history": rows,
        "weights": dict(net.module_.state_dict()),
    }


def make_net(parts: Mapping[str, Any], device: torch.device) -> TrainedNet:
    """Return the net of such parts, on a device.

    Raises
    ------
    ValueError
        If the weights do not fit the network.
    """
    options: dict[str, Any] = dict(parts["options"])
    # Pretrained networks need not be on this machine.
    measured, options["module__measured"] = options["module__measured"], None
    with fork_rng(0, device), default_torch_settings(device):
        net = TrainedNet(build_network, **parts["settings"], **options, device=str(device))
        net.initialize()
    load_weights(net.module_, parts["weights"], "the file")
    net.module_.eval()
    # Not by set_params, which would initialize the network again.
    net.module__measured = measured
    net.history_ = History({"batches": [], **row} for row in parts["history"])
    net.costs_ = parts["costs"]
    shape = net.module_.inner_shape(options["module__image_shape"])
    multiply_adds, n_values = net.costs_
    net.batching = plan_batches(shape, multiply_adds, n_values, device)
    return net
