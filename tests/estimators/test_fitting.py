"""Training an estimator's network: interruptions, failures, what is left afterwards."""

import pickle
import signal
import threading
import warnings
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from _helpers import NETS, Spy, small_net, stripes
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback
from torch.nn import Flatten, Linear, Sequential

from skcnn import ConvNetClassifier, ConvNetRegressor, ConvNetSegmenter
from skcnn._engine import _fit, _inference, _schedule
from skcnn.networks import ConvBlocks, UNet


def classifier(**options):
    network = {} if "module" in options else {"filters": (4,), "dropout": 0.2}
    options = {
        **network,
        "augment": ("flip", "shift"),
        "max_epochs": 2,
        "batch_size": 16,
        "device": "cpu",
        "precision": "float32",
    } | options
    return ConvNetClassifier(**options)


def weights(clf):
    return torch.cat([value.flatten().double() for value in clf.module_.state_dict().values()])


class Stop(Callback):
    """Interrupts training in the middle of an epoch, as a user at the keyboard does."""

    def __init__(self, epoch, batch=2):
        self.epoch = epoch
        self.batch = batch

    def on_train_begin(self, net, **kwargs):
        self.seen = 0

    def on_epoch_begin(self, net, **kwargs):
        self.seen = 0

    def on_batch_end(self, net, training=None, **kwargs):
        self.seen += 1
        if len(net.history) == self.epoch and self.seen == self.batch:
            signal.raise_signal(signal.SIGINT)


COLUMNS = ["train_loss", "valid_loss", "valid_accuracy", "lr", "seconds"]


@pytest.mark.parametrize("epoch", [1, 3])
def test_an_interruption_warns_and_keeps_whole_epochs(epoch, images, labels):
    clf = classifier(max_epochs=5, callbacks=[Stop(epoch)], random_state=0)
    with pytest.warns(UserWarning, match=f"Training was interrupted in epoch {epoch}"):
        clf.fit(images, labels)
    assert clf.n_iter_ == len(clf.history_) == len(clf.loss_curve_) == epoch - 1
    assert clf.history_.index.tolist() == list(range(1, epoch))
    assert list(clf.history_) == COLUMNS
    assert np.isfinite(clf.history_["train_loss"].to_numpy(float)).all()
    assert clf.predict(images).shape == (60,)


class Interrupting(Spy):
    def on_epoch_begin(self, net, **kwargs):
        super().on_epoch_begin(net, **kwargs)
        if len(net.history) == 3:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_interrupting_the_training_keeps_what_was_learnt(early_stopping):
    X, y = stripes(180)
    clf = small_net(callbacks=[Interrupting()], early_stopping=early_stopping)
    with pytest.warns(UserWarning, match="interrupted in epoch 3"):
        clf.fit(X, y)
    assert clf.n_iter_ == len(clf.history_) == 2
    assert clf.score(X, y) > 0.5


def test_an_interrupted_network_is_as_its_last_batch_left_it(images, labels):
    short = classifier(max_epochs=3, callbacks=[Stop(2)], random_state=0)
    with pytest.warns(UserWarning, match="interrupted"):
        short.fit(images, labels)
    whole = classifier(max_epochs=1, random_state=0).fit(images, labels)
    longer = classifier(max_epochs=3, random_state=0).fit(images, labels)
    assert not torch.equal(weights(short), weights(whole))
    assert not torch.equal(weights(short), weights(longer))


def test_a_callback_that_ends_the_training_is_no_interruption(images, labels):
    class Enough(Callback):
        def on_epoch_end(self, net, **kwargs):
            if len(net.history) == 2:
                raise KeyboardInterrupt

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf = classifier(max_epochs=5, callbacks=[Enough()], random_state=0).fit(images, labels)
    assert clf.predict(images).shape == (60,)


def test_an_interruption_after_an_unfinished_epoch_says_where(images, labels):
    clf = classifier(max_epochs=3, callbacks=[Stop(2)], warm_start=True, random_state=0)
    with pytest.warns(UserWarning, match="interrupted in epoch 2; the network is as the last"):
        clf.fit(images, labels)
    clf.set_params(callbacks=[Stop(4)])
    with pytest.warns(UserWarning, match="interrupted in epoch 4; the network is as the last"):
        clf.fit(images, labels)
    assert clf.n_iter_ == 2


def test_the_warning_says_which_weights_early_stopping_has_gone_back_to():
    X, y = stripes(180)
    clf = small_net(callbacks=[Interrupting()], early_stopping=True)
    with pytest.warns(UserWarning, match=r"epoch 3; the network has its weights after epoch [12]"):
        clf.fit(X, y)


class InterruptingLate(Callback):
    """Ctrl-C when there is nothing left to interrupt."""

    def on_train_end(self, net, **kwargs):
        signal.raise_signal(signal.SIGINT)


def test_an_interruption_at_the_end_keeps_everything(images, labels):
    clf = classifier(callbacks=[InterruptingLate()], random_state=0)
    with pytest.warns(UserWarning, match="interrupted after epoch 2"):
        clf.fit(images, labels)
    assert torch.equal(weights(clf), weights(classifier(random_state=0).fit(images, labels)))


class InterruptingEarly(Callback):
    def on_train_begin(self, net, **kwargs):
        signal.raise_signal(signal.SIGINT)


def test_an_interruption_before_the_first_batch_trains_one(images, labels):
    clf = classifier(callbacks=[InterruptingEarly()], random_state=0)
    with pytest.warns(UserWarning, match="interrupted in epoch 1"):
        clf.fit(images, labels)
    assert clf.predict(images).shape == (60,)


def test_an_interruption_of_a_fit_in_a_callback_ends_both(images, labels):
    class Nested(Callback):
        def on_epoch_end(self, net, **kwargs):
            classifier(callbacks=[Stop(1)]).fit(images, labels)

    clf = classifier(max_epochs=5, callbacks=[Nested()], random_state=0)
    with pytest.warns(UserWarning, match="interrupted after epoch 1") as caught:
        clf.fit(images, labels)
    assert len(caught) == 1
    assert clf.n_iter_ == 1


def test_a_fit_that_fails_after_an_interruption_ends_a_search_all_the_same(
    images, labels, monkeypatch
):
    def fail(net):
        raise ValueError("not finite")

    monkeypatch.setattr(_fit, "_check_finite", fail)
    estimator = classifier(callbacks=[Stop(1)])
    search = GridSearchCV(estimator, {"lr": [0.1, 0.2]}, cv=2, error_score=0.0)
    with pytest.raises(KeyboardInterrupt):
        search.fit(images, labels)
    with pytest.raises(ValueError, match="not finite"):
        estimator.fit(images, labels)


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, RuntimeError, MemoryError])
@pytest.mark.parametrize("hook", ["on_batch_end", "on_train_end"])
def test_training_that_fails_leaves_the_earlier_network(error, hook, images, labels):
    class Fail(Callback):
        pass

    def fail(callback, net, **kwargs):
        raise error

    setattr(Fail, hook, fail)
    clf = classifier(random_state=0, warm_start=True, weight_averaging=0.5).fit(images, labels)
    before, net = weights(clf), {**vars(clf.net_)}
    history = clf.history_
    clf.set_params(callbacks=[Fail()])
    if error is KeyboardInterrupt and hook == "on_batch_end":
        with pytest.warns(UserWarning, match="interrupted in epoch 3"):
            clf.fit(images, labels)
        return
    with pytest.raises(error):
        clf.fit(images, labels)
    assert torch.equal(weights(clf), before)
    assert vars(clf.net_) == net
    assert clf.history_.equals(history)
    assert clf.set_params(callbacks=None).fit(images, labels).n_iter_ == 4


class InThread(Callback):
    """Calls a function in a thread, as a dashboard does, and waits for it."""

    def __init__(self, function):
        self.function = function
        self.results = []

    def on_epoch_end(self, net, **kwargs):
        thread = threading.Thread(target=lambda: self.results.append(self.function()), daemon=True)
        thread.start()
        thread.join(30)
        assert not thread.is_alive()


def test_a_callback_may_wait_for_a_fit_in_another_thread(images, labels):
    def fit():
        return weights(classifier(random_state=1).fit(images, labels))

    waiting = InThread(fit)
    clf = classifier(callbacks=[waiting], random_state=0).fit(images, labels)
    assert len(waiting.results) == 2
    for found in waiting.results:
        assert torch.equal(found, fit())
    assert torch.equal(weights(clf), weights(classifier(random_state=0).fit(images, labels)))


def test_a_summary_of_a_new_network_neither_waits_for_a_fit_nor_changes_it(images, labels):
    summaries = InThread(lambda: str(classifier().summary((8, 8, 3), n_classes=3)))
    clf = classifier(callbacks=[summaries], random_state=0)

    class Summarize(Callback):
        def on_batch_end(self, net, **kwargs):
            summaries.on_epoch_end(net)

    clf.set_params(callbacks=[Summarize()]).fit(images, labels)
    assert len(summaries.results) == 8
    assert set(summaries.results) == {str(classifier().summary((8, 8, 3), n_classes=3))}
    assert torch.equal(weights(clf), weights(classifier(random_state=0).fit(images, labels)))


def test_an_interruption_ends_a_search(images, labels):
    search = GridSearchCV(classifier(callbacks=[Stop(1)]), {"lr": [0.1, 0.2]}, cv=2)
    with pytest.raises(KeyboardInterrupt):
        search.fit(images, labels)


def test_a_call_that_goes_through_after_an_interruption_does_not_warn(images, labels):
    clf = classifier(max_epochs=3, callbacks=[Stop(2)], random_state=0)
    with pytest.warns(UserWarning, match="interrupted"):
        clf.fit(images, labels)
    clf.set_params(callbacks=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf.partial_fit(images, labels)
        assert clf.n_iter_ == 2
        clf.set_params(warm_start=True, max_epochs=2).fit(images, labels)
    assert clf.n_iter_ == 4
    assert clf.history_.index.is_unique


def test_figures_of_callbacks_follow_in_the_history(images, labels):
    class Noting(Callback):
        def on_epoch_end(self, net, **kwargs):
            net.history.record("answer", 42)

    clf = classifier(callbacks=[Noting()]).fit(images, labels)
    assert list(clf.history_) == [*COLUMNS, "answer"]
    assert clf.history_["answer"].tolist() == [42, 42]


def test_a_failed_fit_that_goes_on_leaves_the_network_usable(images, labels):
    clf = classifier(random_state=0, warm_start=True).fit(images, labels)
    before = clf.predict_proba(images)
    clf.set_params(lr=1e30, max_epochs=5)
    with pytest.raises(ValueError, match="loss became"):
        clf.fit(images, labels)
    assert np.isfinite(clf.predict_proba(images)).all()
    np.testing.assert_array_equal(clf.predict_proba(images), before)


class Explosion(Callback):
    """Lets the loss leave the numbers there are in an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == self.epoch:
            net.set_lr(1e37)


@pytest.mark.parametrize("watched", [False, True])
def test_a_loss_that_is_not_finite_offers_the_best_weights_so_far(watched, images, labels):
    def local_network(n_channels, n_outputs):
        return Sequential(Flatten(), Linear(64 * n_channels, n_outputs))

    common = {"random_state": 0, "lr_schedule": None, "lr": 0.01, "module": local_network}
    validation = {"X_val": images, "y_val": labels} if watched else {}
    plain = [classifier(max_epochs=n, **common).fit(images, labels) for n in (1, 2, 3)]
    clf = classifier(max_epochs=9, callbacks=[Explosion(4)], **common)
    with pytest.raises(ValueError, match=r"loss became .* in epoch [45]") as caught:
        clf.fit(images, labels, **validation)
    assert "The best weights so far are those after epoch 3." in str(caught.value)
    assert not hasattr(clf, "net_")
    best = caught.value.estimator
    assert best.n_iter_ == len(best.history_) == 3
    np.testing.assert_array_equal(best.predict_proba(images), plain[2].predict_proba(images))
    assert best.set_params(callbacks=None).partial_fit(images, labels).n_iter_ == 4
    # A worker process sends the error without the weights.
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again)) == (ValueError, str(caught.value))


def test_a_loss_that_is_never_finite_offers_nothing(images, labels):
    with pytest.raises(ValueError, match=r"loss became .* in epoch 1") as caught:
        classifier(callbacks=[Explosion(1)], lr_schedule=None).fit(images, labels)
    assert caught.value.estimator is None
    assert "best weights" not in str(caught.value)


def test_validation_images_are_not_kept(images, labels):
    clf = classifier(random_state=0).fit(images, labels, X_val=images, y_val=labels)
    assert clf.net_.train_split is None


def test_the_network_is_ready_to_predict(images, labels):
    clf = classifier(random_state=0).fit(images, labels)
    assert not any(module.training for module in clf.module_.modules())
    with torch.inference_mode():
        logits = clf.module_(torch.tensor(images)).numpy()
    np.testing.assert_allclose(clf.decision_function(images), logits, rtol=1e-4, atol=1e-5)


def test_the_statistics_of_the_training_images_are_in_the_network(images, labels):
    clf = classifier(random_state=0).fit(images, labels)
    np.testing.assert_allclose(clf.module_.mean, images.mean(axis=(0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(clf.module_.scale, images.std(axis=(0, 1, 2)), rtol=1e-6)


def test_images_held_out_do_not_enter_the_statistics(images, labels):
    clf = classifier(random_state=0, early_stopping=True, validation_fraction=0.5)
    clf.fit(images, labels)
    assert not np.allclose(clf.module_.mean, images.mean(axis=(0, 1, 2)), rtol=1e-6)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (
            lambda image_shape: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 5)),
            r"outputs of shape \('n', 5\), expected .* 3 classes",
        ),
        (lambda n_channels: torch.nn.Conv2d(n_channels, 3, 1), r"shape \('n', 3, 8, 8\)"),
    ],
    ids=["features", "maps"],
)
def test_a_module_whose_outputs_are_no_logits_is_refused(module, message, images, labels):
    with pytest.raises(ValueError, match=message):
        classifier(module=module).fit(images, labels)


def test_a_module_may_leave_its_sizes_open(images, labels):
    def module(n_classes):
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(n_classes))

    clf = classifier(module=module, random_state=0).fit(images, labels)
    assert clf.predict(images).shape == (60,)


# ---------------------------------------------------------------- beside other workers


@pytest.fixture
def claims(monkeypatch):
    """What a worker on a GPU would claim, while it computes on the CPU."""
    claims = []

    @contextmanager
    def shared(device, needed, *, exclusive=False):
        claims.append((needed, exclusive))
        yield

    monkeypatch.setattr(_fit, "is_device_shared", lambda device: True)
    for module in (_inference, _fit):
        monkeypatch.setattr(module, "reserve_device_memory", shared)
    return claims


class ShortOnce(Callback):
    """Runs out of memory in the second epoch, the first time that there is one."""

    n_left = 1

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 2 and ShortOnce.n_left:
            ShortOnce.n_left -= 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")


@pytest.mark.parametrize("again", [False, True], ids=["new", "warm start"])
def test_a_worker_short_of_memory_trains_once_more_alone(
    again, claims, images, labels, monkeypatch
):
    def fit(**options):
        clf = classifier(random_state=0, warm_start=again, **options).fit(images, labels)
        return clf.fit(images, labels) if again else clf

    expected = fit()
    claims.clear()
    monkeypatch.setattr(ShortOnce, "n_left", 1)
    found = fit(callbacks=[ShortOnce()])
    assert ShortOnce.n_left == 0
    assert [alone for _, alone in claims][:2] == [False, True]
    assert torch.equal(weights(found), weights(expected))
    assert found.history_["train_loss"].tolist() == expected.history_["train_loss"].tolist()


def test_whoever_is_short_of_memory_when_alone_gets_the_error(claims, images, labels, monkeypatch):
    monkeypatch.setattr(ShortOnce, "n_left", 2)
    with pytest.raises(MemoryError, match=r"too little memory.*batch_size=16"):
        classifier(callbacks=[ShortOnce()]).fit(images, labels)
    assert [alone for _, alone in claims] == [False, True]


def test_without_other_workers_a_shortage_is_final(images, labels, monkeypatch):
    monkeypatch.setattr(ShortOnce, "n_left", 1)
    with pytest.raises(MemoryError, match="too little memory"):
        classifier(callbacks=[ShortOnce()]).fit(images, labels)


@pytest.mark.parametrize("parameters", [{"filters": (2**42,)}, {"dense_units": 2**45}], ids=str)
def test_a_network_that_memory_does_not_hold_is_named_as_the_reason(parameters, images, labels):
    with pytest.raises(MemoryError, match=r"too little memory\. Use a smaller network"):
        classifier(**parameters).fit(images, labels)


def test_larger_work_claims_more(claims, images, labels):
    classifier().fit(images, labels).predict(images)
    classifier(filters=(8,), batch_size=32).fit(images, labels)
    (training, _), (predicting, _), (larger, _) = claims
    assert predicting > 0
    # The images themselves, and at least the values of a batch.
    assert images.nbytes + 4 * 16 * 8 * 8 * 4 < training
    assert 3 * (training - images.nbytes) < larger - images.nbytes


def test_each_size_of_images_that_is_recorded_claims_its_memory(claims, images, labels):
    small = {"filters": (8,), "global_pool": "average", "batch_size": 64}
    for scales in (None, (1.0,), (0.5, 1.0), (0.5, 0.5, 1.0)):
        classifier(**small, progressive_resizing=scales).fit(images, labels)
    whole, once, twice, repeated = (needed for needed, _ in claims)
    assert whole == once
    # A quarter of the values of whole images, which are most of what there is.
    assert 1.15 < twice / whole < 1.25
    assert repeated == twice


class ShortOfMemory(torch.nn.Module):
    """Has memory for eight images at once, in training."""

    def forward(self, x):
        if self.training and torch.is_grad_enabled() and len(x) > 8:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return x


def short_of_memory(n_channels, n_outputs):
    return Sequential(ShortOfMemory(), Flatten(), Linear(64 * n_channels, n_outputs))


def test_a_worker_waits_for_the_device_before_its_batches_are_divided(claims, images, labels):
    with pytest.warns(UserWarning, match="set batch_size=8"):
        classifier(module=short_of_memory).fit(images, labels)
    assert [alone for _, alone in claims] == [False, True]


@pytest.mark.parametrize("kind", NETS)
def test_automatic_epochs_are_those_for_the_images_that_are_trained_on(kind, monkeypatch):
    # So that 60 images are many, and training takes a moment.
    monkeypatch.setattr(_schedule, "_N_IMAGES", 20)
    X, y = stripes(60)
    net = NETS[kind](max_epochs="auto").fit(X, y)
    assert net.n_iter_ == _schedule.choose_epochs(60) == round(30 / 3**0.4)
    net.set_params(early_stopping=True, validation_fraction=0.5, n_iter_no_change=100).fit(X, y)
    assert net.n_iter_ == _schedule.choose_epochs(30) == round(30 / 1.5**0.4)


@pytest.mark.parametrize(("n_images", "size"), [(499, 16), (500, 32), (3_840, 64)])
def test_automatic_batches_are_small_for_few_images(n_images, size):
    sizes = set()

    class Look(Callback):
        def on_batch_begin(self, net, batch=None, **kwargs):
            sizes.add(len(batch[0]))

    X, y = stripes(n_images)
    small_net(batch_size="auto", max_epochs=1, callbacks=[Look()]).fit(X, y)
    assert max(sizes) == size


def test_automatic_epochs_of_masks_are_those_for_the_pieces_of_images(monkeypatch):
    monkeypatch.setattr(_schedule, "_N_IMAGES", 4)
    X = np.zeros((6, 16, 16, 3), dtype=np.uint8)
    X[:, :8] = 200
    blocks = ConvBlocks((2,), convs_per_block=1)
    seg = ConvNetSegmenter(UNet(blocks), max_epochs="auto", image_shape=(8, 8), device="cpu")
    # Each image is cut into four pieces.
    assert seg.fit(X, X[..., 0] > 0).n_iter_ == _schedule.choose_epochs(24)


def test_automatic_epochs_go_on_from_a_checkpoint(tmp_path):
    X, y = stripes(60)
    first, second = (
        small_net(max_epochs="auto", checkpoint_dir=tmp_path).fit(X, y) for _ in range(2)
    )
    assert first.n_iter_ == second.n_iter_ == _schedule.choose_epochs(60)
    # Nothing was trained again: the seconds are those of the first training.
    assert first.history_["seconds"].tolist() == second.history_["seconds"].tolist()


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_one_image_alone_is_not_normalized(method, images):
    reg = ConvNetRegressor(augment=None, random_state=0)
    with pytest.raises(ValueError, match=r"one image \(n_samples=1\).*normalization=None"):
        getattr(reg, method)(images[:1], [1.0])
    reg.set_params(normalization=None, lr=0.001, max_epochs=1)
    assert getattr(reg, method)(images[:1], [1.0]).predict(images[:2]).shape == (2,)
