"""The figures of training as a table."""

import numpy as np

from skcnn._engine._history import history_frame, whole_epochs

ROWS = [
    {"epoch": 1, "batches": [{}], "train_loss": 0.5, "train_loss_best": True, "lr": 0.1, "dur": 2},
    {"epoch": 2, "batches": [{}], "train_loss": 0.4, "valid_accuracy": 0.5, "mine": 7, "dur": 3},
    {"epoch": 3, "batches": [], "train_batch_count": 4},
]


def test_an_epoch_without_an_end_does_not_count():
    assert whole_epochs(ROWS) == ROWS[:2]
    assert history_frame(ROWS).index.tolist() == [1, 2]


def test_columns_have_names_of_their_own_and_come_in_order():
    frame = history_frame(ROWS, "accuracy")
    assert list(frame) == ["train_loss", "valid_loss", "valid_accuracy", "lr", "seconds", "mine"]
    np.testing.assert_array_equal(frame["valid_accuracy"], [np.nan, 0.5])
    np.testing.assert_array_equal(frame["seconds"], [2, 3])


def test_before_the_first_epoch_the_table_is_empty():
    frame = history_frame([], "accuracy")
    assert (len(frame), frame.index.name) == (0, "epoch")
    assert list(frame) == ["train_loss", "valid_loss", "valid_accuracy", "lr", "seconds"]


def test_a_target_without_a_score_has_no_column_for_it():
    assert list(history_frame([])) == ["train_loss", "valid_loss", "lr", "seconds"]
