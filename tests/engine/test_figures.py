"""Figures of batches and epochs: means by weight, parts that are missing, and words."""

import math

import pytest
import torch
from skorch.history import History

from skcnn._data._dataset import Batch
from skcnn._engine._figures import (
    batch_row,
    in_words,
    loss_figures,
    record,
    record_loss,
    weighted_mean,
)
from skcnn._targets import ClassTarget


class Parts(ClassTarget):
    """Two questions: the losses of their answers are the outputs."""

    part_names = ("species", "sex")

    def part_losses(self, outputs, encoded, *, training):
        return outputs


@pytest.fixture
def history():
    history = History()
    history.new_epoch()
    return history


def test_weighted_mean_divides_by_the_number_of_images():
    losses = torch.tensor([1.0, 2.0, 6.0])
    assert weighted_mean(losses, None) == 3
    assert weighted_mean(losses, torch.tensor([3.0, 0.0, 1.0])) == 3


def test_a_loss_without_parts_is_the_only_figure():
    loss = torch.tensor(0.5, requires_grad=True)
    figures = loss_figures(ClassTarget(["a", "b"]), loss, torch.ones(2, 2), None, training=True)
    assert figures == 0.5
    assert not figures.requires_grad


@pytest.mark.parametrize(
    ("weight", "expected"),
    [
        (None, [9.0, 3.0, 6.0, 2.0, 1.0]),
        (torch.tensor([1.0, 0.5]), [9.0, 2.0, 6.0, 1.5, 1.0]),
    ],
    ids=["equal", "weighted"],
)
def test_images_without_an_answer_do_not_count_in_its_part(weight, expected):
    losses = torch.tensor([[1.0, 6.0], [2.0, torch.nan]])
    batch = Batch(torch.zeros(2, 3, 8, 8), torch.zeros(2), weight)
    figures = loss_figures(Parts(["a", "b"]), torch.tensor(9.0), losses, batch, training=True)
    assert figures.tolist() == expected
    names = ["loss", "loss_sum_species", "loss_sum_sex", "loss_weight_species", "loss_weight_sex"]
    row = batch_row(Parts(["a", "b"]), "valid", figures.tolist())
    assert row == {f"valid_{name}": value for name, value in zip(names, expected)}


def test_an_epoch_has_the_mean_over_images_of_each_part(history):
    target = Parts(["a", "b"])
    rows = [
        batch_row(target, "train", [1.0, 30.0, 0.0, 10.0, 0.0]) | {"train_batch_size": 30},
        batch_row(target, "train", [3.0, 10.0, 0.0, 10.0, 0.0]) | {"train_batch_size": 10},
    ]
    assert record_loss(history, target, "train", rows) == 1.5
    assert history[-1]["train_loss"] == 1.5
    assert history[-1]["train_loss_species"] == 2.0
    # No image of the epoch had an answer.
    assert math.isnan(history[-1]["train_loss_sex"])


@pytest.mark.parametrize(
    ("lower_is_better", "best"),
    [(True, [True, True, False, False, True]), (False, [True, False, False, True, False])],
)
def test_the_best_so_far_is_better_than_all_before(lower_is_better, best):
    history = History()
    for value in [3.0, 2.0, 2.0, 3.5, 1.0]:
        history.new_epoch()
        record(history, "valid_loss", value, lower_is_better=lower_is_better)
    assert history[:, "valid_loss_best"] == best


def test_words_name_what_is_there():
    row = {"epoch": 1, "train_loss": 2.0, "valid_loss": 3.0}
    assert in_words(row, None) == "epoch 1, loss 2.000, valid loss 3.000"
    assert in_words(row | {"valid_r2": 0.25}, "r2").endswith(", valid loss 3.000, r2 0.250")
