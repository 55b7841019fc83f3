"""skops stores a network, and asks for trust."""

import numpy as np
import pytest
from _ecosystem import needs, run_example

needs("skops")


def test_what_is_loaded_predicts_as_what_was_stored():
    names = run_example("from skops import io")
    X_test = names["X_test"]
    np.testing.assert_array_equal(
        names["again"].predict_proba(X_test), names["clf"].predict_proba(X_test)
    )
    assert any(name.endswith("ConvNetClassifier") for name in names["types"])
    with pytest.raises(Exception, match="Untrusted types found"):
        names["io"].loads(names["stored"])
