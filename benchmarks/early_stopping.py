"""What early stopping costs in accuracy and saves in epochs, where a fit is given too many.

    python benchmarks/early_stopping.py [--data DIR] [--seeds N] [--epochs N] [--kinds KIND ...]
                                        [--go-on]

Fits a small network to about a thousand images of several kinds: for all of the epochs; with
`early_stopping=True`, which holds out a tenth of the images; for all of the epochs on nine tenths
of the images, which shows how much of the difference is due to fewer images; with 150 other images
for validation, so that all are trained on; and, as stopping was meant before there was a schedule,
with a constant learning rate. Results go to results/early_stopping.json, in which those of other
kinds stay. With --go-on, seeds that the file has already are not fitted again.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from kinds import KINDS
from reporting import conditions, load, store
from sklearn.utils import resample

from skcnn import ConvNetClassifier

NETWORK = {"filters": (16, 32, 64), "convs_per_block": 1}
VARIANTS = {
    "all epochs": {},
    "early_stopping=True": {"early_stopping": True},
    "all epochs, nine tenths of the images": {},
    "early_stopping=True, X_val": {"early_stopping": True},
    "early_stopping=True, lr_schedule=None": {"early_stopping": True, "lr_schedule": None},
}
N_VALIDATION = 150


def main():
    """Fit the kinds of images that the command line asks for, and report."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--data", type=Path, help="folder that holds, or will hold, CIFAR-100")
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--epochs", type=int, default=100, help="max_epochs of each fit")
    arguments.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    arguments.add_argument("--go-on", action="store_true", help="after the seeds stored")
    options = arguments.parse_args()
    result = load("early_stopping") or {"kinds": {}}
    for kind in options.kinds:
        X, X_held_out, y, y_held_out = KINDS[kind](options.data)
        validation = {"X_val": X_held_out[:N_VALIDATION], "y_val": y_held_out[:N_VALIDATION]}
        X_test, y_test = X_held_out[N_VALIDATION:], y_held_out[N_VALIDATION:]
        stored = result["kinds"].get(kind, {}) if options.go_on else {}
        fits = result["kinds"][kind] = stored
        for seed in range(options.seeds):
            for variant, parameters in VARIANTS.items():
                row = fits.setdefault(variant, {"accuracies": [], "epochs": [], "seconds": []})
                if seed < len(row["accuracies"]):
                    continue
                network = ConvNetClassifier(
                    **NETWORK | parameters, max_epochs=options.epochs, random_state=seed
                )
                images = X, y
                if "nine tenths" in variant:
                    images = resample(
                        X,
                        y,
                        n_samples=9 * len(X) // 10,
                        replace=False,
                        stratify=y,
                        random_state=seed,
                    )
                start = time.perf_counter()
                network.fit(*images, **validation if "X_val" in variant else {})
                seconds = time.perf_counter() - start
                accuracy = network.score(X_test, y_test)
                print(
                    f"{kind}, {variant}: {accuracy:.4f} after {network.n_iter_} epochs", flush=True
                )
                row["accuracies"].append(accuracy)
                row["epochs"].append(network.n_iter_)
                row["seconds"].append(seconds)
                row |= {
                    "max_epochs": options.epochs,
                    "n_training_images": len(images[0]),
                    "n_test_images": len(X_test),
                    **conditions(network),
                }
                store("early_stopping", result)
        lost = np.subtract(*(fits[v]["accuracies"] for v in list(VARIANTS)[:2]))
        print(f"{kind}: {100 * lost.mean():.1f} points lost")


if __name__ == "__main__":
    main()
