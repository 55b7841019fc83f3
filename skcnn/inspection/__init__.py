"""Looking into training and networks: functions for the figures, displays that draw them."""

from skcnn.inspection._learning_rate import LearningRateDisplay, learning_rate_curve

__all__ = ["LearningRateDisplay", "learning_rate_curve"]
