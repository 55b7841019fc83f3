"""Fitted nets in pickles: their code is left to the pickle around them, as is its manner."""

import numpy as np
import pytest
import torch
from _helpers import small_net, stripes
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import cross_validate
from torch import nn

from skcnn._engine._pickling import dump_apart, load_apart


class Doubled(nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


def test_tensors_keep_their_owners_and_the_code_stands_beside_them():
    layer = Doubled(3, 2)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    stored, code = dump_apart({"layer": layer, "optimizer": optimizer})
    assert Doubled in code
    assert b"Doubled" not in stored
    found = load_apart(stored, code, torch.device("cpu"))
    assert type(found["layer"]) is Doubled
    assert found["layer"].weight is found["optimizer"].param_groups[0]["params"][0]
    torch.testing.assert_close(found["layer"].weight, layer.weight)


def test_the_device_is_chosen_when_they_are_read():
    stored, code = dump_apart({"weight": torch.ones(2)})
    assert load_apart(stored, code, torch.device("meta"))["weight"].device.type == "meta"


def _of_this_test():
    """A class and a function that other processes cannot import, as with those of a script."""

    class Own(nn.Module):
        def __init__(self, n_channels, n_classes):
            super().__init__()
            self.convolution = nn.Conv2d(n_channels, 6, 3)
            self.output = nn.Linear(6, n_classes)

        def forward(self, x):
            return self.output(self.convolution(x).relu().mean((2, 3)))

    return {"class": Own, "function": lambda n_channels, n_classes: Own(n_channels, n_classes)}


@pytest.mark.parametrize("kind", ["class", "function"])
def test_modules_of_a_script_come_back_from_worker_processes(kind):
    X, y = stripes(60)
    net = small_net(module=_of_this_test()[kind], max_epochs=2)
    # One that is fitted there, and one that is fitted here and sent there.
    for given in (net, FrozenEstimator(clone(net).fit(X, y))):
        here, there = (
            cross_validate(given, X, y, cv=2, n_jobs=n_jobs, return_estimator=True)["estimator"]
            for n_jobs in (1, 2)
        )
        for one, other in zip(here, there):
            np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))
    estimator = there[0].estimator
    before = estimator.loss_curve_[-1]
    assert estimator.partial_fit(X, y).loss_curve_[-1] != before
