"""Images as inspection reads them."""

import copy

import numpy as np
import pytest

from skcnn.inspection import feature_maps, grad_cam
from skcnn.inspection._reading import read_images


@pytest.mark.parametrize("flips", [False, True])
def test_images_come_through_every_door_once(fitted, organisms, flips):
    X = organisms[0][:9]
    clf = copy.copy(fitted).set_params(test_time_flip=flips)
    maps = feature_maps(clf, X, "block1")
    assert len(maps) == 9
    np.testing.assert_array_equal(feature_maps(clf, X.reshape(9, -1), "block1"), maps)
    np.testing.assert_array_equal(read_images(clf, X.reshape(9, -1))[:], X)
    assert clf.test_time_flip == flips


@pytest.mark.parametrize("function", [feature_maps, grad_cam])
def test_images_are_gathered_in_batches(function, fitted, organisms, gathered):
    X = organisms[0][:150]
    assert len(function(fitted, X)) == 150
    assert gathered == [64, 64, 22]


def test_reading_images_runs_and_gathers_nothing(fitted, organisms, gathered, monkeypatch):
    monkeypatch.setattr(type(fitted.module_), "forward", None)
    images = read_images(fitted, organisms[0])
    assert (len(images), gathered) == (300, [])
