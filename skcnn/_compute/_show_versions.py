"""What a report of a bug should say about the machine."""

import importlib.metadata
import os
import platform
import re
import sys

import joblib
import torch

from skcnn._compute._device import cpu_name, find_device, find_precision
from skcnn._compute._threads import n_threads

_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)[^;]*(;.*\bextra == [\"'](?P<extra>[\w-]+)[\"'])?")
# Extras for the work on skcnn itself.
_DEVELOPMENT = {"bench", "dev", "docs", "ecosystem", "release", "test"}


def show_versions() -> None:
    """Print the versions of skcnn and its dependencies, and what they find on this machine.

    Copy the output into a report of a problem. It names the system, the processor, the GPUs, what
    ``device="auto"`` and ``precision="auto"`` stand for here, and the number of threads of a large
    fit. Optional packages are listed if they are installed.

    See Also
    --------
    sklearn.show_versions : The libraries for linear algebra that are loaded.

    Examples
    --------
    >>> import skcnn
    >>> skcnn.show_versions()  # doctest: +SKIP
    System
      python      3.11.7
      executable  /home/ada/.venv/bin/python
      platform    Linux-6.1.0-x86_64-with-glibc2.36
      CPU         AMD EPYC 7B13, 2 cores
    <BLANKLINE>
    Computation
      device      cpu
      precision   float32
      threads     2
    <BLANKLINE>
    Packages
      skcnn       0.1.0
    ...
    """
    parts = {"System": _system(), "Computation": _computation(), "Packages": package_versions()}
    print("\n\n".join(f"{title}\n{_table(rows)}" for title, rows in parts.items()))


def _table(rows: dict[str, str]) -> str:
    width = max(map(len, rows))
    return "\n".join(f"  {name:<{width}}  {value}" for name, value in rows.items())


def _system() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "CPU": f"{cpu_name() or 'unknown'}, {joblib.cpu_count()} cores",
    }


def _computation() -> dict[str, str]:
    device = find_device("auto")
    rows = {
        "device": str(device),
        "precision": str(find_precision("auto", device)).removeprefix("torch."),
        "threads": _threads(),
    }
    if device.type == "cuda":
        for number in range(torch.cuda.device_count()):
            gpu = torch.cuda.get_device_properties(number)
            rows[f"GPU {number}"] = f"{gpu.name}, {gpu.total_memory / 2**30:.0f} GiB"
        rows["CUDA"] = str(torch.version.cuda or torch.version.hip)
    return rows


def _threads() -> str:
    """Return the number of threads of a large fit, and the variables that limit it."""
    limits = [
        f"{name}={os.environ[name]}"
        for name in ("SKCNN_NUM_THREADS", "OMP_NUM_THREADS")
        if name in os.environ
    ]
    try:
        number = str(n_threads(sys.maxsize, training=True))
    except ValueError as error:
        return str(error)
    return f"{number} ({', '.join(limits)})" if limits else number


def package_versions() -> dict[str, str]:
    """Return the versions of what skcnn needs, and of the optional packages that are there."""
    needed, optional = ["skcnn"], set()
    for requirement in importlib.metadata.requires("skcnn") or []:
        match = _REQUIREMENT.match(requirement)
        if match is None or match["name"] == "skcnn" or match["extra"] in _DEVELOPMENT:
            continue
        if match["extra"] is None:
            needed.append(match["name"])
        else:
            optional.add(match["name"])
    found = {name: _version(name) for name in sorted(optional)}
    return {
        **{name: _version(name) or "missing" for name in needed},
        **{name: version for name, version in found.items() if version is not None},
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
