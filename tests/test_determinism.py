"""One random_state decides everything random, and nothing else is touched."""

import hashlib
import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from _helpers import small_blocks, small_net, stripes
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import cross_val_predict
from torch import nn

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def data():
    return stripes(120)


# Something random of every kind.
RANDOM = {
    "augment": ("flip", "shift"),
    "dropout": (0.1, 0.2),
    "early_stopping": True,
    "max_epochs": 3,
}


class OwnNetwork(nn.Module):
    """Draws its initial weights and noise in training as any torch module does."""

    def __init__(self, n_channels, n_classes):
        super().__init__()
        self.convolution = nn.Conv2d(n_channels, 6, 3)
        self.output = nn.Linear(6, n_classes)

    def forward(self, images):
        features = self.convolution(images).relu().mean((2, 3))
        if self.training:
            features = features + 0.1 * torch.randn_like(features)
        return self.output(features)


def brighten(images, generator):
    factor = torch.rand(len(images), 1, 1, 1, generator=generator) + 0.5
    return (images * factor).clamp(0, 255).to(images.dtype)


KINDS = {
    "plain": {"max_epochs": 3},
    "everything random": RANDOM,
    "all augmentations": {
        **{name: value for name, value in RANDOM.items() if name != "dropout"},
        "augment": ("flip", "shift", "cutout", "color", "mixup", "cutmix"),
        "progressive_resizing": (0.75, 1),
        "module": small_blocks(
            filters=(8, 16),
            normalization="batch",
            stem="whitening",
            dropout=RANDOM["dropout"],
            init="dirac",
        ),
    },
    "muon": {**RANDOM, "optimizer": "muon"},
    "adam": {**RANDOM, "optimizer": "adam", "lr": 0.01},
    "residual": {**RANDOM, "residual": True, "convs_per_block": 2},
    "dense": {**RANDOM, "global_pool": None, "dense_units": 16, "lr": 0.02},
    "bfloat16": {**RANDOM, "precision": "bfloat16"},
    "own network": {**RANDOM, "module": OwnNetwork, "dropout": 0.0},
    "own augmentation": {**RANDOM, "augment": brighten},
}


@pytest.mark.parametrize("parameters", KINDS.values(), ids=KINDS)
def test_the_same_seed_gives_the_same_network(parameters, data):
    X, y = data
    first, again, other = (_fit(parameters, seed, X, y) for seed in (0, 0, 1))
    assert_array_equal(again.predict_proba(X), first.predict_proba(X))
    figures = ["train_loss", "valid_loss", "valid_accuracy", "lr"]
    assert_array_equal(again.history_[figures], first.history_[figures])
    assert np.abs(other.predict_proba(X) - first.predict_proba(X)).max() > 1e-3
    assert torch.equal(_weights(again), _weights(first))
    assert not torch.equal(_weights(other), _weights(first))


def _fit(parameters, seed, X, y):
    return small_net(**{**parameters, "random_state": seed}).fit(X, y)


def _weights(clf):
    return torch.cat([value.flatten().double() for value in clf.module_.state_dict().values()])


@pytest.mark.parametrize("part", ["weights", "order", "augment", "dropout", "split"])
def test_the_seed_decides_every_part(part, data):
    X, y = data
    options = {
        # An unaltered network, all images in a single step, nothing else drawn.
        "weights": {"lr": 1e-30},
        "order": {},
        "augment": {"augment": "flip"},
        "dropout": {"dropout": 0.5},
        "split": {"early_stopping": True, "validation_fraction": 0.3},
    }[part]
    first, again, other = (
        _weights(_fit({"max_epochs": 2, **options}, seed, X, y)) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("method", ["warm fit", "partial_fit"])
def test_going_on_is_as_reproducible_as_beginning(method, data):
    X, y = data
    one, two = (small_net(**RANDOM, warm_start=True) for _ in range(2))
    for clf in (one, two):
        for _ in range(3):
            clf.partial_fit(X, y) if method == "partial_fit" else clf.fit(X, y)
    assert_array_equal(one.predict_proba(X), two.predict_proba(X))


def test_each_part_of_a_fit_that_goes_on_draws_again(data):
    """Or each call would see the images in the same order, with the same augmentation."""
    X, y = data
    seen = []

    def look(images, generator):
        seen.append(images.clone())
        return images

    clf = small_net(augment=look, batch_size=120)
    clf.partial_fit(X, y).partial_fit(X, y)
    assert len(seen) == 2
    assert not torch.equal(*seen)


def test_warm_starts_hold_out_the_same_images(data):
    """Images once trained on say nothing about the generalisation of what goes on from there."""
    X, y = data
    shown = []

    def look(images, generator):
        shown.append({image.numpy().tobytes() for image in images})
        return images

    clf = small_net(augment=look, batch_size=120, max_epochs=1, early_stopping=True)
    clf.set_params(warm_start=True).fit(X, y).fit(X, y)
    assert len(shown) == 2
    assert shown[0] == shown[1]
    assert len(shown[0]) == 108


# ---------------------------------------------------------------- kinds of random_state


def test_a_random_state_instance_counts_as_its_seed(data):
    X, y = data
    expected = _fit(RANDOM, 5, X, y)
    found = _fit(RANDOM, np.random.RandomState(5), X, y)
    assert_array_equal(found.predict_proba(X), expected.predict_proba(X))
    assert torch.equal(_weights(found), _weights(expected))


def test_a_random_state_instance_moves_on(data):
    X, y = data
    rng = np.random.RandomState(5)
    first, second = (_fit(RANDOM, rng, X, y).predict_proba(X) for _ in range(2))
    assert not np.array_equal(first, second)


def test_none_is_another_network_each_time(data):
    X, y = data
    fits = []
    for _ in range(2):
        np.random.seed(0)
        torch.manual_seed(0)
        fits.append(_fit(RANDOM, None, X, y).predict_proba(X))
    assert not np.array_equal(*fits)


def test_the_global_random_states_decide_nothing(data):
    X, y = data

    def fitted(seed):
        before = np.random.get_state(), random.getstate()
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                np.random.seed(seed)
                random.seed(seed)
                return _weights(_fit(RANDOM, 0, X, y))
        finally:
            np.random.set_state(before[0])
            random.setstate(before[1])

    assert torch.equal(fitted(1), fitted(2))


# ---------------------------------------------------------------- what is left alone


def _settings():
    return {
        "threads": torch.get_num_threads(),
        "grad": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "dtype": torch.get_default_dtype(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "environment": dict(os.environ),
    }


def _states():
    kind, keys, *rest = np.random.get_state()
    return kind, keys.tolist(), rest, torch.get_rng_state().tolist(), random.getstate()


ACTIONS = {
    "fit": lambda clf, X, y: clone(clf).fit(X, y),
    "failed fit": lambda clf, X, y: _failed(clone(clf).set_params(lr=1e8), X, y),
    "warm fit": lambda clf, X, y: clf.fit(X, y),
    "partial_fit": lambda clf, X, y: clf.partial_fit(X, y),
    "predict": lambda clf, X, y: clf.predict(X),
    "predict_proba": lambda clf, X, y: clf.predict_proba(X),
    "transform": lambda clf, X, y: clf.transform(X),
    "summary": lambda clf, X, y: clf.summary((8, 8, 3), n_classes=4),
    "summary of the fitted network": lambda clf, X, y: clf.summary(),
}


def _failed(clf, X, y):
    with pytest.raises(ValueError, match="batch_size=1"):
        clf.set_params(batch_size=1).fit(X, y)
    with pytest.raises(ValueError, match="loss became"):
        clf.set_params(batch_size=16, normalization=None, dropout=0.0, max_epochs=50).fit(X, y)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    "seed", [0, None, np.random.RandomState(3)], ids=["seed", "no seed", "instance"]
)
def test_the_callers_random_state_and_settings_are_left_alone(action, seed, data):
    X, y = data
    clf = small_net(**RANDOM, warm_start=True).set_params(random_state=seed).fit(X, y)
    states, settings = _states(), _settings()
    ACTIONS[action](clf, X, y)
    assert _states() == states
    assert _settings() == settings


def test_the_callers_threads_do_not_change_the_network(data):
    X, y = data
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(_fit(RANDOM, 0, X, y).predict_proba(X))
    finally:
        torch.set_num_threads(before)
    assert_array_equal(*found)


# ---------------------------------------------------------------- processes and threads

_SCRIPT = f"""
import sys
sys.path.insert(0, {str(HERE)!r})
from test_determinism import digest
print(digest())
"""


def digest():
    """Fit, predict, and condense what came out to a word."""
    X, y = stripes(120)
    clf = small_net(**RANDOM).fit(X, y)
    return hashlib.sha256(clf.predict_proba(X).tobytes()).hexdigest()


def test_another_process_gives_the_same_network():
    environment = {**os.environ, "PYTHONHASHSEED": "123"}
    run = subprocess.run(
        [sys.executable, "-c", _SCRIPT], capture_output=True, text=True, env=environment
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == digest()


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_two_fits_at_once_come_out_as_one_after_the_other(backend, data):
    X, y = data
    states = _states()
    with joblib.parallel_config(backend):
        one, two = (
            cross_val_predict(
                small_net(**RANDOM), X, y, cv=4, method="predict_proba", n_jobs=n_jobs
            )
            for n_jobs in (1, 2)
        )
    assert_array_equal(two, one)
    assert _states() == states


@pytest.mark.parametrize("method", ["predict_proba", "predict", "transform"])
@pytest.mark.parametrize("flips", [False, True], ids=["plain", "flips"])
def test_threads_that_predict_at_once_get_what_one_gets(method, flips, data):
    X, y = data
    clf = _fit({**RANDOM, "test_time_flip": flips}, 0, X, y)
    parts = [X[start : start + 20] for start in range(0, 100, 10)]
    expected = [getattr(clf, method)(part) for part in parts]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(getattr(clf, method), parts * 8))
    for one, other in zip(found, expected * 8, strict=True):
        assert_array_equal(one, other)


# Large enough to be computed by several threads, whose number shows in the last bits.
_LARGE = """
import numpy as np
from sklearn.model_selection import cross_val_predict
from skcnn import ConvNetClassifier

rng = np.random.RandomState(0)
X = rng.randint(256, size=(256, 32, 32, 3)).astype(np.uint8)
y = np.arange(256) % 4
clf = ConvNetClassifier(
    (32, 64, 128, 256),
    residual=False,
    normalization=None,
    global_pool=None,
    dense_units=512,
    dropout=0.5,
    max_epochs=1,
    batch_size=128,
    lr=0.01,
    device="cpu",
    random_state=0,
)
assert clf.summary((32, 32, 3), n_classes=4).multiply_adds * clf.batch_size > 64_000_000
if __name__ == "__main__":
    one, two = (
        cross_val_predict(clf, X, y, cv=2, method="predict_proba", n_jobs=n_jobs)
        for n_jobs in (1, 2)
    )
    print(np.array_equal(one, two), np.isfinite(one).all(), one.std() > 0)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "threads",
    [
        pytest.param({}, id="as many as there are"),
        pytest.param({"SKCNN_NUM_THREADS": "3"}, id="three"),
    ],
)
def test_large_networks_come_out_the_same_in_two_processes(threads, tmp_path):
    script = tmp_path / "large.py"
    script.write_text(_LARGE)
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("SKCNN_NUM_THREADS", "OMP_NUM_THREADS")
    }
    run = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, env={**environment, **threads}
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["True"] * 3
