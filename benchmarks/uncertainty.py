"""What probabilities of real photographs are worth, and whether wrong labels are found by them.

    python benchmarks/uncertainty.py [PART ...] --data DIR [--model FILE] [--rounds N]

The training images of CIFAR-100's 61 ecology categories; its test images are not touched.

held_out    A network of one convolution per block learns from 200 images of each category. The
            300 others are split in halves, five times: one half finds the temperature, the
            thresholds of sets of labels, and the probability from which on labels are accepted;
            the other half shows what they are worth there. With --model, the fitted network is
            kept in that file, and read from it in the next run.
novelty     Every sixth category is unknown: networks learn from 200 images of each of the others.
            Of 300 others of each, one half finds the threshold for 5% false alarms, five times,
            and the other half and the unknown images show how many alarms there are.
labels      5% of 3,000 labels are changed to others. Images are ordered by the probability of
            their label, from networks that have not seen them, as cleanlab orders them, too: how
            many of the changed ones are among the first 10%?
duplicates  Images that are there twice with two labels are looked for by find_duplicates, and by
            comparing the pixels of all pairs. How many of them are among the first 10% in the
            same order as above, of 3,000 labels and theirs?

Results go to results/uncertainty_PART.json. Takes about 100 minutes on one core.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from reporting import describe_machine, spread, store, versions
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skcnn
from skcnn import ConvNetClassifier, FeatureExtractor
from skcnn.datasets import fetch_cifar100
from skcnn.inspection import find_duplicates
from skcnn.networks import Backbone
from skcnn.uncertainty import (
    ConformalClassifier,
    NoveltyDetector,
    conformal_sets,
    conformal_threshold,
    expected_calibration_error,
    review_threshold,
)

N_TRAINING = 200
LEVEL, ERROR, FALSE_ALARMS = 0.9, 0.05, 0.05
N_LABELS, FRACTION_WRONG, FRACTION_SEEN = 3_000, 0.05, 0.1


def photographs(data):
    """All training images of the ecology categories, and their numbers."""
    return fetch_cifar100(categories="ecology", data_home=data, return_X_y=True)


NETWORK = {"convs_per_block": 1, "max_epochs": 15}

# ---------------------------------------------------------------- images held out


def network(X, y, path):
    """A fitted network, or that of an earlier run."""
    if path is not None and path.is_file():
        return skcnn.load(path)
    clf = ConvNetClassifier(**NETWORK, device="cpu", random_state=0).fit(X, y)
    if path is not None:
        skcnn.save(clf, path)
    return clf


def held_out(options):
    """Calibrate on one half of images that were held out, and evaluate on the other."""
    X, y = photographs(options.data)
    n_classes = len(np.unique(y))
    X_train, X_held, y_train, y_held = train_test_split(
        X, y, train_size=N_TRAINING * n_classes, stratify=y, random_state=0
    )
    clf = network(X_train, y_train, options.model)
    proba = clf.predict_proba(X_held)
    rounds = [one_split(clf, X_held, y_held, proba, seed) for seed in range(options.rounds)]
    per_class = np.array([found.pop("coverage of each class") for found in rounds])
    figures = {name: spread([found[name] for found in rounds]) for name in rounds[0]}
    means = per_class.mean(axis=0)
    figures["least covered class, mean of the splits"] = float(means.min())
    figures["most covered class, mean of the splits"] = float(means.max())
    return {
        "images": {"training": len(X_train), "held out": len(X_held)},
        "accuracy": float(np.mean(clf.classes_[proba.argmax(1)] == y_held)),
        "figures": figures,
    }


def one_split(clf, X, y, proba, seed):
    """All figures of one split in halves."""
    rows = np.arange(len(y))
    first, second = train_test_split(rows, test_size=0.5, stratify=y, random_state=seed)
    calibrated = CalibratedClassifierCV(FrozenEstimator(clf), method="temperature")
    mended = calibrated.fit(X[first], y[first]).predict_proba(X[second])
    found = {
        "calibration error": expected_calibration_error(y[second], proba[second]),
        "calibration error, temperature": expected_calibration_error(y[second], mended),
    }
    truth = y[second, None] == clf.classes_
    for method in ("lac", "aps", "raps"):
        threshold = conformal_threshold(y[first], proba[first], method=method, level=LEVEL)
        sets = conformal_sets(proba[second], threshold, method=method)
        found[f"coverage, {method}"] = float(sets[truth].mean())
        found[f"labels in a set, {method}"] = float(sets.sum(1).mean())
    conformal = ConformalClassifier(clf, level=LEVEL, per_class=True).fit(X[first], y[first])
    sets = conformal_sets(proba[second], conformal.threshold_)
    each = np.array(
        [sets[truth[:, k] & (truth.sum(1) == 1), k].mean() for k in range(truth.shape[1])]
    )
    found["coverage, per class"] = float(sets[truth].mean())
    found["labels in a set, per class"] = float(sets.sum(1).mean())
    found["least covered class"] = float(each.min())
    found["most covered class"] = float(each.max())
    found["coverage of each class"] = each
    threshold = review_threshold(y[first], proba[first], error=ERROR)
    accepted = proba[second].max(1) >= threshold
    wrong = clf.classes_[proba[second].argmax(1)] != y[second]
    found["accepted"] = float(accepted.mean())
    found["wrong among the accepted"] = float(wrong[accepted].mean()) if accepted.any() else 0.0
    return found


# ---------------------------------------------------------------- novelty


def novelty(options):
    """Look for images of categories that a network has not learned."""
    X, y = photographs(options.data)
    unknown = np.isin(y, np.unique(y)[::6])
    X_known, y_known, X_unknown = X[~unknown], y[~unknown], X[unknown][::3]
    n_classes = len(np.unique(y_known))
    X_train, X_held, y_train, y_held = train_test_split(
        X_known, y_known, train_size=N_TRAINING * n_classes, stratify=y_known, random_state=0
    )
    lite = Backbone("efficientnet_lite0", image_size=128)
    networks = {
        "network from scratch": ConvNetClassifier(**NETWORK, device="cpu", random_state=0),
        "pretrained network": ConvNetClassifier(
            module=lite, max_epochs=15, augment=None, device="cpu", random_state=0
        ),
    }
    figures, accuracies = {}, {}
    for name, clf in networks.items():
        answers = Answers().fit(clf.fit(X_train, y_train), X_held, X_unknown)
        accuracies[name] = float(np.mean(answers.predict(np.arange(len(X_held))) == y_held))
        for method in ("entropy", "mahalanobis"):
            rounds = [alarms(answers, y_held, method, seed) for seed in range(options.rounds)]
            figures[f"{name}, {method}"] = {
                what: spread([found[what] for found in rounds]) for what in rounds[0]
            }
            print(name, method, figures[f"{name}, {method}"], flush=True)
    return {
        "images": {"training": len(X_train), "known": len(X_held), "unknown": len(X_unknown)},
        "categories": {"known": n_classes, "unknown": len(np.unique(y[unknown]))},
        "accuracy": accuracies,
        "figures": figures,
    }


class Answers(ClassifierMixin, BaseEstimator):
    """What a network says of images, computed once: X is their numbers, unknown ones last."""

    def fit(self, clf, *images):
        """Ask a fitted network."""
        self.classes_ = clf.classes_
        self.probabilities = np.concatenate([clf.predict_proba(X) for X in images])
        self.features = np.concatenate([clf.transform(X) for X in images])
        return self

    def predict_proba(self, rows):
        """Return the probabilities of some images."""
        return self.probabilities[rows]

    def predict(self, rows):
        """Return the labels of some images."""
        return self.classes_[self.probabilities[rows].argmax(axis=1)]

    def transform(self, rows):
        """Return the features of some images."""
        return self.features[rows]


def alarms(answers, y_held, method, seed):
    """How many known and unknown images are called unknown, in one split of the known ones."""
    known = np.arange(len(y_held))
    first, second = train_test_split(known, test_size=0.5, stratify=y_held, random_state=seed)
    unknown = np.arange(len(y_held), len(answers.features))
    detector = NoveltyDetector(answers, method=method, false_alarms=FALSE_ALARMS)
    detector.fit(first, y_held[first])
    scores = np.concatenate([detector.score_samples(rows) for rows in (second, unknown)])
    is_known = np.arange(len(scores)) < len(second)
    return {
        "false alarms": float(np.mean(detector.predict(second) == -1)),
        "unknown images found": float(np.mean(detector.predict(unknown) == -1)),
        "pairs in the right order": float(roc_auc_score(is_known, scores)),
    }


# ---------------------------------------------------------------- labels


def labels(options):
    """Change labels, and look for them among those that are improbable."""
    X, y = photographs(options.data)
    X_all, _, y_all, _ = train_test_split(X, y, train_size=N_LABELS, stratify=y, random_state=0)
    on_features, features = pretrained(X_all)
    ten = np.isin(y, np.unique(y)[::6][:10])
    X_ten, _, y_ten, _ = train_test_split(
        X[ten], y[ten], train_size=N_LABELS, stratify=y[ten], random_state=0
    )
    scratch = ConvNetClassifier(**NETWORK, device="cpu", random_state=0)
    ways = {
        "61 categories, pretrained features": (on_features, features, y_all, options.rounds),
        "10 categories, network from scratch": (scratch, X_ten, y_ten, 2),
        "61 categories, network from scratch": (scratch, X_all, y_all, 1),
    }
    figures = {}
    for name, (estimator, data, true, n_draws) in ways.items():
        draws = [look_for_changed(estimator, data, true, seed) for seed in range(n_draws)]
        figures[name] = {what: spread([draw[what] for draw in draws]) for what in draws[0]}
        print(name, figures[name], flush=True)
    return {"images": N_LABELS, "changed": round(FRACTION_WRONG * N_LABELS), "figures": figures}


def pretrained(X):
    """A classifier, and the features it takes."""
    extractor = FeatureExtractor(Backbone("efficientnet_lite0", image_size=128))
    on_features = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300))
    return on_features, extractor.fit_transform(X)


def look_for_changed(estimator, X, y, seed):
    """Which fraction of the changed labels is found, and what cleanlab makes of them."""
    random = np.random.default_rng(seed)
    true = np.unique(y, return_inverse=True)[1]
    changed = random.choice(len(y), size=round(FRACTION_WRONG * len(y)), replace=False)
    given = true.copy()
    given[changed] = (true[changed] + random.integers(1, true.max() + 1, len(changed))) % (
        true.max() + 1
    )
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    proba = cross_val_predict(estimator, X, given, cv=folds, method="predict_proba")
    order = np.argsort(proba[np.arange(len(y)), given], kind="stable")
    first = order[: round(FRACTION_SEEN * len(y))]
    found = {
        "accuracy": float(np.mean(proba.argmax(1) == true)),
        "found among the first tenth": float(np.isin(changed, first).mean()),
    }
    try:
        from cleanlab.filter import find_label_issues
    except ModuleNotFoundError:
        return found
    suspects = find_label_issues(
        given, proba, return_indices_ranked_by="self_confidence", n_jobs=1
    )
    return found | {
        "suspects of cleanlab": len(suspects),
        "found among the suspects of cleanlab": float(np.isin(changed, suspects).mean()),
    }


# ---------------------------------------------------------------- duplicates

# Gray pixels of two photographs that are correlated by so much are the same, as all that were
# found have been looked at, and others are not.
LEAST_CORRELATION = 0.97
# That of their means over 4x4 pixels, to find candidates.
LEAST_COARSE = 0.96


def duplicates(options):
    """Look for images that are there twice, and for two labels among improbable ones."""
    data = fetch_cifar100(categories="ecology", data_home=options.data)
    X, y, names = data.data, data.target, data.target_names
    found = find_duplicates(X, y)
    two = found[found["n_labels"] > 1]
    sets = [part for _, part in two.groupby("set")]
    compared = pairs_by_pixels(X)
    compared = compared[y[compared[:, 0]] != y[compared[:, 1]]]
    number = found.set_index("row")["set"].reindex(range(len(X)), fill_value=-1).to_numpy()
    numbers = number[compared]
    refound = (numbers[:, 0] >= 0) & (numbers[:, 0] == numbers[:, 1])
    rows = np.union1d(chosen_rows(y), two["row"])
    on_features, features = pretrained(X[rows])
    ranks = []
    for seed in range(options.rounds):
        folds = StratifiedKFold(5, shuffle=True, random_state=seed)
        proba = cross_val_predict(on_features, features, y[rows], cv=folds, method="predict_proba")
        order = np.argsort(proba[np.arange(len(rows)), y[rows]], kind="stable")
        first = rows[order[: round(FRACTION_SEEN * len(rows))]]
        ranks.append(
            {
                "images among the first tenth": float(two["row"].isin(first).mean()),
                "sets with one among the first tenth": float(
                    np.mean([part["row"].isin(first).any() for part in sets])
                ),
            }
        )
    return {
        "images": len(X),
        "images in order": len(rows),
        "figures": {
            "sets": int(found["set"].nunique()),
            "images in sets": len(found),
            "sets with exact copies": int(found[found["exact"]]["set"].nunique()),
            "sets with two labels": len(sets),
            "images in sets with two labels": len(two),
            "sets with two labels and exact copies": int(two[two["exact"]]["set"].nunique()),
            "pairs with two labels by pixels": len(compared),
            "of these found": int(refound.sum()),
            **{name: spread([rank[name] for rank in ranks]) for name in ranks[0]},
        },
        "with two labels": [
            {
                "rows": part["row"].tolist(),
                "labels": [str(names[label]) for label in part["label"]],
                "exact": bool(part["exact"].all()),
            }
            for part in sets
        ],
    }


def chosen_rows(y):
    """The rows that the part `labels` takes."""
    rows = np.arange(len(y))
    return train_test_split(rows, train_size=N_LABELS, stratify=y, random_state=0)[0]


def pairs_by_pixels(X):
    """Rows of all pairs of images (n, 2) whose gray pixels are the same up to small changes."""
    gray = X.astype(np.float32).mean(axis=3)
    fine = standardized(gray.reshape(len(X), -1))
    coarse = standardized(gray.reshape(-1, 8, 4, 8, 4).mean(axis=(2, 4)).reshape(len(X), -1))
    pairs = []
    for start in range(0, len(X), 2000):
        first, second = np.nonzero(coarse[start : start + 2000] @ coarse.T > LEAST_COARSE)
        first += start
        kept = first < second
        first, second = first[kept], second[kept]
        alike = np.sum(fine[first] * fine[second], axis=1) > LEAST_CORRELATION
        pairs.append(np.column_stack([first[alike], second[alike]]))
    return np.concatenate(pairs)


def standardized(rows):
    """Rows whose products are their correlations; 0 where a row is uniform."""
    rows = rows - rows.mean(axis=1, keepdims=True)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)


PARTS = {"held_out": held_out, "novelty": novelty, "labels": labels, "duplicates": duplicates}


def main():
    """Measure, print and store."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("parts", nargs="*", choices=[[], *PARTS], metavar="PART")
    arguments.add_argument("--data", type=Path, help="folder that holds, or will hold, CIFAR-100")
    arguments.add_argument("--model", type=Path, help="file that keeps the fitted network")
    arguments.add_argument("--rounds", type=int, default=5)
    options = arguments.parse_args()
    for part in options.parts or PARTS:
        began = time.monotonic()
        result = PARTS[part](options)
        result |= {
            "seconds": time.monotonic() - began,
            "threads": torch.get_num_threads(),
            "machine": describe_machine("cpu"),
            "versions": versions("cleanlab") if part == "labels" else versions(),
        }
        print(part, result)
        store(f"uncertainty_{part}", result)


if __name__ == "__main__":
    main()
