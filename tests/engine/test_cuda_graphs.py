"""Recording work on a GPU: here with a stand-in that shows what is asked of it, and when."""

import gc
from contextlib import contextmanager

import pytest
import torch

from skcnn._engine._cuda_graphs import CUDAGraphRunner

TWO, THREE = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0, 3.0])


class Gpu:
    """Records a function of tensors and replays it, as CUDA graphs do.

    While a function is recorded it computes nothing that lasts: here, its results are thrown
    away. In a replay it computes from the memory that it was recorded with, and nothing else
    that the function does happens.
    """

    def __init__(self, can_record=True):
        self.can_record = can_record
        self.recording = self.aside = False
        self.generators = []
        self.n_replays = 0

    def function(self, x):
        self.calls.append("recorded" if self.recording else "aside" if self.aside else "called")
        if self.recording and not self.can_record:
            raise RuntimeError("operation not permitted when stream is capturing")
        result = 2 * x
        if self.recording:
            self.static = x, result
            result.fill_(torch.nan)
        return result

    calls: list

    def install(self, monkeypatch):
        gpu = self
        self.calls = []

        class Graph:
            def register_generator_state(self, generator):
                gpu.generators.append(generator)

            def replay(self):
                gpu.n_replays += 1
                x, result = gpu.static
                result.copy_(2 * x)

        class Stream:
            def wait_stream(self, other):
                pass

        @contextmanager
        def record(graph, capture_error_mode):
            assert capture_error_mode == "thread_local"
            # A tensor that were freed in the middle of it could spoil the recording.
            assert not gc.isenabled()
            gpu.recording = True
            try:
                yield
            finally:
                gpu.recording = False

        @contextmanager
        def use(stream):
            gpu.aside = True
            yield
            gpu.aside = False

        for name, stand_in in {
            "CUDAGraph": Graph,
            "Stream": Stream,
            "current_stream": Stream,
            "graph": record,
            "stream": use,
        }.items():
            monkeypatch.setattr(torch.cuda, name, stand_in)
        return self


class Generator:
    """A generator of a GPU, in the middle of what is recorded."""

    state = "recorded"

    def clone_state(self):
        return "as before"

    def graphsafe_set_state(self, state):
        self.state = state


def test_after_a_few_calls_the_work_is_recorded_and_from_then_on_replayed(monkeypatch):
    gpu = Gpu().install(monkeypatch)
    generator = torch.Generator()
    graphed = CUDAGraphRunner(gpu.function, [generator])
    outputs = [graphed(TWO + number) for number in range(8)]
    assert gpu.calls == ["aside"] * 3 + ["recorded"]
    assert gpu.n_replays == 5
    assert gpu.generators == [generator]
    assert gc.isenabled()
    # Each output is in memory of its own, and none comes from the recording.
    for number, output in enumerate(outputs):
        assert torch.equal(output, 2 * (TWO + number))


def test_inputs_are_left_alone(monkeypatch):
    graphed = CUDAGraphRunner(Gpu().install(monkeypatch).function)
    inputs = [TWO + number for number in range(8)]
    for x in inputs:
        graphed(x)
    assert all(torch.equal(x, TWO + number) for number, x in enumerate(inputs))


@pytest.mark.parametrize("when", [1, 3, 4, 6])
def test_inputs_of_another_shape_are_computed_as_they_are(when, monkeypatch):
    gpu = Gpu().install(monkeypatch)
    graphed = CUDAGraphRunner(gpu.function)
    for number in range(8):
        x = THREE if number == when else TWO
        assert torch.equal(graphed(x), 2 * x)
    assert gpu.calls.count("called") == 1
    assert gpu.calls.count("recorded") == 1


def test_what_cannot_be_recorded_is_computed_as_it_is(monkeypatch):
    gpu = Gpu(can_record=False).install(monkeypatch)
    generator = Generator()
    graphed = CUDAGraphRunner(gpu.function, [generator])
    for number in range(8):
        assert torch.equal(graphed(TWO + number), 2 * (TWO + number))
    assert gpu.calls == ["aside"] * 3 + ["recorded"] + ["called"] * 5
    assert gpu.n_replays == 0
    # It draws on where it would have drawn.
    assert generator.state == "as before"
    assert gc.isenabled()
