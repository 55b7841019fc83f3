"""Parameters of augmentations, as scikit-learn gets and sets them."""

import copy
import pickle
from dataclasses import FrozenInstanceError

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from skcnn import ConvNetClassifier
from skcnn.augmentation import (
    AUGMENTATIONS,
    Augmentation,
    Color,
    CutMix,
    Cutout,
    Flip,
    MixUp,
    Shift,
    as_augmentation,
)

# Of each class, the default parameters and others.
PARAMETERS = {
    Flip: ({"probability": 0.5, "vertical": False}, {"probability": 0.3, "vertical": True}),
    Shift: ({"fraction": 0.125}, {"fraction": 0.3}),
    Cutout: ({"fraction": 0.25}, {"fraction": 0.5}),
    Color: (
        {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2},
        {"brightness": 0.1, "contrast": 0, "saturation": 1},
    ),
    MixUp: ({"alpha": 0.2}, {"alpha": 1.0}),
    CutMix: ({"probability": 0.5, "alpha": 1.0}, {"probability": 1, "alpha": 0.5}),
}
KINDS = pytest.mark.parametrize(
    ("kind", "default", "other"),
    [(kind, *parameters) for kind, parameters in PARAMETERS.items()],
    ids=[kind.__name__ for kind in PARAMETERS],
)
BAD_PARAMETERS = pytest.mark.parametrize(
    ("kind", "parameters", "expected"),
    [
        (Flip, {"probability": 1.1}, r"in the range \[0.0, 1.0\]"),
        (Flip, {"probability": None}, r"in the range \[0.0, 1.0\]"),
        (Flip, {"vertical": "yes"}, "True or False"),
        (Shift, {"fraction": 1}, r"in the range \[0.0, 1.0\)"),
        (Shift, {"fraction": -0.1}, r"in the range \[0.0, 1.0\)"),
        (Cutout, {"fraction": float("nan")}, r"in the range \[0.0, 1.0\]"),
        (Cutout, {"fraction": "large"}, r"in the range \[0.0, 1.0\]"),
        (Color, {"brightness": 1.5}, r"in the range \[0.0, 1.0\]"),
        (Color, {"contrast": -1}, r"in the range \[0.0, 1.0\]"),
        (Color, {"saturation": 2}, r"in the range \[0.0, 1.0\]"),
        (MixUp, {"alpha": 0}, r"in the range \(0.0, inf\)"),
        (CutMix, {"alpha": float("inf")}, r"in the range \(0.0, inf\)"),
        (CutMix, {"probability": -1}, r"in the range \[0.0, 1.0\]"),
    ],
    ids=str,
)


def test_every_augmentation_is_tested_here():
    assert set(PARAMETERS) == set(AUGMENTATIONS.values())


@KINDS
def test_get_params_returns_what_the_constructor_got(kind, default, other):
    assert kind().get_params() == default
    assert kind(**other).get_params(deep=False) == other


@KINDS
def test_set_params_changes_the_object_itself(kind, default, other):
    change = kind()
    assert change.set_params(**other) is change
    assert change == kind(**other)
    name, value = next(iter(default.items()))
    assert change.set_params(**{name: value}).get_params() == other | {name: value}
    assert change.set_params().get_params() == other | {name: value}


@KINDS
def test_augmentations_are_compared_and_hashed_by_value(kind, default, other):
    change = kind(**other)
    for twin in (
        clone(change),
        copy.deepcopy(change),
        pickle.loads(pickle.dumps(change)),
        eval(repr(change)),
        kind().set_params(**other),
    ):
        assert twin is not change
        assert twin == change
        assert (hash(twin), joblib.hash(twin)) == (hash(change), joblib.hash(change))
    assert change != kind()
    assert joblib.hash(change) != joblib.hash(kind())
    assert kind(**default) == kind()
    assert Cutout(0.3) != Shift(0.3)


def test_repr_names_all_parameters():
    assert repr(Cutout()) == "Cutout(fraction=0.25)"
    assert repr(Flip()) == "Flip(probability=0.5, vertical=False)"


@BAD_PARAMETERS
def test_bad_parameters_are_refused(kind, parameters, expected):
    ((name, value),) = parameters.items()
    message = f"'{name}' parameter of {kind.__name__} must be .*{expected}.* Got {value!r} instead"
    with pytest.raises(ValueError, match=message):
        kind(**parameters)
    change = kind()
    with pytest.raises(ValueError, match=message):
        change.set_params(**parameters)
    assert change == kind()


def test_set_params_sets_all_parameters_or_none():
    change = Flip()
    with pytest.raises(ValueError, match="probability"):
        change.set_params(vertical=True, probability=2)
    assert change == Flip()


def test_set_params_refuses_unknown_names():
    change = Cutout()
    with pytest.raises(ValueError, match=r"'size' for Cutout\(fraction=0.25\).*\['fraction'\]"):
        change.set_params(fraction=0.5, size=3)
    assert change == Cutout()


def test_parameters_are_not_assigned_by_accident():
    with pytest.raises(FrozenInstanceError):
        Cutout().fraction = 3


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_as_augmentation_makes_a_new_object_of_a_name(name):
    default = as_augmentation(name)
    changed = as_augmentation(name).set_params(**PARAMETERS[type(default)][1])
    assert changed != default
    assert as_augmentation(name) == default


class Brighter(Augmentation):
    """An augmentation as users write them."""

    def __init__(self, factor=1.5):
        self.factor = factor

    def __call__(self, images, generator):
        return (images * self.factor).to(images.dtype)


class Unchanged(Augmentation):
    def __call__(self, images, generator):
        return images


def test_own_augmentations_have_parameters_too():
    change = clone(Brighter(2.0))
    assert change.get_params() == {"factor": 2.0}
    images = torch.ones(1, 2, 2, 1)
    assert torch.equal(change.set_params(factor=3.0)(images, torch.Generator()), images * 3)
    assert clone(Unchanged()).get_params() == {}


@pytest.fixture
def organisms():
    rng = np.random.RandomState(0)
    y = np.arange(24) % 2
    X = rng.randint(100, size=(24, 8, 8, 3)).astype(np.uint8)
    X[y == 1, :, :4] += 100
    return X, y


@pytest.mark.parametrize(
    ("augment", "grid"),
    [
        (Cutout(), {"augment__fraction": [0.1, 0.3]}),
        (Brighter(), {"augment__factor": [1.0, 1.2]}),
        (None, {"augment": [Shift(), ("flip", Shift(0.2)), [Unchanged()]]}),
    ],
    ids=["parameter", "parameter of an own augmentation", "augmentations"],
)
def test_augmentations_can_be_searched(organisms, augment, grid):
    before = copy.deepcopy(augment)
    clf = ConvNetClassifier(filters=4, max_epochs=1, augment=augment, random_state=0)
    search = GridSearchCV(clf, grid, cv=2, error_score="raise").fit(*organisms)
    ((name, values),) = grid.items()
    assert list(search.cv_results_[f"param_{name}"]) == values
    best = search.best_estimator_.get_params()[name]
    assert type(best) is type(search.best_params_[name])
    if augment is not None:
        assert vars(augment) == vars(before)
        assert search.best_estimator_.augment.get_params() == {
            name.removeprefix("augment__"): search.best_params_[name]
        }
