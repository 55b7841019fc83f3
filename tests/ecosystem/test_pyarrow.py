"""pyarrow: a table of paths, columns, and a column per pixel."""

import numpy as np
import pytest
from _ecosystem import needs, run_example
from _helpers import small_net, stripes

pyarrow = needs("pyarrow")


def test_the_example_fits_as_from_a_list(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = run_example("from PIL import Image", "import pyarrow")
    clf = names["clf"]
    assert clf.classes_.tolist() == ["ant", "bee", "fly"]
    found = clf.predict_proba(names["table"].select(["path"]))
    expected = clf.fit(names["paths"], names["y"]).predict_proba(names["X"])
    np.testing.assert_array_equal(found, expected)


def test_columns_beside_the_paths_are_covariates(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = run_example("from PIL import Image", "import pyarrow")
    y = names["y"]
    site = pyarrow.array(list("abc" * 100)).dictionary_encode()
    table = pyarrow.table({"path": names["paths"], "depth": 10.0 * y, "site": site})
    net = names["clf"].set_params(max_epochs=2).fit(table, y)
    expected = net.predict_proba(table)
    frame = table.to_pandas()
    np.testing.assert_array_equal(net.fit(frame, y).predict_proba(frame), expected)


COLUMNS = {
    "array": lambda values: pyarrow.array(values),
    "chunked": lambda values: pyarrow.chunked_array([values[:20], values[20:]]),
    "dictionary": lambda values: pyarrow.array(values).dictionary_encode(),
}


@pytest.mark.parametrize("make", COLUMNS.values(), ids=COLUMNS.keys())
def test_columns_are_labels(make):
    X, y = stripes(60)
    labels = np.array(["ant", "bee", "fly"])[y]
    found = small_net(max_epochs=1).fit(X, make(labels))
    assert found.classes_.tolist() == ["ant", "bee", "fly"]
    weight = np.arange(60) % 3 + 1.0
    found = small_net(max_epochs=1).fit(X, make(y), sample_weight=make(weight))
    expected = small_net(max_epochs=1).fit(X, y, sample_weight=weight)
    np.testing.assert_array_equal(found.predict_proba(X), expected.predict_proba(X))


def test_a_column_per_pixel():
    X, y = stripes(60)
    table = pyarrow.table({f"pixel{i}": column for i, column in enumerate(X.reshape(60, -1).T)})
    found = small_net(max_epochs=2).fit(table, y)
    assert found.feature_names_in_[1] == "pixel1"
    expected = small_net(max_epochs=2).fit(X, y)
    np.testing.assert_array_equal(found.predict_proba(table), expected.predict_proba(X))
