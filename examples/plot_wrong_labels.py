"""
Wrong labels
============

Most data sets have some. A network that has not seen an image finds its wrong label improbable, so
the images to check come first.
"""

# %%
# Eight species, and 5% of the labels changed to another species, as by a tired observer:
import numpy as np
import pandas as pd
from sklearn.model_selection import cross_val_predict

from skcnn import ConvNetClassifier
from skcnn.datasets import make_organisms
from skcnn.inspection import TopLossesDisplay, find_duplicates

X, truth = make_organisms(
    n_samples=800, n_classes=8, image_size=24, difficulty=0.8, random_state=0
)
rng = np.random.default_rng(0)
changed = rng.choice(len(truth), 40, replace=False)
y = truth.copy()
y[changed] = (truth[changed] + rng.integers(1, 8, 40)) % 8

# %%
# **Predict each image by a network that was not trained on it.** `cross_val_predict` does so. The
# probability of the label that an image has is low where the label is wrong:
clf = ConvNetClassifier(filters=(16, 32, 64), max_epochs=30, random_state=0)
proba = cross_val_predict(clf, X, y, cv=3, method="predict_proba")
order = proba[np.arange(len(y)), y].argsort()

# %%
# How many of the 40 changed labels do you find if you look at the first images only?
is_changed = np.isin(order, changed)
pd.DataFrame({"looked at": n, "found": is_changed[:n].sum()} for n in (20, 40, 80, 160))

# %%
# The first images, with what the network finds likely and the label that they have now:
TopLossesDisplay.from_predictions(X, proba, y, max_images=10)

# %%
# **One image, two labels.** Copies of an image may have been labeled by two people. They are found
# without a network, also if one of them is darker:
copies = rng.choice(len(y), 5, replace=False)
X_more = np.concatenate([X, X[copies] // 4 * 3])
y_more = np.append(y, (y[copies] + 1) % 8)
found = find_duplicates(X_more, y_more)
found[found["n_labels"] > 1]
