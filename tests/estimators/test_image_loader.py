"""Pixels of image files, for any estimator of scikit-learn."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from _helpers import small_net, stripes
from _image_files import photograph, write_broken_files, write_images
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import estimator_checks_generator

from skcnn import ImageLoader, clear_image_cache


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    X, y = stripes(60)
    return X, y, write_images(tmp_path_factory.mktemp("images"), X)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    paths = [str(folder / f"{number}.jpg") for number in range(4)]
    for number, path in enumerate(paths):
        photograph(80 + 20 * number, 60, seed=number).save(path)
    return paths


def test_rows_are_flattened_images(data):
    X, _, paths = data
    loader = ImageLoader().fit(paths)
    assert loader.image_shape_ == (8, 8, 3)
    found = loader.transform(paths)
    assert found.dtype == np.uint8
    assert_array_equal(found, X.reshape(60, -1))
    assert_array_equal(ImageLoader(flatten=False).fit_transform(paths), X)
    assert_array_equal(loader.transform(paths[7]), X[7:8].reshape(1, -1))


def test_a_whole_shape_needs_no_look_at_the_files(data, tmp_path, monkeypatch):
    monkeypatch.setattr("skcnn._data._file_shapes.file_keys", None)
    loader = ImageLoader((4, 4, 3), cache_dir=tmp_path / "cache").fit(data[2])
    assert loader.image_shape_ == (4, 4, 3)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("resize", ["crop", "pad", "stretch"])
def test_networks_see_the_same_pixels(resize, photographs):
    y = [0, 1, 0, 1]
    clf = small_net(max_epochs=1, image_shape=(12, 16), resize=resize).fit(photographs, y)
    loader = ImageLoader((12, 16), resize=resize).fit(photographs)
    expected = clf.predict_proba(photographs)
    flat = loader.transform(photographs)
    images = clone(loader).set_params(flatten=False).fit_transform(photographs)
    assert images.shape == (4, 12, 16, 3)
    for same in (flat, images, images.astype(float)):
        assert_array_equal(clf.predict_proba(same), expected)
    trained = small_net(max_epochs=1).fit(images, y)
    assert_array_equal(trained.predict_proba(images), expected)


def test_color(data, photographs):
    assert ImageLoader((8, 8)).fit(photographs).image_shape_ == (8, 8, 3)
    gray = ImageLoader((8, 8), color="gray", flatten=False).fit(photographs)
    assert gray.image_shape_ == (8, 8, 1)
    assert_array_equal(
        gray.transform(photographs),
        ImageLoader((8, 8, 1), flatten=False).fit_transform(photographs),
    )
    assert ImageLoader(color="gray").fit(photographs).image_shape_ == (96, 96, 1)


def test_any_estimator_learns_from_files(data):
    X, y, paths = data
    forest = RandomForestClassifier(20, random_state=0)
    pipeline = make_pipeline(ImageLoader(), forest).fit(paths[:40], y[:40])
    expected = clone(forest).fit(X[:40].reshape(40, -1), y[:40])
    assert_array_equal(pipeline.predict_proba(paths), expected.predict_proba(X.reshape(60, -1)))
    search = GridSearchCV(
        make_pipeline(ImageLoader(), forest), {"imageloader__image_shape": [(4, 4), (8, 8)]}, cv=2
    )
    assert search.fit(np.array(paths), y).best_score_ > 0.4
    net = make_pipeline(ImageLoader(), small_net(max_epochs=1)).fit(paths, y)
    assert_array_equal(net.predict(paths), small_net(max_epochs=1).fit(X, y).predict(X))


@pytest.mark.parametrize("columns", ["file", ["file"]])
def test_columns_of_a_table(columns, data):
    X, y, paths = data
    table = pd.DataFrame({"elevation": np.arange(60.0), "file": paths, "slope": 1.5})
    transformer = make_column_transformer(
        (ImageLoader(), columns), ("passthrough", ["elevation", "slope"])
    )
    found = transformer.fit_transform(table)
    assert_array_equal(found[:, :192], X.reshape(60, -1))
    assert_array_equal(found[:, 192:], table[["elevation", "slope"]])
    assert transformer.get_feature_names_out()[[0, 4, 191, 192]].tolist() == [
        "imageloader__pixel_0_0_red",
        "imageloader__pixel_0_1_green",
        "imageloader__pixel_7_7_blue",
        "passthrough__elevation",
    ]
    pipeline = make_pipeline(transformer, RandomForestClassifier(5, random_state=0))
    assert pipeline.fit(table, y).predict(table).shape == (60,)


def test_boxes_are_parts_of_the_images(data, photographs):
    frame = pd.DataFrame(
        {"path": photographs, "box_x": 0.5, "box_y": 0.0, "box_width": 0.5, "box_height": 0.5}
    )
    found = ImageLoader((30, 40), flatten=False).fit_transform(frame)
    whole = ImageLoader((60, 80), flatten=False).fit_transform(photographs[:1])
    assert_array_equal(found[0], whole[0, :30, 40:])


def test_names_and_pandas(data):
    X, _, paths = data
    loader = ImageLoader().set_output(transform="pandas").fit(pd.Series(paths))
    found = loader.transform(paths)
    assert isinstance(found, pd.DataFrame)
    assert found.columns[:3].tolist() == ["pixel_0_0_red", "pixel_0_0_green", "pixel_0_0_blue"]
    assert_array_equal(found, X.reshape(60, -1))
    gray = ImageLoader(color="gray").fit(paths)
    assert gray.get_feature_names_out()[:2].tolist() == ["pixel_0_0", "pixel_0_1"]
    assert len(gray.get_feature_names_out()) == gray.transform(paths).shape[1]


def test_broken_files(data, tmp_path):
    X, _, paths = data
    broken = [path for path, _ in write_broken_files(tmp_path).values()]
    loader = ImageLoader().fit(paths)
    with pytest.raises(ValueError, match=rf"^{len(broken)} of {60 + len(broken)} image") as raised:
        loader.transform([*paths, *broken])
    assert str(raised.value).count("\n  row") == 10
    loader.set_params(on_error="skip")
    with pytest.warns(UserWarning, match="have no result"):
        found = loader.transform([*broken, *paths])
    assert found.dtype == np.float32
    assert np.isnan(found[: len(broken)]).all()
    assert_array_equal(found[len(broken) :], X.reshape(60, -1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert loader.transform(paths).dtype == np.uint8
    model = make_pipeline(ImageLoader((4, 4), on_error="skip"), HistGradientBoostingClassifier())
    with pytest.warns(UserWarning, match="cannot be read"):
        model.fit([*paths, broken[0]], [*data[1], 0])


def test_cache(data, tmp_path):
    X, _, paths = data
    loader = ImageLoader(cache_dir=tmp_path / "cache")
    for _ in range(2):
        assert_array_equal(loader.fit_transform(paths), X.reshape(60, -1))
    # And a few bytes for the shape.
    assert X.nbytes <= 1e9 * clear_image_cache(tmp_path / "cache") < X.nbytes + 50
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match=r"cache_dir=.*file' cannot be written"):
        loader.set_params(cache_dir=tmp_path / "file").fit(paths)
    with pytest.warns(UserWarning, match="Images are decoded without it"):
        assert_array_equal(loader.transform(paths), X.reshape(60, -1))


@pytest.mark.parametrize("X", [np.zeros((3, 4)), None, pd.DataFrame({"a": [1, 2]})])
def test_what_holds_no_paths_is_an_error(X, data):
    with pytest.raises(ValueError, match=r"X is a .* without paths of image files. Expected one"):
        ImageLoader().fit(X)
    with pytest.raises(ValueError, match=r"X is a .* without paths of image files. Expected one"):
        ImageLoader().fit(data[2]).transform(X)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image_shape", 32),
        ("resize", "squeeze"),
        ("color", "cmyk"),
        ("on_error", "ignore"),
        ("cache_dir", 3),
        ("flatten", "yes"),
    ],
)
def test_parameters_are_checked(name, value, data):
    with pytest.raises(ValueError, match=f"The '{name}' parameter of ImageLoader must be"):
        ImageLoader(**{name: value}).fit(data[2])


def test_it_has_to_be_fitted_and_can_be_stored(data):
    with pytest.raises(NotFittedError):
        ImageLoader().transform(data[2])
    loader = pickle.loads(pickle.dumps(ImageLoader((4, 4)).fit(data[2])))
    assert loader.transform(data[2]).shape == (60, 48)


def test_checks_of_scikit_learn():
    with warnings.catch_warnings():
        # Most are for arrays of numbers, which a loader of files does not take.
        warnings.simplefilter("ignore")
        checks = list(estimator_checks_generator(ImageLoader()))
        assert checks
        for estimator, check in checks:
            check(estimator)
