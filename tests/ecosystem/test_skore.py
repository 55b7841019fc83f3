"""skore reports on one fit and on several."""

import pytest
from _ecosystem import needs, run_example

needs("skore")

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


def test_reports_have_the_figures_of_the_network():
    names = run_example("from skore import CrossValidationReport, EstimatorReport")
    fitted = names["report"].estimator_
    accuracy = fitted.score(names["X_test"], names["y_test"])
    assert names["report"].metrics.accuracy() == accuracy > 0.8
    assert accuracy in names["table"].to_numpy()
    mean = names["accuracy"].to_numpy()[0, 0]
    assert 0.8 < mean <= 1
    names["report"].metrics.confusion_matrix().plot()
