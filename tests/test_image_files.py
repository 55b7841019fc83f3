"""Estimators on paths of image files: the same as on arrays, also where files are broken."""

import os
import pickle
import threading
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from _helpers import NETS, Spy, small_net, stripes
from _image_files import photograph, write_broken_files, write_images
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline

from skcnn import clear_image_cache
from skcnn._data import _files
from skcnn._data._arrays import Images

N_TRAINING = 60


@pytest.fixture(scope="module")
def data():
    X, y = stripes(90)
    return X, np.array(["across", "down", "slanted"])[y]


@pytest.fixture(scope="module")
def paths(data, tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("images"), data[0])


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """Files that cannot be read, and have no size of their own."""
    found = write_broken_files(tmp_path_factory.mktemp("broken"))
    names = ("zero bytes.jpg", "text.jpg", "folder.jpg", "missing.jpg", "video.jpg")
    return [found[name][0] for name in names]


@pytest.fixture(scope="module")
def fitted(data):
    X, y = data
    return small_net().fit(X[:N_TRAINING], y[:N_TRAINING])


@pytest.fixture(params=["in memory", "batch by batch"])
def memory(request, monkeypatch):
    if request.param == "batch by batch":
        monkeypatch.setattr(_files, "_MAX_BYTES_IN_MEMORY", 0)
    return request.param


# ---------------------------------------------------------------- the same as arrays


def test_files_train_as_arrays_do(data, paths, fitted, memory):
    X, y = data
    spy = Spy()
    clf = small_net(callbacks=[spy]).fit(paths[:N_TRAINING], y[:N_TRAINING])
    assert isinstance(spy.training_.X, Images) == (memory == "in memory")
    assert clf.image_shape_ == (8, 8, 3)
    assert clf.n_features_in_ == 192
    assert not hasattr(clf, "skipped_")
    assert clf.score(paths[N_TRAINING:], y[N_TRAINING:]) > 0.8
    assert_array_equal(clf.predict_proba(paths), fitted.predict_proba(X))
    assert_array_equal(clf.loss_curve_, fitted.loss_curve_)


def test_early_stopping_weights_and_groups(data, paths, memory):
    X, y = data
    weight = np.random.RandomState(0).rand(len(y))
    about = {"sample_weight": weight, "groups": np.arange(len(y)) // 5}
    clf = small_net(early_stopping=True, validation_fraction=0.3, class_weight="balanced")
    expected = clone(clf).fit(X, y, **about)
    clf.fit(paths, y, **about)
    pd.testing.assert_frame_equal(
        clf.history_.drop(columns="seconds"), expected.history_.drop(columns="seconds")
    )
    assert_array_equal(clf.predict_proba(X), expected.predict_proba(X))


def test_one_path_is_predicted_as_one_image(paths, fitted):
    expected = fitted.predict(paths)
    for one in (paths[3], Path(paths[3]), np.str_(paths[3])):
        assert fitted.predict(one).tolist() == [expected[3]]
        assert fitted.predict_proba(one).shape == (1, 3)


def test_scikit_learns_tools_take_paths(data, paths):
    X, y = data
    clf = small_net(max_epochs=2)
    frame = pd.DataFrame({"path": paths})
    expected = cross_val_score(clf, X, y, cv=3)
    for files in (paths, np.array(paths), frame, frame["path"]):
        assert_array_equal(cross_val_score(clf, files, y, cv=3), expected)
    assert_array_equal(cross_val_predict(clf, paths, y, cv=3), cross_val_predict(clf, X, y, cv=3))
    grid = {"filters": [(4,), (8,)]}
    search = GridSearchCV(clf, grid, cv=GroupKFold(2)).fit(frame, y, groups=np.arange(90) // 9)
    same = GridSearchCV(clf, grid, cv=GroupKFold(2)).fit(X, y, groups=np.arange(90) // 9)
    assert search.best_params_ == same.best_params_
    assert_array_equal(search.predict_proba(paths), same.predict_proba(X))
    pipeline = make_pipeline(clf).fit(paths, y)
    assert pipeline.score(paths, y) == clone(clf).fit(X, y).score(X, y)


def test_processes_of_a_search_take_paths_and_share_a_cache(data, paths, tmp_path):
    X, y = data
    clf = small_net(max_epochs=1)
    expected = cross_val_score(clf, X, y, cv=2)
    assert_array_equal(cross_val_score(clf, paths, y, cv=2, n_jobs=2), expected)
    clf.set_params(cache_dir=tmp_path / "cache")
    # Two processes that begin with the same image at once may both store it: so one is first.
    for n_jobs in (None, 2):
        assert_array_equal(cross_val_score(clf, paths, y, cv=2, n_jobs=n_jobs), expected)
    # Each image is stored once, beside a few bytes for the shape of the images of each fold.
    freed = 1e9 * clear_image_cache(tmp_path / "cache")
    assert X.nbytes <= freed < X.nbytes + 100


def test_threads_predict_from_files(paths, fitted):
    expected = fitted.predict_proba(paths)
    found = {}

    def predict(number):
        order = np.random.RandomState(number).permutation(len(paths))
        found[number] = order, fitted.predict_proba([paths[i] for i in order])

    threads = [threading.Thread(target=predict, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for order, probability in found.values():
        assert_array_equal(probability, expected[order])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no forks")
def test_forked_children_predict_from_files(paths, fitted):
    expected = fitted.predict_proba(paths)
    with warnings.catch_warnings():
        # Of threads of other libraries.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        same = np.array_equal(fitted.predict_proba(paths), expected)
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_training_continues_with_files(data, paths):
    X, y = data
    expected = small_net(warm_start=True).fit(X, y).fit(X, y)
    clf = small_net(warm_start=True).fit(paths, y)
    clf.fit(paths, y)
    assert_array_equal(clf.predict_proba(X), expected.predict_proba(X))


def test_a_fitted_estimator_keeps_no_files(paths, data, memory):
    clf = small_net().fit(paths, data[1])
    stored = pickle.dumps(clf)
    assert b"00000.png" not in stored
    assert_array_equal(pickle.loads(stored).predict(paths), clf.predict(paths))


def test_checkpoints_belong_to_the_files(data, paths, tmp_path, memory):
    _, y = data
    folder = tmp_path / "images"
    names = write_images(folder, data[0])
    options = {"lr_schedule": None, "checkpoint_dir": str(tmp_path / "checkpoints")}
    small_net(max_epochs=2, **options).fit(names, y)
    expected = small_net(max_epochs=3, lr_schedule=None).fit(names, y)
    # A folder for decoded images makes no other training.
    resumed = small_net(max_epochs=3, cache_dir=tmp_path / "cache", **options).fit(names, y)
    assert_array_equal(resumed.predict_proba(paths), expected.predict_proba(paths))
    assert resumed.history_["seconds"].notna().all()
    assert len(list((tmp_path / "checkpoints").rglob("*.finished"))) == 2
    # Another picture in one of the files.
    state = os.stat(names[0])
    os.replace(names[1], names[0])
    write_images(tmp_path / "other", data[0][:2])
    os.replace(tmp_path / "other" / "00001.png", names[1])
    os.utime(names[0], ns=(0, state.st_mtime_ns + 10**9))
    small_net(max_epochs=3, **options).fit(names, y)
    assert len(list((tmp_path / "checkpoints").rglob("*.finished"))) == 3


def test_files_and_arrays_in_different_ranges_are_warned_about(data, paths):
    X, y = data
    clf = small_net().fit(X / 255, y)
    with pytest.warns(UserWarning, match="X has pixels from 0 to 255, but .* Scale them alike"):
        clf.predict(paths)


def test_networks_for_other_channels_do_not_read_files(data, paths):
    X, y = data
    clf = small_net().fit(X[..., [0, 1, 2, 0, 1]], y)
    with pytest.raises(ValueError, match=r"was fitted on images with 5 channels\. Read them into"):
        clf.predict(paths)


# ---------------------------------------------------------------- the cache


@pytest.mark.parametrize("as_path", [str, Path])
def test_folds_and_candidates_share_decoded_files(
    as_path, data, paths, tmp_path, memory, monkeypatch
):
    X, y = data
    decoded = []
    decode = _files.decode
    monkeypatch.setattr(
        _files, "decode", lambda path, *more: [decoded.append(path), decode(path, *more)][1]
    )
    grid = {"filters": [(4,), (8,)]}
    clf = small_net(max_epochs=1, cache_dir=as_path(tmp_path / "cache"))
    search = GridSearchCV(clf, grid, cv=3).fit(paths, y)
    expected = GridSearchCV(small_net(max_epochs=1), grid, cv=3).fit(X, y)
    assert_array_equal(
        search.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"]
    )
    assert_array_equal(search.predict_proba(paths), expected.predict_proba(X))
    assert sorted(decoded) == paths
    assert clear_image_cache(tmp_path / "cache") > 0
    assert_array_equal(search.predict_proba(paths), expected.predict_proba(X))
    assert len(decoded) == 2 * len(paths)


@pytest.mark.parametrize("kind", ["regressor", "tasks"])
def test_other_estimators_use_the_cache_as_well(kind, data, paths, tmp_path, memory, monkeypatch):
    X, labels = data
    y = np.arange(len(X)) / len(X) if kind == "regressor" else labels
    expected = NETS[kind](max_epochs=1).fit(X, y).predict(X)
    decoded = []
    decode = _files.decode
    monkeypatch.setattr(
        _files, "decode", lambda path, *more: [decoded.append(path), decode(path, *more)][1]
    )
    for _ in range(2):
        fitted = NETS[kind](max_epochs=1, cache_dir=tmp_path / "cache").fit(paths, y)
        assert_array_equal(fitted.predict(paths), expected)
    assert sorted(decoded) == paths


def test_a_cache_that_cannot_be_written_does_not_lose_predictions(paths, fitted, data, tmp_path):
    (tmp_path / "file").write_text("no folder")
    clf = pickle.loads(pickle.dumps(fitted)).set_params(cache_dir=str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="Images are decoded without it"):
        assert_array_equal(clf.predict_proba(paths), fitted.predict_proba(data[0]))
    with pytest.raises(OSError, match=r"cache_dir=.* cannot be written"):
        clf.fit(paths, data[1])
    assert_array_equal(clf.predict_proba(data[0]), fitted.predict_proba(data[0]))


# ---------------------------------------------------------------- sizes


def test_gray_files_are_gray_images(tmp_path):
    X, y = stripes(60, channels=1)
    names = write_images(tmp_path, X)
    clf = small_net().fit(names, y)
    assert clf.image_shape_ == (8, 8, 1)
    expected = small_net().fit(X, y).predict_proba(X)
    for images in (names, X, X[..., 0], X.reshape(60, -1)):
        assert_array_equal(clf.predict_proba(images), expected)


def test_image_shape_and_resize_decide_how_files_are_read(data, tmp_path):
    images = [photograph(60, 40, seed) for seed in range(12)]
    names = [str(tmp_path / f"{i}.jpg") for i in range(12)]
    for image, name in zip(images, names):
        image.save(name)
    y = np.arange(12) % 2
    found = {}
    for resize in ("crop", "pad", "stretch"):
        clf = small_net(max_epochs=1, image_shape=(16, 16), resize=resize).fit(names, y)
        assert clf.image_shape_ == (16, 16, 3)
        found[resize] = clf.predict_proba(names)
    assert not np.array_equal(found["crop"], found["pad"])
    assert not np.array_equal(found["crop"], found["stretch"])
    assert small_net(max_epochs=1).fit(names, y).image_shape_ == (40, 60, 3)
    gray = small_net(max_epochs=1, image_shape=(8, 8, 1)).fit(names, y)
    assert gray.image_shape_ == (8, 8, 1)
    photograph(129, 40).save(names[0])
    assert small_net(max_epochs=1).fit(names, y).image_shape_ == (96, 96, 3)


# ---------------------------------------------------------------- broken files


def _mixed(paths, broken):
    """Paths with a broken file before every tenth."""
    mixed, rows = [], []
    for number, path in enumerate(paths):
        if number % 10 == 0 and number // 10 < len(broken):
            mixed.append(broken[number // 10])
        rows.append(len(mixed))
        mixed.append(path)
    return mixed, np.array(rows)


def test_broken_files_are_an_error_by_default(data, paths, broken, fitted, memory):
    mixed, _ = _mixed(paths, broken)
    y = np.resize(data[1], len(mixed))
    clf = small_net()
    with pytest.raises(ValueError, match=r"5 of 95 image file\(s\) of X cannot be read"):
        clf.fit(mixed, y)
    assert not hasattr(clf, "classes_")
    assert not hasattr(clf, "skipped_")
    for method in ("predict", "predict_proba", "transform", "decision_function"):
        with pytest.raises(ValueError, match=r"5 of 95 image file\(s\) of X cannot be read"):
            getattr(fitted, method)(mixed)
    with pytest.raises(ValueError, match=r"5 of 95 image file\(s\) of X_val cannot be read"):
        clf.fit(paths, data[1], X_val=mixed, y_val=y)


def test_training_without_broken_files_is_training_on_the_others(data, paths, broken, memory):
    X, y = data
    mixed, rows = _mixed(paths, broken)
    labels, weight, groups = (np.full(len(mixed), fill) for fill in ("down   ", 1.0, 99))
    weight[rows] = np.random.RandomState(0).rand(len(rows))
    labels[rows], groups[rows] = y, np.arange(len(y)) // 5
    options = {"early_stopping": True, "class_weight": "balanced"}
    expected = small_net(**options).fit(X, y, weight[rows], groups=groups[rows])
    clf = small_net(on_error="skip", **options)
    with pytest.warns(UserWarning, match=r"Left out 5 of 95 image file\(s\) of X, .* skipped_"):
        clf.fit(mixed, labels, weight, groups=groups.tolist())
    assert_array_equal(clf.predict_proba(X), expected.predict_proba(X))
    skipped = clf.skipped_
    assert skipped["path"].tolist() == broken
    assert skipped["row"].tolist() == [row for row in range(len(mixed)) if row not in rows]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert clf.fit(paths, y).skipped_.empty
        clf.fit(X, y)
    assert not hasattr(clf, "skipped_")


def test_validation_and_single_passes_leave_out_broken_files(data, paths, broken):
    X, y = data
    mixed, rows = _mixed(paths, broken)
    labels = np.full(len(mixed), y[0])
    labels[rows] = y
    expected = small_net().fit(X, y, X_val=X, y_val=y)
    clf = small_net(on_error="skip")
    with pytest.warns(UserWarning, match=r"5 of 95 image file\(s\) of X_val"):
        clf.fit(paths, y, X_val=mixed, y_val=labels)
    assert_array_equal(clf.history_["valid_loss"], expected.history_["valid_loss"])
    assert (clf.skipped_["argument"] == "X_val").all()
    assert len(clf.skipped_) == 5
    expected = small_net().partial_fit(X, y)
    with pytest.warns(UserWarning, match=r"5 of 95 image file\(s\) of X,"):
        clf = small_net(on_error="skip").partial_fit(mixed, labels)
    assert_array_equal(clf.predict_proba(X), expected.predict_proba(X))


@pytest.mark.parametrize("test_time_flip", [False, True])
def test_broken_files_have_no_prediction_and_others_their_own(
    test_time_flip, data, paths, broken, fitted
):
    mixed, rows = _mixed(paths, broken)
    clf = pickle.loads(pickle.dumps(fitted))
    clf.set_params(on_error="skip", test_time_flip=test_time_flip)
    missing = np.setdiff1d(np.arange(len(mixed)), rows)
    for method in ("predict_proba", "predict_log_proba", "decision_function", "transform"):
        expected = getattr(clf, method)(data[0])
        with pytest.warns(
            UserWarning, match=r"5 of 95 .* of X cannot be read, and have no result"
        ):
            found = getattr(clf, method)(mixed)
        assert_array_equal(found[rows], expected)
        assert np.isnan(found[missing]).all()
    with pytest.warns(UserWarning, match="row 0: .*zero bytes.jpg is empty"):
        labels = clf.predict(mixed)
    assert_array_equal(labels[rows], clf.predict(data[0]))
    assert all(label is None for label in labels[missing])
    assert clf.predict(paths).dtype == fitted.classes_.dtype


def test_numbers_as_labels_may_be_missing(data, paths, broken):
    y = np.arange(90) % 3
    clf = small_net(on_error="skip", max_epochs=1).fit(paths, y)
    with pytest.warns(UserWarning, match="1 of 3"):
        labels = clf.predict([paths[0], broken[0], paths[1]])
    assert labels[1] is None
    assert [type(labels[0]), type(labels[2])] == [int, int]


def test_broken_files_do_not_count_in_the_score(data, paths, broken, fitted):
    mixed, rows = _mixed(paths, broken)
    y = np.full(len(mixed), "down   ")
    y[rows] = data[1]
    weight = np.random.RandomState(0).rand(len(mixed))
    clf = pickle.loads(pickle.dumps(fitted)).set_params(on_error="skip")
    with pytest.warns(UserWarning, match="have no result"):
        assert clf.score(mixed, y) == fitted.score(*data)
    with pytest.warns(UserWarning, match="have no result"):
        found = clf.score(mixed, y, weight)
    assert found == fitted.score(*data, sample_weight=weight[rows])


def test_parameters_of_files_are_checked(data):
    for parameters in ({"resize": "squeeze"}, {"on_error": "ignore"}):
        (name,) = parameters
        with pytest.raises(ValueError, match=f"The '{name}' parameter of ConvNetClassifier"):
            small_net(**parameters).fit(*data)
