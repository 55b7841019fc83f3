"""CUDA graphs: the GPU work of a function, captured once and replayed as a whole."""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Generator, Tensor

_WARM_UP_CALLS = 3


class CUDAGraphRunner:
    """A function whose GPU work is captured in one call and replayed in all later calls.

    Small networks leave a GPU waiting for Python, which launches each operation by itself; a
    replay launches them all at once. Python side effects of the function happen only until it is
    captured. The first calls run as usual, and so do calls with inputs of another shape, or all
    calls if the work cannot be captured.

    Parameters
    ----------
    function : callable
        Takes tensors on the GPU and returns one.
    generators : sequence of torch.Generator, default=()
        Generators on the GPU that the function draws from, besides torch's own.
    """

    def __init__(
        self, function: Callable[..., Tensor], generators: Sequence[Generator] = ()
    ) -> None:
        self.function = function
        self.generators = generators
        self._shapes: list[torch.Size] | None = None
        self._n_calls = 0
        self._can_record = True
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Return the result of the function, in its own memory."""
        shapes = [tensor.shape for tensor in inputs]
        if self._shapes is None:
            self._shapes = shapes
        if shapes != self._shapes or not self._can_record:
            return self.function(*inputs)
        if self._graph is None:
            self._n_calls += 1
            if self._n_calls <= _WARM_UP_CALLS:
                return self._warm_up(*inputs)
            if not self._record(*inputs):
                return self.function(*inputs)
        assert self._graph is not None
        for static, tensor in zip(self._inputs, inputs):
            static.copy_(tensor)
        self._graph.replay()
        return self._output.clone()

    def _warm_up(self, *inputs: Tensor) -> Tensor:
        """Run on a separate stream, as CUDA requires before a capture."""
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            output = self.function(*inputs)
        torch.cuda.current_stream().wait_stream(stream)
        return output

    def _record(self, *inputs: Tensor) -> bool:
        graph = torch.cuda.CUDAGraph()
        generators = [*self.generators, *torch.cuda.default_generators]
        states = [generator.clone_state() for generator in generators]
        for generator in self.generators:
            graph.register_generator_state(generator)
        self._inputs = [tensor.clone() for tensor in inputs]
        try:
            # Other threads, which prefetch batches, may continue meanwhile.
            with _gc_disabled(), torch.cuda.graph(graph, capture_error_mode="thread_local"):
                self._output = self.function(*self._inputs)
        except RuntimeError:
            # A user's module may wait for the GPU, for instance. The generators are still in
            # capture mode, and would refuse to work.
            for generator, state in zip(generators, states):
                generator.graphsafe_set_state(state)
            self._can_record = False
            return False
        self._graph = graph
        return True


@contextmanager
def _gc_disabled() -> Iterator[None]:
    """Postpone garbage collection: freeing GPU memory may break a capture."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
