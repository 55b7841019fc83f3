"""What R hands over through reticulate, as it arrives in Python. tests/test_r.py runs R itself."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from skcnn import (
    ConvNetClassifier,
    ConvNetMultiTask,
    ConvNetRegressor,
    ConvNetSegmenter,
    load,
    save,
)
from skcnn._from_r import check_no_na, whole_arguments
from skcnn.augmentation import Shift
from skcnn.datasets import make_organisms, make_scenes
from skcnn.inspection import (
    ChannelsDisplay,
    FeatureMapsDisplay,
    ImageGridDisplay,
    PredictionsDisplay,
    ProbabilitiesDisplay,
    TopLossesDisplay,
    filters,
    grad_cam,
    learning_rate_curve,
)
from skcnn.masks import iou_score, measure
from skcnn.networks import Backbone, CompactTransformer, UNet
from skcnn.uncertainty import (
    TunedThresholdsCV,
    bootstrap_interval,
    calibration_table,
    expected_calibration_error,
    label_thresholds,
)

NA_INTEGER = -(2**31)
# R's NA among doubles: a NaN that arithmetic warns of.
NA_REAL = np.array([0x7FF00000000007A2], dtype=np.uint64).view(np.float64)[0]


@pytest.fixture(scope="module")
def data():
    X, y = make_organisms(60, n_classes=3, image_size=16, random_state=0)
    return X, [["bee", "fly", "wasp"][label] for label in y]


@pytest.fixture(scope="module")
def fitted(data):
    X, labels = data
    return small().fit(X, labels)


def small(**parameters):
    """A small network, all of whose whole numbers are doubles."""
    return ConvNetClassifier(
        **{"filters": [8.0, 16.0], "max_epochs": 1.0, "random_state": 0.0, **parameters}
    )


@pytest.mark.parametrize(
    ("doubles", "whole"),
    [
        ({"filters": 8.0}, {"filters": 8}),
        ({"filters": [8.0, 16.0]}, {"filters": (8, 16)}),
        ({"convs_per_block": 2.0, "kernel_size": 3.0}, {"convs_per_block": 2, "kernel_size": 3}),
        ({"pool_size": 2.0, "dense_units": 8.0}, {"pool_size": 2, "dense_units": 8}),
        (
            {"dense_units": [8.0, 4.0], "dropout": [0.0, 0.5]},
            {"dense_units": (8, 4), "dropout": (0, 0.5)},
        ),
        ({"image_shape": [16.0, 16.0, 3.0]}, {"image_shape": (16, 16, 3)}),
        ({"batch_size": 16.0}, {"batch_size": 16}),
        (
            {"early_stopping": True, "n_iter_no_change": 1.0},
            {"early_stopping": True, "n_iter_no_change": 1},
        ),
        (
            {"progressive_resizing": [0.5, 1.0], "max_epochs": 2.0},
            {"progressive_resizing": (0.5, 1), "max_epochs": 2},
        ),
        (
            {"class_weight": {"bee": 2.0, "fly": 1.0, "wasp": 1.0}},
            {"class_weight": {"bee": 2, "fly": 1, "wasp": 1}},
        ),
        ({"random_state": 7.0, "verbose": 0.0}, {"random_state": 7, "verbose": 0}),
        ({"augment": ["flip", Shift(0.25)]}, {"augment": ("flip", Shift(0.25))}),
    ],
    ids=lambda given: " ".join(given),
)
def test_doubles_and_lists_are_taken_for_whole_numbers_and_tuples(data, doubles, whole):
    X, labels = data
    from_r = small(**doubles).fit(X, labels).predict_proba(X)
    from_python = ConvNetClassifier(
        **{"filters": (8, 16), "max_epochs": 1, "random_state": 0, **whole}
    )
    np.testing.assert_array_equal(from_r, from_python.fit(X, labels).predict_proba(X))


@pytest.mark.parametrize(
    "module",
    [
        CompactTransformer(
            depth=1.0, width=24.0, heads=3.0, tokenizer_layers=1.0, kernel_size=3.0
        ),
        Backbone("efficientnet_lite0", weights=None, unfreeze=1.0, image_size=32.0),
    ],
    ids=lambda module: type(module).__name__,
)
def test_doubles_in_specifications_of_networks(data, module):
    X, labels = data
    clf = ConvNetClassifier(module=module, max_epochs=1.0, random_state=0.0)
    assert clf.fit(X[:20], labels[:20]).predict(X[:2]).shape == (2,)


def test_doubles_in_a_segmenter(tmp_path):
    scenes = make_scenes(6.0, image_size=32.0, n_kinds=2.0, count=[1.0, 3.0], random_state=0.0)
    net = ConvNetSegmenter(UNet(decoder_filters=[8.0, 8.0, 8.0]), max_epochs=1.0, random_state=0.0)
    net = net.fit(scenes.data, np.asfortranarray(scenes.masks.astype(np.int32)))
    assert net.predict(scenes.data).shape == (6, 32, 32)
    assert iou_score(scenes.masks, scenes.masks, labels=1.0, average=None).tolist() == [1.0]


def test_the_generators_take_doubles():
    from_r, labels = make_organisms(6.0, n_classes=2.0, image_size=8.0, random_state=0.0)
    X, y = make_organisms(6, n_classes=2, image_size=8, random_state=0)
    np.testing.assert_array_equal(from_r, X)
    np.testing.assert_array_equal(labels, y)


def test_a_description_takes_doubles():
    clf = ConvNetClassifier()
    assert (
        clf.summary([32.0, 32.0, 3.0], n_classes=5.0).n_parameters
        == clf.summary((32, 32, 3), n_classes=5).n_parameters
    )
    with pytest.raises(ValueError, match="positive whole numbers"):
        clf.summary([32.5, 32.0, 3.0], n_classes=5.0)


def test_displays_take_doubles(data, fitted):
    X, labels = data
    assert len(ImageGridDisplay(X).plot(max_images=4.0, n_columns=2.0).axes_) == 2
    for display in (PredictionsDisplay, TopLossesDisplay):
        assert display.from_estimator(fitted, X, labels, max_images=3.0).axes_.size == 3
    assert FeatureMapsDisplay.from_estimator(fitted, X[0], layers=1.0, max_maps=2.0).maps
    np.testing.assert_array_equal(filters(fitted, 1.0), filters(fitted, 1))
    np.testing.assert_array_equal(
        grad_cam(fitted, X[:2], layer=0.0), grad_cam(fitted, X[:2], layer=0)
    )


def test_a_learning_rate_curve_takes_doubles(data):
    curve = learning_rate_curve(small(), *data, n_rates=3.0, n_steps=10.0, max_steps=10.0)
    assert curve.lr.shape == (3,)


def test_measures_of_uncertainty_take_doubles(data, fitted):
    X, labels = data
    proba = fitted.predict_proba(X)
    assert len(calibration_table(labels, proba, n_bins=4.0)) <= 4
    given = {"classes": fitted.classes_}
    assert expected_calibration_error(
        labels, proba, n_bins=4.0, **given
    ) == expected_calibration_error(labels, proba, n_bins=4, **given)
    guess = fitted.predict(X)
    assert bootstrap_interval(
        labels, guess, n_resamples=50.0, random_state=0.0
    ) == bootstrap_interval(labels, guess, n_resamples=50, random_state=0)


def test_thresholds_take_doubles(data):
    X, labels = data
    y = np.array([[label == "bee", label != "fly"] for label in labels]).astype(np.int32)
    tuned = TunedThresholdsCV(small(), cv=2.0, thresholds=5.0).fit(X, y)
    exact = TunedThresholdsCV(small(), cv=2, thresholds=5).fit(X, y)
    np.testing.assert_array_equal(tuned.best_thresholds_, exact.best_thresholds_)
    proba = np.linspace(0, 1, 120).reshape(60, 2)
    np.testing.assert_array_equal(
        label_thresholds(y, proba, thresholds=7.0), label_thresholds(y, proba, thresholds=7)
    )


@pytest.mark.parametrize("name", ["max_epochs", "lr", "dropout", "tol"])
def test_na_as_a_number_is_refused(data, name):
    X, labels = data
    # A logical NA arrives as True.
    with pytest.raises(ValueError, match=rf"'{name}' .* Got True instead"):
        small(**{name: True}).fit(X, labels)


def test_only_the_wrong_parameter_is_named(data):
    X, labels = data
    with pytest.raises(ValueError, match=r"'resize' .* Got \[8.0, 8.0\] instead"):
        small(resize=[8.0, 8.0]).fit(X, labels)


@pytest.mark.parametrize(
    "y",
    [
        pytest.param(["bee", "NA", "fly"] * 20, id="text"),
        pytest.param(np.array(["bee", "NA", "fly"] * 20, dtype=object), id="objects"),
        pytest.param(pd.Series(["bee", "NA", "fly"] * 20), id="a column"),
        pytest.param([1, NA_INTEGER, 2] * 20, id="whole numbers"),
    ],
)
def test_na_among_labels_is_refused(data, y):
    X, labels = data
    with pytest.raises(ValueError, match=r"y has .* in 20 row\(s\), the first is row 1. .* NA, a"):
        small().fit(X, y)
    with pytest.raises(ValueError, match=r"y_val has .* how R hands over NA"):
        small().fit(X, labels, X_val=X, y_val=y)


def test_na_among_counts_is_refused(data):
    X, _ = data
    y = np.arange(60, dtype=np.int32)
    y[3] = NA_INTEGER
    with pytest.raises(ValueError, match=r"y has -2147483648 in 1 row\(s\), the first is row 3"):
        ConvNetRegressor(max_epochs=1).fit(X, y)


def test_na_among_pixels_is_refused(data):
    X, labels = data
    X = X.astype(np.int32)
    X[5, 0, 0, 0] = NA_INTEGER
    with pytest.raises(ValueError, match=r"X has -2147483648 .* row 5"):
        small().fit(X, labels)


def test_na_among_answers_says_how_to_keep_it(data):
    X, labels = data
    net = ConvNetMultiTask(
        {"kind": "classification", "n": "squared_error"},
        filters=[8.0, 16.0],
        max_epochs=1.0,
        random_state=0.0,
    )
    n = np.arange(60, dtype=np.int32)
    n[2] = NA_INTEGER
    with pytest.raises(ValueError, match=r"y\['n'\] has .* doubles, with as.numeric in R"):
        net.fit(X, pd.DataFrame({"kind": labels, "n": n}))
    with pytest.raises(ValueError, match=r"y\['kind'\] has 'NA' .* a factor in R"):
        net.fit(X, pd.DataFrame({"kind": ["NA", *labels[1:]], "n": np.arange(60.0)}))
    # As factors and doubles, they are missing answers.
    kind = pd.Categorical([None, *labels[1:]])
    numbers = np.where(n == NA_INTEGER, NA_REAL, n)
    answers = net.fit(X, pd.DataFrame({"kind": kind, "n": numbers})).predict(X)
    assert answers.notna().all(axis=None)


def test_na_among_covariates(data, tmp_path):
    X, labels = data
    paths = [str(tmp_path / f"{row}.png") for row in range(len(X))]
    for path, image in zip(paths, X):
        Image.fromarray(image).save(path)
    n = np.arange(60, dtype=np.int32)
    n[2] = NA_INTEGER
    with pytest.raises(ValueError, match=r"Column .n. of X has -2147483648 .* as.numeric in R"):
        small().fit(pd.DataFrame({"path": paths, "n": n}), labels)
    # Among doubles it is a missing value. Warnings are errors here.
    numbers = np.where(n == NA_INTEGER, NA_REAL, n)
    table = pd.DataFrame({"path": paths, "n": numbers})
    assert small().fit(table, labels).predict(table).shape == (60,)
    with pytest.raises(ValueError, match="row 1: NA does not exist: this is how R hands over NA"):
        small().fit([paths[0], "NA", *paths[2:]], labels)
    with pytest.raises(ValueError, match="or factors in R"):
        small().fit(pd.DataFrame({"path": paths, "habitat": labels}), labels)


def test_check_no_na_leaves_others_alone():
    for values in (
        ["fox", "Na", "NAN"],
        np.array([None, pd.NA, "fox"], dtype=object),
        np.array([0, -1, 2**31 - 1], dtype=np.int32),
        np.array([0.5, np.nan]),
        pd.to_datetime(["2026-05-01"]),
        [],
        [True, False],
    ):
        check_no_na(values, "y")


def test_single_values_stand_for_lists_of_one(data, fitted, tmp_path):
    X, labels = data
    path = str(tmp_path / "one.png")
    Image.fromarray(X[0]).save(path)
    (guess,) = fitted.predict(path)
    assert fitted.score(path, guess) == 1.0
    for display in (PredictionsDisplay, ProbabilitiesDisplay, TopLossesDisplay):
        assert display.from_estimator(fitted, path, labels[0]).figure_ is not None
    assert ChannelsDisplay(X[0, :, :, :1], "red").names == ["red"]


def test_single_names_of_measures():
    pytest.importorskip("skimage", reason="measure needs scikit-image")
    mask = np.zeros((1, 16, 16), dtype=np.int32)
    mask[0, 4:9, 4:9] = 2
    table = measure(mask, labels=2.0, properties="euler_number")
    assert table[["label", "euler_number"]].to_numpy().tolist() == [[2, 1]]


def test_names_in_a_list_of_r_are_text(data):
    X, labels = data
    codes = [["bee", "fly", "wasp"].index(label) for label in labels]
    for y, names in [
        (codes, ["0", "1", "2"]),
        (np.array(codes, dtype=np.float64), ["0", "1", "2"]),
        (np.array(codes) > 0, ["FALSE", "TRUE"]),
    ]:
        weights = {name: 1.0 + number for number, name in enumerate(names)}
        exact = {label: 1 + number for number, label in enumerate(np.unique(y).tolist())}
        from_r = small(class_weight=weights).fit(X, y).predict_proba(X)
        np.testing.assert_array_equal(from_r, small(class_weight=exact).fit(X, y).predict_proba(X))


def test_fortran_arrays_that_cannot_be_written(data, fitted):
    X, labels = data
    fortran = np.asfortranarray(X.astype(np.int32))
    fortran.flags.writeable = False
    np.testing.assert_array_equal(fitted.predict_proba(fortran), fitted.predict_proba(X))
    photographs = np.asfortranarray(X / 255.0)
    photographs.flags.writeable = False
    both = [small().fit(Z, labels).predict_proba(Z) for Z in (photographs, X / 255.0)]
    np.testing.assert_array_equal(*both)
    with pytest.raises(ValueError, match="in R, keep its dimension with drop = FALSE"):
        fitted.predict(fortran[0])


def test_the_home_of_the_user_in_paths(fitted, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    save(fitted, "~/bees.skcnn")
    assert (tmp_path / "bees.skcnn").is_file()
    assert load("~/bees.skcnn").classes_.tolist() == fitted.classes_.tolist()


def test_whole_arguments_keeps_the_rest():
    @whole_arguments("n")
    def scaled(n, x=1.0, *more, **others):
        """Say so."""
        return n, x, more, others

    assert scaled(2.0, 2.0, 3.0, y=4.0) == (2, 2.0, (3.0,), {"y": 4.0})
    assert isinstance(scaled(2.0)[0], int)
    assert scaled.__doc__ == "Say so."
