"""How accurate networks are that learn from 10, 25 and 50 images per class, from scratch.

    python benchmarks/few.py [WAY ...] [--data DIR] [--kinds KIND ...] [--numbers N ...]
                             [--draws DRAW ...]

Fits `ConvNetClassifier()`, `recipes.fast`, `recipes.few` and, where they are named, changes of the
last one, to the same images, drawn from photographs of CIFAR-100's 61 ecology categories (training
images, of which others are scored; the test images are not touched), and from made-up organisms
and plankton. Each draw has other images and another seed; the images of a draw are among those of
its larger numbers. Results go to results/few.json after each fit; fits that are there already are
skipped.
"""

import argparse
import time
from pathlib import Path

import kinds
import numpy as np
from accuracy import changed
from reporting import conditions, load, store

from skcnn import ConvNetClassifier, recipes
from skcnn.augmentation import CutMix, Shift
from skcnn.datasets import fetch_cifar100

WAYS = {
    "ConvNetClassifier()": {},
    "recipes.fast": recipes.fast,
    "recipes.few": recipes.few,
}
# Changes of the recipe.
TRIALS = {
    "CutMix": recipes.few | {"augment": (Shift(1 / 8), CutMix(0.25))},
    "two convolutions": changed(recipes.few, convs_per_block=2),
    "pooled first": changed(recipes.few, pool_after="first"),
    "batches of 32": recipes.few | {"batch_size": 32},
    "30 epochs": recipes.few | {"max_epochs": 30},
}
NUMBERS = (10, 25, 50)


def photographs(data):
    """Real photographs of 61 categories, 60 of each to score."""
    X, y = fetch_cifar100(categories="ecology", data_home=data, return_X_y=True)
    return X, y, 60


def made_up(kind):
    """Made-up images of a kind, 200 of each class to score."""

    def load_kind(data):
        X, X_others, y, y_others = kinds.KINDS[kind](data)
        return np.concatenate([X, X_others]), np.concatenate([y, y_others]), 200

    return load_kind


KINDS = {
    "photographs": photographs,
    "organisms": made_up("organisms"),
    "plankton": made_up("plankton"),
}


def draw(y, n_images, n_scored, seed):
    """Rows of some images of each class, and others to score."""
    rng = np.random.RandomState(seed)
    orders = [rng.permutation(np.flatnonzero(y == label)) for label in np.unique(y)]
    return (
        np.concatenate([order[:n_images] for order in orders]),
        np.concatenate([order[-n_scored:] for order in orders]),
    )


def main():
    """Fit what the command line asks for and is not stored yet."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ways = WAYS | TRIALS
    arguments.add_argument("ways", nargs="*", metavar="WAY", help=", ".join(ways))
    arguments.add_argument("--data", type=Path, help="folder that holds, or will hold, CIFAR-100")
    arguments.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    arguments.add_argument("--numbers", nargs="+", type=int, default=list(NUMBERS))
    arguments.add_argument("--draws", nargs="+", type=int, default=[0, 1])
    options = arguments.parse_args()
    unknown = set(options.ways) - set(ways)
    if unknown:
        arguments.error(f"unknown ways {sorted(unknown)}; there are {', '.join(ways)}")

    result = load("few") or {"kinds": {}}
    images = {kind: KINDS[kind](options.data) for kind in options.kinds}
    for seed in options.draws:
        for kind, (X, y, n_scored) in images.items():
            for n_images in options.numbers:
                rows, scored = draw(y, n_images, n_scored, seed)
                for way in options.ways or WAYS:
                    found = result["kinds"].setdefault(kind, {}).setdefault(str(n_images), {})
                    fits = found.setdefault(way, {"accuracies": {}, "fit_seconds": {}})
                    if str(seed) in fits["accuracies"]:
                        continue
                    network = ConvNetClassifier(**ways[way], random_state=seed)
                    start = time.perf_counter()
                    network.fit(X[rows], y[rows])
                    seconds = time.perf_counter() - start
                    accuracy = network.score(X[scored], y[scored])
                    fits["fit_seconds"][str(seed)] = seconds
                    fits["accuracies"][str(seed)] = accuracy
                    fits |= {"n_training_images": len(rows), "n_scored": len(scored)}
                    fits |= {"epochs": network.n_iter_, **conditions(network)}
                    print(
                        f"{kind}, {n_images} per class, draw {seed}, {way}: {accuracy:.4f}, "
                        f"{seconds:.0f} s",
                        flush=True,
                    )
                    store("few", result)


if __name__ == "__main__":
    main()
