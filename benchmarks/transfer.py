"""What pretrained networks are worth with few images, and how they are best used.

    python benchmarks/transfer.py JOB [JOB ...] [--data DIR] [--cache DIR] [--size N] [--draws N]

Photographs of CIFAR-100's 61 ecology categories: 20 training images of each (100 in the job
"all") are held out and scored, the others are drawn from. The test images are not touched. Jobs:

- inputs: which scale of pixels and which padding the weights of "efficientnet_lite0" were trained
  with: accuracy on ImageNet's own classes, and entropy, of images of 35 categories that are
  classes of ImageNet, too
- sizes: how large images should be inside of the network
- few: 10, 25 and 50 images per category, by several ways
- kinds: the same with made-up images that are no photographs, 40 of each class held out
- all: all images that are not held out, of all 61 categories and of the 56 without people
- unfreeze: frozen and trained stages, 25 images per category
- donors: a network of 41 categories for the 20 others, 25 images each
- search: nine heads for a frozen network, three folds each, with and without `cache_dir`

Results go to results/transfer_JOB.json. With --cache, features of images are kept there. Times are
those that the CPU computed, so that other programs do not count: run it with one thread.
"""

import argparse
import time
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import joblib
import numpy as np
import torch
from kinds import KINDS
from reporting import describe_machine, load, store, versions
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from skcnn import ConvNetClassifier, FeatureExtractor, recipes
from skcnn.datasets import fetch_cifar100
from skcnn.networks import Backbone, ConvBlocks
from skcnn.networks._efficientnet_lite import SIZES, SameConv2d, build_stages, convert_weights
from skcnn.networks._weights import find_packaged, read_weights

NAME = "efficientnet_lite0"
N_HELD_OUT, N_HELD_OUT_OF_ALL = 20, 100
N_TIMED = 500
# Enough for stages that were trained before, and each takes as long as dozens of a head alone.
EPOCHS_OF_STAGES = 6
EPOCHS_OF_HEADS = 15
N_SEARCH_IMAGES, N_SEARCH_CLASSES = 600, 20
PEOPLE = ("baby", "boy", "girl", "man", "woman")
# Numbers of ImageNet's classes that are photographs of a category of CIFAR-100.
IN_IMAGENET = {
    "bear": [294, 295, 296, 297],
    "beaver": [337],
    "bee": [309],
    "beetle": list(range(300, 308)),
    "butterfly": list(range(321, 327)),
    "camel": [354],
    "chimpanzee": [367],
    "cockroach": [314],
    "crab": [118, 119, 120, 121],
    "crocodile": [49, 50],
    "dinosaur": [51],
    "elephant": [101, 385, 386],
    "fox": [277, 278, 279, 280],
    "hamster": [333],
    "kangaroo": [104],
    "leopard": [288, 289, 290],
    "lion": [291],
    "lizard": list(range(38, 49)),
    "lobster": [122, 123],
    "mushroom": [947, *range(991, 998)],
    "otter": [360],
    "porcupine": [334],
    "rabbit": [330, 331, 332],
    "ray": [5, 6],
    "seal": [150],
    "shark": [2, 3, 4],
    "skunk": [361],
    "snail": [113],
    "snake": list(range(52, 69)),
    "spider": list(range(72, 78)),
    "squirrel": [335],
    "tiger": [292],
    "turtle": list(range(33, 38)),
    "whale": [147, 148],
    "wolf": [269, 270, 271, 272],
}
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SCALES = {
    "(pixel - 127) / 128": ((127 / 255,) * 3, (128 / 255,) * 3),
    "(pixel - 127.5) / 127.5": ((0.5,) * 3, (0.5,) * 3),
    "mean and SD of ImageNet": (_IMAGENET_MEAN, _IMAGENET_STD),
    "pixel / 255": ((0.0,) * 3, (1.0,) * 3),
}


def photographs(data):
    """All training images of the ecology categories, and their names."""
    bunch = fetch_cifar100(categories="ecology", data_home=data)
    names = np.asarray(bunch.target_names)
    return bunch.data.reshape(-1, 32, 32, 3), names[bunch.target]


def split(y, n_held_out=N_HELD_OUT):
    """Rows held out, and rows to draw from, of each category in a random order."""
    rng = np.random.RandomState(0)
    orders = [rng.permutation(np.flatnonzero(y == name)) for name in np.unique(y)]
    return np.concatenate([o[:n_held_out] for o in orders]), [o[n_held_out:] for o in orders]


def draw(pools, n_images, seed):
    """Some rows of each category."""
    rng = np.random.RandomState(seed)
    return np.concatenate([rng.choice(pool, n_images, replace=False) for pool in pools])


def features_of(images, size, layer=None):
    """Features of images, and the seconds that they took."""
    extractor = FeatureExtractor(Backbone(NAME, image_size=size, layer=layer)).fit(images)
    start = time.process_time()
    return extractor.transform(images), time.process_time() - start


def regression(C=0.01):
    """The estimator for features that the guide names."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=300))


def measure_inputs(options):
    """Score ImageNet's own classifier, with each scale of pixels and each padding."""
    X, y = photographs(options.data)
    rows = draw([np.flatnonzero(y == name) for name in IN_IMAGENET], 6, 0)
    weights = read_weights(find_packaged(NAME))
    figures = {}
    for padding in ("same", "symmetric"):
        stages = build_stages(SIZES[NAME])
        body = nn.Sequential(stages).eval()
        body.load_state_dict(convert_weights(weights, stages))
        if padding == "symmetric":
            for layer in body.modules():
                if isinstance(layer, SameConv2d):
                    layer.forward = torch_padding(layer)
        for scale, (mean, std) in SCALES.items():
            logits = []
            with torch.inference_mode():
                for some in np.array_split(rows, 20):
                    x = torch.from_numpy(X[some]).float().permute(0, 3, 1, 2) / 255
                    x = nn.functional.interpolate(x, (224, 224), mode="bilinear", antialias=True)
                    x = (x - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
                    found = body(x.contiguous(memory_format=torch.channels_last)).mean((2, 3))
                    logits.append(found @ weights["_fc.weight"].T + weights["_fc.bias"])
            p = torch.cat(logits).softmax(1)
            right = [
                best in IN_IMAGENET[name] for best, name in zip(p.argmax(1).tolist(), y[rows])
            ]
            entropy = float(-(p * p.clamp_min(1e-12).log()).sum(1).mean())
            figures[f"{scale}, {padding} padding"] = [float(np.mean(right)), entropy]
            print(scale, padding, np.mean(right), entropy, flush=True)
    yield {"figures": figures, "n_images": len(rows)}


def torch_padding(layer):
    """Run a convolution with as many pixels on either side, as torch's own layers do."""
    padding = [kernel // 2 for kernel in layer.kernel_size]
    return lambda x: nn.functional.conv2d(
        x, layer.weight, None, layer.stride, padding, layer.dilation, layer.groups
    )


def measure_sizes(options):
    """Score features of images of several sizes, on images that no other job scores."""
    X, y = photographs(options.data)
    _, pools = split(y)
    scored = np.concatenate([pool[-N_HELD_OUT:] for pool in pools])
    rows = draw([pool[:-N_HELD_OUT] for pool in pools], 20, 0)
    figures = {}
    for size in (96, 128, 160, 224):
        features, _ = options.features(X[np.r_[scored, rows]], size)
        clf = regression().fit(features[len(scored) :], y[rows])
        accuracy = clf.score(features[: len(scored)], y[scored])
        figures[str(size)] = [accuracy, 1000 * seconds_per_image(X, size)]
        print(size, *figures[str(size)], flush=True)
        yield {"figures": figures, "n_images": 20, "n_scored": len(scored)}


def every_feature(options, X):
    """Features of all images, and the seconds that those of an image take."""
    parts = [options.features(part, options.size)[0] for part in np.array_split(X, 10)]
    return np.concatenate(parts), seconds_per_image(X, options.size)


def seconds_per_image(X, size):
    """Time some of the images anew, whatever was cached."""
    return features_of(X[:N_TIMED], size)[1] / N_TIMED


def measure_few(options):
    """Score several ways with few images of each category."""
    X, y = photographs(options.data)
    figures = stored_figures("few", options)
    ways = {"recipes.fast": recipes.fast, "recipes.few": recipes.few}
    parts = split(y)
    features = cache(partial(every_feature, options, X))
    for name in compare_ways(X, y, parts, features, ways, figures, options):
        yield {"figures": figures, "just measured": f"photographs, {name}"}


def measure_kinds(options):
    """Score features and a network from scratch on few images that are no photographs."""
    kinds = stored_figures("kinds", options)
    for kind in ("organisms", "plankton"):
        X, _, y, _ = KINDS[kind](options.data)
        held_out, pools = split(y, 40)
        figures = kinds.setdefault(kind, {})
        features = cache(partial(every_feature, options, X))
        parts = held_out, pools
        for name in compare_ways(X, y, parts, features, {}, figures, options):
            yield {"figures": kinds, "just measured": f"{kind}, {name}"}


def compare_ways(X, y, parts, features, recipes_, figures, options):
    """Add figures of each way to few images of each class, one after the other, and name it."""
    held_out, pools = parts
    ways = {
        "features and regression": regression(),
        "ConvNetClassifier()": ConvNetClassifier(),
        **{name: ConvNetClassifier(**recipe) for name, recipe in recipes_.items()},
    }
    for seed in range(options.draws):
        for n_images in (10, 25, 50):
            rows = draw(pools, n_images, seed)
            for way, clf in ways.items():
                runs = figures.setdefault(f"{n_images}, {way}", [])
                is_scratch = way != "features and regression"
                too_many = is_scratch and seed >= (options.scratch_draws or options.draws)
                if len(runs) > seed or way in options.without or too_many:
                    continue
                if is_scratch:
                    clf = clone(clf).set_params(random_state=seed)
                # They take minutes, and are not wanted where only the others are measured.
                images, per_image = (X, 0) if is_scratch else features()
                accuracy, seconds = fit_and_score(
                    clf, images[rows], y[rows], images[held_out], y[held_out]
                )
                runs.append([accuracy, seconds + per_image * len(rows)])
                print(n_images, way, *runs[-1], flush=True)
                yield f"{n_images}, {way}"


def stored_figures(job, options):
    """Figures that a job goes on from: none, or those that are stored already."""
    found = load(f"transfer_{job}") if options.resume else None
    return found["figures"] if found else {}


def fit_and_score(clf, X, y, X_held_out, y_held_out):
    """Accuracy on images held out, and the seconds that the CPU computed for the fit."""
    start = time.process_time()
    clf.fit(X, y)
    seconds = time.process_time() - start
    return clf.score(X_held_out, y_held_out), seconds


def measure_all(options):
    """Score features and regression with all images that are not held out."""
    X, y = photographs(options.data)
    features, per_image = every_feature(options, X)
    figures = {}
    # The score of as many as the official test images have less of an error than that of a few.
    held_out, pools = split(y, N_HELD_OUT_OF_ALL)
    pools = np.concatenate(pools)
    for without in ((), PEOPLE):
        chosen = ~np.isin(y, without)
        scored, rows = (some[chosen[some]] for some in (held_out, pools))
        # The strength of regularization is chosen on training images alone.
        one_split = StratifiedShuffleSplit(1, test_size=0.1, random_state=0)
        strengths = {"logisticregression__C": [0.001, 0.003, 0.01]}
        search = GridSearchCV(regression(), strengths, cv=one_split, refit=False)
        start = time.process_time()
        search.fit(features[rows], y[rows])
        search_seconds = time.process_time() - start
        clf = regression().set_params(**search.best_params_)
        accuracy, seconds = fit_and_score(
            clf, features[rows], y[rows], features[scored], y[scored]
        )
        figures[str(len(np.unique(y[rows])))] = {
            "accuracy": accuracy,
            "C": search.best_params_["logisticregression__C"],
            "n_images": len(rows),
            "n_held_out": len(scored),
            "features, seconds": per_image * len(rows),
            "search, seconds": search_seconds,
            "fit, seconds": seconds,
        }
        print(figures, flush=True)
        yield {"figures": figures}


def measure_unfreeze(options):
    """Score frozen and trained stages, 25 images of each category."""
    X, y = photographs(options.data)
    held_out, pools = split(y)
    # Each with its number of draws.
    settings = {
        "frozen": ({}, options.draws),
        "unfreeze=1": ({"unfreeze": 1}, options.draws),
        "unfreeze=1, head_first=False": ({"unfreeze": 1, "head_first": False}, options.draws),
        "unfreeze=2": ({"unfreeze": 2}, 1),
    }
    figures = stored_figures("unfreeze", options)
    for setting, (parameters, n_draws) in settings.items():
        for seed in range(n_draws):
            runs = figures.setdefault(setting, [])
            if len(runs) > seed:
                continue
            rows = draw(pools, 25, seed)
            clf = ConvNetClassifier(
                module=Backbone(NAME, image_size=options.size, **parameters),
                max_epochs=EPOCHS_OF_STAGES if parameters else "auto",
                random_state=seed,
            )
            runs.append(fit_and_score(clf, X[rows], y[rows], X[held_out], y[held_out]))
            print(setting, *runs[-1], flush=True)
            yield {"figures": figures, "epochs": EPOCHS_OF_STAGES}


def measure_donors(options):
    """Score donors for 20 categories, trained on the 41 others with and without smoothing."""
    X, y = photographs(options.data)
    names = np.unique(y)
    new = np.isin(y, names[::3][:20])
    held_out, pools = split(y)
    held_out = held_out[new[held_out]]
    pools = [pool for pool in pools if new[pool[0]]]
    blocks = ConvBlocks(filters=(32, 64, 128), convs_per_block=2, pool_after="first")
    donors = {}
    for smoothing in (0.0, 0.1):
        donor = ConvNetClassifier(module=blocks, label_smoothing=smoothing, random_state=0)
        start = time.process_time()
        donors[smoothing] = donor.set_params(max_epochs=options.epochs).fit(X[~new], y[~new])
        print("donor", smoothing, time.process_time() - start, flush=True)
    figures = stored_figures("donors", options)
    for seed in range(options.draws):
        rows = draw(pools, 25, seed)
        ways = {"from scratch": ConvNetClassifier(random_state=seed)}
        for smoothing, donor in donors.items():
            for layer in (None, "block2"):
                module = Backbone(donor, layer=layer)
                way = f"donor with label_smoothing={smoothing}, layer={layer}"
                ways[way] = ConvNetClassifier(module=module, random_state=seed)
        for way, clf in ways.items():
            runs = figures.setdefault(way, [])
            if len(runs) > seed:
                continue
            runs.append(fit_and_score(clf, X[rows], y[rows], X[held_out], y[held_out]))
            print(way, *runs[-1], flush=True)
        yield {"figures": figures, "epochs": options.epochs, "n_donor_images": int((~new).sum())}


def measure_search(options):
    """Time a search over heads of a frozen network, with and without `cache_dir`, in turns."""
    X, y = photographs(options.data)
    _, pools = split(y)
    rows = np.concatenate(pools[:N_SEARCH_CLASSES])
    rows = np.random.RandomState(0).choice(rows, N_SEARCH_IMAGES, replace=False)
    heads = {"lr": [0.03, 0.1, 0.3], "weight_decay": [0.0, 0.0005, 0.005]}
    seconds, scores = {"with": [], "without": []}, {}
    for _ in range(options.rounds):
        for way, found in seconds.items():
            with TemporaryDirectory() as folder:
                clf = ConvNetClassifier(
                    module=Backbone(NAME, image_size=options.size),
                    cache_dir=folder if way == "with" else None,
                    max_epochs=EPOCHS_OF_HEADS,
                    random_state=0,
                )
                search = GridSearchCV(clf, heads, cv=3, refit=False)
                start = time.process_time()
                search.fit(X[rows], y[rows])
                found.append(time.process_time() - start)
            splits = [search.cv_results_[f"split{n}_test_score"] for n in range(3)]
            scores[way] = np.array(splits)
            print(way, "cache_dir:", found[-1], "s, mean score", scores[way].mean(), flush=True)
    differences = np.abs(scores["with"] - scores["without"])
    yield {
        "figures": {
            "seconds": seconds,
            "greatest difference of a score": differences.max(),
            "scores that differ": int((differences > 0).sum()),
            "scores": differences.size,
            "mean score": scores["with"].mean(),
        },
        "n_images": len(rows),
        "n_classes": N_SEARCH_CLASSES,
        "epochs": EPOCHS_OF_HEADS,
    }


JOBS = {
    "inputs": measure_inputs,
    "sizes": measure_sizes,
    "few": measure_few,
    "kinds": measure_kinds,
    "all": measure_all,
    "unfreeze": measure_unfreeze,
    "donors": measure_donors,
    "search": measure_search,
}


def main():
    """Measure what the command line asks for, and store it."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("jobs", nargs="+", choices=JOBS, metavar="JOB", help=", ".join(JOBS))
    arguments.add_argument("--data", type=Path, help="folder that holds, or will hold, CIFAR-100")
    arguments.add_argument("--cache", type=Path, help="folder that keeps features")
    arguments.add_argument("--size", type=int, default=160, help="of images in the network")
    arguments.add_argument("--draws", type=int, default=3, help="of training images")
    arguments.add_argument("--scratch-draws", type=int, help="for networks from scratch, if fewer")
    arguments.add_argument("--without", nargs="*", default=[], help="ways that few leaves out")
    arguments.add_argument("--epochs", type=int, default=6, help="of donors")
    arguments.add_argument("--rounds", type=int, default=1, help="of the search")
    arguments.add_argument("--resume", action="store_true", help="go on from stored figures")
    options = arguments.parse_args()
    options.features = joblib.Memory(options.cache, verbose=0).cache(features_of)
    conditions = {
        "size": options.size,
        "machine": describe_machine("cpu"),
        "threads": torch.get_num_threads(),
        "versions": versions(),
    }
    for job in options.jobs:
        # What is measured anew on another machine is stored with that one, beside the rest.
        before = (load(f"transfer_{job}") if options.resume else None) or conditions
        kept = {key: before[key] for key in conditions}
        others = before.get("measured elsewhere", {})
        # After each part, so that nothing is lost where a long job is cut off.
        for result in JOBS[job](options):
            name = result.pop("just measured", None)
            others.pop(name, None)
            if name and kept != conditions:
                others[name] = conditions
            store(f"transfer_{job}", result | kept | {"measured elsewhere": others})


if __name__ == "__main__":
    main()
