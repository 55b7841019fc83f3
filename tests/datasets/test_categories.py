"""The names of CIFAR-100's categories, and the choices among them."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from skcnn.datasets._categories import (
    COARSE_NAMES,
    COARSE_OF_FINE,
    ECOLOGY_CATEGORIES,
    FINE_NAMES,
    PRESETS,
    chosen_labels,
)

OFFICIAL = Path(__file__).resolve().parents[3] / "shared" / "cifar100-ecology" / "classes.csv"


def test_there_are_100_categories_of_20_superclasses_with_five_each():
    assert len(set(FINE_NAMES)) == 100
    assert len(set(COARSE_NAMES)) == 20
    assert np.bincount(COARSE_OF_FINE).tolist() == [5] * 20


@pytest.mark.skipif(not OFFICIAL.exists(), reason=f"there is no official table {OFFICIAL}")
def test_names_and_numbers_are_the_official_ones():
    with OFFICIAL.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(row["name"] for row in rows) == FINE_NAMES
    assert [int(row["coarse_label"]) for row in rows] == COARSE_OF_FINE.tolist()
    assert [row["coarse_name"] for row in rows] == [COARSE_NAMES[i] for i in COARSE_OF_FINE]
    assert tuple(row["name"] for row in rows if row["ecology"] == "1") == ECOLOGY_CATEGORIES


def test_ecology56_is_ecology_without_people():
    assert len(PRESETS["ecology"]) == 61
    assert len(PRESETS["ecology56"]) == 56
    people = set(PRESETS["ecology"]) - set(PRESETS["ecology56"])
    assert people == {"baby", "boy", "girl", "man", "woman"}


@pytest.mark.parametrize(
    "categories",
    [["wolf", "apple"], ("wolf", "apple"), {"wolf", "apple"}, np.array(["wolf", "apple"])],
    ids=["list", "tuple", "set", "array"],
)
def test_labels_are_ascending_whatever_the_order_of_the_names(categories):
    assert chosen_labels(categories) == [0, 97]


@pytest.mark.parametrize(
    ("categories", "message"),
    [
        ("ecolgy", "Got 'ecolgy' instead. (did you mean 'ecology'"),
        ("maple_tree", "pass ['maple_tree']"),
        ("mapel_tree", "did you mean 'maple_tree'"),
        ("", "must be 'ecology', 'ecology56', a list"),
        ([], "empty"),
        (["bee", "wolf", "bee"], "repeats ['bee']"),
        (["bee", "mapel tree"], "'mapel tree' (did you mean 'maple_tree'"),
        (["Bee"], "'Bee' (did you mean 'bee'"),
        (["trees"], "a superclass; its categories are 'maple_tree', 'oak_tree'"),
        (["qqqq"], "unknown names: 'qqqq'. The categories of CIFAR-100 are: apple,"),
        ([3, "bee"], "unknown names: 3."),
        ([["bee"]], "unknown names: ['bee']."),
        ([None], "unknown names: None."),
    ],
)
def test_wrong_names_are_named_with_a_way_out(categories, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        chosen_labels(categories)
    assert "'categories' parameter of fetch_cifar100" in str(caught.value)
