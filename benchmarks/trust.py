"""How files and fits bear damage and death: python benchmarks/trust.py

Measures, each by itself with --only:

    damage      truncations and changed bytes of a model file: each must be an error
    fits        fits that are killed at a random moment and called again: the same bits
    saves       saves that are killed at a random moment: the old file or the new one
    overhead    what checkpoints cost, on the lesson's network
    onnx        how far onnxruntime is from each estimator, for every network and option

Writes results/trust.json, and the table of the page about saving. Takes some minutes.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import signal
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from reporting import describe_machine, load, spread, store, versions
from torch import nn

import skcnn
from skcnn import (
    ConvNetClassifier,
    ConvNetMultiTask,
    ConvNetRegressor,
    ConvNetSegmenter,
    FeatureExtractor,
    recipes,
)
from skcnn._engine._checkpoints import CheckpointRequest, TrainingCheckpoint
from skcnn._estimators._onnx_check import answers_of
from skcnn._estimators._onnx_graph import outputs_of
from skcnn.datasets import make_images_and_covariates, make_organisms
from skcnn.networks import Backbone, CompactTransformer, ConvBlocks, UNet
from skcnn.networks._blocks import ACTIVATIONS

TABLE = Path(__file__).parents[1] / "docs" / "recorded" / "trust.md"
BACKBONES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
COMMON = {"random_state": 0, "device": "cpu", "precision": "float32"}
FITS = {
    "default": {},
    "averages": {"weight_averaging": 0.5, "progressive_resizing": (0.75, 1.0)},
    "stopping": {"early_stopping": True, "n_iter_no_change": 2},
    "constant": {"lr_schedule": None, "augment": ("flip", "mixup"), "dropout": 0.2},
}


def images(n=300, size=16):
    """Made-up organisms of three species."""
    return make_organisms(n_samples=n, n_classes=3, image_size=size, random_state=0)


def damage(options):
    """Every truncation of a small file, and random changes of single bytes."""
    X, y = images(60, 8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.skcnn")
        clf = ConvNetClassifier(filters=(4,), max_epochs=1, **COMMON).fit(X, y)
        skcnn.save(clf, path)
        whole = path.read_bytes()
        random = np.random.default_rng(0)
        places = random.integers(len(whole), size=options.flips)
        changes = [(whole[:n], n) for n in range(len(whole))]
        for place, change in zip(places, random.integers(1, 256, size=options.flips)):
            data = bytearray(whole)
            data[place] ^= int(change)
            changes.append((bytes(data), place))
        errors = 0
        for data, _ in changes:
            path.write_bytes(data)
            try:
                skcnn.load(path)
            except ValueError:
                errors += 1
    return {"bytes": len(whole), "changes": len(changes), "errors": errors}


def fingerprint(clf):
    """A hash of weights, losses and probabilities."""
    weights = [w.numpy().tobytes() for w in clf.module_.state_dict().values()]
    return hashlib.sha256(b"".join([*weights, np.array(clf.loss_curve_).tobytes()])).hexdigest()


def fit_once(parameters, folder, pipe):
    """Fit, in a process of its own, and send a hash of what came out."""
    clf = ConvNetClassifier(
        **{"filters": (8, 16), "max_epochs": 8, **COMMON, **parameters}, checkpoint_dir=folder
    )
    pipe.send("begun")
    pipe.send(fingerprint(clf.fit(*images())))


def start(function, *arguments):
    """Start a process, and wait until it has begun."""
    here, there = multiprocessing.get_context("fork").Pipe()
    process = multiprocessing.get_context("fork").Process(
        target=function, args=(*arguments, there)
    )
    process.start()
    here.recv()
    return process, here


def fits(options):
    """Kill fits at random moments, each up to three times, and call them again."""
    random, same, resumed = np.random.default_rng(0), 0, 0
    whole, seconds = {}, {}
    for name, parameters in FITS.items():
        process, pipe = start(fit_once, parameters, None)
        began = time.perf_counter()
        whole[name] = pipe.recv()
        seconds[name] = time.perf_counter() - began
        process.join()
    for number in range(options.kills):
        name = list(FITS)[number % len(FITS)]
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(1 + number % 3):
                process, pipe = start(fit_once, FITS[name], folder)
                time.sleep(random.uniform(0, seconds[name]))
                os.kill(process.pid, signal.SIGKILL)
                process.join()
            resumed += any(Path(folder).rglob("*-*"))
            process, pipe = start(fit_once, FITS[name], folder)
            same += pipe.recv() == whole[name]
            process.join()
    return {"kills": options.kills, "same": same, "with_a_checkpoint": resumed}


def save_for_ever(estimator, path, pipe):
    """Save an estimator again and again, each time with another number in it."""
    pipe.send("begun")
    while True:
        estimator.n_iter_ += 1
        skcnn.save(estimator, path)


def saves(options):
    """Kill a process that saves a model again and again, and load what is there."""
    clf = ConvNetClassifier(filters=(32, 64), max_epochs=1, **COMMON).fit(*images())
    X, _ = images(20)
    expected, random = clf.predict_proba(X), np.random.default_rng(0)
    loaded, numbers = 0, set()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.skcnn")
        skcnn.save(clf, path)
        for _ in range(options.kills):
            process, _pipe = start(save_for_ever, skcnn.load(path), path)
            time.sleep(random.uniform(0, 0.2))
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            again = skcnn.load(path)
            loaded += bool((again.predict_proba(X) == expected).all())
            numbers.add(again.n_iter_)
    return {"kills": options.kills, "loaded": loaded, "different_files": len(numbers)}


def overhead(options):
    """Time what checkpoints add to fits of the lesson's network: within the fits, wall time.

    Other work on the machine slows the parts of a fit alike; fits with and without would differ.
    """
    X, y = images(options.images, 32)
    spent, fractions, seconds, sizes = [], [], [], []

    def timed(method):
        def timing(*args, **kwargs):
            began = time.perf_counter()
            try:
                return method(*args, **kwargs)
            finally:
                spent.append(time.perf_counter() - began)

        return timing

    # The first names the images by a hash, the second writes the states.
    CheckpointRequest.open = timed(CheckpointRequest.open)
    TrainingCheckpoint.on_epoch_end = timed(TrainingCheckpoint.on_epoch_end)
    for number in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            parameters = {**recipes.lesson, "random_state": number}
            clf = ConvNetClassifier(**parameters, device="cpu", checkpoint_dir=folder)
            spent.clear()
            began = time.perf_counter()
            clf.fit(X, y)
            seconds.append(time.perf_counter() - began)
            fractions.append(sum(spent) / (seconds[-1] - sum(spent)))
            sizes += [path.stat().st_size for path in Path(folder).rglob("*.finished")]
    return {
        "fraction": spread(fractions),
        "seconds": spread(seconds),
        "megabytes": max(sizes) / 1e6,
        "images": options.images,
    }


class Own(nn.Module):
    """A network of a user, with or without columns beside the images."""

    def __init__(self, n_channels, n_outputs, n_covariates=0):
        super().__init__()
        layers = nn.Conv2d(n_channels, 8, 3), nn.Hardswish(), nn.AdaptiveMaxPool2d(1)
        self.body = nn.Sequential(*layers, nn.Flatten())
        self.head = nn.Linear(8 + n_covariates, n_outputs)

    def forward(self, images, covariates=None):
        features = self.body(images)
        if covariates is not None:
            features = torch.cat([features, covariates], dim=1)
        return self.head(features)


def networks():
    """Each option of each family of networks once, as parameters of an estimator."""
    blocks = [
        *({"activation": name} for name in ACTIVATIONS),
        {"stem": "whitening", "init": "dirac"},
        {"symmetry": "mirror", "convs_per_block": 2},
        {"symmetry": "mirror", "stem": "whitening", "pool_after": "first"},
        {"pool": "average", "pool_size": 3},
        {"pool": None, "kernel_size": 5},
        {"normalization": None, "residual": False},
        {"normalization": "ghost"},
        {"normalization": "ghost", "symmetry": "mirror"},
        {"global_pool": "max"},
        {"global_pool": "average_max"},
        {"global_pool": None},
        {"dense_units": (16, 8), "dropout": 0.2},
        {"filters": (), "residual": False, "pool": None, "normalization": None},
    ]
    for parameters in blocks:
        spec = ConvBlocks(**{"filters": (8, 16), **parameters})
        yield str(spec), {"module": spec}
    yield "CompactTransformer", {"module": CompactTransformer(width=16, depth=2, heads=2)}
    for name in BACKBONES:
        yield f"Backbone, {name}", {"module": Backbone(name, weights=None, image_size=48)}
    yield "own module", {"module": Own}
    yield "test_time_flip", {"filters": (8,), "test_time_flip": True}


def encoders():
    """Each option of the networks that answer for each pixel, as parameters of the segmenter."""
    blocks = [
        {},
        {"filters": (8, 16, 32, 64), "activation": "gelu"},
        {"convs_per_block": 2, "normalization": "ghost"},
        {"pool": "average", "pool_size": 3},
        {"normalization": None, "residual": False, "init": "dirac"},
    ]
    yield "automatic", {}
    for parameters in blocks:
        spec = ConvBlocks(**{"filters": (8, 16, 32), **parameters})
        yield str(spec), {"module": UNet(spec)}
    for name in BACKBONES:
        yield f"Backbone, {name}", {"module": UNet(Backbone(name, weights=None))}
    donor = ConvNetClassifier(filters=(8, 16), max_epochs=1, **COMMON).fit(*images(60))
    yield "Backbone, a classifier", {"module": UNet(Backbone(donor))}
    yield "test_time_flip", {"test_time_flip": True}


def exported():
    """Every estimator with every network, fitted, and the images and columns that it takes."""
    X, y = images(60)
    random = np.random.default_rng(0)
    columns = {"y": y, "big": y > 0, "weight": y + 1.5}
    table = pd.DataFrame(columns)
    missing = random.random(len(y)) < 0.3
    site = pd.DataFrame({"height": np.where(missing, np.nan, 300.0 * y), "north": 5e6 + y})
    codes = random.integers(-1, 2, len(y))
    site["soil"] = pd.Categorical.from_codes(codes, ["clay", "sand"])
    beside = site.assign(soil=codes).to_numpy(float)
    both = make_images_and_covariates(X, site)
    tasks = {"y": "classification", "big": "classification", "weight": "gamma"}
    small = {"max_epochs": 1, **COMMON}
    for name, parameters in networks():
        yield name, ConvNetClassifier(**parameters, **small).fit(X, y), X, None
        several = ConvNetMultiTask(tasks, **parameters, **small).fit(both, table)
        yield f"tasks and columns, {name}", several, both, beside
    numbers = ("squared_error", "absolute_error", "poisson", "gamma", "quantile")
    for loss in numbers:
        one = ConvNetRegressor(loss=loss, quantile=0.9, **small).fit(both, y + 1.0)
        yield f"numbers, {loss}", one, both, beside
    two = table[["y", "weight"]] * (1, 1e6)
    yield "two numbers", ConvNetRegressor(filters=(8,), **small).fit(X, two), X, None
    of_each = ConvNetClassifier(filters=(8,), **small).fit(X, table[["y", "big"]].astype(str))
    yield "columns of labels", of_each, X, None
    of_any = ConvNetClassifier(filters=(8,), **small).fit(X, np.stack([y > 0, y > 1], axis=1))
    yield "several labels", of_any, X, None
    backbone = Backbone("efficientnet_lite0", weights=None, image_size=48)
    yield "FeatureExtractor", FeatureExtractor(backbone, device="cpu").fit(X), X, None
    large, _ = images(6, 40)
    for name, parameters in encoders():
        segmenter = ConvNetSegmenter(**parameters, **small).fit(X, X.mean(axis=3) > 128)
        yield f"segmenter, {name}", segmenter, X, None
        yield f"segmenter of other images, {name}", segmenter, large[:, :37, :22], None


def onnx(options):
    """Export each estimator, and compare what onnxruntime makes of images with what it does."""
    import onnxruntime

    differences = {}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder, "model.onnx")
        for name, estimator, X, beside in exported():
            skcnn.export_onnx(estimator, path)
            session = onnxruntime.InferenceSession(path)
            pixels = np.stack(X["image"]) if isinstance(X, pd.DataFrame) else X
            inputs = {"images": pixels.astype(np.float32), "covariates": beside}
            outputs = outputs_of(estimator)
            expected = answers_of(estimator, X, outputs)
            differences[name] = 0.0
            for n in (1, 3, len(X)):
                some = {name: part[:n] for name, part in inputs.items() if part is not None}
                for found, answer in zip(session.run(None, some), expected, strict=True):
                    off = np.abs(found - answer[:n]).max() / np.abs(answer).max()
                    differences[name] = max(differences[name], float(off))
            print(f"  {name}: {differences[name]:.1e}", flush=True)
    return {"networks": len(differences), "greatest": max(differences.values()), **differences}


PARTS = {"damage": damage, "fits": fits, "saves": saves, "overhead": overhead, "onnx": onnx}


def table(found):
    """Write what the page about saving shows."""
    damage, fits, saves = found["damage"], found["fits"], found["saves"]
    cost, onnx = found["overhead"]["fraction"], found["onnx"]
    rows = [
        (
            "a model file cut off at each place, or with one byte changed",
            "an error",
            f"{damage['errors']:,} of {damage['changes']:,}",
        ),
        (
            "a fit killed one to three times, and called again",
            "the same bits as without",
            f"{fits['same']} of {fits['kills']}",
        ),
        (
            "a save killed while it writes",
            "the old file or the new one",
            f"{saves['loaded']} of {saves['kills']}",
        ),
        (
            "checkpoints of the lesson's network",
            "time they add to a fit",
            f"{cost['median']:.1%} ({cost['min']:.1%} to {cost['max']:.1%})",
        ),
        (
            f"ONNX files of {onnx['networks']} estimators and networks",
            "greatest difference of a result, relative to the greatest one",
            f"{onnx['greatest']:.0e}",
        ),
    ]
    lines = ["| what | result | how often, or how much |", "| --- | --- | --- |"]
    lines += [f"| {what} | {result} | {figure} |" for what, result, figure in rows]
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main():
    """Measure, print and write."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--only", choices=PARTS, nargs="+", default=list(PARTS))
    arguments.add_argument("--kills", type=int, default=50)
    arguments.add_argument("--flips", type=int, default=5_000)
    arguments.add_argument("--rounds", type=int, default=5, help="of fits that are timed")
    arguments.add_argument("--images", type=int, default=2_000, help="of fits that are timed")
    options = arguments.parse_args()
    measured = {}
    for name in options.only:
        measured[name] = PARTS[name](options)
        print(name, json.dumps(measured[name]), flush=True)
    found = {**(load("trust") or {}), **measured}
    found |= {"machine": describe_machine("cpu"), "versions": versions("safetensors")}
    store("trust", found)
    if found.keys() >= PARTS.keys():
        table(found)


if __name__ == "__main__":
    main()
