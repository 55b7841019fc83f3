"""Own random number generators, and torch's global ones."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from skcnn._compute._rng import draw_seed, fork_rng, make_random_state

CPU = torch.device("cpu")


def test_own_random_state_makes_fresh_generators():
    state = np.random.get_state()[1].copy()
    first, second = make_random_state(None), make_random_state(None)
    assert first.randint(2**31) != second.randint(2**31)
    np.testing.assert_array_equal(np.random.get_state()[1], state)
    rng = np.random.RandomState(0)
    assert make_random_state(rng) is rng
    assert make_random_state(5).randint(2**31) == np.random.RandomState(5).randint(2**31)


def test_a_seed_decides_what_torch_draws_for_a_while():
    with fork_rng(5, CPU):
        first = torch.rand(3)
    with fork_rng(5, CPU):
        assert torch.equal(torch.rand(3), first)
    with fork_rng(6, CPU):
        assert not torch.equal(torch.rand(3), first)


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_afterwards_torch_draws_as_if_nothing_had_been(error):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        expected = torch.rand(3)
        torch.manual_seed(1)
        with contextlib.suppress(Exception if error is None else error), fork_rng(5, CPU):
            torch.rand(3)
            if error is not None:
                raise error
        assert torch.equal(torch.rand(3), expected)


def test_seeding_for_the_cpu_does_not_wake_a_gpu(monkeypatch):
    def refuse(*args):
        raise AssertionError("asked for the GPU")

    for name in ("manual_seed", "manual_seed_all", "get_rng_state", "set_rng_state", "_lazy_call"):
        monkeypatch.setattr(torch.cuda, name, refuse)
    with fork_rng(5, CPU):
        torch.rand(3)


def test_seeds_differ_from_draw_to_draw():
    rng = np.random.RandomState(0)
    seeds = {draw_seed(rng) for _ in range(50)}
    assert len(seeds) == 50
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_fork_rng_is_for_one_thread_at_a_time():
    start = threading.Barrier(3)

    def draw(seed):
        start.wait(20)
        found = []
        for _ in range(20):
            with fork_rng(seed, CPU):
                found.append(torch.rand(1).item())
                # A fit within a fit does not wait.
                with fork_rng(seed + 1, CPU):
                    torch.rand(1)
                found.append(torch.rand(1).item())
        return found

    with ThreadPoolExecutor(3) as pool:
        results = [job.result(30) for job in [pool.submit(draw, seed) for seed in range(3)]]
    for seed, found in enumerate(results):
        with fork_rng(seed, CPU):
            assert found == torch.rand(2).tolist() * 20
