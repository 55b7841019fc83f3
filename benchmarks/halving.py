"""Successive halving over epochs: from scratch, or going on from the weights there are.

    python benchmarks/halving.py --data DIR [--rounds N]

The same candidates are searched in turns, each search with the images and folds of the round.
Without --data the images are made up. Prints its figures, and stores them in results/.
"""

import argparse
import tempfile
import time
from pathlib import Path

import joblib
import numpy as np
from reporting import describe_machine, spread, store, versions
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, StratifiedKFold

from skcnn import ConvNetClassifier
from skcnn.datasets import fetch_cifar100, make_organisms

GRID = {"lr": [0.01, 0.03, 0.1, 0.3], "dropout": [0.0, 0.2], "label_smoothing": [0.0, 0.1]}


def main():
    """Search in rounds, and store what came out."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--data", type=Path, help="folder that holds, or will hold, CIFAR-100")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--images", type=int, default=1_500, help="fewer, for a trial")
    arguments.add_argument("--epochs", type=int, default=16, help="of the last iteration")
    options = arguments.parse_args()
    rounds = [one_round(seed, options) for seed in range(options.rounds)]
    figures = {name: spread([one[name] for one in rounds]) for name in rounds[0]}
    for name, figure in figures.items():
        print(f"  {name}: {figure}")
    store(
        "halving",
        {
            "figures": figures,
            "rounds": rounds,
            "machine": describe_machine("cpu"),
            "threads": 1,
            "images": "CIFAR-100, ecology" if options.data else "made up",
            "n_images": options.images,
            "epochs": options.epochs,
            "versions": versions("joblib"),
        },
    )


def one_round(seed, options):
    """Search each way once, and fit what each found best to all images, to be scored on others."""
    X, y, X_valid, y_valid = read_images(options, seed)
    folds = StratifiedKFold(2, shuffle=True, random_state=seed)
    scheduled = ConvNetClassifier(
        filters=(8, 16),
        convs_per_block=1,
        max_epochs=options.epochs,
        device="cpu",
        random_state=seed,
    )
    constant = clone(scheduled).set_params(lr_schedule=None)
    common = {"cv": folds, "refit": False, "error_score": "raise"}
    halving = {"resource": "max_epochs", "min_resources": max(1, options.epochs // 8), "factor": 2}
    halving |= {"max_resources": options.epochs, **common}
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        resumed = clone(constant).set_params(checkpoint_dir=joblib.Memory(folder, verbose=0))
        searches = {
            "constant rate, from scratch": HalvingGridSearchCV(constant, GRID, **halving),
            "constant rate, going on": HalvingGridSearchCV(resumed, GRID, **halving),
            "one-cycle, from scratch": HalvingGridSearchCV(scheduled, GRID, **halving),
            "one-cycle, all epochs": GridSearchCV(scheduled, GRID, **common),
        }
        for name, search in searches.items():
            start = time.perf_counter()
            search.fit(X, y)
            found[f"seconds, {name}"] = time.perf_counter() - start
            # In the end all are trained alike.
            best = clone(scheduled).set_params(
                **{**search.best_params_, "max_epochs": options.epochs}
            )
            found[f"accuracy, {name}"] = best.fit(X, y).score(X_valid, y_valid)
            print(name, search.best_params_, found, flush=True)
        stored = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    scratch, going_on = (searches[f"constant rate, {how}"] for how in ("from scratch", "going on"))
    found["same scores"] = np.array_equal(
        scratch.cv_results_["mean_test_score"], going_on.cv_results_["mean_test_score"]
    )
    names = ["constant rate, going on", "one-cycle, from scratch", "one-cycle, all epochs"]
    for name in names:
        ratio = found[f"seconds, {name}"] / found["seconds, constant rate, from scratch"]
        found[f"{name} / constant rate, from scratch"] = ratio
    found["megabytes kept"] = stored / 1e6
    return found


def read_images(options, seed):
    """Images of ten categories, to search with and to score with, another choice each round."""
    n = options.images + 1_000
    if options.data:
        X, y = fetch_cifar100(categories="ecology", data_home=options.data, return_X_y=True)
        X, y = X[np.isin(y, np.unique(y)[::6][:10])], y[np.isin(y, np.unique(y)[::6][:10])]
    else:
        X, y = make_organisms(n, n_classes=10, image_size=32, difficulty=0.9, random_state=0)
    rows = np.random.RandomState(seed).permutation(len(X))[:n]
    X, y = X[rows], y[rows]
    return X[1_000:], y[1_000:], X[:1_000], y[:1_000]


if __name__ == "__main__":
    main()
