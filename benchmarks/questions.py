"""Numbers from images: how well networks count and measure, and how often intervals hold.

    python benchmarks/questions.py [JOB ...] [--seeds SEED ...] [--no-store] [--data DIR]

The jobs are counts, sizes, quantiles, covariates, labels (several in one image), ordinal (classes
with an order) and tasks (several questions about real photographs: CIFAR-100, for which --data
names the folder).

Generated images, 1,500 to train on and 500 or more to test on, new ones for each seed: of 64x64
pixels to count and to measure sizes, and of 32x32 for the others. Beside networks for counts and
sizes stands ridge regression on the flattened pixels, whose penalty is chosen by cross-validation.
Of the training images of CIFAR-100, 10,000 are trained on and 5,000 scored; the test images are
not touched. Results go to results/questions_<job>.json, where figures of other seeds stay if they
come from the same machine and versions. Takes about an hour on one core.
"""

import argparse
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from reporting import conditions, load, spread, store
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import RidgeCV
from sklearn.metrics import (
    average_precision_score,
    cohen_kappa_score,
    mean_absolute_error,
    r2_score,
)
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcnn import ConvNetClassifier, ConvNetMultiTask, ConvNetRegressor
from skcnn.datasets import (
    fetch_cifar100,
    make_images_and_covariates,
    make_organisms,
    make_scenes,
)
from skcnn.uncertainty import ConformalRegressor

N_TRAINING, N_TEST = 1_500, 500
# For images of 32x32 pixels.
LAYERS = {"filters": (16, 32, 64), "convs_per_block": 1}
SMALL = LAYERS | {"augment": "flip"}
EPOCHS = 15


def ridge(X, y, X_test):
    """Predict from flattened pixels, standardized."""
    model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(1, 6, 11)))
    return model.fit(X.reshape(len(X), -1), y).predict(X_test.reshape(len(X_test), -1))


def split(values):
    """Rows to train on, and rows to test on."""
    return values[:N_TRAINING], values[N_TRAINING:]


def count(seed):
    """Organisms per image; and in images of four times the area, without more training."""
    scenes = make_scenes(N_TRAINING + N_TEST, count=(0, 30), random_state=2 * seed)
    (X, X_test), (y, y_test) = split(scenes.data), split(scenes.count)
    reg = ConvNetRegressor(
        convs_per_block=1, loss="poisson", augment="flip", max_epochs=30, random_state=seed
    )
    start = time.perf_counter()
    reg.fit(X, y)
    seconds = time.perf_counter() - start
    large = make_scenes(200, image_size=128, count=(0, 120), random_state=2 * seed + 1)
    counted = reg.predict(large.data)
    error = mean_absolute_error(y_test, reg.predict(X_test))
    pixels = mean_absolute_error(y_test, ridge(X, y, X_test))
    return reg, {
        "mean absolute error": error,
        "mean absolute error, ridge": pixels,
        "ratio of both": error / pixels,
        "128x128: mean predicted / mean actual": counted.mean() / large.count.mean(),
        "128x128: mean absolute error": mean_absolute_error(large.count, counted),
        "seconds to train": seconds,
    }


def size(seed):
    """Length of the only organism in an image, in pixels."""
    scenes = make_scenes(
        N_TRAINING + N_TEST, count=(1, 1), length=(8, 40), random_state=100 + seed
    )
    (X, X_test), (y, y_test) = split(scenes.data), split(scenes.organisms["length"].to_numpy())
    reg = ConvNetRegressor(
        convs_per_block=1, augment="flip", max_epochs=30, random_state=seed
    ).fit(X, y)
    predicted = reg.predict(X_test)
    return reg, {
        "R2": r2_score(y_test, predicted),
        "R2, ridge": r2_score(y_test, ridge(X, y, X_test)),
        "mean absolute error": mean_absolute_error(y_test, predicted),
    }


def interval(seed):
    """Biomass, which an image tells only within limits: 80% should be between two quantiles."""
    rng = np.random.RandomState(200 + seed)
    # Shares of few images would tell little.
    n_held = 2_000
    scenes = make_scenes(N_TRAINING + 2 * n_held, image_size=32, count=(1, 4), random_state=rng)
    # Each organism has a weight that its image does not show.
    weight = scenes.organisms["length"] ** 2 * rng.gamma(4, 1 / 4, size=len(scenes.organisms))
    biomass = weight.groupby(scenes.organisms["image"]).sum().to_numpy()
    (X, X_test), (y, y_test) = split(scenes.data), split(biomass)
    X_calibrate, y_calibrate = X_test[:n_held], y_test[:n_held]
    X_test, y_test = X_test[n_held:], y_test[n_held:]
    # Few epochs, and the mean of the weights, so that less noise is learned by heart. Of eight
    # settings that were tried on images of other seeds, this one came closest to 80%.
    settings = SMALL | {"max_epochs": 8, "weight_averaging": 0.5, "random_state": seed}
    both = [
        ConvNetRegressor(loss="quantile", quantile=quantile, **settings).fit(X, y)
        for quantile in (0.1, 0.9)
    ]
    low, high = (reg.predict(X_test) for reg in both)
    conformal = ConformalRegressor(tuple(both), level=0.8).fit(X_calibrate, y_calibrate)
    calibrated_low, calibrated_high = conformal.predict_interval(X_test).T
    without_images = np.subtract(*np.quantile(y, [0.9, 0.1]))
    return both[0], {
        "share between": np.mean((low <= y_test) & (y_test <= high)),
        "share below": np.mean(y_test < low),
        "share above": np.mean(y_test > high),
        "width / width without images": np.mean(high - low) / without_images,
        "share between, calibrated": np.mean(
            (calibrated_low <= y_test) & (y_test <= calibrated_high)
        ),
        "width / width without images, calibrated": (
            np.mean(calibrated_high - calibrated_low) / without_images
        ),
    }


def site_data(seed):
    """Species of which an image tells the genus, and the elevation which of two it is."""
    rng = np.random.RandomState(300 + seed)
    n = N_TRAINING + N_TEST
    images, genus = make_organisms(n, n_classes=3, image_size=32, difficulty=0.7, random_state=rng)
    frame = pd.DataFrame({"elevation": rng.uniform(0, 2000, n), "slope": rng.uniform(0, 45, n)})
    # The two species of a genus replace each other around 1,000 m.
    high = 1 / (1 + np.exp(-(frame["elevation"].to_numpy() - 1000) / 150))
    species = 2 * genus + (rng.uniform(size=n) < high)
    (images, images_test), (y, y_test) = split(images), split(species)
    sites, sites_test = split(frame)
    common = LAYERS | {
        "augment": ("shift", "flip"),
        "max_epochs": EPOCHS,
        "random_state": seed,
    }
    alone = ConvNetClassifier(**common).fit(images, y).score(images_test, y_test)
    numbers = HistGradientBoostingClassifier(random_state=seed).fit(sites, y)
    clf = ConvNetClassifier(**common).fit(make_images_and_covariates(images, sites), y)
    both = clf.score(make_images_and_covariates(images_test, sites_test), y_test)
    # Whoever knows the genus, and how likely the species is at this elevation.
    best = np.maximum(high, 1 - high)[N_TRAINING:].mean()
    better = max(alone, numbers.score(sites_test, y_test))
    return clf, {
        "accuracy": both,
        "accuracy, images alone": alone,
        "accuracy, numbers alone": numbers.score(sites_test, y_test),
        "best possible accuracy": best,
        "share of the gap": (both - better) / (best - better),
    }


def labels(seed):
    """Which of eight kinds are in an image: one network, and one for each kind."""
    scenes = make_scenes(
        N_TRAINING + N_TEST,
        image_size=32,
        n_kinds=8,
        count=(0, 4),
        random_state=400 + seed,
    )
    (X, X_test), (y, y_test) = split(scenes.data), split((scenes.kinds > 0).astype(int))
    # Whether a thing is anywhere in an image is a question of maxima. One network has more to
    # learn, and gets more epochs.
    settings = {"global_pool": "average_max", "random_state": seed, **SMALL}
    clf = ConvNetClassifier(max_epochs=60, **settings)
    start = time.perf_counter()
    clf.fit(X, y)
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    each = [ConvNetClassifier(max_epochs=20, **settings).fit(X, column) for column in y.T]
    seconds_of_each = time.perf_counter() - start
    of_each = np.column_stack([one.predict_proba(X_test)[:, 1] for one in each])
    return clf, {
        "mean average precision": average_precision_score(y_test, clf.predict_proba(X_test)),
        "mean average precision, one network each": average_precision_score(y_test, of_each),
        "subset accuracy": clf.score(X_test, y_test),
        "subset accuracy, one network each": np.mean(((of_each > 0.5) == y_test).all(axis=1)),
        "time / time of one network each": seconds / seconds_of_each,
    }


def ordered(seed):
    """Five classes of length, in their order: as classes, and as numbers that are rounded."""
    scenes = make_scenes(
        N_TRAINING + N_TEST,
        image_size=32,
        count=(1, 1),
        length=(5, 20),
        random_state=500 + seed,
    )
    classes = np.digitize(scenes.organisms["length"], [8, 11, 14, 17])
    (X, X_test), (y, y_test) = split(scenes.data), split(classes)
    settings = {**SMALL, "max_epochs": EPOCHS, "random_state": seed}
    clf = ConvNetClassifier(**settings).fit(X, y)
    ways = {
        "most likely class": clf.predict(X_test),
        "mean class, rounded": (clf.predict_proba(X_test) @ clf.classes_).round(),
    }
    for loss in ("squared_error", "absolute_error"):
        reg = ConvNetRegressor(loss=loss, **settings).fit(X, y.astype(float))
        ways[loss] = reg.predict(X_test).round().clip(0, 4)
    return clf, {
        f"{name}, {way}": figure
        for way, predicted in ways.items()
        for name, figure in {
            "accuracy": np.mean(predicted == y_test),
            "mean absolute error": np.mean(np.abs(predicted - y_test)),
            "kappa": cohen_kappa_score(y_test, predicted.astype(int), weights="quadratic"),
        }.items()
    }


def tasks(seed, data):
    """Category and superclass of photographs: asked at once, and the category alone."""
    photos = fetch_cifar100(categories="ecology", data_home=data)
    names = pd.DataFrame(
        {
            "category": photos.target_names[photos.target],
            "superclass": photos.superclass_names[photos.superclass],
        }
    )
    X, X_test, y, y_test = train_test_split(
        photos.data,
        names,
        train_size=10_000,
        test_size=5_000,
        stratify=names["category"],
        random_state=seed,
    )
    kinds = dict.fromkeys(names, "classification")
    settings = LAYERS | {"max_epochs": EPOCHS, "random_state": seed}
    both = ConvNetMultiTask(kinds, **settings).fit(X, y)
    alone = ConvNetClassifier(**settings).fit(X, y["category"])
    superclass_of = names.drop_duplicates().set_index("category")["superclass"]
    predicted, probability = both.predict(X_test), both.predict_proba(X_test)
    figures = {
        f"accuracy, {name}": np.mean(predicted[name].to_numpy() == y_test[name].to_numpy())
        for name in names
    }
    summed = {
        "both questions": (both.classes_["category"], np.asarray(probability["category"])),
        "category alone": (alone.classes_, alone.predict_proba(X_test)),
    }
    for name, (classes, of_category) in summed.items():
        sums = pd.DataFrame(of_category).T.groupby(superclass_of[classes].to_numpy()).sum().T
        right = sums.columns[sums.to_numpy().argmax(1)] == y_test["superclass"].to_numpy()
        figures[f"accuracy, superclass by sums, {name}"] = np.mean(right)
    figures["accuracy, category alone"] = alone.score(X_test, y_test["category"])
    return both, figures


JOBS = {
    "counts": count,
    "sizes": size,
    "quantiles": interval,
    "covariates": site_data,
    "labels": labels,
    "ordinal": ordered,
    "tasks": tasks,
}


def added(name, seed, run, measured_on):
    """Return a stored result with the figures of one more seed."""
    before = load(name) or {}
    is_same = all(before.get(key) == value for key, value in measured_on.items())
    stored = before.get("runs", {}) if is_same else {}
    runs = {**stored, str(seed): {key: float(value) for key, value in run.items()}}
    figures = {key: spread([each[key] for each in runs.values()]) for key in run}
    return {"figures": figures, "runs": runs, **measured_on}


def main():
    """Run the jobs, each over several seeds."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("jobs", nargs="*", default=[], help=", ".join(JOBS))
    arguments.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments.add_argument("--no-store", action="store_true", help="only print")
    arguments.add_argument("--data", type=Path, help="folder that holds, or will hold, CIFAR-100")
    options = arguments.parse_args()
    for name in options.jobs or JOBS:
        job = partial(tasks, data=options.data) if name == "tasks" else JOBS[name]
        for seed in options.seeds:
            reg, run = job(seed)
            print(name, seed, {key: round(float(value), 3) for key, value in run.items()})
            if not options.no_store:
                store(f"questions_{name}", added(f"questions_{name}", seed, run, conditions(reg)))


if __name__ == "__main__":
    main()
