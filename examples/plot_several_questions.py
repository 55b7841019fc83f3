"""
Several questions about an image
================================

Which organism is it, and how long is it? One network answers both, although only some of the
organisms were measured.
"""

# %%
# Images of one organism each. The length of two thirds of them is not known.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.metrics import ConfusionMatrixDisplay, PredictionErrorDisplay
from sklearn.model_selection import train_test_split

from skcnn import ConvNetMultiTask
from skcnn.datasets import make_scenes
from skcnn.inspection import GradCAMDisplay

scenes = make_scenes(1_500, image_size=40, count=(1, 1), length=(8, 30), random_state=0)
kind = np.array(["first", "second", "third"])[scenes.kinds.argmax(axis=1)]
y = pd.DataFrame({"kind": kind, "length": scenes.organisms["length"]})
X_train, X_test, y_train, y_test = train_test_split(scenes.data, y, random_state=0)
y_train = y_train.copy()
y_train.loc[np.random.RandomState(0).uniform(size=len(y_train)) < 2 / 3, "length"] = np.nan
y_train.head()

# %%
# ``tasks`` says what each answer is.
net = ConvNetMultiTask(
    {"kind": "classification", "length": "squared_error"},
    filters=(16, 32, 64),
    augment="flip",
    max_epochs=20,
    random_state=0,
)
net.fit(X_train, y_train)
predicted = net.predict(X_test)
predicted.head()

# %%
# **Both answers**, on images that the network has not seen.
_, (left, right) = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
ConfusionMatrixDisplay.from_predictions(y_test["kind"], predicted["kind"], ax=left)
PredictionErrorDisplay.from_predictions(
    y_test["length"], predicted["length"], kind="actual_vs_predicted", ax=right
)
right.set(xlabel="predicted length (pixels)", ylabel="actual length (pixels)")

# %%
# **The loss of each question.** That of the kind falls from log(3) = 1.1, which guessing has.
# Smoothed labels keep it above 0.
_, ax = plt.subplots()
for name, style in {"kind": "-", "length": "--"}.items():
    net.history_[f"train_loss_{name}"].plot(style=style, label=name, ax=ax, legend=True)
ax.set(xlabel="epoch", ylabel="training loss")

# %%
# **Where the answers come from**, one question at a time: the regions that support the kind, and
# those that make the animal longer.
for task in ("kind", "length"):
    GradCAMDisplay.from_estimator(net, X_test[:6], task=task)
