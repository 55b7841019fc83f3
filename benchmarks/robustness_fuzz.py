"""Any parameters and any data: an estimator is fitted, or says what is wrong with them.

`cases` draws an estimator, changes to its parameters, images and answers, sound or not; `try_case`
fits it, and raises a FaultError unless what comes is a fitted estimator that predicts, or an error
as scikit-learn has them. What is not tried: parameters with which a fit takes long.
"""

import contextlib
import copy
import io
import math
import os
import re
import signal
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from sklearn.base import is_classifier
from sklearn.exceptions import NotFittedError
from skorch.callbacks import EpochTimer, LRScheduler
from torch import nn

from skcnn import (
    ConvNetClassifier,
    ConvNetMultiTask,
    ConvNetRegressor,
    ConvNetSegmenter,
    FeatureExtractor,
    ImageLoader,
)
from skcnn.augmentation import AUGMENTATIONS, Flip
from skcnn.networks import CompactTransformer, ConvBlocks, UNet
from skcnn.networks._blocks import ACTIVATIONS
from skcnn.optimizers import Muon

# Nothing here takes so many seconds unless it hangs.
SECONDS = 120
# What the user's own code says is said to the user.
BROKEN = "no such layer"
TASKS = {"kind": "classification", "count": "poisson", "size": "squared_error"}


class FaultError(AssertionError):
    """An outcome that must not be."""


# ---------------------------------------------------------------- parameters


def own_network(n_channels, n_outputs):
    """A network of a user."""
    layers = nn.Conv2d(n_channels, 4, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return nn.Sequential(*layers, nn.Linear(4, n_outputs))


def own_maps(n_channels, n_outputs):
    """A network of a user for masks."""
    return nn.Conv2d(n_channels, n_outputs, 3, padding=1)


def broken_network(n_channels, n_outputs):
    """A network of a user that cannot be built."""
    raise ValueError(BROKEN)


def one_blind(batch, generator):
    """An augmentation of a user that forgets some of the images."""
    return batch[:1]


# Values that are sound by themselves. Some of them contradict others, or the images.
SOUND = {
    "filters": [(4,), (4, 6), 5, [3], "auto", (), np.array([4, 4]), np.int64(4), 4.0],
    "convs_per_block": [1, 2, (2,), (1, 2)],
    "kernel_size": [1, 2, 3, 5, (3,), 99],
    "pool": ["max", "average", None, ("max",), (None, "max")],
    "pool_size": [1, 2, 3, 50],
    "activation": list(ACTIVATIONS),
    "normalization": ["batch", "ghost", None, ("batch",)],
    "residual": [True, False, (True,)],
    "dense_units": [None, 4, (4, 3), []],
    "dropout": [0, 0.5, (0.1,), 0.999, (0.1, 0.2)],
    "global_pool": ["average", "max", "average_max", None, "sum", "auto"],
    "module": [
        None,
        own_network,
        own_maps,
        broken_network,
        ConvBlocks(filters=(4,)),
        ConvBlocks(filters=(4,), stem="whitening", symmetry="mirror"),
        ConvBlocks(filters=4, global_pool="sum"),
        CompactTransformer(width=8, depth=1, heads=2),
        UNet(),
        UNet(ConvBlocks(filters=(4, 4)), decoder_filters=4),
        nn.Linear(3, 3),
        nn.Conv2d,
    ],
    "image_shape": [None, (8, 8, 3), (8, 8), [6, 6], (4, 4, 1)],
    "data_format": ["auto", "channels_last", "channels_first"],
    "resize": ["crop", "pad", "stretch"],
    "color": ["auto", "rgb", "gray"],
    "on_error": ["raise", "skip"],
    "flatten": [True, False],
    "cache_dir": [None, "cache", Path("cache", "deeper")],
    "augment": ["auto", *AUGMENTATIONS, None, [], ("flip", "mixup"), Flip(), one_blind],
    "progressive_resizing": [None, (0.5, 1.0), (1.0,), [0.1], []],
    "test_time_flip": [True, False],
    "optimizer": [
        "muon",
        "sgd",
        "adamw",
        "rmsprop",
        Muon(),
        torch.optim.Adam,
        torch.optim.LBFGS,
        partial(torch.optim.SGD, momentum=0.9),
        partial(torch.optim.SGD, lr=0.1),
        partial(torch.optim.SGD, nonsense=1),
    ],
    "lr": [1e-3, 0.1, 10, 1e-30, np.float32(0.1), 1e30, 1e300],
    "bias_lr_factor": [1.0, 64, 1e-9, 1e200],
    "lr_schedule": ["onecycle", "cosine", None],
    "weight_decay": [0, 5e-4, 1.0, 1e30],
    "weight_averaging": [0, 0.5, 1],
    "label_smoothing": [0, 0.1, 0.999],
    "loss": ["squared_error", "absolute_error", "poisson", "gamma", "quantile"],
    "quantile": [None, 0, 0.5, 1],
    "max_epochs": [1, 2, np.int64(2), 1.0],
    "batch_size": ["auto", 1, 2, 7, 10**6, 2**70],
    "tasks": [TASKS, {"kind": "classification"}, {"size": "gamma", "kind": "classification"}],
    "task_weights": [None, {"kind": 2.0}, {"kind": 0}, {"unknown": 1}, {}],
    "class_weight": [
        None,
        "balanced",
        {0: 1.0, 1: 2.0},
        {"ant": 0.0},
        {"kind": "balanced"},
        {0: 0, 1: 0, 2: 0},
        [{0: 1.0}],
    ],
    "ignore_label": [None, 0, "ant", -1, np.nan],
    "early_stopping": [True, False],
    "validation_fraction": [0.1, 0.5, 0.99, 1e-9],
    "n_iter_no_change": [1, 10, 2**70],
    "tol": [0, 1e-4, 1e30],
    "warm_start": [True, False],
    "checkpoint_dir": [None, "checkpoints"],
    "callbacks": [None, [], [EpochTimer()], [("timer", EpochTimer)], [LRScheduler()]],
    "device": ["cpu", "auto", torch.device("cpu"), "cuda", "cuda:99", "meta"],
    "precision": ["auto", "float32", "bfloat16", "float16"],
    "compile": [False],
    "deterministic": [True, False],
    "random_state": [None, 0, 2**32 - 1, np.random.RandomState(0), np.int64(3)],
    "verbose": [0, False, True, 1],
    "backbone": [ConvBlocks(filters=4), CompactTransformer(width=8, depth=1, heads=2)],
}
# Values that suit hardly any parameter.
STRANGE = [
    *(None, -1, 0, 1.5, math.nan, math.inf, -math.inf, -(2**70), 1j, True, np.bool_(False)),
    *("", "nonsense", "é\x00", b"bytes", int, object(), len, math, range(3), slice(3)),
    *(
        (),
        [],
        {},
        [[]],
        [None],
        (math.nan,),
        {"a": 1},
        {None: None},
        {1},
        ("flip", 3),
        [{}],
        "NaN",
    ),
    *(np.array([]), np.array([[1, 2]]), np.array(None), np.array("a"), np.datetime64("NaT")),
    *(np.float64("nan"), np.int8(-1), pd.NA, pd.NaT, pd.Series([1, 2]), torch.tensor(1.0)),
    *(torch.tensor([]), ConvNetClassifier, ConvNetClassifier(), Flip, nn.Identity(), Path("x")),
]
# They would train for long, compile, or read what happens to be on the machine.
NOT_CHANGED = {"compile"}
NUMBERS = st.one_of(st.integers(-3, 9), st.floats(-2, 2), st.floats())
# Numbers of epochs, of filters and of pixels have to be small.
SMALL = st.one_of(st.integers(-3, 3), st.floats(-2, 2))
ANY_SIZE = {
    *("lr", "bias_lr_factor", "weight_decay", "weight_averaging", "label_smoothing", "dropout"),
    *("quantile", "validation_fraction", "tol", "n_iter_no_change", "batch_size", "random_state"),
}


@dataclass(frozen=True)
class Kind:
    """An estimator, the parameters that make it fast, and what its answers are."""

    make: type
    fast: dict[str, Any]
    answers: str


NET = {"filters": (4,), "max_epochs": 1, "device": "cpu", "precision": "float32"}
MASKS = {"module": UNet(ConvBlocks(filters=(4,)), decoder_filters=4), "max_epochs": 1}
KINDS = {
    "classifier": Kind(ConvNetClassifier, NET, "labels"),
    "regressor": Kind(ConvNetRegressor, NET, "numbers"),
    "questions": Kind(ConvNetMultiTask, {**NET, "tasks": TASKS}, "table"),
    "masks": Kind(ConvNetSegmenter, {**MASKS, "device": "cpu"}, "masks"),
    "features": Kind(
        FeatureExtractor, {"backbone": ConvBlocks(filters=4), "device": "cpu"}, "nothing"
    ),
    "loader": Kind(ImageLoader, {}, "nothing"),
}


def value_of(name):
    """A value of a parameter, sound or not."""
    sound = st.sampled_from(SOUND[name])
    return st.one_of(
        sound, sound, st.sampled_from(STRANGE), NUMBERS if name in ANY_SIZE else SMALL
    )


# ---------------------------------------------------------------- images and answers

DTYPES = ["u1", "u1", "u1", "f4", "f8", "i8", "i2", "f2", ">f4", ">u2", "?", "U3", "O", "c8"]
FORMS = [
    *("array", "array", "array", "list", "list of images", "tensor", "flat", "frame", "fortran"),
    *("strided", "read-only", "channels first", "series", "masked", "paths", "text", "3-D more"),
]
DAMAGES = [None, None, None, None, "nan", "inf", "huge", "negative", "constant", "none", "word"]
N_IMAGES = [24, 24, 24, 24, 30, 7, 3, 2, 1, 0]


@dataclass(frozen=True)
class Images:
    """How images are made, so that a case can be printed."""

    n: int
    shape: tuple[int, ...]
    dtype: str
    form: str
    damage: str | None

    def make(self, folder):
        random = np.random.default_rng(0)
        pixels = random.integers(256, size=(self.n, *self.shape))
        if self.form == "paths":
            return write_images(pixels, self.damage, folder)
        X = pixels.astype(self.dtype)
        X = spoil(X, self.damage) if X.size else X
        return FORM[self.form](X)


def spoil(X, damage):
    """Put a value into the images that does not belong there, where the type can hold it."""
    values = {"nan": math.nan, "inf": math.inf, "huge": 1e30, "negative": -5, "none": None}
    values |= {"word": "red"}
    if damage == "constant":
        X[:] = X.flat[0]
    elif damage is not None:
        X = X.astype(object) if damage in ("none", "word") else X
        with contextlib.suppress(ValueError, OverflowError), np.errstate(all="ignore"):
            X[len(X) // 2] = values[damage]
    return X


def write_images(pixels, damage, folder):
    """Files of images; some are missing or cut off."""
    from PIL import Image

    paths = []
    for number, image in enumerate(pixels.astype(np.uint8)):
        path = Path(folder, f"{number}.png")
        shown = np.resize(image, (*image.shape[:2], 3)) if image.ndim > 2 else image
        if shown.size:
            Image.fromarray(shown).save(path)
        paths.append(path)
    if damage is not None and paths:
        paths[0].write_bytes(b"no image")
    if damage == "none" and paths:
        paths[-1] = None
    return paths


def as_tensor(X):
    """A tensor, where torch has the type."""
    with contextlib.suppress(TypeError, ValueError):
        return torch.tensor(X)
    return X


def read_only(X):
    """An array that must not be written to."""
    X.setflags(write=False)
    return X


FORM = {
    "array": lambda X: X,
    "list": lambda X: X.tolist(),
    "list of images": list,
    "tensor": as_tensor,
    "flat": lambda X: X.reshape(len(X), -1) if X.size else X,
    "frame": lambda X: pd.DataFrame(X.reshape(len(X), -1) if X.size else np.empty((len(X), 0))),
    "fortran": np.asfortranarray,
    "strided": lambda X: np.repeat(X, 2, axis=0)[::2] if X.size else X,
    "read-only": read_only,
    "channels first": lambda X: np.moveaxis(X, -1, 1) if X.ndim > 1 else X,
    "series": lambda X: pd.Series(list(X)),
    "masked": lambda X: np.ma.masked_array(X),
    "text": lambda X: [f"{number}.png" for number in range(len(X))],
    "3-D more": lambda X: X[None],
}
SIDES = st.sampled_from([8, 8, 8, 6, 1, 2, 3, 12])
SHAPES = st.one_of(
    st.just((8, 8, 3)),
    st.tuples(SIDES, SIDES, st.sampled_from([3, 3, 1, 2, 4, 0, 7])),
    st.tuples(SIDES, SIDES),
    st.sampled_from([(8,), (0, 8, 3), (64,), (8, 8, 3, 1)]),
)
SOUND_IMAGES = Images(24, (8, 8, 3), "u1", "array", None)
IMAGES = st.one_of(
    st.just(SOUND_IMAGES),
    st.builds(Images, st.just(24), SHAPES, st.just("u1"), st.just("array"), st.none()),
    st.builds(
        Images,
        st.sampled_from(N_IMAGES),
        SHAPES,
        *map(st.sampled_from, (DTYPES, FORMS, DAMAGES)),
    ),
)

ANSWERS = [
    *("sound", "sound", "sound", "sound", "words", "floats", "one class", "each another", "bools"),
    *("short", "long", "empty", "none", "missing", "infinite", "negative", "huge", "columns"),
    *("one column", "3-D", "list", "series", "tensor", "categories", "dates", "mixed", "scalar"),
    *("one-hot", "rare", "objects", "other index", "read-only", "unsigned", "sparse"),
]


def answers(kind, name, n, shape):
    """Answers to n images, of the kind that an estimator takes, or changed."""
    y = np.arange(n) % 3
    if kind == "masks":
        y = (np.arange(n * math.prod(shape[:2])) % 3).reshape(n, *shape[:2])
    if kind == "table":
        y = np.c_[y, y, y + 0.5]
    return CHANGES[name](y)


def first_of_each(y):
    """One number for each image."""
    return y.reshape(len(y), -1)[:, 0].astype(int) if y.size else np.empty(0, int)


def missing(y):
    """The same as floats without the first."""
    y = y.astype(float)
    y.flat[:1] = math.nan
    return y


def infinite(y):
    """The same as floats with infinity in it."""
    y = y.astype(float)
    y.flat[:1] = math.inf
    return y


def sparse(y):
    """A sparse matrix of the labels."""
    from scipy.sparse import csr_array

    return csr_array(y.reshape(len(y), -1) if y.size else np.empty((0, 3)))


WORDS = np.array(["ant", "bee", "fly"])
CHANGES = {
    "sound": lambda y: y,
    "words": lambda y: WORDS[y.astype(int)],
    "floats": lambda y: y + 0.25,
    "one class": lambda y: y * 0,
    "each another": lambda y: np.arange(y.size).reshape(y.shape),
    "bools": lambda y: y == 1,
    "short": lambda y: y[:-1],
    "long": lambda y: np.concatenate([y, y]),
    "empty": lambda y: y[:0],
    "none": lambda y: None,
    "missing": missing,
    "infinite": infinite,
    "negative": lambda y: -y,
    "huge": lambda y: y * 1e300,
    "columns": lambda y: np.stack([y, y], axis=-1),
    "one column": lambda y: y[..., None],
    "3-D": lambda y: y.reshape(*y.shape, 1, 1),
    "list": lambda y: y.tolist(),
    "series": lambda y: pd.Series(list(y)),
    "tensor": lambda y: torch.tensor(y),
    "categories": lambda y: pd.Series(WORDS[first_of_each(y)]).astype("category"),
    "dates": lambda y: y.astype("datetime64[D]") if y.dtype.kind == "i" else y,
    "mixed": lambda y: np.where(y == 0, "ant", y.astype(object)),
    "scalar": lambda y: 3,
    "one-hot": lambda y: np.eye(3, dtype=int)[y.astype(int)],
    "rare": lambda y: np.where(np.arange(len(y)) == 0, 1, 0) if y.ndim == 1 else y,
    "objects": lambda y: y.astype(object),
    "other index": lambda y: pd.Series(list(y), index=range(5, 5 + len(y))),
    "read-only": lambda y: read_only(y),
    "unsigned": lambda y: y.astype(np.uint8),
    "sparse": sparse,
}
BESIDE = {
    None: lambda n, X, y: {},
    "weights": lambda n, X, y: {"sample_weight": np.linspace(0, 2, n)},
    "zero weights": lambda n, X, y: {"sample_weight": np.zeros(n)},
    "negative weights": lambda n, X, y: {"sample_weight": -np.ones(n)},
    "short weights": lambda n, X, y: {"sample_weight": [1.0]},
    "words as weights": lambda n, X, y: {"sample_weight": ["a"] * n},
    "validation": lambda n, X, y: {"X_val": X, "y_val": y},
    "half a validation": lambda n, X, y: {"X_val": X},
    "groups": lambda n, X, y: {"groups": np.arange(n) % 2},
    "one group": lambda n, X, y: {"groups": np.zeros(n)},
    "short groups": lambda n, X, y: {"groups": [1]},
}


@dataclass(frozen=True)
class Case:
    """An estimator, its data, and what is to be fitted before, if anything."""

    kind: str
    parameters: dict[str, Any]
    images: Images
    answers: str
    beside: str | None
    again: bool


@st.composite
def cases(draw):
    """Draw a case: most have something that is not as it should be."""
    kind = draw(st.sampled_from(["classifier", "regressor", "questions", "masks"] * 2 + [*KINDS]))
    names = signature(KINDS[kind].make).parameters.keys() - NOT_CHANGED
    chosen = draw(st.lists(st.sampled_from(sorted(names)), max_size=4, unique=True))
    images = draw(IMAGES)
    if kind == "loader" and draw(st.sampled_from([True, True, False])):
        images = replace(images, form="paths")
    return Case(
        kind,
        {name: draw(value_of(name)) for name in chosen},
        images,
        draw(st.one_of(st.just("sound"), st.sampled_from(ANSWERS))),
        draw(st.one_of(st.none(), st.none(), st.sampled_from([*BESIDE]))),
        draw(st.sampled_from([False, False, False, True])),
    )


# ---------------------------------------------------------------- what comes out

# How scikit-learn, numpy and pandas name what is wrong with data, without "X" or "y".
OF_DATA = [
    *("sample(s)", "feature(s)", "Expected 2D array", "Found array with dim", "Complex data"),
    *("could not convert string to float", "inconsistent numbers of samples", "Sparse data"),
    *("Unknown label type", "inhomogeneous shape", "Input contains", "sample_weight", "X_val"),
    *("y_val", "groups", "classes", "masks", "images", "labels", "Sample weights"),
    *("arrays of bytes/strings", "Expected a 2-dimensional container"),
]
ERRORS = (ValueError, TypeError)


@contextlib.contextmanager
def time_limit(seconds):
    """Raise an error where something takes longer; in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number, frame):
        raise FaultError(f"it took longer than {seconds} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def require(holds, what):
    """Raise a FaultError unless something holds."""
    if not holds:
        raise FaultError(what)


def sound_images(kind):
    """Images that each estimator of a kind takes."""
    return replace(SOUND_IMAGES, form="paths") if kind == "loader" else SOUND_IMAGES


def check_error(error, case, known):
    """Whether an error is one that scikit-learn users expect, and names what is wrong."""
    message = str(error)
    shown = f"{type(error).__name__}: {message[:500]}"
    files = {"cache_dir", "checkpoint_dir"} & case.parameters.keys() or case.images.form == "paths"
    kinds = (*ERRORS, MemoryError, *([OSError] if files else []))
    require(isinstance(error, kinds), f"an error of another kind: {shown}")
    sound = case.images == sound_images(case.kind)
    only_parameters = sound and case.answers == "sound" and case.beside is None
    # These parameters say how X is read, and their errors may be about X and y.
    reads = {"data_format", "image_shape"} & case.parameters.keys()
    names = [*known] if only_parameters and not reads else [*known, "X", "y"]
    named = any(
        re.search(rf"(?<![A-Za-z_]){re.escape(name)}(?![A-Za-z])", message) for name in names
    )
    if case.parameters.get("module") is broken_network and message == BROKEN:
        return
    of_data = any(words in message for words in OF_DATA) and not only_parameters
    require(named or of_data, f"an error that does not say what is wrong: {shown}")


def check_fitted(estimator, X, n):
    """Whether a fitted estimator predicts numbers that make sense."""
    if isinstance(estimator, FeatureExtractor | ImageLoader):
        try:
            require(len(estimator.transform(X)) == n, "as many rows as images")
        except ValueError as error:
            # They learn nothing from the images, so that fit need not read files.
            require("of X cannot be read" in str(error), f"transform: {error}")
        return
    if isinstance(estimator, ConvNetSegmenter) and estimator.image_shape is not None:
        # It learned from pieces of this size; its own network may take no other.
        X = X[: len(X)] if np.shape(X)[1:3] == estimator.image_shape_[:2] else None
    if X is None:
        return
    predicted = estimator.predict(X)
    require(len(predicted) == n, "as many predictions as images")
    if hasattr(estimator, "predict_proba") and is_classifier(estimator):
        proba = estimator.predict_proba(X)
        for each in proba if isinstance(proba, list) else [proba]:
            skips = estimator.on_error == "skip"
            require(bool(np.isfinite(each).all()) or skips, "finite probabilities")
    if len(getattr(estimator, "loss_curve_", [])) != getattr(estimator, "n_iter_", 0):
        raise FaultError("a loss for each epoch")


def state_of(estimator):
    """What a failed fit must leave as it was."""
    return dict(vars(estimator))


def sound_fit(case, folder):
    """An estimator that is fitted to sound data, its predictions of them, and the data."""
    kind = KINDS[case.kind]
    images = sound_images(case.kind)
    X = images.make(folder)
    estimator = kind.make(**copy.deepcopy(kind.fast))
    y = None if kind.answers == "nothing" else answers(kind.answers, "sound", 24, images.shape)
    return estimator.fit(X, y), X


def give(estimator, X):
    """What an estimator makes of images."""
    return np.asarray((getattr(estimator, "predict", None) or estimator.transform)(X))


def try_case(case):
    """Fit the estimator of a case: "fitted" or "refused", and else a FaultError."""
    kind = KINDS[case.kind]
    before = os.getcwd()
    with (
        tempfile.TemporaryDirectory() as folder,
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        time_limit(SECONDS),
    ):
        warnings.simplefilter("ignore")
        os.chdir(folder)
        try:
            return _try_case(case, kind, folder)
        except FaultError:
            raise
        except Exception as error:
            where = "".join(traceback.format_tb(error.__traceback__)[-3:])
            raise FaultError(f"{type(error).__name__}: {error}\n{where}") from error
        finally:
            os.chdir(before)


def _try_case(case, kind, folder):
    given = {**copy.deepcopy(kind.fast), **case.parameters}
    if case.again:
        estimator, X_before = sound_fit(case, folder)
        old, expected = estimator.get_params(deep=False), give(estimator, X_before)
        changes = case.parameters
        for name, value in changes.items():
            setattr(estimator, name, value)
    else:
        estimator = kind.make(**given)
    n = case.images.n
    # Files of the sound images stay.
    again = Path(folder, "again")
    again.mkdir()
    X = case.images.make(again)
    shape = case.images.shape
    y = None if kind.answers == "nothing" else answers(kind.answers, case.answers, n, shape)
    beside = {} if kind.answers == "nothing" else BESIDE[case.beside](n, X, y)
    # An error about a specification names its parameters.
    specs = [ConvBlocks(), UNet(), CompactTransformer(), estimator]
    known = {name for spec in specs for name in spec.get_params(deep=False)} | {"source"}
    state = state_of(estimator)
    try:
        estimator.fit(X, y, **beside)
    except FaultError:
        raise
    except Exception as error:
        check_error(error, case, known)
        refused = True
    else:
        refused = False
    changed = [n for n in given if vars(estimator)[n] is not state[n]]
    require(not changed, f"fit changed the parameters {changed}")
    if not refused:
        n_rows = len(X) if hasattr(X, "__len__") else n
        check_fitted(estimator, X, n_rows)
        return "fitted"
    if case.again:
        for name, value in old.items():
            setattr(estimator, name, value)
        require(np.array_equal(give(estimator, X_before), expected), "the earlier fit as it was")
        return "refused"
    learned = [n for n in vars(estimator) if n.endswith("_") and not n.startswith("_")]
    require(not learned, f"a refused fit left {learned}")
    try:
        give(estimator, X)
    except NotFittedError:
        return "refused"
    raise FaultError("a refused fit that predicts")


def fuzz(n_examples, start=0):
    """Try many cases, and count what came out; what must not be is printed."""
    outcomes, by_kind, faults = Counter(), {}, []
    began = time.perf_counter()

    @seed(start)
    @settings(
        max_examples=n_examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases())
    def each(case):
        try:
            outcome = try_case(case)
        except FaultError as fault:
            outcome = "other"
            faults.append(f"{case}\n    {fault}")
            print(faults[-1], flush=True)
        outcomes[outcome] += 1
        by_kind.setdefault(KINDS[case.kind].make.__name__, Counter())[outcome] += 1

    each()
    return {
        "tried": sum(outcomes.values()),
        **{name: outcomes[name] for name in ("fitted", "refused", "other")},
        "by estimator": {name: dict(by_kind[name]) for name in sorted(by_kind)},
        "seconds": time.perf_counter() - began,
    }
