"""
Attention by hand
=================

What attention computes, beside what a convolution computes: in numpy, with small matrices, and in
torch.
"""

# %%
# A convolution looks at neighbors
# --------------------------------
# This image is a row of six pixels. A convolution gives each pixel a mixture of itself and its
# neighbors. The weights of the mixture are learned, and they are the same everywhere, whatever the
# pixels are.
import numpy as np
import torch
from matplotlib import pyplot as plt
from torch.nn import functional as F

from skcnn import ConvNetClassifier
from skcnn.datasets import make_organisms
from skcnn.inspection import AttentionDisplay
from skcnn.networks import CompactTransformer

row = np.array([5.0, 0.0, 1.0, 0.0, 0.0, 4.0])
kernel = np.array([0.25, 0.5, 0.25])
print(np.convolve(row, kernel, mode="same"))

# %%
# As a matrix, with a row for each pixel of the result, the weights are a band. Two pixels that are
# far apart never meet in one layer.
band = np.array([np.convolve(one, kernel, mode="same") for one in np.eye(6)]).T
print(band)
assert np.allclose(band @ row, np.convolve(row, kernel, mode="same"))

# %%
# Attention looks at what matches
# -------------------------------
# A transformer cuts an image into regions, and describes each by a vector: a token. Here are four
# tokens of three values. Think of the values as "is bright", "is an edge" and "is a wing": the
# first and the last token are the two wings of one moth.
tokens = np.array(
    [
        [1.0, 0.0, 2.0],  # left wing
        [0.0, 1.0, 0.0],  # leaf
        [0.0, 2.0, 0.0],  # leaf
        [1.0, 0.0, 3.0],  # right wing
    ]
)

# %%
# Three matrices turn each token into a query (what it looks for), a key (what it offers) and a
# value (what it passes on). A network learns them. These are chosen so that wings look for wings,
# and pass on all that they know.
query_matrix = np.diag([0.0, 0.0, 1.0])
key_matrix = np.diag([0.0, 0.0, 1.0])
value_matrix = np.eye(3)
queries, keys, values = (tokens @ matrix for matrix in (query_matrix, key_matrix, value_matrix))

# %%
# How well a query matches a key is the sum of their products, divided by the square root of their
# length. The softmax turns the matches of each token into weights that sum to 1.
matches = queries @ keys.T / np.sqrt(3)
weights = np.exp(matches) / np.exp(matches).sum(axis=1, keepdims=True)
print(weights.round(2))

# %%
# Each token then receives the weighted sum of all values. The wings have found each other,
# although two leaves are between them. The leaves look for nothing: they receive the mean of all.
print((weights @ values).round(2))

# %%
# Torch computes the same. In an image network the weights differ from image to image: they follow
# from the image, while those of a convolution stay as they were learned.
in_torch = F.scaled_dot_product_attention(
    *(torch.tensor(array)[None] for array in (queries, keys, values))
)[0]
assert np.allclose(in_torch, weights @ values)

figure, axes = plt.subplots(1, 2, figsize=(7, 3.2), layout="constrained")
for ax, matrix, title in zip(
    axes, (band, weights), ("Convolution: a fixed band", "Attention: what matches")
):
    picture = ax.imshow(matrix, cmap="Blues", vmin=0, vmax=1)
    ax.set(title=title, xlabel="from", ylabel="to", xticks=[], yticks=[])
names = ["left wing", "leaf", "leaf", "right wing"]
axes[1].set_xticks(range(4), names, rotation=30, ha="right")
axes[1].set_yticks(range(4), names)
figure.colorbar(picture, ax=axes, label="weight")

# %%
# In a network
# ------------
# ``CompactTransformer`` first makes tokens with two convolutions, and then lets them attend to
# each other in several layers. It takes the place of the convolutional network in any estimator.
X, y = make_organisms(n_samples=800, n_classes=4, random_state=0)
clf = ConvNetClassifier(
    module=CompactTransformer(depth=3, width=48, heads=3), lr=0.02, max_epochs=12, random_state=0
)
clf.fit(X[:600], y[:600])
print(f"accuracy on new images: {clf.score(X[600:], y[600:]):.2f}")

# %%
# The attention of all layers together tells which regions the features come from:
AttentionDisplay.from_estimator(clf, X[600:])
