"""
Finding a learning rate
=======================

With a low learning rate, a network learns slowly; with a high one, not at all. Short trainings at
several learning rates show where it learns best.
"""

# %%
from skcnn import ConvNetClassifier
from skcnn.datasets import make_organisms
from skcnn.inspection import LearningRateDisplay

X, y = make_organisms(n_samples=900, n_classes=6, image_size=24, difficulty=0.7, random_state=0)
clf = ConvNetClassifier(filters=(16, 32, 64), random_state=0)
display = LearningRateDisplay.from_estimator(clf, X, y)

# %%
# Each point is a training of a few steps, from the same weights and on the same batches. Rates in
# the shaded range do equally well. The suggestion is their middle: a starting point for `lr`, for
# this network, optimizer and batch size.
print(f"{display.suggestion:.2g}")
