"""h5py: images and labels in an HDF5 file."""

import numpy as np
import pytest
from _ecosystem import assert_fits_as, needs, run_example
from _helpers import small_net, stripes

h5py = needs("h5py")


def test_the_example_fits_as_from_memory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = run_example("import h5py")
    assert names["clf"].classes_.tolist() == ["ant", "bee", "fly"]
    assert_fits_as(names, "X", "X_test", names["X_test"])


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), (64,)], ids=str)
def test_gray_images_of_every_shape(shape, tmp_path):
    X, y = stripes(60, channels=1)
    X = X.reshape(60, *shape)
    expected = small_net(max_epochs=2).fit(X, y)
    with h5py.File(tmp_path / "gray.h5", "w") as file:
        file["X"], file["y"] = X, y
        found = small_net(max_epochs=2).fit(file["X"], file["y"])
        np.testing.assert_array_equal(found.predict_proba(file["X"]), expected.predict_proba(X))
