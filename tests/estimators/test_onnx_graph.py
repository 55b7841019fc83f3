"""Names in ONNX files."""

import re

import pytest

from skcnn._estimators._onnx_graph import identifiers


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["species", "leaf length"], ["species", "leaf_length"]),
        (["0", "1", ""], ["output_0", "output_1", "output_"]),
        (["a/b", "a b", "a_b", "a_b_"], ["a_b", "a_b_", "a_b__", "a_b___"]),
        (["images", "covariates", "Größe"], ["images_", "covariates_", "Gr__e"]),
    ],
)
def test_names_of_outputs_are_identifiers_and_differ(names, expected):
    found = identifiers(names)
    assert found == expected
    assert all(re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name) for name in found)
