"""The confusion matrix in clustered order, and the most confused pairs."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from skcnn.inspection import ConfusionDisplay


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=40))
def test_the_matrix_is_scikit_learns_in_another_order(labels):
    y, guess = np.array(labels).T
    names = np.union1d(y, guess)
    # Of a single label scikit-learn says that there should be more.
    assume(len(names) > 1)
    display = ConfusionDisplay.from_predictions(y, guess)
    plt.close("all")
    np.testing.assert_array_equal(np.sort(display.order), np.arange(len(names)))
    expected = confusion_matrix(y, guess, labels=names[display.order], normalize="true")
    np.testing.assert_allclose(display.display_.confusion_matrix, expected)
    assert display.pairs["count"].sum() == (y != guess).sum()
    assert (display.pairs["actual"] != display.pairs["predicted"]).all()


def test_classes_that_are_taken_for_each_other_are_neighbours():
    # Odd ones are taken for odd ones, even ones for even ones.
    rng = np.random.RandomState(0)
    y = np.repeat(np.arange(8), 100)
    guess = np.where(rng.rand(800) < 0.5, y, (y + 2 * rng.randint(4, size=800)) % 8)
    order = ConfusionDisplay.from_predictions(y, guess).order
    assert len(set(order[:4] % 2)) == len(set(order[4:] % 2)) == 1


def test_pairs_come_by_their_number_and_then_by_their_share():
    y = ["elk"] * 4 + ["oak"] * 2 + ["yew"] * 3
    guess = ["elk", "elk", "oak", "oak", "yew", "oak", "yew", "elk", "yew"]
    pairs = ConfusionDisplay.from_predictions(y, guess).pairs
    assert pairs["actual"].tolist() == ["elk", "oak", "yew"]
    assert pairs["predicted"].tolist() == ["oak", "yew", "elk"]
    assert pairs["count"].tolist() == [2, 1, 1]
    np.testing.assert_allclose(pairs["share"], [1 / 2, 1 / 2, 1 / 3])


def test_an_estimator_is_asked_for_its_predictions(fitted, organisms):
    X, y = organisms
    display = ConfusionDisplay.from_estimator(fitted, X, y)
    assert np.trace(display.confusion_matrix) == (fitted.predict(X) == y).sum()
    assert set(display.display_labels) == set(y)


def test_it_is_drawn_where_it_is_asked_to_be():
    _, ax = plt.subplots()
    assert ConfusionDisplay.from_predictions([0, 1], [1, 1], ax=ax).ax_ is ax


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        ConfusionDisplay.from_predictions([0, 1], [1])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        ConfusionDisplay(confusion_matrix=np.eye(3), display_labels=["elk"])


def test_values_can_be_read_on_their_cells():
    y = np.repeat(np.arange(3), 10)
    display = ConfusionDisplay.from_predictions(
        y, np.where(np.arange(30) % 10 < 4, y, (y + 1) % 3)
    )
    for text in display.display_.text_.flat:
        assert text.get_color() == ("white" if text.get_text() == "60%" else "black")


def test_the_numbers_of_images_are_told_and_empty_cells_stay_empty():
    y, guess = (
        ["cat", "dog", "oak", "dog", "oak", "oak"],
        ["dog", "dog", "oak", "cat", "oak", "oak"],
    )
    display = ConfusionDisplay.from_predictions(y, guess)
    rows = {text.get_text() for text in display.ax_.get_yticklabels()}
    assert rows == {"cat (1)", "dog (2)", "oak (3)"}
    shown = display.display_.text_.flat
    assert sorted(t.get_text() for t in shown if t.get_visible()) == ["100%", "100%", "50%", "50%"]
    assert display.ax_.get_title() == "Similar classes are neighbors"
    # Two classes have no order.
    assert ConfusionDisplay.from_predictions(y[:2], guess[:2]).ax_.get_title() == ""


@pytest.mark.parametrize(
    ("y", "guess", "message"),
    [
        ([0, 1], [0.2, 0.9], "y_pred holds numbers such as 0.2.*PredictionsDisplay"),
        ([[0, 1], [1, 1]], [[0, 1], [1, 0]], r"y_true has the shape \(2, 2\).*y_true\[:, 0\]"),
        ([0, 1], np.zeros((2, 3, 3)), r"y_pred has the shape \(2, 3, 3\).*MaskDisplay"),
        (["0", "1"], [0, 1], "y_true holds text such as '0', and y_pred holds numbers"),
        (["fox", None], ["fox", "elk"], "y_true has no value .* first in row 1"),
    ],
)
def test_what_is_not_one_label_per_image_is_refused(y, guess, message):
    with pytest.raises(ValueError, match=message):
        ConfusionDisplay.from_predictions(y, guess)


def test_long_names_leave_space_for_the_matrix():
    names = np.array([f"{'Vulpes vulpes crucigera ' * 5}{kind}" for kind in ("one", "two")])
    display = ConfusionDisplay.from_predictions(names[[0, 0, 1]], names[[0, 1, 1]])
    shown = [text.get_text() for text in display.ax_.get_xticklabels()]
    assert [text[-4:] for text in shown] == [" one", " two"]
    assert {len(text) for text in shown} == {36}
    assert all(text.get_rotation() == 90 for text in display.ax_.get_xticklabels())
    assert display.pairs["actual"].tolist() == [names[0]]
    width, _ = display.figure_.get_size_inches()
    assert width < 10


@pytest.mark.parametrize("n_classes", [5, 150])
def test_the_color_scale_is_as_wide_beside_large_matrices_as_beside_small_ones(n_classes):
    y = np.arange(n_classes)
    display = ConfusionDisplay.from_predictions(y, y)
    display.figure_.draw_without_rendering()
    scale = display.display_.im_.colorbar.ax.get_window_extent()
    assert 0.1 < scale.width / display.figure_.dpi < 0.35
