"""Tensors and their owners as bytes that a pickle can hold, for any device, without their code."""

import io
import pickle
from collections.abc import Mapping, Sequence
from functools import partial
from types import FunctionType
from typing import Any

import torch

# What names code that a tensor is made with, which stays where the tensor is.
_TORCH = "torch."


class _Pickler(pickle.Pickler):
    """Pickles tensors, and notes the classes and functions that they need."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self.numbers: dict[object, int] = {}

    def persistent_id(self, value: object) -> int | None:
        if not isinstance(value, type | FunctionType):
            return None
        if f"{value.__module__}.".startswith(_TORCH):
            return None
        return self.numbers.setdefault(value, len(self.numbers))


class _Unpickler(pickle.Unpickler):
    """Reads what `_Pickler` wrote, with tensors on a device of this machine."""

    def __init__(self, file: io.BytesIO, code: Sequence[object], device: torch.device) -> None:
        super().__init__(file)
        self.code, self.device = code, device

    def persistent_load(self, number: int) -> object:
        return self.code[number]

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("torch.storage", "_load_from_bytes"):
            return partial(_load_tensor, device=self.device)
        return super().find_class(module, name)


def _load_tensor(stored: bytes, device: torch.device) -> object:
    loaded: object = torch.load(io.BytesIO(stored), map_location=device, weights_only=True)
    return loaded


def dump_apart(values: Mapping[str, object]) -> tuple[bytes, list[object]]:
    """Return values as bytes, and the classes and functions that reading them needs.

    These are for the pickle around the bytes. How it stores them is its own affair: by their
    names, or, as joblib does for the code of a script that other processes cannot import, whole.
    """
    file = io.BytesIO()
    pickler = _Pickler(file)
    pickler.dump(dict(values))
    return file.getvalue(), list(pickler.numbers)


def load_apart(stored: bytes, code: Sequence[object], device: torch.device) -> dict[str, Any]:
    """Return what `dump_apart` was given, with its tensors on a device."""
    loaded: dict[str, Any] = _Unpickler(io.BytesIO(stored), code, device).load()
    return loaded
