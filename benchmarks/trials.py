"""Which settings of a recipe learn more, in short trainings.

    python benchmarks/trials.py [--recipe transformer] [--data DIR] [--epochs N] [--seeds N]
                                [--trials NAME ...]

The recipe is `accurate`, whose trials have large batches for a GPU, or `transformer`.
Each trial fits nine of ten training images of CIFAR-100's ecology categories, and is scored on the
tenth; the test images are not touched. The first seed of all trials comes before the second of
any. Stores all in results/trials_DEVICE.json, or trials_transformer_DEVICE.json, after each fit;
fits that are there already are skipped.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from accuracy import changed
from reporting import conditions, load, store
from sklearn.base import clone
from sklearn.model_selection import train_test_split

from skcnn import ConvNetClassifier, recipes
from skcnn.datasets import fetch_cifar100
from skcnn.optimizers import Muon


def trials(recipe):
    """Settings by name, the most promising first."""
    together = {"dtype": "bfloat16", "batched": True}
    optimizer, faster_head = Muon(**together), Muon(**together, head_lr_factor=7.5)
    rates = {"optimizer": faster_head, "bias_lr_factor": 7.5}
    groups = changed(recipe, normalization="ghost") | rates
    at_512, at_1024 = {"batch_size": 512, "lr": 0.18}, {"batch_size": 1024, "lr": 0.24}
    return {
        "as it is": recipe,
        "512, groups, rates": groups | at_512,
        "1024, groups, rates": groups | at_1024,
        "512": recipe | {"optimizer": optimizer} | at_512,
        "512, rates": recipe | rates | at_512,
        "512, groups": changed(recipe, normalization="ghost") | {"optimizer": optimizer} | at_512,
        "512, groups, rates, lr 0.24": groups | at_512 | {"lr": 0.24},
        "1024, groups, rates, lr 0.18": groups | at_1024 | {"lr": 0.18},
        "512, groups, rates, pooled last": changed(groups, pool_after="last") | at_512,
        "512, groups, rates, smoothing 0.3": groups | at_512 | {"label_smoothing": 0.3},
        "Muon by shape, bfloat16": recipe | {"optimizer": optimizer},
        "pooled last, biases 4": changed(recipe, pool_after="last") | {"bias_lr_factor": 4.0},
    }


def transformer_trials(recipe):
    """Settings of the compact transformer by name."""
    # The last of three epochs is of full size, as those that are predicted.
    recipe = recipe | {"progressive_resizing": (0.625, 0.625, 1.0)}
    return {
        "as it is": recipe,
        # The same rates of the head, norms and biases.
        "lr 0.05": changed_optimizer(recipe, head_lr_factor=2.0)
        | {"lr": 0.05, "bias_lr_factor": 2.0},
        "lr 0.01": changed_optimizer(recipe, head_lr_factor=10.0)
        | {"lr": 0.01, "bias_lr_factor": 10.0},
        "momentum 0.6": changed_optimizer(recipe, momentum=0.6),
        "64 tokens": changed(recipe, tokenizer_layers=2),
        "width 192": changed(recipe, width=192, heads=6),
        "AdamW": recipe
        | {"optimizer": "adamw", "lr": 1e-3, "weight_decay": 0.05, "bias_lr_factor": 1.0},
    }


def changed_optimizer(recipe, **options):
    """A recipe with other options of its optimizer."""
    return recipe | {"optimizer": clone(recipe["optimizer"]).set_params(**options)}


TRIALS = {"accurate": trials, "transformer": transformer_trials}


def main() -> None:
    """Fit the trials that are not stored yet."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--recipe", choices=TRIALS, default="accurate")
    arguments.add_argument("--data", type=Path, help="folder that holds CIFAR-100")
    arguments.add_argument("--epochs", type=int, default=12)
    arguments.add_argument("--seeds", type=int, default=2)
    arguments.add_argument("--trials", nargs="+", help="some of them, by name")
    arguments.add_argument("--filters", type=int, nargs="+", help="in place of the recipe's")
    options = arguments.parse_args()
    recipe = getattr(recipes, options.recipe)
    if options.filters:
        recipe = changed(recipe, filters=tuple(options.filters))
    settings = TRIALS[options.recipe](recipe)
    unknown = set(options.trials or ()) - set(settings)
    if unknown:
        arguments.error(f"unknown trials {sorted(unknown)}; there are {', '.join(settings)}")

    X, y = fetch_cifar100(categories="ecology", data_home=options.data, return_X_y=True)
    # A class has as many of them as of the others, at least one.
    share = max(0.1, len(np.unique(y)) / len(y))
    X, X_held_out, y, y_held_out = train_test_split(
        X, y, test_size=share, stratify=y, random_state=0
    )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    name = (
        f"trials_{device}" if options.recipe == "accurate" else f"trials_{options.recipe}_{device}"
    )
    given = {"epochs": options.epochs, "n_training_images": len(X), "n_scored": len(X_held_out)}
    result = load(name) or given | {"trials": {}}
    if {key: result[key] for key in given} != given:
        raise SystemExit(f"{name}.json is of other settings: move it away. It has {result}.")
    for seed in range(options.seeds):
        for trial in options.trials or settings:
            fits = result["trials"].setdefault(trial, {})
            if str(seed) in fits:
                continue
            clf = ConvNetClassifier(**settings[trial]).set_params(
                max_epochs=options.epochs, random_state=seed
            )
            clf.fit(X, y)
            fits[str(seed)] = {
                "accuracy": clf.score(X_held_out, y_held_out),
                "seconds": float(clf.history_["seconds"].sum()),
                "loss": clf.loss_curve_[-1],
            }
            print(f"{trial}, seed {seed}: {fits[str(seed)]}", flush=True)
            store(name, result | conditions(clf))
    for trial, fits in result["trials"].items():
        accuracies, seconds = (
            [fit[key] for fit in fits.values()] for key in ("accuracy", "seconds")
        )
        print(f"| {trial} | {np.mean(accuracies):.4f} | {np.mean(seconds):.1f} | {len(fits)} |")


if __name__ == "__main__":
    main()
