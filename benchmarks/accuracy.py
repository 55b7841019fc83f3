"""Accuracy on CIFAR-100's ecology categories, over several seeds.

    python benchmarks/accuracy.py JOB [--data DIR] [--seeds N] [--categories ecology56]

JOB is "lesson", the lecture's network and training as in examples/cifar100_ecology.py, or
"default", ConvNetClassifier() without any parameter. Both fit all training images and are
scored once on the test images. Prints a table row, and writes results/accuracy_JOB.json.
"""

import argparse
import json
import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from skcnn import ConvNetClassifier
from skcnn.datasets import fetch_cifar100

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "examples"))
from cifar100_ecology import LESSON  # noqa: E402  (found only with the line above)

JOBS = {"lesson": LESSON, "default": {}}


def main() -> None:
    """Fit the network of a job with each seed, and report."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("job", choices=JOBS)
    arguments.add_argument("--data", type=Path, help="folder that holds, or will hold, CIFAR-100")
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--categories", default="ecology")
    options = arguments.parse_args()

    train, test = (
        fetch_cifar100(subset=subset, categories=options.categories, data_home=options.data)
        for subset in ("train", "test")
    )
    accuracies, seconds = [], []
    for seed in range(options.seeds):
        network = ConvNetClassifier(**JOBS[options.job], random_state=seed)
        start = time.perf_counter()
        network.fit(train.data, train.target)
        seconds.append(time.perf_counter() - start)
        accuracies.append(network.score(test.data, test.target))
        print(f"seed {seed}: {accuracies[-1]:.4f} in {seconds[-1]:.0f} s", flush=True)

    result = {
        "job": options.job,
        "n_parameters": network.summary().n_parameters,
        "n_classes": len(train.target_names),
        "n_training_images": len(train.data),
        "n_test_images": len(test.data),
        "accuracies": accuracies,
        "fit_seconds": seconds,
        "device": str(network.device_),
        "threads": os.environ.get("SKCNN_NUM_THREADS", "all cores"),
        "machine": describe_machine(network.device_),
        "versions": {name: version(name) for name in ("skcnn", "torch", "scikit-learn", "skorch")},
    }
    path = HERE / "results" / f"accuracy_{options.job}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(
        f"| {options.job} | {result['n_parameters']:,} | {np.mean(accuracies):.3f} | "
        f"{np.std(accuracies, ddof=1) if len(accuracies) > 1 else float('nan'):.3f} | "
        f"{np.median(seconds):.0f} |"
    )


def describe_machine(device: torch.device) -> str:
    """Name what the figures were measured on."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpu = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    name = cpu.get("cpu_name") or platform.processor() or platform.machine()
    fast = ", avx512_bf16" if cpu.get("avx512_bf16") else ""
    return f"{name}, {os.cpu_count()} cores{fast}"


if __name__ == "__main__":
    main()
