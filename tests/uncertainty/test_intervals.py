"""Confidence intervals by resampling images or groups."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from skcnn.uncertainty import bootstrap_interval
from skcnn.uncertainty._intervals import _ends


def draw_study(random, n_sites=40, n_images=20):
    """Right or wrong answers whose rate differs by site; the mean rate is 0.8."""
    rates = random.beta(4, 1, size=n_sites)
    site = np.repeat(np.arange(n_sites), n_images)
    return (random.random(len(site)) < rates[site]).astype(int), site


def test_groups_cover_as_promised_and_images_do_not():
    random = np.random.default_rng(0)
    covered = {"groups": 0, "images": 0}
    n_studies = 150
    for _ in range(n_studies):
        right, site = draw_study(random)
        truth = np.ones_like(right)
        for name, groups in (("groups", site), ("images", None)):
            interval = bootstrap_interval(
                truth, right, groups=groups, n_resamples=200, random_state=random.integers(2**31)
            )
            covered[name] += interval.low <= 0.8 <= interval.high
    assert 0.9 <= covered["groups"] / n_studies <= 0.99
    assert covered["images"] / n_studies < 0.75


def test_independent_images_agree_with_the_binomial_interval():
    right = np.arange(400) < 320
    interval = bootstrap_interval(np.ones(400, dtype=bool), right, random_state=0)
    exact = stats.binomtest(320, 400).proportion_ci(0.95, method="wilson")
    assert interval.estimate == 0.8
    assert interval.low == pytest.approx(exact.low, abs=0.008)
    assert interval.high == pytest.approx(exact.high, abs=0.008)


def test_few_sites_of_high_accuracy_cover_as_promised():
    # Most sites are near 1 and few far below: quantiles of resamples hold the mean in 87%.
    random = np.random.default_rng(0)
    n_studies, held = 500, 0
    for study in range(n_studies):
        site = np.repeat(np.arange(5), random.integers(15, 45, size=5))
        right = random.random(len(site)) < random.beta(19, 1, size=5)[site]
        interval = bootstrap_interval(
            np.ones_like(right), right, groups=site, n_resamples=300, random_state=study
        )
        held += interval.low <= 0.95 <= interval.high
    assert 0.91 <= held / n_studies <= 0.97


@pytest.mark.parametrize("skewness", [-0.8, 0.3])
def test_skewness_is_removed_by_the_cubic_of_hall(skewness):
    # A gamma distribution with this skewness; mirrored where it is negative.
    quantiles = stats.gamma(4 / skewness**2).ppf(np.arange(0.5, 1e5) / 1e5)
    figures = np.sign(skewness) * (quantiles - quantiles.mean()) / quantiles.std()
    ends = np.array(_ends(figures, 0.0, 0.95, n_units=10))
    t, deviation = stats.t.ppf(0.975, 9), np.sqrt(10 / 9)
    skewness = stats.skew(figures)
    x = -ends / deviation
    cubic = x + skewness * x**2 / 3 + skewness**2 * x**3 / 27 + skewness / 6
    np.testing.assert_allclose(cubic, [t, -t])
    assert abs(ends[int(skewness > 0)]) > abs(ends[int(skewness < 0)])


@pytest.mark.parametrize("answer", [True, False], ids=["right", "wrong"])
def test_all_right_or_all_wrong_is_not_taken_for_certain(answer):
    truth, said = np.ones(30, dtype=bool), np.full(30, answer)
    for groups, n_units in ((None, 30), (np.arange(30) % 10, 10)):
        interval = bootstrap_interval(truth, said, groups=groups, random_state=0)
        # The accuracy with which as many units are all right in 2.5% of studies.
        far = 0.025 ** (1 / n_units)
        expected = (1, far, 1) if answer else (0, 0, 1 - far)
        assert interval == pytest.approx(expected)


def test_ends_are_possible_values():
    # With two sites, the ends of Student's t are far out.
    site = np.repeat([0, 1], 20)
    right = np.arange(40) % 20 < np.where(site == 0, 12, 18)
    truth = np.ones(40, dtype=bool)
    assert bootstrap_interval(truth, right, groups=site, random_state=0)[1:] == (0, 1)
    other = bootstrap_interval(
        truth, right, metric=lambda y, p: np.mean(y == p), groups=site, random_state=0
    )
    assert other == (0.75, 0.6, 0.9)


def test_resamples_without_a_figure_are_left_out():
    y, prediction = np.arange(40) % 20 == 0, np.arange(40) % 7 == 0

    def recall(y, prediction):
        return prediction[y].mean() if y.any() else np.nan

    with pytest.warns(UserWarning, match=r"NaN for \d+ of 200 resamples, and these were left out"):
        interval = bootstrap_interval(
            y, prediction, metric=recall, n_resamples=200, random_state=0
        )
    assert interval == (0.5, 0, 1)
    with pytest.warns(UserWarning, match="NaN for 20 of 20 resamples"):
        interval = bootstrap_interval(
            y, prediction, metric=lambda y, p: np.nan, n_resamples=20, random_state=0
        )
    assert np.isnan(interval).all()


def test_level_widens_the_interval():
    right = np.arange(100) % 5 > 0
    truth = np.ones(100, dtype=bool)
    narrow, wide = (
        bootstrap_interval(truth, right, level=level, random_state=0) for level in (0.5, 0.99)
    )
    assert wide.low < narrow.low < narrow.high < wide.high


def test_few_groups_widen_the_interval():
    # The same figures of each group, of which there are 5 or 40.
    widths = []
    for n_groups in (5, 40):
        group = np.repeat(np.arange(n_groups), 10)
        right = np.arange(10 * n_groups) % 10 > group % 5
        interval = bootstrap_interval(
            np.ones(len(right), dtype=bool), right, groups=group, random_state=0
        )
        widths.append(interval.high - interval.low)
    # Without the correction for few groups, the ratio is that of the roots, 2.8.
    assert widths[0] > 3.5 * widths[1]


def test_metric_gets_labels_and_predictions():
    y = np.array(["a", "b"] * 30)
    prediction = np.where(np.arange(60) % 7 == 0, "b", y)

    def macro(y, prediction):
        return f1_score(y, prediction, average="macro")

    interval = bootstrap_interval(y, prediction, metric=macro, n_resamples=50, random_state=0)
    assert interval.estimate == macro(y, prediction)
    assert interval.low < interval.estimate < interval.high


def test_probabilities_as_predictions():
    y = np.arange(50) % 2
    proba = np.column_stack([1 - y, y]) * 0.8 + 0.1
    interval = bootstrap_interval(
        y, proba, metric=lambda y, p: p[np.arange(len(y)), y].mean(), random_state=0
    )
    assert interval == pytest.approx((0.9, 0.9, 0.9))


def test_per_class_is_the_interval_of_the_images_of_each_class():
    y = np.repeat(["fox", "hare"], [30, 60])
    prediction = np.where(np.arange(90) % 3 == 0, "hare", "fox")
    site = np.arange(90) % 6
    table = bootstrap_interval(y, prediction, groups=site, per_class=True, random_state=0)
    assert table.index.tolist() == ["fox", "hare"]
    assert table["images"].tolist() == [30, 60]
    assert table["groups"].tolist() == [6, 6]
    assert table["estimate"].tolist() == [
        np.mean(prediction[:30] == "fox"),
        np.mean(prediction[30:] == "hare"),
    ]


def test_one_image_of_a_class_tells_nothing():
    table = bootstrap_interval(["a", "b", "b"], ["a", "b", "a"], per_class=True, random_state=0)
    assert table.loc["a", ["low", "high"]].isna().all()
    assert table.loc["b", ["low", "high"]].notna().all()


def test_same_seed_same_interval():
    y, prediction = [0, 1, 1, 0] * 10, [0, 1, 0, 0] * 10
    first, second = (bootstrap_interval(y, prediction, random_state=3) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"level": 95}, r"level must be between 0 and 1, got 95"),
        ({"groups": [1, 1, 1]}, r"groups has one group only.*at least two"),
        ({"groups": [1, 2]}, r"groups has 2 values for 3 images"),
        ({"metric": "f1"}, r"metric must be.*'f1'.*sklearn\.metrics"),
        ({"n_resamples": 0}, r"n_resamples must be at least 1, got 0"),
    ],
    ids=["level", "one_group", "length", "metric", "n_resamples"],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_interval([0, 1, 1], [0, 1, 0], **arguments)
