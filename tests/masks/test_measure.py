"""Areas, counts and shapes of what is in label images."""

import re
import sys

import numpy as np
import pytest

from skcnn.masks import measure

pytest.importorskip("skimage")

ROWS, COLUMNS = np.mgrid[:60, :80]
# A disk of radius 10, and an ellipse with half axes 20 and 6 that is cut by the right edge.
MASK = np.where((ROWS - 20) ** 2 + (COLUMNS - 25) ** 2 <= 100, 1, 0)
MASK[((ROWS - 45) / 6) ** 2 + ((COLUMNS - 65) / 20) ** 2 <= 1] = 2


def test_objects_are_measured():
    table = measure([MASK])
    assert table["image"].tolist() == [0, 0]
    assert table["label"].tolist() == [1, 2]
    assert table["at_edge"].tolist() == [False, True]
    disk = table.iloc[0]
    np.testing.assert_allclose(disk[["x", "y"]].astype(float), [25, 20])
    assert disk["area"] == (MASK == 1).sum() == pytest.approx(np.pi * 100, rel=0.02)
    assert disk["perimeter"] == pytest.approx(2 * np.pi * 10, rel=0.05)
    np.testing.assert_allclose([disk["length"], disk["width"]], 20, rtol=0.03)
    assert disk["solidity"] > 0.9


@pytest.mark.parametrize("size", [0.5, 3])
def test_units_are_those_of_a_pixel(size):
    pixels, units = measure([MASK]), measure([MASK], pixel_size=size)
    for column, power in {
        "area": 2,
        "perimeter": 1,
        "length": 1,
        "width": 1,
        "solidity": 0,
        "x": 0,
    }.items():
        np.testing.assert_allclose(units[column], pixels[column] * size**power)


def test_each_image_may_have_its_own_pixel_size():
    table = measure([MASK, MASK], pixel_size=[1, 2], labels=[1])
    assert table["area"].tolist() == [317, 4 * 317]


def test_parts_that_touch_at_a_corner_are_one_object():
    mask = np.zeros((6, 6), int)
    mask[0, 0] = mask[1, 1] = mask[4, 4] = 1
    assert measure([mask])["area"].tolist() == [2, 1]
    assert measure([mask], min_area=2)["area"].tolist() == [2]
    assert measure([mask], min_area=2, pixel_size=2)["area"].tolist() == [8, 4]


def test_labels_of_any_type():
    names = np.array(["soil", "leaf", "stem"])[MASK]
    table = measure([names], background="soil")
    assert table["label"].tolist() == ["leaf", "stem"]
    assert len(measure([names])) == 3
    assert measure([MASK > 0])["label"].tolist() == [True, True]
    assert measure([MASK], background=None)["label"].tolist() == [0, 1, 2]
    assert measure([MASK], labels=[2, 7])["label"].tolist() == [2]


def test_more_properties_are_those_of_scikit_image():
    table = measure([MASK], properties=["eccentricity", "orientation"])
    assert table["eccentricity"][0] == pytest.approx(0, abs=0.01)
    assert table["eccentricity"][1] > 0.8
    assert "orientation" in table
    with pytest.raises(ValueError, match="holds a name that scikit-image does not know"):
        measure([MASK], properties=["beauty"])


def test_sums_of_images_have_a_row_for_each_image_and_label():
    blank = np.zeros_like(MASK)
    table = measure([MASK, blank], pixel_size=0.1, per="image")
    assert list(table) == ["image", "label", "count", "area", "cover"]
    assert table[["image", "label", "count"]].to_numpy().tolist() == [
        [0, 1, 1],
        [0, 2, 1],
        [1, 1, 0],
        [1, 2, 0],
    ]
    np.testing.assert_allclose(table["area"], [3.17, (MASK == 2).sum() / 100, 0, 0])
    np.testing.assert_allclose(table["cover"][0], 317 / 4800)


def test_skipped_files_have_no_objects_and_no_sums():
    objects = measure([None, MASK])
    assert set(objects["image"]) == {1}
    sums = measure([None, MASK], per="image")
    assert sums.loc[sums["image"] == 0, ["count", "area", "cover"]].isna().all().all()


def test_images_without_objects_give_an_empty_table():
    table = measure(np.zeros((2, 5, 5), int))
    assert len(table) == 0
    assert {"image", "label", "area"} <= set(table.columns)
    assert len(measure([], per="image")) == 0


@pytest.mark.parametrize(
    ("masks", "options", "message"),
    [
        (MASK, {}, r"shape \(80,\) in row 0"),
        ([MASK], {"pixel_size": 0}, "pixel_size=0 of measure"),
        ([MASK], {"pixel_size": [1, 2]}, "one for each of the 1 images"),
        ([MASK], {"per": "leaf"}, "'per' parameter of measure"),
        ([MASK], {"min_area": -1}, "'min_area' parameter of measure"),
        ([MASK, MASK * 0.3], {}, r"fractions such as 0\.3 in row 1.*proba > 0\.5"),
    ],
)
def test_wrong_arguments_are_named(masks, options, message):
    with pytest.raises(ValueError, match=message):
        measure(masks, **options)


def test_without_scikit_image_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(ImportError, match=re.escape('pip install "skcnn[measure]"')):
        measure([MASK])


@pytest.mark.parametrize(
    ("masks", "options", "message"),
    [
        (np.eye(3, dtype=bool)[None], {"background": "soil"}, "background='soil'.*numbers"),
        (np.eye(3, dtype=int)[None], {"labels": ["leaf"]}, r"labels=\['leaf'\].*such as 1"),
        (np.full((1, 3, 3), "leaf"), {"labels": [1]}, r"labels=\[1\].*text, such as 'leaf'"),
    ],
    ids=["background", "text", "numbers"],
)
def test_labels_of_another_kind_are_refused(masks, options, message):
    with pytest.raises(ValueError, match=message):
        measure(masks, **options)


def test_masks_of_background_alone_have_zeros_where_labels_are_named():
    masks = np.zeros((2, 3, 3), dtype=int)
    table = measure(masks, labels=[1], per="image")
    assert table[["count", "area", "cover"]].to_numpy().tolist() == [[0, 0, 0]] * 2
    with pytest.warns(UserWarning, match=r"background alone.*labels=\[1\]"):
        assert measure(masks, per="image").empty
