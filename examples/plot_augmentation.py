"""
Augmentation
============

Random changes in every epoch make many training images of few. Which changes are valid depends on
the images: a mirrored moth is still a moth, but a mirrored digit is not a digit.
"""

# %%
# Each name in `augment` stands for a class of `skcnn.augmentation`. Here each of them changes the
# same image eight times.
import numpy as np
import torch
from matplotlib import pyplot as plt
from sklearn.model_selection import train_test_split

from skcnn import ConvNetClassifier
from skcnn.augmentation import Color, Cutout, Flip, Shift
from skcnn.datasets import make_organisms

X, y = make_organisms(n_samples=700, n_classes=5, image_size=24, difficulty=0.8, random_state=1)
changes = {
    "flip": Flip(),
    "flip, up and down": Flip(vertical=True),
    "shift": Shift(),
    "cutout": Cutout(),
    "color": Color(),
}
generator = torch.Generator().manual_seed(0)
figure, axes = plt.subplots(len(changes), 8, figsize=(9, 6), layout="constrained")
for row, (name, change) in zip(axes, changes.items()):
    changed = change(torch.from_numpy(X[:1]).repeat(8, 1, 1, 1), generator)
    for ax, image in zip(row, changed):
        ax.imshow(image.numpy())
        ax.set(xticks=[], yticks=[])
    row[0].set_ylabel(name, rotation=0, ha="right", va="center")

# %%
# With only 200 training images, augmentation prevents overfitting. It needs many epochs, so that
# the network sees each image in many versions. Organisms seen from above have no fixed
# orientation, hence flips in both directions. Test images are never changed.
X_train, X_test, y_train, y_test = train_test_split(
    X, y, train_size=200, stratify=y, random_state=0
)
for augment in (None, "shift", ("flip", Flip(vertical=True), "shift")):
    scores = [
        ConvNetClassifier(filters=(16, 32), augment=augment, max_epochs=40, random_state=seed)
        .fit(X_train, y_train)
        .score(X_test, y_test)
        for seed in range(3)
    ]
    print(f"{np.mean(scores):.2f} (seeds {np.round(scores, 2)}) with augment={augment}")
