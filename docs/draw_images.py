"""Draw the pictures of README.md into docs/images: python docs/draw_images.py [--data DIR]

Trains the recipe `fast` on the photographs of CIFAR-100's ecology categories, and draws its
predictions for some test images, and feature maps of one. Takes ten minutes on two cores.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

from skcnn import ConvNetClassifier, recipes
from skcnn.datasets import fetch_cifar100
from skcnn.inspection import FeatureMapsDisplay, PredictionsDisplay

IMAGES = Path(__file__).parent / "images"
SEED = 0


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
    clf = ConvNetClassifier(**recipes.fast, random_state=SEED, verbose=1)
    clf.fit(train.data, names[train.target])
    X, y = test.data, names[test.target]
    print(f"test accuracy {clf.score(X, y):.3f}")

    chosen = np.random.default_rng(SEED).choice(len(X), size=12, replace=False)
    save(PredictionsDisplay.from_estimator(clf, X[chosen], y[chosen], n_columns=6), "predictions")
    most_certain = clf.predict_proba(X).max(axis=1).argmax()
    # The first convolution of each block, and its pooling.
    layers = [f"block{block}.0.convolutions.{layer}" for block in (1, 2) for layer in (0, 7)]
    save(FeatureMapsDisplay.from_estimator(clf, X[most_certain], layers), "feature_maps")


def save(display: PredictionsDisplay | FeatureMapsDisplay, name: str) -> None:
    """Write a picture as a small file."""
    IMAGES.mkdir(exist_ok=True)
    display.figure_.savefig(IMAGES / f"{name}.webp", dpi=110, pil_kwargs={"quality": 80})
    plt.close(display.figure_)


if __name__ == "__main__":
    main()
