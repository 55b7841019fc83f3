"""Which rows are held out for validation."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skcnn._targets._split import check_groups, random_split, train_validation_split

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


# So few groups cannot meet the fraction.
@pytest.mark.filterwarnings("ignore:validation_fraction=.* cannot be met:UserWarning")
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


@pytest.mark.filterwarnings("ignore:validation_fraction=.* cannot be met:UserWarning")
@pytest.mark.parametrize("n_sites", [3, 5, 20])
@pytest.mark.parametrize("fraction", [0.1, 0.3, 0.8])
def test_classes_that_one_site_alone_has_are_trained_on(n_sites, fraction):
    # Sites 0 and 1 have a class each that no other site has.
    for seed in range(30):
        rng = np.random.RandomState(seed)
        sites, own = rng.randint(n_sites, size=200), rng.uniform(size=200) < 0.4
        sites[:n_sites] = np.arange(n_sites)
        own[:2] = True
        y = np.where((sites < 2) & own, 3 + sites, rng.randint(3, size=200))
        training, validation = train_validation_split(y, fraction, sites, seed)
        assert set(y[training]) == set(y)
        assert len(validation)
        assert not set(sites[training]) & set(sites[validation])
        assert sorted([*training, *validation]) == list(range(200))


def test_where_each_site_has_a_class_of_its_own_none_can_be_held_out():
    sites = np.arange(40) % 4
    y = np.where(np.arange(40) < 20, 4, sites)
    with pytest.raises(ValueError, match="each group has a class that no other has"):
        train_validation_split(y, 0.2, sites, 0)


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
    with pytest.warns(UserWarning, match="10 of 20 images are held out. Give more groups"):
        training, validation = train_validation_split(np.array([0, 1] * 10), 0.1, groups, 0)
    groups = np.asarray(groups)
    assert not set(groups[training]) & set(groups[validation])


@pytest.mark.parametrize(
    "groups",
    [
        [("north", 1), ("north", 2)] * 10,
        np.array(list("ab") * 10)[:, None],
        np.array(["2020-01-01", "2020-01-02"] * 10, "datetime64[D]"),
        [True, False] * 10,
        [1, 2.5] * 10,
        pd.Categorical(list("ab") * 10),
    ],
    ids=lambda groups: str(groups)[:20],
)
@pytest.mark.filterwarnings("ignore:validation_fraction=.* cannot be met:UserWarning")
def test_groups_may_be_values_of_any_one_type(groups):
    for split in (
        train_validation_split(np.arange(20) // 2 % 2, 0.5, groups, 0),
        random_split(20, 0.5, groups, 0),
    ):
        assert sorted(rows.tolist() for rows in split) == [[*range(0, 20, 2)], [*range(1, 20, 2)]]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (["1"] * 10 + [1] * 10, "groups mixes text and numbers"),
        ([b"a"] * 10 + ["a"] * 10, "groups mixes text and bytes"),
        ([("a",)] * 10 + ["a"] * 10, "groups mixes tuple and text"),
        ([1, None] * 10, r"groups has 10 missing value\(s\), the first in row 1"),
        (np.array([np.nan, 1] * 10), r"groups has 10 missing value\(s\), the first in row 0"),
        (pd.Series([1, pd.NA] * 10, dtype="Int64"), r"10 missing value\(s\), the first in row 1"),
        (pd.to_datetime(["2020-01-01", None] * 10), r"10 missing value\(s\), the first in row 1"),
        (np.ones((20, 2)), r"groups is of shape \(20, 2\)"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_groups_of_which_some_are_missing_or_of_another_type_are_refused(groups, message):
    for split in (
        lambda: train_validation_split(np.arange(20) % 2, 0.2, groups, 0),
        lambda: random_split(20, 0.2, groups, 0),
    ):
        with pytest.raises(ValueError, match=message):
            split()


@pytest.mark.parametrize("groups", ["site", 3, b"site"])
def test_groups_that_are_no_sequence_are_refused(groups):
    with pytest.raises(ValueError, match=r"groups is .*one entry per image, of shape \(20,\)"):
        check_groups(groups, 20)
    check_groups(None, 20)
    check_groups(list("ab") * 10, 20)


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


# ---------------------------------------------------------------- at random


def parts_all(training, validation, n):
    """Both parts are in ascending order, and have every row once."""
    assert np.all(np.diff(training) > 0)
    assert np.all(np.diff(validation) > 0)
    return sorted([*training, *validation]) == list(range(n))


@given(st.integers(2, 200), st.floats(0.01, 0.99), st.integers(0, 100))
def test_random_split_holds_out_the_fraction(n, fraction, seed):
    training, validation = random_split(n, fraction, None, seed)
    assert parts_all(training, validation, n)
    assert len(validation) == min(n - 1, int(np.ceil(fraction * n)))
    assert len(training)


@pytest.mark.filterwarnings("ignore:validation_fraction=.* cannot be met:UserWarning")
@given(
    st.lists(st.integers(0, 9), min_size=10, max_size=40).filter(lambda g: len(set(g)) > 1),
    st.sampled_from([0.1, 0.25, 0.5, 0.8]),
    st.integers(0, 100),
)
def test_random_split_never_parts_groups(groups, fraction, seed):
    groups = np.array(groups)
    training, validation = random_split(len(groups), fraction, groups, seed)
    assert parts_all(training, validation, len(groups))
    assert len(training)
    assert len(validation)
    assert not set(groups[training]) & set(groups[validation])


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.5, 0.8])
def test_random_split_of_many_groups_holds_out_the_fraction(fraction):
    _, validation = random_split(400, fraction, np.repeat(np.arange(100), 4), 0)
    assert len(validation) / 400 == pytest.approx(fraction, abs=0.01)


@pytest.mark.parametrize("groups", [None, np.arange(60) // 3], ids=["rows", "groups"])
def test_random_split_follows_the_seed(groups):
    first = random_split(60, 0.2, groups, 7)
    again = random_split(60, 0.2, groups, np.random.RandomState(7))
    other = random_split(60, 0.2, groups, 8)
    np.testing.assert_array_equal(first[1], again[1])
    assert first[1].tolist() != other[1].tolist()
    assert first[1].tolist() != list(range(12))


@pytest.mark.parametrize("groups", [list("aabb") * 5, pd.Series(list("aabb") * 5)], ids=type)
def test_random_split_takes_any_labels_of_groups(groups):
    with pytest.warns(UserWarning, match="10 of 20 images are held out. Give more groups"):
        training, validation = random_split(20, 0.1, groups, 0)
    groups = np.asarray(groups)
    assert not set(groups[training]) & set(groups[validation])


@pytest.mark.parametrize(
    ("n", "fraction", "groups", "message"),
    [
        (1, 0.1, None, "validation_fraction=0.1 of n_samples=1 leaves none to train on"),
        (8, 0.1, [0] * 8, "8 entries and 1 different groups for 8 images"),
        (8, 0.1, [0, 1], "2 entries and 2 different groups for 8 images"),
        (8, 0.1, [[0, 1]] * 8, "1d array"),
    ],
    ids=["one_image", "one_group", "length", "two_columns"],
)
def test_random_split_refuses_too_little(n, fraction, groups, message):
    with pytest.raises(ValueError, match=message):
        random_split(n, fraction, groups, 0)


def test_the_groups_nearest_to_the_fraction_are_held_out():
    groups = np.repeat(list("abcd"), [200, 20, 20, 20])
    y = np.arange(260) % 2
    for seed in range(5):
        _, validation = train_validation_split(y, 0.1, groups, seed)
        assert len(validation) == 20


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([None, *"abcabca"], r"groups has 1 missing value\(s\), the first in row 0"),
        ([1.0, np.nan] * 4, r"groups has 4 missing value\(s\), the first in row 1"),
        ([1, "a"] * 4, "groups mixes text and numbers"),
    ],
)
def test_groups_without_a_value_or_of_two_types_are_refused(groups, message):
    with pytest.raises(ValueError, match=message):
        train_validation_split(np.array([0, 1] * 4), 0.25, np.array(groups, dtype=object), 0)


@pytest.mark.parametrize("seed", range(5))
def test_random_split_takes_the_groups_whose_share_is_nearest(seed):
    groups = np.repeat(np.arange(4), [200, 20, 20, 20])
    _, validation = random_split(260, 0.1, groups, seed)
    assert len(validation) == 20
    _, validation = random_split(260, 0.75, groups, seed)
    assert len(validation) == 200
    with pytest.warns(UserWarning, match="0.01 cannot be met with whole groups: 20 of 260 images"):
        _, validation = random_split(260, 0.01, groups, seed)
    assert len(validation) == 20
    with pytest.warns(UserWarning, match="0.1 cannot be met with whole groups: 60 of 260 images"):
        _, validation = random_split(260, 0.1, groups > 0, seed)


@settings(max_examples=30)
@given(st.integers(5, 60), st.floats(0.1, 0.9), st.integers(0, 50))
def test_random_split_of_many_groups_is_near_the_fraction(n_groups, fraction, seed):
    sizes = np.random.RandomState(seed).randint(1, 4, n_groups)
    groups = np.repeat(np.arange(n_groups), sizes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        training, validation = random_split(len(groups), fraction, groups, seed)
    assert parts_all(training, validation, len(groups))
    assert not set(groups[training]) & set(groups[validation])
    assert abs(len(validation) - fraction * len(groups)) <= 3
