"""find_duplicates: copies of images among arrays and files, and their labels."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageEnhance

from skcnn.datasets import make_organisms
from skcnn.datasets._scan import hash_of_gray, near_sets, small_gray
from skcnn.inspection import find_duplicates


@pytest.fixture(scope="module")
def organisms():
    """60 color images of 48x48 pixels, of which none is another's copy."""
    return make_organisms(n_samples=60, n_classes=3, image_size=48, random_state=0)


def as_jpeg(image):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=60)
    return Image.open(file)


CHANGES = {
    "darker": lambda image: image.point(lambda value: round(0.7 * value)),
    "less contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.7),
    "compressed": as_jpeg,
    "smaller and back": lambda image: image.resize((24, 24)).resize((48, 48)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changed_copies_are_found_and_no_others(organisms, change):
    X, _ = organisms
    changed = np.stack([np.asarray(change(Image.fromarray(image))) for image in X])
    found = find_duplicates(np.concatenate([X, changed]))
    pairs = found["row"].to_numpy().reshape(-1, 2)
    assert (pairs[:, 1] - pairs[:, 0] == 60).all()
    assert found["set"].tolist() == np.repeat(np.arange(len(pairs)), 2).tolist()
    assert not found["exact"].any()
    # In some, whole parts have nearly the same gray level.
    assert len(pairs) >= 50
    assert find_duplicates(X).empty


@pytest.mark.parametrize("missing", [None, np.nan])
def test_labels_and_groups_of_each_set_are_counted(organisms, missing):
    X, _ = organisms
    rows = [0, 1, 2, 0, 1, 0, 3, 3]
    y = ["fox", "hare", "fox", "fox", "deer", missing, missing, "fox"]
    site = np.array([1, 2, 2, 1, 2, 3, 4, 4])
    found = find_duplicates(X[rows], y, groups=site).fillna({"label": "none"})
    assert found.to_dict("list") == {
        "row": [0, 3, 5, 1, 4, 6, 7],
        "set": [0, 0, 0, 1, 1, 2, 2],
        "exact": [True] * 7,
        "label": ["fox", "fox", "none", "hare", "deer", "none", "fox"],
        "n_labels": [1, 1, 1, 2, 2, 1, 1],
        "group": [1, 1, 3, 2, 2, 4, 4],
        "n_groups": [2, 2, 2, 1, 1, 1, 1],
    }


def test_exact_says_whether_the_pixels_are_the_same(organisms):
    X, _ = organisms
    darker = (0.8 * X[5]).astype(np.uint8)
    found = find_duplicates(np.stack([X[5], darker, X[5], X[6]]))
    assert found["row"].tolist() == [0, 1, 2]
    assert found["exact"].tolist() == [True, False, True]


def test_other_things_that_get_brighter_in_the_same_places_are_no_copies():
    across = np.linspace(0, 200, 32)
    to_the_right = np.tile(across, (32, 1))
    downward = 0.9 * to_the_right.T + 0.1 * to_the_right
    X = np.stack([to_the_right, downward]).astype(np.uint8)
    grays = np.array([small_gray(Image.fromarray(image)) for image in X])
    hashes = np.array([hash_of_gray(gray) for gray in grays], dtype=np.uint64)
    assert near_sets(hashes) == [[0, 1]]
    assert near_sets(hashes, grays) == [[0], [1]]
    assert find_duplicates(X).empty


def test_of_dark_images_only_exact_copies_are_found():
    X = np.zeros((4, 20, 20), dtype=np.uint8)
    X[1, 3, 3] = X[3, 3, 4] = 9
    found = find_duplicates(X)
    assert found["row"].tolist() == [0, 2]
    assert found["exact"].all()


@pytest.mark.parametrize(
    "form",
    [
        lambda X: X.astype(np.float32) / 255,
        lambda X: X.astype(np.uint16) * 200,
        lambda X: X[..., :1],
        lambda X: X[..., 0],
        lambda X: np.concatenate([X, X[..., :2]], axis=-1),
    ],
    ids=["float", "16 bits", "one channel", "gray", "five channels"],
)
def test_arrays_of_every_form(organisms, form):
    X, _ = organisms
    copies = form(np.concatenate([X[:20], X[4:6]]))
    copies[-1] = copies[-1] // 2 if copies.dtype.kind == "u" else copies[-1] / 2
    found = find_duplicates(copies)
    assert found["row"].tolist() == [4, 20, 5, 21]
    assert found["exact"].tolist() == [True, True, False, False]


def test_files(organisms, tmp_path):
    X, _ = organisms
    names = [f"{row}.png" for row in range(10)]
    for name, image in zip(names, X):
        Image.fromarray(image).save(tmp_path / name)
    Image.fromarray(X[2]).resize((150, 150)).save(tmp_path / "large.jpg")
    Image.fromarray(X[3]).save(tmp_path / "again.bmp")
    paths = [tmp_path / name for name in [*names, "large.jpg", "again.bmp"]]
    labels = ["fox"] * 11 + ["hare"]
    for given in (paths, pd.DataFrame({"path": list(map(str, paths)), "elevation": 3.0})):
        found = find_duplicates(given, labels)
        assert found["row"].tolist() == [2, 10, 3, 11]
        assert found["n_labels"].tolist() == [1, 1, 2, 2]


def test_nothing_found_has_the_same_columns(organisms):
    X, y = organisms
    found = find_duplicates(X[:3], y[:3], groups=y[:3])
    assert len(found) == 0
    copies = find_duplicates(X[[0, 0]], y[[0, 0]], groups=y[[0, 0]])
    assert found.columns.tolist() == copies.columns.tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((3, 4)),), r"images in X have the shape \(3, 4\), expected"),
        ((np.zeros((0, 4, 4)),), r"images in X have the shape \(0, 4, 4\)"),
        ((np.zeros((3, 4, 4)), [0, 1]), "inconsistent numbers of samples"),
        ((np.zeros((3, 4, 4)), np.zeros((3, 2))), "y should be a 1d array"),
    ],
    ids=["shape", "empty", "length", "several labels"],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        find_duplicates(*arguments)
