"""
Convolution and pooling by hand
===============================

The two basic layers of a convolutional network, computed step by step in numpy and in torch.
"""

# %%
# Convolution
# -----------
# A filter is placed at each position of an image. The pixels below it are multiplied by the values
# of the filter, and the products are summed. A large sum means that the image resembles the filter
# there. A filter of 2 x 2 has 3 x 2 positions in an image of 4 x 3. (In mathematics, a convolution
# first rotates the filter by 180 degrees. Networks skip this, since they learn the filter anyway.
# The exact name of their operation is cross-correlation.)
import numpy as np
import torch
from matplotlib import pyplot as plt
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.datasets import load_sample_image

image = np.array([[1, 0, 2], [3, 1, 0], [0, 2, 1], [1, 1, 3]])
kernel = np.array([[1, 0], [0, -1]])

by_hand = np.empty((3, 2), dtype=int)
for row in range(3):
    for column in range(2):
        by_hand[row, column] = np.sum(image[row : row + 2, column : column + 2] * kernel)
print(by_hand)

# %%
# Torch computes the same. It expects two more dimensions in front: images and channels.
in_torch = torch.nn.functional.conv2d(
    torch.tensor(image)[None, None].float(), torch.tensor(kernel)[None, None].float()
)[0, 0]
print(in_torch)
assert np.array_equal(in_torch, by_hand)

# %%
# Max pooling
# -----------
# Max pooling divides an image into windows and keeps the largest value of each. The result has a
# quarter of the size. A strong response is kept, but its exact position no longer matters.
matrix = np.array([[1, 2, 5, 3], [3, 0, 1, 2], [2, 1, 3, 4], [1, 1, 2, 0]])
windows = matrix.reshape(2, 2, 2, 2).swapaxes(1, 2)
pooled = windows.max(axis=(2, 3))
print(pooled)

# %%
pooled_in_torch = torch.nn.functional.max_pool2d(torch.tensor(matrix)[None].float(), 2)[0]
print(pooled_in_torch)
assert np.array_equal(pooled_in_torch, pooled)
assert pooled.tolist() == [[3, 5], [2, 4]]

# %%
# Edges
# -----
# With suitable values, filters find edges. This one responds where bright is left of dark, and its
# transpose where bright is above dark. A network starts with random values and learns such filters
# itself: see :ref:`sphx_glr_auto_examples_plot_what_it_learned.py`.
vertical = np.array([[1, 0, -1], [1, 0, -1], [1, 0, -1]])
flower = load_sample_image("flower.jpg").mean(axis=2)[40:400, 100:560]

pictures = {"photograph": flower}
for name, edge in {"vertical edges": vertical, "horizontal edges": vertical.T}.items():
    windows = sliding_window_view(flower, (3, 3))
    pictures[name] = np.abs(np.einsum("hwij,ij->hw", windows, edge))
    pictures[f"{name}, pooled"] = pictures[name][:356, :456].reshape(89, 4, 114, 4).max((1, 3))

figure, axes = plt.subplot_mosaic(
    [
        ["photograph", "vertical edges", "vertical edges, pooled"],
        ["photograph", "horizontal edges", "horizontal edges, pooled"],
    ],
    figsize=(10, 5),
    layout="constrained",
)
for name, ax in axes.items():
    ax.imshow(pictures[name], cmap="gray")
    ax.set(title=f"{name}, {pictures[name].shape[0]} × {pictures[name].shape[1]}")
    ax.axis("off")
