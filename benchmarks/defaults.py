"""Which settings do well where nothing is set: images of several kinds, over several seeds.

    python benchmarks/defaults.py [VARIANT ...] [--data DIR] [--seeds N] [--jobs JOB ...]

Fits `ConvNetClassifier()` and variants of it, each without regard to what the images are, and
scores them on images held out: photographs of CIFAR-100's ecology categories (90% of the training
images against 10%; the test images are not touched), 500 of them of ten categories, handwritten
digits, and made-up organisms, small and 96x96. VARIANT names some of the variants only. Results go
to results/defaults.json, in which variants that were measured before stay.
"""

import argparse
import time
from functools import partial
from pathlib import Path

import numpy as np
from reporting import conditions, load, store
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skcnn import ConvNetClassifier, recipes
from skcnn.datasets import fetch_cifar100, make_organisms
from skcnn.networks import ConvBlocks

VARIANTS = {
    "default": {},
    "SGD": {"optimizer": "sgd"},
    "Dirac start": {"module": ConvBlocks(init="dirac")},
    "biases 4 times": {"bias_lr_factor": 4.0},
    "biases 16 times": {"bias_lr_factor": 16.0},
    "AdamW": {"optimizer": "adamw", "lr": 0.002},
    "two convolutions a block": {"module": ConvBlocks(convs_per_block=2, pool_after="first")},
    "average_max head": {"global_pool": "average_max"},
    "no augmentation": {"augment": None},
    "weight averaging": {"weight_averaging": 0.2},
    # Not for digits, which are too small for it, and no mirror images of each other.
    "recipe fast": recipes.fast,
}
SPLIT_SEED = 0


def photographs(data):
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


def digits(data):
    """Handwritten digits, 8x8, which no augmentation may turn over."""
    X, y = load_digits(return_X_y=True)
    return train_test_split(X, y, stratify=y, random_state=SPLIT_SEED)


def organisms(data, image_size):
    """Made-up organisms that are hard to tell apart."""
    X, y = make_organisms(
        n_samples=2_000, n_classes=10, image_size=image_size, difficulty=0.9, random_state=0
    )
    return train_test_split(X, y, test_size=0.3, stratify=y, random_state=SPLIT_SEED)


# Each with how many seeds a run takes, so that it ends within the hour.
JOBS = {
    "500 photographs": (few_photographs, 3),
    "digits, 8x8": (digits, 3),
    "organisms, 32x32": (partial(organisms, image_size=32), 3),
    "organisms, 96x96": (partial(organisms, image_size=96), 1),
    "photographs": (photographs, 1),
}


def main():
    """Fit the variants that the command line asks for, and report."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("variants", nargs="*", metavar="VARIANT", help=", ".join(VARIANTS))
    arguments.add_argument("--data", type=Path, help="folder that holds, or will hold, CIFAR-100")
    arguments.add_argument("--seeds", type=int, help="in place of the numbers that belong to jobs")
    arguments.add_argument("--jobs", nargs="+", choices=JOBS, default=list(JOBS))
    options = arguments.parse_args()
    unknown = set(options.variants) - set(VARIANTS)
    if unknown:
        arguments.error(f"unknown variants {sorted(unknown)}; there are {', '.join(VARIANTS)}")

    result = load("defaults") or {"jobs": {}}
    for job in options.jobs:
        load_job, n_seeds = JOBS[job]
        X, X_held_out, y, y_held_out = load_job(options.data)
        for variant in options.variants or VARIANTS:
            accuracies, seconds = [], []
            for seed in range(options.seeds or n_seeds):
                network = ConvNetClassifier(**VARIANTS[variant], random_state=seed)
                start = time.perf_counter()
                network.fit(X, y)
                seconds.append(time.perf_counter() - start)
                accuracies.append(network.score(X_held_out, y_held_out))
            print(
                f"{job}, {variant}: {np.mean(accuracies):.4f}, {np.median(seconds):.0f} s",
                flush=True,
            )
            result["jobs"].setdefault(job, {})[variant] = {
                "accuracies": accuracies,
                "fit_seconds": seconds,
                "n_training_images": len(X),
                "n_held_out": len(X_held_out),
            } | conditions(network)
            store("defaults", result)


if __name__ == "__main__":
    main()
