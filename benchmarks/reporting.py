"""What a benchmark was measured on, and where its figures are kept."""

import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch

RESULTS = Path(os.environ.get("SKCNN_RESULTS") or Path(__file__).parent / "results")
PACKAGES = ("skcnn", "torch", "scikit-learn", "skorch", "numpy")


def describe_machine(device):
    """Name what the figures were measured on."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    cpu = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    name = cpu.get("cpu_name") or platform.processor() or platform.machine()
    # What multiplies bfloat16, the faster one first.
    fast = next((unit for unit in ("amx_bf16", "avx512_bf16") if cpu.get(unit)), None)
    return f"{name}, {os.cpu_count()} cores" + (f", {fast}" if fast else "")


def versions(*more):
    """Which versions of which packages took part."""
    found = {}
    for name in (*PACKAGES, *more):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def conditions(network):
    """What a fitted network was trained on, and in which precision."""
    return {
        "device": str(network.device_),
        "precision": str(network.net_.precision),
        "threads": torch.get_num_threads(),
        "machine": describe_machine(network.device_),
        "versions": versions(),
    }


def spread(values):
    """The median of some figures with the least and the greatest of them."""
    values = np.asarray(values, dtype=float)
    return {
        "median": float(np.median(values)),
        "min": float(values.min()),
        "max": float(values.max()),
        "n": len(values),
    }


def store(name, result):
    """Write a result where the tables are made from."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    # Whole at any time: a run may be cut off while it writes.
    unfinished = path.with_suffix(".part")
    unfinished.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    unfinished.replace(path)
    print(f"stored in {path}")


def load(name):
    """Read a result; None where there is none yet."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
