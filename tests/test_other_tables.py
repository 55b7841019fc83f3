"""Tables of other libraries, wherever a DataFrame may be."""

import numpy as np
import pandas as pd
import pytest
from _fake_tables import Table
from _helpers import small_net, stripes
from PIL import Image

from skcnn import ImageLoader
from skcnn._other_tables import to_frame
from skcnn.datasets import (
    group_by_time,
    load_image_table,
    make_images_and_covariates,
    write_predictions,
)


@pytest.fixture
def columns(tmp_path):
    """A path, a label, a site and a time for each of twelve files."""
    X, y = stripes(12)
    paths = [str(tmp_path / f"{row}.png") for row in range(12)]
    for path, pixels in zip(paths, X):
        Image.fromarray(pixels).save(path)
    return {
        "path": paths,
        "label": np.array(["ant", "bug", "fly"])[y],
        "site": [f"site {row % 4}" for row in range(12)],
        "time": [f"2024-05-01 10:{5 * row:02}:00" for row in range(12)],
    }


def test_columns_keep_their_types_and_everything_else_is_left_alone():
    site = pd.Categorical(["pond", "lake", "pond"])
    frame = to_frame(Table(n=[1, 2, 3], site=site, text=["a", "b", "c"]))
    assert frame["n"].dtype == np.int64
    assert frame["site"].cat.categories.tolist() == ["lake", "pond"]
    assert frame["text"].tolist() == ["a", "b", "c"]
    for other in (pd.DataFrame({"a": [1]}), None, "birds.csv", np.eye(2), {"a": [1]}, site):
        assert to_frame(other) is other


def test_loaders_and_bursts_take_them_as_they_take_frames(columns):
    found, expected = (
        load_image_table(table, group="site", time="time")
        for table in (Table(**columns), pd.DataFrame(columns))
    )
    pd.testing.assert_frame_equal(found.frame, expected.frame)
    bursts = [
        group_by_time(table, site="site", time="time", gap="15min").tolist()
        for table in (Table(**columns), pd.DataFrame(columns))
    ]
    assert bursts[0] == bursts[1]


def test_predictions_are_written_for_them(columns, tmp_path):
    clf = small_net(image_shape=(8, 8), max_epochs=1).fit(columns["path"], columns["label"])
    written = [
        write_predictions(tmp_path / name, clf, X, frame=frame).read_text()
        for name, X, frame in (
            ("a.csv", Table(**columns), None),
            ("b.csv", columns["path"], Table(**columns)),
            ("c.csv", pd.DataFrame(columns), None),
        )
    ]
    assert written[0] == written[1] == written[2]


def test_images_are_loaded_from_them(columns):
    loader = ImageLoader(image_shape=(8, 8))
    expected = loader.fit_transform(columns["path"])
    np.testing.assert_array_equal(loader.fit_transform(Table(path=columns["path"])), expected)


def test_they_stand_beside_images_as_covariates():
    X, _ = stripes(3)
    site = pd.Categorical(["pond", "lake", "pond"])
    found, expected = (
        make_images_and_covariates(X, form(depth=[1.5, 2.0, 2.5], site=site))
        for form in (Table, lambda **columns: pd.DataFrame(columns))
    )
    pd.testing.assert_frame_equal(found.drop(columns="image"), expected.drop(columns="image"))
    assert list(found) == ["image", "depth", "site"]
