"""
Cells counted
=============

How many cells are in an image, and how large is each of them, with only a few strokes of a brush
as training data?
"""

# %%
# Generated images with small organisms of three shapes stand for those of a microscope.
import matplotlib.pyplot as plt
import numpy as np

from skcnn import ConvNetSegmenter
from skcnn.datasets import make_scenes
from skcnn.inspection import MaskDisplay
from skcnn.masks import measure
from skcnn.networks import ConvBlocks, UNet

scenes = make_scenes(
    80, image_size=80, count=(2, 12), length=(9, 16), difficulty=0.5, random_state=0
)
X, masks = scenes.data, (scenes.masks > 0).astype(np.uint8)

# %%
# **Strokes.** Nobody outlines cells one by one. In each of 40 images, three short strokes are
# drawn on the background and one on each of up to three cells, with a brush two pixels wide. All
# other pixels get the number 255, and :class:`~skcnn.ConvNetSegmenter` ignores them.
NO_LABEL = 255


def brush(mask, rng):
    """Draw strokes that end where the label changes."""
    strokes = np.full_like(mask, NO_LABEL)
    for label, n_strokes in ((0, 3), (1, 3)):
        for place in rng.permutation(np.argwhere(mask == label))[:n_strokes]:
            direction = rng.normal(size=2)
            direction /= np.linalg.norm(direction)
            for step in np.arange(0, 14 if label == 0 else 6, 0.5):
                row, column = (place + step * direction).astype(int)
                inside = 0 <= row < mask.shape[0] - 1 and 0 <= column < mask.shape[1] - 1
                if not inside or mask[row, column] != label:
                    break
                part = slice(row, row + 2), slice(column, column + 2)
                strokes[part] = np.where(mask[part] == label, label, strokes[part])
    return strokes


rng = np.random.default_rng(0)
strokes = np.stack([brush(mask, rng) for mask in masks[:40]])
print(f"labeled pixels: {np.mean(strokes != NO_LABEL):.1%}")

# %%
# **Train** on the strokes, and look at the result beside the true masks.
seg = ConvNetSegmenter(
    UNet(ConvBlocks((8, 16, 32))), ignore_label=NO_LABEL, max_epochs=20, random_state=0
)
seg.fit(X[:40], strokes)
print(f"mean IoU: {seg.score(X[40:], masks[40:]):.2f}")
MaskDisplay.from_estimator(seg, X[40:], masks[40:])

# %%
# **Count.** Cells are connected parts of the mask. Smaller parts than 20 pixels are no cells.
cells = measure(seg.predict(X[40:]), min_area=20)
counted = cells.groupby("image").size().reindex(range(40), fill_value=0)
actual = scenes.count[40:]
print(f"counted {counted.sum()} cells, there are {actual.sum()}")

fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
left.plot(actual + rng.uniform(-0.15, 0.15, 40), counted, "o", markersize=4)
left.axline((0, 0), slope=1, color="0.5", linewidth=1)
left.set(xlabel="cells in the image", ylabel="cells counted")
right.hist(cells["area"], bins=20, edgecolor="white")
right.set(xlabel="area (pixels)", ylabel="cells")

# %%
# Points below the line are images in which cells touch each other: they are one part of the mask.
# Where that is frequent, :class:`~skcnn.ConvNetRegressor` counts without masks.
