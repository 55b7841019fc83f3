"""Draw the picture of README.md into docs/images: python docs/draw_images.py [--data DIR]

Trains the default network on the photographs of CIFAR-100's ecology categories, and draws its
predictions for some test images, people left out: drawn at random, so that as many of them are
right as of all test images. Takes five to fifteen minutes on two cores.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

from skcnn import ConvNetClassifier
from skcnn.datasets import fetch_cifar100
from skcnn.inspection import PredictionsDisplay

IMAGES = Path(__file__).parent / "images"
SEED = 0
N_SHOWN = 12
PEOPLE = ["baby", "boy", "girl", "man", "woman"]


def main() -> None:
    """Train, predict and draw."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--data", type=Path, help="folder that holds, or will hold, CIFAR-100")
    folder = arguments.parse_args().data
    train, test = (
        fetch_cifar100(subset=subset, categories="ecology", data_home=folder)
        for subset in ("train", "test")
    )
    names = np.array([name.replace("_", " ") for name in train.target_names])
    clf = ConvNetClassifier(random_state=SEED)
    clf.fit(train.data, names[train.target])
    X, y = test.data, names[test.target]
    is_right = clf.predict(X) == y
    print(f"test accuracy {is_right.mean():.3f}")

    # Twelve of any would often be much better or much worse than the network is.
    n_right = round(N_SHOWN * is_right.mean())
    print(f"{n_right} of {N_SHOWN} shown are right")
    rng, may_show = np.random.default_rng(SEED), ~np.isin(y, PEOPLE)
    chosen = [
        rng.choice(np.flatnonzero(may_show & (is_right == kind)), size=n, replace=False)
        for kind, n in ((True, n_right), (False, N_SHOWN - n_right))
    ]
    shown = rng.permutation(np.concatenate(chosen))
    display = PredictionsDisplay.from_estimator(clf, X[shown], y[shown], n_columns=6)
    IMAGES.mkdir(exist_ok=True)
    display.figure_.savefig(IMAGES / "predictions.webp", dpi=110, pil_kwargs={"quality": 80})
    plt.close(display.figure_)


if __name__ == "__main__":
    main()
