"""Where the time of a recipe's training goes, at several batch sizes.

    python benchmarks/step_profile.py [--data DIR] [--batch-sizes 128 512 1024] [--recipe accurate]
                                      [--steps N] [--filters 128 512 1024]

For each batch size, times an epoch of the recipe as it is, with Muon in bfloat16 for all filters
of a shape at once, and with batch normalization in groups of 32 images, too. Then takes some steps
one by one under torch's profiler, and adds up what each operation took. Prints a table per batch
size, and stores all in results/step_profile_DEVICE.json after each; batch sizes that are there
already are skipped. Without --data the images are made up.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from accuracy import changed
from reporting import conditions, load, store
from skorch.callbacks import Callback

from skcnn import ConvNetClassifier, recipes
from skcnn.datasets import fetch_cifar100
from skcnn.optimizers import Muon

# The first that the name of an operation contains decides.
KINDS = {
    "convolution": ("conv",),
    "normalization": ("batch_norm",),
    "matrix product": ("mm", "matmul", "dot"),
    "pooling": ("pool",),
    "activation": ("silu", "relu"),
    "copies": ("copy", "cat", "flip", "stack", "clone", "index", "repeat", "roll"),
}
_SHOWN = 15


def main() -> None:
    """Profile the batch sizes that are not stored yet."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--data", type=Path, help="folder that holds CIFAR-100")
    arguments.add_argument("--batch-sizes", type=int, nargs="+", default=[128, 512, 1024])
    arguments.add_argument("--recipe", default="accurate")
    arguments.add_argument("--filters", type=int, nargs="+", help="in place of the recipe's")
    arguments.add_argument("--steps", type=int, default=10, help="under the profiler")
    arguments.add_argument("--images", type=int, default=30_500)
    options = arguments.parse_args()
    X, y = read_images(options)
    recipe = getattr(recipes, options.recipe)
    if options.filters:
        recipe = changed(recipe, filters=tuple(options.filters))
    name = f"step_profile_{'cuda' if torch.cuda.is_available() else 'cpu'}"
    result = load(name) or {"recipe": options.recipe, "n_images": len(X), "batch_sizes": {}}
    for batch_size in options.batch_sizes:
        if str(batch_size) in result["batch_sizes"]:
            print(f"batches of {batch_size} images: stored already", flush=True)
            continue
        clf, epochs = time_epochs(recipe, X, y, batch_size)
        found = epochs | profile_steps(recipe, X, y, batch_size, options.steps)
        result["batch_sizes"][str(batch_size)] = found
        show(batch_size, found)
        store(name, result | conditions(clf))


def read_images(options):
    """Real images where the user has them."""
    if options.data:
        X, y = fetch_cifar100(categories="ecology", data_home=options.data, return_X_y=True)
        return X[: options.images], y[: options.images]
    rng = np.random.RandomState(0)
    X = rng.randint(256, size=(options.images, 32, 32, 3), dtype=np.uint8)
    return X, np.arange(len(X)) % 61


def variants(recipe):
    """Settings whose epochs are timed beside those of the recipe."""
    fused = recipe | {"optimizer": Muon(dtype="bfloat16", batched=True)}
    return {
        "as it is": recipe,
        "Muon by shape, bfloat16": fused,
        "the same, normalization in groups": changed(fused, normalization="ghost"),
    }


def time_epochs(recipe, X, y, batch_size):
    """Seconds of an epoch at full size, after one in which steps are recorded."""
    seconds, on_gpu = {}, torch.cuda.is_available()
    memory = {}
    for name, settings in variants(recipe).items():
        settings = settings | {"progressive_resizing": None, "weight_averaging": 0.0}
        if on_gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        clf = ConvNetClassifier(**settings).set_params(
            batch_size=batch_size, max_epochs=3, random_state=0
        )
        clf.fit(X, y)
        seconds[name] = clf.history_["seconds"].tolist()[1:]
        if on_gpu:
            memory[name] = torch.cuda.max_memory_allocated() / 1e6
    return clf, {"seconds an epoch": seconds, "megabytes on the GPU": memory}


class ProfileEpoch(Callback):
    """Profiles the second epoch, step by step: of recorded ones only kernels would be seen."""

    def __init__(self):
        activities = [torch.profiler.ProfilerActivity.CPU]
        if torch.cuda.is_available():
            activities.append(torch.profiler.ProfilerActivity.CUDA)
        self.profiler = torch.profiler.profile(activities=activities)

    def on_batch_end(self, net, **kwargs):
        pass

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 2:
            self.profiler.start()

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 2:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.profiler.stop()


def profile_steps(recipe, X, y, batch_size, n_steps):
    """Milliseconds a step of each operation, and of each kind of them."""
    rows = np.resize(np.arange(len(X)), n_steps * batch_size)
    profiled = ProfileEpoch()
    settings = recipe | {"progressive_resizing": None, "weight_averaging": 0.0}
    clf = ConvNetClassifier(**settings, callbacks=[profiled]).set_params(
        batch_size=batch_size, max_epochs=2, random_state=0
    )
    clf.fit(X[rows], y[rows])
    on_gpu = clf.device_.type == "cuda"
    own, total = (
        ("self_device_time_total", "device_time_total")
        if on_gpu
        else (
            "self_cpu_time_total",
            "cpu_time_total",
        )
    )
    events = profiled.profiler.key_averages()
    operations = {
        event.key: {"ms": getattr(event, own) / 1e3 / n_steps, "calls": event.count / n_steps}
        for event in events
        if event.key.startswith("aten::") and getattr(event, own) > 0
    }
    kinds = dict.fromkeys([*KINDS, "other"], 0.0)
    for name, figures in operations.items():
        kinds[kind_of(name)] += figures["ms"]
    # On a GPU it is listed twice, as what Python launched and as what the GPU did.
    optimizer = [getattr(e, total) for e in events if e.key.startswith("Optimizer.step")]
    return {
        "ms a step": sum(kinds.values()),
        "ms a step, by kind": kinds,
        # Part of the kinds: its products of matrices, and its work on each weight.
        "ms a step, optimizer": max(optimizer) / 1e3 / n_steps,
        "operations": dict(sorted(operations.items(), key=lambda item: -item[1]["ms"])),
    }


def kind_of(operation):
    """Which kind of work an operation is, by its name."""
    name = operation.lower()
    found = (kind for kind, words in KINDS.items() if any(word in name for word in words))
    return next(found, "other")


def show(batch_size, found):
    """Print the table of a batch size."""
    print(f"\nbatches of {batch_size} images")
    for name, seconds in found["seconds an epoch"].items():
        print(f"  seconds an epoch, {name}: {min(seconds):.3f}")
    whole = found["ms a step"]
    print(f"  {'ms a step':<40} {whole:8.2f}")
    print(f"  {'of which the optimizer':<40} {found['ms a step, optimizer']:8.2f}")
    for name, ms in found["ms a step, by kind"].items():
        print(f"  {name:<40} {ms:8.2f} {ms / whole:6.1%}")
    for name, figures in [*found["operations"].items()][:_SHOWN]:
        print(f"    {name:<38} {figures['ms']:8.2f} {figures['calls']:6.0f} calls")


if __name__ == "__main__":
    main()
