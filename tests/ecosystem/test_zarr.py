"""zarr: images and labels in a store."""

import numpy as np
import pytest
from _ecosystem import assert_fits_as, needs, run_example
from _helpers import small_net, stripes

zarr = needs("zarr")


def test_the_example_fits_as_from_memory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = run_example("import zarr")
    assert_fits_as(names, "X", "X", names["images"])


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), (64,)], ids=str)
def test_gray_images_of_every_shape(shape):
    X, y = stripes(60, channels=1)
    X = X.reshape(60, *shape)
    stored = zarr.array(X)
    found = small_net(max_epochs=2).fit(stored, zarr.array(y)).predict_proba(stored)
    np.testing.assert_array_equal(found, small_net(max_epochs=2).fit(X, y).predict_proba(X))
