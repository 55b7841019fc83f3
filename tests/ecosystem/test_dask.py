"""Dask: its arrays as images, and a search on its workers. More in tests/test_cluster.py."""

import pytest
from _ecosystem import needs, run_example

needs("distributed", "dask")
needs("dask.array", "dask")


def test_a_dask_array_is_an_array_and_a_search_runs_on_workers():
    names = run_example("import dask.array")
    search, X, y = names["search"], names["X"], names["y"]
    assert search.best_params_ == {"lr": 0.02}
    by_array = names["clf"].predict_proba(names["images"][:20])
    assert by_array == pytest.approx(names["clf"].predict_proba(X[:20]))
    assert search.score(names["X_test"], names["y_test"]) > 0.8
    assert len(y) == len(names["images"])
