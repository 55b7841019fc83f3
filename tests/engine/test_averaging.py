"""Weights averaged over the last steps of a training."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skorch.callbacks import Callback
from torch import nn

from skcnn import ConvNetClassifier
from skcnn._engine._averaging import WeightAverage
from skcnn.datasets import make_organisms


@given(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=9), st.floats(0, 1))
def test_the_weights_are_the_mean_of_the_last_ones(values, share):
    network = nn.Linear(1, 1, bias=False)
    average = WeightAverage(network, len(values), share)
    for value in values:
        nn.init.constant_(network.weight, value)
        average.update()
    average.apply([])
    last = values[-max(1, round(share * len(values))) :]
    assert network.weight.item() == pytest.approx(np.mean(last), abs=1e-3)


def test_batch_normalization_takes_new_figures():
    network = nn.Sequential(nn.BatchNorm2d(2), nn.Dropout(0.0)).eval()
    average = WeightAverage(network, 1, 1.0)
    average.update()
    images = torch.rand(6, 5, 2, 3, 3) * 7
    average.apply((batch,) for batch in images)
    torch.testing.assert_close(network[0].running_mean, images.mean((0, 1, 3, 4)))
    assert not network.training


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_network_is_as_it_was_if_averaging_fails(error):
    network = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3))
    average = WeightAverage(network, 2, 1.0)
    for value in (1.0, 2.0):
        nn.init.constant_(network[0].weight, value)
        average.update()
    before = {name: value.clone() for name, value in network.state_dict().items()}

    def images():
        yield (torch.rand(4, 2, 3, 3),)
        raise error

    with pytest.raises(error):
        average.apply(images())
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert network[1].momentum == 0.1
    assert network.training


class Weights(Callback):
    """Writes down all weights after each batch."""

    def initialize(self):
        self.after_ = []
        return self

    def on_batch_end(self, net, training, **kwargs):
        if training:
            self.after_.append([p.detach().clone() for p in net.module_.parameters()])


@pytest.fixture
def data():
    return make_organisms(n_samples=130, n_classes=3, image_size=8, random_state=0)


def settings(**changes):
    return {"filters": (4, 6), "max_epochs": 3, "batch_size": 20, "random_state": 0} | changes


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_fit_ends_with_the_mean_of_its_last_weights(data, share):
    weights = Weights()
    clf = ConvNetClassifier(**settings(weight_averaging=share, callbacks=[weights])).fit(*data)
    after = dict(clf.net_.callbacks_)["Weights"].after_
    n_steps = len(after)
    assert n_steps == 3 * 7
    last = after[-max(1, round(share * n_steps)) :]
    for own, *steps in zip(clf.module_.parameters(), *last):
        torch.testing.assert_close(own.detach(), torch.stack(steps).mean(0))


def test_what_is_validated_last_is_the_network_that_comes_out(data):
    X, y = data
    clf = ConvNetClassifier(**settings(weight_averaging=0.5, precision="float32"))
    clf.fit(X[:100], y[:100], X_val=X[100:], y_val=y[100:])
    assert clf.history_["valid_accuracy"].iloc[-1] == pytest.approx(clf.score(X[100:], y[100:]))
    plain = ConvNetClassifier(**settings(precision="float32"))
    plain.fit(X[:100], y[:100], X_val=X[100:], y_val=y[100:])
    losses = [fitted.history_["valid_loss"] for fitted in (clf, plain)]
    np.testing.assert_array_equal(losses[0][:-1], losses[1][:-1])
    assert losses[0].iloc[-1] != losses[1].iloc[-1]


def test_fits_with_averages_are_repeatable(data):
    first, second = (
        ConvNetClassifier(**settings(weight_averaging=0.4, dropout=0.2)).fit(*data)
        for _ in range(2)
    )
    np.testing.assert_array_equal(first.predict_proba(data[0]), second.predict_proba(data[0]))


def test_an_epoch_by_itself_is_not_averaged(data):
    X, y = data
    averaged, plain = (
        ConvNetClassifier(**settings(weight_averaging=share)).partial_fit(X, y).partial_fit(X, y)
        for share in (1.0, 0.0)
    )
    np.testing.assert_array_equal(averaged.predict_proba(X), plain.predict_proba(X))


def test_averages_bring_down_the_loss_where_the_rate_does_not_fall():
    X, y = make_organisms(
        n_samples=1500, n_classes=5, image_size=16, difficulty=0.8, random_state=0
    )
    losses = []
    for share in (0.0, 0.25):
        clf = ConvNetClassifier(
            (8, 16), lr_schedule=None, weight_averaging=share, max_epochs=8, random_state=1
        )
        clf.fit(X[:900], y[:900], X_val=X[900:], y_val=y[900:])
        losses.append(clf.history_["valid_loss"].iloc[-1])
    assert losses[1] < 0.9 * losses[0]
