"""Gain of the custom CPU kernels in skcnn/networks/_layers.py, in a training step.

    python benchmarks/kernels.py [--rounds N] [--networks NAME ...] [--kernels NAME ...]

Trains the baseline network, the recipe `fast` and the default network on random images of 32x32
pixels in batches of 128, with one thread and two, in bfloat16 and float32, with each kernel
switched off in turn. `fast` also trains on images of 24x24 pixels, as in the first part of its
epochs, and with earlier pooling, as in the recipe `accurate`; the default network also with
dropout after each block.

The result is the time per step without a kernel divided by the time with it: 1.10 means that a
step takes 10% longer without it. All kernels take turns in each of many short rounds, so that
other programs slow down all of them. On a busy machine, trust the ratio of the fastest steps
rather than the median of the ratios. For max pooling, the ratio of the memory that is saved for
backward is there, too. Prints the figures and stores them in results/kernels_cpu.json; those of
other networks and kernels stay there.

AdaptiveMaxPool2d is not in the list: it differs from torch on GPUs only.
"""

import argparse
import os
from contextlib import contextmanager
from itertools import product
from unittest.mock import patch

import numpy as np
import torch
from reporting import describe_machine, load, spread, store, versions
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from skcnn import ConvNetClassifier, recipes
from skcnn.networks import _layers

BATCH_SIZE = 128
N_BATCHES = 3
N_CLASSES = 61
# Parameters, and the side of the images.
NETWORKS = {
    "lesson": (recipes.lesson, 32),
    "fast": (recipes.fast | {"progressive_resizing": None}, 32),
    "fast, 24x24": (recipes.fast | {"progressive_resizing": None}, 24),
    "fast, pooling earlier": (recipes.laptop | {"progressive_resizing": None}, 32),
    "default": ({}, 32),
    "default, dropout per block": ({"dropout": (0.1, 0.1, 0.1, 0.1)}, 32),
}


@contextmanager
def no_small_convolution():
    """Compute all gradients of filters as torch does."""
    with patch.object(_layers, "_MAX_SMALL_PIXELS", 0):
        yield


@contextmanager
def no_max_pool():
    """Compute gradients of max pooling as torch does."""

    def forward(layer, images):
        return nn.functional.max_pool2d(images, layer.window(images), layer.stride)

    with patch.object(_layers.MaxPool2d, "forward", forward):
        yield


@contextmanager
def no_dropout():
    """Draw random numbers for dropout as torch does."""
    with patch.object(_layers.Dropout, "forward", nn.Dropout.forward):
        yield


# Each with the networks that use it.
KERNELS = {
    "_SmallConvolution": (
        no_small_convolution,
        set(NETWORKS) - {"fast", "default, dropout per block"},
    ),
    "_MaxPool": (no_max_pool, set(NETWORKS) - {"default, dropout per block"}),
    "Dropout": (no_dropout, {"lesson", "default, dropout per block"}),
}


def main():
    """Time the networks and kernels of the command line."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rounds", type=int, default=15)
    arguments.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    arguments.add_argument("--kernels", nargs="+", choices=KERNELS, default=list(KERNELS))
    arguments.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    arguments.add_argument("--batches", type=int, default=N_BATCHES, help="per measurement")
    options = arguments.parse_args()
    for network, threads, precision in product(
        options.networks, options.threads, ("bfloat16", "float32")
    ):
        kernels = [name for name in options.kernels if network in KERNELS[name][1]]
        if not kernels:
            continue
        case = f"{network}, {precision}, {threads} thread{'s' if threads > 1 else ''}"
        # Read at each fit.
        os.environ["SKCNN_NUM_THREADS"] = str(threads)
        seconds = step_seconds(network, precision, kernels, options)
        fastest = {name: 1e3 * values.min() for name, values in seconds.items()}
        figures = {"ms per step": fastest["all"]}
        if "_MaxPool" in kernels:
            figures["saved memory, _MaxPool"] = saved_memory_ratio(network, precision)
            print(f"{case}, saved memory, _MaxPool: {figures['saved memory, _MaxPool']:.3f}")
        for name in kernels:
            ratio = spread(seconds[name] / seconds["all"])
            ratio["of the fastest"] = fastest[name] / fastest["all"]
            figures[name] = ratio
            print(
                f"{case}, {name}: fastest {ratio['of the fastest']:.3f}, median "
                f"{ratio['median']:.3f} ({ratio['min']:.3f} to {ratio['max']:.3f})",
                flush=True,
            )
        result = load("kernels_cpu") or {"figures": {}}
        result["figures"].setdefault(case, {}).update(figures)
        result["batch_size"] = BATCH_SIZE
        result |= {"machine": describe_machine("cpu"), "versions": versions()}
        store("kernels_cpu", result)


def step_seconds(network, precision, kernels, options):
    """Return seconds per step in each round: with all kernels, and without each of them."""
    parameters, side = NETWORKS[network]
    rng = np.random.RandomState(0)
    n_images = options.batches * BATCH_SIZE
    X = rng.randint(256, size=(n_images, side, side, 3), dtype=np.uint8)
    y = np.arange(n_images) % N_CLASSES
    settings = {"batch_size": BATCH_SIZE, "precision": precision, "device": "cpu"}
    clf = ConvNetClassifier(**parameters | settings, random_state=0)
    taken = {name: [] for name in ("all", *kernels)}
    for number in range(options.rounds + 1):
        # Every other round is reversed, so that none always follows the same one.
        for name in [*taken][:: -1 if number % 2 else 1]:
            if name == "all":
                clf.partial_fit(X, y)
            else:
                with KERNELS[name][0]():
                    clf.partial_fit(X, y)
            # The first round is the warm-up.
            if number:
                taken[name].append(clf.history_["seconds"].iloc[-1] / options.batches)
    return {name: np.array(values) for name, values in taken.items()}


def saved_memory_ratio(network, precision):
    """Return bytes saved for backward without skcnn's max pooling, relative to with it."""
    parameters, side = NETWORKS[network]
    images = torch.zeros(BATCH_SIZE, side, side, 3, dtype=torch.uint8)
    clf = ConvNetClassifier(**parameters | {"max_epochs": 1}, device="cpu", random_state=0)
    model = clf.fit(images[:8].numpy(), np.arange(8) % 4).module_.train().requires_grad_(True)
    dtype = getattr(torch, precision)

    def saved_bytes():
        saved = {}

        def pack(tensor):
            storage = tensor.untyped_storage()
            # Kept alive, so that no other storage gets the same address.
            saved[storage.data_ptr()] = storage
            return tensor

        low = precision != "float32"
        with saved_tensors_hooks(pack, lambda tensor: tensor), torch.autocast("cpu", dtype, low):
            model(images)
        return sum(storage.nbytes() for storage in saved.values())

    with_kernel = saved_bytes()
    with no_max_pool():
        return saved_bytes() / with_kernel


if __name__ == "__main__":
    main()
