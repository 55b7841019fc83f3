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
from kinds import all_photographs, digits, few_organisms, few_photographs, plankton
from reporting import conditions, load, store

from skcnn import ConvNetClassifier, recipes

SHALLOW = {"convs_per_block": 1, "max_epochs": 15}
VARIANTS = {
    "default": {},
    "15 epochs": {"max_epochs": 15},
    "20 epochs": {"max_epochs": 20},
    "40 epochs": {"max_epochs": 40},
    "one convolution, 15 epochs": SHALLOW,
    "the same, SGD": SHALLOW | {"optimizer": "sgd"},
    "the same, AdamW": SHALLOW | {"optimizer": "adamw", "lr": 0.002},
    "the same, biases 4 times": SHALLOW | {"bias_lr_factor": 4.0},
    "the same, weight averaging": SHALLOW | {"weight_averaging": 0.2},
    # Not for digits, which are too small for it, and no mirror images of each other.
    "recipe fast": recipes.fast,
    "recipe laptop": recipes.laptop,
    "recipe few": recipes.few,
}

# Each with how many seeds a run takes, so that it ends within the hour.
JOBS = {
    "100 photographs": (partial(few_photographs, n_training=100, n_held_out=2_000), 3),
    "500 photographs": (few_photographs, 3),
    "plankton": (plankton, 3),
    "digits, 8x8": (digits, 3),
    "organisms, 32x32": (partial(few_organisms, image_size=32), 3),
    "organisms, 96x96": (partial(few_organisms, image_size=96), 1),
    "photographs": (all_photographs, 1),
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
