"""Labels that are in an image or not: loss, smoothing, weights, predictions, and the split."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix
from scipy.special import expit
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional as F

from skcnn._targets import MultilabelTarget
from skcnn._targets._multilabel import is_indicator_matrix

RNG = np.random.RandomState(0)
Y = (RNG.uniform(size=(60, 3)) < (0.5, 0.2, 0.7)).astype(int)
OUTPUTS = RNG.normal(size=(60, 3))


def losses(target, y=Y, *, training=False):
    encoded = torch.from_numpy(target.encode(y))
    return target.loss(torch.from_numpy(OUTPUTS[: len(y)]), encoded, training=training).numpy()


@pytest.mark.parametrize("kind", [np.asarray, pd.DataFrame, np.ndarray.tolist])
@pytest.mark.parametrize("dtype", [int, float, bool, object])
def test_indicators_are_encoded_from_every_form(kind, dtype):
    y = kind(Y.astype(dtype))
    assert is_indicator_matrix(y)
    target = MultilabelTarget.infer(y)
    np.testing.assert_array_equal(target.encode(y), Y)
    assert target.encode(y).dtype == np.uint8
    assert target.classes.tolist() == [0, 1, 2]


@pytest.mark.parametrize("y", [[[1, 2]], [["a", "b"]], [[0, 1.5]], [[0, None]], [[0, np.nan]]])
def test_other_values_make_no_indicator_matrix(y):
    assert not is_indicator_matrix(np.array(y, dtype=object))
    with pytest.raises(ValueError, match="y_val holds other values than 0 and 1"):
        MultilabelTarget(np.arange(2)).encode(np.array(y, dtype=object), "y_val")


def test_the_loss_is_the_sum_of_the_cross_entropies_of_all_labels():
    expected = sum(
        log_loss(Y[:, label], expit(OUTPUTS[:, label]), normalize=False) for label in range(3)
    )
    assert losses(MultilabelTarget.infer(Y)).sum() == pytest.approx(expected)


def test_smoothing_in_training_goes_to_the_frequency_of_each_label():
    target = MultilabelTarget.infer(Y, label_smoothing=0.2)
    np.testing.assert_allclose(target.frequency, Y.mean(axis=0))
    smoothed = 0.8 * Y + 0.2 * Y.mean(axis=0)
    expected = F.binary_cross_entropy_with_logits(
        torch.from_numpy(OUTPUTS), torch.from_numpy(smoothed), reduction="none"
    )
    np.testing.assert_allclose(losses(target, training=True), expected.sum(1), rtol=1e-6)
    np.testing.assert_allclose(losses(target), losses(MultilabelTarget.infer(Y)))


@pytest.mark.parametrize("weight", ["balanced", [{0: 1, 1: 5}, None, {0: 2, 1: 0.5}]])
def test_class_weights_count_in_the_loss_of_their_own_label(weight):
    target = MultilabelTarget.infer(Y, class_weight=weight)
    each = [weight] * 3 if weight == "balanced" else weight
    tables = [
        np.ones(2) if w is None else compute_class_weight(w, classes=np.array([0, 1]), y=y)
        for w, y in zip(each, Y.T)
    ]
    given = np.stack([table[y] for table, y in zip(tables, Y.T)], axis=1)
    plain = F.binary_cross_entropy_with_logits(
        torch.from_numpy(OUTPUTS), torch.from_numpy(Y.astype(float)), reduction="none"
    )
    # They have a mean of 1, to leave the learning rate as it is.
    expected = (plain.numpy() * given / given.mean()).sum(axis=1)
    np.testing.assert_allclose(losses(target), expected, rtol=1e-6)
    if weight == "balanced":
        np.testing.assert_allclose(target.frequency, 0.5)


def test_a_label_of_all_images_or_none_needs_no_balance():
    y = np.c_[np.ones(4), np.zeros(4), [0, 0, 0, 1]].astype(int)
    target = MultilabelTarget.infer(y, class_weight="balanced")
    np.testing.assert_allclose(target.class_weight[:2], 1)
    assert target.class_weight[2, 1] == pytest.approx(3 * target.class_weight[2, 0])


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        ({0: 1, 1: 2}, "3 labels. Expected a list of one dict per label"),
        ([{0: 1, 1: 2}], "3 labels. Expected a list of one dict per label"),
        ([{0: 1, 1: -2}] * 3, "negative"),
    ],
)
def test_wrong_class_weights_are_refused(weight, words):
    with pytest.raises(ValueError, match=words):
        MultilabelTarget.infer(Y, class_weight=weight)


def test_predictions_have_the_shapes_of_scikit_learn():
    target = MultilabelTarget.infer(Y)
    predicted = target.decode(target.predict(OUTPUTS))
    np.testing.assert_array_equal(predicted, OUTPUTS > 0)
    assert predicted.dtype == np.int64
    np.testing.assert_allclose(target.predict_proba(OUTPUTS), expit(OUTPUTS))
    np.testing.assert_allclose(np.exp(target.predict_log_proba(OUTPUTS)), expit(OUTPUTS))
    assert np.isfinite(target.predict_log_proba(np.array([[-1e4, 1e4, 0]]))).all()
    np.testing.assert_array_equal(target.decision_function(OUTPUTS[:, :2]), OUTPUTS[:, :2])
    right = target.score(torch.from_numpy(OUTPUTS), torch.from_numpy(target.encode(Y)))
    assert right.float().mean() == pytest.approx(target.accuracy(Y, predicted, None))


def test_mixtures_have_fractions_of_labels():
    target = MultilabelTarget.infer(Y)
    encoded = torch.from_numpy(target.encode(Y[:2]))
    partner, own = torch.tensor([1, 0]), torch.tensor([0.75, 1.0])
    mixed, weight = target.mix(partner, own, encoded, None)
    np.testing.assert_allclose(mixed, [0.75 * Y[0] + 0.25 * Y[1], Y[1]])
    assert weight is None
    # The loss of a mixture is the mixture of the losses.
    outputs = torch.from_numpy(OUTPUTS[:1])
    each = [target.loss(outputs, encoded[[row]], training=True) for row in (0, 1)]
    mixture = target.loss(outputs, mixed[:1], training=True)
    assert mixture.item() == pytest.approx(0.75 * each[0].item() + 0.25 * each[1].item())


def test_training_continues_with_the_same_labels_and_the_settings_of_now():
    first = MultilabelTarget.infer(Y, label_smoothing=0.1)
    second = MultilabelTarget.infer(1 - Y, label_smoothing=0.3)
    continued = first.continued(second)
    assert continued.label_smoothing == 0.3
    np.testing.assert_array_equal(continued.frequency, first.frequency)
    named = MultilabelTarget.infer(pd.DataFrame(Y, columns=["ant", "bee", "fly"]))
    assert named.classes.tolist() == ["ant", "bee", "fly"]
    with pytest.raises(ValueError, match=r"labels \[0, 1, 2\], but y now .*'ant'"):
        first.continued(named)


def test_y_val_is_checked():
    target = MultilabelTarget.infer(pd.DataFrame(Y, columns=["ant", "bee", "fly"]))
    np.testing.assert_array_equal(target.check(csr_matrix(Y), 60, "y_val"), Y)
    with pytest.raises(ValueError, match="y_val has 60 rows for 50 images"):
        target.check(Y, 50, "y_val")
    with pytest.raises(ValueError, match="Expected those of y"):
        target.check(pd.DataFrame(Y, columns=["bee", "ant", "fly"]), 60, "y_val")
    with pytest.raises(ValueError, match="NaN"):
        target.check(np.full((60, 3), np.nan), 60, "y_val")
    with pytest.raises(ValueError, match=r"y_val has shape \(60, 2\).*3 labels"):
        target.encode(Y[:, :2], "y_val")


@pytest.mark.parametrize("dtype", ["Int64", "boolean", "Float64", int])
def test_accuracy_takes_what_pandas_has_with_missing_values(dtype):
    target = MultilabelTarget.infer(Y)
    predicted = target.predict(OUTPUTS)
    accuracy = target.accuracy(pd.DataFrame(Y).astype(dtype), predicted, None)
    assert accuracy == pytest.approx((predicted == Y).all(axis=1).mean())


def test_a_single_label_per_image_draws_a_warning():
    rows = np.eye(3, dtype=int)[RNG.randint(3, size=20)]
    with pytest.warns(UserWarning, match=r"exactly one 1.*y\.argmax\(axis=1\)"):
        MultilabelTarget.infer(rows)
    MultilabelTarget.infer(rows, [0, 1, 2])
    MultilabelTarget.infer(rows[:5])


def test_rare_labels_are_trained_on():
    y = np.zeros((40, 3), dtype=int)
    y[::2, 0] = 1
    y[7, 1] = 1
    y[[3, 4, 5], 2] = 1
    groups = np.arange(40) // 4
    target = MultilabelTarget.infer(y)
    for seed in range(20):
        for given in (None, groups, groups[:, None]):
            training, validation = target.split(y, 0.5, given, seed)
            assert (y[training].sum(axis=0) > 0).all()
            assert sorted([*training, *validation]) == list(range(40))
            assert 10 < len(validation) < 25
            if given is not None:
                assert not set(groups[training]) & set(groups[validation])
    with pytest.raises(ValueError, match="leaves none to validate with"):
        MultilabelTarget(np.arange(2)).split(np.eye(2, dtype=int), 0.5, None, 0)


def test_a_stored_target_holds_no_tensors():
    target = MultilabelTarget.infer(Y, class_weight="balanced", label_smoothing=0.1)
    before = losses(target, training=True)
    assert target._constants._tensors
    again = pickle.loads(pickle.dumps(target))
    assert not again._constants._tensors
    np.testing.assert_array_equal(losses(again, training=True), before)
