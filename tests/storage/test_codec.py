"""Values as JSON: the same types and values come back, and no code."""

import datetime
import json
from functools import partial
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from skcnn._storage._codec import Decoder, Encoder, Family, Registry, UnknownTypeError


class Thing:
    """Something with parts."""

    def __init__(self, **parts):
        self.parts = parts


class Other:
    """Something that nobody knows."""


REGISTRY = Registry((Family(Thing, lambda t: t.parts, lambda c, p: c(**p)),), {"Thing": Thing})


def there_and_back(value, own=()):
    encoder = Encoder(REGISTRY)
    text = json.dumps(encoder.encode(value, "value"), allow_nan=False)
    assert set(encoder.own) == {thing.__name__ for thing in own}
    return Decoder(REGISTRY, encoder.tensors, encoder.own).decode(json.loads(text))


def same(one, other):
    assert type(one) is type(other)
    if isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    elif isinstance(one, dict):
        for (key, value), (key_2, value_2) in zip(one.items(), other.items(), strict=True):
            same(key, key_2)
            same(value, value_2)
    elif isinstance(one, list | tuple):
        for value, value_2 in zip(one, other, strict=True):
            same(value, value_2)
    else:
        # Also of numbers that are none, and of zeros with a sign.
        assert one == other or one != one
        assert repr(one) == repr(other)


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(),
    st.dates(),
    st.datetimes().map(lambda time: time.replace(fold=0)),
)
KEYS = st.one_of(st.text(), st.integers(), st.booleans(), st.dates(), st.just("$"))
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner), st.lists(inner).map(tuple), st.dictionaries(KEYS, inner)
    ),
)


@given(VALUES)
def test_values_of_python_come_back(value):
    same(there_and_back(value), value)


@pytest.mark.parametrize(
    "value",
    [
        np.array(["ant", "bumblebee", "\u00e9"]),
        np.array([b"ant", b"b"]),
        np.array([True, False]),
        np.array([3, -1], dtype="int8"),
        np.array([2**64 - 1], dtype="uint64"),
        np.array([0.1, np.nan, -np.inf], dtype="float32"),
        np.array([0.1, 1 / 3]),
        np.array([1.5], dtype="float16"),
        np.array(["2026-11-28", "NaT"], dtype="datetime64[D]"),
        np.array(["2026-11-28T10:00"], dtype="datetime64[ns]"),
        np.array([5], dtype="timedelta64[h]"),
        np.array(["a", 1, None, datetime.date(2026, 1, 2)], dtype=object),
        np.array([1, 2], dtype=">i4"),
        np.zeros((2, 0, 3)),
        np.array(1.5),
        np.arange(12).reshape(3, 4).T,
        np.arange(60, dtype=">f4").reshape(3, 4, 5).T,
        np.arange(600, dtype="uint32"),
        np.arange(30) > 3,
        np.float32(0.1),
        np.int64(3),
        np.bool_(True),
        np.str_("ant"),
        np.datetime64("2026-11-28T10:00:01"),
        pd.Timestamp("2026-11-28 10:00:00.123456789"),
        pd.Timestamp("2026-11-28 10:00", tz="UTC"),
        datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
        torch.device("cuda:1"),
    ],
    ids=repr,
)
def test_numbers_text_and_times_come_back(value):
    same(there_and_back(value), value)


def test_tensors_are_put_aside():
    value = {"a": torch.zeros(2), "b": [torch.ones(3, dtype=torch.uint8)], "a.b": torch.ones(1)}
    value["a"], value["c"] = {"b": value["a"]}, 1
    back = there_and_back(value)
    assert torch.equal(back["a"]["b"], torch.zeros(2))
    assert torch.equal(back["a.b"], torch.ones(1))
    assert torch.equal(back["b"][0], torch.ones(3, dtype=torch.uint8))


def test_random_numbers_go_on_where_they_were():
    random_state = np.random.RandomState(3)
    random_state.normal(size=3)
    again = there_and_back(random_state)
    assert again.normal() == random_state.normal()
    assert again.randint(1000) == random_state.randint(1000)


def test_tables_come_back():
    table = pd.DataFrame({"path": ["a.jpg", "b.jpg"], "n": [1, 2], "w": [0.5, np.nan]})
    table["o"] = np.array(["a", None], dtype=object)
    pd.testing.assert_frame_equal(there_and_back(table), table)


def test_paths_are_text():
    assert there_and_back(Path("a/b")) == str(Path("a/b"))


def test_a_memory_is_its_folder_which_loading_does_not_make(tmp_path):
    memory = joblib.Memory(tmp_path / "cache", verbose=0)
    assert there_and_back(memory) == str(tmp_path / "cache")


def test_objects_are_their_parts_and_shared_ones_stay_one():
    shared = Thing(a=1)
    back = there_and_back([Thing(first=shared, second=shared, third=Thing(a=1)), shared])
    parts = back[0].parts
    assert parts["first"].parts == {"a": 1}
    assert parts["first"] is parts["second"] is back[1]
    assert parts["third"] is not parts["first"]


def test_classes_functions_and_objects_of_a_user_are_asked_for_by_name():
    class Mine(Thing):
        pass

    def change(x):
        return x

    back = there_and_back([Mine(a=1), Mine, change], own=[Mine, change])
    assert type(back[0]) is Mine
    assert back[0].parts == {"a": 1}
    assert back[1:] == [Mine, change]
    other = Other()
    encoder = Encoder(REGISTRY)
    encoded = encoder.encode([other, other], "value")
    assert encoder.own == {"Other": other}
    decoded = Decoder(REGISTRY, {}, {"Other": other}).decode(encoded)
    assert decoded == [other, other]


def test_two_things_of_the_same_name_are_refused():
    functions = [lambda x: x, lambda x: -x]
    with pytest.raises(UnknownTypeError, match=r"value\.1 is one of two .* named <lambda>"):
        Encoder(REGISTRY).encode(functions, "value")


def test_partial_classes_come_back():
    back = there_and_back(partial(Thing, a=(1, 2)))
    assert (back.func, back.keywords) == (Thing, {"a": (1, 2)})


@pytest.mark.parametrize("value", [np.zeros(2, dtype=complex), np.zeros(2, dtype="i4,f4")])
def test_arrays_of_other_types_are_refused(value):
    with pytest.raises(UnknownTypeError, match=r"value\.a is an array of"):
        Encoder(REGISTRY).encode({"a": value}, "value")


@pytest.mark.parametrize(
    "crafted",
    [
        {"$": "known", "name": "os.system"},
        {"$": "known", "name": "builtins.eval"},
        {"$": "own", "name": "eval"},
        {"$": "object", "class": {"$": "known", "name": "subprocess.Popen"}, "parts": {}},
        {"$": "object", "class": "Thing", "parts": {}},
        {"$": "partial", "function": "eval", "parts": {"args": [], "keywords": {}}},
        {"$": "__init__", "registry": 1},
        {"$": "object"},
        {"$": "same", "number": 0},
        {"$": "tensor", "name": "none"},
        {"$": "array", "dtype": "V8", "shape": [1], "values": [0]},
        {"$": "array", "dtype": "f4", "shape": [2], "values": [0]},
        {"$": "data", "dtype": "O", "shape": [1], "name": "tensor"},
        {"$": None},
    ],
    ids=str,
)
def test_what_nobody_has_written_is_an_error(crafted):
    with pytest.raises((LookupError, TypeError, ValueError)):
        Decoder(REGISTRY, {"tensor": torch.zeros(8, dtype=torch.uint8)}, {}).decode(crafted)
