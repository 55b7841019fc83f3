"""What each ingredient of a recipe adds, on validation images, over several seeds.

    python benchmarks/ablation.py [VARIANT ...] [--data DIR] [--seeds N] [--epochs N]

Fits 90% of CIFAR-100's training images of the ecology categories with the recipe `fast`, but for
112 filters in its second block, pooling after the first convolution of each, one learning rate for
all, shifts of an eighth, and three sizes of images in place of two, and with one ingredient after
the other taken away or put in, and scores the other 10%: the test images are not touched. VARIANT
names some of the rows only. Results go to results/ablation_N_epochs.json, in which variants that
were measured before stay.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from reporting import conditions, load, store
from sklearn.model_selection import train_test_split

from skcnn import ConvNetClassifier, recipes
from skcnn.augmentation import Shift
from skcnn.datasets import fetch_cifar100

# What `fast` was when most rows were measured: all of them have to begin with the same.
RECIPE = recipes.fast | {
    "filters": (32, 112, 256),
    "pool_after": "first",
    "augment": Shift(1 / 8),
    "bias_lr_factor": 1.0,
    "progressive_resizing": (0.625, 0.75, 1.0),
}
# What takes an ingredient away, or puts another in its place.
VARIANTS = {
    "recipe": {},
    "biases at 4 times the rate": {"bias_lr_factor": 4.0},
    "biases at 16 times the rate": {"bias_lr_factor": 16.0},
    "shifts of a sixteenth": {"augment": Shift(1 / 16)},
    "SGD in place of Muon": {"optimizer": "sgd"},
    "no stem": {"stem": None},
    "no Dirac start": {"init": "uniform"},
    "no shortcuts": {"residual": False},
    "no mirrored filters": {"symmetry": None},
    "no mirrored filters, as many parameters": {"symmetry": None, "filters": (32, 96, 176)},
    "no mirrored filters, flips": {
        "symmetry": None,
        "filters": (32, 96, 176),
        "augment": ("flip", Shift(1 / 8)),
    },
    "two convolutions a block": {"convs_per_block": 2, "filters": (32, 128, 352)},
    "pooling after the last convolution": {"pool_after": "last"},
    "ReLU": {"activation": "relu"},
    "average head": {"head": "average"},
    "two sizes of images": {"progressive_resizing": (0.75, 1.0)},
    "whole images all the time": {"progressive_resizing": None},
    "cosine schedule": {"lr_schedule": "cosine"},
    "no label smoothing": {"label_smoothing": 0.0},
    "no weight averaging": {"weight_averaging": 0.0},
    "no shifts": {"augment": None},
    "with cutout": {"augment": (Shift(1 / 8), "cutout")},
    "with colour": {"augment": (Shift(1 / 8), "color")},
    "with mixup": {"augment": (Shift(1 / 8), "mixup")},
    "with CutMix": {"augment": (Shift(1 / 8), "cutmix")},
    "with dropout": {"dropout": (0.0, 0.1, 0.3)},
}
# Rows held out, the same ones for all.
SPLIT_SEED = 0


def main():
    """Fit the variants that the command line asks for, and report."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("variants", nargs="*", metavar="VARIANT", help=", ".join(VARIANTS))
    arguments.add_argument("--data", type=Path, help="folder that holds, or will hold, CIFAR-100")
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--epochs", type=int, default=RECIPE["max_epochs"])
    options = arguments.parse_args()
    unknown = set(options.variants) - set(VARIANTS)
    if unknown:
        arguments.error(f"unknown variants {sorted(unknown)}; there are {', '.join(VARIANTS)}")

    X, y = fetch_cifar100(categories="ecology", data_home=options.data, return_X_y=True)
    X, X_val, y, y_val = train_test_split(X, y, test_size=0.1, stratify=y, random_state=SPLIT_SEED)
    name = f"ablation_{options.epochs}_epochs"
    for variant in options.variants or VARIANTS:
        changes = {"max_epochs": options.epochs, **VARIANTS[variant]}
        accuracies, seconds = [], []
        for seed in range(options.seeds):
            network = ConvNetClassifier(**RECIPE | changes, random_state=seed)
            start = time.perf_counter()
            network.fit(X, y)
            seconds.append(time.perf_counter() - start)
            accuracies.append(network.score(X_val, y_val))
        print(f"{variant}: {np.mean(accuracies):.4f}, {np.median(seconds):.0f} s", flush=True)
        # Read anew each time, so that two runs can share the variants.
        result = load(name) or {"variants": {}}
        result["variants"][variant] = {
            "accuracies": accuracies,
            "fit_seconds": seconds,
            "n_parameters": network.summary().n_parameters,
        } | conditions(network)
        result |= {
            "epochs": options.epochs,
            "n_training_images": len(X),
            "n_validation_images": len(X_val),
        }
        store(name, result)


if __name__ == "__main__":
    main()
