"""
What the network learned
========================

Filters, feature maps, and the regions of an image that support a class.
"""

# %%
import numpy as np
from sklearn.model_selection import train_test_split

from skcnn import ConvNetClassifier
from skcnn.datasets import make_organisms
from skcnn.inspection import (
    EmbeddingDisplay,
    FeatureMapsDisplay,
    FiltersDisplay,
    GradCAMDisplay,
    grad_cam,
)

X, y = make_organisms(n_samples=900, n_classes=6, image_size=32, difficulty=0.6, random_state=0)
y = np.array([f"species {number}" for number in range(1, 7)])[y]
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
clf = ConvNetClassifier(filters=(16, 32, 64), kernel_size=(5, 3, 3), random_state=0)
print(f"accuracy {clf.fit(X_train, y_train).score(X_test, y_test):.2f}")

# %%
# **Filters.** The first convolution sees the pixels themselves. Its filters respond to edges and
# colors.
FiltersDisplay.from_estimator(clf, layer=0)

# %%
# **Feature maps.** The outputs of convolutions and pooling for one image. They show where each
# filter responds, from layer to layer at a lower resolution.
FeatureMapsDisplay.from_estimator(clf, X_test[0])

# %%
# **Grad-CAM.** The regions of an image that support the predicted class.
GradCAMDisplay.from_estimator(clf, X_test[:8])

# %%
# All of these are available as arrays. This is the mean share of a map in the middle ninth of the
# image, where organisms often are. Spread evenly, it would be 0.12.
maps = grad_cam(clf, X_test)
middle = maps[:, 11:22, 11:22].sum(axis=(1, 2)) / np.maximum(maps.sum(axis=(1, 2)), 1e-9)
print(f"{middle.mean():.2f}")

# %%
# **Features.** The last layer classifies an image by its features. Species that the network tells
# apart form separate groups.
EmbeddingDisplay.from_estimator(clf, X_test, y_test)
