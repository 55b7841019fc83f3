"""cleanlab finds labels that were changed on purpose."""

import pytest
from _ecosystem import needs, run_example

needs("cleanlab")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_wrong_labels_are_found(capsys):
    names = run_example("from cleanlab.filter import find_label_issues")
    found = set(names["suspects"].tolist()) & set(range(15))
    assert len(found) >= 13
    assert len(names["suspects"]) < 30
    assert f"{len(found)} of 15 wrong labels found" in capsys.readouterr().out
