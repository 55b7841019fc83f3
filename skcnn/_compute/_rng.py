"""Random numbers: generators of our own, and torch's global ones given back as they were."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state

_global_generators = threading.RLock()


def make_random_state(random_state: Any) -> np.random.RandomState:
    """Return a generator of our own: None draws fresh entropy, not from numpy's global state."""
    if random_state is None:
        return np.random.RandomState(np.random.SeedSequence().generate_state(4))
    rng: np.random.RandomState = check_random_state(random_state)
    return rng


def draw_seed(rng: np.random.RandomState) -> int:
    """Draw a number to seed another generator with."""
    return int(rng.randint(np.iinfo(np.int32).max))


@contextmanager
def fork_rng(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch for a while, and give its global generators back as they were.

    There is one a process for the CPU and one for each other device: fits in several threads
    take turns. Devices other than the one named are left alone.
    """
    with _global_generators, _restore_rng_state(device):
        torch.default_generator.manual_seed(seed)
        if device.type != "cpu":
            # Seeds the current device of its kind.
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
        # Apple's GPU is the only one of its kind, and is not named.
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
