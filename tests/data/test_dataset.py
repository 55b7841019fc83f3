"""The data set, and one batch of it."""

import numpy as np
import pytest
import torch
from _helpers import CODES, make_net
from skorch.dataset import unpack_data

from skcnn._data._arrays import Images
from skcnn._data._dataset import Batch, ImageDataset


def test_batch_has_no_weight_unless_one_is_given():
    images, target = torch.zeros(2, 4, 4, 3), torch.tensor([0, 1])
    batch = Batch(images, target)
    assert batch.weight is None
    assert tuple(batch) == (images, target, None, None)


@pytest.mark.parametrize("weight", [None, torch.ones(2)], ids=["plain", "weighted"])
def test_batch_is_a_pair_for_callbacks(weight):
    images, target = torch.zeros(2, 4, 4, 3), torch.tensor([0, 1])
    pair = Batch(images, target, weight).pair
    found = unpack_data(pair)
    assert found[0] is images
    assert found[1] is target


def test_image_dataset_has_images_targets_and_weights():
    X, y, weight = np.zeros((5, 4, 4, 3), np.uint8), np.arange(5), np.ones(5, np.float32)
    data = ImageDataset(Images(X), y, weight)
    assert len(data) == 5
    assert data.sample_weight is weight
    image, target = data[3]
    assert image.shape == (4, 4, 3)
    assert target == 3
    assert ImageDataset(X).y is None


@pytest.mark.parametrize("weight", [None, np.ones(60, np.float32)], ids=["plain", "weighted"])
def test_image_dataset_is_what_a_skorch_net_predicts_from(weight, images):
    net = make_net()
    data = ImageDataset(images, CODES, weight)
    np.testing.assert_array_equal(net.predict_proba(data), net.predict_proba(images))
    np.testing.assert_array_equal(net.predict(data), net.predict(images))
