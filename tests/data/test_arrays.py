"""The contract for X: whichever door images come in by, they are the same images."""

import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from skcnn import ConvNetClassifier
from skcnn._data._arrays import Images, as_shape, check_images, infer_shape
from skcnn._data._conversion import as_array


def read(X, image_shape=None, data_format="auto"):
    """Images of an X that decides what later ones must look like."""
    return check_images(
        ConvNetClassifier(), X, reset=True, image_shape=image_shape, data_format=data_format
    )[0]


def fitted_on(X, **options):
    """An estimator that remembers the images it has seen, as after fit."""
    estimator = ConvNetClassifier()
    estimator.image_shape_ = check_images(estimator, X, reset=True, **options)[0].shape
    return estimator


def everything(read_images):
    return read_images[np.arange(len(read_images))]


def on_disk(array, folder):
    array.tofile(folder / "pixels")
    return np.memmap(folder / "pixels", array.dtype, mode="r", shape=array.shape)


INPUT_FORMATS = {
    "uint8": (lambda X, _: X, {}),
    "int64": (lambda X, _: X.astype(np.int64), {}),
    "uint16": (lambda X, _: X.astype(np.uint16), {}),
    "float16": (lambda X, _: X.astype(np.float16), {}),
    "float32": (lambda X, _: X.astype(np.float32), {}),
    "float64": (lambda X, _: X.astype(np.float64), {}),
    "big_endian": (lambda X, _: X.astype(">f8"), {}),
    "not_contiguous": (lambda X, _: np.repeat(X, 2, axis=2)[:, :, ::2], {}),
    "fortran_order": (lambda X, _: np.asfortranarray(X), {}),
    "channels_first": (lambda X, _: X.transpose(0, 3, 1, 2), {"data_format": "channels_first"}),
    "channels_first_copy": (
        lambda X, _: X.transpose(0, 3, 1, 2).copy(),
        {"data_format": "channels_first"},
    ),
    "channels_first_flat": (
        lambda X, _: X.transpose(0, 3, 1, 2).reshape(len(X), -1),
        {"data_format": "channels_first", "image_shape": (8, 8, 3)},
    ),
    "flat": (lambda X, _: X.reshape(len(X), -1), {}),
    "flat_with_shape": (lambda X, _: X.reshape(len(X), -1), {"image_shape": [8, 8, 3]}),
    "with_shape": (lambda X, _: X, {"image_shape": (8, 8, 3)}),
    "dataframe": (lambda X, _: pd.DataFrame(X.reshape(len(X), -1)), {}),
    "named_dataframe": (lambda X, _: pd.DataFrame(X.reshape(len(X), -1)).add_prefix("p"), {}),
    "list_of_arrays": (lambda X, _: list(X), {}),
    "tuple_of_arrays": (lambda X, _: tuple(X), {}),
    "nested_lists": (lambda X, _: X.tolist(), {}),
    "lists_of_pixels": (lambda X, _: X.reshape(len(X), -1).tolist(), {}),
    "tensor": (lambda X, _: torch.tensor(X), {}),
    "bfloat16_tensor": (lambda X, _: torch.tensor(X).bfloat16(), {}),
    "tensor_with_gradient": (lambda X, _: torch.tensor(X).float().requires_grad_(), {}),
    "list_of_tensors": (lambda X, _: [torch.tensor(x).bfloat16() for x in X], {}),
    "memory_map": (on_disk, {}),
    "float_memory_map": (lambda X, folder: on_disk(X.astype(np.float64), folder), {}),
}

FLAT = {
    "channels_first_flat",
    "flat",
    "flat_with_shape",
    "dataframe",
    "named_dataframe",
    "lists_of_pixels",
}


@pytest.mark.parametrize(("door", "options"), INPUT_FORMATS.values(), ids=INPUT_FORMATS)
def test_the_same_images_come_in_by_every_door(door, options, images, tmp_path):
    # Even numbers, which eight bits of bfloat16 hold exactly.
    expected = images[:5] // 2 * 2
    got = read(door(expected, tmp_path), **options)
    assert got.shape == (8, 8, 3)
    assert len(got) == 5
    np.testing.assert_array_equal(everything(got), expected)
    np.testing.assert_array_equal(got[np.array([3, 0])], expected[[3, 0]])
    np.testing.assert_array_equal(got.take(np.array([4, 1]))[np.array([1])], expected[[1]])


@pytest.mark.parametrize(
    ("dtype", "gathered"),
    [
        ("uint8", "uint8"),
        ("bool", "uint8"),
        ("int8", "float32"),
        ("int64", "float32"),
        ("float16", "float32"),
        ("float64", "float32"),
    ],
)
def test_bytes_stay_bytes_and_all_else_becomes_float32(dtype, gathered):
    X = np.array([[[0, 1], [1, 1]], [[1, 0], [0, 0]]]).astype(dtype)
    got = read(X)
    assert got.pixels.dtype == dtype
    batch = everything(got)
    assert batch.dtype == gathered
    assert batch.flags.c_contiguous
    np.testing.assert_array_equal(batch[..., 0], X)


@pytest.mark.parametrize("flat", [False, True], ids=["three_dimensions", "flattened"])
def test_grey_images_get_a_channel(flat, images):
    gray = images[..., 0]
    got = read(gray.reshape(len(gray), -1) if flat else gray)
    assert got.shape == (8, 8, 1)
    np.testing.assert_array_equal(everything(got), gray[..., None])


def test_arrays_are_taken_without_a_copy_and_without_being_changed(images):
    assert np.shares_memory(read(images).pixels, images)
    floats = images.astype(np.float64)
    assert np.shares_memory(read(floats).pixels, floats)


def test_taking_rows_copies_no_pixels(images):
    some = read(images).take(np.array([5, 3, 8])).take(np.array([2, 0]))
    assert np.shares_memory(some.pixels, images)
    assert len(some) == 2
    np.testing.assert_array_equal(everything(some), images[[8, 5]])


def test_what_is_gathered_is_free_to_be_changed(images):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        batch = torch.from_numpy(read(images)[np.array([0, 1])])
    batch += 1
    np.testing.assert_array_equal(batch.numpy(), images[:2] + 1)


def resident_bytes():
    statm = Path("/proc/self/statm")
    return int(statm.read_text(encoding="utf-8").split()[1]) * 4096 if statm.exists() else 0


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_a_memory_map_is_never_read_whole(data_format, tmp_path):
    shape = (2**22, 32, 32, 1) if data_format == "channels_last" else (2**22, 1, 32, 32)
    with open(tmp_path / "large", "wb") as file:
        file.truncate(2**32)
    X = np.memmap(tmp_path / "large", np.uint8, mode="r", shape=shape)

    tracemalloc.start()
    before = resident_bytes()
    got = read(X, data_format=data_format)
    batch = got.take(np.arange(0, len(got), 2))[np.array([7, 2**20, 2**21 - 1])]
    grown = resident_bytes() - before
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert (batch.shape, batch.dtype) == ((3, 32, 32, 1), np.uint8)
    # The numbers of half of the rows take 16 MiB.
    assert peak < 20 * 2**20
    # The kernel maps some pages around each one that is asked for.
    assert grown < 30 * 2**20


def test_channel_statistics_of_a_memory_map_are_gathered_in_small_chunks(tmp_path):
    X = on_disk(np.tile(np.uint8([[[3, 5]], [[3, 9]]]), (20_000, 1, 16, 1)), tmp_path)
    got = read(X)
    tracemalloc.start()
    statistics = got.channel_statistics()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert statistics == ([3, 7], [1, 2])
    assert peak < X.nbytes


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_checking_a_memory_map_of_floats_takes_no_memory(dtype, tmp_path):
    with open(tmp_path / "large", "wb") as file:
        file.truncate(2**26)
    X = np.memmap(tmp_path / "large", dtype, mode="r").reshape(-1, 16, 16, 1)
    tracemalloc.start()
    read(X)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize("view", ["transposed", "cropped"])
def test_a_view_of_a_memory_map_is_not_read_whole_either(view, tmp_path):
    with open(tmp_path / "large", "wb") as file:
        file.truncate(2**26)
    X = np.memmap(tmp_path / "large", np.uint8, mode="r", shape=(2**14, 32, 32, 4))
    X = X.transpose(0, 2, 1, 3) if view == "transposed" else X[..., :3]
    tracemalloc.start()
    read(X)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize(
    ("n_features", "shape"),
    [
        (1, (1, 1, 1)),
        (2, (1, 2, 1)),
        (3, (1, 1, 3)),
        (4, (2, 2, 1)),
        (12, (2, 2, 3)),
        (64, (8, 8, 1)),
        (784, (28, 28, 1)),
        (785, (1, 785, 1)),
        (3072, (32, 32, 3)),
        (3073, (1, 3073, 1)),
        # 48 is no square, and thrice 16 is.
        (48, (4, 4, 3)),
        (4096**2, (4096, 4096, 1)),
    ],
)
def test_the_shape_of_flattened_images_is_inferred(n_features, shape):
    assert infer_shape(n_features) == shape


@given(st.integers(1, 10**9))
def test_an_inferred_shape_holds_all_features(n_features):
    height, width, channels = infer_shape(n_features)
    assert height * width * channels == n_features
    assert (height == width and channels in (1, 3)) or (height, channels) == (1, 1)


@pytest.mark.parametrize(
    ("X", "options", "inferred"),
    [
        (np.zeros((2, 12)), {}, True),
        (np.zeros((2, 12)), {"image_shape": (2, 2, 3)}, False),
        (np.zeros((2, 2, 2, 3)), {}, False),
        (np.zeros((2, 2, 2)), {}, False),
    ],
    ids=["flat", "flat_with_shape", "color", "gray"],
)
def test_it_is_noted_whether_a_shape_was_inferred(X, options, inferred):
    assert read(X, **options).shape_inferred is inferred


SIDES = st.integers(1, 6)
IMAGES = st.tuples(st.integers(1, 4), SIDES, SIDES, st.integers(1, 4)).flatmap(
    lambda shape: arrays(
        st.sampled_from([np.uint8, np.int32, np.float32]), shape, elements=st.integers(0, 255)
    )
)


@given(IMAGES)
def test_flattened_images_are_what_they_were(X):
    got = read(X.reshape(len(X), -1), image_shape=X.shape[1:])
    np.testing.assert_array_equal(everything(got), X)


@given(IMAGES, st.booleans())
def test_channels_first_images_are_what_they_were(X, flat):
    first = X.transpose(0, 3, 1, 2)
    first = first.reshape(len(X), -1) if flat else first
    got = read(first, image_shape=X.shape[1:], data_format="channels_first")
    np.testing.assert_array_equal(everything(got), X)


@given(IMAGES)
def test_the_size_may_be_asked_for_without_the_channels(X):
    size = X.shape[1:3]
    np.testing.assert_array_equal(everything(read(X, image_shape=size)), X)
    flat = X[..., [0, 0, 0]] if X.shape[3] == 2 else X[..., :3]
    got = read(flat.reshape(len(X), -1), image_shape=size)
    np.testing.assert_array_equal(everything(got), flat)
    with pytest.raises(ValueError, match="image_shape"):
        read(X, image_shape=(size[0] + 1, size[1]))
    with pytest.raises(ValueError, match="image_shape"):
        read(np.zeros((2, 2 * np.prod(size))), image_shape=size)


@given(IMAGES)
def test_channels_last_is_believed_whatever_it_looks_like(X):
    got = read(X, data_format="channels_last")
    np.testing.assert_array_equal(everything(got), X)


@pytest.mark.parametrize(
    ("expected", "shape"),
    [
        ((4, 5), (4, 5, 1)),
        ([4, 5, 3], (4, 5, 3)),
        (np.array([4, 5]), (4, 5, 1)),
    ],
    ids=["gray", "list", "numpy"],
)
def test_image_shape_may_leave_out_a_single_channel(expected, shape):
    assert as_shape(expected) == shape


@pytest.mark.parametrize(
    "expected", [(), (4,), (1, 2, 3, 4), (4, 0), (4, -1, 3), (4.5, 4), ("4", "4")], ids=str
)
def test_an_image_shape_that_is_none_is_refused(expected):
    with pytest.raises(ValueError, match=r"image_shape must be \(height, width\).*got"):
        read(np.zeros((2, 16)), image_shape=expected)


@given(
    arrays(
        np.float64,
        st.tuples(st.integers(1, 5), SIDES, SIDES, st.integers(1, 3)),
        elements=st.floats(-1000, 1000, width=32),
    ),
    st.sampled_from([0.0, -300.0, 1e4]),
)
def test_channel_statistics_are_those_of_numpy(X, offset):
    X = (X + offset).astype(np.float32).astype(np.float64)
    mean, scale = read(X, data_format="channels_last").channel_statistics()
    expected = X.std(axis=(0, 1, 2))
    # Within the resolution of float32, a channel is constant.
    varies = expected > 1e-3
    np.testing.assert_allclose(mean, X.mean(axis=(0, 1, 2)), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(np.array(scale)[varies], expected[varies], rtol=1e-6)
    assert np.all(np.array(scale) > 0)


def test_channel_statistics_of_more_images_than_a_chunk_holds():
    X = np.random.RandomState(0).randint(256, size=(777, 3, 2, 2)).astype(np.uint8)
    mean, scale = read(X, data_format="channels_last").channel_statistics()
    np.testing.assert_allclose(mean, X.mean(axis=(0, 1, 2)))
    np.testing.assert_allclose(scale, X.std(axis=(0, 1, 2)))


def test_channel_statistics_are_those_of_the_rows_that_were_taken(images):
    some = read(images).take(np.array([1, 4, 7]))
    mean, scale = some.channel_statistics()
    np.testing.assert_allclose(mean, images[[1, 4, 7]].mean(axis=(0, 1, 2)))
    np.testing.assert_allclose(scale, images[[1, 4, 7]].std(axis=(0, 1, 2)))


def test_channel_statistics_of_many_images_are_sampled_over_all_of_them():
    X = np.repeat(np.arange(4, dtype=np.uint8), 10_000)[:, None, None, None]
    mean, scale = read(X).channel_statistics()
    assert mean == pytest.approx([1.5])
    assert scale == pytest.approx([np.sqrt(1.25)])


@pytest.mark.parametrize("value", [0.0, 255.0, 0.1, 1e4 + 0.1, -1e30], ids=str)
def test_a_constant_channel_has_scale_one(value):
    X = np.full((300, 2, 2, 2), value, dtype=np.float32)
    X[..., 1] = np.random.RandomState(0).uniform(size=(300, 2, 2))
    mean, scale = read(X).channel_statistics()
    assert mean[0] == pytest.approx(float(np.float32(value)), rel=1e-6)
    assert scale[0] == 1
    assert scale[1] == pytest.approx(X[..., 1].std(), rel=1e-5)


def test_a_channel_of_small_values_is_not_taken_for_a_constant_one():
    X = np.random.RandomState(0).uniform(0, 1e-8, size=(20, 4, 4, 1))
    _, scale = read(X).channel_statistics()
    np.testing.assert_allclose(scale, [X.std()], rtol=1e-4)


@pytest.mark.parametrize(
    ("X", "options", "message"),
    [
        (
            np.zeros((2, 2, 2, 2, 1)),
            {},
            r"X has .*\(2, 2, 2, 2, 1\).*Expected images of shape",
        ),
        (np.zeros(4), {}, "Expected 2D array, got 1D array"),
        (np.array(3.0), {}, "Expected 2D array, got scalar"),
        (
            np.zeros((2, 3, 9, 9)),
            {},
            r'shape \(2, 3, 9, 9\) looks like images with their channels first.*"channels_first"',
        ),
        (np.zeros((2, 1, 9, 9)), {}, 'data_format="channels_first"'),
        (
            [np.zeros((2, 2)), np.zeros((2, 3))],
            {},
            r"different shapes, among them \(2, 2\) and \(2, 3\)",
        ),
        (
            [torch.zeros(2, 2, 3), torch.zeros(3, 2, 3)],
            {},
            r"different shapes, among them \(2, 2, 3\) and \(3, 2, 3\)",
        ),
        (["a.png", "b.png"], {}, "X holds text, not pixels"),
        (np.array(["a.png"]), {}, "X holds text, not pixels"),
        (np.array([[b"1"]]), {}, "X holds text, not pixels"),
        ([b"a.png"], {}, "X holds text, not pixels.*os.fsdecode"),
        (
            np.zeros((2, 10)),
            {"image_shape": (3, 3)},
            r"10 features, but image_shape=\(3, 3\) needs 9",
        ),
        (
            np.zeros((2, 4, 4, 3)),
            {"image_shape": (4, 5, 3)},
            "height 4, width 4, channels 3, but image_shape asks for height 4, width 5, chann",
        ),
        (
            np.zeros((2, 4, 4)),
            {"image_shape": (4, 4, 3)},
            "channels 1, but image_shape asks for height 4, width 4, channels 3",
        ),
        (np.full((2, 2, 2), 1e39), {}, "too large for float32"),
        (np.full((2, 4), -1e39), {}, "too large for float32"),
        (np.full((2, 2, 2), np.nan), {}, "contains NaN"),
        (np.full((2, 2, 2, 3), np.inf, np.float32), {}, "contains infinity"),
        (torch.full((2, 2, 2), torch.nan).bfloat16(), {}, "contains NaN"),
        (np.zeros((2, 2, 2), complex), {}, "[Cc]omplex data not supported"),
        (np.zeros((0, 4, 4, 3)), {}, r"0 sample\(s\)"),
        (np.zeros((0, 4, 4)), {}, r"0 sample\(s\)"),
        (np.zeros((2, 0, 4)), {}, r"X has .*\(2, 0, 4\).*Expected"),
        ([], {}, "Expected 2D array"),
    ],
    ids=[
        "five_dimensions",
        "one_dimension",
        "scalar",
        "channels_first_colour",
        "channels_first_grey",
        "ragged_list",
        "ragged_tensors",
        "list_of_paths",
        "array_of_paths",
        "bytes",
        "list_of_bytes",
        "flat_and_image_shape",
        "image_shape",
        "gray_and_image_shape",
        "too_large",
        "too_small",
        "nan",
        "infinity",
        "nan_in_bfloat16",
        "complex",
        "no_images",
        "no_grey_images",
        "no_pixels",
        "empty_list",
    ],
)
def test_what_is_no_images_is_refused(X, options, message):
    with pytest.raises(ValueError, match=message):
        read(X, **options)


@pytest.mark.parametrize(
    "X",
    [
        [Path("a.png"), Path("b.png")],
        np.array(["a.png", "b.png"], dtype=object),
        pd.Series(["a.png", "b.png"]),
        pd.DataFrame({"path": ["a.png", "b.png"]}),
    ],
    ids=["list_of_paths", "object_array", "series", "dataframe"],
)
def test_every_kind_of_file_names_is_told_from_pixels(X):
    with pytest.raises(ValueError, match="holds text, not pixels"):
        read(X)


@pytest.mark.parametrize(
    ("shape", "accepted"),
    [
        ((2, 3, 9, 3), True),
        ((2, 3, 9, 4), True),
        ((2, 3, 9, 2), True),
        ((2, 5, 9, 9), True),
        ((2, 1, 1, 20), True),
        ((2, 4, 9, 5), False),
    ],
    ids=str,
)
def test_only_what_looks_like_channels_first_is_asked_about(shape, accepted):
    X = np.zeros(shape)
    if accepted:
        assert read(X).shape == shape[1:]
        return
    with pytest.raises(ValueError, match="channels_first"):
        read(X)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (
            np.zeros((2, 9, 8, 3)),
            "height 9, width 8, channels 3, but ConvNetClassifier was fitted on images of height "
            "8, width 8, channels 3. Resize the images",
        ),
        (np.zeros((2, 8, 8)), "channels 1, but .* channels 3"),
        (np.zeros((8, 8, 3)), r"For a single image pass X\[None\]"),
        (np.zeros((2, 3, 8, 8)), 'data_format="channels_first"'),
        (np.zeros((2, 191)), "191 features, but ConvNetClassifier is expecting 192"),
        (np.zeros((2, 2, 2, 2, 2)), r"X has .*\(2, 2, 2, 2, 2\)"),
        (np.full((1, 8, 8, 3), np.nan), "X contains NaN"),
        (np.zeros((0, 8, 8, 3)), r"0 sample\(s\)"),
        (["a.png"], "holds text"),
    ],
    ids=["size", "gray", "single", "channels_first", "flat", "ndim", "nan", "empty", "path"],
)
def test_images_unlike_those_of_fit_are_refused(X, message, images):
    with pytest.raises(ValueError, match=message):
        check_images(fitted_on(images), X, reset=False)


@pytest.mark.parametrize("has_labels", [True, False])
@pytest.mark.parametrize("is_flat", [True, False])
def test_pixels_without_a_value_are_found(is_flat, has_labels, images):
    X = images.astype(np.float32)
    X[2, 1], X[4, 0, 0] = np.nan, np.nan
    X = X.reshape(len(X), -1) if is_flat else X
    y = [np.arange(len(X))] if has_labels else []
    with pytest.raises(ValueError, match=f"X contains NaN, in 2 of {len(X)} .*row 2") as caught:
        check_images(fitted_on(images), X, *y, reset=False)
    assert "HistGradientBoosting" not in str(caught.value)


def test_channels_first_images_for_an_estimator_that_was_told_channels_last(images):
    estimator = fitted_on(images)
    X = images.transpose(0, 3, 1, 2)
    with pytest.raises(ValueError, match='set data_format="channels_first"'):
        check_images(estimator, X, reset=False, data_format="channels_last")


def test_messages_name_the_images_they_are_about(images):
    with pytest.raises(ValueError, match=r"^X_val holds images of height 4"):
        check_images(fitted_on(images), images[:, :4], reset=False, name="X_val")


@pytest.mark.parametrize(
    "first", ["uint8", "flat_with_shape", "channels_first", "named_dataframe", "bfloat16_tensor"]
)
def test_an_estimator_fitted_at_one_door_takes_images_at_any_other(first, images, tmp_path):
    expected = images[:5] // 2 * 2
    door, options = INPUT_FORMATS[first]
    estimator = fitted_on(door(expected, tmp_path), **options)
    for name, (other, settings) in INPUT_FORMATS.items():
        # Of flattened images with names where there were none, or without them where there
        # were, scikit-learn warns.
        if name in FLAT and (first == "named_dataframe") != (name == "named_dataframe"):
            continue
        X = other(expected, tmp_path)
        got, _ = check_images(
            estimator, X, reset=False, data_format=settings.get("data_format", "auto")
        )
        assert got.shape == (8, 8, 3)
        np.testing.assert_array_equal(everything(got), expected)


def test_the_names_of_pixels_are_kept_and_compared(images):
    frame = pd.DataFrame(images.reshape(len(images), -1)).add_prefix("p")
    estimator = fitted_on(frame)
    assert list(estimator.feature_names_in_) == list(frame)
    with pytest.raises(ValueError, match="feature names should match"):
        check_images(estimator, frame[frame.columns[::-1]], reset=False)


def test_labels_are_checked_to_fit_the_images(images, labels):
    estimator = ConvNetClassifier()
    got, y = check_images(estimator, images, labels, reset=True)
    assert (len(got), y.tolist()) == (60, labels.tolist())
    assert estimator.n_features_in_ == 192
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        check_images(estimator, images, labels[:-1], reset=True)
    estimator.image_shape_ = got.shape
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        check_images(estimator, images, labels[:-1], reset=False)


def test_images_are_gathered_by_numbers_or_slices(images):
    np.testing.assert_array_equal(Images(images)[np.array([3, 3, 0])], images[[3, 3, 0]])
    np.testing.assert_array_equal(Images(images)[2:4], images[2:4])


# ---------------------------------------------------------------- what is asked about


def test_a_single_color_image_without_labels_is_refused():
    image = np.zeros((40, 60, 3), np.uint8)
    with pytest.raises(
        ValueError, match=r"\(40, 60, 3\) looks like a single color image.*X\[None"
    ):
        check_images(ConvNetClassifier(), image, reset=True)
    images, _ = check_images(ConvNetClassifier(), image[..., None], reset=True)
    assert images.shape == (60, 3, 1)
    # Such as three measurements at each of 60 times, of which there are as many as labels.
    signals, _ = check_images(ConvNetClassifier(), image, np.arange(40), reset=True)
    assert signals.shape == (60, 3, 1)


@pytest.mark.parametrize("bands", [2, 5, 8, 13])
def test_bands_that_come_first_are_asked_about(bands):
    X = np.zeros((4, bands, 64, 64), np.uint8)
    with pytest.raises(ValueError, match="looks like images with their channels first"):
        check_images(ConvNetClassifier(), X, reset=True)
    images, _ = check_images(ConvNetClassifier(), X, reset=True, data_format="channels_first")
    assert images.shape == (64, 64, bands)
    images, _ = check_images(ConvNetClassifier(), X, reset=True, data_format="channels_last")
    assert images.shape == (bands, 64, 64)


def test_rows_that_may_be_color_photographs_are_warned_of():
    X = np.zeros((3, 120 * 160 * 3), np.uint8)
    with pytest.warns(UserWarning, match=r"grayscale images of 240x240 .* of 120x160 pixels: set"):
        images, _ = check_images(ConvNetClassifier(), X, reset=True)
    assert images.shape == (240, 240, 1)
    images, _ = check_images(ConvNetClassifier(), X, reset=True, image_shape=(120, 160, 3))
    assert images.shape == (120, 160, 3)


class Palette:
    """As much of an image of Pillow with a palette as is asked for."""

    mode, info = "P", {}

    def getbands(self):
        return ("P",)

    def convert(self, mode):
        assert mode == "RGB"
        return np.full((4, 4, 3), 200, np.uint8)


def test_a_palette_is_read_as_its_colors():
    images, _ = check_images(ConvNetClassifier(), [Palette(), Palette()], reset=True)
    assert images.shape == (4, 4, 3)
    assert images[:].min() == 200


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (
            torch.utils.data.TensorDataset(torch.zeros(4, 8, 8, 3)),
            "X is a TensorDataset. Expected",
        ),
        (Palette(), r"X is a single image of .* pass \[X\]"),
        ("photos/", "X holds text, not pixels"),
    ],
    ids=["dataset", "image", "folder"],
)
def test_what_holds_no_array_of_images_is_named(X, message):
    with pytest.raises((TypeError, ValueError), match=message):
        check_images(ConvNetClassifier(), X, reset=True)


def test_a_single_image_seen_backwards_is_gathered_for_torch():
    images = Images(np.zeros((3, 4, 4, 1), np.uint8)[::-1])
    assert torch.from_numpy(images[2:]).shape == (1, 4, 4, 1)


class OfAnotherLibrary:
    """An array that numpy can read, and that understands only ranges of rows, as on a disk."""

    def __init__(self, values):
        self.values = values
        self.shape, self.ndim, self.dtype = values.shape, values.ndim, values.dtype

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype=dtype)

    def __getitem__(self, rows):
        if not isinstance(rows, slice):
            raise TypeError(f"cannot read {rows!r}")
        return OfAnotherLibrary(self.values[rows])


@pytest.mark.parametrize("shape", [(20, 4, 6), (20, 4, 6, 1), (20, 4, 6, 3)], ids=str)
@pytest.mark.parametrize("reset", [True, False], ids=["fit", "predict"])
def test_arrays_of_other_libraries_are_read(shape, reset):
    values = np.random.RandomState(0).randint(256, size=shape).astype(np.uint8)
    estimator = ConvNetClassifier()
    estimator.image_shape_ = (4, 6, 3 if shape[-1] == 3 else 1)
    images, _ = check_images(estimator, OfAnotherLibrary(values), reset=reset)
    assert images.shape == estimator.image_shape_
    np.testing.assert_array_equal(images[np.array([3, 1])].squeeze(), values[[3, 1]].squeeze())


@pytest.mark.parametrize("modes", [("RGB", "HSV"), ("RGB", "LAB"), ("RGBA", "CMYK"), ("L", "1")])
def test_images_of_pillow_in_several_modes_are_refused(modes):
    images = [Image.new(mode, (8, 8)) for mode in modes]
    message = rf"in the modes {' and '.join(sorted(modes))}, .*\.convert\("
    with pytest.raises(ValueError, match=message):
        as_array(images, "X")
    # Palettes become colors.
    assert as_array([Image.new("RGB", (8, 8)), Image.new("P", (8, 8))], "X").shape == (2, 8, 8, 3)
