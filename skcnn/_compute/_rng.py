"""Random number generators: own ones, and torch's global ones for a while."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state

from skcnn._compute._fork import call_in_forked_children

# Held by the thread whose fit uses torch's global generators. Predictions draw no random numbers
# and never wait for it.
_global_generators = threading.RLock()


def make_random_state(random_state: Any) -> np.random.RandomState:
    """Return a generator; for None one with fresh entropy, not numpy's global one."""
    if random_state is None:
        return np.random.RandomState(np.random.SeedSequence().generate_state(4))
    rng: np.random.RandomState = check_random_state(random_state)
    return rng


def draw_seed(rng: np.random.RandomState) -> int:
    """Draw a seed for another generator."""
    return int(rng.randint(np.iinfo(np.int32).max))


def _replace_lock() -> None:
    global _global_generators
    _global_generators = threading.RLock()


call_in_forked_children(_replace_lock)


@contextmanager
def fork_rng(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch for a while, and restore its global generators afterwards.

    A process has one generator for the CPU and one for each other device. Fits in several threads
    therefore take turns; a fit within a fit, from a callback for instance, does not wait.

    Parameters
    ----------
    seed : int
    device : torch.device
        Its generator is seeded beside that of the CPU. Those of other devices are left as they
        are.
    """
    with _global_generators, _restore_rng_state(device):
        torch.default_generator.manual_seed(seed)
        if device.type != "cpu":
            # torch seeds the current device.
            with _current(device):
                getattr(torch, device.type).manual_seed(seed)
        yield


@contextmanager
def _restore_rng_state(device: torch.device) -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        if device.type == "cpu":
            yield
            return
        module = getattr(torch, device.type)
        # There is only one Apple GPU, and these functions take no device.
        which = () if device.type == "mps" else (device,)
        state = module.get_rng_state(*which)
        try:
            yield
        finally:
            module.set_rng_state(state, *which)


@contextmanager
def _current(device: torch.device) -> Iterator[None]:
    if device.type == "mps":
        yield
        return
    with getattr(torch, device.type).device(device):
        yield
