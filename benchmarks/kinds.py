"""Images of several kinds that settings are compared on, most a thousand or so of each.

Each function returns X_train, X_held_out, y_train, y_held_out.
"""

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.nn.functional import interpolate

from skcnn.datasets import fetch_cifar100, make_organisms

SPLIT_SEED = 0


def all_photographs(data):
    """Real photographs: all of the training images."""
    X, y = fetch_cifar100(categories="ecology", data_home=data, return_X_y=True)
    return train_test_split(X, y, test_size=0.1, stratify=y, random_state=SPLIT_SEED)


def few_photographs(data, n_training=500, n_held_out=None):
    """Fifty photographs each of ten categories; scored on the 450 others of each."""
    X, y = fetch_cifar100(categories="ecology", data_home=data, return_X_y=True)
    some = np.isin(y, np.unique(y)[::6][:10])
    return train_test_split(
        X[some],
        y[some],
        train_size=n_training,
        test_size=n_held_out,
        stratify=y[some],
        random_state=SPLIT_SEED,
    )


def photographs(data):
    """Real photographs: 1,000 of ten categories; 2,000 others are scored."""
    return few_photographs(data, n_training=1_000, n_held_out=2_000)


def digits(data):
    """Handwritten digits, 8x8, which no augmentation may turn over."""
    X, y = load_digits(return_X_y=True)
    return train_test_split(X, y, stratify=y, random_state=SPLIT_SEED)


def few_organisms(data, image_size):
    """Made-up organisms that are hard to tell apart: 1,400 in color."""
    X, y = make_organisms(
        n_samples=2_000, n_classes=10, image_size=image_size, difficulty=0.9, random_state=0
    )
    return train_test_split(X, y, test_size=0.3, stratify=y, random_state=SPLIT_SEED)


def organisms(data):
    """Made-up organisms in color that are hard to tell apart."""
    X, y = make_organisms(
        n_samples=4_000, n_classes=10, image_size=32, difficulty=0.9, random_state=0
    )
    return split(X, y)


def plankton(data):
    """Gray organisms of many sizes on a black ground, as instruments cut out plankton."""
    X, y = make_organisms(
        n_samples=4_000, n_classes=8, image_size=28, difficulty=0.8, random_state=1
    )
    side = X.shape[1]
    gray = 255 - X.mean(axis=-1)
    crops = np.zeros((len(X), side, side), dtype=np.uint8)
    for crop, image, size in zip(crops, gray, np.random.default_rng(0).integers(12, 29, len(X))):
        pixels = torch.from_numpy(image)[None, None]
        small = interpolate(pixels, (int(size), int(size)), mode="area")[0, 0].numpy()
        start = (side - size) // 2
        crop[start : start + size, start : start + size] = small
    return split(crops, y)


def textures(data):
    """Float textures whose values lie between about 0.25 and 0.35; classes differ in grain."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(0)
    y = np.arange(2_000) % 6
    grain = [(0.4 + 0.15 * (label % 3), 0.4 + 0.2 * (label // 3)) for label in range(6)]
    X = np.stack([gaussian_filter(rng.standard_normal((20, 20)), grain[label]) for label in y])
    contrast = rng.uniform(0.5, 1.5, size=(len(X), 1, 1))
    X = 0.3 + 0.01 * contrast * X / X.std(axis=(1, 2), keepdims=True)
    return split(X.astype(np.float32), y)


def split(X, y):
    """1,000 images to train on, and the others to score."""
    return train_test_split(X, y, train_size=1_000, stratify=y, random_state=SPLIT_SEED)


KINDS = {
    "photographs": photographs,
    "organisms": organisms,
    "plankton": plankton,
    "digits, 8x8": digits,
    "textures, float": textures,
}
