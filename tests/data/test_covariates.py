"""Columns beside images: which are read, what they become, and what is refused."""

import re
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from skcnn._data import _loader
from skcnn._data._arrays import Images
from skcnn._data._covariates import CovariateEncoder, split_covariates
from skcnn._data._dataset import Batch, ImageDataset
from skcnn._data._loader import Batches
from skcnn._targets import ClassTarget
from skcnn._utils import BOX_COLUMNS
from skcnn.augmentation import MixUp
from skcnn.datasets import make_images_and_covariates

IMAGES = np.arange(4 * 2 * 3 * 3, dtype=np.uint8).reshape(4, 2, 3, 3)


def site(**columns):
    given = {
        "elevation": [100.0, 200.0, np.nan, 600.0],
        "wet": [True, False, True, True],
        "habitat": pd.Categorical(["bog", "wood", None, "bog"], ["sea", "wood", "bog"]),
    }
    return pd.DataFrame({**given, **columns})


def fitted(frame):
    encoder = CovariateEncoder.infer(frame, "X")
    return encoder.fit(encoder.read(frame, "X"), "X")


def encode(encoder, frame):
    return encoder.encode(encoder.read(frame, "X", "Net"))


# ---------------------------------------------------------------- what columns become


def test_numbers_are_standardized_and_categories_become_columns():
    encoder = fitted(site())
    inputs = encode(encoder, site())
    assert inputs.dtype == np.float32
    deviation = np.std([100, 200, 600])
    assert_allclose(inputs[:, 0], [-200 / deviation, -100 / deviation, 0, 300 / deviation])
    assert_array_equal(inputs[:, 1], [0, 0, 1, 0])  # where the elevation was missing
    assert_allclose(inputs[:, 2].mean(), 0, atol=1e-7)
    assert_allclose(inputs[:, 2].std(), 1)
    # No column for "sea", which no row has; nothing for the row without a habitat.
    assert_array_equal(inputs[:, 3:], [[0, 1], [1, 0], [0, 0], [0, 1]])


def test_statistics_are_those_of_the_rows_they_are_fitted_to():
    encoder = CovariateEncoder.infer(site(), "X")
    values = encoder.read(site(), "X")
    column = encoder.fit(values[:2], "X").columns[0]
    assert (column.mean, column.scale, column.had_missing) == (150, 50, False)
    assert encoder.columns[0].mean == 0  # the first one is as it was


@pytest.mark.parametrize(
    "numbers",
    [
        pd.array([1, 2, None, 4], dtype="Int64"),
        pd.array([1.0, 2.0, None, 4.0], dtype="Float64"),
        np.array([1, 2, None, 4], dtype=object),
        np.array([1, 2, np.nan, 4], dtype=np.float32),
        pd.arrays.SparseArray([1.0, 2.0, np.nan, 4.0]),
    ],
    ids=["Int64", "Float64", "object", "float32", "sparse"],
)
def test_numbers_of_any_type(numbers):
    frame = pd.DataFrame({"n": numbers})
    values = CovariateEncoder.infer(frame, "X").read(frame, "X")
    assert_array_equal(values[:, 0], [1, 2, np.nan, 4])


def test_nullable_booleans():
    frame = pd.DataFrame({"wet": pd.array([True, None, False], dtype="boolean")})
    assert_array_equal(CovariateEncoder.infer(frame, "X").read(frame, "X")[:, 0], [1, np.nan, 0])


def test_large_numbers_keep_their_differences():
    seconds = 1.7e9 + np.arange(4.0)
    inputs = encode(fitted(pd.DataFrame({"time": seconds})), pd.DataFrame({"time": seconds}))
    assert_allclose(inputs[:, 0], (np.arange(4) - 1.5) / np.std(np.arange(4)), rtol=1e-5)


def test_a_constant_column_is_zero():
    frame = pd.DataFrame({"n": [0.1] * 3})
    assert_allclose(encode(fitted(frame), frame), np.zeros((3, 1)), atol=1e-12)


# ---------------------------------------------------------------- new rows


def test_columns_are_found_by_name():
    encoder = fitted(site())
    turned = site()[["habitat", "wet", "elevation"]]
    assert_array_equal(encode(encoder, turned), encode(encoder, site()))


def test_lacking_and_additional_columns_are_named():
    encoder = fitted(site())
    with pytest.raises(ValueError, match="X has no column 'wet', with which Net was fitted"):
        encode(encoder, site().drop(columns="wet"))
    with pytest.raises(ValueError, match="X has a column 'slope', with which Net was not fitted"):
        encode(encoder, site(slope=[1, 2, 3, 4]))


def test_an_unknown_category_is_all_zeros_with_one_warning():
    encoder = fitted(site())
    new = site(habitat=pd.Categorical(["heath", "wood", "sea", "bog"]))
    with pytest.warns(
        UserWarning, match="'habitat' that training had not: 'heath', 'sea'"
    ) as seen:
        inputs = encode(encoder, new)
    assert len(seen) == 1
    assert_array_equal(inputs[:, 3:], [[0, 0], [1, 0], [0, 0], [0, 1]])


def test_categories_come_as_any_values_in_new_rows():
    encoder = fitted(site())
    texts = site(habitat=["bog", "wood", None, "bog"])
    assert_array_equal(encode(encoder, texts), encode(encoder, site()))
    years = pd.DataFrame({"year": pd.Categorical([2020, 2021])})
    assert_array_equal(encode(fitted(years), pd.DataFrame({"year": [2021]})), [[0, 1]])


def test_categories_of_intervals_and_times():
    elevation = pd.cut(pd.Series([5, 15, 25, 7]), [0, 10, 20, 30])
    frame = pd.DataFrame({"zone": elevation, "day": pd.date_range("2024-05-01", periods=4)})
    frame["day"] = frame["day"].astype("category")
    inputs = encode(fitted(frame), frame[::-1])
    assert_array_equal(inputs[::-1, :3], [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]])
    assert_array_equal(inputs[::-1, 3:], np.eye(4))


def test_missing_numbers_that_training_did_not_have_give_a_warning():
    encoder = fitted(site(elevation=[1, 2, 3, 6]))
    with pytest.warns(
        UserWarning, match=r"1 missing value\(s\) in column 'elevation'.*training, 3"
    ):
        inputs = encode(encoder, site())
    assert inputs.shape[1] == 4  # no column that says where
    assert inputs[2, 0] == 0


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (["a", "b", "c", "d"], r"text beside the images: 'new'.*astype\(\"category\"\)"),
        (pd.date_range("2024-05-01", periods=4), r"X\['new'\].dt.dayofyear"),
        (pd.to_timedelta([1, 2, 3, 4], "h"), r"X\['new'\].dt.total_seconds"),
        (pd.period_range("2024-05", periods=4, freq="M"), r"X\['new'\].dt.dayofyear"),
        ([1, 2, 3, np.inf], "Infinite"),
        ([1, 2, 3, -3.4e38], "codes for missing values by NaN"),
        ([1, 2, 3, 1j], "expected numbers"),
        ([1, 2, 3, [4]], "expected numbers"),
        ([1, 2, 3, "four"], "expected numbers"),
    ],
    ids=["text", "dates", "durations", "months", "infinite", "code", "complex", "lists", "mixed"],
)
def test_other_columns_are_refused_with_a_way_out(column, message):
    frame = site(new=column)
    with pytest.raises(ValueError, match=f"'new'.*{message}|{message}"):
        CovariateEncoder.infer(frame, "X").read(frame, "X")


@pytest.mark.parametrize(
    ("column", "way"),
    [
        (["12.5", "7", "300", "1"], ".astype(float)."),
        (["12,5", "7", "300", "1"], '.str.replace(",", ".").astype(float).'),
        (["12.5", "7", "unknown", "1"], 'pandas.to_numeric(X["depth"], errors="coerce")'),
        ([12.5, 7, "-", 1], 'pandas.to_numeric(X["depth"], errors="coerce")'),
        (["2026-05-01", "2026-05-02", None, "2026-05-03"], "pandas.to_datetime(X["),
        (["1/5/2026", "2/5/2026", None, "13/5/2026"], ", dayfirst=True).dt.dayofyear, or"),
        ([date(2026, 5, day) for day in (1, 2, 3, 4)], "pandas.to_datetime(X["),
    ],
)
def test_text_and_dates_in_place_of_numbers_name_the_way_out(column, way):
    way = re.escape(way.replace('"depth"', "'depth'"))
    with pytest.raises(ValueError, match=way):
        CovariateEncoder.infer(site(depth=column), "X").read(site(depth=column), "X")
    encoder = fitted(site(depth=[1.0, 2, 3, 4]))
    with pytest.raises(ValueError, match=way):
        encode(encoder, site(depth=column))


def test_names_are_not_taken_for_numbers():
    named = site(name=["north 1", "north 2", "south 1", "s2"])
    with pytest.raises(
        ValueError, match=r'astype\("category"\) or a factor in R, or leave it out\.$'
    ):
        CovariateEncoder.infer(named, "X")
    encoder = fitted(site(wet=[True, False, True, True]))
    with pytest.raises(ValueError, match=r"X\['wet'\] == \"True\"\."):
        encode(encoder, site(wet=["True", "False", "True", "True"]))
    with pytest.raises(ValueError, match=r"They are categories, .*X\['wet'\].astype\(float\)"):
        encode(encoder, site(wet=pd.Categorical([1, 0, 1, 1])))


def test_a_column_without_values_is_refused():
    with pytest.raises(ValueError, match="'elevation' of X has no value in any training row"):
        fitted(site(elevation=np.nan))
    with pytest.raises(ValueError, match="'new' of X has no value in any training row"):
        fitted(site(new=pd.Categorical([None] * 4, categories=["bog", "wood"])))


# ---------------------------------------------------------------- labels among the columns


@pytest.mark.parametrize(
    ("column", "y"),
    [
        ([1, 2, 3, 1], np.array([1.0, 2.0, 3.0, 1.0])),
        ([0, 1, 1, 0], np.array([False, True, True, False])),
        (pd.Categorical(["fox", "hare", "fox", "fox"]), np.array(["fox", "hare", "fox", "fox"])),
        ([1, 2, 3, 1], pd.DataFrame({"a": ["x", "y", "x", "y"], "n": [1, 2, None, 1]})),
        ([1, 2, 3, 1], np.array([[9, 1], [9, 2], [8, 3], [8, 1]])),
    ],
    ids=["numbers", "booleans", "categories", "several answers", "several columns"],
)
def test_a_column_that_equals_y_gives_a_warning(column, y):
    frame = pd.DataFrame({"elevation": [5, 6, 7, 8], "leak": column})
    encoder = CovariateEncoder.infer(frame, "X")
    with pytest.warns(UserWarning, match="'leak' of X equals y in every row") as seen:
        encoder.warn_of_labels(encoder.read(frame, "X"), y)
    assert len(seen) == 1


def test_other_columns_give_no_warning_of_labels():
    frame = site(n=[1, 2, 3, 4])
    encoder = CovariateEncoder.infer(frame, "X")
    values = encoder.read(frame, "X")
    for y in ([1, 2, 3, 5], [1, 1, 1, 1], ["a", "b", "c", "d"]):
        encoder.warn_of_labels(values, np.array(y))


# ---------------------------------------------------------------- splitting tables


def test_images_and_covariates_are_split():
    table = make_images_and_covariates(IMAGES, site())
    images, frame = split_covariates(table, "X")
    assert_array_equal(images, IMAGES)
    pd.testing.assert_frame_equal(frame, site())
    images, frame = split_covariates(table[["image"]], "X")
    assert_array_equal(images, IMAGES)
    assert frame is None


def test_paths_boxes_and_covariates_are_split():
    box = dict(zip(BOX_COLUMNS, np.full((4, 4), 0.5)))
    table = site(file=["a.png", "b.png", "c.png", "d.png"], **box)
    images, frame = split_covariates(table, "X")
    assert list(images) == ["file", *BOX_COLUMNS]
    assert list(frame) == ["elevation", "wet", "habitat"]


def test_everything_else_is_left_as_it_is():
    for X in (IMAGES, pd.DataFrame(np.zeros((3, 4))), ["a.png"], pd.DataFrame({"image": [1, 2]})):
        images, frame = split_covariates(X, "X")
        assert images is X
        assert frame is None


def test_pillow_images_in_a_table():
    Image = pytest.importorskip("PIL.Image")
    table = site()
    table["image"] = [Image.fromarray(image) for image in IMAGES]
    assert_array_equal(split_covariates(table, "X")[0], IMAGES)
    # A palette has few enough colors here to keep them all.
    table["image"] = [image.quantize() for image in table["image"]]
    assert_array_equal(split_covariates(table, "X")[0], IMAGES)


def test_tensors_in_a_table():
    table = site()
    # Older versions of pandas would ask tensors with gradients for their numbers.
    column = np.empty(len(IMAGES), dtype=object)
    for row, image in enumerate(torch.from_numpy(IMAGES).float().requires_grad_()):
        column[row] = image
    table["image"] = column
    assert_array_equal(split_covariates(table, "X")[0], IMAGES)


def test_missing_and_odd_images_are_named():
    table = make_images_and_covariates(IMAGES, site())
    table.at[2, "image"] = None
    with pytest.raises(ValueError, match="'image' of photos has no image in row 2"):
        split_covariates(table, "photos")
    table.at[2, "image"] = np.zeros((5, 5, 3))
    with pytest.raises(ValueError, match=r"of shape \(5, 5, 3\) in row 2.*\(2, 3, 3\) in row 0"):
        split_covariates(table, "X")
    with pytest.raises(ValueError, match=r"X has 0 rows, which are 0 sample\(s\)"):
        split_covariates(table[:0], "X")


def test_two_columns_of_one_name_and_boxes_in_memory_are_refused():
    table = make_images_and_covariates(IMAGES, site())
    twice = pd.concat([table, table[["wet"]]], axis=1)
    with pytest.raises(ValueError, match="two columns 'wet'"):
        split_covariates(twice, "X")
    with pytest.raises(ValueError, match="Boxes are read with paths"):
        split_covariates(table.assign(box_x=0.5), "X")


# ---------------------------------------------------------------- batches


def dataset(n=20):
    """Images, covariates and labels that are all the number of their row."""
    rows = np.arange(n, dtype=np.float32)
    images = Images(rows[:, None, None, None], covariates=np.stack([rows, -rows], axis=1))
    return ImageDataset(images, np.arange(n), np.ones(n, np.float32))


def test_batches_carry_the_covariates_of_their_rows():
    generator = torch.Generator().manual_seed(0)
    batches = Batches(dataset(), 8, device=torch.device("cpu"), generator=generator)
    for batch in batches:
        numbers = batch.images.flatten()
        torch.testing.assert_close(batch.covariates, torch.stack([numbers, -numbers], dim=1))
        assert [part.shape[1:] for part in batch.inputs] == [(1, 1, 1), (2,)]
    assert Batch(torch.zeros(1), torch.zeros(1)).inputs == (torch.zeros(1),)


def test_batches_on_a_device_have_the_same_covariates(monkeypatch):
    device = torch.device("cpu")
    here = list(Batches(dataset(), 8, device=device))
    monkeypatch.setattr(
        _loader, "_source", lambda rows, where, _: _loader._DeviceBatches(rows, where)
    )
    for batch, expected in zip(Batches(dataset(), 8, device=device), here, strict=True):
        for part, other in zip(batch, expected, strict=True):
            torch.testing.assert_close(part, other)


def test_taken_rows_keep_their_covariates():
    rows = np.array([3, 1, 7])
    taken = dataset().X.take(rows).take(np.array([0, 2]))
    assert_array_equal(taken.covariates[:, 0], [3, 7])
    assert_array_equal(taken[:].ravel(), [3, 7])


def test_covariates_of_mixed_images_are_mixed_alike():
    generator = torch.Generator().manual_seed(0)
    mix = ClassTarget(np.arange(20)).mix
    batches = Batches(
        dataset(),
        8,
        device=torch.device("cpu"),
        generator=generator,
        augment=[MixUp(1.0)],
        mix=mix,
    )
    n_mixed = 0
    for batch in batches:
        own = batch.images.flatten()
        torch.testing.assert_close(batch.covariates[:, 0], own, rtol=1e-4, atol=1e-4)
        n_mixed += int((own != own.round()).sum())
    assert n_mixed > 10


# ---------------------------------------------------------------- make_images_and_covariates


def test_the_cells_are_views_and_the_frame_keeps_its_index():
    frame = site().set_index(pd.Index(["a", "b", "b", "c"]))
    table = make_images_and_covariates(IMAGES, frame)
    assert all(np.shares_memory(cell, IMAGES) for cell in table["image"])
    assert list(table.index) == ["a", "b", "b", "c"]
    assert list(table) == ["image", *frame]
    assert "image" not in frame
    gray = make_images_and_covariates(IMAGES[..., 0], site())
    assert gray["image"][3].shape == (2, 3)


def test_wrong_tables_are_refused():
    with pytest.raises(TypeError, match="covariates is a ndarray, expected a DataFrame"):
        make_images_and_covariates(IMAGES, np.zeros((4, 2)))
    with pytest.raises(ValueError, match="4 images and 3 rows"):
        make_images_and_covariates(IMAGES, site()[:3])
    with pytest.raises(ValueError, match=r"images have the shape \(4, 18\)"):
        make_images_and_covariates(IMAGES.reshape(4, -1), site())
    with pytest.raises(ValueError, match='has a column "image"'):
        make_images_and_covariates(IMAGES, site(image=1))


def test_paths_may_be_objects():
    table = site(path=[Path("a.png")] * 4)
    assert list(split_covariates(table, "X")[0]) == ["path"]
