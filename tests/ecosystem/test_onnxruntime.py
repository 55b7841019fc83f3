"""onnxruntime predicts without PyTorch."""

import numpy as np
import pytest
from _ecosystem import needs, run_example

needs("onnx", "onnx")
needs("onnxscript", "onnx")
needs("onnxruntime", "onnx")

# Of the exporter of torch.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_probabilities_are_those_of_the_network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = run_example("import onnxruntime")
    expected = names["clf"].predict_proba(names["X_test"])
    np.testing.assert_allclose(names["proba"], expected, atol=1e-4)
