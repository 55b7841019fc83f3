"""Name the animals and plants of CIFAR-100: load, look, fit, score, cross-validate, search.

    python examples/cifar100_ecology.py [--data DIR] [--lesson]

Without --data the images come from scikit-learn's data folder or, at the first run, from the
internet (161 MB). Where neither works, made-up organisms take their place. The pictures are
written next to this file.
"""

import argparse
import sys
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.metrics import classification_report, top_k_accuracy_score
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from skcnn import ConvNetClassifier, recipes
from skcnn.datasets import fetch_cifar100, make_organisms

HERE = Path(__file__).parent
SEED = 0

# Enough for cross-validation and a grid search that do not take all day.
PLANTS = [
    *("orchid", "poppy", "sunflower", "tulip"),
    *("maple_tree", "oak_tree", "palm_tree", "pine_tree", "willow_tree"),
]


def main() -> None:
    """Run the job that the command line asks for."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--data", type=Path, help="folder that holds, or will hold, CIFAR-100")
    arguments.add_argument("--lesson", action="store_true", help="run the lecture's job instead")
    options = arguments.parse_args()

    X_train, X_test, y_train, y_test = load(options.data)
    show_images(X_train, y_train)
    if options.lesson:
        run_lesson(X_train, X_test, y_train, y_test)
        return
    sizes = Sizes(on_gpu=torch.cuda.is_available(), n_images=len(X_train))
    model = fit_and_score(X_train, X_test, y_train, y_test, sizes)
    X_few, y_few = take_plants(X_train, y_train, sizes.n_for_folds)
    cross_validate(model, X_few, y_few, sizes)
    search(model, X_few, y_few)


class Sizes:
    """How much work a machine is given."""

    def __init__(self, *, on_gpu: bool, n_images: int) -> None:
        self.max_epochs = 30 if on_gpu else 10
        self.max_epochs_for_folds = 15 if on_gpu else 6
        self.n_for_folds = n_images if on_gpu else 3_000
        print(
            f"\nOn a {'GPU' if on_gpu else 'CPU, hence less work than on a GPU'}: "
            f"{self.max_epochs} epochs; for cross-validation and grid search "
            f"{self.max_epochs_for_folds} epochs and at most {self.n_for_folds:,} images."
        )


def load(folder: Path | None) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Real images where they can be had, else made-up ones: X_train, X_test, y_train, y_test."""
    try:
        train = fetch_cifar100(subset="train", categories="ecology", data_home=folder)
        test = fetch_cifar100(subset="test", categories="ecology", data_home=folder)
    except OSError as error:
        reason = str(error).partition(". ")[0]
        print(f"{reason}; going on with made-up organisms.")
        X, y = make_organisms(n_samples=3_000, n_classes=8, image_size=32, random_state=SEED)
        y = np.array([f"species {label + 1}" for label in range(8)])[y]
        return tuple(train_test_split(X, y, test_size=0.25, stratify=y, random_state=SEED))
    names = np.asarray(train.target_names)
    return train.data, test.data, names[train.target], names[test.target]


def show_images(X: np.ndarray, y: np.ndarray) -> None:
    """Say what the images are, and draw some of them, one in its colours, and all pixels."""
    labels, counts = np.unique(y, return_counts=True)
    print(f"{len(X):,} images for training, {X.shape[1]} x {X.shape[2]} pixels, {X.dtype},")
    print(f"of {len(labels)} categories with {counts.min()} to {counts.max()} images each:")
    print(", ".join(label.replace("_", " ") for label in labels))

    picks = np.random.default_rng(SEED).choice(len(X), size=30, replace=False)
    figure, axes = plt.subplots(3, 10, figsize=(11, 4.2), layout="constrained")
    for axis, pick in zip(axes.flat, picks):
        axis.imshow(X[pick])
        axis.set_title(y[pick].replace("_", " "), fontsize=8)
        axis.axis("off")
    save(figure, "images")

    figure, axes = plt.subplots(1, 5, figsize=(11, 2.4), layout="constrained")
    colourful = picks[X[picks].std(axis=-1).mean(axis=(1, 2)).argmax()]
    picture = X[colourful]
    axes[0].imshow(picture)
    axes[0].set_title(y[colourful].replace("_", " "), fontsize=9)
    for channel, (axis, colour) in enumerate(zip(axes[1:4], ("red", "green", "blue"))):
        axis.imshow(picture[..., channel], cmap="gray", vmin=0, vmax=255)
        axis.set_title(f"its {colour} channel", fontsize=9)
    for axis in axes[:4]:
        axis.axis("off")
    for channel, colour in enumerate(("tab:red", "tab:green", "tab:blue")):
        heights, edges = np.histogram(X[:2000, ..., channel], bins=64, density=True)
        axes[4].stairs(heights, edges, color=colour)
    axes[4].set_title("values of all pixels", fontsize=9)
    axes[4].set_yticks([])
    axes[4].spines[["top", "left", "right"]].set_visible(False)
    save(figure, "channels")


def fit_and_score(
    X_train: np.ndarray,
    X_test: np.ndarray,
    y_train: np.ndarray,
    y_test: np.ndarray,
    sizes: Sizes,
) -> Pipeline:
    """Fit a pipeline, and see how well it names images it has not met."""
    network = ConvNetClassifier(
        augment=("flip", "shift"), max_epochs=sizes.max_epochs, random_state=SEED, verbose=1
    )
    print(f"\n{network.summary(X_train.shape[1:], len(np.unique(y_train)))}\n")
    # The first step is there to be searched over later on.
    model = Pipeline([("pixels", FunctionTransformer()), ("network", network)])
    start = time.perf_counter()
    model.fit(X_train, y_train)
    seconds = time.perf_counter() - start
    report(model, X_test, y_test, seconds)
    draw_history(model["network"], "history")
    draw_predictions(model, X_test, y_test)
    return model


def report(model: Pipeline, X_test: np.ndarray, y_test: np.ndarray, seconds: float) -> None:
    """Print how well a fitted model names the test images."""
    probability = model.predict_proba(X_test)
    predicted = model.classes_[probability.argmax(axis=1)]
    top5 = top_k_accuracy_score(y_test, probability, k=5, labels=model.classes_)
    print(classification_report(y_test, predicted, digits=2, zero_division=0))
    print(f"fitted in {seconds:.0f} s")
    print(f"test accuracy {np.mean(predicted == y_test):.3f} on {len(y_test):,} images")
    print(f"top-5 accuracy {top5:.3f}")


def cross_validate(model: Pipeline, X: np.ndarray, y: np.ndarray, sizes: Sizes) -> None:
    """Print the accuracy on each of three folds."""
    model.set_params(network__max_epochs=sizes.max_epochs_for_folds, network__verbose=0)
    scores = cross_val_score(model, X, y, cv=3)
    print(f"\n{len(X):,} images of {len(np.unique(y))} categories:")
    print(f"cross-validated accuracy {scores.mean():.3f}, by fold {scores.round(3)}")


def search(model: Pipeline, X: np.ndarray, y: np.ndarray) -> None:
    """Ask a grid search whether colour helps, and how fast to learn."""
    grid = {
        "pixels": [FunctionTransformer(), FunctionTransformer(to_grey)],
        "network__lr": [0.05, 0.2],
    }
    found = GridSearchCV(model, grid, cv=2, refit=False).fit(X, y)
    print("grid search on the same images:")
    for point, score in zip(found.cv_results_["params"], found.cv_results_["mean_test_score"]):
        pixels = "grey" if point["pixels"].func else "colour"
        print(f"  {pixels:6s}  lr={point['network__lr']:<4}  accuracy {score:.3f}")


def run_lesson(
    X_train: np.ndarray, X_test: np.ndarray, y_train: np.ndarray, y_test: np.ndarray
) -> None:
    """Fit the lecture's network as the lecture does, the last fifth of the images held out."""
    held_out = int(0.8 * len(X_train))
    network = ConvNetClassifier(**recipes.lesson, random_state=SEED, verbose=1)
    print(f"\n{network.summary(X_train.shape[1:], len(np.unique(y_train)))}\n")
    start = time.perf_counter()
    network.fit(
        X_train[:held_out],
        y_train[:held_out],
        X_val=X_train[held_out:],
        y_val=y_train[held_out:],
    )
    report(network, X_test, y_test, time.perf_counter() - start)
    draw_history(network, "lesson_history")
    draw_predictions(network, X_test, y_test)


def draw_history(network: ConvNetClassifier, name: str) -> None:
    """Draw the losses and, where it was measured, the accuracy over the epochs."""
    history = network.history_.dropna(axis=1, how="all")
    losses = history.filter(like="loss")
    accuracy = history.filter(like="accuracy")
    panels = [panel for panel in (losses, accuracy, history[["lr"]]) if not panel.empty]
    figure, axes = plt.subplots(1, len(panels), figsize=(4 * len(panels), 3), layout="constrained")
    for axis, panel in zip(axes, panels):
        for column in panel:
            axis.plot(panel.index, panel[column], marker=".", label=column.replace("_", " "))
        axis.set_xlabel("epoch")
        axis.legend(frameon=False)
        axis.spines[["top", "right"]].set_visible(False)
    save(figure, name)


def draw_predictions(model: Pipeline, X: np.ndarray, y: np.ndarray) -> None:
    """Draw some test images with what the model takes them for, and how sure it is."""
    picks = np.random.default_rng(SEED).choice(len(X), size=16, replace=False)
    probability = model.predict_proba(X[picks])
    figure, axes = plt.subplots(2, 8, figsize=(11, 3.6), layout="constrained")
    for axis, pick, row in zip(axes.flat, picks, probability):
        guess = model.classes_[row.argmax()]
        right = guess == y[pick]
        axis.imshow(X[pick])
        axis.set_title(
            f"{guess.replace('_', ' ')} {row.max():.0%}",
            fontsize=8,
            color="tab:green" if right else "tab:red",
        )
        axis.set_xlabel("" if right else f"really: {y[pick].replace('_', ' ')}", fontsize=8)
        axis.set_xticks([])
        axis.set_yticks([])
    save(figure, "predictions")


def to_grey(X: np.ndarray) -> np.ndarray:
    """Average the colours of each pixel away."""
    return X.mean(axis=-1).astype(np.uint8)


def take_plants(X: np.ndarray, y: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Take n of the images of plants, or of all images where there are no plants."""
    plants = np.isin(y, PLANTS)
    if plants.any():
        X, y = X[plants], y[plants]
    if n < len(X):
        X, _, y, _ = train_test_split(X, y, train_size=n, stratify=y, random_state=SEED)
    return X, y


def save(figure: plt.Figure, name: str) -> None:
    """Write a picture next to this file."""
    path = HERE / f"cifar100_ecology_{name}.png"
    figure.savefig(path, dpi=120)
    plt.close(figure)
    print(f"picture: {path}")


if __name__ == "__main__":
    sys.exit(main())
