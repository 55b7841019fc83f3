"""What only a machine with a CUDA GPU can show."""

import copy
import gc
import pickle
from itertools import pairwise

import numpy as np
import pytest
import torch
from _helpers import stripes
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback, Freezer, Unfreezer
from torch import nn

from skcnn import ConvNetClassifier
from skcnn._data import _loader
from skcnn._engine import _cuda_graphs
from skcnn.augmentation import Shift
from skcnn.networks import ConvBlocks
from skcnn.optimizers import Muon

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")

# Four batches an epoch, the last of which is smaller than the others.
X, Y = stripes(230)


class EveryBatch(Callback):
    """Has every batch stepped through one by one."""

    def on_batch_end(self, net, **kwargs):
        pass


def network(**parameters):
    # Flat parameters of the network have no effect beside a module.
    flat = {} if "module" in parameters else {"filters": (8, 16)}
    parameters = {
        **flat,
        "batch_size": 64,
        "max_epochs": 12,
        "lr": 0.05,
        "random_state": 0,
        **parameters,
    }
    return ConvNetClassifier(**parameters)


@pytest.fixture
def n_recordings(monkeypatch):
    """How often steps were recorded."""
    made = []
    original = _cuda_graphs.CUDAGraphRunner._record

    def record(self, *inputs):
        done = original(self, *inputs)
        made.append(done)
        return done

    monkeypatch.setattr(_cuda_graphs.CUDAGraphRunner, "_record", record)
    return made


@pytest.fixture(scope="module")
def fitted():
    return network(max_epochs=20).fit(X, Y)


def test_a_gpu_is_found_and_learns(fitted):
    assert fitted.device_.type == "cuda"
    assert next(fitted.module_.parameters()).is_cuda
    assert fitted.score(X, Y) > 0.9


def test_a_gpu_predicts_what_the_cpu_does(fitted):
    on_cpu = pickle.loads(pickle.dumps(fitted))
    on_cpu.net_.module_.cpu()
    on_cpu.net_.device = "cpu"
    np.testing.assert_allclose(fitted.predict_proba(X), on_cpu.predict_proba(X), atol=5e-3)


def test_the_random_state_of_the_gpu_is_left_alone():
    before = torch.cuda.get_rng_state()
    network(dropout=0.5, max_epochs=1).fit(X, Y)
    assert torch.equal(torch.cuda.get_rng_state(), before)


OPTIONS = {
    "sgd": {},
    "rmsprop": {"optimizer": "rmsprop", "lr": 0.003},
    "adam": {"optimizer": "adam", "lr": 0.005},
    "adamw": {"optimizer": "adamw", "lr": 0.005},
    "constant": {"lr_schedule": None, "lr": 0.02},
    "augment": {"augment": ("flip", "shift")},
    "dropout": {"dropout": 0.2},
    "muon": {"optimizer": "muon"},
    "groups of images, filters together": {
        "optimizer": Muon(dtype="bfloat16", batched=True, head_lr_factor=2.0),
        "module": ConvBlocks((8, 16), normalization="ghost", symmetry="mirror"),
    },
    "everything": {
        "augment": ("flip", "shift", "cutout", "color", "mixup", "cutmix"),
        "progressive_resizing": (0.75, 1),
        "module": ConvBlocks((8, 16), stem="whitening", init="dirac"),
    },
    "float32": {"precision": "float32"},
    "dense": {"global_pool": None, "dense_units": 16, "normalization": None},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_recorded_steps_learn_as_single_ones_do(options, n_recordings):
    recorded = network(**options).fit(X, Y)
    once_each_size = [True] * len(options.get("progressive_resizing", (1.0,)))
    assert n_recordings == once_each_size
    single = network(**options, callbacks=[EveryBatch()]).fit(X, Y)
    assert n_recordings == once_each_size
    # Random numbers are drawn in another order, and sums are rounded in another way.
    difference = np.subtract(recorded.loss_curve_[-3:], single.loss_curve_[-3:])
    assert abs(difference.mean()) < 0.15
    assert recorded.score(X, Y) > 0.8
    np.testing.assert_allclose(recorded.history_["lr"], single.history_["lr"], rtol=1e-5)


def test_without_chance_recorded_steps_are_the_single_ones(n_recordings):
    options = {"augment": None, "precision": "float32", "max_epochs": 3, "deterministic": True}
    recorded = network(**options).fit(X, Y)
    single = network(**options, callbacks=[EveryBatch()]).fit(X, Y)
    assert n_recordings == [True]
    np.testing.assert_allclose(recorded.loss_curve_, single.loss_curve_, rtol=1e-3)
    for one, other in zip(recorded.module_.parameters(), single.module_.parameters()):
        torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-3)


def test_images_change_from_epoch_to_epoch_in_recorded_steps(n_recordings):
    # Without learning, the loss differs only by what was drawn.
    clf = network(
        lr=1e-30, lr_schedule=None, augment="shift", normalization=None, precision="float32"
    )
    losses = clf.fit(X, Y).loss_curve_
    assert n_recordings == [True]
    assert len(set(np.round(losses[3:], 6))) > 5


def test_steps_are_recorded_again_for_layers_that_are_unfrozen(n_recordings):
    first = []

    class Look(Callback):
        def on_epoch_end(self, net, **kwargs):
            first.append(net.module_.body.block1[0].weight.clone())

    callbacks = [Freezer("*block1*", at=1), Unfreezer("*block1*", at=3), Look()]
    network(residual=False, max_epochs=4, callbacks=callbacks).fit(X, Y)
    assert n_recordings == [True, True]
    assert [torch.equal(a, b) for a, b in pairwise(first)] == [True, False, False]


def test_functions_of_ones_own_are_called_at_each_step(n_recordings):
    called = []

    def change(images, generator):
        called.append(len(images))
        return images

    network(augment=("flip", change), max_epochs=3).fit(X, Y)
    assert n_recordings == [True]
    assert called == [64, 64, 64, 38] * 3


class Waiting(Shift):
    """Shifts images, and waits for the GPU."""

    def __call__(self, images, generator):
        assert images.float().mean().item() > 0
        return super().__call__(images, generator)


def test_steps_that_cannot_be_recorded_are_taken_one_by_one(n_recordings):
    clf = network(augment=Waiting(), dropout=0.1).fit(X, Y)
    assert n_recordings == [False]
    assert clf.score(X, Y) > 0.8
    # What draws on the GPU goes on as well.
    network(dropout=0.1).fit(X, Y)
    assert n_recordings == [False, True]


def test_the_memory_of_recorded_steps_is_free_after_a_fit():
    def reserved():
        torch.cuda.empty_cache()
        return torch.cuda.memory_reserved()

    network().fit(X, Y)
    before = reserved()
    gc.disable()
    try:
        for _ in range(8):
            network().fit(X, Y)
    finally:
        gc.enable()
    # What is recorded takes at least two megabytes.
    assert reserved() - before < 8e6


def test_steps_of_a_module_of_ones_own_are_not_recorded(n_recordings):
    def module(n_channels, n_classes):
        return torch.nn.Sequential(
            torch.nn.Conv2d(n_channels, 8, 3),
            torch.nn.ReLU(),
            torch.nn.AdaptiveAvgPool2d(1),
            torch.nn.Flatten(),
            torch.nn.Linear(8, n_classes),
        )

    assert network(module=module).fit(X, Y).predict(X).shape == (230,)
    assert n_recordings == []


def test_half_precision_learns():
    assert network(precision="float16", max_epochs=20).fit(X, Y).score(X, Y) > 0.9


def test_images_that_do_not_fit_are_staged(monkeypatch):
    resident = network(precision="float32", deterministic=True).fit(X, Y)
    monkeypatch.setattr(_loader, "free_bytes", lambda device: 0)
    staged = network(precision="float32", deterministic=True).fit(X, Y)
    np.testing.assert_allclose(staged.loss_curve_, resident.loss_curve_, rtol=1e-3)


def test_the_same_seed_gives_the_same_network_where_that_is_wanted():
    options = {
        "deterministic": True,
        "dropout": 0.1,
        "augment": ("flip", "shift", "cutmix"),
        "global_pool": "average_max",
    }
    first, again = (network(**options).fit(X, Y).predict_proba(X) for _ in range(2))
    np.testing.assert_array_equal(again, first)
    assert not torch.are_deterministic_algorithms_enabled()


def test_training_goes_on_after_storing():
    clf = network(warm_start=True).fit(X, Y)
    again = pickle.loads(pickle.dumps(clf))
    copied = copy.deepcopy(clf)
    for other in (again, copied):
        other.fit(X, Y)
        assert other.n_iter_ == 24
        assert other.loss_curve_[-1] < clf.loss_curve_[-1] + 0.1


def test_an_epoch_waits_for_the_gpu_only_at_its_end():
    clf = network(max_epochs=2, warm_start=True).fit(X, Y)
    waits = []

    class Watch(Callback):
        def on_epoch_begin(self, net, **kwargs):
            torch.cuda.set_sync_debug_mode("warn")

        def on_epoch_end(self, net, **kwargs):
            torch.cuda.set_sync_debug_mode("default")

    clf.set_params(callbacks=[Watch()], max_epochs=1)
    with pytest.warns(UserWarning, match="synchronizing") as caught:
        clf.fit(X, Y)
    waits = [w for w in caught if "synchronizing" in str(w.message)]
    # The figures of the epoch, and the rates and rows that go there at its start.
    assert len(waits) <= 6


# Torch's compiler imports parts of torch that use what Python 3.12 has torch call outdated.
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_compiled_networks_learn():
    clf = network(compile=True).fit(X, Y)
    assert clf.score(X, Y) > 0.8
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(clf)).predict_proba(X), clf.predict_proba(X)
    )


@pytest.mark.slow
def test_workers_of_a_search_share_a_gpu():
    clf = network(deterministic=True)
    one, three = (
        GridSearchCV(
            clf, {"lr": [0.02, 0.05, 0.1]}, cv=2, n_jobs=n_jobs, scoring="neg_log_loss"
        ).fit(X, Y)
        for n_jobs in (1, 3)
    )
    for key in ("split0_test_score", "split1_test_score"):
        assert np.isfinite(one.cv_results_[key]).all()
        np.testing.assert_array_equal(three.cv_results_[key], one.cv_results_[key])


class Hungry(nn.Module):
    """Asks for more memory than any GPU has where there are more than 16 images in training."""

    def forward(self, x):
        if self.training and torch.is_grad_enabled() and len(x) > Hungry.most:
            torch.empty(2**50, dtype=torch.uint8, device=x.device)
        return x

    most = 64


def hungry(n_channels, n_outputs):
    layers = nn.Conv2d(n_channels, 8, 3), nn.SiLU(), Hungry(), nn.AdaptiveAvgPool2d(2)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(32, n_outputs))


def test_a_batch_that_memory_is_too_small_for_is_computed_in_parts(monkeypatch):
    parameters = {"module": hungry, "max_epochs": 3, "precision": "float32", "optimizer": "sgd"}
    whole = network(**parameters).fit(X, Y)
    monkeypatch.setattr(Hungry, "most", 16)
    with pytest.warns(UserWarning, match="batch of 64 images.*set batch_size=16"):
        parts = network(**parameters).fit(X, Y)
    np.testing.assert_allclose(parts.predict_proba(X), whole.predict_proba(X), atol=1e-3)
