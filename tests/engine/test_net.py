"""The skorch net: schedule, epochs, losses, precision, outputs."""

import copy
import pickle
import re
import shutil

import numpy as np
import pytest
import torch
from _helpers import CODES, logits_of, make_net, outputs_of, train
from skorch.callbacks import Callback
from torch import nn
from torch.nn import functional as F

from skcnn._data._dataset import ImageDataset
from skcnn._engine._figures import record
from skcnn._engine._net import TrainedNet
from skcnn._engine._optimizers import OPTIMIZERS, resolve_optimizer
from skcnn._engine._pickling import dump_apart
from skcnn._engine._schedule import SCHEDULES, lr_multiplier
from skcnn._targets import ClassTarget
from skcnn._utils import StopTraining
from skcnn.augmentation import MixUp


def same_weights(net, other):
    pairs = zip(net.module_.state_dict().values(), other.module_.state_dict().values())
    return all(torch.equal(one, two) for one, two in pairs)


def test_a_net_learns(images):
    net = train(make_net(max_epochs=15, network={"normalization": "batch"}), images)
    assert net.history[-1, "train_loss"] < 0.5 * net.history[0, "train_loss"]
    assert np.mean(outputs_of(net, images).argmax(1) == CODES) > 0.9


# LRSchedule so small that the weights stay as they are.
STILL = {"lr": 1e-30, "max_epochs": 1}


@pytest.mark.parametrize("hooks", [False, True], ids=["fast", "hooks"])
@pytest.mark.parametrize("batch_size", [60, 16, 7])
def test_the_training_loss_is_the_cross_entropy_of_the_images(batch_size, hooks, images):
    callbacks = [("spy", Spy())] if hooks else []
    net = make_net(**STILL, batch_size=batch_size, callbacks=callbacks)
    expected = F.cross_entropy(logits_of(net, images), torch.tensor(CODES))
    train(net, images)
    assert net.history[-1, "train_loss"] == pytest.approx(expected.item(), rel=1e-5)
    assert "valid_loss" not in net.history[-1]


@pytest.mark.parametrize("hooks", [False, True], ids=["fast", "hooks"])
def test_the_validation_loss_and_accuracy_are_those_of_the_images(hooks, images):
    callbacks = [("spy", Spy())] if hooks else []
    net = make_net(**STILL, callbacks=callbacks, label_smoothing=0.5)
    watched, codes = images[:33], CODES[:33]
    logits = logits_of(net, watched)
    train(net, images, validation=ImageDataset(watched, codes))
    row = net.history[-1]
    expected = F.cross_entropy(logits, torch.tensor(codes)).item()
    assert row["valid_loss"] == pytest.approx(expected, rel=1e-5)
    assert row["valid_accuracy"] == pytest.approx(np.mean(logits.argmax(1).numpy() == codes))


def test_labels_are_smoothed_in_training(images):
    net = make_net(**STILL, label_smoothing=0.3)
    log_probability = F.log_softmax(logits_of(net, images), dim=1)
    named = -log_probability[range(60), CODES].mean().item()
    anything = -log_probability.mean().item()
    train(net, images)
    assert net.history[-1, "train_loss"] == pytest.approx(0.7 * named + 0.3 * anything, rel=1e-5)


@pytest.mark.parametrize("hooks", [False, True], ids=["fast", "hooks"])
def test_weights_of_images_scale_their_losses(hooks, images):
    weight = np.random.RandomState(0).uniform(0, 2, size=60).astype(np.float32)
    net = make_net(**STILL, callbacks=[("spy", Spy())] if hooks else [])
    each = F.cross_entropy(logits_of(net, images), torch.tensor(CODES), reduction="none").numpy()
    train(net, images, weight, validation=ImageDataset(images[:33], CODES[:33], weight[:33]))
    row = net.history[-1]
    assert row["train_loss"] == pytest.approx(np.mean(weight * each), rel=1e-5)
    assert row["valid_loss"] == pytest.approx(np.mean(weight[:33] * each[:33]), rel=1e-5)


def test_an_image_of_weight_zero_teaches_nothing(images):
    weight = np.ones(60, dtype=np.float32)
    weight[CODES == 2] = 0
    changed = np.where(weight[:, None, None, None] == 0, 0, images)
    assert same_weights(train(make_net(), images, weight), train(make_net(), changed, weight))
    assert not same_weights(train(make_net(), images), train(make_net(), changed))


def test_equal_weights_are_as_good_as_none(images):
    ones = np.ones(60, dtype=np.float32)
    assert same_weights(train(make_net(), images, ones), train(make_net(), images))


def test_a_first_step_is_that_of_a_hand_computation(images):
    net = make_net(max_epochs=1, batch_size=60, lr=0.5)
    by_hand = make_net()
    loss = F.cross_entropy(by_hand.module_.train()(torch.tensor(images)), torch.tensor(CODES))
    loss.backward()
    train(net, images)
    for parameter, other in zip(net.module_.parameters(), by_hand.module_.parameters()):
        expected = other.detach() - 0.5 * other.grad
        torch.testing.assert_close(parameter.detach(), expected, rtol=1e-5, atol=1e-6)


def test_weights_decay_and_biases_and_norms_do_not():
    network = {"normalization": (None, "batch"), "filters": (4, 5), "dense_units": 6}
    net = make_net(network=network, optimizer__weight_decay=0.01)
    decay = {
        id(parameter): group["weight_decay"]
        for group in net.optimizer_.param_groups
        for parameter in group["params"]
    }
    named = {name: decay[id(p)] for name, p in net.module_.named_parameters()}
    assert len(named) == 9
    for name, value in named.items():
        norm_or_bias = name.endswith("bias") or name == "body.block2.1.weight"
        assert value == (0 if norm_or_bias else 0.01)


@pytest.mark.parametrize("schedule", ["onecycle", None])
def test_biases_and_norms_may_have_a_rate_of_their_own(schedule, images):
    network = {"normalization": "batch", "filters": (4, 5)}
    net = make_net(network=network, optimizer=Noting, schedule=schedule, bias_lr_factor=8)
    net.set_lr(0.5)
    train(net, images)
    filters, weights, biases = np.transpose(net.optimizer_.noted)
    np.testing.assert_array_equal(filters, weights)
    expected = [0.5 * lr_multiplier(schedule, step, 8) for step in range(8)]
    np.testing.assert_allclose(weights, expected)
    np.testing.assert_allclose(biases, 8 * weights)
    groups = net.optimizer_.param_groups
    assert [group["lr"] for group in groups] == [0.5, 0.5, 4.0]
    assert [group["role"] for group in groups] == ["filters", "weights", "others"]
    assert [{p.ndim for p in group["params"]} for group in groups] == [{4}, {2}, {1}]


def test_parameters_that_are_not_trained_are_left_alone(images):
    net = make_net()
    frozen = net.module_.body.block1[0].weight.requires_grad_(False)
    net.initialize_optimizer()
    before, output = frozen.clone(), net.module_.head.weight.detach().clone()
    train(net, images)
    assert torch.equal(frozen, before)
    assert not torch.equal(net.module_.head.weight, output)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_trains(name, images):
    optimizer, settings = resolve_optimizer(name)
    net = make_net(
        optimizer=optimizer,
        **{f"optimizer__{key}": value for key, value in settings.items()},
        optimizer__weight_decay=1e-4,
        lr=0.01,
        max_epochs=8,
    )
    train(net, images)
    assert net.history[-1, "train_loss"] < net.history[0, "train_loss"]


class Noting(torch.optim.SGD):
    """Notes the learning rates of each step."""

    def step(self, closure=None):
        self.noted = getattr(self, "noted", [])
        self.noted.append([group["lr"] for group in self.param_groups])
        return super().step(closure)


@pytest.mark.parametrize("schedule", [*SCHEDULES, None])
@pytest.mark.parametrize("hooks", [False, True], ids=["fast", "hooks"])
def test_each_step_takes_the_rate_of_the_schedule(schedule, hooks, images):
    net = make_net(
        optimizer=Noting,
        schedule=schedule,
        max_epochs=3,
        callbacks=[("spy", Spy())] if hooks else [],
    )
    train(net, images)
    # Sixteen images per batch make four batches of sixty.
    expected = [0.1 * lr_multiplier(schedule, step, 12) for step in range(12)]
    np.testing.assert_allclose(net.optimizer_.noted, np.stack([expected] * 3, axis=1))
    assert net.history[:, "lr"] == pytest.approx(expected[3::4])
    # Afterwards it is as it was, and a further call starts over.
    assert [group["lr"] for group in net.optimizer_.param_groups] == [0.1, 0.1, 0.1]
    net.optimizer_.noted.clear()
    train(net, images)
    np.testing.assert_allclose(net.optimizer_.noted, np.stack([expected] * 3, axis=1))


class Spy(Callback):
    """Asks for every batch, so that the net calls for each."""

    def __init__(self):
        self.called = []

    def on_batch_begin(self, net, batch=None, training=None, **kwargs):
        self.called.append(("begin", training, len(batch[0])))

    def on_grad_computed(self, net, named_parameters=None, **kwargs):
        self.called.append(("grad", True, len([p for _, p in named_parameters])))

    def on_batch_end(self, net, batch=None, training=None, loss=None, **kwargs):
        self.called.append(("end", training, loss.item()))


class Stop(Callback):
    """Interrupts training at the end of some batch, as a user at the keyboard does."""

    def __init__(self, after):
        self.after = after

    def on_batch_end(self, net, training=None, **kwargs):
        self.after -= 1
        if self.after == 0:
            raise KeyboardInterrupt


def test_a_net_does_not_change_while_it_is_stored(images, monkeypatch):
    """Other threads use it, and so does the training whose callback stores it."""
    net = train(make_net(), images)
    net._loop = "training"
    before, whole, meanwhile = vars(net), {**vars(net)}, []

    def look(apart):
        meanwhile.append(vars(net) is before and vars(net) == whole)
        return dump_apart(apart)

    monkeypatch.setattr("skcnn._engine._net.dump_apart", look)
    state = net.__getstate__()
    assert meanwhile == [True]
    assert vars(net) is before
    assert vars(net) == whole
    assert "_loop" not in state
    assert "history_" in state


def test_a_callback_may_end_an_epoch(images):
    class Enough(Callback):
        def on_batch_end(self, net, **kwargs):
            if len(net.history) == 2:
                raise StopTraining

    net = train(make_net(max_epochs=3, callbacks=[("enough", Enough())]), images)
    assert [row["epoch"] for row in net.history] == [1]


def test_the_rate_is_as_it_was_after_an_interruption(images):
    net = make_net(schedule="onecycle", callbacks=[("stop", Stop(2))])
    train(net, images)
    assert [group["lr"] for group in net.optimizer_.param_groups] == [0.1, 0.1, 0.1]


def test_callbacks_are_called_for_every_batch(images):
    spy = Spy()
    net = make_net(max_epochs=1, batch_size=32, callbacks=[("spy", spy)])
    train(net, images, validation=ImageDataset(images[:30], CODES[:30]))
    assert [call[:2] for call in spy.called] == [
        *[("begin", True), ("grad", True), ("end", True)] * 2,
        *[("begin", False), ("end", False)] * 2,
    ]
    assert [n for kind, _, n in spy.called if kind == "begin"] == [32, 28, 25, 5]
    assert all(n == 4 for kind, _, n in spy.called if kind == "grad")
    losses = [loss for kind, training, loss in spy.called if kind == "end" and training]
    assert net.history[-1, "train_loss"] == pytest.approx(np.average(losses, weights=[32, 28]))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_callbacks_make_no_difference_to_the_weights(precision, images):
    def trained(callbacks):
        net = make_net(
            callbacks=callbacks,
            precision=precision,
            schedule="onecycle",
            augment=[lambda x, generator: x + torch.rand(1, generator=generator), MixUp()],
            resizing=(0.5, 1),
            network={"normalization": "batch", "dropout": 0.5},
        )
        return train(net, images, validation=ImageDataset(images[:30], CODES[:30]))

    fast, called = trained([]), trained([("spy", Spy())])
    assert same_weights(fast, called)
    for name in ("train_loss", "valid_loss", "valid_accuracy", "lr", "train_loss_best"):
        assert fast.history[:, name] == called.history[:, name]


@pytest.mark.parametrize("change", [{"seed": 1}, {"augment": [lambda x, g: x.flip(1)]}], ids=repr)
def test_the_seed_and_the_changes_decide_the_weights(change, images):
    first = train(make_net(), images)
    assert same_weights(train(make_net(), images), first)
    net = make_net()
    net.set_params(**change)
    assert not same_weights(train(net, images), first)


def test_it_is_noted_which_epoch_was_the_best_so_far():
    class Given(TrainedNet):
        def run_single_epoch(self, *args, **kwargs):
            loss, hits = figures[len(self.history) - 1]
            record(self.history, "valid_loss", loss, lower_is_better=True)
            record(self.history, "valid_accuracy", hits, lower_is_better=False)

    figures = [(3.0, 0.5), (2.0, 0.5), (2.0, 0.6), (2.5, 0.1), (1.0, 0.7)]
    net = Given(
        nn.Linear,
        target=ClassTarget(np.arange(2)),
        module__in_features=1,
        module__out_features=2,
        max_epochs=5,
    )
    net.fit(np.zeros((4, 1, 1, 1), np.float32), np.array([0, 1, 0, 1]))
    assert net.history[:, "valid_loss_best"] == [True, True, False, False, True]
    assert net.history[:, "valid_accuracy_best"] == [True, False, True, False, True]


@pytest.mark.parametrize("hooks", [False, True], ids=["fast", "hooks"])
def test_a_loss_that_is_not_finite_stops_training_with_the_epoch_named(hooks, images):
    callbacks = [("spy", Spy())] if hooks else []
    net = make_net(lr=1e30, batch_size=60, max_epochs=9, callbacks=callbacks)
    with pytest.raises(ValueError, match=r"loss became (nan|inf) in epoch [23]\..*lr=1e\+30"):
        train(net, images)
    assert [group["lr"] for group in net.optimizer_.param_groups] == [1e30, 1e30, 1e30]


def test_low_precision_differs_slightly(images):
    def losses(precision):
        net = train(make_net(precision=precision, max_epochs=3), images)
        return np.array(net.history[:, "train_loss"]), net

    full, net = losses("float32")
    low, low_net = losses("bfloat16")
    assert not same_weights(net, low_net)
    np.testing.assert_allclose(low, full, rtol=0.02)
    # Weights and outputs have full precision all the same.
    assert {p.dtype for p in low_net.module_.parameters()} == {torch.float32}
    outputs = outputs_of(low_net, images)
    assert outputs.dtype == np.float32
    np.testing.assert_allclose(outputs, logits_of(low_net, images), rtol=1e-5, atol=1e-6)
    assert np.any(outputs != torch.tensor(outputs).bfloat16().float().numpy())


class Gradients(Callback):
    """Notes the largest gradients of the last batch."""

    def on_grad_computed(self, net, named_parameters=None, **kwargs):
        self.seen = [p.grad.abs().max().item() for _, p in named_parameters]


@pytest.mark.parametrize("hooks", [False, True], ids=["fast", "hooks"])
def test_half_precision_scales_its_gradients_and_nobody_sees_it(hooks, images):
    spies = [Gradients(), Gradients()]
    nets = [
        train(
            make_net(precision=precision, max_epochs=3, callbacks=[("spy", spy)] if hooks else []),
            images,
        )
        for precision, spy in zip(("float32", "float16"), spies)
    ]
    full, half = nets
    np.testing.assert_allclose(
        half.history[:, "train_loss"], full.history[:, "train_loss"], rtol=0.02
    )
    assert not same_weights(full, half)
    assert half.scaler_.get_scale() > 1
    if hooks:
        np.testing.assert_allclose(spies[1].seen, spies[0].seen, rtol=0.1)
    # The scale is kept for when training goes on.
    scale = half.scaler_.get_scale()
    again = pickle.loads(pickle.dumps(half))
    assert again.scaler_.get_scale() == scale
    train(again, images)
    assert again.history[-1, "train_loss"] < half.history[-1, "train_loss"]


def test_validation_is_in_the_precision_of_training(images):
    net = make_net(**STILL, precision="bfloat16")
    full = F.cross_entropy(logits_of(net, images), torch.tensor(CODES)).item()
    with torch.autocast("cpu", torch.bfloat16):
        low = F.cross_entropy(logits_of(net, images).float(), torch.tensor(CODES)).item()
    train(net, images, validation=ImageDataset(images, CODES))
    assert net.history[-1, "valid_loss"] == pytest.approx(low, rel=1e-6)
    assert net.history[-1, "valid_loss"] != pytest.approx(full, rel=1e-6)
    assert net.history[-1, "valid_loss"] == pytest.approx(full, rel=1e-2)


def test_it_is_a_skorch_net(images):
    net = make_net()
    net.fit(images, CODES)
    assert net.predict(images).shape == (60,)
    np.testing.assert_allclose(net.predict_proba(images).sum(axis=1), 1, rtol=1e-5)
    assert 0 <= net.score(images, CODES) <= 1


def test_a_progress_bar_shows_the_figures(images, capsys):
    train(make_net(progress=True), images, validation=ImageDataset(images, CODES))
    shown = capsys.readouterr().err
    assert "fit 100%|" in shown
    assert re.search(r"epoch 2, loss [\d.]+, valid loss [\d.]+, accuracy [\d.]+", shown)


class Store(Callback):
    """Stores the net in mid-training, as `Checkpoint` does."""

    def on_epoch_end(self, net, **kwargs):
        self.stored = self.copied = None
        self.stored, self.copied = pickle.dumps(net), copy.deepcopy(net)


def test_a_net_can_be_stored_while_it_trains(images):
    store = Store()
    net = train(make_net(progress=True, callbacks=[("store", store)]), images)
    for other in (pickle.loads(store.stored), store.copied):
        assert same_weights(other, net)
        assert not hasattr(other, "_loop")
        train(other, images)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler")
@pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning:torch")
def test_compiling_changes_the_speed_and_not_what_is_stored(images):
    # Batches of one size, since each size has to be compiled.
    options = {"network": {"normalization": "batch"}, "batch_size": 30, "resizing": (0.5, 1)}
    plain, compiled = (
        train(make_net(use_torch_compile=compiled, **options), images)
        for compiled in (False, True)
    )
    np.testing.assert_allclose(
        compiled.history[:, "train_loss"], plain.history[:, "train_loss"], rtol=1e-3
    )
    assert compiled.module_.state_dict().keys() == plain.module_.state_dict().keys()
    again = pickle.loads(pickle.dumps(compiled))
    np.testing.assert_array_equal(outputs_of(again, images), outputs_of(compiled, images))


def test_without_a_progress_bar_it_is_silent(images, capsys):
    train(make_net(), images)
    assert capsys.readouterr() == ("", "")
