"""Observations for tests of what becomes of them."""

import pandas as pd

from skcnn.datasets._examples import make_bunch
from skcnn.datasets._observations import Loaded
from skcnn.datasets._rules import Rules

# a: fox twice; b: fox and hare; c: blank; d: unknown; e: nobody looked; f: fox and unknown;
# g: a program failed; h: blank and fox; i: unclassified row beside a fox.
ROWS = [
    ("a", "fox", "labeled"),
    ("a", "fox", "labeled"),
    ("b", "hare", "labeled"),
    ("b", "fox", "labeled"),
    ("c", None, "blank"),
    ("d", None, "unknown"),
    ("e", None, "unclassified"),
    ("f", "fox", "labeled"),
    ("f", None, "unknown"),
    ("g", None, "failed"),
    ("h", None, "blank"),
    ("h", "fox", "labeled"),
    ("i", None, "unclassified"),
    ("i", "fox", "labeled"),
]
STATUSES = ("blank", "unknown", "unclassified", "failed")


def table(rows=ROWS, **columns):
    frame = pd.DataFrame(rows, columns=["path", "label", "status"])
    return frame.assign(**columns)


def loaded(frame):
    return Loaded(frame, "A test", None)


def examples(bunch):
    return list(zip(bunch.frame["path"], bunch.frame["label"]))


def counted(bunch):
    return dict(zip(bunch.report.notes["what"], bunch.report.notes["n"]))


def make(frame=None, **rules):
    return make_bunch(loaded(table() if frame is None else frame), Rules(**rules), "load")
