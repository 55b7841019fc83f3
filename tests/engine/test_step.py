"""One step of training: its loss, and what of it is recorded."""

import pytest
import torch
from _helpers import make_net

from skcnn._data._dataset import ImageDataset
from skcnn._data._loader import Batches
from skcnn._engine._cuda_graphs import CUDAGraphRunner
from skcnn._engine._parts import BatchParts
from skcnn._engine._step import TrainingStep
from skcnn.augmentation import Flip

CPU = torch.device("cpu")


def begun(images, augment=()):
    net = make_net(augment=augment)
    step = TrainingStep(
        net.module_,
        net.optimizer_,
        net.target,
        CPU,
        torch.float32,
        scaler=None,
        parts=BatchParts(),
        divides=True,
    )
    generator = torch.Generator().manual_seed(0)
    data = ImageDataset(images, torch.arange(60).numpy() % 3)
    return net, step, Batches(data, 16, device=CPU, generator=generator, augment=augment)


def test_what_augmentations_draw_from_is_recorded_with_them(images):
    _, step, batches = begun(images, augment=(Flip(),))
    recorded = step.of_inputs(batches, captures=True)
    assert recorded.generators == [batches.augment_rng]


def test_functions_of_others_are_called_at_each_step(images, monkeypatch):
    called = []

    def change(batch, generator):
        called.append(len(batch))
        return batch

    monkeypatch.setattr(CUDAGraphRunner, "__call__", lambda self, *inputs: self.function(*inputs))
    net, step, batches = begun(images, augment=(Flip(), change))
    recorded = step.of_inputs(batches, captures=True)
    assert not isinstance(recorded, CUDAGraphRunner)
    net.module_.train()
    for inputs in batches.inputs():
        assert recorded(*inputs).isfinite()
    assert called == [16, 16, 16, 12]


@pytest.mark.parametrize("weighted", [False, True])
def test_a_step_returns_the_loss_before_it(weighted, images):
    net, step, _ = begun(images)
    inputs, codes = torch.tensor(images), torch.arange(60) % 3
    weight = torch.linspace(0, 2, 60) if weighted else None
    with torch.no_grad():
        each = torch.nn.functional.cross_entropy(net.module_(inputs), codes, reduction="none")
    expected = each.mean() if weight is None else (each * weight).mean()
    loss = step.train_on_batch(inputs, codes, weight)
    torch.testing.assert_close(loss, expected)
    assert not loss.requires_grad
    assert step.train_on_batch(inputs, codes, weight) < loss
