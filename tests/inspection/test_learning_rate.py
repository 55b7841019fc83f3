"""Short trainings at several learning rates, what they suggest, and their curve."""

import itertools
import signal
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from _helpers import small_net, stripes
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from skorch.callbacks import Callback

from skcnn._engine._schedule import lr_multiplier
from skcnn._engine._step import TrainingStep
from skcnn.inspection import LearningRateDisplay, learning_rate_curve

FEW = {"lr_min": 1e-3, "lr_max": 1.0, "n_rates": 4, "n_steps": 10, "max_steps": 10}


@pytest.fixture(scope="module")
def data():
    return stripes(120)


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


@pytest.fixture
def quiet():
    """So few steps may well say nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


@pytest.mark.usefixtures("quiet")
def test_each_rate_has_the_mean_loss_of_the_last_steps(data):
    curve = learning_rate_curve(small_net(), *data, **FEW)
    np.testing.assert_allclose(curve.lr, [0.001, 0.01, 0.1, 1])
    assert curve.loss.shape == curve.error.shape == (4,)
    # Three classes that nothing is known of yet.
    assert curve.first_loss == pytest.approx(np.log(3), abs=0.6)
    best = curve.loss.argmin()
    assert curve.error[best] == 0
    assert np.all(np.delete(curve.error, best) > 0)
    low, high = curve.good_range
    assert low <= curve.lr[best] <= high
    assert curve.suggestion == pytest.approx(np.sqrt(low * high))
    assert curve.n_steps == 10


@pytest.mark.usefixtures("quiet")
def test_the_rates_are_those_of_one_cycle(data):
    """Followed by plain gradient descent on a network whose steps can be retraced."""
    taken = []

    class Noted(torch.optim.SGD):
        def step(self, closure=None):
            taken.append([group["lr"] for group in self.param_groups])
            return super().step(closure)

    clf = small_net(optimizer=Noted, bias_lr_factor=3)
    learning_rate_curve(clf, *data, **FEW | {"lr_max": 0.1})
    filters, weights, biases = np.transpose(taken)
    cycle = [lr_multiplier("onecycle", step, 10) for step in range(10)]
    expected = np.outer([0.001, 0.1 ** (7 / 3), 0.1 ** (5 / 3), 0.1], cycle).ravel()
    assert filters == pytest.approx(expected)
    assert weights == pytest.approx(expected)
    assert biases == pytest.approx(3 * expected)


@pytest.mark.usefixtures("quiet")
def test_all_rates_begin_alike(data):
    """From the same weights, even where each fit draws its own."""
    first = []

    class FirstWeights(torch.optim.SGD):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            weights = [p.detach().clone() for g in self.param_groups for p in g["params"]]
            first.append(torch.cat([w.flatten() for w in weights]))

    learning_rate_curve(
        small_net(optimizer=FirstWeights, weight_decay=0, random_state=None), *data, **FEW
    )
    assert len(first) == 4
    assert all(torch.equal(first[0], weights) for weights in first)


@pytest.mark.parametrize("optimizer", ["sgd", "muon"])
def test_the_suggestion_is_a_rate_that_learns(optimizer, data):
    X, y = data
    clf = small_net(optimizer=optimizer)
    suggestion = learning_rate_curve(clf, X, y, n_rates=9, n_steps=30).suggestion
    assert 0.01 < suggestion < 1
    assert small_net(optimizer=optimizer, lr=suggestion).fit(X, y).score(X, y) > 0.9


def test_rates_at_which_training_diverges_have_an_infinite_loss(data):
    clf = small_net(normalization=None, activation="relu", optimizer="sgd")
    curve = learning_rate_curve(
        clf, *data, lr_min=1e-3, lr_max=1e6, n_rates=7, n_steps=20, max_steps=20
    )
    assert np.isinf(curve.loss[-1])
    assert np.isfinite(curve.loss[:2]).all()
    assert 1e-3 < curve.suggestion < 10


def test_a_curve_that_says_nothing_is_repeated_with_more_steps():
    """There is nothing to learn from noise, and too many images to learn by heart."""
    rng = np.random.RandomState(0)
    X, y = rng.randint(256, size=(900, 8, 8, 3), dtype=np.uint8), np.arange(900) % 3
    rates = {"lr_min": 1e-3, "lr_max": 1, "n_rates": 4}
    with pytest.warns(UserWarning, match=r"says little: after 40 steps.*Give more max_steps"):
        curve = learning_rate_curve(small_net(), X, y, **rates, n_steps=10, max_steps=79)
    assert curve.n_steps == 40
    assert curve.good_range[1] > 16 * curve.good_range[0]


@pytest.fixture
def at_step(monkeypatch):
    """Have a function called in each step of a training, with the number of the step."""

    def call(function):
        update, numbers = TrainingStep.update_weights, itertools.count(1)

        def updating(step):
            update(step)
            function(next(numbers))

        monkeypatch.setattr(TrainingStep, "update_weights", updating)

    return call


def test_ctrl_c_ends_the_curve(data, at_step):
    steps = []

    def interrupt(number):
        steps.append(number)
        if number == 5:
            signal.raise_signal(signal.SIGINT)

    at_step(interrupt)
    with pytest.raises(KeyboardInterrupt):
        learning_rate_curve(small_net(), *data, **FEW)
    assert steps == [1, 2, 3, 4, 5]


@pytest.mark.usefixtures("quiet")
def test_the_filters_of_warnings_stay_as_they_are_meanwhile(data, at_step):
    """They are the same for all threads."""
    before, meanwhile = [*warnings.filters], []
    at_step(lambda number: meanwhile.append([*warnings.filters]))
    learning_rate_curve(small_net(), *data, **FEW)
    assert meanwhile
    assert all(filters == before for filters in meanwhile)


def test_more_steps_are_for_the_good_rates_alone(data):
    X, y = stripes(120, noise=150)
    clf = small_net()
    short = {"lr_min": 1e-4, "lr_max": 1e3, "n_rates": 8, "n_steps": 10}
    with pytest.warns(UserWarning, match="says little"):
        first = learning_rate_curve(clf, X, y, **short, max_steps=10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        curve = learning_rate_curve(clf, X, y, **short, max_steps=20)
    assert curve.n_steps == 20
    assert len(curve.lr) < len(first.lr)
    assert curve.lr[0] <= first.good_range[0]


@pytest.mark.parametrize(
    ("lr_min", "lr_max", "message"),
    [(1e-6, 1e-3, "lr_max=0.001"), (1, 100, "lr_min=1")],
)
def test_a_lowest_loss_at_the_end_of_the_curve_is_told(lr_min, lr_max, message, data):
    with pytest.warns(UserWarning, match=rf"end of the learning-rate curve, {message}"):
        learning_rate_curve(small_net(), *data, lr_min=lr_min, lr_max=lr_max, n_rates=4)


@pytest.mark.usefixtures("quiet")
def test_the_estimator_stays_as_it_is(data):
    class Counts(Callback):
        n_calls = 0

        def on_batch_end(self, net, **kwargs):
            Counts.n_calls += 1

    clf = small_net(
        callbacks=[Counts()],
        early_stopping=True,
        progressive_resizing=(0.75, 1),
        weight_averaging=0.5,
        checkpoint_dir="nowhere",
        verbose=1,
    )
    before = clf.get_params()
    learning_rate_curve(clf, *data, **FEW)
    assert clf.get_params() == before
    assert not hasattr(clf, "net_")
    assert Counts.n_calls == 0


@pytest.mark.usefixtures("quiet")
def test_the_same_seed_gives_the_same_curve(data):
    first, again = (learning_rate_curve(small_net(), *data, **FEW) for _ in range(2))
    np.testing.assert_array_equal(first.loss, again.loss)


@pytest.mark.usefixtures("quiet")
def test_weights_of_images_are_heeded(data):
    X, y = data
    plain = learning_rate_curve(small_net(), X, y, **FEW)
    weight = np.linspace(0, 1, len(y))
    weighted = learning_rate_curve(small_net(), X, y, **FEW, sample_weight=weight)
    assert not np.allclose(plain.loss, weighted.loss)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr_min": 0}, "lr_min=0 and lr_max=10.0, expected 0 < lr_min < lr_max"),
        ({"lr_min": 1, "lr_max": 0.1}, "lr_min=1 and lr_max=0.1"),
        ({"lr_max": float("inf")}, "lr_max=inf"),
        ({"n_rates": 2}, "n_rates=2, expected at least 3"),
        ({"n_steps": 9}, "n_steps=9, expected at least 10"),
        ({"max_steps": 30}, "max_steps=30, expected at least n_steps=50"),
    ],
)
def test_a_curve_that_makes_no_sense_is_refused(options, message, data):
    with pytest.raises(ValueError, match=message):
        learning_rate_curve(small_net(), *data, **options)


def test_pipelines_and_searches_are_refused(data):
    net = small_net()
    for other in (make_pipeline(net), GridSearchCV(net, {"lr": [0.1]})):
        with pytest.raises(TypeError, match=f"estimator is a {type(other).__name__}"):
            learning_rate_curve(other, *data, **FEW)


def test_a_loss_that_is_never_finite_is_an_error(data):
    X, y = data

    class Broken(torch.nn.Module):
        def __init__(self, n_classes):
            super().__init__()
            self.output = torch.nn.Linear(1, n_classes)

        def forward(self, images):
            return self.output(images.flatten(1)[:, :1]) * float("nan")

    with pytest.raises(ValueError, match=r"diverged at all learning rates, from 0\.001: the loss"):
        learning_rate_curve(small_net(module=Broken), X, y, **FEW)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("own_axes", [False, True])
def test_the_curve_is_drawn(own_axes, data):
    ax = plt.subplots()[1] if own_axes else None
    few = FEW | {"lr_min": 0.1, "lr_max": 1e6, "n_steps": 20, "max_steps": 20}
    display = LearningRateDisplay.from_estimator(small_net(), *data, **few, ax=ax)
    assert ax is None or display.ax_ is ax
    assert display.figure_ is display.ax_.figure
    assert display.ax_.get_xscale() == "log"
    np.testing.assert_array_equal(display.line_.get_xdata(), display.lr)
    shown = display.line_.get_ydata()
    learned = display.loss <= display.first_loss
    assert not learned[-1]
    np.testing.assert_array_equal(shown[learned], display.loss[learned])
    assert np.isnan(shown[~learned]).all()
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == [
        "at the start",
        "after 20 steps",
        "learned nothing, or diverged",
        f"suggested learning rate: {display.suggestion:.2g}",
    ]
    low, high = display.ax_.get_ylim()
    assert low < display.loss.min() < display.first_loss < high


@pytest.mark.usefixtures("quiet")
def test_a_curve_can_be_drawn_again(data):
    curve = learning_rate_curve(small_net(), *data, **FEW)
    assert LearningRateDisplay(**curve).plot().ax_ is not LearningRateDisplay(**curve).plot().ax_
