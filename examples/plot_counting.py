"""
Counting
========

How many organisms are in an image, and where does the network count them?
"""

# %%
# Images with up to nine organisms. Only their number is known, not their places.
from sklearn.metrics import PredictionErrorDisplay, mean_absolute_error
from sklearn.model_selection import train_test_split

from skcnn import ConvNetRegressor
from skcnn.datasets import make_scenes
from skcnn.inspection import DensityDisplay, ImageGridDisplay, TopLossesDisplay

scenes = make_scenes(1_000, image_size=40, count=(0, 9), random_state=0)
X_train, X_test, y_train, y_test = train_test_split(scenes.data, scenes.count, random_state=0)
ImageGridDisplay(X_train, y_train).plot(max_images=10)

# %%
# With ``loss="poisson"`` the network adds up a positive number per place of the image. Mirror
# images have the same number of organisms.
reg = ConvNetRegressor(
    filters=(16, 32, 64), loss="poisson", augment="flip", max_epochs=20, random_state=0
)
reg.fit(X_train, y_train)
print(f"mean absolute error: {mean_absolute_error(y_test, reg.predict(X_test)):.2f}")

# %%
# **Predicted against actual numbers.** Points on the line are right.
PredictionErrorDisplay.from_estimator(reg, X_test, y_test, kind="actual_vs_predicted")

# %%
# **Where it counts.** Nobody told the network where the organisms are.
DensityDisplay.from_estimator(reg, X_test, y_test)

# %%
# **The largest mistakes.**
TopLossesDisplay.from_estimator(reg, X_test, y_test, max_images=5)

# %%
# **Larger images.** The sum grows with the area, so that the same network counts in images of
# another size. The organisms have to have the same size in pixels.
large = make_scenes(4, image_size=80, count=(0, 36), random_state=1)
DensityDisplay.from_estimator(reg, large.data, large.count)
