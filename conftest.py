"""What holds for the examples in docstrings and documentation as well as for the tests."""

import sys

import pytest


@pytest.fixture(autouse=True)
def close_figures():
    """Close the figures of each example: matplotlib warns of more than twenty."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
