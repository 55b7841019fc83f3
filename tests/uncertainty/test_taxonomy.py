"""Ranks of a taxonomy, and lists of possible labels."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skcnn.uncertainty import Taxonomy, restrict_classes

SPECIES = ["red fox", "arctic fox", "mountain hare", "wren"]


@pytest.fixture(scope="module")
def taxonomy():
    return Taxonomy(
        pd.DataFrame(
            {
                "genus": ["Vulpes", "Vulpes", "Lepus", "Troglodytes"],
                "class": ["Mammalia", "Mammalia", "Mammalia", "Aves"],
            },
            index=SPECIES,
        )
    )


def test_probabilities_are_summed(taxonomy):
    rolled = taxonomy.roll_up([[0.4, 0.3, 0.2, 0.1]], SPECIES, "class")
    assert rolled.columns.tolist() == ["Aves", "Mammalia"]
    np.testing.assert_allclose(rolled.to_numpy(), [[0.1, 0.9]])


def test_columns_in_another_order(taxonomy):
    order = [3, 1, 0, 2]
    proba = np.array([[0.4, 0.3, 0.2, 0.1]])
    pd.testing.assert_frame_equal(
        taxonomy.roll_up(proba[:, order], np.array(SPECIES)[order]),
        taxonomy.roll_up(proba, SPECIES),
    )


def test_the_likeliest_group_need_not_hold_the_likeliest_label(taxonomy):
    assert taxonomy.predict([[0.3, 0.3, 0.4, 0.0]], SPECIES).tolist() == ["Vulpes"]
    assert taxonomy.predict([[0.3, 0.3, 0.4, 0.0]], SPECIES, "class").tolist() == ["Mammalia"]


def test_answers_are_as_fine_as_they_are_likely(taxonomy):
    proba = [[0.9, 0.1, 0, 0], [0.5, 0.4, 0.1, 0], [0.4, 0.2, 0.3, 0.1], [0.4, 0.1, 0.1, 0.4]]
    answers = taxonomy.predict_as_finely(proba, SPECIES, probability=0.8)
    assert answers["label"].tolist()[:3] == ["red fox", "Vulpes", "Mammalia"]
    assert answers["label"].isna().tolist() == [False, False, False, True]
    assert answers["rank"].tolist() == ["label", "genus", "class", ""]
    np.testing.assert_allclose(answers["probability"], [0.9, 0.9, 0.9, 0.6])


@given(st.integers(0, 2**32 - 1))
def test_every_rank_keeps_the_sum(seed):
    random = np.random.default_rng(seed)
    proba = random.dirichlet(np.ones(4), size=3)
    table = pd.DataFrame(
        {"genus": list("aabc"), "family": list("xxxy")},
        index=SPECIES,
    )
    for rank in table:
        rolled = Taxonomy(table).roll_up(proba, SPECIES, rank)
        np.testing.assert_allclose(rolled.sum(axis=1), 1)


def test_a_mapping_is_one_rank():
    taxonomy = Taxonomy({1: "low", 2: "low", 3: "high"}, name="cover")
    rolled = taxonomy.roll_up([[0.2, 0.3, 0.5]], [1, 2, 3])
    np.testing.assert_allclose(rolled[["low", "high"]], [[0.5, 0.5]])
    assert taxonomy.table.columns.tolist() == ["cover"]


def test_ranks_may_be_numbers():
    ranks = pd.DataFrame([["fox", "mammal"], ["wren", "bird"]], index=["a", "b"])
    rolled = Taxonomy(ranks).roll_up([[0.2, 0.8]], ["a", "b"])
    np.testing.assert_allclose(rolled[["fox", "wren"]], [[0.2, 0.8]])
    assert Taxonomy(ranks).roll_up([[0.2, 0.8]], ["a", "b"], 1).columns.tolist() == [
        "bird",
        "mammal",
    ]


@pytest.mark.parametrize(
    ("ranks", "message"),
    [
        (pd.DataFrame({"g": ["a", "b"]}, index=["x", "x"]), "label 'x' twice"),
        (pd.DataFrame({"g": ["a", None]}, index=["x", "y"]), "'y' has no g"),
        (
            pd.DataFrame({"g": ["a", "a"], "f": ["p", "q"]}, index=["x", "y"]),
            "g 'a' is in more than one f.*finest",
        ),
        ({}, "empty"),
        (
            pd.DataFrame([["a", "b"]], index=["x"], columns=["g", "g"]),
            "column 'g' twice",
        ),
        (pd.DataFrame({"label": ["a", "b"]}, index=["x", "y"]), 'named "label".*Rename'),
    ],
    ids=["twice", "missing", "order", "empty", "columns_twice", "label"],
)
def test_wrong_ranks(ranks, message):
    with pytest.raises(ValueError, match=message):
        Taxonomy(ranks)


def test_unknown_ranks_and_classes(taxonomy):
    with pytest.raises(ValueError, match=r"rank='family'.*genus, class"):
        taxonomy.roll_up([[0.25] * 4], SPECIES, "family")
    with pytest.raises(ValueError, match="classes badger have no row"):
        taxonomy.roll_up([[0.5, 0.5]], ["wren", "badger"])


def test_restricted_probabilities():
    proba = [[0.5, 0.3, 0.2], [1.0, 0.0, 0.0]]
    restricted = restrict_classes(proba, ["lion", "fox", "hare"], ["hare", "fox", "wolf"])
    np.testing.assert_allclose(restricted, [[0, 0.6, 0.4], [0, 0.5, 0.5]])
    with pytest.raises(ValueError, match=r"None of the classes is allowed.*lion"):
        restrict_classes(proba, ["lion", "fox", "hare"], ["wolf"])


@pytest.mark.parametrize(
    "allowed",
    [
        {"fox", "hare"},
        {"fox": 1, "hare": 2}.keys(),
        (name for name in ("fox", "hare")),
        pd.DataFrame({"species": ["fox", "hare"]}),
        pd.Series(["fox", "hare"], dtype="category"),
        np.array(["fox", "hare"]),
        ("fox", None, "hare"),
    ],
    ids=lambda allowed: type(allowed).__name__,
)
def test_labels_that_are_possible_come_in_any_form(allowed):
    restricted = restrict_classes([[0.5, 0.3, 0.2]], ["lion", "fox", "hare"], allowed)
    np.testing.assert_allclose(restricted, [[0, 0.6, 0.4]])


def test_labels_that_are_possible_are_one_column():
    allowed = pd.DataFrame({"species": ["fox"], "site": ["north"]})
    with pytest.raises(ValueError, match=r"allowed has shape \(1, 2\).*one column"):
        restrict_classes([[0.7, 0.3]], ["lion", "fox"], allowed)
    np.testing.assert_allclose(restrict_classes([[0.7, 0.3]], ["lion", "fox"], "fox"), [[0, 1]])


def test_classes_may_be_booleans():
    taxonomy = Taxonomy({True: "animal", False: "blank"})
    proba = [[0.2, 0.8], [0.9, 0.1]]
    rolled = taxonomy.roll_up(proba, [False, True])
    np.testing.assert_allclose(rolled[["blank", "animal"]], proba)
    assert taxonomy.predict(proba, np.array([False, True])).tolist() == ["animal", "blank"]
