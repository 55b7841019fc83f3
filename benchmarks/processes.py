"""One fit in two processes beside the same fit in one: do they come to the same?

    python benchmarks/processes.py --data DIR

starts itself by torchrun. How far apart rounding alone takes two fits is shown by a third one, in
one process, whose pixels are changed by up to a ten-thousandth. Without --data the images are
made up. Prints its figures, and stores them in results/.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from reporting import describe_machine, store, versions

from skcnn import ConvNetClassifier
from skcnn._compute._process_group import current_group
from skcnn.datasets import fetch_cifar100, make_organisms
from skcnn.parallel import data_parallel

NETWORKS = {
    "SGD, no normalization": {"optimizer": "sgd", "normalization": None, "lr": 0.03},
    "Muon, no normalization": {"normalization": None, "lr": 0.03},
    "SGD, batch normalization": {"optimizer": "sgd"},
    "Muon, batch normalization": {},
}
FIRST_EPOCH = "loss of the first epoch"
SEEDS = (0, 1, 2)


def main():
    """Fit in two processes and in one, and store by how much they differ."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--data", type=Path, help="folder that holds, or will hold, CIFAR-100")
    arguments.add_argument("--images", type=int, default=1_000, help="fewer, for a trial")
    arguments.add_argument("--epochs", type=int, default=5)
    arguments.add_argument("--to", type=Path, help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.to:
        with data_parallel():
            curves = fit_all(options)
            if current_group().rank == 0:
                options.to.write_text(json.dumps(curves))
        return
    # As each of the two processes has.
    os.environ["SKCNN_NUM_THREADS"] = "1"
    one, nudged, two = fit_all(options), fit_all(options, nudged=True), in_processes(2, options)
    apart = {
        name: {
            "two processes": differences(two[name], one[name]),
            "nudged": differences(nudged[name], one[name]),
        }
        for name in NETWORKS
    }
    for name, difference in apart.items():
        print(f"  {name}: {difference}")
    store(
        "processes",
        {
            "figures": apart,
            "one": one,
            "two": two,
            "nudged": nudged,
            "machine": describe_machine("cpu"),
            "threads": 1,
            "images": "CIFAR-100, ecology" if options.data else "made up",
            "n_images": options.images,
            "epochs": options.epochs,
            "seeds": SEEDS,
            "versions": versions(),
        },
    )


def differences(one, other):
    """How far apart two loss curves are at most, over all seeds, and two accuracies."""
    curves = np.abs(np.subtract(one["loss"], other["loss"]))
    accuracies = np.abs(np.subtract(one["accuracy"], other["accuracy"]))
    return {
        FIRST_EPOCH: float(curves[:, 0].max()),
        "loss of any epoch": float(curves.max()),
        "accuracy": float(accuracies.max()),
    }


def in_processes(n, options):
    """Fit in so many processes, and return what the first has found."""
    with tempfile.TemporaryDirectory() as folder:
        to = Path(folder, "curves.json")
        torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={n}"]
        data = ["--data", str(options.data)] if options.data else []
        sizes = [f"--images={options.images}", f"--epochs={options.epochs}"]
        subprocess.run(
            [sys.executable, *torchrun, __file__, *data, *sizes, f"--to={to}"],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            check=True,
        )
        return json.loads(to.read_text(encoding="utf-8"))


def fit_all(options, *, nudged=False):
    """Fit each network with each seed: loss curves, and accuracy on images not trained on."""
    # As many again are held out, and at most a thousand.
    n_held_out = min(1_000, options.images)
    n = options.images + n_held_out
    if options.data:
        X, y = fetch_cifar100(categories="ecology", data_home=options.data, return_X_y=True)
    else:
        X, y = make_organisms(n, n_classes=10, image_size=32, difficulty=0.9, random_state=0)
    rows = np.random.RandomState(0).permutation(len(X))[:n]
    X, y = X[rows], y[rows]
    if nudged:
        X = X + 1e-4 * np.random.RandomState(1).rand(*X.shape).astype(np.float32)
    found = {}
    for name, parameters in NETWORKS.items():
        fits = [
            ConvNetClassifier(
                filters=(16, 32, 64),
                convs_per_block=1,
                device="cpu",
                precision="float32",
                max_epochs=options.epochs,
                random_state=seed,
                **parameters,
            ).fit(X[n_held_out:], y[n_held_out:])
            for seed in SEEDS
        ]
        found[name] = {
            "loss": [clf.loss_curve_ for clf in fits],
            "accuracy": [clf.score(X[:n_held_out], y[:n_held_out]) for clf in fits],
        }
    return found


if __name__ == "__main__":
    main()
