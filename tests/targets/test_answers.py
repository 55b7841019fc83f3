"""Answers to several questions: every form of them, missing ones, and their mean score."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import accuracy_score, d2_tweedie_score, r2_score

from skcnn._targets import AnswersTarget
from skcnn._targets._answers import mean_score, read_answers

TASKS = {"species": "classification", "count": "poisson", "length": "squared_error"}
Y = pd.DataFrame(
    {
        "species": ["fox", None, "elk", "fox"],
        "count": [1.0, 3.0, np.nan, 0.0],
        "length": [np.nan, 2.5, 4.5, 3.5],
    }
)
FORMS = {
    "frame": Y,
    "other order, more columns": Y[["length", "species", "count"]].assign(site=1),
    "dict": Y.to_dict("list"),
    "dict of series": dict(Y),
    "rows": Y.to_numpy().tolist(),
    "array": Y.to_numpy(),
    "nullable": Y.astype({"species": "string", "count": "Int64", "length": "Float64"}),
    "categories": Y.astype({"species": "category"}),
    "index": Y.set_axis([7, 5, 9, 1]),
    "masked": np.ma.array(Y.fillna({"species": "owl"}).fillna(-9999), mask=Y.isna()),
    "masked columns": {
        "species": np.ma.array(["fox", "owl", "elk", "fox"], mask=[0, 1, 0, 0]),
        "count": np.ma.array([1, 3, -9999, 0], mask=[0, 0, 1, 0]),
        "length": np.ma.array([-9999, 2.5, 4.5, 3.5], mask=[1, 0, 0, 0]),
    },
    "empty text": {
        "species": ["fox", "", "elk", "fox"],
        "count": np.array(["1", "3", " ", "0"]),
        "length": np.array(["", 2.5, 4.5, "3.5"], dtype=object),
    },
}


@pytest.mark.parametrize("y", FORMS.values(), ids=FORMS)
def test_answers_are_read_in_every_form(y):
    answers = read_answers(y, list(TASKS), 4)
    assert list(answers) == list(TASKS)
    np.testing.assert_array_equal(answers.isna(), Y.isna())
    target = AnswersTarget.infer(answers, TASKS)
    assert target.targets[0].classes.tolist() == ["elk", "fox"]
    encoded = target.encode(answers)
    expected = AnswersTarget.infer(Y, TASKS).encode(Y)
    np.testing.assert_array_equal(encoded, expected)
    np.testing.assert_array_equal(np.isnan(encoded[:, [0, 2, 3]]), Y.isna())


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (None, "requires y to be passed"),
        (Y.drop(columns="count"), "no column 'count', which tasks names"),
        (Y.to_numpy()[:, :2], r"2 column\(s\), but there are the 3 tasks"),
        (Y[:3], r"inconsistent numbers of samples: \[4, 3\]"),
        ({**Y.to_dict("list"), "count": np.ones((4, 1))}, r"shape \(4, 1\)"),
    ],
    ids=["none", "column", "columns", "short", "nested"],
)
def test_wrong_answers_are_refused(y, words):
    with pytest.raises(ValueError, match=words):
        read_answers(y, list(TASKS), 4)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"count": [None] * 4}, r"y\['count'\] has no answer for any image"),
        ({"count": [-1.0, 2, 3, 4]}, "In the answers to 'count': .*from -1 to 4"),
        ({"length": ["long", 1, 2, 3]}, "not numbers"),
        ({"length": [np.inf, 1, 2, 3]}, "infinity"),
        ({"species": ["fox"] * 4}, "In the answers to 'species': .*1 class"),
        ({"species": [0.5, 1.5, 2.5, 3.7]}, "continuous"),
    ],
    ids=["none", "negative", "words", "infinite", "one class", "continuous"],
)
def test_answers_of_another_kind_are_refused(changed, words):
    with pytest.raises(ValueError, match=words):
        AnswersTarget.infer(Y.assign(**changed), TASKS)


def test_answers_beside_those_of_training_are_checked():
    target = AnswersTarget.infer(Y, TASKS)
    assert target.check(Y.assign(count=None), 4, "y_val").shape == (4, 3)
    with pytest.raises(ValueError, match="y_val has no answer for any image"):
        target.check(Y.assign(species=None, count=np.nan, length=pd.NA), 4, "y_val")


def test_questions_without_answers_continue_as_they_were():
    first = AnswersTarget.infer(Y, TASKS)
    silent = Y.assign(count=None)
    second = AnswersTarget.infer(silent, TASKS, classes={"species": ["elk", "fox"]}, before=first)
    assert first.continued(second).targets[1] is first.targets[1]
    assert np.isnan(second.encode(silent)[:, 2]).all()


def test_settings_belong_to_their_questions():
    target = AnswersTarget.infer(
        Y, TASKS, task_weights={"count": 3}, class_weight={"species": {"elk": 4, "fox": 1}}
    )
    plain = AnswersTarget.infer(Y, TASKS)
    encoded = torch.from_numpy(target.encode(Y))
    outputs = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    parts = [t.part_losses(outputs, encoded, training=True) for t in (target, plain)]
    ratios = parts[0][:, 0] / parts[1][:, 0]
    np.testing.assert_allclose(ratios[[0, 2, 3]], [0.5, 2, 0.5], rtol=1e-5)
    losses = [
        t.loss(outputs, encoded, training=True).numpy()
        for t in (AnswersTarget.infer(Y, TASKS, task_weights={"count": 3}), plain)
    ]
    np.testing.assert_allclose(np.array(target.factors) / plain.factors, [1, 3, 1])
    # The answer to the count is missing in the third image.
    assert losses[0][2] == pytest.approx(losses[1][2])
    assert (losses[0][[0, 1, 3]] > losses[1][[0, 1, 3]]).all()


def test_the_score_is_the_mean_of_accuracy_and_d2():
    predicted = pd.DataFrame(
        {
            "species": ["fox", "fox", "fox", "fox"],
            "count": [1.5, 2.0, 7.0, 0.5],
            "length": [9.0, 2.0, 4.0, 3.5],
        }
    )
    expected = [
        accuracy_score(["fox", "elk", "fox"], ["fox"] * 3),
        d2_tweedie_score([1, 3, 0], [1.5, 2.0, 0.5], power=1),
        r2_score([2.5, 4.5, 3.5], [2.0, 4.0, 3.5]),
    ]
    assert mean_score(TASKS, Y, predicted, None) == pytest.approx(np.mean(expected))
    weight = [1, 2, 3, 0]
    expected = [
        1 / 4,
        d2_tweedie_score([1, 3], [1.5, 2.0], power=1, sample_weight=[1, 2]),
        r2_score([2.5, 4.5], [2.0, 4.0], sample_weight=[2, 3]),
    ]
    assert mean_score(TASKS, Y, predicted, weight) == pytest.approx(np.mean(expected))
    # Images that could not be read, and questions that nobody answered, are left out.
    unread = predicted.assign(species=["fox", "fox", None, "fox"])
    only = Y.assign(count=None, length=None)
    assert mean_score(TASKS, only, unread, None) == 1
    with pytest.raises(ValueError, match="no answer for any image"):
        mean_score(TASKS, only.assign(species=None), predicted, None)


@pytest.mark.parametrize("task", ["poisson", "gamma", "squared_error", "absolute_error"])
def test_equal_answers_have_the_score_of_r2(task):
    # A part of the images may hold no animal at all.
    answers = pd.DataFrame({"n": [0.0, 0, 0] if task == "poisson" else [2.0, 2, 2]})
    assert mean_score({"n": task}, answers, answers, None) == 1
    assert mean_score({"n": task}, answers, answers + 0.5, None) == 0
