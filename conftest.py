"""What holds for the examples in docstrings and documentation as well as for the tests."""

import sys

import pytest

# They hold no examples, and as modules all have the same name, which only one at a time can have.
collect_ignore_glob = ["*conftest.py"]


@pytest.fixture(autouse=True)
def close_figures():
    """Close the figures of each example: matplotlib warns of more than twenty."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
