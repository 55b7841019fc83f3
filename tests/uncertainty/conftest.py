"""Probabilities that are right by construction, and labels drawn from them."""

import numpy as np
import pytest
from _helpers import CLASSES, draw
from sklearn.base import BaseEstimator, ClassifierMixin


@pytest.fixture(scope="session")
def calibrated():
    """4,000 rows of probabilities that are exactly as often right as they say."""
    return draw(4000, seed=0)


class Fitted(ClassifierMixin, BaseEstimator):
    """A stand-in for a fitted classifier: X are probabilities."""

    classes_ = CLASSES

    def fit(self, X, y):
        raise AssertionError("The estimator must be taken as it is.")

    def __sklearn_is_fitted__(self):
        return True

    def predict_proba(self, X):
        return np.asarray(X)

    def predict(self, X):
        return self.classes_[np.asarray(X).argmax(axis=1)]


@pytest.fixture
def fitted():
    return Fitted()
