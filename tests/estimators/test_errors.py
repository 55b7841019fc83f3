"""Bad input: the type of the error, and words that say what came and what was expected."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from _helpers import NETS, small_net, small_regressor, stripes
from numpy.testing import assert_array_equal
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from torch import nn

from skcnn import ConvNetMultiTask, ConvNetSegmenter
from skcnn.networks import ConvBlocks, UNet
from skcnn.uncertainty import ConformalRegressor

ROOT = Path(__file__).parents[1]
X, Y = stripes(60)
X.setflags(write=False)
WORDS = np.array(["across", "down", "slanting"])


def _with(value, dtype=np.float64):
    images = X.astype(dtype)
    images[17, 3, 4, 1] = value
    return images


@pytest.fixture(scope="module", params=NETS)
def fitted(request):
    # The numbers of classes are numbers as well.
    return NETS[request.param](max_epochs=2).fit(X, Y)


each_estimator = pytest.mark.parametrize("make", NETS.values(), ids=NETS)


def _cases(common, **own):
    """Each case of a table that holds for all estimators, and of those for one of them."""
    tables = {name: common | own.get(name, {}) for name in NETS}
    return pytest.mark.parametrize(
        ("make", "case"),
        [(NETS[name], case) for name, table in tables.items() for case in table.values()],
        ids=[f"{name}-{case}" for name, table in tables.items() for case in table],
    )


def _raises(error, words, call, *args, **kwargs):
    with pytest.raises(error) as caught:
        call(*args, **kwargs)
    missing = [word for word in words if word not in str(caught.value)]
    assert not missing, f"{missing} not in: {caught.value}"
    assert type(caught.value).__module__.partition(".")[0] in ("builtins", "sklearn", "skcnn")


def _hidden(values):
    """Hide where images are of the first class."""
    mask = np.broadcast_to((Y == 0).reshape(-1, *[1] * (values.ndim - 1)), values.shape)
    return np.ma.array(values, mask=mask)


# ---------------------------------------------------------------- X and y of fit

FLOATS = X / 255.0
BAD_DATA = {
    "NaN": (_with(np.nan), Y, ValueError, ["NaN"]),
    "infinity": (_with(np.inf), Y, ValueError, ["infinity"]),
    "NaN in flat": (_with(np.nan).reshape(60, -1), Y, ValueError, ["NaN"]),
    "NaN in tensor": (torch.tensor(_with(np.nan)), Y, ValueError, ["NaN"]),
    "huge": (_with(1e300), Y, ValueError, ["X", "too large", "float32"]),
    "None as pixel": (_with(None, object), Y, ValueError, ["NaN"]),
    "words as pixels": (_with("red", object), Y, ValueError, ["red"]),
    "complex": (X * 1j, Y, ValueError, ["Complex data not supported"]),
    "objects": (_with({}, object), Y, TypeError, ["X", "no numbers"]),
    "rows of objects": ([["1", None]] * 60, Y, ValueError, ["X", "NaN"]),
    "hidden pixels": (np.ma.masked_less(X, 50), Y, ValueError, ["X", "hides", "X.filled(0)"]),
    "no columns": (pd.DataFrame(index=range(60)), Y, ValueError, ["0 feature(s)"]),
    "sparse": (scipy.sparse.csr_array(X.reshape(60, -1)), Y, TypeError, ["Sparse", "dense"]),
    "paths": (["a.png"] * 60, Y, ValueError, ["X", "a.png does not exist", "on_error"]),
    "array of text": (np.array(["a.png"] * 60), Y, ValueError, ["X", "a.png does not exist"]),
    "1-D": (np.arange(60.0), Y, ValueError, ["1D array", "2D array"]),
    "5-D": (X[..., None], Y, ValueError, ["5 dimensions", "(60, 8, 8, 3, 1)", "height, width"]),
    "scalar": (3.0, Y, ValueError, ["scalar"]),
    "None": (None, Y, ValueError, ["None"]),
    "ragged": (
        [*X[:30], *X[30:, 1:]],
        Y,
        ValueError,
        ["different shapes", "(7, 8, 3)", "(8, 8, 3)", "resize or crop"],
    ),
    "ragged rows": ([[1.0, 2.0], [1.0]] * 30, Y, ValueError, ["inhomogeneous"]),
    "channels first": (
        X.transpose(0, 3, 1, 2),
        Y,
        ValueError,
        ["(60, 3, 8, 8)", 'data_format="channels_first"', 'data_format="channels_last"'],
    ),
    "empty": (X[:0], Y[:0], ValueError, ["0 sample(s)", "minimum of 1"]),
    "empty flat": (X[:0].reshape(0, 192), Y[:0], ValueError, ["0 sample(s)"]),
    "no pixels": (np.empty((60, 0)), Y, ValueError, ["0 feature(s)"]),
    "no height": (X[:, :0], Y, ValueError, ["0 feature(s)"]),
    "y too short": (X, Y[:50], ValueError, ["inconsistent numbers of samples", "[60, 50]"]),
    "y None": (X, None, ValueError, ["requires y to be passed", "None"]),
}
# One of several answers may be missing; the only one may not.
MISSING = {
    "y NaN": (X, np.where(Y == 0, np.nan, Y), ValueError, ["y", "NaN"]),
    "y None inside": (X, np.where(Y == 0, None, Y), (ValueError, TypeError), []),
    "y hidden": (X, _hidden(Y), ValueError, ["y", "hides 20 value(s)", "getmaskarray(y)"]),
    "columns hidden": (X, _hidden(np.c_[Y, Y]), ValueError, ["y", "hides 40", ".any(axis=1)"]),
}
BAD_LABELS = {
    **MISSING,
    "one sample": (X[:1], Y[:1], ValueError, ["1 class", "at least 2"]),
    "one class": (X, np.zeros(60, int), ValueError, ["1 class", "0", "at least 2"]),
    "one word": (X, np.repeat("elm", 60), ValueError, ["1 class", "elm", "at least 2"]),
    "y continuous": (X, Y + 0.5, ValueError, ["continuous"]),
    "y 3-D": (X, np.eye(3)[Y][..., None], ValueError, ["dim 3"]),
    "columns continuous": (X, np.c_[Y + 0.5, Y], ValueError, ["continuous"]),
    "sets of labels": (X, [{"a", "b"}] * 60, ValueError, ["set of labels", "MultiLabelBinarizer"]),
    "lists of labels": (X, [["a"], ["a", "b"]] * 30, ValueError, ["MultiLabelBinarizer"]),
    "column of one class": (X, np.c_[Y, Y * 0], ValueError, ["1 class", "0", "at least 2"]),
}
POISSON, GAMMA = {"loss": "poisson"}, {"loss": "gamma"}
BAD_NUMBERS = {
    **MISSING,
    "y words": (X, WORDS[Y], ValueError, ["y", "not numbers", "ConvNetClassifier"]),
    "y infinite": (X, np.where(Y == 0, np.inf, Y), ValueError, ["y", "infinity"]),
    "y complex": (X, Y * 1j, ValueError, ["Complex data not supported"]),
    "y 3-D": (X, np.zeros((60, 2, 2)), ValueError, ["dim 3"]),
    "negative counts": (X, Y - 1, ValueError, ["y", "from -1 to 1", "poisson", "from 0"], POISSON),
    "no biomass": (X, Y, ValueError, ["y", "from 0 to 2", "gamma", "positive"], GAMMA),
    "negative sums": (X, Y - 1, ValueError, ["y", "lowest -1", "sum"], {"global_pool": "sum"}),
    "which quantile": (X, Y, ValueError, ["quantile=None", "0.9"], {"loss": "quantile"}),
}


@_cases(BAD_DATA, classifier=BAD_LABELS, regressor=BAD_NUMBERS)
def test_bad_data_is_refused_in_fit(make, case):
    images, y, error, words, *parameters = case
    clf = make(max_epochs=1).set_params(**dict(*parameters))
    _raises(error, words, clf.fit, images, y)
    _raises(NotFittedError, ["not fitted yet", "fit"], clf.predict, X)
    assert not hasattr(clf, "module_")


BAD_AT_PREDICT = {
    "smaller": (X[:, :6], ["height 6, width 8, channels 3", "height 8, width 8", "Resize"]),
    "gray": (X[..., 0], ["channels 1", "channels 3", "fitted on"]),
    "channels first": (X.transpose(0, 3, 1, 2), ['data_format="channels_first"']),
    "single image": (X[0], ["X[None]"]),
    "flat of other length": (X.reshape(60, -1)[:, :-1], ["191 features", "192 features"]),
    "frame of other length": (pd.DataFrame(X.reshape(60, -1)[:, 1:]), ["191", "192"]),
    "empty": (X[:0], ["0 sample(s)"]),
    "NaN": (_with(np.nan), ["NaN"]),
    "text": (["a.png"], ["a.png does not exist", "on_error"]),
    "5-D": (X[None], ["5 dimensions"]),
}


@pytest.mark.parametrize("case", BAD_AT_PREDICT)
@pytest.mark.parametrize("method", ["predict", "transform"])
def test_bad_images_are_refused_by_a_fitted_network(case, method, fitted):
    images, words = BAD_AT_PREDICT[case]
    _raises(ValueError, words, getattr(fitted, method), images)


def test_images_of_any_size_are_no_images_of_other_channels():
    reg = small_regressor(max_epochs=1, global_pool="sum").fit(X, Y)
    for case in BAD_AT_PREDICT.keys() - {"smaller", "single image"}:
        images, words = BAD_AT_PREDICT[case]
        _raises(ValueError, words, reg.predict, images)
    _raises(ValueError, ["channels 1", "channels 3"], reg.predict, X[0])
    _raises(ValueError, ["height 3 and width 8", "too small", "pooling"], reg.predict, X[:, :3])


def test_sparse_images_are_refused_by_a_fitted_network(fitted):
    _raises(TypeError, ["Sparse", "dense"], fitted.predict, scipy.sparse.csr_array(X[:, 0, 0]))


# ---------------------------------------------------------------- what else fit takes

BAD_FIT = {
    "weights negative": (
        {"sample_weight": np.r_[-1.0, np.ones(59)]},
        ["sample_weight", "egative"],
    ),
    "weights zero": ({"sample_weight": np.zeros(60)}, ["zero"]),
    "weights too few": ({"sample_weight": np.ones(59)}, ["sample_weight", "(59,)", "(60,)"]),
    "weights 2-D": ({"sample_weight": np.ones((60, 2))}, ["1D"]),
    "weights NaN": ({"sample_weight": np.r_[np.nan, np.ones(59)]}, ["sample_weight", "NaN"]),
    "weights hidden": ({"sample_weight": _hidden(np.ones(60))}, ["sample_weight", "hides 20"]),
    "groups hidden": ({"groups": _hidden(np.arange(60))}, ["groups", "hides 20"]),
    "X_val alone": ({"X_val": X}, ["X_val", "y_val", "Give both"]),
    "y_val alone": ({"y_val": Y}, ["y_val", "X_val", "Give both"]),
    "X_val smaller": (
        {"X_val": X[:, 1:], "y_val": Y},
        ["X_val", "height 7, width 8", "height 8, width 8"],
    ),
    "X_val flat, shorter": ({"X_val": X[:, 1:].reshape(60, -1), "y_val": Y}, ["168", "192"]),
    "X_val NaN": ({"X_val": _with(np.nan), "y_val": Y}, ["X_val", "NaN"]),
    "X_val empty": ({"X_val": X[:0], "y_val": Y[:0]}, ["0 sample(s)"]),
}


BAD_FIT_OF_LABELS = {
    "y_val hidden": ({"X_val": X, "y_val": _hidden(Y)}, ["y_val", "hides 20"]),
    "y_val too short": ({"X_val": X, "y_val": Y[:7]}, ["y_val", "7 labels", "60 images"]),
    "y_val unseen": ({"X_val": X, "y_val": Y + 5}, ["y_val", "[5, 6, 7]", "[0, 1, 2]"]),
    "y_val of words": (
        {"X_val": X, "y_val": WORDS[Y]},
        ["y_val", f"text such as '{WORDS[Y[0]]}'", "numbers such as 0", "same type"],
    ),
    "y_val NaN": (
        {"X_val": X, "y_val": np.where(Y, Y, np.nan)},
        ["y_val", "20 missing label(s)", "row 12"],
    ),
}
BAD_FIT_OF_NUMBERS = {
    "y_val hidden": ({"X_val": X, "y_val": _hidden(Y)}, ["y_val", "hides 20"]),
    "y_val too short": ({"X_val": X, "y_val": Y[:7]}, ["y_val", "7 rows", "60 images"]),
    "y_val of words": ({"X_val": X, "y_val": WORDS[Y]}, ["y_val", "not numbers"]),
    "y_val of two columns": (
        {"X_val": X, "y_val": np.column_stack([Y, Y])},
        ["y_val", "(60, 2)", "(n,)"],
    ),
    "y_val NaN": ({"X_val": X, "y_val": np.where(Y, Y, np.nan)}, ["y_val", "NaN"]),
}


@_cases(BAD_FIT, classifier=BAD_FIT_OF_LABELS, regressor=BAD_FIT_OF_NUMBERS)
@pytest.mark.parametrize("early_stopping", [False, True])
def test_bad_company_of_the_images_is_refused_in_fit(make, case, early_stopping):
    more, words = case
    clf = make(max_epochs=1, early_stopping=early_stopping)
    _raises(ValueError, words, clf.fit, X, Y, **more)
    _raises(NotFittedError, [], clf.predict, X)


TWO = pd.DataFrame({"pattern": WORDS[Y], "size": Y % 2})


@pytest.mark.parametrize(
    ("make", "y"),
    [
        (small_net, Y),
        (small_net, TWO),
        (small_regressor, Y),
        (
            lambda **more: ConvNetMultiTask({"pattern": "classification"}, filters=(4,), **more),
            TWO,
        ),
        (lambda **more: ConformalRegressor(small_regressor(**more)), Y),
    ],
    ids=["classes", "columns", "numbers", "questions", "intervals"],
)
@pytest.mark.parametrize(
    ("weight", "words"),
    [
        (np.r_[np.nan, np.ones(59)], ["NaN"]),
        (np.ones(59), ["(59,)", "(60,)"]),
        (_hidden(np.ones(60)), ["hides 20"]),
    ],
    ids=["NaN", "too few", "hidden"],
)
def test_weights_of_a_score_are_checked(make, y, weight, words):
    clf = make(max_epochs=1)
    if isinstance(clf, ConformalRegressor):
        clf.estimator.fit(X, y)
    clf.fit(X, y)
    assert np.isfinite(clf.score(X, y, np.ones(60)))
    _raises(ValueError, ["sample_weight", *words], clf.score, X, y, weight)


@pytest.mark.parametrize("make", [small_net, small_regressor])
def test_hidden_values_are_refused_in_score_and_partial_fit(make):
    clf = make(max_epochs=1).fit(X, Y)
    _raises(ValueError, ["y", "hides 20"], clf.score, X, _hidden(Y))
    _raises(ValueError, ["sample_weight", "hides 20"], clf.score, X, Y, _hidden(np.ones(60)))
    _raises(ValueError, ["y", "hides 20"], clf.partial_fit, X, _hidden(Y))
    nothing = np.ma.array(Y, mask=False)
    assert clf.score(X, nothing) == clf.score(X, Y)
    assert clf.partial_fit(X, nothing).n_iter_ == 2


BAD_SPLIT = {
    "one group": ({}, {"groups": np.zeros(60)}, ["groups", "1 different", "at least 2"]),
    "groups too few": ({}, {"groups": np.arange(50)}, ["inconsistent", "50", "60"]),
}


BAD_SPLIT_OF_LABELS = {
    "fraction too large": ({"validation_fraction": 0.97}, {}, ["validation_fraction=0.97", "60"]),
    "too few images": (
        {"validation_fraction": 0.1},
        {"rows": 3},
        ["validation_fraction=0.1", "3 images", "3 classes", "too few", "early_stopping=False"],
    ),
}
BAD_SPLIT_OF_NUMBERS = {
    "one image": (
        {},
        {"rows": 1},
        ["validation_fraction=0.1", "n_samples=1", "early_stopping=False"],
    )
}


@_cases(BAD_SPLIT, classifier=BAD_SPLIT_OF_LABELS, regressor=BAD_SPLIT_OF_NUMBERS)
def test_a_split_that_cannot_be_made_is_refused(make, case):
    parameters, more, words = case
    rows = more.get("rows", 60)
    clf = make(max_epochs=1, early_stopping=True, **parameters)
    given = {"groups": more["groups"]} if "groups" in more else {}
    _raises(ValueError, words, clf.fit, X[:rows], np.arange(rows) % 3, **given)


def test_a_fraction_smaller_than_an_image_a_class_holds_one_of_each():
    clf = small_net(max_epochs=1, early_stopping=True, validation_fraction=1e-6).fit(X, Y)
    assert clf.history_["valid_accuracy"].iloc[0] * 3 == pytest.approx(
        round(clf.history_["valid_accuracy"].iloc[0] * 3), abs=1e-5
    )


BAD_PARTIAL = {
    "weights negative": (Y, {"sample_weight": -np.ones(60)}, ["sample_weight", "egative"]),
}
BAD_PARTIAL_OF_LABELS = {
    "unseen label": (Y + 1, {}, ["y", "[3]", "[0, 1, 2]"]),
    "other classes": (Y, {"classes": [0, 1, 2, 3]}, ["[0, 1, 2]", "[0, 1, 2, 3]"]),
    "words": (
        WORDS[Y],
        {},
        ["y", f"text such as '{WORDS[Y[0]]}'", "numbers such as 0", "same type"],
    ),
}
BAD_PARTIAL_OF_NUMBERS = {
    "words": (WORDS[Y], {}, ["y", "not numbers"]),
    "two columns": (np.column_stack([Y, Y]), {}, ["n_outputs=1", "got 2"]),
}


@_cases(BAD_PARTIAL, classifier=BAD_PARTIAL_OF_LABELS, regressor=BAD_PARTIAL_OF_NUMBERS)
def test_partial_fit_refuses(make, case):
    y, more, words = case
    clf = make().partial_fit(X, Y)
    before = clf._outputs(X)
    _raises(ValueError, words, clf.partial_fit, X, y, **more)
    assert_array_equal(clf._outputs(X), before)
    assert clf.n_iter_ == 1


def test_partial_fit_begins_with_all_classes():
    some = Y == 1
    _raises(ValueError, ["1 class"], small_net().partial_fit, X[some], Y[some])
    _raises(ValueError, ["[2]", "[0, 1]"], small_net().partial_fit, X, Y, classes=[0, 1])


BALANCED = {
    "classes": (small_net(), Y, "balanced"),
    "columns": (small_net(), np.stack([Y, 1 - Y], axis=1), ["balanced", None]),
    "questions": (
        ConvNetMultiTask({"side": "classification"}, filters=(4,)),
        pd.DataFrame({"side": Y}),
        {"side": "balanced"},
    ),
    "pixels": (ConvNetSegmenter(UNet(ConvBlocks((4,)))), np.zeros(X.shape[:3], int), "balanced"),
}


@pytest.mark.parametrize("case", BALANCED.values(), ids=BALANCED.keys())
def test_partial_fit_refuses_weights_that_depend_on_how_often_a_class_comes(case):
    estimator, y, class_weight = case
    estimator = clone(estimator).set_params(class_weight=class_weight)
    words = [f"class_weight={class_weight!r}", "partial_fit", "a dict of label and weight"]
    _raises(ValueError, words, estimator.partial_fit, X, y)
    assert not hasattr(estimator, "net_")


# ---------------------------------------------------------------- machine and network


class Greedy(nn.Linear):
    """Wants more memory than there is, once it is given a batch or is trained."""

    def __init__(self, n_classes):
        super().__init__(192, n_classes)

    def forward(self, images):
        if len(images) > 1 or (self.training and torch.is_grad_enabled()):
            torch.empty(2**50)
        return super().forward(images.flatten(1))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@each_estimator
def test_a_gpu_that_is_not_there_is_never_replaced_in_silence(make):
    _raises(
        ValueError,
        ["device='cuda'", "not available", "'cpu'", 'device="auto"'],
        make(device="cuda").fit,
        X,
        Y,
    )


@each_estimator
def test_too_little_memory_is_an_error_with_a_way_out(make):
    clf = make(module=Greedy, batch_size=16)
    words = ["device='cpu'", "too little memory", "smaller batches than batch_size=16"]
    _raises(MemoryError, words, clf.fit, X, Y)
    _raises(NotFittedError, [], clf.predict, X)


@each_estimator
def test_images_pooled_away_are_refused(make):
    clf = make(filters=(8,) * 5)
    words = ["5 blocks", "8x8", "1x1", "block 4", "pool_size=2"]
    _raises(ValueError, words, clf.fit, X, Y)
    _raises(ValueError, words, clf.summary, (8, 8, 3), n_classes=3)
    advice = ("max", "max", "max", None, None)
    lowest = 0 if make is small_net else -np.inf
    assert clf.set_params(pool=advice, max_epochs=1).fit(X, Y).score(X, Y) > lowest


@each_estimator
def test_flattened_images_that_do_not_fit_image_shape_are_refused(make):
    words = ["192 features", "(8, 4)", "needs 32, or 96 in RGB"]
    _raises(ValueError, words, make(image_shape=(8, 4)).fit, X.reshape(60, -1), Y)
    words = ["192 features", "(8, 8, 1)", "needs 64."]
    _raises(ValueError, words, make(image_shape=(8, 8, 1)).fit, X.reshape(60, -1), Y)


# ---------------------------------------------------------------- losses that are not finite

DIVERGING = {
    "constant": {"lr": 1e6, "lr_schedule": None},
    "onecycle": {"lr": 1e6},
    "early stopping": {"lr": 1e6, "lr_schedule": None, "early_stopping": True},
}


@each_estimator
@pytest.mark.parametrize("case", DIVERGING)
def test_a_loss_that_diverges_is_an_error_that_says_what_to_try(make, case):
    clf = make(**DIVERGING[case], normalization=None, max_epochs=30)
    _raises(
        ValueError,
        ["training loss became", "epoch", "smaller learning rate", "lr=1000000.0"],
        clf.fit,
        FLOATS,
        Y,
    )
    _raises(NotFittedError, [], clf.predict, X)


# ---------------------------------------------------------------- a failed fit of a fitted one

REFUSED = {
    "NaN": ({}, lambda clf: clf.fit(_with(np.nan), Y)),
    "y too short": ({}, lambda clf: clf.fit(X[:, 1:], Y[:5])),
    "parameter": ({"lr": -1}, lambda clf: clf.fit(X, Y)),
}
FAILING = {
    "device": ({"device": "abacus"}, lambda clf: clf.fit(X, Y)),
    "pooled away": ({"filters": (4,) * 5}, lambda clf: clf.fit(X[:, :4, :4], Y > 0)),
    "weights": ({}, lambda clf: clf.fit(X[..., :1], Y + 7, sample_weight=np.zeros(60))),
    "diverging": (
        {"lr": 1e6, "normalization": None, "lr_schedule": None, "max_epochs": 30},
        lambda clf: clf.fit(FLOATS, Y + 3),
    ),
    "warm, diverging": (
        {"lr": 1e30, "lr_schedule": None, "max_epochs": 30, "warm_start": True},
        lambda clf: clf.fit(X, _labels(clf)),
    ),
}
FAILING_OF_LABELS = {
    "one class": ({}, lambda clf: clf.fit(X[:, :4], np.zeros(60))),
    "warm, other classes": ({"warm_start": True}, lambda clf: clf.fit(X, Y)),
}
FAILING_OF_NUMBERS = {
    "words": ({}, lambda clf: clf.fit(X[:, :4], WORDS[Y])),
    "warm, other loss": (
        {"warm_start": True, "loss": "absolute_error"},
        lambda clf: clf.fit(X, 5 * Y),
    ),
}


def _labels(estimator):
    return WORDS[Y] if is_classifier(estimator) else Y


def _state(estimator):
    """What tells a fit from another."""
    return estimator._outputs(X).tolist(), repr(getattr(estimator, "classes_", None))


def _check_is_as_it_was(estimator, state):
    assert _state(estimator) == state
    assert (estimator.n_features_in_, estimator.image_shape_) == (192, (8, 8, 3))


@_cases(REFUSED)
def test_data_that_are_refused_leave_the_former_network_as_it_was(make, case):
    parameters, refused = case
    clf = make(max_epochs=2)
    before = _state(clf.fit(X, _labels(clf)))
    with pytest.raises(ValueError, match=r"NaN|inconsistent|'lr'"):
        refused(clf.set_params(**parameters))
    _check_is_as_it_was(clf, before)


@_cases(FAILING, classifier=FAILING_OF_LABELS, regressor=FAILING_OF_NUMBERS)
def test_a_fit_that_fails_leaves_the_former_network_or_none(make, case):
    """Never one with half of its attributes from one fit and half from another."""
    parameters, fail = case
    clf = make(max_epochs=2)
    before = _state(clf.fit(X, _labels(clf)))
    clf.set_params(**parameters)
    words = r"class|abacus|pool|zero|loss became|not numbers|continues with loss"
    with pytest.raises(ValueError, match=words):
        fail(clf)
    try:
        clf.predict(X)
    except NotFittedError:
        return
    _check_is_as_it_was(clf, before)


@each_estimator
def test_an_estimator_can_be_fitted_after_a_fit_that_failed(make):
    clf = make(max_epochs=2, random_state=3)
    for failing in (lambda: clf.fit(_with(np.nan), Y), lambda: clf.fit(X[:, 1:], Y[:5])):
        with pytest.raises(ValueError, match=r"NaN|inconsistent"):
            failing()
    assert_array_equal(clf.fit(X, Y)._outputs(X), clone(clf).fit(X, Y)._outputs(X))


CHANNELS = {
    "gray for color": (3, X[..., 0], ['convert("RGB")', "repeat"]),
    "gray for color, with an axis": (3, X[..., :1], ['convert("RGB")', "repeat"]),
    "color for gray": (1, X, ["X.mean(axis=-1)"]),
    "opacity for color": (3, np.concatenate([X, X[..., :1]], axis=-1), ["X[..., :3]"]),
    "five for color": (3, np.repeat(X[..., :1], 5, axis=-1), ["same channels"]),
}


@pytest.mark.parametrize("case", CHANNELS)
def test_images_of_other_channels_are_told_how_to_get_them(case):
    n_channels, images, words = CHANNELS[case]
    clf = small_net(max_epochs=1).fit(X[..., :n_channels], Y)
    _raises(ValueError, [f"channels {n_channels}.", *words], clf.predict, images)


def test_a_single_gray_image_is_told_how_to_become_a_batch():
    clf = small_net(max_epochs=1).fit(X[..., 0], Y)
    words = ["X has 8 features", "expecting 64 features", "for a single image pass X[None]"]
    _raises(ValueError, words, clf.predict, X[0, ..., 0])
    assert clf.predict(X[0, ..., 0][None]).shape == (1,)


MIXED = {
    "list": lambda y: ["a", *y[1:].tolist()],
    "objects": lambda y: np.array(["a", *y[1:].tolist()], dtype=object),
    "text of the same number": lambda y: [str(y[0]), *y[1:].tolist()],
    "truth values": lambda y: [*(y[:-1] > 0).tolist(), "yes"],
}


@pytest.mark.parametrize("mix", MIXED.values(), ids=MIXED.keys())
def test_labels_of_different_types_are_refused(mix):
    words = ["labels of different types, such as", "Expected text only, or numbers only"]
    clf = small_net(max_epochs=1)
    _raises(ValueError, ["y holds", *words], clf.fit, X, mix(Y))
    _raises(ValueError, ["y holds", *words], clf.partial_fit, X, mix(Y))
    _raises(ValueError, ["y_val holds", *words], clf.fit, X, Y, X_val=X, y_val=mix(Y))


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("cache_dir", "a\0b"),
        ("checkpoint_dir", Path("a\0b")),
        ("callbacks", np.datetime64("NaT")),
        ("module", int),
        ("progressive_resizing", np.array("a")),
    ],
)
def test_strange_values_are_refused_by_the_name_of_the_parameter(parameter, value):
    _raises(ValueError, [parameter], small_net().set_params(**{parameter: value}).fit, X, Y)


def test_images_in_a_series_and_in_an_array_of_objects_are_read():
    objects = np.empty(60, object)
    objects[:] = list(X)
    expected = small_net(max_epochs=1).fit(X, Y).predict_proba(X)
    for given in (pd.Series(list(X)), objects, np.ma.masked_array(X)):
        assert_array_equal(small_net(max_epochs=1).fit(given, Y).predict_proba(given), expected)


def test_answers_that_are_no_table_are_refused():
    _raises(ValueError, ["y is no table", "stripes"], NETS["tasks"]().fit, X, np.zeros((60, 2, 2)))


@pytest.mark.parametrize(
    "y",
    [
        np.where(Y == 0, np.nan, Y),
        np.where(Y == 0, None, WORDS[Y]),
        pd.Series(pd.array(np.where(Y == 0, None, WORDS[Y]), dtype="string")),
        pd.Series(pd.Categorical(WORDS[Y])).mask(Y == 0),
        pd.DataFrame({"a": np.where(Y == 0, None, WORDS[Y]), "b": WORDS[Y]}),
    ],
    ids=["float", "object", "string", "categories", "columns"],
)
def test_missing_labels_are_found_in_every_form(y):
    missing = np.flatnonzero(pd.DataFrame(y).isna().any(axis=1))
    message = rf"y has {len(missing)} missing .*, the first in row {missing[0]}\."
    with pytest.raises(ValueError, match=message):
        small_net().fit(X, y)
