"""Numbers as a target: their scale, several of them, weights, mixtures, and what is refused."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import (
    d2_absolute_error_score,
    d2_pinball_score,
    d2_tweedie_score,
    r2_score,
)

from skcnn._targets import NumberTarget
from skcnn._targets._losses import LOSSES
from skcnn._targets._numbers import _OUTPUT_SCALE

RNG = np.random.RandomState(0)
Y = RNG.gamma(3, 4, size=80)
Y.setflags(write=False)
SCORES = {
    "squared_error": r2_score,
    "absolute_error": d2_absolute_error_score,
    "poisson": lambda y, p: d2_tweedie_score(y, p, power=1),
    "gamma": lambda y, p: d2_tweedie_score(y, p, power=2),
    "quantile": lambda y, p: d2_pinball_score(y, p, alpha=0.75),
}
SETTINGS = [(name, sums) for name in LOSSES for sums in (False, True)]
each_setting = pytest.mark.parametrize(("loss", "sums"), SETTINGS)


def infer(y, loss="squared_error", **more):
    return NumberTarget.infer(y, loss, quantile=0.75, **more)


def outputs_for(target, n=80):
    """Outputs that a network might have: positive where they are sums."""
    outputs = np.random.RandomState(2).normal(size=(n, target.n_outputs))
    return np.exp(outputs) if target.sums else outputs


@each_setting
def test_numbers_come_back_as_they_went_in(loss, sums):
    target = infer(Y, loss, sums=sums)
    encoded = target.encode(Y)
    assert (encoded.dtype, encoded.shape) == (np.float32, (80,))
    np.testing.assert_allclose(target.decode(encoded), Y, rtol=1e-5)


@given(arrays(float, (9, 2), elements=st.floats(-1e6, 1e6, allow_subnormal=False)))
def test_numbers_of_any_size_come_back_within_the_precision_of_float32(y):
    target = NumberTarget.infer(y)
    error = np.abs(target.decode(target.encode(y)) - y)
    assert (error <= 1e-6 * (y.max(axis=0) - y.min(axis=0)) + 1e-9).all()


@each_setting
def test_the_unit_of_y_changes_nothing_but_the_unit_of_predictions(loss, sums):
    small, large = infer(Y, loss, sums=sums), infer(1000 * Y, loss, sums=sums)
    np.testing.assert_allclose(small.encode(Y), large.encode(1000 * Y), rtol=1e-5, atol=1e-6)
    outputs = outputs_for(small)
    np.testing.assert_allclose(
        1000 * small.decode(small.predict(outputs)), large.decode(large.predict(outputs))
    )


@pytest.mark.parametrize("loss", LOSSES)
def test_an_output_of_zero_is_the_best_constant(loss):
    target = infer(Y, loss)
    constant = {"absolute_error": np.median(Y), "quantile": np.quantile(Y, 0.75)}
    expected = constant.get(loss, Y.mean())
    assert target.decode(target.predict(np.zeros((1, 1)))) == pytest.approx(expected, rel=0.05)


def test_years_keep_their_digits():
    years = 2000 + np.arange(10) / 8
    target = infer(years)
    np.testing.assert_allclose(target.decode(target.encode(years)), years, rtol=0, atol=1e-6)


@pytest.mark.parametrize("value", [0.1, 0.0, 1e20])
def test_a_constant_is_predicted_as_it_is(value):
    target = infer(np.full(30, value))
    assert target.decode(target.encode(np.full(3, value))).tolist() == [value] * 3
    assert target.scale.tolist() == [1]


@each_setting
def test_the_score_is_that_of_scikit_learn(loss, sums):
    target = infer(Y, loss, sums=sums)
    outputs = outputs_for(target)
    scores = target.score(torch.tensor(outputs).float(), torch.tensor(target.encode(Y)))
    expected = SCORES[loss](Y, target.decode(target.predict(outputs)))
    # scikit-learn interpolates between two numbers for the quantile of a constant.
    assert scores.mean().item() == pytest.approx(expected, rel=0.02)
    assert scores.shape == (80,)


@each_setting
def test_the_loss_is_lowest_at_the_actual_values(loss, sums):
    target = infer(Y, loss, sums=sums)
    encoded = torch.tensor(target.encode(Y)).double()
    outputs = encoded[:, None].clone()
    if target._loss.is_positive and not sums:
        # The inverse of the link.
        outputs = torch.log(torch.expm1(outputs)) - np.log(np.e - 1)
    if not sums:
        outputs = outputs / _OUTPUT_SCALE
    best = target.loss(outputs, encoded, training=True)
    np.testing.assert_allclose(best, 0, atol=1e-6)
    for step in (-0.1, 0.1):
        assert (target.loss(outputs + step, encoded, training=True) > best).all()
    np.testing.assert_allclose(target.decode(target.predict(outputs.numpy())), Y, rtol=1e-5)


def test_each_column_has_a_scale_of_its_own():
    y = np.column_stack([Y, 1e6 + 1000 * Y[::-1]])
    target = infer(y)
    assert (target.n_outputs, target.description) == (2, "2 outputs")
    encoded = target.encode(y)
    np.testing.assert_allclose(encoded.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(encoded.std(axis=0), 1, rtol=1e-5)
    outputs = torch.tensor(outputs_for(target)).float()
    assert target.predict(outputs.numpy()).shape == (80, 2)
    losses = target.loss(outputs, torch.tensor(encoded), training=True)
    apart = [infer(column) for column in y.T]
    expected = [
        t.loss(outputs[:, [k]], torch.tensor(t.encode(y[:, k])), training=True)
        for k, t in enumerate(apart)
    ]
    np.testing.assert_allclose(losses, torch.stack(expected).mean(0), rtol=1e-4)


def test_one_column_stays_a_column():
    target = infer(Y[:, None])
    assert target.encode(Y[:, None]).shape == (80, 1)
    assert target.decode(target.predict(np.zeros((3, 1)))).shape == (3, 1)


@each_setting
def test_weights_are_repetitions(loss, sums):
    times = RNG.randint(3, size=80)
    weighted = infer(Y, loss, sums=sums, sample_weight=times)
    repeated = infer(np.repeat(Y, times), loss, sums=sums)
    for name in ("center", "scale", "null_loss"):
        np.testing.assert_allclose(getattr(weighted, name), getattr(repeated, name), rtol=1e-9)


def test_a_row_of_weight_zero_does_not_set_the_scale():
    y, weight = np.append(Y, 1e9), np.append(np.ones(80), 0)
    assert infer(y, sample_weight=weight).scale == pytest.approx(infer(Y).scale)


def test_mixed_images_have_mixed_numbers():
    target = infer(Y)
    encoded = torch.tensor(target.encode(Y[:4]))
    partner, own = torch.tensor([1, 0, 3, 2]), torch.tensor([0.75, 0.5, 1.0, 0.0])
    mixed, weight = target.mix(partner, own, encoded, None)
    expected = [0.75 * Y[0] + 0.25 * Y[1], (Y[0] + Y[1]) / 2, Y[2], Y[2]]
    np.testing.assert_allclose(target.decode(mixed.numpy()), expected, rtol=1e-5)
    assert weight is None


def test_training_continues_with_the_first_scale_and_the_same_question():
    first = infer(Y)
    assert first.continued(infer(50 * Y)) is first
    for other in (infer(Y, "poisson"), infer(np.column_stack([Y, Y]))):
        with pytest.raises(ValueError, match=r"Training continues with (loss|n_outputs)=.*got"):
            first.continued(other)
    with pytest.raises(ValueError, match=r"quantile=0.75, but now got 0.5"):
        infer(Y, "quantile").continued(NumberTarget.infer(Y, "quantile", quantile=0.5))


NOT_NUMBERS = {
    "words": (["two", "three"], "squared_error", "y has values that are not numbers.*'two'"),
    "dates": (np.array(["2024-05-01"], "M8[D]"), "squared_error", r"dates.*y\.dt\.dayofyear"),
    "durations": (pd.DataFrame({"a": pd.to_timedelta([1, 2], "D")}), "poisson", "durations"),
    "months": (pd.period_range("2024-05", periods=2, freq="M"), "squared_error", "not numbers"),
    "missing": ([1.0, np.nan], "squared_error", "y contains NaN"),
    "missing beside text": (["1", None], "squared_error", r"y has 1 missing value\(s\)"),
    "empty text": (
        ["1", "", " "],
        "poisson",
        r"y has 2 missing value\(s\), the first in row 1",
    ),
    "decimal comma": (["1", "4,5"], "squared_error", r"for '4,5', turn the comma into a point"),
    "infinite": ([1.0, np.inf], "squared_error", "y contains infinity"),
    "negative count": ([3, -1], "poisson", r"from -1 to 3. With loss=\"poisson\".*from 0"),
    "zero biomass": ([3, 0], "gamma", r"from 0 to 3. With loss=\"gamma\".*positive"),
    "huge": ([1e308, -1e308], "squared_error", "too large to standardize"),
    "3-D": (np.ones((2, 2, 2)), "squared_error", "dim 3"),
}


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@pytest.mark.parametrize("case", NOT_NUMBERS)
def test_what_is_no_number_for_the_loss_is_refused(case):
    y, loss, message = NOT_NUMBERS[case]
    with pytest.raises(ValueError, match=message):
        NumberTarget.infer(y, loss)


def test_sums_are_not_negative():
    with pytest.raises(ValueError, match=r"lowest -2.*global_pool=\"average\""):
        infer([1.0, -2.0], sums=True)


def test_other_numbers_must_fit_the_first():
    target = infer(Y)
    assert target.check(pd.Series(Y), 80, "y_val").tolist() == Y.tolist()
    with pytest.raises(ValueError, match="y_val has 80 rows for 79 images"):
        target.check(Y, 79, "y_val")
    with pytest.raises(ValueError, match=r"y_val has shape \(40, 2\). Expected \(n,\)"):
        target.encode(Y.reshape(40, 2), "y_val")
    with pytest.raises(ValueError, match="y_val has values from -1"):
        infer(Y, "poisson").encode([-1.0], "y_val")


def test_a_target_can_be_stored():
    target = infer(Y, "poisson", sums=True)
    stored = pickle.loads(pickle.dumps(target))
    np.testing.assert_array_equal(stored.encode(Y), target.encode(Y))
    assert len(pickle.dumps(target)) < 1000
