"""crepes makes sets of labels."""

import numpy as np
from _ecosystem import needs, run_example

needs("crepes")


def test_sets_hold_the_true_label_as_often_as_they_are_to():
    names = run_example("from crepes import WrapClassifier")
    held = [label in labels for label, labels in zip(names["y_test"], names["sets"])]
    assert np.mean(held) > 0.8
    assert 0 < np.mean([len(labels) for labels in names["sets"]]) < 2.5
