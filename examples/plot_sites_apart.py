"""
Keep sites apart
================

A network that is tested with cameras it was trained with knows their backgrounds, and which
animals live there. Such a score is too high for a new camera.
"""

# %%
# **Camera traps, generated.** Each site has a background that stays, and its own mix of species.
# Cameras take bursts: three photographs of the same animal, a second apart. Generated organisms
# stand for animals; they are cut out and put in front of the background of a site.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.ndimage import zoom
from sklearn.model_selection import GroupKFold, KFold, cross_val_score

from skcnn import ConvNetClassifier
from skcnn.datasets import group_by_time, make_organisms

N_SITES, N_BURSTS, PER_BURST = 12, 14, 3
SIZE, ANIMAL = 22, 16  # of a photograph, and of an animal in it
SPECIES = np.array(["beetle", "moth", "snail", "spider"])
rng = np.random.default_rng(0)
animals, kinds = make_organisms(800, n_classes=4, image_size=ANIMAL, difficulty=0, random_state=0)
animals = animals / 255
# The background of these images is plain, and the body much brighter or darker.
gray = animals.mean(axis=3)
body = np.abs(gray - np.median(gray[:, 0], axis=1)[:, None, None]) > 0.2


def make_background():
    """Return a scene of smooth patches of color, and a few stems."""
    color, other = rng.uniform(0.1, 0.9, (2, 3))
    patches = zoom(rng.uniform(0, 1, (4, 4)), SIZE / 4, order=1)[..., None]
    scene = color + patches * (other - color)
    for column in rng.integers(0, SIZE - 2, 3):
        scene[:, column : column + rng.integers(1, 3)] *= rng.uniform(0.4, 0.8)
    return scene


images, rows = [], []
for site in range(N_SITES):
    background = make_background()
    local_species = rng.dirichlet([0.4] * len(SPECIES))
    clock = pd.Timestamp("2026-05-01 06:00")
    for kind in rng.choice(len(SPECIES), N_BURSTS, p=local_species):
        animal = rng.choice(np.flatnonzero(kinds == kind))
        light = rng.uniform(0.7, 1.2)
        place = rng.integers(1, SIZE - ANIMAL, 2)
        clock += pd.Timedelta(rng.integers(10, 600), unit="min")
        for second in range(PER_BURST):
            top, left = place + rng.integers(-1, 2, 2)
            image = background.copy()
            part = image[top : top + ANIMAL, left : left + ANIMAL]
            part[body[animal]] = animals[animal][body[animal]]
            image = image * light + rng.normal(0, 0.03, image.shape)
            images.append((np.clip(image, 0, 1) * 255).astype(np.uint8))
            time = clock + pd.Timedelta(second, unit="s")
            rows.append({"group": f"site {site + 1}", "time": time, "label": SPECIES[kind]})
X, frame = np.stack(images), pd.DataFrame(rows)
y = frame["label"].to_numpy()
print(pd.crosstab(frame["group"], frame["label"]).head())

# %%
# **Bursts** are found by the times of the photographs.
# :func:`~skcnn.datasets.group_by_time` works in the same way on the ``frame`` of a loader, such as
# that of :func:`~skcnn.datasets.load_camtrap_dp`.
frame["burst"] = group_by_time(frame, gap="60s")
print(frame["burst"].nunique(), "bursts of", len(frame), "photographs")

# %%
# **Three ways to split** the same photographs into three parts, each of which is tested once: at
# random; bursts kept whole; sites kept whole. The network and all of its settings are the same.
clf = ConvNetClassifier(filters=(16, 32), max_epochs=30, random_state=0)
splits = {
    "photographs\nat random": (KFold(3, shuffle=True, random_state=0), None),
    "bursts\nkept whole": (GroupKFold(3), frame["burst"]),
    "sites\nkept whole": (GroupKFold(3), frame["group"]),
}
scores = {
    name: cross_val_score(clf, X, y, groups=groups, cv=cv) for name, (cv, groups) in splits.items()
}

# %%
# The accuracy falls with each step. Of a burst, two photographs are in the training images and the
# third, nearly the same one, in the test. Of a site, the network learns the background, and which
# species it goes with. Neither helps at a new camera, so **the accuracy with sites kept whole is
# the one to report**. It also varies most between the parts: sites differ, and twelve are few.
figure, (left, right) = plt.subplots(
    1, 2, figsize=(10, 4), width_ratios=(1.1, 1), layout="constrained"
)
shown = [np.flatnonzero(frame["group"] == f"site {site}")[:24:3] for site in (1, 2, 3, 4)]
left.imshow(np.vstack([np.hstack(X[rows]) for rows in shown]))
left.set_yticks(SIZE * (np.arange(4) + 0.5), [f"site {site}" for site in (1, 2, 3, 4)])
left.set_xticks([])
left.tick_params(length=0)
left.spines[:].set_visible(False)
left.set_title("Bursts of four sites, one photograph each")

for position, values in enumerate(scores.values()):
    right.plot([position] * len(values), values, "o", color="C0", alpha=0.5)
    right.hlines(values.mean(), position - 0.25, position + 0.25, color="C0", linewidth=3)
    right.text(position + 0.29, values.mean(), f"{values.mean():.2f}", va="center")
right.axhline(1 / len(SPECIES), color="0.5", linestyle="--", linewidth=1)
right.text(-0.46, 1 / len(SPECIES) - 0.02, "guessing", color="0.4", va="top")
right.set_xticks(range(len(scores)), list(scores))
right.set_xlim(-0.5, 2.65)
right.set_ylim(0, 1.02)
right.set_ylabel("accuracy")
right.spines[["top", "right"]].set_visible(False)
right.set_title("The same network, split in three ways")

# %%
# ``fit(X, y, groups=frame["group"])`` keeps sites whole in the split that early stopping makes
# inside, too.
