"""Confidence intervals by resampling images or groups."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from skcnn.uncertainty import bootstrap_interval


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
        ({"groups": [1, 2]}, r"inconsistent numbers of samples"),
        ({"metric": "f1"}, r"metric must be.*'f1'.*sklearn\.metrics"),
        ({"n_resamples": 0}, r"n_resamples must be at least 1, got 0"),
    ],
    ids=["level", "one_group", "length", "metric", "n_resamples"],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_interval([0, 1, 1], [0, 1, 0], **arguments)
