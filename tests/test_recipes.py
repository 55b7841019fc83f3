"""The recipes: complete, valid, and of the size that they are said to have."""

import copy

import numpy as np
import pytest
from _helpers import stripes
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from skcnn import ConvNetClassifier, recipes

RECIPES = {name: getattr(recipes, name) for name in recipes.__all__}
ALL = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
# What a recipe has no say in: the user's data, machine, and ways of watching.
OF_THE_USER = {
    *("module", "image_shape", "data_format", "class_weight", "early_stopping", "tol"),
    *(
        "validation_fraction",
        "n_iter_no_change",
        "warm_start",
        "memory",
        "callbacks",
        "device",
        "precision",
    ),
    *("compile", "deterministic", "test_time_flip", "random_state", "verbose"),
}


@ALL
def test_a_recipe_names_all_that_decides_on_the_network_and_its_training(recipe):
    assert set(recipe) == set(ConvNetClassifier().get_params()) - OF_THE_USER


@ALL
def test_a_recipe_makes_an_estimator_that_can_be_cloned(recipe):
    parameters = clone(ConvNetClassifier(**recipe)).get_params()
    assert {name: parameters[name] for name in recipe} == recipe


def test_the_recipes_have_the_number_of_parameters_they_are_known_for():
    numbers = {
        name: ConvNetClassifier(**recipe).summary((32, 32, 3), n_classes=61).n_parameters
        for name, recipe in RECIPES.items()
    }
    assert numbers == {"lesson": 944_509, "fast": 943_773, "accurate": 14_648_253}


@ALL
def test_images_of_other_sizes_can_be_fitted(recipe):
    X, y = stripes(20)
    X = np.repeat(np.repeat(X, 3, axis=1), 2, axis=2)
    clf = ConvNetClassifier(**recipe | {"max_epochs": 1, "batch_size": 10}, random_state=0)
    assert clf.fit(X, y).predict(X).shape == (20,)


@pytest.mark.parametrize("fits", [True, False])
@pytest.mark.parametrize(("name", "least"), [("fast", 12), ("accurate", 14)])
def test_the_least_size_of_images_is_what_it_is_said_to_be(name, least, fits):
    side = least if fits else least - 1
    X = np.random.RandomState(0).randint(256, size=(20, side, side, 3)).astype(np.uint8)
    smaller = {"filters": (8, 16, 32), "max_epochs": 3, "batch_size": 20}
    clf = ConvNetClassifier(**RECIPES[name] | smaller, random_state=0)
    if fits:
        clf.fit(X, np.arange(20) % 2)
    else:
        with pytest.raises(ValueError, match=r"progressive_resizing=.* 8x8 pixels"):
            clf.fit(X, np.arange(20) % 2)


def test_a_recipe_can_be_searched_over_and_stays_as_it_is():
    X, y = stripes(90)
    before = copy.deepcopy(recipes.fast)
    recipe = recipes.fast | {"filters": (8, 16), "max_epochs": 8, "batch_size": 16}
    search = GridSearchCV(
        ConvNetClassifier(**recipe, random_state=0),
        {"augment": [None, "flip"], "lr": [0.1]},
        cv=2,
    )
    assert search.fit(X, y).best_score_ > 0.8
    assert recipes.fast == before
