"""What does not fit is refused with a way out, where a figure would be wrong without a word."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from _helpers import CLASSES, draw, let_threads_meet_in_pyplot
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import confusion_matrix, f1_score, make_scorer, roc_auc_score

from skcnn import ConvNetMultiTask, ConvNetSegmenter
from skcnn.networks import ConvBlocks, UNet
from skcnn.uncertainty import (
    ConformalClassifier,
    ConformalRegressor,
    NoveltyDetector,
    ReliabilityDisplay,
    ReviewDisplay,
    Taxonomy,
    TunedThresholdsCV,
    bootstrap_interval,
    calibration_table,
    conformal_sets,
    conformal_threshold,
    expected_calibration_error,
    label_thresholds,
    novelty_scores,
    restrict_classes,
    review_table,
    review_threshold,
)

Y, PROBA = draw(30, seed=0)
TWO = [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]
INDICATORS, SHARES = [[1, 0], [0, 1], [1, 1]], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.6]]
X = np.random.default_rng(0).normal(size=(60, 2))
SIDE = np.where(X[:, 0] > 0, "a", "b")
REGRESSOR = LinearRegression().fit(X, X[:, 0])
CLASSIFIER = LogisticRegression().fit(X, SIDE)


@pytest.mark.parametrize(
    ("y", "prediction", "message"),
    [
        ([], [], "y is empty"),
        (["0", "1"], [0, 1], "y holds text such as '0', and prediction holds numbers such as 0"),
        ([0, 1], np.array(["0", "1"], object), "prediction holds text such as '0'.*Convert"),
        ([0.0, np.nan], [0.0, 1.0], "y has no value .* in 1 of 2 rows, first in row 1"),
        (np.ma.array([0, 1], mask=[0, 1]), [0, 1], r"y .* hides 1 value\(s\), the first in row 1"),
        (["a", "b"], np.array([None, "b"]), "prediction has no value .* first in row 0.*notna"),
        ([0, 1, 0], TWO, r"prediction has shape \(3, 2\)"),
        (TWO, [0, 1, 0], r"y has shape \(3, 2\)"),
        ([0.5, 1.5], [0.5, 1.4], r"y holds numbers such as 0\.5.*mean_absolute_error"),
        ([3, 1], [2.7, 1.2], r"prediction holds numbers such as 2\.7.*metric="),
    ],
)
def test_accuracy_is_that_of_labels_of_one_type(y, prediction, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_interval(y, prediction)


@pytest.mark.parametrize(
    "metric", [confusion_matrix, make_scorer(f1_score)], ids=["matrix", "scorer"]
)
def test_metrics_return_one_number_for_labels_and_predictions(metric):
    with pytest.raises(TypeError, match=r"not return one number for y and prediction.*scorer"):
        bootstrap_interval([0, 1, 1], [0, 1, 0], metric=metric)


def test_predictions_in_one_column_are_those_in_a_row():
    y, prediction = [0, 1, 1, 0], [0, 1, 0, 0]
    expected = bootstrap_interval(y, prediction, random_state=0)
    column = np.array(prediction)[:, None]
    assert bootstrap_interval(y, column, random_state=0) == expected


def test_other_metrics_get_what_they_take():
    y, score = np.array(["a", "b"] * 30), np.tile([0.2, 0.7], 30)
    interval = bootstrap_interval(y, score, metric=roc_auc_score, n_resamples=20, random_state=0)
    assert interval.estimate == 1
    with pytest.raises(TypeError, match=r"metric must be.*got 3"):
        bootstrap_interval(y, score, metric=3)
    with pytest.raises(ValueError, match="in 1 of 3 rows"):
        bootstrap_interval([0, 1, 0], [[1, 0], [0, np.nan], [1, 0]], metric=roc_auc_score)


def test_a_site_that_is_not_known_is_no_site():
    with pytest.raises(ValueError, match=r"groups has no value .* in 1 of 3 rows"):
        bootstrap_interval([0, 1, 0], [0, 1, 0], groups=[1, np.nan, 2])


@pytest.mark.parametrize("value", [2.5, "many"])
def test_numbers_of_things_are_whole(value):
    with pytest.raises(TypeError, match=f"n_resamples must be a whole number, got {value!r}"):
        bootstrap_interval([0, 1], [0, 1], n_resamples=value)
    with pytest.raises(TypeError, match=f"n_bins must be a whole number, got {value!r}"):
        calibration_table([0, 1, 0], TWO, n_bins=value)
    with pytest.raises(TypeError, match=f"thresholds must be a whole number, got {value!r}"):
        label_thresholds(INDICATORS, SHARES, thresholds=value)


@pytest.mark.parametrize(
    "function",
    [
        calibration_table,
        expected_calibration_error,
        conformal_threshold,
        review_table,
        review_threshold,
        ReliabilityDisplay.from_predictions,
        ReviewDisplay.from_predictions,
    ],
    ids=lambda function: function.__qualname__,
)
@pytest.mark.parametrize(
    ("y", "proba", "message"),
    [
        (PROBA, Y, r"proba has shape \(30,\) and holds text.*y come first"),
        (TWO, [0, 1, 0], r"proba has shape \(3,\).*y come first"),
        ([], [], r"proba has shape \(0,\)"),
        ([0, 1, 0], [[np.nan, 1], [1, 0], [1, 0]], "proba has NaN in 1 of 3 rows.*skipped"),
        ([0, 1, 0], [[2, 1], [1, 0], [1, 0]], "rows that sum to 1 to 3"),
        ([0, 1, 0], [[-0.1, 1.1], [1, 0], [1, 0]], r"from -0\.1 to 1\.1"),
        ([0, np.nan, 1], TWO, "y has no value .* in 1 of 3 rows"),
        (np.array(["a", None, "b"]), TWO, "y has no value .* first in row 1"),
        ([[0, 1], [1, 0], [0, 1]], TWO, r"y has shape \(3, 2\)"),
    ],
    ids=["swapped", "swapped_numbers", "empty", "nan", "sum", "negative", "no_y", "none", "2d"],
)
def test_labels_and_probabilities_fit_each_other(function, y, proba, message):
    with pytest.raises(ValueError, match=message):
        function(y, proba)


@pytest.mark.parametrize(
    ("y", "classes", "message"),
    [
        (["0", "1", "0"], [0, 1], "y holds text, and the classes are numbers: convert y"),
        ([0, 1, 0], ["0", "1"], "y holds numbers, and the classes are text: convert y"),
        (["a", "a", "a"], ["a", "a"], "classes has the label 'a' twice"),
        (["a", "a", "a"], ["a", None], "classes has no value"),
    ],
)
def test_classes_name_each_column(y, classes, message):
    with pytest.raises(ValueError, match=message):
        calibration_table(y, TWO, classes=classes)


@pytest.mark.parametrize(
    ("threshold", "message"),
    [([np.nan, 0.5], "threshold has NaN"), (0.5, r"threshold has shape \(\).*\(2,\)")],
)
def test_sets_need_a_threshold_per_class(threshold, message):
    with pytest.raises(ValueError, match=message):
        conformal_sets(TWO, threshold)


@pytest.mark.parametrize("thresholds", [[], [np.nan], [90], [-1], [[0.5, 0.6]], "high"], ids=str)
def test_thresholds_of_a_review_are_probabilities(thresholds):
    with pytest.raises(ValueError, match=r"thresholds must be one or more probabilities from 0"):
        review_table(Y, PROBA, classes=CLASSES, thresholds=thresholds)


def test_a_review_may_have_one_threshold():
    assert review_table(Y, PROBA, classes=CLASSES, thresholds=1)["threshold"].tolist() == [1.0]


def test_conformal_estimators_do_not_take_each_others_estimators():
    with pytest.raises(TypeError, match=r"LogisticRegression.*use ConformalClassifier"):
        ConformalRegressor(CLASSIFIER).fit(X, X[:, 0])
    codes = LogisticRegression().fit(X, SIDE == "a")
    with pytest.raises(TypeError, match="estimator is a classifier"):
        ConformalRegressor((REGRESSOR, codes)).fit(X, X[:, 0])
    with pytest.raises(TypeError, match=r"LinearRegression.*use ConformalRegressor"):
        ConformalClassifier(REGRESSOR).fit(X, SIDE)
    several = RandomForestClassifier(2).fit(X, np.column_stack([SIDE, SIDE]))
    with pytest.raises(ValueError, match="2 questions at once"):
        ConformalClassifier(several).fit(X, SIDE)
    images = np.random.RandomState(0).randint(256, size=(12, 8, 8, 3)).astype(np.uint8)
    answers = pd.DataFrame({"side": SIDE[:12], "size": np.arange(12)})
    questions = {"side": "classification", "size": "squared_error"}
    both = ConvNetMultiTask(questions, filters=(4,), max_epochs=1).fit(images, answers)
    with pytest.raises(ValueError, match=r"ConvNetMultiTask that .*with one label per image"):
        NoveltyDetector(both).fit(images)
    pixels = ConvNetSegmenter(UNet(ConvBlocks((4,))), max_epochs=1)
    pixels.fit(images, (images[..., 0] > 100).astype(int))
    with pytest.raises(ValueError, match=r"shape \(12, .*with one label per image"):
        ConformalClassifier(pixels).fit(images, SIDE[:12])


def test_each_thread_draws_in_a_figure_of_its_own(monkeypatch):
    let_threads_meet_in_pyplot(monkeypatch)
    with ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(make.from_predictions, Y, PROBA, classes=CLASSES)
            for make in [ReliabilityDisplay, ReviewDisplay] * 2
        ]
        figures = {job.result().figure_.number for job in jobs}
    assert len(figures) == 4


@pytest.mark.parametrize(
    ("estimator", "y", "message"),
    [
        (REGRESSOR, np.r_[np.nan, X[1:, 0]], "y has no value .* in 1 of 60 rows"),
        (REGRESSOR, SIDE, "y holds values such as 'a'|y holds values such as 'b'"),
        (REGRESSOR, np.r_[np.inf, X[1:, 0]], "y has infinite values"),
        (LinearRegression().fit(X, X), X[:, 0], "one number per image"),
        (
            (LinearRegression().fit(X, X[:, 0] + 1), LinearRegression().fit(X, X[:, 0] - 1)),
            X[:, 0],
            r"estimator=\(low, high\)",
        ),
    ],
    ids=["nan", "text", "infinite", "two_targets", "swapped"],
)
def test_intervals_are_of_numbers(estimator, y, message):
    with pytest.raises(ValueError, match=message):
        ConformalRegressor(estimator).fit(X, y)


@pytest.mark.parametrize("n", [0, 1, 3])
def test_intervals_come_from_one_regressor_or_two(n):
    with pytest.raises(TypeError, match=f"estimator holds {n} of the two regressors"):
        ConformalRegressor((REGRESSOR,) * n).fit(X, X[:, 0])


def test_unknown_images_are_not_told_from_one_known_image():
    with pytest.raises(ValueError, match=r"X holds 1 image.*at least 20 images"):
        NoveltyDetector(CLASSIFIER).fit(X[:1])
    with pytest.warns(UserWarning, match=r"X holds 9 images, too few.*at least 10 images"):
        NoveltyDetector(CLASSIFIER, false_alarms=0.1).fit(X[:9])
    NoveltyDetector(CLASSIFIER, false_alarms=0.1).fit(X[:10])


def test_novelty_needs_what_its_method_is_made_from():
    for find in (novelty_scores, lambda estimator, X: NoveltyDetector(estimator).fit(X)):
        with pytest.raises(TypeError, match="LinearRegression, which has no predict_proba"):
            find(REGRESSOR, X)
    with pytest.raises(TypeError, match=r'no transform.*or method="entropy"'):
        NoveltyDetector(CLASSIFIER, method="mahalanobis").fit(X, SIDE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": SHARES, "proba": INDICATORS}, "y comes first, then proba"),
        ({"y": [0, 1, 0]}, r"y has shape \(3,\).*TunedThresholdClassifierCV"),
        ({"proba": [[-2, 1], [0, 1], [1, 0]]}, "proba has values from -2 to 1"),
        ({"proba": [[0.1, np.nan], [0, 1], [1, 0]]}, "proba has NaN in 1 of 3 rows"),
        ({"scoring": "good"}, "scoring='good' is not a metric.*\"f1\""),
        ({"thresholds": 0}, "thresholds must be at least 1, got 0"),
    ],
    ids=["swapped", "classes", "logits", "nan", "scoring", "thresholds"],
)
def test_thresholds_of_labels_need_indicators_and_probabilities(arguments, message):
    with pytest.raises(ValueError, match=message):
        label_thresholds(**{"y": INDICATORS, "proba": SHARES} | arguments)


def test_a_label_with_one_probability_keeps_its_threshold():
    thresholds = label_thresholds([[1, 0], [0, 1], [1, 0]], [[0.9, 0.3], [0.2, 0.3], [0.8, 0.3]])
    assert thresholds[1] == 0.5
    assert 0.2 < thresholds[0] <= 0.8


def test_only_classifiers_have_thresholds():
    with pytest.raises(TypeError, match="LinearRegression, which has no predict_proba"):
        TunedThresholdsCV(LinearRegression()).fit(X, X > 0)


def test_labels_that_are_possible_keep_their_type():
    np.testing.assert_array_equal(restrict_classes(TWO, [1, 2], ["2", 1]), [[1, 0]] * 3)
    np.testing.assert_array_equal(restrict_classes(TWO, [1, 2], np.array([2])), [[0, 1]] * 3)
    for use in (restrict_classes, Taxonomy({1: "x", 2: "y"}).roll_up):
        arguments = (TWO, None, [1]) if use is restrict_classes else (TWO, None)
        with pytest.raises(ValueError, match=r"classes is None.*classes=clf"):
            use(*arguments)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: bootstrap_interval(Y, Y[:5]),
            "prediction has 5 values for 30 values of y. Expected",
        ),
        (
            lambda: bootstrap_interval(Y, Y, groups=[1, 2]),
            "groups has 2 values for 30 images. Expected",
        ),
        (
            lambda: bootstrap_interval(Y, Y, groups=np.array([1, "a"] * 15, object)),
            "groups holds values of different types.*Convert them",
        ),
        (
            lambda: ConformalClassifier(CLASSIFIER).fit(X, SIDE[:5]),
            "y has 5 values for 60 images. Expected",
        ),
        (
            lambda: ConformalRegressor(REGRESSOR).fit(
                X, np.datetime64("2020-01-01") + np.arange(60)
            ),
            "y has dates or durations such as 2020-01-01. Expected",
        ),
        (
            lambda: Taxonomy({"0": "g", "1": "g"}).roll_up(TWO, [0, 1]),
            "ranks has '0', of another type than the class 0: convert",
        ),
        (
            lambda: Taxonomy({0: "g", 1: 3}),
            "group holds text and other values. Expected",
        ),
    ],
)
def test_lengths_and_types_that_differ_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("display", [ReliabilityDisplay, ReviewDisplay])
def test_displays_of_probabilities_refuse_regressors(display):
    with pytest.raises(TypeError, match="LinearRegression, which has no predict_proba"):
        display.from_estimator(REGRESSOR, X, SIDE)


@pytest.mark.parametrize("missing", [None, np.nan, float("nan"), pd.NA])
def test_what_is_missing_in_a_list_of_labels_is_no_label(missing):
    labels = ["fox", missing, "elk"]
    for arguments in ((labels, ["fox", "elk", "elk"]), (["fox", "elk", "elk"], labels)):
        with pytest.raises(ValueError, match=r"no value \(None or NaN\) in 1 of 3 rows.*row 1"):
            bootstrap_interval(*arguments)
    with pytest.raises(ValueError, match=r"groups has no value \(None or NaN\) in 1 of 3 rows"):
        bootstrap_interval(["a"] * 3, ["a"] * 3, groups=labels)
