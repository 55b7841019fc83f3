"""Device and precision."""

import contextlib
import os
import re
import subprocess
import sys
import time

import pytest
import torch

import skcnn
from skcnn._compute import _device
from skcnn._compute._device import deterministic_algorithms, find_device, find_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize("device", ["cpu", "cpu:0", CPU], ids=repr)
def test_the_cpu_is_always_there(device):
    assert find_device(device).type == "cpu"


def test_auto_takes_an_accelerator_where_there_is_one():
    found = find_device("auto")
    if torch.cuda.is_available():
        assert found.type == "cuda"
    elif not torch.xpu.is_available() and not torch.backends.mps.is_available():
        assert found == CPU
    # Whatever it is, torch can compute there.
    assert torch.ones(2, device=found).sum() == 2


@pytest.mark.parametrize("device", ["gpu", "cuda0", "", "cpu:x", "CPU"], ids=repr)
def test_a_device_that_torch_does_not_know_is_refused(device):
    message = (
        rf"device={re.escape(repr(device))} is unknown.*\"cuda:1\".*This machine offers .*'cpu'"
    )
    with pytest.raises(ValueError, match=message):
        find_device(device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("device", ["cuda", "cuda:99", torch.device("cuda", 1)], ids=repr)
def test_without_a_gpu_there_is_none_to_be_had(device):
    message = rf"device={re.escape(repr(device))} is not available.*offers 'cpu'.*\"auto\""
    with pytest.raises(ValueError, match=message):
        find_device(device)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_of_gpus_that_are_not_there_the_message_says_how_many_are():
    with pytest.raises(ValueError, match=r"torch sees \d+ CUDA devices"):
        find_device("cuda:99")


@pytest.mark.parametrize("device", ["meta", "hpu"])
def test_devices_that_compute_nothing_here_are_refused(device):
    with pytest.raises(ValueError, match=f"device='{device}' is not available"):
        find_device(device)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_precision_may_be_named(precision):
    assert find_precision(precision, CPU) == getattr(torch, precision)


@pytest.fixture
def cpu(monkeypatch, tmp_path):
    """Sets what torch, oneDNN, Linux and the environment report about the CPU."""

    def report(capabilities=None, cpuinfo=None, onednn=True, environment=()):
        if capabilities is None:
            monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
        else:
            monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
        path = tmp_path / "cpuinfo"
        if cpuinfo is not None:
            lines = [f"{key}\t: {value}\n" for key, value in cpuinfo.items()]
            path.write_text("processor\t: 0\n" + "".join(lines) * 2)
        monkeypatch.setattr(_device, "_CPUINFO", path)
        monkeypatch.setattr(_device, "_onednn_has_bfloat16", lambda: onednn)
        for name in _device._ISA_VARIABLES:
            monkeypatch.delenv(name, raising=False)
        for name, value in dict(environment).items():
            monkeypatch.setenv(name, value)
        _device._fast_precision.cache_clear()

    yield report
    _device._fast_precision.cache_clear()


AMD = {"avx512_bf16": True, "amx_bf16": False, "cpu_name": "AMD EPYC", "l2_cache_size": 2**20}
INTEL = {"avx512_bf16": True, "amx_bf16": True, "cpu_name": "Intel(R) Xeon(R) Platinum 8481C"}
INTEL_WITHOUT_AMX = INTEL | {"amx_bf16": False}


@pytest.mark.parametrize(
    ("reports", "dtype"),
    [
        ({"capabilities": AMD}, torch.bfloat16),
        ({"capabilities": INTEL}, torch.bfloat16),
        ({"capabilities": {"amx_bf16": True}}, torch.bfloat16),
        # Its avx512_bf16 is no faster than float32.
        ({"capabilities": INTEL_WITHOUT_AMX}, torch.float32),
        (
            {
                "capabilities": {"avx512_bf16": True},
                "cpuinfo": {"vendor_id": "GenuineIntel"},
            },
            torch.float32,
        ),
        ({"capabilities": {"avx2": True, "num_sockets": 1}}, torch.float32),
        ({"capabilities": {}}, torch.float32),
        ({"capabilities": AMD, "onednn": False}, torch.float32),
        ({"capabilities": AMD, "environment": {"ONEDNN_MAX_CPU_ISA": "ALL"}}, torch.bfloat16),
        (
            {"capabilities": AMD, "environment": {"DNNL_MAX_CPU_ISA": "avx512_core"}},
            torch.float32,
        ),
        (
            {"capabilities": INTEL, "environment": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_AMX"}},
            torch.bfloat16,
        ),
        (
            {"capabilities": INTEL, "environment": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"}},
            torch.float32,
        ),
        # Older versions of torch do not report instruction sets; Linux does.
        (
            {"cpuinfo": {"vendor_id": "AuthenticAMD", "flags": "fpu avx512_bf16 sse"}},
            torch.bfloat16,
        ),
        (
            {"cpuinfo": {"vendor_id": "GenuineIntel", "flags": "avx512_bf16 amx_bf16"}},
            torch.bfloat16,
        ),
        ({"cpuinfo": {"vendor_id": "GenuineIntel", "flags": "avx512_bf16"}}, torch.float32),
        ({"cpuinfo": {"Features": "fp asimd bf16"}}, torch.float32),
        ({}, torch.float32),
    ],
    ids=str,
)
def test_find_precision_depends_on_what_the_cpu_reports(reports, dtype, cpu):
    cpu(**reports)
    assert find_precision("auto", CPU) == dtype


def test_find_precision_measures_nothing(cpu, monkeypatch):
    cpu(capabilities=AMD)

    def refuse(*args, **kwargs):
        raise AssertionError("measured")

    for name in ("time", "perf_counter", "monotonic", "process_time"):
        monkeypatch.setattr(time, name, refuse)
    for name in ("mm", "matmul", "ones", "rand"):
        monkeypatch.setattr(torch, name, refuse)
    assert find_precision("auto", CPU) == torch.bfloat16


@pytest.mark.slow
def test_find_precision_is_the_same_in_all_processes_of_a_busy_machine():
    # Without the rest of the package, which takes long to import.
    code = (
        "import sys, types; package = types.ModuleType('skcnn'); sys.modules['skcnn'] = package;"
        f"package.__path__ = {skcnn.__path__!r};"
        "import torch; from skcnn._compute._device import find_precision;"
        "print(find_precision('auto', torch.device('cpu')))"
    )
    # Four at a time on few cores disturb each other as other programs do.
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    found = [process.communicate(timeout=120)[0] for process in processes]
    assert set(found) == {f"{find_precision('auto', CPU)}\n"}


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize("setting", [None, ":16:8"])
def test_deterministic_algorithms_restores_settings(deterministic, setting, monkeypatch):
    name = "CUBLAS_WORKSPACE_CONFIG"
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    monkeypatch.delenv(name, raising=False)
    if setting is not None:
        monkeypatch.setenv(name, setting)
    with (
        contextlib.suppress(KeyError),
        deterministic_algorithms(torch.device("cuda"), deterministic),
    ):
        assert torch.are_deterministic_algorithms_enabled() == deterministic
        assert os.environ.get(name) == (setting or (":4096:8" if deterministic else None))
        raise KeyError
    assert os.environ.get(name) == setting
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize(
    ("kind", "n_gpus", "device"),
    [
        (None, 4, "cuda"),
        ("process", 1, "cuda"),
        ("process", 4, "cuda:2"),
        # Theirs comes first, or is the only one they see.
        ("dask", 4, "cuda"),
        ("ray", 4, "cuda"),
    ],
)
def test_worker_processes_spread_over_gpus(kind, n_gpus, device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: n_gpus)
    monkeypatch.setattr(_device, "worker_kind", lambda: kind)
    monkeypatch.setattr(_device, "worker_index", lambda: 6)
    assert find_device("auto") == torch.device(device)
    # Whoever names a device gets that one.
    assert find_device("cuda:0") == torch.device("cuda:0")
