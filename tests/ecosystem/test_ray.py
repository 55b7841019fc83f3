"""Ray: a search on its workers. More in tests/test_cluster.py."""

import pytest
from _ecosystem import needs, run_example

needs("ray", "ray")

# Of its own use of other packages.
pytestmark = pytest.mark.filterwarnings("ignore")


def test_a_search_runs_on_workers(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    search = run_example("import ray")["search"]
    assert search.best_params_ == {"lr": 0.02}
