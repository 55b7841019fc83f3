"""
Several labels per image
========================

Which kinds of organisms are in an image? Each image has any number of labels.
"""

# %%
# Images with up to five organisms of four kinds. ``y`` has a column for each kind: 1 where it is
# in the image, and 0 where not.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import average_precision_score, f1_score, precision_recall_curve
from sklearn.model_selection import train_test_split

from skcnn import ConvNetClassifier
from skcnn.datasets import make_scenes
from skcnn.inspection import ImageGridDisplay
from skcnn.uncertainty import label_thresholds

KINDS = ["first", "second", "third", "fourth"]
scenes = make_scenes(1_500, image_size=40, n_kinds=4, count=(0, 5), random_state=0)
y = (scenes.kinds > 0).astype(int)
X_train, X_test, y_train, y_test = train_test_split(scenes.data, y, random_state=0)
X_tune, X_test, y_tune, y_test = train_test_split(X_test, y_test, test_size=0.6, random_state=0)
names = np.array([" ".join(np.array(KINDS)[row == 1]) or "none" for row in y_train])
ImageGridDisplay(X_train, names).plot(max_images=10)

# %%
# One network for all kinds. Mirror images have the same organisms.
clf = ConvNetClassifier(filters=(16, 32, 64), augment="flip", max_epochs=20, random_state=0)
clf.fit(X_train, y_train)
proba = clf.predict_proba(X_test)
print(f"mean average precision: {average_precision_score(y_test, proba):.2f}")
print(f"all labels of an image right: {clf.score(X_test, y_test):.2f}")

# %%
# **Precision and recall.** Each curve is a kind; a lower threshold finds more of it, and is wrong
# more often.
_, ax = plt.subplots()
for column, (kind, style) in enumerate(zip(KINDS, ["-", "--", "-.", ":"])):
    precision, recall, _ = precision_recall_curve(y_test[:, column], proba[:, column])
    ax.plot(recall, precision, style, label=kind)
ax.set(xlabel="recall: share of the actual ones that are found", ylim=(0, 1.02))
ax.set(ylabel="precision: share of the found ones that are right")
ax.legend()

# %%
# **A threshold for each kind**, found on images that the network was not trained on.
thresholds = label_thresholds(y_tune, clf.predict_proba(X_tune))
for what, found in {
    "0.5": proba >= 0.5,
    ", ".join(f"{t:.2f}" for t in thresholds): proba >= thresholds,
}.items():
    print(f"mean F1 with {what}: {f1_score(y_test, found, average='macro'):.3f}")
