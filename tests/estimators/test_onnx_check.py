"""What counts as the same answer of an ONNX file."""

import numpy as np
import pytest

from skcnn._estimators._onnx_check import _agree
from skcnn._targets import NumberTarget

FAR = NumberTarget.infer(5e6 + np.arange(9.0))
TINY = NumberTarget.infer(1e-9 * np.arange(9.0))
TWO = NumberTarget.infer(np.stack([np.arange(9.0), 1e9 * np.arange(9.0)], axis=1))


@pytest.mark.parametrize(
    ("target", "expected", "most"),
    [
        (None, [0.5, 0.1], 1e-4),
        (None, [50.0, 0.1], 5e-3),
        (FAR, [5e6, 5e6 + 8], 4e-4),
        (TINY, [4e-9, 5e-9], 2.5e-13),
        (TWO, [[4.0, 5e9]], [2.5e-4, 2.5e5]),
    ],
)
def test_answers_differ_if_they_are_off_by_a_fraction_of_their_spread(target, expected, most):
    expected, most = np.array(expected), np.array(most)
    assert _agree(expected + 0.9 * most, expected, target)
    assert not _agree(expected + 2 * most, expected, target)
    assert not _agree(np.where(expected > 0, np.nan, 0), expected, target)
    assert not _agree(expected[:1, None], expected, target)
