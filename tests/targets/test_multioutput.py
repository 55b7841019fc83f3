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
