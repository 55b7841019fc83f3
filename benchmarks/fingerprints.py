"""Hashes of predictions, to see whether a change of the code changes any network.

    python benchmarks/fingerprints.py > after.txt

Fits networks of many settings to a few generated images, and prints one line per setting with
hashes of the probabilities, the features and the training losses. Two commits that print the same
lines on one machine train the same networks, bit for bit. Only parameters that have kept their
names are used, so that older commits run the script, too, with their checkout on PYTHONPATH.
"""

import hashlib

import numpy as np
import torch

from skcnn import ConvNetClassifier, recipes
from skcnn.datasets import make_organisms

SETTINGS = {
    "default": {"max_epochs": 3},
    "fast": recipes.fast | {"max_epochs": 2},
    "accurate": recipes.accurate | {"max_epochs": 1, "batch_size": 32},
    "lesson": recipes.lesson | {"max_epochs": 1},
    "mixing": {"max_epochs": 2, "augment": ("mixup", "cutmix", "flip", "color", "cutout")},
    "early stopping": {"max_epochs": 4, "early_stopping": True, "n_iter_no_change": 1},
    "weights, averaging": {
        "max_epochs": 2,
        "class_weight": "balanced",
        "weight_averaging": 0.5,
        "optimizer": "sgd",
    },
    "float32, dropout": {
        "max_epochs": 2,
        "precision": "float32",
        "filters": (8, 16),
        "dropout": (0.1, 0.2),
        "optimizer": "adamw",
        "lr": 0.01,
    },
    "deeper blocks": {
        "max_epochs": 2,
        "bias_lr_factor": 4.0,
        "convs_per_block": 2,
        "pool": "average",
        "dense_units": 16,
    },
    "constant rate": {
        "max_epochs": 2,
        "lr_schedule": None,
        "optimizer": "rmsprop",
        "lr": 0.001,
        "test_time_flip": True,
    },
}


def fingerprint(array):
    """A short hash of an array's bytes."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:12]


def main():
    """Fit all settings, and print their hashes."""
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    small, y = make_organisms(n_samples=300, n_classes=3, image_size=16, random_state=0)
    large, _ = make_organisms(n_samples=300, n_classes=3, image_size=32, random_state=0)
    weight = np.linspace(0.5, 2, len(y))
    for name, settings in SETTINGS.items():
        X = large if name in ("accurate", "lesson") else small
        weighted = weight if name in ("mixing", "weights, averaging") else None
        clf = ConvNetClassifier(random_state=0, **settings).fit(X, y, sample_weight=weighted)
        results = (clf.predict_proba(X), clf.transform(X), np.array(clf.loss_curve_))
        print(f"{name}: {' '.join(map(fingerprint, results))}", flush=True)
    clf = ConvNetClassifier((8,), random_state=0).partial_fit(small, y).partial_fit(small, y)
    print(f"partial_fit: {fingerprint(clf.predict_proba(small))}")
    flat = small.reshape(len(small), -1)
    clf = ConvNetClassifier((8,), max_epochs=2, random_state=0, warm_start=True)
    print(f"flat, warm start: {fingerprint(clf.fit(flat, y).fit(flat, y).predict_proba(flat))}")


if __name__ == "__main__":
    main()
