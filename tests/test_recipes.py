"""The recipes: complete, valid, and of the size that they are said to have."""

import runpy

import numpy as np
import pytest
from _helpers import stripes
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from skcnn import ConvNetClassifier, recipes
from skcnn._estimators._parameters import NETWORK_PARAMETERS
from skcnn.augmentation import Cutout
from skcnn.networks import CompactTransformer, ConvBlocks
from skcnn.optimizers import SGD, Muon

RECIPES = {name: getattr(recipes, name) for name in recipes.__all__}
ALL = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
# What a recipe has no say in: the user's data, machine, and ways of watching.
OF_THE_USER = {
    *("image_shape", "data_format", "resize", "on_error", "cache_dir"),
    *("class_weight", "early_stopping", "tol"),
    *(
        "validation_fraction",
        "n_iter_no_change",
        "warm_start",
        "checkpoint_dir",
        "callbacks",
        "device",
        "precision",
    ),
    *("compile", "deterministic", "test_time_flip", "random_state", "verbose"),
}


def shown(parameters):
    """Values of all parameters, those of objects in parameters included."""
    deep = ConvNetClassifier(**parameters).get_params()
    return {name: repr(value) for name, value in deep.items()}


@ALL
def test_a_recipe_names_all_that_decides_on_the_network_and_its_training(recipe):
    given_by_module = set(NETWORK_PARAMETERS)
    assert (
        set(recipe)
        == {*ConvNetClassifier().get_params(deep=False)} - OF_THE_USER - given_by_module
    )


def test_a_recipe_names_each_parameter_of_its_network_and_its_optimizer(monkeypatch):
    """Or another default of a later version would change it."""
    named = []

    def recording(cls):
        def make(**parameters):
            named.append((cls, set(parameters)))
            return cls(**parameters)

        return make

    for cls in (ConvBlocks, CompactTransformer, Muon):
        room = "optimizers" if cls is Muon else "networks"
        monkeypatch.setattr(f"skcnn.{room}.{cls.__name__}", recording(cls))
    runpy.run_path(recipes.__file__)
    networks = [cls for cls, _ in named if cls is not Muon]
    optimizers = [r["optimizer"] for r in RECIPES.values() if isinstance(r["optimizer"], Muon)]
    assert len(networks) == len(RECIPES)
    assert len(named) == len(networks) + len(optimizers)
    assert all(parameters == set(cls().get_params()) for cls, parameters in named)


@ALL
def test_a_recipe_makes_an_estimator_that_can_be_cloned(recipe):
    parameters = clone(ConvNetClassifier(**recipe)).get_params(deep=False)
    assert parameters["module"] is not recipe["module"]
    assert shown({name: parameters[name] for name in recipe}) == shown(recipe)


def test_the_recipes_have_the_number_of_parameters_they_are_known_for():
    numbers = {
        name: ConvNetClassifier(**recipe).summary((32, 32, 3), n_classes=61).n_parameters
        for name, recipe in RECIPES.items()
    }
    assert numbers == {
        "lesson": 944_509,
        "fast": 943_773,
        "few": 943_773,
        "laptop": 924_957,
        "accurate": 14_648_253,
        "transformer": 915_710,
    }


@ALL
def test_images_of_other_sizes_can_be_fitted(recipe):
    X, y = stripes(20)
    X = np.repeat(np.repeat(X, 3, axis=1), 2, axis=2)
    clf = ConvNetClassifier(**recipe | {"max_epochs": 1, "batch_size": 10}, random_state=0)
    assert clf.fit(X, y).predict(X).shape == (20,)


@pytest.mark.parametrize("fits", [True, False])
@pytest.mark.parametrize(
    ("name", "least"), [("fast", 12), ("few", 12), ("laptop", 12), ("accurate", 14)]
)
def test_the_least_size_of_images_is_what_it_is_said_to_be(name, least, fits):
    side = least if fits else least - 1
    X = np.random.RandomState(0).randint(256, size=(20, side, side, 3)).astype(np.uint8)
    clf = ConvNetClassifier(**RECIPES[name], random_state=0)
    clf.set_params(module__filters=(8, 16, 32), max_epochs=3, batch_size=20)
    if fits:
        clf.fit(X, np.arange(20) % 2)
    else:
        with pytest.raises(ValueError, match=r"progressive_resizing=.* 8x8 pixels"):
            clf.fit(X, np.arange(20) % 2)


def test_a_recipe_can_be_searched_over_and_stays_as_it_is():
    X, y = stripes(90)
    before, module = shown(recipes.fast), recipes.fast["module"]
    clf = ConvNetClassifier(**recipes.fast, random_state=0)
    search = GridSearchCV(
        clf.set_params(module__filters=(8, 16), max_epochs=8, batch_size=16),
        {"augment": [None, "flip"], "lr": [0.1], "module__symmetry": ["mirror"]},
        cv=2,
    )
    assert search.fit(X, y).best_score_ > 0.8
    assert recipes.fast["module"] is module
    assert shown(recipes.fast) == before


@ALL
def test_set_params_copies_the_specification_of_a_recipe(recipe):
    before, parameters = shown(recipe), dict(recipe)
    one, other = ConvNetClassifier(**recipe), ConvNetClassifier(**recipe)
    is_transformer = isinstance(recipe["module"], CompactTransformer)
    changes = {"depth": 1, "width": 12} if is_transformer else {"filters": (8, 16), "stem": None}
    one.set_params(**{f"module__{name}": value for name, value in changes.items()}, lr=1.0)
    assert {name: getattr(one.module, name) for name in changes} == changes
    assert one.lr == 1.0
    # The other parameters of the network are those of the recipe.
    kept = {n: v for n, v in shown(recipe).items() if n not in ("module", "lr")}
    for name in changes:
        del kept[f"module__{name}"]
    assert kept.items() <= shown(one.get_params(deep=False)).items()
    assert all(recipe[name] is value for name, value in parameters.items())
    assert shown(recipe) == before
    assert shown(other.get_params(deep=False)) == before


def test_set_params_copies_augmentations_and_optimizers():
    held = {"module": ConvBlocks((4,)), "augment": Cutout(0.25), "optimizer": SGD(0.5)}
    clf = ConvNetClassifier(**held)
    clf.set_params(augment__fraction=0.5, optimizer__momentum=0.8, module__filters=(8,))
    assert (clf.augment.fraction, clf.optimizer.momentum, clf.module.filters) == (0.5, 0.8, (8,))
    assert held["augment"].fraction == 0.25
    assert held["optimizer"].momentum == 0.5
    assert held["module"].filters == (4,)
    # An object and its parameters may come in the same call.
    given = ConvBlocks((16,))
    clf.set_params(module__kernel_size=5, module=given)
    assert (clf.module.filters, clf.module.kernel_size) == ((16,), 5)
    assert given.kernel_size == 3
