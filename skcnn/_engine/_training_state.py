"""All that the rest of a training depends on: taken from a net after an epoch, and put back."""

from collections.abc import Iterable
from itertools import groupby
from typing import Any

import numpy as np
import torch
from skorch.history import History

from skcnn._engine._early_stopping import StopEarly
from skcnn._engine._net import TrainedNet
from skcnn._storage._codec import Decoder, Encoder, Registry
from skcnn._storage._container import Content, Json

# Tensors, arrays and plain values: no classes.
_REGISTRY = Registry((), {})


def take_state(net: TrainedNet) -> dict[str, object]:
    """Return the state of a net at the end of an epoch."""
    scaler, stopper = getattr(net, "scaler_", None), _stopper(net)
    return {
        "module": dict(net.module_.state_dict()),
        "optimizer": net.optimizer_.state_dict(),
        "scaler": None if scaler is None else scaler.state_dict(),
        "generators": net.rng_states(),
        "global": _global_states(torch.device(net.device)),
        "history": [{**row, "batches": _columns(row["batches"])} for row in net.history],
        "loop": net.loop_state(),
        "stopper": None if stopper is None else stopper.state(),
    }


def put_state(net: TrainedNet, state: dict[str, Any]) -> None:
    """Take a new net, before its training, to a state; that of `StopEarly` comes later."""
    net.module_.load_state_dict(state["module"])
    net.optimizer_.load_state_dict(state["optimizer"])
    # A schedule has changed the rates, and begins with those that were set.
    net.set_lr(net.lr)
    rows = ({**row, "batches": _rows(row["batches"])} for row in state["history"])
    net.history_ = History(rows)
    net.initial_rng_states = state["generators"]
    net.initial_loop_state = state["loop"]
    if state["scaler"] is not None:
        net.scaler_ = torch.amp.GradScaler(torch.device(net.device).type)
        net.scaler_.load_state_dict(state["scaler"])
    _set_global_states(state["global"], torch.device(net.device))


def put_stopper_state(net: TrainedNet, state: dict[str, Any]) -> None:
    """Take `StopEarly`, if there is one, to a state, once the training has begun."""
    stopper = _stopper(net)
    if stopper is not None:
        stopper.restore(net, state["stopper"])


def encode_state(state: dict[str, object]) -> tuple[Content, dict[str, torch.Tensor]]:
    """Return a state as JSON and tensors.

    Raises
    ------
    TypeError
        If it holds objects, as the optimizers of others may.
    """
    encoder = Encoder(_REGISTRY)
    content: dict[str, Json] = {"state": encoder.encode(state, "state")}
    if encoder.own:
        raise TypeError(f"its state holds {', '.join(sorted(encoder.own))}")
    return content, encoder.tensors


def decode_state(content: Content, tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
    """Return the state of JSON and tensors."""
    state: Any = Decoder(_REGISTRY, tensors, {}).decode(content["state"])
    if not isinstance(state, dict):
        raise ValueError("there is no state in it")
    return state


def _stopper(net: TrainedNet) -> StopEarly | None:
    return next((c for c in net.callbacks if isinstance(c, StopEarly)), None)


def _columns(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the figures of batches as arrays, which take less time to store."""
    return [
        {name: np.array(values) for name, values in zip(names, zip(*(r.values() for r in group)))}
        for names, group in groupby(rows, key=tuple)
    ]


def _rows(columns: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what `_columns` was made of."""
    return [
        dict(zip(part, values))
        for part in columns
        for values in zip(*(array.tolist() for array in part.values()))
    ]


def _global_states(device: torch.device) -> list[torch.Tensor]:
    states = [torch.get_rng_state()]
    if device.type != "cpu":
        states.append(getattr(torch, device.type).get_rng_state())
    return states


def _set_global_states(states: list[torch.Tensor], device: torch.device) -> None:
    torch.set_rng_state(states[0])
    if device.type != "cpu":
        getattr(torch, device.type).set_rng_state(states[1])
