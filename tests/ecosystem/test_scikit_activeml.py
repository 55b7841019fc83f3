"""scikit-activeml chooses which images to label next."""

import numpy as np
import pytest
from _ecosystem import needs, run_example

needs("skactiveml")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_a_loop_labels_images_and_becomes_better():
    names = run_example("from skactiveml.classifier import SklearnClassifier")
    labeled = np.isfinite(names["labels"])
    assert labeled.sum() == 30 + 3 * 20
    assert len(np.unique(names["chosen"])) == 20
    # Chosen next are those that the network is least sure of.
    unlabeled = np.flatnonzero(~labeled)
    chosen = names["query"].query(
        names["X"], names["labels"], names["learner"], fit_clf=False, batch_size=5
    )
    proba = np.sort(names["learner"].predict_proba(names["X"][unlabeled]), axis=1)
    least = unlabeled[np.argsort(proba[:, -1] - proba[:, -2])[:5]]
    assert set(chosen) == set(least)
    first = names["clf"].fit(names["X"][:30], names["y"][:30])
    test = names["X_test"], names["y_test"]
    assert names["learner"].score(*test) >= first.score(*test)
    assert names["learner"].score(*test) > 0.8
