"""
Photographs plus site data
==========================

Two species look alike, but one lives higher up. A network that gets the elevation beside each
image tells them apart.
"""

# %%
# Six species in three genera. The image shows the genus; of the two species in each genus, one
# replaces the other around 1,000 m. A tenth of the elevations was not noted down.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.inspection import permutation_importance
from sklearn.model_selection import train_test_split

from skcnn import ConvNetClassifier
from skcnn.datasets import make_images_and_covariates, make_organisms
from skcnn.inspection import ImageGridDisplay

images, genus = make_organisms(1_200, n_classes=3, image_size=16, random_state=0)
rng = np.random.RandomState(0)
site = pd.DataFrame(
    {
        "elevation": rng.uniform(0, 2000, len(images)),
        "slope": rng.uniform(0, 45, len(images)),
        "habitat": pd.Categorical(rng.choice(["forest", "meadow"], len(images))),
    }
)
is_high = rng.uniform(size=len(images)) < 1 / (1 + np.exp((1000 - site["elevation"]) / 150))
species = np.array(["A", "B", "C"])[genus] + np.where(is_high, " alpina", " vallis")
site.loc[rng.uniform(size=len(images)) < 0.1, "elevation"] = np.nan

X = make_images_and_covariates(images, site)
X_train, X_test, y_train, y_test = train_test_split(X, species, random_state=0)
ImageGridDisplay(X_train, y_train).plot(max_images=10)

# %%
# **The table.** One row per image; the cells of the column `image` are arrays. For image files, a
# column `path` takes its place.
X_train.drop(columns="image").head()

# %%
# **Images alone, and images with site data.** The network standardizes numbers, puts the mean in
# place of missing ones, and makes one input of each category.
small = {"filters": (16, 32, 64), "random_state": 0}
alone = ConvNetClassifier(**small).fit(X_train[["image"]], y_train)
both = ConvNetClassifier(**small).fit(X_train, y_train)
print(f"images alone:  {alone.score(X_test[['image']], y_test):.2f}")
print(f"and site data: {both.score(X_test, y_test):.2f}")

# %%
# **Where the numbers come in.** The layer `covariates` joins them to the features of the image.
both.summary()

# %%
# **What does it use?** Permutation importance shuffles one column after the other, the images as
# well: the loss of accuracy says how much the network relies on a column.
found = permutation_importance(both, X_test, y_test, n_repeats=10, random_state=0)
order = found.importances_mean.argsort()
fig, ax = plt.subplots(figsize=(6.4, 2.8), layout="constrained")
ax.boxplot(found.importances[order].T, orientation="horizontal", tick_labels=X.columns[order])
ax.axvline(0, color="0.6", linewidth=0.8)
ax.set(xlabel="loss of accuracy if the column is shuffled")
plt.show()

# %%
# **Species along the gradient.** The same images at other elevations: what would the network say?
steps = np.linspace(0, 2000, 21)
chance = [both.predict_proba(X_test.assign(elevation=e)).mean(axis=0) for e in steps]
fig, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
for column, name in enumerate(both.classes_):
    style = "-" if name.endswith("alpina") else "--"
    ax.plot(steps, np.array(chance)[:, column], style, color=f"C{column // 2}", label=name)
ax.set(xlabel="elevation in m", ylabel="mean probability", ylim=(0, 0.5))
ax.legend(frameon=False, ncols=3, loc="upper center")
plt.show()
