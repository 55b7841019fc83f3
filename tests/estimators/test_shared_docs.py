"""Documentation that the estimators share."""

import re

import pytest

from skcnn._estimators._docs import ENTRIES, NAMES_OF_SOURCES, REFERENCES, documented, fill
from skcnn.networks import ConvBlocks


def test_entries_are_filled_in_at_the_margin_of_their_names():
    text = fill("    Parameters\n    ----------\n    {lr, tol}\n    own : int\n        Mine.\n")
    lines = text.split("\n")
    assert lines[2] == "    lr : float, default=0.1"
    assert lines[3].startswith("        Learning rate")
    assert lines[4] == "    tol : float, default=1e-4"
    assert lines[-3:] == ["    own : int", "        Mine.", ""]


def test_a_default_of_ones_own_stands_above_a_shared_description():
    text = fill("augment : str, default=None\n    {description of augment}\n    And more.")
    first, *rest = text.split("\n")
    assert first == "augment : str, default=None"
    assert rest[0].startswith("    Random changes to each training image")
    assert rest[-1] == "    And more."
    assert "\n".join(rest[:-1]) in ENTRIES["augment"]


def test_sources_are_numbered_as_they_are_first_cited():
    text = fill("{dropout}\n{normalization}\nAlso [srivastava2014]_.\n\n  {references}")
    assert re.findall(r"\[(\d)\]_", text) == ["1", "2", "1"]
    assert f"\n  .. [1] {REFERENCES['srivastava2014']}\n  .. [2] " in text


def test_braces_with_anything_else_stay():
    text = 'pool : {"max", "average"}\n    A dict such as {lr} in a line.\n    {"lr"}'
    assert fill(text) == text


def test_an_unknown_name_is_an_error():
    with pytest.raises(KeyError, match="lrr"):
        fill("{lr, lrr}")


def test_classes_and_their_methods_are_documented():
    @documented
    class Estimator:
        """Estimate.

        {lr}
        """

        def fit(self):
            """Fit.

            {groups}
            """

        def silent(self):
            pass

    assert "Learning rate" in Estimator.__doc__
    assert "stay\n" in Estimator.fit.__doc__
    assert Estimator.silent.__doc__ is None


def test_each_source_is_cited():
    cited = set(re.findall(r"\[(\w+)\]_", "\n".join(ENTRIES.values())))
    # Only some estimators smooth labels, count, answer several questions, and name pixels.
    of_some = {"szegedy2016", "lempitsky2010", "caruana1997", "ronneberger2015", "milletari2016"}
    assert REFERENCES.keys() == cited | of_some


def test_sources_that_conv_blocks_cites_are_those_of_the_same_authors():
    for number, name in NAMES_OF_SOURCES.items():
        (source,) = re.findall(rf"\.\. \[{number}\] (.*)", ConvBlocks.__doc__)
        assert source.partition(":")[0] == REFERENCES[name].partition(":")[0]
