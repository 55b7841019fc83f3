"""Values as JSON and tensors, and back: known types and known classes, and no code.

A class is named in a file by a name of the registry, never by where it can be imported from.
Classes and functions of a user have no name there: whoever reads the file passes them.
"""

import base64
import datetime
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePath
from typing import Any, cast

import joblib
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from skcnn._storage._container import Json

#: Named parts of an object, which are values themselves.
Parts = dict[str, object]

# Key that says what a JSON object stands for.
_TYPE = "$"
# Kinds of numpy's dtypes whose values are numbers, text, bytes, times or objects of Python.
_DTYPE_KINDS = "biufUSMmO"
# Larger arrays of numbers are stored as bytes.
_MOST_IN_JSON = 16


class UnknownTypeError(TypeError):
    """A value of a type that a file without code cannot hold."""


@dataclass(frozen=True)
class Family:
    """How objects of a class, and of classes derived from it, are taken apart and made again.

    Attributes
    ----------
    base : type
    take : callable
        From an object to its parts.
    make : callable
        From a class and parts to an object.
    """

    base: type
    take: Callable[..., Parts]
    make: Callable[..., object]


@dataclass(frozen=True)
class Registry:
    """What files may hold.

    Attributes
    ----------
    families : sequence of Family
        The first one that an object belongs to counts.
    known : dict of object
        Names of classes and functions, which stand for themselves, or for the class of an object.
    """

    families: tuple[Family, ...]
    known: Mapping[str, object]

    def family_of(self, kind: type) -> Family | None:
        """Return the family of a class; None if it has none."""
        return next((f for f in self.families if issubclass(kind, f.base)), None)

    def name_of(self, thing: object) -> str | None:
        """Return the name of a class or function; None if it is not known."""
        return next((name for name, known in self.known.items() if known is thing), None)


@dataclass
class Encoder:
    """Turns values into JSON; tensors, and what is a user's own, are put aside.

    Attributes
    ----------
    registry : Registry
    tensors : dict of torch.Tensor
        What JSON refers to by name.
    own : dict of object
        Classes, functions and objects that JSON refers to by name.
    """

    registry: Registry
    tensors: dict[str, Tensor] = field(default_factory=dict)
    own: dict[str, object] = field(default_factory=dict)
    # Objects, which stay alive so that no other one gets their id.
    _seen: list[object] = field(default_factory=list)

    def encode(self, value: object, where: str) -> Json:
        """Return a value as JSON.

        Parameters
        ----------
        value : object
        where : str
            Path of the value among the others, for messages and as the name of a tensor.

        Raises
        ------
        UnknownTypeError
            If a file without code cannot hold the value.
        """
        if value is None or type(value) in (bool, int, str):
            return cast(Json, value)
        if type(value) is float:
            return value if math.isfinite(value) else {_TYPE: "float", "value": repr(value)}
        if type(value) is list:
            return [self.encode(item, f"{where}.{i}") for i, item in enumerate(value)]
        if isinstance(value, tuple):
            items = [self.encode(item, f"{where}.{i}") for i, item in enumerate(value)]
            return {_TYPE: "tuple", "items": items}
        if isinstance(value, dict):
            return self._encode_dict(value, where)
        if isinstance(value, Tensor):
            return {_TYPE: "tensor", "name": self._keep(value, where)}
        if isinstance(value, np.ndarray | np.generic):
            return self._encode_array(value, where)
        if isinstance(value, np.random.RandomState):
            state = value.get_state(legacy=False)
            return {_TYPE: "random_state", "state": self.encode(state, where)}
        if isinstance(value, pd.DataFrame):
            columns = {name: (str(value[name].dtype), value[name].tolist()) for name in value}
            return {_TYPE: "data_frame", "columns": self.encode(columns, where)}
        simple = _encode_simple(value)
        return self._encode_object(value, where) if simple is None else simple

    def _encode_dict(self, value: dict[object, object], where: str) -> Json:
        if all(type(key) is str and key != _TYPE for key in value):
            return {str(k): self.encode(item, f"{where}.{k}") for k, item in value.items()}
        pairs: list[Json] = [
            [self.encode(key, where), self.encode(item, f"{where}.{key}")]
            for key, item in value.items()
        ]
        return {_TYPE: "dict", "items": pairs}

    def _encode_array(self, value: np.ndarray[Any, Any] | np.generic, where: str) -> Json:
        dtype = value.dtype
        if dtype.kind not in _DTYPE_KINDS or dtype.names is not None:
            raise UnknownTypeError(f"{where} is an array of {dtype}")
        if dtype.kind in "biuf" and value.size > _MOST_IN_JSON:
            data = np.frombuffer(np.ascontiguousarray(value).tobytes(), np.uint8)
            name = self._keep(torch.from_numpy(data.copy()), where)
            shape: Json = list(value.shape)
            return {_TYPE: "data", "dtype": dtype.str, "shape": shape, "name": name}
        flat = np.asarray(value).ravel()
        if dtype.kind in "Mm":
            flat = flat.view(np.int64)
        values = [self.encode(item, f"{where}.{i}") for i, item in enumerate(flat.tolist())]
        kind = "array" if isinstance(value, np.ndarray) else "scalar"
        return {_TYPE: kind, "dtype": dtype.str, "shape": list(value.shape), "values": values}

    def _encode_object(self, value: object, where: str) -> Json:
        name = self.registry.name_of(value)
        if name is not None:
            return {_TYPE: "known", "name": name}
        if isinstance(value, partial):
            parts = {"args": value.args, "keywords": value.keywords}
            function = self.encode(value.func, where)
            return {_TYPE: "partial", "function": function, "parts": self.encode(parts, where)}
        for number, seen in enumerate(self._seen):
            if seen is value:
                return {_TYPE: "same", "number": number}
        family = self.registry.family_of(type(value))
        if family is None:
            return {_TYPE: "own", "name": self._keep_own(value, where)}
        kind = self.encode(type(value), where)
        encoded: Json = {n: self.encode(p, f"{where}.{n}") for n, p in family.take(value).items()}
        self._seen.append(value)
        return {_TYPE: "object", "class": kind, "parts": encoded}

    def _keep(self, tensor: Tensor, where: str) -> str:
        name, number = where, 1
        while name in self.tensors:
            number += 1
            name = f"{where}~{number}"
        self.tensors[name] = tensor
        return name

    def _keep_own(self, value: object, where: str) -> str:
        name: str = getattr(value, "__name__", type(value).__name__)
        if self.own.setdefault(name, value) is not value:
            raise UnknownTypeError(
                f"{where} is one of two objects of your own that are both named {name}"
            )
        return name


def _encode_simple(value: object) -> Json:
    """Return a value of the standard library, torch or joblib as JSON; None if it is another."""
    if isinstance(value, bytes):
        return {_TYPE: "bytes", "value": base64.b64encode(value).decode()}
    if isinstance(value, pd.Timestamp):
        return {_TYPE: "timestamp", "value": value.isoformat()}
    if type(value) is datetime.datetime:
        return {_TYPE: "datetime", "value": value.isoformat()}
    if type(value) is datetime.date:
        return {_TYPE: "date", "value": value.isoformat()}
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, torch.device):
        return {_TYPE: "device", "value": str(value)}
    if isinstance(value, joblib.Memory):
        # Making one from a file would make its folder.
        return None if value.location is None else str(value.location)
    return None


class Decoder:
    """Turns JSON of an `Encoder` into values.

    Parameters
    ----------
    registry : Registry
    tensors : dict of torch.Tensor
    own : dict of object
        Classes, functions and objects of a user, by their names in the file.
    """

    def __init__(
        self, registry: Registry, tensors: Mapping[str, Tensor], own: Mapping[str, object]
    ) -> None:
        self.registry = registry
        self.tensors = tensors
        self.own = own
        self._seen: list[object] = []

    def decode(self, value: Json) -> object:
        """Return the value of JSON."""
        if isinstance(value, list):
            return [self.decode(item) for item in value]
        if not isinstance(value, dict):
            return value
        if _TYPE not in value:
            return {name: self.decode(item) for name, item in value.items()}
        make = getattr(self, f"_make_{value[_TYPE]}", None)
        return _make_simple(value) if make is None else make(**_rest(value))

    def _make_tuple(self, items: list[Json]) -> tuple[object, ...]:
        return tuple(self.decode(item) for item in items)

    def _make_dict(self, items: list[list[Json]]) -> dict[object, object]:
        return {self.decode(key): self.decode(item) for key, item in items}

    def _make_tensor(self, name: str) -> Tensor:
        return self.tensors[name]

    def _make_array(self, dtype: str, shape: list[int], values: list[Json]) -> npt.NDArray[Any]:
        kind = np.dtype(dtype)
        if kind.kind not in _DTYPE_KINDS:
            raise ValueError(f"an array has the dtype {dtype}")
        made = np.empty(len(values), np.int64 if kind.kind in "Mm" else kind)
        for place, item in enumerate(values):
            made[place] = self.decode(item)
        return made.view(kind).reshape(shape)

    def _make_data(self, dtype: str, shape: list[int], name: str) -> npt.NDArray[Any]:
        kind = np.dtype(dtype)
        if kind.kind not in "biuf":
            raise ValueError(f"bytes stand for an array of the dtype {dtype}")
        data = self.tensors[name].numpy().tobytes()
        return np.frombuffer(data, kind).reshape(shape).copy()

    def _make_scalar(self, dtype: str, shape: list[int], values: list[Json]) -> object:
        scalar: object = self._make_array(dtype, [1], values)[0]
        return scalar

    def _make_random_state(self, state: Json) -> np.random.RandomState:
        random_state = np.random.RandomState()
        random_state.set_state(cast(dict[str, object], self.decode(state)))
        return random_state

    def _make_data_frame(self, columns: Json) -> pd.DataFrame:
        given = cast(dict[object, tuple[str, list[object]]], self.decode(columns))
        return pd.DataFrame({name: pd.Series(v, dtype=kind) for name, (kind, v) in given.items()})

    def _make_known(self, name: str) -> object:
        return self.registry.known[name]

    def _make_own(self, name: str) -> object:
        return self.own[name]

    def _make_partial(self, function: Json, parts: Json) -> "partial[object]":
        given = cast(Parts, self.decode(parts))
        args = cast(tuple[object, ...], given["args"])
        keywords = cast(Parts, given["keywords"])
        return partial(cast(Callable[..., object], self.decode(function)), *args, **keywords)

    def _make_same(self, number: int) -> object:
        return self._seen[number]

    def _make_object(self, parts: Json, **named: Json) -> object:
        kind = self.decode(named["class"])
        family = self.registry.family_of(kind) if isinstance(kind, type) else None
        if family is None:
            raise ValueError(f"{kind!r} is no class that a file may hold objects of")
        made = family.make(kind, self.decode(parts))
        self._seen.append(made)
        return made


def _rest(value: dict[str, Json]) -> dict[str, Json]:
    return {name: item for name, item in value.items() if name != _TYPE}


def _make_simple(value: dict[str, Json]) -> object:
    """Return a value of the standard library or torch."""
    makers: dict[str, Callable[[str], object]] = {
        "float": float,
        "bytes": base64.b64decode,
        "timestamp": pd.Timestamp,
        "datetime": datetime.datetime.fromisoformat,
        "date": datetime.date.fromisoformat,
        "device": torch.device,
    }
    return makers[str(value[_TYPE])](str(value["value"]))
