"""
Finding a learning rate
=======================

With a low learning rate, a network learns slowly; with a high one, not at all. One short run with
an increasing learning rate shows where it learns.
"""

# %%
from skcnn import ConvNetClassifier
from skcnn.datasets import make_organisms
from skcnn.inspection import LearningRateDisplay

X, y = make_organisms(n_samples=900, n_classes=6, image_size=24, difficulty=0.7, random_state=0)
clf = ConvNetClassifier(filters=(16, 32, 64), random_state=0)
display = LearningRateDisplay.from_estimator(clf, X, y)

# %%
# The suggestion is a starting point for `lr`, for this network, optimizer and batch size.
print(f"{display.suggestion:.2g}")
