"""make_organisms: shapes, balance, randomness, and how hard the images are."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcnn.datasets import _organisms, make_organisms


@settings(max_examples=25, deadline=None)
@given(
    n_samples=st.integers(1, 60),
    n_classes=st.integers(2, 20),
    image_size=st.integers(8, 40),
    difficulty=st.floats(0, 1),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_parameters(n_samples, n_classes, image_size, difficulty, seed):
    parameters = {
        "n_samples": n_samples,
        "n_classes": n_classes,
        "image_size": image_size,
        "difficulty": difficulty,
    }
    before = np.random.get_state()[1].copy()
    X, y = make_organisms(**parameters, random_state=seed)
    assert X.shape == (n_samples, image_size, image_size, 3)
    assert X.dtype == np.uint8
    assert X.flags.c_contiguous
    assert y.shape == (n_samples,)
    assert y.dtype == np.int64
    counts = np.bincount(y, minlength=n_classes)
    assert len(counts) == n_classes
    assert counts.max() - counts.min() <= 1
    # An image without a body would be nearly flat.
    assert X.reshape(n_samples, -1).std(axis=1).min() > 3
    X_again, y_again = make_organisms(**parameters, random_state=seed)
    assert X.tobytes() == X_again.tobytes()
    assert y.tobytes() == y_again.tobytes()
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_defaults():
    X, y = make_organisms(random_state=0)
    assert X.shape == (1000, 32, 32, 3)
    assert np.bincount(y).tolist() == [200] * 5


def test_seeds_differ_and_generators_go_on():
    first = make_organisms(20, random_state=0)
    second = make_organisms(20, random_state=1)
    assert first[0].tobytes() != second[0].tobytes()
    rng = np.random.RandomState(0)
    assert make_organisms(20, random_state=rng)[0].tobytes() == first[0].tobytes()
    assert make_organisms(20, random_state=rng)[0].tobytes() != first[0].tobytes()


def test_no_seed_means_the_global_state_as_in_scikit_learn():
    state = np.random.get_state()
    try:
        np.random.seed(7)
        unseeded = make_organisms(10)
    finally:
        np.random.set_state(state)
    assert unseeded[0].tobytes() == make_organisms(10, random_state=7)[0].tobytes()


def test_classes_are_shuffled():
    y = make_organisms(100, random_state=0)[1]
    assert y.tolist() != sorted(y)
    assert y.tolist() != (np.arange(100) % 5).tolist()


def test_no_image_is_repeated_between_or_within_chunks(monkeypatch):
    monkeypatch.setattr(_organisms, "CHUNK_PIXELS", 16 * 16 * 4)
    X, _ = make_organisms(30, image_size=16, random_state=0)
    assert len({image.tobytes() for image in X}) == 30


def _brightness(X):
    """Flat gray images, background at 0, dark bodies turned bright."""
    gray = X.mean(axis=3).reshape(len(X), -1)
    gray -= gray[:, :1]
    return gray * np.sign(gray.sum(axis=1, keepdims=True))


def _portraits(n_classes, seed):
    """Mean image of each class without clutter and nearly without pose."""
    X, y = make_organisms(
        60 * n_classes, n_classes=n_classes, image_size=24, difficulty=0, random_state=seed
    )
    gray = _brightness(X)
    return np.stack([gray[y == k].mean(axis=0) for k in range(n_classes)])


def test_a_class_number_means_the_same_organism_in_every_set():
    few, many = _portraits(6, seed=0), _portraits(20, seed=1)
    similarity = np.corrcoef(few, many)[:6, 6:]
    assert similarity.argmax(axis=1).tolist() == list(range(6))


def test_all_organisms_look_different():
    similarity = np.corrcoef(_portraits(20, seed=0), _portraits(20, seed=1))[:20, 20:]
    assert similarity.argmax(axis=1).tolist() == list(range(20))


def test_logistic_regression_on_pixels_falls_short():
    X, y = make_organisms(800, random_state=0)
    X_test, y_test = make_organisms(400, random_state=1)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, max_iter=1000))
    model.fit(X.reshape(len(X), -1), y)
    assert model.score(X_test.reshape(len(X_test), -1), y_test) < 0.5


def test_difficulty_takes_images_away_from_the_portraits():
    portraits, shares = _portraits(5, seed=0), []
    for difficulty in (0, 0.3, 0.6, 1):
        X, y = make_organisms(300, image_size=24, difficulty=difficulty, random_state=1)
        similarity = np.corrcoef(_brightness(X), portraits)[:300, 300:]
        shares.append((similarity.argmax(axis=1) == y).mean())
    assert shares[0] > 0.9
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] < 0.5


def test_mean_color_says_nothing_about_the_class():
    X, y = make_organisms(1000, random_state=0)
    X_test, y_test = make_organisms(500, random_state=1)
    colors, colors_test = X.mean(axis=(1, 2)), X_test.mean(axis=(1, 2))
    model = make_pipeline(StandardScaler(), LogisticRegression())
    assert model.fit(colors, y).score(colors_test, y_test) < 0.3


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_samples": 0}, "'n_samples' parameter of make_organisms must be an int in the range"),
        ({"n_samples": 2.5}, "Got 2.5 instead"),
        ({"n_classes": 1}, "'n_classes' parameter"),
        ({"n_classes": 21}, "in the range [2, 20]. Got 21"),
        ({"image_size": 7}, "'image_size' parameter"),
        ({"image_size": (32, 32)}, "Got (32, 32) instead"),
        ({"difficulty": -0.1}, "in the range [0.0, 1.0]. Got -0.1"),
        ({"difficulty": float("nan")}, "Got nan"),
        ({"difficulty": "hard"}, "Got 'hard'"),
        ({"random_state": "seed"}, "'random_state' parameter"),
    ],
)
def test_wrong_parameters(parameters, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make_organisms(**parameters)
