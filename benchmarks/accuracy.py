"""Accuracy on CIFAR-100's ecology categories, over several seeds.

    python benchmarks/accuracy.py JOB [--data DIR] [--seeds N] [--categories ecology56]
                                      [--epochs N] [--precision float32] [--go-on]
                                      [--beside-others] [--checkpoint-dir DIR]

JOB is "default", ConvNetClassifier() without any parameter, the name of one of skcnn.recipes,
"narrow", the recipe `accurate` with fewer filters and epochs for a CPU, or "compact", a deeper
network of less than a million parameters and more epochs. All training images are fitted, and the
test images scored once. Prints a table row, and writes results/accuracy_JOB.json, anew after each
seed. With --epochs or --precision, or on a GPU, the file's name says so. With --go-on, seeds that
the file has already are not fitted again. --beside-others is for a machine that other programs use
at the same time: the tables then leave out the seconds. With --checkpoint-dir, a fit that was cut
off goes on when it is called again.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from reporting import conditions, load, store
from sklearn.base import clone

from skcnn import ConvNetClassifier, recipes
from skcnn.augmentation import CutMix, Shift
from skcnn.datasets import fetch_cifar100

ON_A_CPU = recipes.accurate | {"augment": (Shift(1 / 8), CutMix(0.5))}


def changed(recipe, **blocks):
    """A recipe with other parameters of its network."""
    return recipe | {"module": clone(recipe["module"]).set_params(**blocks)}


JOBS = {
    "default": {},
    "narrow": changed(ON_A_CPU, filters=(64, 256, 512)) | {"max_epochs": 48},
    "compact": changed(
        recipes.fast,
        filters=(32, 32, 128, 128, 208, 208),
        convs_per_block=2,
        pool=(None, "max", None, "max", None, "max"),
    )
    | {
        "augment": ON_A_CPU["augment"],
        "progressive_resizing": ON_A_CPU["progressive_resizing"],
        "max_epochs": 130,
    },
    **{name: getattr(recipes, name) for name in recipes.__all__},
}


def main() -> None:
    """Fit the network of a job with each seed, and report."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("job", choices=JOBS)
    arguments.add_argument("--data", type=Path, help="folder that holds, or will hold, CIFAR-100")
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--categories", default="ecology")
    arguments.add_argument("--epochs", type=int, help="in place of those of the job")
    arguments.add_argument("--precision", default="auto")
    arguments.add_argument("--go-on", action="store_true", help="after the seeds stored")
    arguments.add_argument("--beside-others", action="store_true", help="of other programs")
    arguments.add_argument("--checkpoint-dir", type=Path, help="for fits that may be cut off")
    options = arguments.parse_args()
    changes = {"precision": options.precision, "checkpoint_dir": options.checkpoint_dir}
    name = f"accuracy_{options.job}"
    if options.epochs:
        changes["max_epochs"] = options.epochs
        name += f"_{options.epochs}_epochs"
    if options.precision != "auto":
        name += f"_{options.precision}"
    if torch.cuda.is_available():
        name += "_cuda"

    train, test = (
        fetch_cifar100(subset=subset, categories=options.categories, data_home=options.data)
        for subset in ("train", "test")
    )
    result = (load(name) if options.go_on else None) or {"accuracies": [], "fit_seconds": []}
    accuracies, seconds = result["accuracies"], result["fit_seconds"]
    for seed in range(len(accuracies), options.seeds):
        network = ConvNetClassifier(**JOBS[options.job] | changes, random_state=seed)
        start = time.perf_counter()
        network.fit(train.data, train.target)
        seconds.append(time.perf_counter() - start)
        accuracies.append(network.score(test.data, test.target))
        print(f"seed {seed}: {accuracies[-1]:.4f} in {seconds[-1]:.0f} s", flush=True)
        result = {
            "job": options.job,
            "n_parameters": network.summary().n_parameters,
            "n_classes": len(train.target_names),
            "n_training_images": len(train.data),
            "n_test_images": len(test.data),
            "accuracies": accuracies,
            "fit_seconds": seconds,
            "epochs": network.n_iter_,
            "beside_others": options.beside_others,
        } | conditions(network)
        store(name, result)
    print(
        f"| {options.job} | {result['n_parameters']:,} | {np.mean(accuracies):.3f} | "
        f"{np.std(accuracies, ddof=1) if len(accuracies) > 1 else float('nan'):.3f} | "
        f"{np.median(seconds):.0f} |"
    )


if __name__ == "__main__":
    main()
