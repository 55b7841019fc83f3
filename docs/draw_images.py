"""Draw the picture of README.md into docs/images: python docs/draw_images.py [--data DIR]

Trains the default network on the photographs of CIFAR-100's ecology categories, and draws its
predictions for some test images, people left out. Takes five to fifteen minutes on two cores.
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
    print(f"test accuracy {clf.score(X, y):.3f}")

    shown = np.flatnonzero(~np.isin(y, PEOPLE))
    chosen = np.random.default_rng(SEED).choice(shown, size=12, replace=False)
    display = PredictionsDisplay.from_estimator(clf, X[chosen], y[chosen], n_columns=6)
    print(f"{np.sum(clf.predict(X[chosen]) == y[chosen])} of {len(chosen)} shown are right")
    IMAGES.mkdir(exist_ok=True)
    display.figure_.savefig(IMAGES / "predictions.webp", dpi=110, pil_kwargs={"quality": 80})
    plt.close(display.figure_)


if __name__ == "__main__":
    main()
