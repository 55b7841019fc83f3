"""What constructor parameters may be, and what the errors say."""

import inspect
import re

import numpy as np
import pytest
import torch
from sklearn.utils._param_validation import InvalidParameterError
from torch import nn

from skcnn import ConvNetClassifier
from skcnn._estimators._parameters import CONSTRAINTS, check_parameters
from skcnn._utils import as_tuple
from skcnn.augmentation import Cutout

NAMES = list(inspect.signature(ConvNetClassifier).parameters)


def test_each_parameter_has_its_constraint():
    assert set(CONSTRAINTS) == set(NAMES)


def test_defaults_satisfy_the_constraints():
    ConvNetClassifier()._check_parameters()


def check(**parameters):
    ConvNetClassifier(**parameters)._check_parameters()


class Network(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.LazyLinear(n_classes))


@pytest.mark.parametrize(
    "parameters",
    [
        {"filters": 8},
        {"filters": [8, np.int64(16)]},
        {"filters": np.array([8, 16])},
        {"convs_per_block": [1, 2, 3]},
        {"kernel_size": np.int32(2)},
        {"pool": ("max", None, "average")},
        {"pool": None},
        {"normalization": [None, "batch", None]},
        {"residual": [True, np.False_, False]},
        {"dense_units": None},
        {"dense_units": (64, 32)},
        {"dropout": np.float32(0.5)},
        {"dropout": (0, 0.5, 0.99)},
        {"augment": None},
        {"augment": "flip"},
        {"augment": ["flip", lambda images, generator: images]},
        {"augment": ()},
        {"augment": [Cutout(0.3), "mixup", nn.Identity()]},
        {"progressive_resizing": (0.5, 1)},
        {"progressive_resizing": [1.0], "head": "flatten"},
        {"progressive_resizing": (0.5, 1), "head": "flatten", "module": Network},
        {"stem": "whitening"},
        {"test_time_flip": True},
        {"module": Network},
        {"module": lambda n_classes: Network(n_classes)},
        {"optimizer": torch.optim.Adagrad},
        {"lr": 1},
        {"weight_decay": 0},
        {"class_weight": {"a": 2}},
        {"callbacks": ()},
        {"device": torch.device("cpu")},
        {"batch_size": 1, "normalization": None},
        {"batch_size": 2},
        {"random_state": np.random.RandomState(0)},
        {"verbose": True},
    ],
    ids=repr,
)
def test_what_parameters_may_be(parameters):
    check(**parameters)


WRONG = {
    "filters": ["8", 0, -1, 8.0, None],
    "convs_per_block": ["1", 0, None, 1.5],
    "kernel_size": ["3", 0, None, (3.0, 3, 3)],
    "pool": ["mean", 2, True],
    "stem": ["whiten", True, 3],
    "pool_after": ["second", None, 1],
    "pool_size": [0, "2", None, 2.0],
    "activation": ["softmax", None, nn.ReLU],
    "normalization": ["layer", True],
    "residual": ["yes", 2],
    "symmetry": ["mirrored", True, ("mirror",)],
    "dense_units": [0, "64", 6.4],
    "dropout": [1, 1.0, -0.1, "0.5", None, np.nan],
    "head": ["mean", None],
    "init": ["orthogonal", None],
    "module": ["resnet", 3],
    "image_shape": [32, "32x32"],
    "data_format": ["last", None, "channel_first"],
    "augment": ["rotate", 3, True],
    "progressive_resizing": [0.5, "small", (0, 1), (0.5, 1.5), (0.5, "1")],
    "test_time_flip": ["yes", None],
    "optimizer": ["lion", None, 3],
    "lr": [0, -1, "auto", None, np.nan],
    "bias_lr_factor": [0, -1, None],
    "lr_schedule": ["step", 0.1],
    "weight_decay": [-1e-9, None],
    "weight_averaging": [-0.1, 1.1, None, "auto"],
    "label_smoothing": [1, -0.1, None],
    "max_epochs": [0, 1.5, None],
    "batch_size": [0, 1.5, None],
    "class_weight": ["auto", [1, 2]],
    "early_stopping": ["yes", None],
    "validation_fraction": [0, 1, 1.0, None],
    "n_iter_no_change": [0, 1.5],
    "tol": [-1, None],
    "warm_start": [None, "no"],
    "memory": [0, True],
    "callbacks": ["early_stopping", 3],
    "device": [0, None],
    "precision": ["float64", None, torch.float32],
    "compile": ["yes", None],
    "deterministic": ["yes", None],
    "random_state": ["0", -1, 0.5],
    "verbose": ["no", -1],
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param(name, value, id=f"{name}-{value!r}")
        for name, values in WRONG.items()
        for value in values
    ],
)
def test_wrong_values_are_refused_by_name(name, value):
    with pytest.raises(
        InvalidParameterError, match=f"The '{name}' parameter of ConvNetClassifier"
    ):
        check(**{name: value})


def test_wrong_values_are_listed_for_each_parameter():
    assert set(WRONG) == set(NAMES)


IN_SEQUENCES = {
    "filters": (8, 0, "0"),
    "convs_per_block": (1, 1.5, "1.5"),
    "kernel_size": (3, "5", "'5'"),
    "pool": ("max", "mean", "'mean'"),
    "pool_size": (2, -2, "-2"),
    "normalization": ("batch", "layer", "'layer'"),
    "residual": (True, "yes", "'yes'"),
    "dense_units": (64, 0, "0"),
    "dropout": (0.5, 1.5, "1.5"),
    "augment": ("flip", "rotate", "'rotate'"),
}


@pytest.mark.parametrize("kind", [tuple, list, lambda v: np.array(v, dtype=object)])
@pytest.mark.parametrize(("name", "values"), IN_SEQUENCES.items(), ids=IN_SEQUENCES)
def test_a_wrong_value_in_a_sequence_is_named(name, values, kind):
    good, bad, shown = values
    message = f"The '{name}' parameter of ConvNetClassifier must be .* Got {re.escape(shown)} inst"
    with pytest.raises(InvalidParameterError, match=message):
        check(**{name: kind([good, bad, good])})


@pytest.mark.parametrize("filters", [(), [], np.array([], int)], ids=repr)
def test_a_network_without_blocks_is_refused(filters):
    with pytest.raises(ValueError, match=r"'filters' parameter of ConvNetClassifier is empty.*32"):
        check(filters=filters)


@pytest.mark.parametrize("normalization", ["batch", ("batch", None, None)], ids=repr)
def test_a_batch_of_one_image_cannot_be_normalised(normalization):
    with pytest.raises(ValueError, match=r"batch_size=1 and normalization.*Set batch_size to 2"):
        check(batch_size=1, normalization=normalization)


def test_a_module_of_ones_own_may_take_one_image_at_a_time():
    check(batch_size=1, module=Network)


def test_a_network_already_built_is_refused():
    with pytest.raises(ValueError, match=r"'module' parameter .* is a network already built"):
        check(module=Network(3))


@pytest.mark.parametrize("optimizer", [nn.Linear, dict, torch.optim.lr_scheduler.StepLR])
def test_a_class_that_is_no_optimizer_is_refused(optimizer):
    message = f"'optimizer' parameter of .* is the class {optimizer.__name__}. Expected one of"
    with pytest.raises(ValueError, match=message):
        check(optimizer=optimizer)


def test_messages_name_the_caller():
    parameters = ConvNetClassifier(filters=()).get_params(deep=False)
    with pytest.raises(ValueError, match="'filters' parameter of MyRegressor"):
        check_parameters("MyRegressor", parameters)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, (3,)),
        ("max", ("max",)),
        (None, ()),
        ([3, None], (3, None)),
        ((), ()),
        (np.array([1, 2]), (1, 2)),
        (len, (len,)),
    ],
    ids=repr,
)
def test_a_scalar_is_a_sequence_of_one(value, expected):
    assert as_tuple(value) == expected
    assert all(type(got) is type(want) for got, want in zip(as_tuple(value), expected))
