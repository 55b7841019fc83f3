"""Labels as numbers, their weights, and which rows are held out."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from skcnn._targets._classes import check_labels, encode, find_classes
from skcnn._targets._split import train_validation_split
from skcnn._targets._weights import class_weights, combine_weights, normalize_weights

KINDS = {
    "strings": (["owl", "ant", "owl", "bee"], ["ant", "bee", "owl"], [2, 0, 2, 1]),
    "gaps": ([70, -3, 70, 5], [-3, 5, 70], [2, 0, 2, 1]),
    "booleans": ([True, False, True, True], [False, True], [1, 0, 1, 1]),
    "whole_floats": ([2.0, 1.0, 2.0, 1.0], [1.0, 2.0], [1, 0, 1, 0]),
    "objects": (np.array(["b", "a", "b"], dtype=object), ["a", "b"], [1, 0, 1]),
}


@pytest.mark.parametrize(("y", "classes", "codes"), KINDS.values(), ids=KINDS)
def test_labels_are_numbered_in_sorted_order(y, classes, codes):
    found = find_classes(np.asarray(y))
    assert found.tolist() == classes
    encoded = encode(np.asarray(y), found)
    assert encoded.tolist() == codes
    assert encoded.dtype == np.int64


# Of many labels for few images scikit-learn warns that they look like a regression.
@given(st.lists(st.text(max_size=3), min_size=2, max_size=20).filter(lambda y: len(set(y)) > 1))
def test_numbers_lead_back_to_the_labels(y):
    y = np.array(y, dtype=object)
    classes = find_classes(y)
    np.testing.assert_array_equal(classes[encode(y, classes)], y)


def test_classes_may_be_named_ahead_of_their_images():
    classes = find_classes(np.array([3, 3]), [5, 3, 9, 3])
    assert classes.tolist() == [3, 5, 9]
    assert encode(np.array([9, 3]), classes).tolist() == [2, 0]


@pytest.mark.parametrize(
    ("y", "classes", "message"),
    [
        (["a", "a"], None, "y holds 1 class, .*'a'.*at least 2 classes"),
        (["a", "b"], ["a"], "1 class"),
        ([0.5, 1.5], None, "Unknown label type: continuous"),
        ([[0, 1], [1, 0]], None, "multilabel|1d"),
    ],
    ids=["one_class", "one_named", "continuous", "two_columns"],
)
def test_what_is_no_target_of_a_classification_is_refused(y, classes, message):
    with pytest.raises(ValueError, match=message):
        find_classes(np.array(y), classes)


@pytest.mark.parametrize(
    ("y", "classes", "unseen"),
    [
        (["ant", "fly", "bug"], ["ant", "bee"], r"\['bug', 'fly'\]"),
        ([1, 4], [1, 2], r"\[4\]"),
        (list(range(20)), [0, 1], r"\[2, 3, 4, 5, 6\]"),
    ],
    ids=["strings", "integers", "many"],
)
def test_labels_never_seen_are_named(y, classes, unseen):
    with pytest.raises(ValueError, match=f"y_val holds labels that are not .*{unseen}"):
        encode(np.array(y), np.array(classes), "y_val")


def test_of_many_classes_the_message_names_some():
    with pytest.raises(ValueError, match=r"\[0, 1, .*, 9\] \.\.\.\."):
        encode(np.array([99]), np.arange(50))


def test_a_number_is_not_its_name():
    with pytest.raises(ValueError, match="not among the classes"):
        encode(np.array(["1", "2"]), np.array([1, 2]))


@pytest.mark.parametrize(
    "y",
    [["a", "b"], np.array(["a", "b"]), pd.Series(["a", "b"]), np.array(["a", "b"], dtype=object)],
    ids=["list", "array", "series", "objects"],
)
def test_labels_beside_the_images_come_in_any_form(y):
    assert check_labels(y, 2, "y_val").tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([1, 2, 3], "y_val has 3 labels for 2 images"),
        ([1.0, np.nan], "y_val contains NaN"),
        ([[1, 2], [3, 4]], "1d array"),
    ],
    ids=["length", "nan", "two_columns"],
)
def test_labels_that_do_not_fit_the_images_are_refused(y, message):
    with pytest.raises(ValueError, match=message):
        check_labels(y, 2, "y_val")


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


X = np.zeros((4, 3))
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
    got = combine_weights(sample_weight, by_class, CODES, X)
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
        combine_weights(sample_weight, by_class, CODES, X)


@given(
    arrays(np.float64, st.integers(1, 20), elements=st.floats(1e-3, 1e6)),
    st.sampled_from([1e-6, 1.0, 1e9]),
)
def test_weights_of_mean_one_are_the_same_for_every_unit(weight, unit):
    scaled = normalize_weights(weight * unit)
    assert scaled.dtype == np.float32
    assert scaled.mean(dtype=np.float64) == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(scaled, normalize_weights(weight), rtol=1e-5)


COUNTS = st.lists(st.integers(2, 12), min_size=2, max_size=4)


@given(COUNTS, st.floats(0.05, 0.5), st.integers(0, 100))
def test_each_class_is_held_out_in_proportion(counts, fraction, seed):
    y = np.random.RandomState(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    n_validation = max(int(np.ceil(fraction * len(y))), len(counts))
    if n_validation + len(counts) > len(y):
        with pytest.raises(ValueError, match="too few images to train on and validate with"):
            train_validation_split(y, fraction, None, seed)
        return
    training, validation = train_validation_split(y, fraction, None, seed)
    assert len(validation) == n_validation
    both = np.concatenate([training, validation])
    assert np.sort(both).tolist() == list(range(len(y)))
    assert training.tolist() == sorted(training)
    assert validation.tolist() == sorted(validation)
    expected = np.array(counts) * n_validation / len(y)
    got = np.bincount(y[validation], minlength=len(counts))
    assert np.all(np.abs(got - expected) <= 1)
    assert np.all(np.bincount(y[training], minlength=len(counts)) >= 1)


@given(COUNTS, st.integers(1, 3), st.integers(0, 100))
def test_a_class_of_one_image_is_trained_on(counts, n_single, seed):
    y = np.repeat(np.arange(len(counts) + n_single), [1] * n_single + [n + 4 for n in counts])
    y = np.random.RandomState(seed).permutation(y)
    training, validation = train_validation_split(y, 0.2, None, seed)
    assert set(y[training]) == set(y)
    assert min(y[validation]) == n_single


@settings(max_examples=15)
@given(
    st.lists(st.integers(0, 9), min_size=30, max_size=30).filter(lambda g: len(set(g)) > 1),
    st.sampled_from([0.1, 0.25, 0.5]),
    st.integers(0, 100),
)
def test_groups_are_never_parted(groups, fraction, seed):
    groups, y = np.array(groups), np.arange(30) % 3
    training, validation = train_validation_split(y, fraction, groups, seed)
    assert len(training)
    assert len(validation)
    assert not set(groups[training]) & set(groups[validation])
    assert sorted([*training, *validation]) == list(range(len(y)))


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.5, 0.8])
def test_of_many_groups_the_wished_share_is_held_out(fraction):
    groups = np.repeat(np.arange(100), 4)
    y = np.tile([0, 1], 200)
    _, validation = train_validation_split(y, fraction, groups, 0)
    assert len(validation) / len(y) == pytest.approx(fraction, abs=0.03)


def test_groups_with_a_rare_class_are_split_without_a_warning():
    y = np.array([0] * 20 + [1] * 20 + [2] * 2)
    groups = np.arange(42) // 2
    training, validation = train_validation_split(y, 0.1, groups, 0)
    assert not set(groups[training]) & set(groups[validation])


def test_a_class_within_a_single_group_is_trained_on():
    y = np.array([0, 1] * 20 + [2] * 8)
    groups = np.r_[np.arange(40) // 8, [10] * 8]
    for seed in range(10):
        training, _ = train_validation_split(y, 0.2, groups, seed)
        assert set(y[training]) == {0, 1, 2}


@pytest.mark.parametrize("groups", [None, np.arange(60) // 3], ids=["rows", "groups"])
def test_the_seed_decides_which_rows_are_held_out(groups):
    y = np.arange(60) % 3
    first = train_validation_split(y, 0.2, groups, 7)
    again = train_validation_split(y, 0.2, groups, np.random.RandomState(7))
    other = train_validation_split(y, 0.2, groups, 8)
    np.testing.assert_array_equal(first[1], again[1])
    assert first[1].tolist() != other[1].tolist()


@pytest.mark.parametrize("groups", [list("aabb") * 5, pd.Series(list("aabb") * 5)], ids=type)
def test_groups_are_any_labels(groups):
    training, validation = train_validation_split(np.array([0, 1] * 10), 0.1, groups, 0)
    groups = np.asarray(groups)
    assert not set(groups[training]) & set(groups[validation])


@pytest.mark.parametrize(
    ("y", "fraction", "groups", "message"),
    [
        ([0, 1], 0.1, None, "validation_fraction=0.1 of 2 images with 2 classes"),
        ([0, 1, 2, 2], 0.1, None, None),
        ([0, 0, 1, 1], 0.9, None, "validation_fraction=0.9"),
        ([0, 1] * 4, 0.1, [0] * 8, "8 entries and 1 different groups for 8 images"),
        ([0, 1] * 4, 0.1, [0, 1], "2 entries and 2 different groups for 8 images"),
        ([0, 1] * 4, 0.1, [[0, 1]] * 8, "1d array"),
    ],
    ids=["two_images", "one_each", "fraction", "one_group", "length", "two_columns"],
)
def test_too_little_to_split_is_refused(y, fraction, groups, message):
    if message is None:
        _, validation = train_validation_split(np.array(y), fraction, groups, 0)
        assert np.array(y)[validation].tolist() == [2]
        return
    with pytest.raises(ValueError, match=message):
        train_validation_split(np.array(y), fraction, groups, 0)
