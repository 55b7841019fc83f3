"""xarray: images with names of dimensions."""

import numpy as np
import pytest
from _ecosystem import assert_fits_as, needs, run_example
from _helpers import small_net, stripes
from sklearn.model_selection import cross_val_score

xarray = needs("xarray")


def test_the_example_fits_as_from_memory():
    names = run_example("import xarray")
    assert_fits_as(names, "X", "X", names["images"])


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), (64,)], ids=str)
def test_gray_images_of_every_shape_also_in_cross_validation(shape):
    X, y = stripes(60, channels=1)
    X = X.reshape(60, *shape)
    named = xarray.DataArray(X, dims=("time", "y", "x", "band")[: X.ndim])
    found = cross_val_score(
        small_net(max_epochs=2), named, xarray.DataArray(y), cv=2, error_score="raise"
    )
    np.testing.assert_array_equal(found, cross_val_score(small_net(max_epochs=2), X, y, cv=2))
