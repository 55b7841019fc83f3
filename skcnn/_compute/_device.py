"""Device and precision of the computations."""

import os
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch

from skcnn._compute._slots import worker_index, worker_kind

PRECISIONS = ("auto", "float32", "bfloat16", "float16")

_CPUINFO = Path("/proc/cpuinfo")
# Environment variables that keep oneDNN, torch's library for CPUs, from using instructions.
_ISA_VARIABLES = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
_UNLIMITED_ISAS = ("", "ALL", "DEFAULT")
_ISAS_WITHOUT_BFLOAT16 = ("AVX512_CORE", "AVX512_CORE_VNNI")
# Vendors whose avx512_bf16 instructions do as many multiply-adds per second as those of float32:
# in their CPUs only the AMX units make bfloat16 faster.
_VENDORS_THAT_NEED_AMX = ("Intel",)

_CUBLAS_VARIABLE = "CUBLAS_WORKSPACE_CONFIG"


def find_device(device: str | torch.device) -> torch.device:
    """Find an available device.

    Parameters
    ----------
    device : str or torch.device
        "auto" takes the first of "cuda", "xpu", "mps" and "cpu" that works. If there are several
        CUDA GPUs, joblib's worker processes take them in turn.

    Raises
    ------
    ValueError
        If torch does not know the device or cannot reach it.

    Examples
    --------
    >>> find_device("cpu")
    device(type='cpu')
    """
    available: dict[str, Callable[[], bool]] = {
        "cuda": torch.cuda.is_available,
        "xpu": torch.xpu.is_available,
        "mps": torch.backends.mps.is_available,
        "cpu": lambda: True,
    }
    if device == "auto":
        found = torch.device(next(kind for kind, works in available.items() if works()))
        return _device_of_worker() if found.type == "cuda" else found
    working = [kind for kind, works in available.items() if works()]
    hint = f'This machine offers {", ".join(map(repr, working))}; device="auto" takes the first.'
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f'device={device!r} is unknown. Expected "auto", "cuda", "cuda:1", "xpu", "mps" or '
            f'"cpu". {hint}'
        ) from error
    if found.type not in working:
        raise ValueError(f"device={device!r} is not available. {hint}")
    if found.type == "cuda" and found.index is not None:
        n_gpus = torch.cuda.device_count()
        if found.index >= n_gpus:
            raise ValueError(
                f"device={device!r} is not available: torch sees {n_gpus} CUDA devices, numbered "
                f"from 0. {hint}"
            )
    return found


def _device_of_worker() -> torch.device:
    """Return the GPU of this process, so that worker processes spread over all GPUs.

    Dask and Ray assign a GPU to each of their workers, which is the first one that it sees.
    """
    n_gpus = torch.cuda.device_count()
    if n_gpus > 1 and worker_kind() == "process":
        return torch.device("cuda", worker_index() % n_gpus)
    return torch.device("cuda")


def find_precision(precision: str, device: torch.device) -> torch.dtype:
    """Find the floating-point type for training.

    The choice depends only on what the hardware reports about itself, never on a measurement, so
    that all processes on a machine choose alike.

    Parameters
    ----------
    precision : str
        One of `PRECISIONS`. "auto" takes the smallest type that the device multiplies fast:
        bfloat16 on CPUs with AMX units (amx_bf16), on CPUs of other vendors than Intel with
        avx512_bf16, and on CUDA GPUs from compute capability 8.0; float16 on CUDA GPUs from
        7.0; float32 on all other devices.
    device : torch.device

    Notes
    -----
    The instructions avx512_bf16 of Intel's CPUs are no faster than those of float32. The
    environment variable ONEDNN_MAX_CPU_ISA, which limits the instructions that torch uses, is
    respected: with ``ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16``, AMX units do not count.
    """
    if precision == "auto":
        return _fast_precision(device)
    dtype: torch.dtype = getattr(torch, precision)
    return dtype


@cache
def _fast_precision(device: torch.device) -> torch.dtype:
    if device.type == "cpu":
        return torch.bfloat16 if _has_fast_bfloat16() else torch.float32
    if device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        # Older GPUs lack the units that make it fast.
        if capability >= (8, 0):
            return torch.bfloat16
        if capability >= (7, 0):
            return torch.float16
    return torch.float32


def _has_fast_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 faster than float32, by its own account."""
    if not _onednn_has_bfloat16():
        return False
    features = _cpu_features()
    limit = next((os.environ[name] for name in _ISA_VARIABLES if name in os.environ), "").upper()
    if "amx_bf16" in features and (limit in _UNLIMITED_ISAS or "AMX" in limit):
        return True
    needs_amx = any(vendor in _cpu_vendor() for vendor in _VENDORS_THAT_NEED_AMX)
    return "avx512_bf16" in features and not needs_amx and limit not in _ISAS_WITHOUT_BFLOAT16


def _onednn_has_bfloat16() -> bool:
    onednn: Any = torch.backends.mkldnn
    return bool(onednn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _cpu_features() -> set[str]:
    """Return the names of the CPU's instruction sets, as Linux spells them."""
    capabilities = _torch_capabilities()
    if capabilities is None:
        return set(_cpuinfo("flags").split())
    return {name for name, value in capabilities.items() if value is True}


def _cpu_vendor() -> str:
    """Return the vendor of the CPU, or its full name where only that is known."""
    return _cpuinfo("vendor_id") or str((_torch_capabilities() or {}).get("cpu_name", ""))


def cpu_name() -> str:
    """Return the name under which the CPU is sold; "" if the system does not tell."""
    name = _cpuinfo("model name") or (_torch_capabilities() or {}).get("cpu_name")
    return str(name or platform.processor())


def _torch_capabilities() -> Mapping[str, Any] | None:
    """Return torch's description of the CPU; None in older versions of torch."""
    report: Callable[[], Mapping[str, Any]] | None = getattr(torch.cpu, "get_capabilities", None)
    return report() if report is not None else None


def _cpuinfo(key: str) -> str:
    """Return the first value of a key in Linux's description of the CPUs; "" without one."""
    if not _CPUINFO.exists():
        return ""
    for line in _CPUINFO.read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""


@contextmanager
def deterministic_algorithms(device: torch.device, deterministic: bool) -> Iterator[None]:
    """Choose the algorithms of a CUDA GPU for a while, and make it the current device.

    Settings of torch and the environment are restored at the end. Other devices are left as they
    are; on the CPU all algorithms are deterministic.

    Parameters
    ----------
    device : torch.device
    deterministic : bool
        Whether to take only algorithms that give the same bits each time. If not, the settings
        are left as they are. In particular, cuDNN's benchmark is not switched on: on an H200 it
        took longer than all epochs after it, which were no shorter for it.
    """
    if device.type != "cuda":
        yield
        return
    cudnn = torch.backends.cudnn
    before = cudnn.benchmark, cudnn.deterministic
    strict = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    workspace = os.environ.get(_CUBLAS_VARIABLE)
    if deterministic:
        cudnn.benchmark, cudnn.deterministic = False, True
        # Without a fixed workspace, cuBLAS may take another algorithm each time.
        os.environ.setdefault(_CUBLAS_VARIABLE, ":4096:8")
        torch.use_deterministic_algorithms(True)
    try:
        with torch.cuda.device(device):
            yield
    finally:
        cudnn.benchmark, cudnn.deterministic = before
        torch.use_deterministic_algorithms(strict, warn_only=warns)
        if workspace is None:
            os.environ.pop(_CUBLAS_VARIABLE, None)
