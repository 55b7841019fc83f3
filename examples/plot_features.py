"""
A network as a feature extractor
================================

`transform` returns the features of images: the values that enter the last layer. Any other
estimator can use them.
"""

# %%
# A network was trained on eight species. Now there are four new ones, with ten images each.
import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcnn import ConvNetClassifier
from skcnn.datasets import make_organisms
from skcnn.inspection import EmbeddingDisplay

X, y = make_organisms(n_samples=1_800, n_classes=12, image_size=24, difficulty=0.6, random_state=0)
known = y < 8
network = ConvNetClassifier(filters=(16, 32, 64), random_state=0).fit(X[known], y[known])

# %%
# `sklearn.frozen.FrozenEstimator` keeps the trained network as it is, while the steps after it are
# fitted.
X_few, X_test, y_few, y_test = train_test_split(
    X[~known], y[~known], train_size=40, stratify=y[~known], random_state=0
)
features = make_pipeline(FrozenEstimator(network), StandardScaler(), LogisticRegression())
features.fit(X_few, y_few)
scratch = ConvNetClassifier(filters=(16, 32, 64), random_state=0).fit(X_few, y_few)
print(f"features of the known species: {features.score(X_test, y_test):.2f}")
print(f"from scratch: {scratch.score(X_test, y_test):.2f}")

# %%
# The new species, placed by the features that were learned from the old ones:
names = np.array([f"new species {number}" for number in range(-7, 5)])
EmbeddingDisplay.from_estimator(network, X_test, names[y_test])
