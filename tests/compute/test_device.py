"""Which device, and which precision."""

import re

import pytest
import torch

from skcnn._compute import _device
from skcnn._compute._device import find_device, find_precision

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


@pytest.mark.parametrize(
    ("features", "dtype"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, torch.bfloat16),
        ({"avx512_bf16": False, "amx_bf16": True}, torch.bfloat16),
        ({"avx2": True}, torch.float32),
        ({}, torch.float32),
    ],
    ids=["avx512", "amx", "avx2", "none"],
)
def test_precision_is_low_where_the_processor_multiplies_it(features, dtype, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features, raising=False)
    _device._fast_precision.cache_clear()
    assert find_precision("auto", CPU) == dtype
    _device._fast_precision.cache_clear()


def test_precision_is_full_where_torch_does_not_tell(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    _device._fast_precision.cache_clear()
    assert find_precision("auto", CPU) == torch.float32
    _device._fast_precision.cache_clear()


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
