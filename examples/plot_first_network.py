"""
A first network
===============

Images go in as they are, labels as strings, and what comes out behaves like any other classifier
of scikit-learn.
"""

# %%
# Images of made-up organisms stand for a camera trap's: 8-bit colours, 24 x 24 pixels. Those held
# out are never seen in training.
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
# First a look at them, which takes no network.
ImageGridDisplay(X_train, y_train).plot(max_images=10)

# %%
# `skcnn.ConvNetClassifier` needs no setting. Images held out of the training show in each epoch
# how it is getting on.
clf = ConvNetClassifier(filters=(16, 32, 64), random_state=0)
clf.fit(X_train, y_train, X_val=X_test, y_val=y_test)
HistoryDisplay.from_estimator(clf)

# %%
# The rest is scikit-learn.
print(classification_report(y_test, clf.predict(X_test)))

# %%
# Images with what they are taken for, how sure the network is, and what they are where it errs.
PredictionsDisplay.from_estimator(clf, X_test[:10], y_test[:10])

# %%
# And this is the network: each image becomes smaller from layer to layer, and gets more channels.
ArchitectureDisplay.from_estimator(clf)
