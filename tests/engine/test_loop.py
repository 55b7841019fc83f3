"""How the steps of a fit are taken: one by one, or recorded where a GPU can replay them."""

import gc
import subprocess
import sys
import weakref

import pytest
import torch
from _helpers import make_net, train
from skorch.callbacks import Callback

from skcnn._data._dataset import ImageDataset
from skcnn._data._loader import Batches
from skcnn._engine import _loop
from skcnn._engine._cuda_graphs import CUDAGraphRunner
from skcnn._engine._loop import LoopOptions, TrainingLoop
from skcnn.augmentation import Flip

CPU = torch.device("cpu")


class Batchwise(Callback):
    def on_batch_end(self, net, **kwargs):
        pass


class Epochwise(Callback):
    def on_epoch_end(self, net, **kwargs):
        pass


@pytest.fixture
def recordable(monkeypatch):
    """Everything is as if the CPU were a GPU that can record work."""
    monkeypatch.setattr(_loop, "make_capturable", lambda optimizer, device: True)


class Together:
    """Processes that train together: they would wait for gradients that never come."""

    def wrap_ddp(self, network, device):
        return network


def begun(images, augment=(), group=None, **options):
    net = make_net(augment=augment)
    options = {"epochs": 3, "device": CPU, "captures": True, **options}
    loop = TrainingLoop(
        net.module_,
        net.optimizer_,
        net.target,
        LoopOptions(**options),
        scaler=torch.amp.GradScaler("cpu") if options.get("precision") == torch.float16 else None,
        group=group,
    )
    generator = torch.Generator().manual_seed(0)
    data = ImageDataset(images, torch.arange(60).numpy() % 3)
    loop.start_epoch(Batches(data, 16, device=CPU, generator=generator, augment=augment))
    return net, loop


@pytest.mark.usefixtures("recordable")
@pytest.mark.parametrize(
    ("options", "recorded"),
    [
        ({"captures": True}, True),
        ({"captures": True, "augment": (Flip(),)}, True),
        ({"captures": False}, False),
        ({"captures": True, "precision": torch.float16}, False),
    ],
    ids=["plain", "flip", "module", "half"],
)
def test_steps_are_recorded_where_nothing_else_happens_in_them(options, recorded, images):
    net, run = begun(images, **options)
    assert run.captures == recorded
    assert isinstance(run.step, CUDAGraphRunner) == recorded
    # What changes from step to step is a number on the device, or it would be recorded as well.
    rates = [group["lr"] for group in net.optimizer_.param_groups]
    assert all(isinstance(rate, torch.Tensor) == recorded for rate in rates)
    run.close()
    assert [group["lr"] for group in net.optimizer_.param_groups] == [0.1, 0.1, 0.1]


@pytest.mark.parametrize(("callback", "captures"), [(Epochwise, True), (Batchwise, False)])
def test_steps_are_captured_unless_a_callback_asks_for_batches(callback, captures, images):
    class Look(callback):
        def on_epoch_end(self, net, **kwargs):
            self.captures = net._loop.options.captures

    look = Look()
    train(make_net(use_cuda_graphs=True, callbacks=[("look", look)]), images)
    assert look.captures == captures


def test_nothing_is_recorded_on_a_cpu(images):
    _, run = begun(images, captures=True)
    assert not run.captures


@pytest.mark.usefixtures("recordable")
def test_steps_are_recorded_for_each_size_of_images(images):
    _, run = begun(images, captures=True, resizing=(0.5, 0.5, 1))
    steps = [run.step]
    for _ in range(2):
        for _ in run.batches.inputs():
            run.lr_schedule.advance()
        run.start_epoch(run.batches)
        steps.append(run.step)
    assert steps[0] is steps[1]
    assert steps[1] is not steps[2]
    assert run.batches.scale == 1


def test_the_number_of_steps_is_known_from_the_first_epoch(images):
    _, run = begun(images)
    assert run.lr_schedule.plan.n_steps == 3 * 4


def test_a_run_and_its_batches_are_gone_at_its_end(images, recordable):
    net, run = begun(images)
    run.close()
    gone = weakref.ref(run), weakref.ref(run.batches)
    gc.disable()
    try:
        del net, run
        assert [reference() for reference in gone] == [None, None]
    finally:
        gc.enable()


@pytest.mark.parametrize("together", [False, True], ids=["not allowed", "several processes"])
def test_a_batch_may_have_to_stay_whole(together, images, monkeypatch):
    _, loop = begun(images, divides=together, group=Together() if together else None)

    def short(*inputs):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    loop.training_step.network = short
    with pytest.raises(torch.OutOfMemoryError):
        loop.training_step.train_on_batch(torch.tensor(images), torch.arange(60) % 3)
    assert loop.parts.most is None


_NOTEBOOK = """
import sys, types, warnings
warnings.simplefilter("always")
class Shell:
    config = {"IPKernelApp": {}}
ipython = types.ModuleType("IPython")
ipython.get_ipython = Shell
sys.modules["IPython"] = ipython
sys.modules["ipywidgets"] = None
# By this module, newer versions of tqdm recognize a notebook.
sys.modules["ipykernel.zmqshell"] = types.ModuleType("ipykernel.zmqshell")
from skcnn._engine._loop import _progress_bar
bar = _progress_bar()(total=1)
bar.close()
print(any("notebook" in kind.__module__ for kind in type(bar).__mro__))
"""


def test_a_notebook_that_lacks_a_package_shows_a_plain_bar_without_a_warning():
    run = subprocess.run([sys.executable, "-c", _NOTEBOOK], capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, "False\n"), run.stderr
    assert "IProgress" not in run.stderr


def test_progress_is_not_shown_where_there_is_no_place_for_it(images, monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    _, loop = begun(images, shows_progress=True, captures=False)
    assert loop._bar is None
