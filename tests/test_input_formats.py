"""The same images give the same predictions, whichever door they came in by."""

import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from _helpers import small_net, stripes
from _image_files import write_images
from numpy.testing import assert_array_equal

# ---------------------------------------------------------------- the doors


def _flat(X):
    return X.reshape(len(X), -1)


def _frame(X):
    return pd.DataFrame(_flat(X), columns=[f"pixel{i}" for i in range(X[0].size)])


def _frame_of_objects(X):
    return _frame(X).astype(object)


def _mapped(X, folder):
    path = folder / f"{len(X)}-{X.sum()}.bin"
    X.tofile(path)
    return np.memmap(path, dtype=X.dtype, mode="r", shape=X.shape)


def _mapped_flat(X, folder):
    return _flat(_mapped(X, folder))


def _loaded_mapped(X, folder):
    path = folder / f"{len(X)}-{X.sum()}.npy"
    np.save(path, X)
    return np.load(path, mmap_mode="r")


def _paths(X, folder):
    return write_images(folder / f"{len(X)}-{X.sum()}", X)


def _path_objects(X, folder):
    return [Path(path) for path in _paths(X, folder)]


def _series_of_paths(X, folder):
    return pd.Series(_paths(X, folder), index=range(len(X), 0, -1))


def _frame_of_paths(X, folder):
    return pd.DataFrame({"path": pd.Categorical(_paths(X, folder))})


def _frame_of_boxes(X, folder):
    """Images as parts of larger ones, a row of four in each file."""
    joined = [np.concatenate(list(X[i : i + 4]), axis=1) for i in range(0, len(X), 4)]
    paths = _paths(np.array(joined), folder)
    box = {"box_x": np.arange(len(X)) % 4 / 4, "box_y": 0, "box_width": 0.25, "box_height": 1}
    return pd.DataFrame({**box, "file": np.repeat(paths, 4)})


def _read_only(X):
    X = X.copy()
    X.setflags(write=False)
    return X


DTYPES = ["uint8", "int8", "uint16", "int16", "int32", "uint32", "int64", "uint64"]
DTYPES += ["float16", "float32", "float64", ">f4", ">i2"]
INPUT_FORMATS = {
    **{dtype: lambda X, dtype=dtype: X.astype(dtype) for dtype in DTYPES},
    "read-only": _read_only,
    "fortran": np.asfortranarray,
    "strided": lambda X: np.repeat(X, 2, axis=0)[::2],
    "backwards": lambda X: X[:, ::-1].copy()[:, ::-1],
    "last row first": lambda X: X[::-1].copy()[::-1],
    "tensor that requires a gradient": lambda X: torch.tensor(
        X, dtype=torch.float32
    ).requires_grad_(),
    "list of arrays": list,
    "list of tensors": lambda X: [torch.tensor(x) for x in X],
    "nested lists": lambda X: X.tolist(),
    "tensor": torch.tensor,
    "float tensor": lambda X: torch.tensor(X).float().requires_grad_(),
    "bfloat16 tensor": lambda X: torch.tensor(X).bfloat16(),
    "permuted tensor": lambda X: torch.tensor(X.transpose(0, 3, 1, 2).copy()).permute(0, 2, 3, 1),
    "flat": _flat,
    "flat floats": lambda X: _flat(X) * 1.0,
    "flat list": lambda X: _flat(X).tolist(),
    "flat tensor": lambda X: torch.tensor(_flat(X)),
    "frame": _frame,
    "frame without names": lambda X: pd.DataFrame(_flat(X)),
    "frame of floats": lambda X: _frame(X).astype("float64"),
    "frame of many dtypes": lambda X: _frame(X).astype({"pixel3": "int64", "pixel7": "float32"}),
    "memory map": _mapped,
    "flat memory map": _mapped_flat,
    "loaded memory map": _loaded_mapped,
    "paths": _paths,
    "path objects": _path_objects,
    "series of paths": _series_of_paths,
    "frame of paths": _frame_of_paths,
    "frame of boxes": _frame_of_boxes,
}
_ON_DISK = {_mapped, _mapped_flat, _loaded_mapped}
_ON_DISK |= {_paths, _path_objects, _series_of_paths, _frame_of_paths, _frame_of_boxes}
# Columns with names: rows of numbers without any are warned about afterwards, by scikit-learn.
_NAMED = {"frame", "frame of floats", "frame of many dtypes"}
_UNNAMED_ROWS = {"flat", "flat floats", "flat list", "flat tensor", "flat memory map"}
_UNNAMED_ROWS |= {"frame without names"}


@pytest.fixture(scope="module")
def enter(tmp_path_factory):
    """Lead images through a door."""
    folder = tmp_path_factory.mktemp("maps")

    def through(door, X):
        make = INPUT_FORMATS[door]
        return make(X, folder) if make in _ON_DISK else make(X)

    return through


@pytest.fixture(scope="module")
def data():
    """Images whose pixels fit into every dtype, and labels."""
    X, y = stripes(120)
    X = X // 2
    return X[:80], X[80:], y[:80], y[80:]


def _net(**parameters):
    return small_net(max_epochs=3, dropout=0.1, augment=("flip", "shift"), **parameters)


@pytest.fixture(scope="module")
def expected(data):
    """What a network fitted on uint8 images says of the test images."""
    X, X_test, y, y_test = data
    clf = _net().fit(X, y)
    assert clf.score(X_test, y_test) > 0.7
    return clf.predict_proba(X_test)


@pytest.mark.parametrize("door", INPUT_FORMATS)
def test_fitted_through_one_door_predicts_through_all(door, enter, data, expected):
    X, X_test, y, _ = data
    clf = _net().fit(enter(door, X), y)
    assert clf.image_shape_ == (8, 8, 3)
    for other in INPUT_FORMATS:
        if door in _NAMED and other in _UNNAMED_ROWS:
            with pytest.warns(UserWarning, match="X does not have valid feature names"):
                found = clf.predict_proba(enter(other, X_test))
        else:
            found = clf.predict_proba(enter(other, X_test))
        assert_array_equal(found, expected, err_msg=other)


GREY_DOORS = {
    "(n, h, w)": lambda X: X[..., 0],
    "(n, h, w, 1)": lambda X: X,
    "(n, h * w)": _flat,
    "frame": _frame,
    "tensor (n, h, w)": lambda X: torch.tensor(X[..., 0]),
    "list of (h, w)": lambda X: list(X[..., 0]),
    "floats (n, h, w)": lambda X: X[..., 0] * 1.0,
}


@pytest.mark.parametrize("door", GREY_DOORS)
def test_grey_images_may_lack_their_channel(door):
    X, y = stripes(120, channels=1)
    X, X_test, y = X[:80], X[80:], y[:80]
    expected = _net().fit(X, y).predict_proba(X_test)
    clf = _net().fit(GREY_DOORS[door](X), y)
    assert clf.image_shape_ == (8, 8, 1)
    for name, other in GREY_DOORS.items():
        if door == "frame" and name == "(n, h * w)":
            continue
        assert_array_equal(clf.predict_proba(other(X_test)), expected, err_msg=name)


FIRST_DOORS = {
    "array": lambda X: X,
    "copy": np.ascontiguousarray,
    "floats": lambda X: X.astype("float32"),
    "tensor": lambda X: torch.tensor(X),
    "list": list,
    "flat": _flat,
}


@pytest.mark.parametrize("door", FIRST_DOORS)
def test_channels_first_is_the_same_as_channels_last(door, data, expected):
    X, X_test, y, _ = data
    first, first_test = (images.transpose(0, 3, 1, 2) for images in (X, X_test))
    clf = _net(data_format="channels_first", image_shape=(8, 8, 3))
    clf.fit(FIRST_DOORS[door](first), y)
    assert clf.image_shape_ == (8, 8, 3)
    for name, other in FIRST_DOORS.items():
        assert_array_equal(clf.predict_proba(other(first_test)), expected, err_msg=name)
        assert_array_equal(clf.predict(other(first_test)), expected.argmax(axis=1))


def test_channels_last_may_be_said(data, expected):
    X, X_test, y, _ = data
    clf = _net(data_format="channels_last").fit(X, y)
    assert_array_equal(clf.predict_proba(X_test), expected)


def test_flattened_images_that_are_not_square_need_their_shape():
    X, y = stripes(90, size=12)
    X = X[:, :8]
    told = _net(image_shape=(8, 12, 3)).fit(_flat(X), y)
    assert told.image_shape_ == (8, 12, 3)
    assert_array_equal(told.predict_proba(X), _net().fit(X, y).predict_proba(X))
    assert_array_equal(told.predict_proba(_flat(X)), told.predict_proba(X))


def test_boolean_images_are_zeros_and_ones():
    X, y = stripes(90, channels=1)
    X = X > 127
    clf = _net().fit(X, y)
    for dtype in (np.uint8, np.float32, np.int64):
        assert_array_equal(clf.predict_proba(X.astype(dtype)), clf.predict_proba(X))
        assert_array_equal(_net().fit(X.astype(dtype), y).predict_proba(X), clf.predict_proba(X))


def test_pixels_are_not_rescaled_by_their_dtype(data):
    """Floats from 0 to 1 are other numbers than integers from 0 to 255, to any estimator."""
    X, X_test, y, _ = data
    clf = _net().fit(X, y)
    with pytest.warns(
        UserWarning, match=r"X has pixels from 0 to 0\.\d+, but .* Scale them alike"
    ):
        assert not np.array_equal(clf.predict_proba(X_test / 255), clf.predict_proba(X_test))
    # Fitted on them, the network standardizes them to the same.
    scaled = _net().fit(X / 255, y)
    assert np.abs(scaled.predict_proba(X_test / 255) - clf.predict_proba(X_test)).max() < 0.05


@pytest.mark.parametrize(
    "door",
    ["frame", "flat", "float tensor", "nested lists", "memory map", "paths", "frame of boxes"],
)
@pytest.mark.parametrize("method", ["predict", "transform", "decision_function"])
def test_every_method_has_every_door(door, method, enter, data):
    X, X_test, y, _ = data
    clf = _net().fit(X, y)
    expected = getattr(clf, method)(X_test)
    assert_array_equal(getattr(clf, method)(enter(door, X_test)), expected)


@pytest.mark.parametrize(
    "door", ["frame", "flat", "float64", "tensor", "memory map", "list of arrays", "paths"]
)
def test_validation_images_have_every_door(door, enter, data):
    X, X_val, y, y_val = data
    expected = _net(early_stopping=True).fit(X, y, X_val=X_val, y_val=y_val)
    clf = _net(early_stopping=True).fit(X, y, X_val=enter(door, X_val), y_val=y_val)
    assert_array_equal(clf.history_["valid_loss"], expected.history_["valid_loss"])
    assert_array_equal(clf.predict_proba(X_val), expected.predict_proba(X_val))


def test_partial_fit_goes_on_through_another_door(enter, data):
    X, X_test, y, _ = data
    expected = _net().partial_fit(X, y)
    mixed = _net().partial_fit(X, y)
    for door in ("memory map", "frame", "tensor", "float64", "paths"):
        expected.partial_fit(X, y)
        mixed.partial_fit(enter(door, X), y)
    assert_array_equal(mixed.predict_proba(X_test), expected.predict_proba(X_test))


def test_names_of_columns_are_compared(enter, data):
    X, X_test, y, _ = data
    clf = _net().fit(enter("frame", X), y)
    assert clf.feature_names_in_[:2].tolist() == ["pixel0", "pixel1"]
    frame = enter("frame", X_test)
    with pytest.raises(ValueError, match="feature names should match"):
        clf.predict(frame[frame.columns[::-1]])
    clf.fit(X, y)
    assert not hasattr(clf, "feature_names_in_")


def test_one_image_is_a_batch_of_one(data, expected):
    X, X_test, y, _ = data
    clf = _net().fit(X, y)
    assert_array_equal(clf.predict_proba(X_test[3][None]), expected[3:4])


@pytest.mark.parametrize(("dtype", "n"), [("uint8", 60_000), ("float64", 12_000)])
def test_a_memory_map_is_never_read_as_a_whole(dtype, n, tmp_path):
    path = tmp_path / "images.bin"
    images = np.memmap(path, dtype=dtype, mode="w+", shape=(n, 8, 8, 3))
    images[: n // 2] = 200
    images.flush()
    images = np.memmap(path, dtype=dtype, mode="r", shape=(n, 8, 8, 3))
    y = np.arange(n) < n // 2
    clf = small_net(filters=1, max_epochs=1, batch_size=500)
    clf.fit(images[: 2 * n // 3], y[: 2 * n // 3])  # everything imported, everything cached
    tracemalloc.start()
    try:
        clf.fit(images, y)
        right = clf.score(images, y)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert right == 1
    assert peak < path.stat().st_size / 2


def test_none_of_the_doors_warns(enter, data):
    """Whatever pytest is told about warnings."""
    X, X_test, y, _ = data
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf = small_net(max_epochs=1)
        for door in ("frame", "uint8", "memory map", "tensor", "paths"):
            clf.fit(enter(door, X), y).predict(enter("uint8", X_test))
            clf.fit(enter("uint8", X), y).predict(enter(door, X_test))


TENSORS = {
    "plain": lambda values: torch.tensor(values),
    "requires a gradient": lambda values: torch.tensor(values, dtype=torch.float).requires_grad_(),
    "bfloat16": lambda values: torch.tensor(values, dtype=torch.bfloat16),
    "list": lambda values: list(torch.tensor(values, dtype=torch.float).requires_grad_()),
}


@pytest.mark.parametrize("form", TENSORS.values(), ids=TENSORS.keys())
def test_labels_weights_and_groups_may_be_tensors(form, data):
    X, _, y, _ = data
    weight, groups = 1 + np.arange(len(y)) % 2, np.arange(len(y)) // 4
    more = {"X_val": X, "groups": groups}
    numbers = small_net(max_epochs=1).fit(X, y, weight, y_val=y, **more)
    more = {"X_val": X, "groups": form(groups)}
    tensors = small_net(max_epochs=1).fit(X, form(y), form(weight), y_val=form(y), **more)
    assert numbers.loss_curve_ == tensors.loss_curve_
    again = numbers.history_["valid_loss"].tolist(), tensors.history_["valid_loss"].tolist()
    assert again[0] == again[1]
    classes = np.unique(y)
    numbers.partial_fit(X, y, classes, weight)
    tensors.partial_fit(X, form(y), form(classes), form(weight))
    assert_array_equal(numbers.predict_proba(X), tensors.predict_proba(X))
