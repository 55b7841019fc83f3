"""The command line on photographs in folders: seconds of each command.

    python benchmarks/command_line.py [--data DIR] [--images N] [--rounds N] [--quick]

Writes N JPEG files of 640x480 pixels in folders of ten sites and eight classes, and then runs
`skcnn train`, `skcnn report` and `skcnn predict` with their defaults, each in its own process.
With --data DIR, which holds CIFAR-100, the files are training photographs of eight of its
categories, enlarged; otherwise made-up organisms. Three files of each thousand are damaged.

The results are seconds of each command, from its start to its end, and are stored in
results/command_line.json. --quick takes few files and epochs, and stores nothing.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from reporting import describe_machine, spread, store, versions

from skcnn.datasets import fetch_cifar100, make_organisms

N_IMAGES, N_QUICK = 1_000, 80
N_SITES, N_DAMAGED_OF_THOUSAND = 10, 3
SIZE = 640, 480
CATEGORIES = ("bear", "bee", "butterfly", "fox", "orchid", "raccoon", "skunk", "squirrel")


def main():
    """Write the files and run the commands."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--data", type=Path, help="folder that holds CIFAR-100")
    arguments.add_argument("--images", type=int)
    arguments.add_argument("--rounds", type=int, default=1)
    arguments.add_argument("--quick", action="store_true", help="few images, nothing stored")
    options = arguments.parse_args()
    n_images = options.images or (N_QUICK if options.quick else N_IMAGES)
    print(describe_machine("cpu"), flush=True)
    rounds = []
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory(prefix="skcnn-command-line-") as folder:
            photos = Path(folder) / "photos"
            n_damaged = write_photos(photos, n_images, options.data)
            rounds.append(run_commands(Path(folder), quick=options.quick))
            print(json.dumps(rounds[-1], indent=2), flush=True)
    names = ("train", "report", "predict", "all three", "accuracy")
    result = {
        "figures": {name: spread([one[name] for one in rounds]) for name in names},
        "images": n_images,
        "damaged": n_damaged,
        "source": "CIFAR-100" if options.data else "made-up organisms",
        "megabytes of the report": rounds[-1]["megabytes of the report"],
        "machine": describe_machine("cpu"),
        "threads": torch.get_num_threads(),
        "versions": versions("pillow"),
    }
    if not options.quick:
        store("command_line", result)


def write_photos(folder, n_images, data):
    """Write photographs as photos/SITE/CLASS/NUMBER.jpg; return how many of them are damaged."""
    n_each = -(-n_images // len(CATEGORIES))
    if data:
        found = fetch_cifar100(categories="ecology", data_home=data)
        names = np.asarray(found.target_names)[found.target]
        rows = np.concatenate([np.flatnonzero(names == name)[:n_each] for name in CATEGORIES])
        images, labels = found.data[rows], names[rows]
    else:
        n_all = n_each * len(CATEGORIES)
        images, numbers = make_organisms(
            n_all, n_classes=len(CATEGORIES), image_size=64, random_state=0
        )
        labels = np.asarray(CATEGORIES)[numbers]
    order = np.random.RandomState(0).permutation(len(images))[:n_images]
    noise = np.random.RandomState(0).normal(0, 6, size=(*SIZE[::-1], 1))
    paths = []
    for number, row in enumerate(order):
        place = folder / f"site {number % N_SITES:02}" / str(labels[row])
        place.mkdir(parents=True, exist_ok=True)
        large = Image.fromarray(images[row]).resize(SIZE, Image.Resampling.BICUBIC)
        noisy = np.clip(np.asarray(large) + noise, 0, 255).astype(np.uint8)
        paths.append(place / f"{number:05}.jpg")
        Image.fromarray(noisy).save(paths[-1], quality=88)
    n_damaged = max(1, n_images * N_DAMAGED_OF_THOUSAND // 1_000)
    for path in paths[:n_damaged]:
        path.write_bytes(path.read_bytes()[:200])
    return n_damaged


def run_commands(folder, *, quick):
    """Run the three commands; return their seconds, and what they say."""
    photos, model = folder / "photos", folder / "animals.skcnn"
    where = ["--label", "1", "--groups", "0"]
    less = ["--epochs", "1"] if quick else []
    page = folder / "report.html"
    commands = {
        "train": ["train", photos, "--out", model, *where, *less],
        "report": ["report", model, photos, "--out", page, *where],
        "predict": ["predict", model, photos, "--out", folder / "predictions.csv"],
    }
    figures, said = {}, {}
    for name, words in commands.items():
        start = time.perf_counter()
        run = subprocess.run(
            [sys.executable, "-m", "skcnn", *map(str, words), "--quiet"],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        )
        figures[name] = time.perf_counter() - start
        said[name] = run.stdout
    n_lines = len((folder / "predictions.csv").read_text(encoding="utf-8").splitlines())
    assert n_lines == 1 + sum(1 for _ in photos.glob("*/*/*.jpg"))
    (accuracy,) = re.findall(r"^Accuracy ([\d.]+)%", said["report"], re.MULTILINE)
    return {
        **figures,
        "all three": sum(figures.values()),
        "accuracy": float(accuracy) / 100,
        "megabytes of the report": page.stat().st_size / 1e6,
    }


if __name__ == "__main__":
    main()
