"""Own random number generators, and torch's global ones."""

import contextlib
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from skcnn._compute import _rng
from skcnn._compute._interrupt import hold_interrupts
from skcnn._compute._rng import (
    draw_seed,
    fork_rng,
    lend_generators,
    make_random_state,
    own_random_numbers,
)

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


@pytest.fixture
def soon(monkeypatch):
    """Callbacks need not take long to be thought of as waiting."""
    monkeypatch.setattr(_rng, "_LONGEST_CALLBACK", 0.1)


def draw_in_thread(seed, results):
    def draw():
        with fork_rng(seed, CPU):
            results.append(torch.rand(1).item())

    thread = threading.Thread(target=draw)
    thread.start()
    return thread


def numbers(seed, n):
    with fork_rng(seed, CPU):
        return [torch.rand(1).item() for _ in range(n)]


def test_a_thread_that_the_holder_waits_for_goes_first(soon):
    drawn, others = [], []
    with fork_rng(1, CPU):
        drawn.append(torch.rand(1).item())
        with lend_generators():
            # A thread of a thread, too.
            draw_in_thread(2, others).join(20)
            draw_in_thread(3, others).join(20)
        drawn.append(torch.rand(1).item())
    assert drawn == numbers(1, 2)
    assert others == numbers(2, 1) + numbers(3, 1)
    assert _rng._turns.stack == []


def test_nobody_goes_first_while_a_callback_is_short():
    drawn, others = [], []
    with fork_rng(1, CPU):
        thread = draw_in_thread(2, others)
        for _ in range(20):
            with lend_generators():
                drawn.append(torch.rand(1).item())
        assert others == []
    thread.join(20)
    assert drawn == numbers(1, 20)
    assert others == numbers(2, 1)


def test_who_has_lent_the_generators_waits_to_have_them_back(soon):
    """And draws what it would have drawn, though another thread's fit ends later."""
    inside, leave, drawn, others = threading.Event(), threading.Event(), [], []

    def other():
        with fork_rng(2, CPU):
            others.append(torch.rand(1).item())
            inside.set()
            leave.wait(20)
            others.append(torch.rand(1).item())

    thread = threading.Thread(target=other)
    with fork_rng(1, CPU):
        drawn.append(torch.rand(1).item())
        with lend_generators():
            thread.start()
            assert inside.wait(20)
            threading.Timer(0.2, leave.set).start()
        drawn.append(torch.rand(1).item())
    thread.join(20)
    assert drawn == numbers(1, 2)
    assert others == numbers(2, 2)


def test_who_is_interrupted_while_the_generators_are_lent_leaves_them_to_the_other(soon):
    inside, leave, others = threading.Event(), threading.Event(), []

    def other():
        with fork_rng(2, CPU):
            inside.set()
            leave.wait(20)
            others.append(torch.rand(1).item())

    def lend():
        with hold_interrupts(), fork_rng(1, CPU):
            torch.rand(1)
            with lend_generators():
                thread.start()
                assert inside.wait(20)
                signal.raise_signal(signal.SIGINT)

    torch.manual_seed(7)
    before = torch.get_rng_state()
    thread = threading.Thread(target=other)
    with pytest.raises(KeyboardInterrupt):
        lend()
    leave.set()
    thread.join(20)
    assert others == numbers(2, 1)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_interruption_ends_the_wait_for_a_turn():
    inside, leave = threading.Event(), threading.Event()

    def other():
        with fork_rng(2, CPU):
            inside.set()
            leave.wait(20)

    def wait():
        with hold_interrupts():
            signal.raise_signal(signal.SIGINT)
            with fork_rng(1, CPU):
                pass

    thread = threading.Thread(target=other)
    thread.start()
    try:
        assert inside.wait(20)
        with pytest.raises(KeyboardInterrupt):
            wait()
        assert len(_rng._turns.stack) == 1
    finally:
        leave.set()
        thread.join(20)


def test_outside_of_a_fit_there_is_nothing_to_lend():
    with lend_generators():
        assert _rng._turns.stack == []


def test_own_random_numbers_leave_those_of_torch_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    with own_random_numbers():
        for make in (nn.Linear(3, 4), nn.Conv2d(3, 4, 3), nn.LSTM(3, 4), nn.Embedding(4, 5)):
            assert any(bool(p.std() > 0) for p in make.parameters())
        nn.MultiheadAttention(8, 2)
        for init in ("orthogonal_", "trunc_normal_", "kaiming_normal_", "xavier_uniform_"):
            assert getattr(nn.init, init)(torch.zeros(3, 3)).std() > 0
        torch.rand(3), torch.randn(2, 2), torch.randint(3, (2,)), torch.randperm(5)
        torch.normal(0.0, 1.0, (2,)), torch.bernoulli(torch.full((3,), 0.5))
        torch.multinomial(torch.ones(3), 2), torch.zeros(3).uniform_()
        # Whoever brings a generator draws from it.
        own = torch.Generator().manual_seed(4)
        brought = torch.rand(2, generator=own)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(brought, torch.rand(2, generator=torch.Generator().manual_seed(4)))


def test_own_random_numbers_are_those_of_one_thread():
    torch.manual_seed(1)
    expected = torch.rand(2).tolist()
    torch.manual_seed(1)
    with own_random_numbers(), ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: torch.rand(2).tolist()).result() == expected
