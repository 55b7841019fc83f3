"""Several columns of classes: what is wrong with one of them is said of that one."""

import numpy as np
import pandas as pd
import pytest

from skcnn._targets import MultioutputTarget


@pytest.mark.parametrize(
    ("habitat", "message"),
    [
        (["bog"] * 4, "In the column 'habitat' of y: y holds 1 class, 'bog'"),
        (["bog", 1, "fen", 2], "In the column 'habitat' of y: y holds labels of different types"),
        ([0.5, 1.5, 2.5, 3.5], "In the column 'habitat' of y: Unknown label type: continuous"),
    ],
    ids=["one", "mixed", "numbers"],
)
def test_the_column_that_holds_no_classes_is_named(habitat, message):
    y = pd.DataFrame({"species": ["elk", "fox"] * 2, "habitat": habitat})
    with pytest.raises(ValueError, match=message):
        MultioutputTarget.infer(y)
    # Columns without names have numbers.
    with pytest.raises(ValueError, match="In the column '1' of y"):
        MultioutputTarget.infer(np.array(y, dtype=object))


Y = pd.DataFrame({"species": ["elk", "fox", "elk", "fox"], "age": [1, 2, 3, 1]})


def test_weights_of_images_count_in_the_accuracy():
    target = MultioutputTarget.infer(Y)
    predicted = np.array([["elk", 1], ["elk", 2], ["elk", 3], ["fox", 2]], dtype=object)
    assert target.accuracy(Y, predicted, None) == 0.5
    assert target.accuracy(Y, predicted, [3, 1, 3, 1]) == 0.75


@pytest.mark.parametrize("y", [Y.astype(str), Y.to_numpy().tolist(), Y.assign(age=list("1231"))])
def test_text_in_place_of_numbers_is_no_mistake_of_the_network(y):
    target = MultioutputTarget.infer(Y)
    assert target.accuracy(Y, Y.to_numpy(), None) == 1
    with pytest.raises(ValueError, match=r"y\['age'\] holds text such as '1', but .* numbers"):
        target.accuracy(y, Y.to_numpy(), None)
