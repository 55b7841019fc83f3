"""
Leaf area from photographs
==========================

How large are the leaves on a scanner, and how much of each was eaten?

A U-Net learns to name the pixels of leaves from a few photographs, and
:func:`skcnn.masks.measure` turns its masks into areas.
"""

# %%
# Generated photographs stand for those of a camera: leaves on paper in uneven light, with bites,
# yellow spots and shadows. One pixel is 0.5 mm.
import matplotlib.pyplot as plt
import numpy as np

from skcnn import ConvNetSegmenter
from skcnn.inspection import ImageGridDisplay, MaskDisplay
from skcnn.masks import measure
from skcnn.networks import ConvBlocks, UNet

MM_PER_PIXEL = 0.5


def photograph(rng, size=96):
    """Draw two leaves, and return the photograph and its mask."""
    rows, columns = np.mgrid[:size, :size]
    mask = np.zeros((size, size), dtype=np.uint8)
    yellow, shadow = np.zeros((2, size, size))
    for center in (0.28, 0.72):
        y, x = size * rng.uniform(0.4, 0.6), size * (center + rng.uniform(-0.04, 0.04))
        length, width, turn = rng.uniform(22, 34), rng.uniform(8, 14), rng.uniform(-0.4, 0.4)
        along = (rows - y) * np.cos(turn) + (columns - x) * np.sin(turn)
        across = (columns - x) * np.cos(turn) - (rows - y) * np.sin(turn)
        # A leaf is widest in its middle, and pointed at both ends.
        half = width * np.clip(1 - (along / length) ** 2, 0, None)
        leaf = np.abs(across) < half
        for _ in range(rng.integers(0, 4)):
            bite_y, bite_x = y + rng.uniform(-length, length), x + rng.uniform(-width, width)
            leaf &= (rows - bite_y) ** 2 + (columns - bite_x) ** 2 > rng.uniform(3, 6) ** 2
            yellow[(rows - bite_x) ** 2 + (columns - bite_y) ** 2 < rng.uniform(2, 8) ** 2] = 1
        mask[leaf] = 1
        shadow[np.roll(leaf, (3, 4), axis=(0, 1))] = 0.45
    paper, gold = np.array([214, 210, 190]), np.array([188, 176, 96])
    green = np.array([92, 130, 58]) * rng.uniform(0.7, 1.3)
    color = np.where((yellow * mask)[..., None], gold, np.where(mask[..., None], green, paper))
    light = (1 + 0.4 * (columns / size - 0.5) * rng.uniform(-1, 1)) * (1 - shadow * (mask == 0))
    noisy = color * light[..., None] + rng.normal(0, 22, (size, size, 3))
    return noisy.clip(0, 255).astype(np.uint8), mask


rng = np.random.default_rng(0)
pairs = [photograph(rng) for _ in range(50)]
X, masks = (np.stack(part) for part in zip(*pairs))
ImageGridDisplay(X, np.arange(len(X))).plot(max_images=5)

# %%
# **Train.** Thirty photographs have masks. Leaves on paper need little context, so a small network
# is enough.
seg = ConvNetSegmenter(UNet(ConvBlocks((8, 16, 32))), max_epochs=10, random_state=0)
seg.fit(X[:30], masks[:30])
print(f"mean IoU: {seg.score(X[30:], masks[30:]):.3f}")

# %%
# **Look at it.** Errors are hatched.
MaskDisplay.from_estimator(seg, X[30:], masks[30:])

# %%
# **Measure.** One row per leaf, in mm and mm². Crumbs of less than 20 mm² are left out.
leaves = measure(seg.predict(X[30:]), pixel_size=MM_PER_PIXEL, min_area=20)
print(leaves.round(1).head().to_string(index=False))

# %%
# **Is the area right?** Each point is a photograph.
predicted, actual = (
    measure(found, pixel_size=MM_PER_PIXEL, per="image")["area"]
    for found in (seg.predict(X[30:]), masks[30:])
)
fig, ax = plt.subplots(figsize=(4, 4), layout="constrained")
ax.plot(actual, predicted, "o", markersize=4)
ax.axline((actual.mean(), actual.mean()), slope=1, color="0.5", linewidth=1)
ax.set(xlabel="actual leaf area (mm²)", ylabel="measured leaf area (mm²)", aspect="equal")
print(f"mean error of a photograph: {np.mean(np.abs(predicted / actual - 1)):.1%}")

# %%
# **How much was eaten?** `solidity` is the share of its convex hull that a leaf fills: the lower,
# the more is missing at its edge. Leaves at the edge of the photograph are left out.
whole = leaves[~leaves["at_edge"]]
fig, ax = plt.subplots(figsize=(5, 3), layout="constrained")
ax.hist(whole["solidity"], bins=15, edgecolor="white")
ax.set(xlabel="solidity", ylabel="leaves")
