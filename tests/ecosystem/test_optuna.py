"""Optuna searches the parameters of a network."""

import pytest
from _ecosystem import needs, run_example

needs("optuna")

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


def test_trials_differ_and_the_best_is_kept():
    study = run_example("import optuna")["study"]
    values = [trial.value for trial in study.trials]
    assert len(set(values)) > 1
    assert study.best_value == max(values) > 0.6
    assert 0.001 <= study.best_params["lr"] <= 0.05
