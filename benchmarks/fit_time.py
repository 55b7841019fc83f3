"""How long `fit` of the baseline takes in two checkouts of the project.

    python benchmarks/fit_time.py BEFORE AFTER [--rounds N] [--images N] [--epochs N]

Each round fits three times in each of them, in processes of their own and in turns, on random
images of 32x32 pixels. The fastest of the three counts: other programs can only add to the time.
Prints the seconds, and the ratio of each round and their median.
"""

import argparse
import os
import statistics
import subprocess
import sys

from reporting import describe_machine

FIT = """
import sys, time
import numpy as np
import skcnn
assert skcnn.__file__.startswith(sys.argv[3]), skcnn.__file__
from skcnn import ConvNetClassifier, recipes
n, epochs = int(sys.argv[1]), int(sys.argv[2])
rng = np.random.RandomState(0)
X = rng.randint(256, size=(n, 32, 32, 3), dtype=np.uint8)
y = np.arange(n) % 61
ConvNetClassifier(**recipes.lesson | {"max_epochs": 1}, random_state=0).fit(X[:500], y[:500])
taken = []
for _ in range(3):
    clf = ConvNetClassifier(**recipes.lesson | {"max_epochs": epochs}, random_state=0)
    start = time.perf_counter()
    clf.fit(X, y)
    taken.append(time.perf_counter() - start)
print(min(taken))
"""


def seconds(checkout, options):
    """Time one fit with the code of a checkout."""
    # Python imports from the current folder first.
    run = subprocess.run(
        [sys.executable, "-c", FIT, str(options.images), str(options.epochs), checkout],
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": checkout},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(run.stdout)


def main():
    """Time both checkouts in turns."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("before")
    arguments.add_argument("after")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--images", type=int, default=6_000)
    arguments.add_argument("--epochs", type=int, default=2)
    options = arguments.parse_args()
    options.before, options.after = (
        os.path.abspath(path) for path in (options.before, options.after)
    )
    print(describe_machine("cpu"), flush=True)
    ratios = []
    for number in range(options.rounds):
        order = [options.before, options.after][:: 1 if number % 2 else -1]
        taken = {checkout: seconds(checkout, options) for checkout in order}
        before, after = taken[options.before], taken[options.after]
        ratios.append(after / before)
        print(f"before {before:.2f} s, after {after:.2f} s, ratio {ratios[-1]:.3f}", flush=True)
    median = statistics.median(ratios)
    print(f"ratio {median:.3f}, {min(ratios):.3f} to {max(ratios):.3f}")


if __name__ == "__main__":
    main()
