"""Mixed targets of mixed images."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from skcnn._targets import ClassTarget, MultilabelTarget, MultioutputTarget, Target
from skcnn._targets._answers import AnswersTarget
from skcnn._targets._mixing import blend


@given(st.integers(2, 8), st.booleans(), st.integers(0, 100))
def test_the_loss_of_a_mixture_is_the_mixture_of_losses(n, weighted, seed):
    torch.manual_seed(seed)
    labels, partner, share = torch.randint(4, (n,)), torch.randperm(n), torch.rand(n)
    weight = torch.rand(n).round(decimals=1) if weighted else None
    logits = torch.randn(n, 4, dtype=torch.float64)

    def loss(target, weight):
        each = torch.nn.functional.cross_entropy(
            logits, target, reduction="none", label_smoothing=0.1
        )
        return each if weight is None else each * weight

    target, mixed = ClassTarget(np.arange(4)).mix(partner, share, labels, weight)
    assert (mixed is None) == (weight is None)
    torch.testing.assert_close(target.sum(1), torch.ones(n))
    partners_weight = None if weight is None else weight[partner]
    expected = share * loss(labels, weight) + (1 - share) * loss(labels[partner], partners_weight)
    found = loss(target.double(), mixed)
    # Shares and weights are in float32.
    torch.testing.assert_close(found, expected, check_dtype=False, rtol=1e-5, atol=1e-6)


WORDS = np.array([["ant", "old"], ["bee", "new"], ["fly", "new"], ["ant", "new"]])
ANSWERS = pd.DataFrame(WORDS, columns=["kind", "age"])
WEIGHTS = [{"ant": 9, "fly": 0}, {"new": 4}]


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["labels", "columns", "questions"])
def test_both_sides_of_a_mixture_count_with_the_weights_of_their_classes(
    kind, weighted, smoothing
):
    options = {"label_smoothing": smoothing}
    target, y = MultilabelTarget, np.array([[1, 0], [0, 0], [1, 1], [0, 1]])
    weight = [{0: 1, 1: 9}, {0: 3, 1: 0}]
    if kind == "columns":
        target, y, weight = MultioutputTarget, WORDS, WEIGHTS
    elif kind == "questions":
        target, y, weight = AnswersTarget, ANSWERS, dict(zip(ANSWERS, WEIGHTS))
        options["tasks"] = dict.fromkeys(ANSWERS, "classification")
    made = target.infer(y, class_weight=weight if weighted else None, **options)
    encoded, outputs = torch.from_numpy(made.encode(y)), torch.randn(4, made.n_outputs)
    partner, own = torch.tensor([1, 2, 3, 0]), torch.tensor([0.25, 0.5, 0.75, 1.0])
    mixed, _ = made.mix(partner, own, encoded, None)
    first, second = (
        made.loss(outputs, each, training=True) for each in (encoded, encoded[partner])
    )
    found = made.loss(outputs, mixed, training=True)
    torch.testing.assert_close(found, own * first + (1 - own) * second)


def test_mixtures_can_be_mixed():
    labels = torch.tensor([0, 1, 2])
    turn, half = torch.tensor([1, 2, 0]), torch.full((3,), 0.5)
    target = ClassTarget(np.arange(3))
    once, _ = target.mix(turn, half, labels, None)
    twice, _ = target.mix(turn, half, once, None)
    assert twice.tolist() == [[0.25, 0.5, 0.25], [0.25, 0.25, 0.5], [0.5, 0.25, 0.25]]


@given(st.integers(1, 8), st.sampled_from([(), (2,), (2, 3)]), st.booleans(), st.integers(0, 100))
def test_blend_takes_targets_of_any_shape(n, shape, weighted, seed):
    torch.manual_seed(seed)
    target, partner, own = torch.rand(n, *shape), torch.randperm(n), torch.rand(n)
    weight = torch.rand(n) + 0.1 if weighted else None

    def times(values, factors):
        return torch.einsum("n...,n->n...", values, factors)

    mixed, mixed_weight = blend(partner, own, target, weight)
    assert (mixed_weight is None) == (weight is None)
    assert mixed.shape == target.shape
    # The target times the weight of each image is what is mixed.
    total = target if weight is None else times(target, weight)
    found = mixed if mixed_weight is None else times(mixed, mixed_weight)
    torch.testing.assert_close(found, times(total, own) + times(total[partner], 1 - own))


def test_blend_of_weights_that_are_zero_keeps_the_fractions():
    target, partner = torch.tensor([1.0, 3.0]), torch.tensor([1, 0])
    mixed, weight = blend(partner, torch.tensor([0.25, 0.5]), target, torch.zeros(2))
    assert weight.tolist() == [0, 0]
    assert mixed.tolist() == [2.5, 2.0]


def test_blend_leaves_out_images_of_weight_zero():
    target, partner = torch.tensor([1.0, 3.0]), torch.tensor([1, 0])
    mixed, weight = blend(partner, torch.full((2,), 0.25), target, torch.tensor([2.0, 0.0]))
    assert mixed.tolist() == [1, 1]
    assert weight.tolist() == [0.5, 1.5]


def test_targets_cannot_be_mixed_unless_they_say_how():
    ones = torch.ones(2)
    with pytest.raises(
        ValueError, match=r"ClassTarget cannot mix their targets\. Leave out MixUp"
    ):
        Target.mix(ClassTarget(np.arange(2)), torch.tensor([1, 0]), ones, ones, None)
