"""
Sizes, and how sure they are
============================

How long is the organism in an image, and between which limits?
"""

# %%
# One organism per image. Its length in pixels is known.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import PredictionErrorDisplay
from sklearn.model_selection import train_test_split

from skcnn import ConvNetRegressor
from skcnn.datasets import make_scenes
from skcnn.inspection import GradCAMDisplay, ImageGridDisplay

scenes = make_scenes(1_000, image_size=32, count=(1, 1), length=(6, 24), random_state=0)
length = scenes.organisms["length"].to_numpy().round(1)
X_train, X_test, y_train, y_test = train_test_split(scenes.data, length, random_state=0)
ImageGridDisplay(X_train, y_train).plot(max_images=10)

# %%
# Mirror images have the same size, so ``augment="flip"`` is right here.
common = {
    "filters": (16, 32, 64),
    "augment": "flip",
    "max_epochs": 20,
    "random_state": 0,
}
reg = ConvNetRegressor(**common).fit(X_train, y_train)
print(f"R²: {reg.score(X_test, y_test):.3f}")

# %%
# **Predicted against actual lengths.**
PredictionErrorDisplay.from_estimator(reg, X_test, y_test, kind="actual_vs_predicted")

# %%
# **What it looks at.** Bright regions raise the predicted length.
GradCAMDisplay.from_estimator(reg, X_test[:6])

# %%
# **Between which limits?** Two networks that predict quantiles make an interval, in which 80% of
# new organisms should be.
low, high = (
    ConvNetRegressor(loss="quantile", quantile=quantile, **common)
    .fit(X_train, y_train)
    .predict(X_test)
    for quantile in (0.1, 0.9)
)
print(f"inside: {np.mean((low <= y_test) & (y_test <= high)):.0%}")

# %%
some = np.argsort(y_test)[::5]
middle, reach = (low + high) / 2, np.maximum(high - low, 0) / 2
fig, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
ax.errorbar(y_test[some], middle[some], reach[some], fmt="none", label="predicted interval")
ax.plot([6, 24], [6, 24], color="0.3", linestyle="--", label="actual length")
ax.set(xlabel="actual length in pixels", ylabel="predicted length in pixels")
ax.legend(frameon=False)
