"""Classify the animals and plants of CIFAR-100: load, look, fit, score, look again.

    python examples/cifar100_ecology.py [--data DIR] [--epochs N] [--lesson]

Trains for 3 epochs, in two to eight minutes on two CPU cores; --epochs 8, as many as the estimator
chooses by itself, is more accurate. --lesson trains the baseline network instead. Without --data,
the images come from scikit-learn's data folder or, at the first run, from the internet (169 MB).
If neither works, generated organisms take their place. The pictures are written next to this
file.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from sklearn.metrics import classification_report, top_k_accuracy_score
from sklearn.model_selection import train_test_split

from skcnn import ConvNetClassifier, recipes
from skcnn.datasets import fetch_cifar100, make_organisms
from skcnn.inspection import (
    ChannelsDisplay,
    ConfusionDisplay,
    HistoryDisplay,
    ImageGridDisplay,
    PredictionsDisplay,
)

HERE = Path(__file__).parent
SEED = 0
# For so many images; generated ones are fewer, and need more.
EPOCHS_OF_PHOTOGRAPHS = 3


def main() -> None:
    """Train and show what the command line asks for."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--data", type=Path, help="folder that holds, or will hold, CIFAR-100")
    arguments.add_argument("--epochs", type=int, help="number of epochs; fewer take less time")
    arguments.add_argument("--lesson", action="store_true", help="train the baseline network")
    arguments.add_argument("--pictures", type=Path, default=HERE, help="where to write them")
    options = arguments.parse_args()

    X_train, X_test, y_train, y_test = load(options.data)
    chosen = np.random.default_rng(SEED).permutation(len(X_train))[:18]
    save(ImageGridDisplay(X_train[chosen], y_train[chosen]).plot(n_columns=9), options)
    save(ChannelsDisplay(X_train[chosen[0]]).plot(), options)

    settings = recipes.lesson if options.lesson else {"augment": ("flip", "shift")}
    epochs = {}
    if options.epochs:
        epochs = {"max_epochs": options.epochs}
    elif not options.lesson and len(X_train) > 10_000:
        epochs = {"max_epochs": EPOCHS_OF_PHOTOGRAPHS}
    clf = ConvNetClassifier(**settings | epochs, random_state=SEED, verbose=1)
    print(clf.summary(X_train.shape[1:], len(np.unique(y_train))))

    start = time.perf_counter()
    if options.lesson:
        # As in the lecture, the last fifth is for validation.
        cut = int(0.8 * len(X_train))
        clf.fit(X_train[:cut], y_train[:cut], X_val=X_train[cut:], y_val=y_train[cut:])
    else:
        clf.fit(X_train, y_train)
    print(f"training took {time.perf_counter() - start:.0f} s")

    probability = clf.predict_proba(X_test)
    predicted = clf.classes_[probability.argmax(axis=1)]
    top5 = top_k_accuracy_score(y_test, probability, k=5, labels=clf.classes_)
    print(classification_report(y_test, predicted, digits=2, zero_division=0))
    print(f"test accuracy {np.mean(predicted == y_test):.3f} on {len(y_test):,} images")
    print(f"top-5 accuracy {top5:.3f}\n")

    save(HistoryDisplay.from_estimator(clf), options)
    chosen = np.random.default_rng(SEED).permutation(len(X_test))[:18]
    X_some, y_some = X_test[chosen], y_test[chosen]
    save(PredictionsDisplay.from_estimator(clf, X_some, y_some, n_columns=6), options)
    confusion = ConfusionDisplay.from_predictions(y_test, predicted)
    save(confusion, options)
    print("most frequent confusions:")
    print(confusion.pairs.head(10).to_string(index=False))


def load(folder: Path | None) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return X_train, X_test, y_train and y_test: photographs, or generated images if offline."""
    try:
        train = fetch_cifar100(subset="train", categories="ecology", data_home=folder)
        test = fetch_cifar100(subset="test", categories="ecology", data_home=folder)
    except OSError as error:
        print(f"{error}\nUsing generated organisms in place of photographs.")
        X, y = make_organisms(n_samples=3_000, n_classes=8, image_size=32, random_state=SEED)
        y = np.array([f"species {label + 1}" for label in range(8)])[y]
        return tuple(train_test_split(X, y, test_size=0.25, stratify=y, random_state=SEED))
    names = np.array([name.replace("_", " ") for name in train.target_names])
    return train.data, test.data, names[train.target], names[test.target]


def save(display: Any, options: argparse.Namespace) -> None:
    """Write a picture, named after its display."""
    shown = type(display).__name__.removesuffix("Display").lower()
    lesson = "lesson_" if options.lesson else ""
    path = options.pictures / f"cifar100_ecology_{lesson}{shown}.png"
    display.figure_.savefig(path, dpi=100)
    plt.close(display.figure_)
    print(f"picture: {path}")


if __name__ == "__main__":
    main()
