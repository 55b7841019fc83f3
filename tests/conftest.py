"""A few images of three classes that a small network learns within seconds."""

import signal

import numpy as np
import pytest
import torch
from hypothesis import settings

# Neither the first call into torch nor a busy machine is a reason to fail.
settings.register_profile("skcnn", deadline=None, max_examples=30)
settings.load_profile("skcnn")

# The networks here are too small for a second thread, and on a busy machine would wait for it.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def images():
    """60 images of 8x8 pixels in color, uint8: stripes across, stripes down, and squares.

    Read-only, so that no test changes them for another, and code that asks for more is found.
    """
    rng = np.random.RandomState(0)
    row, column = np.mgrid[:8, :8]
    patterns = [row // 2 % 2, column // 2 % 2, (row // 2 + column // 2) % 2]
    colors = np.array([(200, 60, 60), (60, 200, 60), (60, 60, 200)])
    kind = np.arange(60) % 3
    clean = np.stack(patterns)[kind][..., None] * colors[kind][:, None, None, :]
    noisy = np.clip(clean + rng.randint(0, 50, size=clean.shape), 0, 255).astype(np.uint8)
    noisy.setflags(write=False)
    return noisy


@pytest.fixture(scope="session")
def labels():
    """The names of the patterns in `images`."""
    names = np.array(["across", "down", "squares"])[np.arange(60) % 3]
    names.setflags(write=False)
    return names


@pytest.fixture(autouse=True)
def ctrl_c():
    """Let Ctrl-C interrupt: shells have jobs in the background ignore it, and so does Python."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
