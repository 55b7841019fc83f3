"""What is kept of freed memory, and how much a device has left."""

import contextlib
import ctypes
import os
import subprocess
import sys
import threading

import pytest
import torch

from skcnn import _memory
from skcnn._memory import free_bytes, kept_memory, shortage_explained

has_glibc = os.name == "posix" and hasattr(ctypes.CDLL(None), "gnu_get_libc_version")
only_glibc = pytest.mark.skipif(not has_glibc, reason="the C library is not glibc")


@pytest.fixture
def noted(monkeypatch):
    """What glibc is told, rather than glibc told it."""
    calls = []
    monkeypatch.setattr(_memory, "_mallopt", lambda: lambda *setting: calls.append(setting))
    return calls


KEEP = [(-3, 2**30), (-1, 2**30)]
USUAL = [(-3, 2**25), (-1, 2**26)]


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_memory_is_kept_for_a_while(error, noted):
    with contextlib.suppress(Exception if error is None else error), kept_memory():
        assert noted == KEEP
        if error is not None:
            raise error
    assert noted == KEEP + USUAL


def test_the_last_one_out_gives_it_back(noted):
    inside, leave = threading.Event(), threading.Event()

    def other():
        with kept_memory():
            inside.set()
            leave.wait(20)

    thread = threading.Thread(target=other)
    with kept_memory(), kept_memory():
        thread.start()
        assert inside.wait(20)
    assert noted == KEEP
    leave.set()
    thread.join(20)
    assert noted == KEEP + USUAL


@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"])
def test_settings_of_the_environment_are_respected(name, monkeypatch):
    monkeypatch.setenv(name, "1")
    _memory._mallopt.cache_clear()
    assert _memory._mallopt() is None
    with kept_memory():
        pass
    _memory._mallopt.cache_clear()


_FAULTS = """
import resource, sys, torch
from skcnn._memory import kept_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        blocks = [torch.ones(2**22) for _ in range(4)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if sys.argv[1] == "kept":
    with kept_memory():
        faults()
        print(faults())
else:
    print(faults())
"""


@only_glibc
def test_what_is_kept_need_not_be_had_from_the_system_again():
    environment = {k: v for k, v in os.environ.items() if k not in _memory._SETTINGS}
    kept, usual = (
        int(
            subprocess.run(
                [sys.executable, "-c", _FAULTS, how],
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for how in ("kept", "usual")
    )
    # A page is four kilobytes or a few more, and 20 * 4 blocks hold 1.3 gigabytes.
    assert usual > 1000
    assert kept < usual / 4


def test_of_the_memory_of_a_cpu_nothing_is_said():
    assert free_bytes(torch.device("cpu")) is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_the_memory_of_a_gpu_is_what_torch_can_still_take():
    device = torch.device("cuda")
    before = free_bytes(device)
    block = torch.empty(2**26, device=device)
    assert before - free_bytes(device) >= block.nbytes
    del block
    # Torch keeps it, and would use it again.
    assert before - free_bytes(device) < 2**24


def test_too_little_memory_is_explained():
    message = r"device='cpu' has too little memory. Buy more. .*allocate memory"
    with (
        pytest.raises(MemoryError, match=message),
        shortage_explained(torch.device("cpu"), "Buy more"),
    ):
        torch.empty(2**50)


def test_other_errors_pass_as_they_are():
    with (
        pytest.raises(RuntimeError, match="must match") as caught,
        shortage_explained(torch.device("cpu"), "Buy more"),
    ):
        torch.ones(2) + torch.ones(3)
    assert caught.type is RuntimeError
