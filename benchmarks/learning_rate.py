"""Whether `learning_rate_curve` suggests the learning rate that a grid finds best.

    python benchmarks/learning_rate.py [--data DIR] [--seeds N] [--kinds KIND ...]

Fits a small network to about a thousand images of several kinds, for some epochs, with each of the
learning rates of a grid and both optimizers, and compares the rate of the highest accuracy with
the suggestion for the same network and images. Results go to results/learning_rate.json, in which
those of other kinds stay.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from kinds import KINDS
from reporting import conditions, load, store
from sklearn.metrics import log_loss

from skcnn import ConvNetClassifier
from skcnn.inspection import learning_rate_curve

NETWORK = {"filters": (16, 32, 64), "convs_per_block": 1, "max_epochs": 8}
OPTIMIZERS = ("muon", "sgd")
RATES = [0.003 * 2**step for step in range(11)]


def main():
    """Fit the kinds of images that the command line asks for, and report."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--data", type=Path, help="folder that holds, or will hold, CIFAR-100")
    arguments.add_argument("--seeds", type=int, default=2)
    arguments.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    options = arguments.parse_args()
    result = load("learning_rate") or {"rates": RATES, "seeds": options.seeds, "kinds": {}}
    for kind in options.kinds:
        X, X_held_out, y, y_held_out = KINDS[kind](options.data)
        for optimizer in OPTIMIZERS:
            networks = [
                ConvNetClassifier(**NETWORK, optimizer=optimizer, random_state=seed)
                for seed in range(options.seeds)
            ]
            suggestions = [suggest(network, X, y) for network in networks]
            print(f"{kind}, {optimizer}: {suggestions}", flush=True)
            scores = [
                [score(n, rate, X, y, X_held_out, y_held_out) for n in networks] for rate in RATES
            ]
            accuracies, losses = np.moveaxis(np.array(scores), -1, 0)
            best = best_rate(accuracies, losses)
            factors = [max(s["suggestion"] / best, best / s["suggestion"]) for s in suggestions]
            result["kinds"].setdefault(kind, {})[optimizer] = {
                "suggestions": suggestions,
                "accuracies": accuracies.tolist(),
                "log_losses": losses.tolist(),
                "best": best,
                "factors": factors,
                "n_training_images": len(X),
                "n_held_out": len(X_held_out),
            } | conditions(networks[0])
            store("learning_rate", result)
            print(f"{kind}, {optimizer}: best {best:.3f}, factors {factors}", flush=True)


def best_rate(accuracies, losses):
    """The rate of the highest mean accuracy; of equal ones, that of the lowest mean loss."""
    means = zip(-accuracies.mean(axis=1), losses.mean(axis=1))
    return min(zip(means, RATES))[1]


def suggest(network, X, y):
    """The suggestion of the curve, and what it took."""
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        curve = learning_rate_curve(network, X, y)
    return {
        "suggestion": curve.suggestion,
        "good_range": curve.good_range,
        "n_steps": curve.n_steps,
        "warned": any(str(one.message).startswith("The l") for one in caught),
        "seconds": time.perf_counter() - start,
    }


def score(network, rate, X, y, X_held_out, y_held_out):
    """Fit at a rate: accuracy and loss of the held-out images, those of chance if it diverges."""
    n_classes = len(np.unique(y))
    try:
        network.set_params(lr=rate).fit(X, y)
    except ValueError as error:
        if "learning rate" not in str(error):
            raise
        return 1 / n_classes, np.log(n_classes)
    probability = network.predict_proba(X_held_out)
    return network.score(X_held_out, y_held_out), log_loss(y_held_out, probability)


if __name__ == "__main__":
    main()
