"""
Successive halving
==================

All candidates are trained for a few epochs, and only the better ones for more. Most of the time of
the search is then spent on good candidates.
"""

# %%
import tempfile

# `HalvingGridSearchCV` is experimental and has to be enabled.
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import HalvingGridSearchCV, train_test_split

from skcnn import ConvNetClassifier, search_report
from skcnn.datasets import make_organisms

X, y = make_organisms(n_samples=600, n_classes=3, image_size=16, difficulty=0.7, random_state=0)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)

# %%
# **Epochs as the resource.** All 12 candidates are trained for two epochs, the better half of them
# for four, and so on. With a constant learning rate, ``lr_schedule=None``, and `checkpoint_dir`, a
# fit of four epochs resumes after the two that were trained before.
checkpoints = tempfile.TemporaryDirectory()
clf = ConvNetClassifier(
    filters=(8, 16), lr_schedule=None, checkpoint_dir=checkpoints.name, random_state=0
)
grid = {"lr": [0.003, 0.01, 0.03, 0.1], "optimizer": ["sgd", "adam", "muon"]}
epochs = {"resource": "max_epochs", "min_resources": 2, "max_resources": 16, "factor": 2}
search = HalvingGridSearchCV(clf, grid, **epochs, cv=2).fit(X_train, y_train)
checkpoints.cleanup()
for n_candidates, n_epochs in zip(search.n_candidates_, search.n_resources_):
    print(f"{n_candidates} candidates, {n_epochs} epochs")

# %%
# **Results.** Scores after different numbers of epochs cannot be compared, so the table begins
# with the last iteration. The seconds are those of the added epochs.
report = search_report(search)
print(report.frame.head(8).round(3).to_string())

# %%
report.plot()

# %%
# **The final network.** The search has trained the best candidate on all images with the constant
# learning rate. A schedule usually gives a better network:
final = ConvNetClassifier(filters=(8, 16), random_state=0).set_params(**search.best_params_)
print("constant learning rate:", search.score(X_test, y_test))
print("one-cycle schedule:", final.fit(X_train, y_train).score(X_test, y_test))
