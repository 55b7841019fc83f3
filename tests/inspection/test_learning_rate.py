"""The learning-rate range test and its curve."""

import itertools
import signal
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from _helpers import small_net, stripes
from skorch.callbacks import Callback

from skcnn._engine._loop import TrainingLoop
from skcnn.inspection import LearningRateDisplay, learning_rate_curve


@pytest.fixture(scope="module")
def data():
    return stripes(120)


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def test_rates_rise_geometrically_and_each_step_has_a_loss(data):
    curve = learning_rate_curve(small_net(), *data, lr_min=1e-3, lr_max=0.1, n_steps=20)
    np.testing.assert_allclose(curve.lr, np.geomspace(1e-3, 0.1, 20))
    assert curve.loss.shape == curve.smoothed_loss.shape == (20,)
    # Three classes that nothing is known of yet.
    assert curve.loss[0] == pytest.approx(np.log(3), abs=0.6)
    assert curve.smoothed_loss[0] == curve.loss[0]
    assert curve.suggestion == curve.lr[curve.smoothed_loss.argmin()] / 3


def test_the_rates_are_those_of_the_steps(data):
    """Followed by plain gradient descent on a network whose steps can be retraced."""
    taken = []

    class Noted(torch.optim.SGD):
        def step(self, closure=None):
            taken.append([group["lr"] for group in self.param_groups])
            return super().step(closure)

    clf = small_net(optimizer=Noted, bias_lr_factor=3)
    curve = learning_rate_curve(clf, *data, n_steps=15, lr_min=1e-3, lr_max=1e-2)
    filters, weights, biases = np.transpose(taken)
    assert filters == pytest.approx(curve.lr)
    assert weights == pytest.approx(curve.lr)
    assert biases == pytest.approx(3 * curve.lr)


def test_the_sweep_ends_where_the_loss_goes_off(data):
    clf = small_net(normalization=None, activation="relu", optimizer="sgd")
    curve = learning_rate_curve(clf, *data, lr_min=1e-3, lr_max=1e6, n_steps=60)
    assert len(curve.loss) < 60
    assert np.isfinite(curve.loss).all()
    assert 1e-3 < curve.suggestion < 10


def test_the_suggested_rate_is_one_that_learns(data):
    X, y = data
    suggestion = learning_rate_curve(small_net(), X, y, n_steps=60).suggestion
    assert small_net(lr=suggestion).fit(X, y).score(X, y) > 0.9


@pytest.fixture
def at_step(monkeypatch):
    """Have a function called in each step of a training, with the number of the step."""

    def call(function):
        update, numbers = TrainingLoop.update_weights, itertools.count(1)

        def updating(loop):
            update(loop)
            function(next(numbers))

        monkeypatch.setattr(TrainingLoop, "update_weights", updating)

    return call


def test_ctrl_c_ends_the_sweep(data, at_step):
    steps = []

    def interrupt(number):
        steps.append(number)
        if number == 5:
            signal.raise_signal(signal.SIGINT)

    at_step(interrupt)
    with pytest.raises(KeyboardInterrupt):
        learning_rate_curve(small_net(), *data)
    assert steps == [1, 2, 3, 4, 5]


def test_the_filters_of_warnings_stay_as_they_are_meanwhile(data, at_step):
    """They are the same for all threads."""
    before, meanwhile = [*warnings.filters], []
    at_step(lambda number: meanwhile.append([*warnings.filters]))
    learning_rate_curve(small_net(), *data)
    assert meanwhile
    assert all(filters == before for filters in meanwhile)


def test_the_estimator_stays_as_it_is(data):
    class Counts(Callback):
        n_calls = 0

        def on_batch_end(self, net, **kwargs):
            Counts.n_calls += 1

    clf = small_net(
        callbacks=[Counts()], early_stopping=True, progressive_resizing=(0.75, 1), verbose=1
    )
    before = clf.get_params()
    learning_rate_curve(clf, *data, n_steps=10)
    assert clf.get_params() == before
    assert not hasattr(clf, "net_")
    assert Counts.n_calls == 0


def test_the_same_seed_gives_the_same_curve(data):
    first, again = (learning_rate_curve(small_net(), *data, n_steps=12) for _ in range(2))
    np.testing.assert_array_equal(first.loss, again.loss)


def test_weights_of_images_are_heeded(data):
    X, y = data
    plain = learning_rate_curve(small_net(), X, y, n_steps=12)
    weighted = learning_rate_curve(
        small_net(), X, y, n_steps=12, sample_weight=np.linspace(0, 1, len(y))
    )
    assert not np.allclose(plain.loss, weighted.loss)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr_min": 0}, "lr_min=0 and lr_max=10.0, expected 0 < lr_min < lr_max"),
        ({"lr_min": 1, "lr_max": 0.1}, "lr_min=1 and lr_max=0.1"),
        ({"lr_max": float("inf")}, "lr_max=inf"),
        ({"n_steps": 9}, "n_steps=9, expected at least 10"),
    ],
)
def test_a_sweep_that_makes_no_sense_is_refused(options, message, data):
    with pytest.raises(ValueError, match=message):
        learning_rate_curve(small_net(), *data, **options)


def test_a_loss_that_is_not_finite_from_the_start_is_an_error(data):
    X, y = data

    class Broken(torch.nn.Module):
        def __init__(self, n_classes):
            super().__init__()
            self.output = torch.nn.Linear(1, n_classes)

        def forward(self, images):
            return self.output(images.flatten(1)[:, :1]) * float("nan")

    with pytest.raises(ValueError, match=r"not finite in the first step, at lr_min=0\.0001"):
        learning_rate_curve(small_net(module=Broken), X, y)


@pytest.mark.parametrize("own_axes", [False, True])
def test_the_curve_is_drawn(own_axes, data):
    ax = plt.subplots()[1] if own_axes else None
    display = LearningRateDisplay.from_estimator(small_net(), *data, n_steps=30, ax=ax)
    assert ax is None or display.ax_ is ax
    assert display.figure_ is display.ax_.figure
    assert display.ax_.get_xscale() == "log"
    np.testing.assert_array_equal(display.line_.get_ydata(), display.smoothed_loss)
    np.testing.assert_array_equal(display.line_.get_xdata(), display.lr)
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == ["per step", "smoothed", f"suggested learning rate: {display.suggestion:.2g}"]
    low, high = display.ax_.get_ylim()
    assert low < display.smoothed_loss.min() < display.smoothed_loss[0] < high


def test_a_curve_can_be_drawn_again(data):
    curve = learning_rate_curve(small_net(), *data, n_steps=12)
    assert LearningRateDisplay(**curve).plot().ax_ is not LearningRateDisplay(**curve).plot().ax_
