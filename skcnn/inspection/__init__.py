"""Inspection of training and networks: functions that return arrays, displays that draw them."""

from skcnn.inspection._architecture import ArchitectureDisplay
from skcnn.inspection._attention import AttentionDisplay, attention_maps
from skcnn.inspection._confusion import ConfusionDisplay
from skcnn.inspection._density import DensityDisplay, density_map
from skcnn.inspection._display import Display
from skcnn.inspection._duplicates import find_duplicates
from skcnn.inspection._embedding import EmbeddingDisplay
from skcnn.inspection._feature_maps import FeatureMapsDisplay, feature_maps
from skcnn.inspection._filters import FiltersDisplay, filters
from skcnn.inspection._grad_cam import GradCAMDisplay, grad_cam
from skcnn.inspection._history import HistoryDisplay
from skcnn.inspection._images import ChannelsDisplay, ImageGridDisplay
from skcnn.inspection._learning_rate import LearningRateDisplay, learning_rate_curve
from skcnn.inspection._masks import MaskDisplay
from skcnn.inspection._predictions import PredictionsDisplay
from skcnn.inspection._probabilities import ProbabilitiesDisplay
from skcnn.inspection._top_losses import TopLossesDisplay

__all__ = [
    "ArchitectureDisplay",
    "AttentionDisplay",
    "ChannelsDisplay",
    "ConfusionDisplay",
    "DensityDisplay",
    "Display",
    "EmbeddingDisplay",
    "FeatureMapsDisplay",
    "FiltersDisplay",
    "GradCAMDisplay",
    "HistoryDisplay",
    "ImageGridDisplay",
    "LearningRateDisplay",
    "MaskDisplay",
    "PredictionsDisplay",
    "ProbabilitiesDisplay",
    "TopLossesDisplay",
    "attention_maps",
    "density_map",
    "feature_maps",
    "filters",
    "find_duplicates",
    "grad_cam",
    "learning_rate_curve",
]
