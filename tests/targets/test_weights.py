"""Weights of images and of classes in the loss."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from skcnn._targets._weights import class_weights, combine_weights, normalize_weights

Y = np.array(["a"] * 6 + ["b"] * 3 + ["c"])
CLASSES = np.array(["a", "b", "c"])


@pytest.mark.parametrize(
    ("class_weight", "weights"),
    [
        ("balanced", [10 / 18, 10 / 9, 10 / 3]),
        ({"a": 2, "b": 0.5, "c": 0}, [2, 0.5, 0]),
        ({"b": 4}, [1, 4, 1]),
    ],
    ids=["balanced", "dict", "part_of_a_dict"],
)
def test_class_weights(class_weight, weights):
    np.testing.assert_allclose(class_weights(class_weight, CLASSES, Y), weights)


def test_no_class_weight_is_no_weights():
    assert class_weights(None, CLASSES, Y) is None


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ({"a": -1}, r"class_weight=.*negative"),
        ({"a": 0, "b": 0, "c": 0}, "class_weight=.*only zeros"),
        ({"a": 1, "fly": 2}, "class_weight"),
        ({"a": np.nan}, "class_weight="),
        ({"a": np.inf}, "class_weight="),
    ],
    ids=["negative", "zeros", "unknown", "nan", "infinite"],
)
def test_wrong_class_weights_are_refused(class_weight, message):
    with pytest.raises(ValueError, match=message):
        class_weights(class_weight, CLASSES, Y)


CODES = np.array([0, 1, 1, 0])


@pytest.mark.parametrize(
    ("sample_weight", "by_class", "weights"),
    [
        (None, None, None),
        ([1, 2, 0, 0.5], None, [1, 2, 0, 0.5]),
        (None, np.array([3.0, 5.0]), [3, 5, 5, 3]),
        ([1, 2, 0, 0.5], np.array([3.0, 5.0]), [3, 10, 0, 1.5]),
        (pd.Series([1, 2, 0, 0.5], index=[9, 8, 7, 6]), None, [1, 2, 0, 0.5]),
    ],
    ids=["none", "rows", "classes", "both", "series"],
)
def test_weights_of_rows_and_classes_are_multiplied(sample_weight, by_class, weights):
    got = combine_weights(sample_weight, by_class, CODES)
    assert (got if got is None else got.tolist()) == weights


@pytest.mark.parametrize(
    ("sample_weight", "by_class", "message"),
    [
        ([1, 1, -1, 1], None, "[Nn]egative"),
        ([1, 1, np.nan, 1], None, "NaN"),
        ([1, 1, np.inf, 1], None, "infinity"),
        ([1, 1], None, "sample_weight"),
        ([[1], [1], [1], [1]], None, "1D"),
        ([0, 0, 0, 0], None, "zero"),
        ([0, 1, 1, 0], np.array([1.0, 0.0]), "zero for every image"),
    ],
    ids=["negative", "nan", "infinite", "too_few", "column", "zeros", "zeros_together"],
)
def test_wrong_weights_are_refused(sample_weight, by_class, message):
    with pytest.raises(ValueError, match=message):
        combine_weights(sample_weight, by_class, CODES)


@given(
    arrays(np.float64, st.integers(1, 20), elements=st.floats(1e-3, 1e6)),
    st.sampled_from([1e-6, 1.0, 1e9]),
)
def test_weights_of_mean_one_are_the_same_for_every_unit(weight, unit):
    scaled = normalize_weights(weight * unit)
    assert scaled.dtype == np.float32
    assert scaled.mean(dtype=np.float64) == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(scaled, normalize_weights(weight), rtol=1e-5)
