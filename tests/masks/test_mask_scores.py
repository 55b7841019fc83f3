"""IoU and Dice of label images, beside scikit-learn's scores of their pixels."""

import pickle

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.metrics import f1_score, jaccard_score
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline

from skcnn.masks import dice_score, iou_score, mask_scorer

RNG = np.random.default_rng(0)
TRUE = RNG.integers(0, 4, (5, 6, 7))
GUESS = np.where(RNG.random((5, 6, 7)) < 0.6, TRUE, RNG.integers(0, 4, (5, 6, 7)))
NAMES = np.array(["bark", "leaf", "soil", "moss"])
PAIRS = [(iou_score, jaccard_score), (dice_score, f1_score)]
both = pytest.mark.parametrize(("score", "reference"), PAIRS, ids=["iou", "dice"])


@both
@pytest.mark.parametrize("average", ["macro", "micro", None])
@pytest.mark.parametrize("names", [np.arange(4), NAMES], ids=["numbers", "text"])
def test_scores_are_those_of_all_pixels(score, reference, average, names):
    true, guess = names[TRUE], names[GUESS]
    expected = reference(true.ravel(), guess.ravel(), average=average)
    np.testing.assert_allclose(score(true, guess, average=average), expected)


@both
def test_images_of_unequal_sizes_count_by_their_pixels(score, reference):
    true = [TRUE[0], TRUE[1, :3], TRUE[2, :, :1]]
    guess = [GUESS[0], GUESS[1, :3], GUESS[2, :, :1]]
    flat = [np.concatenate([mask.ravel() for mask in masks]) for masks in (true, guess)]
    np.testing.assert_allclose(score(true, guess), reference(*flat, average="macro"))


@both
def test_ignored_and_masked_pixels_do_not_count(score, reference):
    known = TRUE != 3
    expected = reference(TRUE[known], GUESS[known], average="macro")
    np.testing.assert_allclose(score(TRUE, GUESS, ignore_label=3), expected)
    np.testing.assert_allclose(score(np.ma.array(TRUE, mask=~known), GUESS), expected)


@both
def test_weights_are_those_of_the_pixels(score, reference):
    weight = np.array([0, 1, 2, 0.5, 3])
    pixels = np.repeat(weight, 42)
    expected = reference(TRUE.ravel(), GUESS.ravel(), average="macro", sample_weight=pixels)
    np.testing.assert_allclose(score(TRUE, GUESS, sample_weight=weight), expected)


@both
def test_classes_that_are_nowhere_are_left_out_of_the_mean(score, reference):
    chosen = score(TRUE, GUESS, labels=[1, 9, 2], average=None)
    assert np.isnan(chosen[1])
    all_classes = score(TRUE, GUESS, average=None)
    np.testing.assert_allclose(chosen[[0, 2]], all_classes[[1, 2]])
    np.testing.assert_allclose(score(TRUE, GUESS, labels=[1, 9, 2]), chosen[[0, 2]].mean())


def test_images_without_a_prediction_do_not_count():
    guess = [None, *GUESS[1:]]
    assert iou_score(TRUE, guess) == iou_score(TRUE[1:], GUESS[1:])
    assert np.isnan(iou_score(TRUE[:1], [None]))


@pytest.mark.parametrize(
    ("guess", "message"),
    [
        (GUESS[:3], "y_true has 5 label images, and y_pred has 3"),
        (GUESS[:, :5], r"row 0 of y_true has shape \(6, 7\)"),
    ],
)
def test_label_images_that_do_not_match_are_refused(guess, message):
    with pytest.raises(ValueError, match=message):
        iou_score(TRUE, guess)


def test_a_wrong_average_or_metric_is_named():
    with pytest.raises(ValueError, match="'average' parameter"):
        iou_score(TRUE, GUESS, average="mean")
    with pytest.raises(ValueError, match="'metric' parameter of mask_scorer"):
        mask_scorer("accuracy")


class Shifted(BaseEstimator):
    """Says what it was given, a little wrong."""

    def __init__(self, add=0, ignore_label=None):
        self.add = add
        self.ignore_label = ignore_label

    def fit(self, X, y):
        self.fitted_ = True
        return self

    def predict(self, X):
        return (np.asarray(X) + self.add) % 4


def test_scorers_work_in_cross_validation_and_searches():
    scorers = {
        "iou": mask_scorer(),
        "dice": mask_scorer("dice"),
        "one": mask_scorer("iou", label=1),
    }
    found = cross_validate(Shifted(), GUESS, TRUE, scoring=scorers, cv=2)
    assert found["test_iou"][0] == iou_score(TRUE[:3], GUESS[:3])
    assert found["test_dice"][1] == dice_score(TRUE[3:], GUESS[3:])
    per_class = iou_score(TRUE[:3], GUESS[:3], average=None)
    assert found["test_one"][0] == per_class[1]
    search = GridSearchCV(Shifted(), {"add": [1, 0]}, scoring=mask_scorer("dice"), cv=2)
    search.fit(GUESS, TRUE)
    assert search.best_params_ == {"add": 0}
    assert mask_scorer()(search, GUESS, TRUE) == iou_score(TRUE, GUESS)


def test_scorers_ask_the_estimator_which_label_to_ignore():
    ignoring = Shifted(ignore_label=3).fit(GUESS, TRUE)
    expected = iou_score(TRUE, GUESS, ignore_label=3)
    assert mask_scorer()(ignoring, GUESS, TRUE) == expected
    assert mask_scorer()(make_pipeline(ignoring), GUESS, TRUE) == expected
    other = iou_score(TRUE, GUESS, ignore_label=2)
    assert mask_scorer(ignore_label=2)(ignoring, GUESS, TRUE) == other
    assert len({expected, other, iou_score(TRUE, GUESS)}) == 3


def test_scorers_are_stored_and_say_what_they_are():
    scorer = pickle.loads(pickle.dumps(mask_scorer("dice", label=1)))
    assert repr(scorer) == "mask_scorer('dice', label=1)"
    assert repr(mask_scorer(label="leaf")) == "mask_scorer('iou', label='leaf')"
    shifted = Shifted().fit(GUESS, TRUE)
    expected = dice_score(TRUE, shifted.predict(GUESS), labels=[1], average=None)
    assert scorer(shifted, GUESS, TRUE) == expected


@pytest.mark.parametrize("score", [iou_score, dice_score], ids=["iou", "dice"])
@pytest.mark.parametrize("labels", [NAMES, NAMES.astype(object)], ids=["text", "objects"])
def test_text_beside_numbers_is_refused(score, labels):
    with pytest.raises(ValueError, match="y_true hold text, and those of y_pred numbers"):
        score(labels[TRUE], GUESS)
    with pytest.raises(ValueError, match="y_true hold numbers, and those of y_pred text"):
        score(TRUE, labels[GUESS])
    assert score(labels[TRUE], [None] * 4 + [labels[GUESS[4]]]) > 0


@pytest.mark.parametrize("score", [iou_score, dice_score], ids=["iou", "dice"])
def test_an_unknown_average_is_refused(score):
    message = f"'average' parameter of {score.__name__} must be .*micro.*Got 'mean'"
    with pytest.raises(ValueError, match=message):
        score(TRUE, GUESS, average="mean")


def test_scorers_refuse_a_class_that_is_nowhere():
    class Segmenter(BaseEstimator):
        classes_ = np.array([False, True])

        def predict(self, X):
            return np.zeros((len(X), 2, 2), dtype=bool)

    X, y = np.zeros((3, 2, 2, 1)), np.zeros((3, 2, 2), dtype=bool)
    assert np.isnan(mask_scorer("iou", label=True)(Segmenter(), X, y))  # of the fit
    assert mask_scorer("iou", label=255)(Segmenter(), X, np.full((3, 2, 2), 255)) == 0
    for label in ("leaf", 255):
        with pytest.raises(ValueError, match=r"label=.*fitted with the classes \[False, True\]"):
            mask_scorer("iou", label=label)(Segmenter(), X, y)
