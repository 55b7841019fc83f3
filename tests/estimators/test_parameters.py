"""What constructor parameters may be, and what the errors say."""

import inspect
import re
from functools import partial

import numpy as np
import pytest
import torch
from _helpers import small_net, stripes
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils._param_validation import InvalidParameterError
from torch import nn

from skcnn import ConvNetClassifier, FeatureExtractor, recipes
from skcnn._estimators._parameters import CONSTRAINTS, NETWORK_PARAMETERS, check_parameters
from skcnn._utils import as_tuple
from skcnn.augmentation import Cutout
from skcnn.networks import ConvBlocks

NAMES = list(inspect.signature(ConvNetClassifier).parameters)


def test_each_parameter_has_its_constraint():
    assert set(CONSTRAINTS) == set(NAMES)


def test_defaults_satisfy_the_constraints():
    ConvNetClassifier()._check_parameters()


def check(**parameters):
    ConvNetClassifier(**parameters)._check_parameters()


@pytest.mark.parametrize(
    ("parameter", "value", "expected"),
    [
        ("image_shape", 32, "(height, width), (height, width, channels) or None"),
        ("filters", "32", "an int in the range [1, inf), a tuple, a list or a str among {'auto'}"),
        ("class_weight", 0.5, "a dict, a list, a str among {'balanced'} or None"),
        ("cache_dir", 3, "a str, a path or None"),
        ("compile", None, "True or False"),
    ],
)
def test_errors_name_types_in_words(parameter, value, expected):
    start = f"The {parameter!r} parameter of ConvNetClassifier must be"
    with pytest.raises(InvalidParameterError, match=re.escape(f"{start} {expected}. Got")):
        check(**{parameter: value})


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
        {"progressive_resizing": [1.0], "global_pool": None},
        {"progressive_resizing": (0.5, 1), "module": Network},
        {"module": ConvBlocks((8, np.int64(16)), stem="whitening", symmetry="mirror")},
        {"batch_size": 1, "module": ConvBlocks(normalization=None)},
        {"progressive_resizing": [1.0], "module": ConvBlocks(global_pool=None)},
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


X, Y = stripes(60)
X.setflags(write=False)


class NoModule:
    def __init__(self, n_classes):
        pass


class NeedsLargeImages(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.convolution = nn.Conv2d(3, n_classes, 11)

    def forward(self, images):
        return self.convolution(images).mean((2, 3))


class KeepsPixels(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.convolution = nn.Conv2d(3, n_classes, 3)

    def forward(self, images):
        return self.convolution(images)


def always_ten_classes():
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 10))


def bad(value, *words):
    """A bad value, and words in the message beside the name of the parameter.

    Without words the value is refused by itself: of a wrong type, or out of range.
    """
    return value, words


BAD_PARAMETERS = {
    "filters": [
        *map(bad, ["8", 0, -1, 1.5, None]),
        bad((8, -1), "-1"),
        bad((8, None), "None"),
    ],
    "convs_per_block": [*map(bad, ["1", 0, None, 1.5]), bad((1, 1, 1), "3 values", "2 blocks")],
    "kernel_size": [*map(bad, ["3", 0, None]), bad((3, 2.5), "2.5"), bad((3.5, 3, 3), "3.5")],
    "pool": [
        *map(bad, ["mean", 2, True]),
        bad("min", "'max'", "'average'", "'min'"),
        bad(("max", "min"), "'min'"),
        bad(("max",), "1 values", "2 blocks"),
    ],
    "pool_size": [*map(bad, [0, "2", None, 2.5])],
    "activation": [
        *map(bad, ["softmax", None, nn.ReLU]),
        bad("relu6", "'relu'", "'silu'", "'relu6'"),
        bad(nn.ReLU, "'relu'", "ReLU"),
    ],
    "normalization": [*map(bad, ["layer", True]), bad("layer", "'batch'", "'layer'")],
    "residual": [*map(bad, ["yes", 2]), bad("yes", "True or False", "'yes'"), bad((True, 2), "2")],
    "dense_units": [*map(bad, [0, "64", 6.4]), bad((16, 0), "0")],
    "dropout": [
        *map(bad, [1, -0.1, "0.5", None, np.nan]),
        bad(1.0, "'dropout' parameter of ConvNetClassifier must be a float in", "Got 1.0 instead"),
        bad((0.1, 0.2, 0.3), "3 values", "2 blocks"),
    ],
    "global_pool": [*map(bad, ["mean", "flatten", True]), bad("mean", "'average'", "'mean'")],
    "module": [
        *map(bad, ["resnet", 3]),
        bad(nn.Linear(3, 3), "already built", "Module class", "function"),
        bad(NoModule, "NoModule", "torch.nn.Module"),
        bad(NeedsLargeImages, "8"),
        bad(KeepsPixels, "('n', 3, 6, 6)", "('n', 3)", "3 classes"),
        bad(always_ten_classes, "('n', 10)", "('n', 3)", "3 classes"),
    ],
    "image_shape": [
        *map(bad, [8, 32, "32x32"]),
        bad((8,), "(height, width)", "(8,)"),
        bad((8, 0, 3), "positive", "(8, 0, 3)"),
        bad((8, 7, 3), "height 8, width 8", "width 7"),
    ],
    "data_format": [
        *map(bad, ["last", None, "channel_first"]),
        bad("nchw", "'channels_first'", "'nchw'"),
    ],
    "resize": [
        *map(bad, [None, 0.5]),
        bad("squeeze", "'crop'", "'pad'", "'stretch'", "'squeeze'"),
    ],
    "on_error": [*map(bad, [None, True]), bad("ignore", "'raise'", "'skip'", "'ignore'")],
    "cache_dir": [*map(bad, [3, True, ["folder"]])],
    "augment": [
        *map(bad, ["rotate", 3, True]),
        bad("mirror", "'flip'", "'shift'", "'mirror'"),
        bad(("flip", 3), "3"),
    ],
    "progressive_resizing": [
        *map(bad, [0.5, "small"]),
        bad((0, 1), "'progressive_resizing' parameter of ConvNetClassifier must be", "Got 0 "),
        bad((0.5, 1.5), "'progressive_resizing' parameter of ConvNetClassifier must be", "1.5"),
        bad((0.5, "1"), "'progressive_resizing' parameter of ConvNetClassifier must be", "'1'"),
        bad((0.5, 2), "2", "(0.0, 1.0]"),
        bad((0.1, 1), "(0.1, 1)", "1x1 pixels", "pool less"),
    ],
    "test_time_flip": [*map(bad, ["yes", None])],
    "optimizer": [
        *map(bad, ["lion", None, 3]),
        bad("lbfgs", "'sgd'", "'adam'", "'lbfgs'"),
        bad(nn.ReLU, "ReLU", "torch.optim.Optimizer"),
    ],
    "lr": [*map(bad, [0, -1, "auto", "fast", None, np.nan])],
    "bias_lr_factor": [*map(bad, [0, -1, None])],
    "lr_schedule": [*map(bad, ["step", 0.1]), bad("linear", "'onecycle'", "'cosine'", "'linear'")],
    "weight_decay": [*map(bad, [-1e-9, -1, None])],
    "weight_averaging": [*map(bad, [-0.1, 1.1, None, "auto"]), bad(25, "[0.0, 1.0]", "25")],
    "label_smoothing": [*map(bad, [1, -0.1, None])],
    "max_epochs": [*map(bad, [0, 1.5, 2.5, None, "all"])],
    "batch_size": [*map(bad, [0, 1.5, None]), bad(1, "normalization", "2 or more")],
    "class_weight": [
        bad("auto"),
        bad([1, 2], "[1, 2]", "one column", "dict"),
        bad([{0: 2}] * 3, "one column", "dict"),
        bad("even", "'balanced'", "'even'"),
        bad({0: -1, 1: 1, 2: 1}, "-1", "negative"),
        bad({0: 0, 1: 0, 2: 0}, "zeros"),
        bad({7: 2}, "[0, 1, 2]"),
    ],
    "early_stopping": [*map(bad, ["yes", None])],
    "validation_fraction": [
        *map(bad, [0, 1, None]),
        bad(
            1.0, "'validation_fraction' parameter of ConvNetClassifier must be", "Got 1.0 instead"
        ),
    ],
    "n_iter_no_change": [*map(bad, [0, 1.5])],
    "tol": [*map(bad, [-1, None])],
    "warm_start": [*map(bad, [None, "no", "yes"])],
    "checkpoint_dir": [*map(bad, [0, 3, True]), bad(3, "joblib", "3")],
    "callbacks": [
        *map(bad, ["early_stopping", 3, "EarlyStopping"]),
        bad(["EarlyStopping"], "EarlyStopping"),
        bad([42], "42"),
    ],
    "device": [
        *map(bad, [0, None]),
        bad("abacus", "'abacus'", '"cpu"', 'device="auto"'),
        bad("cuda:99", "'cuda:99'", "not available", 'device="auto"'),
    ],
    "precision": [
        *map(bad, ["float64", None, torch.float32]),
        bad("float64", "'bfloat16'", "'float64'"),
    ],
    "compile": [*map(bad, ["yes", None]), bad("yes", "True or False", "'yes'")],
    "deterministic": [*map(bad, ["yes", None]), bad("yes", "True or False", "'yes'")],
    "random_state": [*map(bad, ["0", "seed", -1, 0.5])],
    "verbose": [*map(bad, ["no", -1])],
}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        pytest.param(name, value, words, id=f"{name}={value!r:.30}")
        for name, cases in BAD_PARAMETERS.items()
        for value, words in cases
    ],
)
def test_bad_values_are_refused_in_fit(name, value, words):
    clf = small_net(**{"max_epochs": 1, name: value})
    alone = [f"The '{name}' parameter of ConvNetClassifier must be", f"Got {value!r} instead."]
    with pytest.raises((ValueError, TypeError)) as caught:
        clf.fit(X, Y)
    missing = [word for word in [name, *(words or alone)] if word not in str(caught.value)]
    assert not missing, f"{missing} not in: {caught.value}"
    assert words or isinstance(caught.value, InvalidParameterError)
    with pytest.raises(NotFittedError):
        clf.predict(X)


def test_bad_values_are_listed_for_each_parameter():
    assert list(BAD_PARAMETERS) == NAMES


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_values_of_no_use_to_any_parameter_are_invalid(name, method):
    clf = ConvNetClassifier().set_params(**{name: object()})
    with pytest.raises(InvalidParameterError, match=f"'{name}' parameter.*object"):
        getattr(clf, method)(X, Y)


def test_an_unknown_parameter_is_refused():
    with pytest.raises(TypeError, match="n_filters"):
        ConvNetClassifier(n_filters=3)
    with pytest.raises(ValueError, match=r"n_filters.*filters"):
        ConvNetClassifier().set_params(n_filters=3)


@pytest.mark.parametrize(
    ("name", "holder", "example"),
    [
        ("module__filters", None, r"module=skcnn\.networks\.ConvBlocks\(\)"),
        ("module__filters", Network, r"module=skcnn\.networks\.ConvBlocks\(\)"),
        ("augment__fraction", ("shift",), r"augment=skcnn\.augmentation\.Shift\(\)"),
        ("optimizer__momentum", "muon", r"optimizer=skcnn\.optimizers\.Muon\(\)"),
        ("optimizer__momentum", "sgd", r"optimizer=skcnn\.optimizers\.SGD\(\)"),
        ("optimizer__momentum", torch.optim.SGD, r"optimizer=skcnn\.optimizers\.SGD\(\)"),
        ("optimizer__momentum", partial(torch.optim.Adam), r"optimizer=skcnn\.optimizers\.Adam"),
        ("optimizer__rho", torch.optim.Adadelta, r"optimizer=skcnn\.optimizers\.Muon\(\)"),
    ],
)
def test_parameters_of_what_has_none_are_refused(name, holder, example):
    slot = name.partition("__")[0]
    clf = ConvNetClassifier(**{slot: holder})
    with pytest.raises(ValueError, match=rf"{name} cannot be set, since {slot}=.*{example}"):
        clf.set_params(**{name: 1, "lr": 0.5})
    assert clf.lr == 0.1
    assert getattr(clf, slot) is holder


# ---------------------------------------------------------------- flat parameters and module

NOT_DEFAULT = {
    "filters": (8,),
    "convs_per_block": 1,
    "kernel_size": 5,
    "pool": "average",
    "pool_size": 3,
    "activation": "relu",
    "normalization": None,
    "residual": False,
    "dense_units": 16,
    "dropout": 0.5,
    "global_pool": "max",
}


@pytest.mark.parametrize("name", NETWORK_PARAMETERS)
def test_a_flat_parameter_beside_a_module_is_refused(name):
    changed = {name: NOT_DEFAULT[name]}
    message = f"has module=ConvBlocks.* and also {name}, .* no effect: set them as module__{name} "
    with pytest.raises(ValueError, match=message):
        check(module=ConvBlocks(), **changed)
    message = f"and also {name}, .* no effect: leave them at their defaults"
    with pytest.raises(ValueError, match=message):
        check(module=Network, **changed)
    check(**changed)


def test_all_flat_parameters_beside_a_module_are_named():
    named = ", ".join(["kernel_size", "pool_size", "dropout"])
    with pytest.raises(ValueError, match=f"and also {named}, which"):
        check(dropout=0.5, pool_size=3, kernel_size=5, module=ConvBlocks())


def test_flat_parameters_at_their_defaults_are_no_contradiction():
    defaults = {name: ConvNetClassifier().get_params()[name] for name in NETWORK_PARAMETERS}
    check(**defaults, module=ConvBlocks((4,)))


@pytest.mark.parametrize("name", NETWORK_PARAMETERS)
def test_flat_parameters_are_those_of_conv_blocks(name):
    """The same name, default, documentation of the values, and constraint."""
    flat = inspect.signature(ConvNetClassifier).parameters[name]
    of_blocks = inspect.signature(ConvBlocks).parameters[name]
    assert (flat.default, flat.annotation) == (of_blocks.default, of_blocks.annotation)
    entries = [
        re.search(rf"^{name} : .*$", inspect.getdoc(kind), re.M)[0]
        for kind in (ConvNetClassifier, ConvBlocks)
    ]
    of_classifier, of_all = CONSTRAINTS[name], ConvBlocks._parameter_constraints[name]
    if name == "global_pool":
        # Sums are for numbers only.
        entries[1] = entries[1].replace(', "sum"', "")
        assert of_all[0].options - of_classifier[0].options == {"sum"}
        of_classifier, of_all = of_classifier[1:], of_all[1:]
    assert entries[0] == entries[1]
    assert of_classifier == of_all


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (ConvBlocks(symmetry="rotation"), "'symmetry' parameter of ConvBlocks .*'mirror'"),
        (ConvBlocks(stem="patchify"), "'stem' parameter of ConvBlocks .*'whitening'"),
        (ConvBlocks(init="zeros"), "'init' parameter of ConvBlocks .*'dirac'"),
        (ConvBlocks((8, 0)), "'filters' parameter of ConvBlocks .* Got 0 instead"),
        (ConvBlocks((), symmetry="mirror"), r"ConvBlocks has filters=\(\) and symmetry='mirror'"),
        (ConvBlocks((8, 8), pool=("max",)), "pool=.* has 1 values, but filters makes 2 blocks"),
    ],
    ids=["symmetry", "stem", "init", "filters", "empty", "values"],
)
def test_bad_values_of_a_specification_are_refused_in_fit(module, message):
    clf = small_net(module=module)
    with pytest.raises(ValueError, match=message):
        clf.fit(X, Y)
    with pytest.raises(NotFittedError):
        clf.predict(X)


@pytest.mark.parametrize(
    "parameters", [{"global_pool": None}, {"module": ConvBlocks(global_pool=None)}]
)
def test_flattened_maps_have_one_size_only(parameters):
    with pytest.raises(ValueError, match=r"progressive_resizing=\(0.5, 1\) and global_pool=None"):
        check(progressive_resizing=(0.5, 1), **parameters)


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
def test_a_network_may_have_no_convolutions(filters):
    check(filters=filters, batch_size=1)


@pytest.mark.parametrize("normalization", ["batch", ("batch", None, None)], ids=repr)
def test_a_batch_of_one_image_cannot_be_normalised(normalization):
    message = r"batch_size=1 and normalization.*Set batch_size to 2"
    with pytest.raises(ValueError, match=message):
        check(batch_size=1, normalization=normalization)
    with pytest.raises(ValueError, match=message):
        check(batch_size=1, module=ConvBlocks(normalization=normalization))


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


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (partial(torch.optim.SGD, lr=0.5), "is a partial class with lr, .*lr=.*by name"),
        (partial(partial(torch.optim.SGD, lr=0.5), momentum=0.5), "is a partial class with lr"),
        (partial(torch.optim.SGD, params=[]), "is a partial class with params"),
        (partial(torch.optim.SGD, []), "is a partial class with arguments without a name"),
    ],
    ids=str,
)
def test_options_that_a_partial_class_would_lose_are_refused(given, words):
    with pytest.raises(ValueError, match=words):
        check(optimizer=given)
    check(optimizer=partial(torch.optim.SGD, momentum=0.5))


def test_messages_name_no_private_class():
    for parameter in ("optimizer", "module"):
        with pytest.raises(ValueError, match=f"'{parameter}' parameter") as caught:
            check(**{parameter: 3})
        assert "such as skcnn." in str(caught.value)
        assert "._" not in str(caught.value)
    with pytest.raises(ValueError, match="'backbone' parameter") as caught:
        FeatureExtractor(backbone=3).fit(np.zeros((4, 8, 8, 3), np.uint8))
    assert "._" not in str(caught.value)
    given = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    with pytest.raises(ValueError, match=r"a class \(not an object\) such as torch\.optim\.SGD"):
        check(optimizer=given)


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("n_iter_no_change", -1.0, "-1.0"),
        ("max_epochs", np.float64(0), "0.0"),
        ("progressive_resizing", (0.5, 2.0), "2.0"),
        ("filters", [8, -4.0], "-4.0"),
        ("module", ConvBlocks(filters=-4.0), "-4.0"),
    ],
    ids=str,
)
def test_messages_show_the_value_as_it_was_given(name, value, shown):
    with pytest.raises(ValueError, match=f"Got {re.escape(shown)} instead"):
        ConvNetClassifier(**{name: value}).fit(X, Y)


def test_messages_list_the_names_in_order():
    with pytest.raises(ValueError, match="'color', 'cutmix', 'cutout', 'flip', 'mixup', "):
        check(augment="turn")


@pytest.mark.parametrize("batch_size", [2**31, 2**63, 10**30, 1e300], ids=str)
def test_a_batch_size_above_the_number_of_images_takes_all_of_them(batch_size, monkeypatch):
    # More threads may compute larger batches, and add up numbers in another order.
    monkeypatch.setenv("SKCNN_NUM_THREADS", "2")
    once, huge = (
        small_net(max_epochs=2, batch_size=size).fit(X, Y) for size in (len(X), batch_size)
    )
    assert once.loss_curve_ == huge.loss_curve_


def test_a_subclass_may_have_fewer_parameters():
    class Small(ConvNetClassifier):
        def __init__(self, lr=0.05, random_state=None):
            super().__init__(filters=(4,), max_epochs=1, lr=lr, random_state=random_state)

    clf = clone(Small(random_state=0)).set_params(lr=0.02)
    plain = ConvNetClassifier(filters=(4,), max_epochs=1, lr=0.02, random_state=0)
    assert clf.fit(X, Y).loss_curve_ == plain.fit(X, Y).loss_curve_
    assert clf.partial_fit(X, Y).summary().n_parameters == plain.summary().n_parameters
    assert list(clf.get_params()) == ["lr", "random_state"]


def test_a_subclass_that_lacks_parameters_says_which():
    class Lacks(ConvNetClassifier):
        def __init__(self, lr=0.05):
            self.lr = lr

    with pytest.raises(AttributeError, match=r"Lacks has no filters, .*call super\(\).__init__"):
        Lacks().fit(X, Y)


def test_a_recipe_that_is_not_unpacked_is_told_apart():
    with pytest.raises(ValueError, match=r"'filters' .* a dict .* ConvNetClassifier\(\*\*recipes"):
        ConvNetClassifier(recipes.fast).fit(X, Y)


def test_messages_name_the_caller():
    class MyRegressor(ConvNetClassifier):
        pass

    with pytest.raises(ValueError, match="'filters' parameter of MyRegressor"):
        check_parameters(MyRegressor(filters=(0,)))
    with pytest.raises(ValueError, match=r"MyRegressor has module=.*and also dropout"):
        check_parameters(MyRegressor(dropout=0.5, module=ConvBlocks()))


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
