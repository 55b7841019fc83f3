"""Looking into training and networks: functions for the figures, displays that draw them."""

from skcnn.inspection._arrays import feature_maps, filters, grad_cam
from skcnn.inspection._history import HistoryDisplay
from skcnn.inspection._learning_rate import LearningRateDisplay, learning_rate_curve
from skcnn.inspection._maps import FeatureMapsDisplay, FiltersDisplay, GradCAMDisplay
from skcnn.inspection._predictions import PredictionsDisplay, TopLossesDisplay

__all__ = [
    "FeatureMapsDisplay",
    "FiltersDisplay",
    "GradCAMDisplay",
    "HistoryDisplay",
    "LearningRateDisplay",
    "PredictionsDisplay",
    "TopLossesDisplay",
    "feature_maps",
    "filters",
    "grad_cam",
    "learning_rate_curve",
]
