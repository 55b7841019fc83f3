"""Retained memory, free memory of a device, and sharing it among workers."""

import contextlib
import ctypes
import os
import subprocess
import sys
import tempfile
import threading
import time
from types import SimpleNamespace

import pytest
import torch

from skcnn._compute import _allocator, _device_memory, _slots
from skcnn._compute._allocator import retain_freed_memory
from skcnn._compute._device_memory import (
    explain_out_of_memory,
    free_bytes,
    is_device_shared,
    reserve_device_memory,
)

has_glibc = os.name == "posix" and hasattr(ctypes.CDLL(None), "gnu_get_libc_version")
only_glibc = pytest.mark.skipif(not has_glibc, reason="the C library is not glibc")


@pytest.fixture
def noted(monkeypatch):
    """What glibc is told, rather than glibc told it."""
    calls = []
    monkeypatch.setattr(_allocator, "_mallopt", lambda: lambda *setting: calls.append(setting))
    return calls


KEEP = [(-3, 2**30), (-1, 2**30)]
USUAL = [(-3, 2**25), (-1, 2**26)]


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_memory_is_kept_for_a_while(error, noted):
    with contextlib.suppress(Exception if error is None else error), retain_freed_memory():
        assert noted == KEEP
        if error is not None:
            raise error
    assert noted == KEEP + USUAL


def test_the_last_one_out_gives_it_back(noted):
    inside, leave = threading.Event(), threading.Event()

    def other():
        with retain_freed_memory():
            inside.set()
            leave.wait(20)

    thread = threading.Thread(target=other)
    with retain_freed_memory(), retain_freed_memory():
        thread.start()
        assert inside.wait(20)
    assert noted == KEEP
    leave.set()
    thread.join(20)
    assert noted == KEEP + USUAL


@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"])
def test_settings_of_the_environment_are_respected(name, monkeypatch):
    monkeypatch.setenv(name, "1")
    _allocator._mallopt.cache_clear()
    assert _allocator._mallopt() is None
    with retain_freed_memory():
        pass
    _allocator._mallopt.cache_clear()


_FAULTS = """
import resource, torch
from skcnn._compute._allocator import retain_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        blocks = [torch.ones(2**22) for _ in range(4)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(faults())
with retain_freed_memory():
    faults()
    print(faults())
"""


@only_glibc
def test_what_is_kept_need_not_be_had_from_the_system_again():
    environment = {k: v for k, v in os.environ.items() if k not in _allocator._VARIABLES}
    command = [sys.executable, "-c", _FAULTS]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    usual, kept = map(int, run.stdout.split())
    # A page is four kilobytes or a few more, and 20 * 4 blocks hold 1.3 gigabytes.
    assert usual > 1000
    assert kept < usual / 4


_USE = """
import sys, tempfile, threading, time
import numpy as np
from skcnn import ConvNetClassifier
from skcnn._compute import _allocator

def used():
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) // 2**10

X = np.random.RandomState(0).randint(256, size=(512, 32, 32, 3)).astype("uint8")
clf = ConvNetClassifier((16,), max_epochs=1, batch_size=256, random_state=0)
clf.fit(X[:32], np.arange(32) % 3).predict(X[:32])
if sys.argv[1] == "fit":
    _allocator._MIN_TRIM_SECONDS = 0.0
    before = used()
    clf.fit(X, np.arange(512) % 3)
    print(used() - before)
    sys.exit()

def work():
    while True:
        used()
        time.sleep(0.02)

# Another thread takes memory, too, as a server or a notebook does.
threading.Thread(target=work, daemon=True).start()
with tempfile.TemporaryFile() as file:
    file.truncate(24_000 * 3072)
    many = np.memmap(file, dtype="uint8", mode="r", shape=(24_000, 32, 32, 3))
    clf.transform(many[:6_000])
    before = used()
    features = clf.transform(many)
    print(used() - before - features.nbytes // 2**20)
"""


def megabytes(call):
    """What a fit or, after one of fewer images, a prediction leaves taken in a new process."""
    environment = {k: v for k, v in os.environ.items() if k not in _allocator._VARIABLES}
    command = [sys.executable, "-c", _USE, call]
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.stderr == ""
    return int(run.stdout)


has_proc = pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="this is not Linux")


@only_glibc
@has_proc
def test_predictions_take_the_same_memory_for_many_images():
    # What a process takes at all varies by megabytes; 18,000 images as floats are 211.
    assert megabytes("predict") < 60


@only_glibc
@has_proc
def test_a_fit_gives_its_memory_back():
    assert megabytes("fit") < 30


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
        explain_out_of_memory(torch.device("cpu"), "Buy more"),
    ):
        torch.empty(2**50)


def test_other_errors_pass_as_they_are():
    with (
        pytest.raises(RuntimeError, match="must match") as caught,
        explain_out_of_memory(torch.device("cpu"), "Buy more"),
    ):
        torch.ones(2) + torch.ones(3)
    assert caught.type is RuntimeError


# ---------------------------------------------------------------- shared by workers

GIGABYTE = 2**30


class Gpu:
    """Stands in for torch.cuda: a GPU of 18 gigabytes, of which workers may fill 16.2."""

    def __init__(self, uuid="GPU-1"):
        self.uuid = uuid
        self.n_emptied = 0

    def mem_get_info(self, device):
        return 17 * GIGABYTE, 18 * GIGABYTE

    def current_device(self):
        return 0

    def get_device_properties(self, index):
        return SimpleNamespace(uuid=self.uuid)

    def empty_cache(self):
        self.n_emptied += 1


@pytest.fixture
def gpu(monkeypatch, tmp_path):
    """A worker with a GPU; other threads of this process are as good as other workers."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(_device_memory, "worker_kind", lambda: "process")
    monkeypatch.setattr(
        _device_memory, "acquire_slots", lambda *wanted: _slots._ProcessSlots().acquire(*wanted)
    )
    gpu = Gpu()
    monkeypatch.setattr(torch, "cuda", gpu)
    return gpu


def most_side_by_side(works):
    """How many of some works share the GPU at once, and that all of them get their turn."""
    inside, most, lock = [], [], threading.Lock()

    def work(needed, exclusive):
        with reserve_device_memory(torch.device("cuda"), needed, exclusive=exclusive):
            with lock:
                inside.append(needed)
                most.append(len(inside))
            time.sleep(0.15)
            with lock:
                inside.remove(needed)

    threads = [threading.Thread(target=work, args=arguments) for arguments in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(most) == len(works)
    return max(most)


@pytest.mark.parametrize(
    ("gigabytes", "side_by_side"), [(1, 4), (4, 3), (7, 2), (10, 1), (100, 1)], ids=str
)
def test_workers_share_a_gpu_as_far_as_its_memory_goes(gigabytes, side_by_side, gpu):
    assert most_side_by_side([(gigabytes * GIGABYTE, False)] * 4) == side_by_side
    # What torch would keep for itself, others can have.
    assert gpu.n_emptied == 4


def test_work_may_have_a_gpu_to_itself(gpu):
    assert most_side_by_side([(GIGABYTE, True)] * 3) == 1


def test_a_gpu_of_unknown_size_is_shared_in_turns(gpu, monkeypatch):
    monkeypatch.delattr(Gpu, "mem_get_info")
    assert most_side_by_side([(1, False)] * 3) == 1


def test_a_gpu_is_the_same_whatever_number_a_worker_knows_it_by(gpu):
    names = {_device_memory._name_of(torch.device(name)) for name in ("cuda", "cuda:0", "cuda:3")}
    assert names == {"cuda-GPU-1"}


@pytest.mark.parametrize("kind", [None, "process"])
def test_nobody_waits_for_a_cpu_nor_outside_of_workers(kind, gpu, monkeypatch):
    monkeypatch.setattr(_device_memory, "worker_kind", lambda: kind)
    device = torch.device("cuda" if kind is None else "cpu")
    assert not is_device_shared(device)
    inside = threading.Barrier(2)

    def work():
        with reserve_device_memory(device, 100 * GIGABYTE):
            inside.wait(20)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not inside.broken
    assert gpu.n_emptied == 0
