"""
Successive halving
==================

Many candidates for a few epochs, the better ones for more: most of a search's time goes to
candidates that are worth it.
"""

# %%
import tempfile

# `HalvingGridSearchCV` is still experimental, and has to be asked for.
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import HalvingGridSearchCV, train_test_split

from skcnn import ConvNetClassifier, search_report
from skcnn.datasets import make_organisms

X, y = make_organisms(n_samples=600, n_classes=3, image_size=16, difficulty=0.7, random_state=0)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)

# %%
# **Epochs as the resource.** All 12 candidates are trained for two epochs, the better half of them
# for four, and so on. At a constant learning rate, ``lr_schedule=None``, the first two of four
# epochs are the two that were trained already, and with `memory` a fit goes on from there.
kept = tempfile.TemporaryDirectory()
clf = ConvNetClassifier(filters=(8, 16), lr_schedule=None, memory=kept.name, random_state=0)
grid = {"lr": [0.003, 0.01, 0.03, 0.1], "optimizer": ["sgd", "adam", "muon"]}
epochs = {"resource": "max_epochs", "min_resources": 2, "max_resources": 16, "factor": 2}
search = HalvingGridSearchCV(clf, grid, **epochs, cv=2).fit(X_train, y_train)
kept.cleanup()
for n_candidates, n_epochs in zip(search.n_candidates_, search.n_resources_):
    print(f"{n_candidates} candidates, {n_epochs} epochs")

# %%
# **What it found.** Scores of different numbers of epochs do not compare, hence the table begins
# with the last iteration. The seconds are those of the epochs that were added.
report = search_report(search)
print(report.frame.head(8).round(3).to_string())

# %%
report.plot()

# %%
# **The final network.** `search` has fitted the best candidate to all images at the constant rate.
# For a network to keep, fit it with a schedule:
final = ConvNetClassifier(filters=(8, 16), random_state=0).set_params(**search.best_params_)
print("constant rate:", search.score(X_test, y_test))
print("one-cycle:", final.fit(X_train, y_train).score(X_test, y_test))
