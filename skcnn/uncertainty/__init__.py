"""How far to trust predictions: intervals, sets of labels, calibration, unknown classes, ranks.

Everything here works on arrays of labels and probabilities, so that any classifier and any form of
X will do. Only the classes that wrap an estimator call its `predict_proba`, `predict` or
`transform`.
"""

from skcnn.uncertainty._calibration import (
    ReliabilityDisplay,
    calibration_table,
    expected_calibration_error,
)
from skcnn.uncertainty._conformal import conformal_sets, conformal_threshold
from skcnn.uncertainty._conformal_estimators import ConformalClassifier, ConformalRegressor
from skcnn.uncertainty._intervals import ConfidenceInterval, bootstrap_interval
from skcnn.uncertainty._novelty import NoveltyDetector, novelty_scores
from skcnn.uncertainty._review import ReviewDisplay, review_table, review_threshold
from skcnn.uncertainty._taxonomy import Taxonomy, restrict_classes
from skcnn.uncertainty._thresholds import TunedThresholdsCV, label_thresholds

__all__ = [
    "ConfidenceInterval",
    "ConformalClassifier",
    "ConformalRegressor",
    "NoveltyDetector",
    "ReliabilityDisplay",
    "ReviewDisplay",
    "Taxonomy",
    "TunedThresholdsCV",
    "bootstrap_interval",
    "calibration_table",
    "conformal_sets",
    "conformal_threshold",
    "expected_calibration_error",
    "label_thresholds",
    "novelty_scores",
    "restrict_classes",
    "review_table",
    "review_threshold",
]
