"""Random number generators: own ones, and torch's global ones for a while."""

import inspect
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor
from torch.overrides import TorchFunctionMode

from skcnn._compute._fork import call_in_forked_children
from skcnn._compute._interrupt import check_interrupts
from skcnn._utils import check_random_state

_POLL_SECONDS = 0.05
# A callback that takes longer may be waiting for another thread, whose fit then goes first.
_LONGEST_CALLBACK = 1.0

# Functions of torch, and methods of tensors, that take a generator.
_DRAWING = {
    "bernoulli",
    "bernoulli_",
    "cauchy_",
    "exponential_",
    "geometric_",
    "log_normal_",
    "multinomial",
    "normal",
    "normal_",
    "rand",
    "randint",
    "randn",
    "random_",
    "randperm",
    "uniform_",
}


def make_random_state(random_state: Any) -> np.random.RandomState:
    """Return a generator; for None one with fresh entropy, not numpy's global one."""
    if random_state is None:
        return np.random.RandomState(np.random.SeedSequence().generate_state(4))
    return check_random_state(random_state)


def draw_seed(rng: np.random.RandomState) -> int:
    """Draw a seed for another generator."""
    return int(rng.randint(np.iinfo(np.int32).max))


@contextmanager
def fork_rng(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch for a while, and restore its global generators afterwards.

    A process has one generator for the CPU and one for each other device. Fits in several threads
    therefore take turns; a fit within a fit, from a callback for instance, does not wait.
    Predictions draw no random numbers and never wait.

    Parameters
    ----------
    seed : int
    device : torch.device
        Its generator is seeded beside that of the CPU. Those of other devices are left as they
        are.
    """
    turn = _turns.begin(device)
    try:
        torch.default_generator.manual_seed(seed)
        if device.type != "cpu":
            # torch seeds the current device.
            with _current(device):
                getattr(torch, device.type).manual_seed(seed)
        yield
    finally:
        _turns.end(turn)


@contextmanager
def lend_generators() -> Iterator[None]:
    """Let the fit of another thread go first if this thread waits for it, as callbacks may.

    A callback that draws random numbers of torch should find those of its own fit. The generators
    are therefore lent only after a callback has taken longer than most do.
    """
    turn = _turns.lend()
    try:
        yield
    finally:
        if turn is not None:
            _turns.take_back(turn)


class _Turn:
    """A thread's use of the global generators, and their states before."""

    def __init__(self, device: torch.device) -> None:
        self.thread = threading.get_ident()
        self.before = _generator_states(device)
        self.lent_at: float | None = None


class _Turns:
    """Turns at the global generators: the last one on the stack is on.

    Those below are of the same thread, or are lent, and go on when those above have ended.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.stack: list[_Turn] = []

    def begin(self, device: torch.device) -> _Turn:
        """Wait for this thread's turn."""
        with self.changed:
            while not self._is_free():
                self.changed.wait(_POLL_SECONDS)
                check_interrupts()
            turn = _Turn(device)
            self.stack.append(turn)
        return turn

    def _is_free(self) -> bool:
        if not self.stack or self.stack[-1].thread == threading.get_ident():
            return True
        lent_at = self.stack[-1].lent_at
        return lent_at is not None and time.monotonic() - lent_at > _LONGEST_CALLBACK

    def end(self, turn: _Turn) -> None:
        """Restore the generators, and let others have their turn."""
        with self.changed:
            place = self.stack.index(turn)
            if turn is self.stack[-1]:
                _set_generator_states(turn.before)
            else:
                # Another thread uses them, and will restore what was before this one.
                above = self.stack[place + 1]
                above.before = {**above.before, **turn.before}
            del self.stack[place]
            self.changed.notify_all()

    def lend(self) -> _Turn | None:
        """Lend the turn of this thread, if it is on."""
        with self.changed:
            if not self.stack or self.stack[-1].thread != threading.get_ident():
                return None
            self.stack[-1].lent_at = time.monotonic()
            return self.stack[-1]

    def take_back(self, turn: _Turn) -> None:
        """Wait until those that have borrowed the generators have ended."""
        with self.changed:
            turn.lent_at = None
            while turn is not self.stack[-1]:
                self.changed.wait(_POLL_SECONDS)
                # Afterwards this thread no longer draws, and `end` does not need it to be on.
                check_interrupts()

    def forget_other_threads(self) -> None:
        """Start again in a forked child, which has only the thread that forked."""
        here = threading.get_ident()
        self.changed = threading.Condition()
        for turn in reversed([turn for turn in self.stack if turn.thread != here]):
            # Devices other than the CPU cannot be used after a fork.
            turn.before = {d: state for d, state in turn.before.items() if d.type == "cpu"}
            self.end(turn)


_turns = _Turns()
call_in_forked_children(lambda: _turns.forget_other_threads())


def _generator_states(device: torch.device) -> dict[torch.device, Tensor]:
    states = {torch.device("cpu"): torch.get_rng_state()}
    if device.type != "cpu":
        states[device] = getattr(torch, device.type).get_rng_state(*_arguments(device))
    return states


def _set_generator_states(states: dict[torch.device, Tensor]) -> None:
    for device, state in states.items():
        if device.type == "cpu":
            torch.set_rng_state(state)
        else:
            getattr(torch, device.type).set_rng_state(state, *_arguments(device))


def _arguments(device: torch.device) -> tuple[torch.device, ...]:
    # There is only one Apple GPU, and its functions take no device.
    return () if device.type == "mps" else (device,)


@contextmanager
def _current(device: torch.device) -> Iterator[None]:
    if device.type == "mps":
        yield
        return
    with getattr(torch, device.type).device(device):
        yield


def own_random_numbers() -> TorchFunctionMode:
    """Draw from a generator of one's own for a while, in this thread alone.

    For networks of which only the shapes count: nobody has to wait for a fit in another thread,
    whose random numbers stay its own.

    Examples
    --------
    >>> before = torch.get_rng_state()
    >>> with own_random_numbers():
    ...     layer = torch.nn.Linear(2, 3)
    >>> torch.equal(torch.get_rng_state(), before)
    True
    """
    return _OwnGenerator()


class _OwnGenerator(TorchFunctionMode):
    """Context of `own_random_numbers`."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = Generator()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        # Generators of other devices cannot be made without waking the device.
        if _takes_generator(func) and _device(args, kwargs).type == "cpu":
            kwargs["generator"] = kwargs.get("generator") or self.generator
        return func(*args, **kwargs)


def _takes_generator(func: Callable[..., Any]) -> bool:
    if inspect.isfunction(func):
        # Those of torch.nn.init, inside which this mode is off.
        return "generator" in inspect.signature(func).parameters
    return getattr(func, "__name__", "") in _DRAWING


def _device(args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.device:
    tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
    return tensors[0].device if tensors else torch.device(kwargs.get("device") or "cpu")
