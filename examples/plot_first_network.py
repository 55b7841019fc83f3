"""
A first network
===============

Images go in as they are, labels are strings, and the network behaves like any other scikit-learn
classifier.
"""

# %%
# Generated organisms take the place of photographs: 8-bit color, 24 x 24 pixels. The test images
# are not used in training.
import numpy as np
from sklearn.metrics import classification_report
from sklearn.model_selection import train_test_split

from skcnn import ConvNetClassifier
from skcnn.datasets import make_organisms
from skcnn.inspection import (
    ArchitectureDisplay,
    HistoryDisplay,
    ImageGridDisplay,
    PredictionsDisplay,
)

X, y = make_organisms(n_samples=800, n_classes=4, image_size=24, difficulty=0.6, random_state=0)
y = np.array(["beetle", "moth", "snail", "spider"])[y]
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
print(X_train.shape, X_train.dtype)

# %%
# Look at the images first. This needs no network.
ImageGridDisplay(X_train, y_train).plot(max_images=10)

# %%
# `skcnn.ConvNetClassifier` works without any setting. The images given as `X_val` are scored after
# each epoch, to show the progress of training.
clf = ConvNetClassifier(filters=(16, 32, 64), random_state=0)
clf.fit(X_train, y_train, X_val=X_test, y_val=y_test)
HistoryDisplay.from_estimator(clf)

# %%
# Everything else is scikit-learn.
print(classification_report(y_test, clf.predict(X_test)))

# %%
# Some predictions with their probabilities. Wrong ones also have the actual label.
PredictionsDisplay.from_estimator(clf, X_test[:10], y_test[:10])

# %%
# The network itself: from block to block, images become smaller and get more channels.
ArchitectureDisplay.from_estimator(clf)
