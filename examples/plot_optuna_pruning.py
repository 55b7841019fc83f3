"""
Optuna: bad candidates stopped early
====================================

Optuna chooses candidates by the results of earlier ones, and stops bad ones after a few epochs.
Install it with ``pip install -e ".[optuna]"``.
"""

# %%
import warnings

import matplotlib.pyplot as plt
import optuna
from optuna_integration import OptunaSearchCV, SkorchPruningCallback
from sklearn.model_selection import train_test_split

from skcnn import ConvNetClassifier
from skcnn.datasets import make_organisms

optuna.logging.set_verbosity(optuna.logging.WARNING)
# Both announce possible changes in later versions of Optuna.
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
warnings.filterwarnings("ignore", "`optuna.terminator` module has been deprecated", FutureWarning)

X, y = make_organisms(n_samples=450, n_classes=3, image_size=16, difficulty=0.7, random_state=0)
X_train, X_val, y_train, y_val = train_test_split(X, y, stratify=y, random_state=0)

# %%
# **A trial** is a fit with validation images. Optuna's callback for skorch reports their accuracy
# after each epoch, which is called ``valid_accuracy`` as in `history_`. A trial is stopped if most
# others were better at that epoch.


def objective(trial):
    clf = ConvNetClassifier(
        filters=(8, 16),
        lr=trial.suggest_float("lr", 1e-3, 1, log=True),
        optimizer=trial.suggest_categorical("optimizer", ["sgd", "adam", "muon"]),
        max_epochs=12,
        callbacks=[SkorchPruningCallback(trial, "valid_accuracy")],
        random_state=0,
    )
    clf.fit(X_train, y_train, X_val=X_val, y_val=y_val)
    return clf.history_["valid_accuracy"].iloc[-3:].mean()


study = optuna.create_study(
    direction="maximize",
    sampler=optuna.samplers.TPESampler(seed=0),
    pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=2),
)
study.optimize(objective, n_trials=16)
print(study.best_params)

# %%
# **Validation accuracy of all trials:**
figure, ax = plt.subplots(layout="constrained")
for trial in study.trials:
    pruned = trial.state == optuna.trial.TrialState.PRUNED
    accuracy = trial.intermediate_values
    ax.plot(
        [epoch + 1 for epoch in accuracy],
        accuracy.values(),
        color="#D55E00" if pruned else "#0072B2",
        linestyle="--" if pruned else "-",
        linewidth=2.5 if trial == study.best_trial else 1,
        marker="x" if pruned else "",
        markevery=[-1],
    )
ax.plot([], [], color="#0072B2", label="complete (best: wide)")
ax.plot([], [], color="#D55E00", linestyle="--", marker="x", label="stopped early")
ax.set(xlabel="epoch", ylabel="accuracy on validation images")
ax.legend(frameon=False)

# %%
# **As a scikit-learn search.** `OptunaSearchCV` works like `RandomizedSearchCV`, with
# cross-validation. It trains with `partial_fit`, one epoch at a time, and therefore with a
# constant learning rate.
search = OptunaSearchCV(
    ConvNetClassifier(filters=(8, 16), random_state=0),
    {"lr": optuna.distributions.FloatDistribution(1e-3, 1, log=True)},
    study=optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=0),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=2),
    ),
    n_trials=8,
    cv=2,
    enable_pruning=True,
    max_iter=8,
    random_state=0,
).fit(X_train, y_train)
print(search.best_params_)
print([len(trial.intermediate_values) for trial in search.trials_], "epochs per trial")
