"""What each process of tests/test_distributed.py does: fits by name, their figures to a file.

torchrun starts it in several processes. The test itself imports it for the fit in one.
"""

import copy
import json
import pickle
import sys
import warnings
from pathlib import Path

import joblib
import numpy as np
import torch
from _helpers import small_net, stripes
from skorch.callbacks import Callback, LRScheduler

from skcnn._compute._process_group import current_group
from skcnn.parallel import data_parallel

# Not a multiple of the batch size, nor is what is left one of two processes.
X, Y = stripes(151, noise=70)
WEIGHT = np.where(Y == 0, 3.0, 1.0)


class Seen(Callback):
    """Counts the training images that come by in each epoch."""

    def on_epoch_begin(self, net, **kwargs):
        self.n_ = 0

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        self.n_ += len(batch[0]) if training else 0

    def on_epoch_end(self, net, **kwargs):
        net.history.record("n_seen", self.n_)


# Fits whose loss curve does not depend on the number of processes, but for rounding.
ALIKE = {
    "plain": ({}, {}),
    "augmented": ({"augment": ("flip", "shift", "mixup")}, {"sample_weight": WEIGHT}),
    "muon": ({"optimizer": "muon", "progressive_resizing": (0.5, 1)}, {}),
    "hooks": (
        {
            "lr_schedule": None,
            "callbacks": [
                LRScheduler(torch.optim.lr_scheduler.StepLR, step_size=3, step_every="batch"),
                Seen,
            ],
        },
        {},
    ),
    "stopping early": (
        {"early_stopping": True, "n_iter_no_change": 2, "lr_schedule": None, "max_epochs": 12},
        {},
    ),
}
# Fits that are the same in all processes, but not those of one.
OWN = {
    "defaults": {"normalization": "batch", "residual": True, "optimizer": "muon", "dropout": 0.2},
    "unseeded": {"normalization": "batch", "random_state": None, "early_stopping": True},
}


def net(**parameters):
    return small_net(**{"normalization": None, "max_epochs": 5, "lr": 0.05, **parameters})


def figures(clf):
    return {
        "loss_curve": clf.loss_curve_,
        "valid_loss": clf.history_["valid_loss"].fillna(-1).tolist(),
        "n_iter": clf.n_iter_,
        "score": clf.score(X, Y),
        "probabilities": clf.predict_proba(X[:5]).tolist(),
        "state": joblib.hash({n: t.numpy() for n, t in clf.module_.state_dict().items()}),
    }


def alike(name):
    parameters, with_images = ALIKE[name]
    return net(**parameters).fit(X, Y, **with_images)


def _error(call):
    try:
        call()
    except ValueError as error:
        return str(error)
    return None


def main(folder):
    with data_parallel():
        group = current_group()
        found = {"size": group.size}
        found |= {name: figures(alike(name)) for name in ALIKE}
        found["n_seen"] = alike("hooks").history_["n_seen"].tolist()
        found |= {name: figures(net(**more).fit(X, Y)) for name, more in OWN.items()}
        n = len(X) - group.rank
        found["other images"] = _error(lambda: net().fit(X[:n], Y[:n]))
        shifted = np.roll(Y, group.rank)
        found["other labels"] = _error(lambda: net().fit(X, shifted))
        found["other epochs"] = _error(lambda: net(max_epochs=1 + group.rank).fit(X, Y))
        found["small batches"] = _error(lambda: net(batch_size=2 * group.size - 1).fit(X, Y))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            memory = str(Path(folder) / "checkpoints")
            clf = net(lr_schedule=None, checkpoint_dir=memory).fit(X, Y)
        found["warnings"] = [str(warning.message) for warning in caught]
    # From here on, each for itself: were it not so, these would wait for each other forever.
    found["group behind"] = current_group() is not None
    found["threads behind"] = [task.read_text() for task in Path("/proc/self/task").glob("*/comm")]
    if group.rank == 0:
        copy.deepcopy(pickle.loads(pickle.dumps(clf))).partial_fit(X, Y).fit(X, Y)
        clf.partial_fit(X, Y)
    Path(folder, f"{group.rank}.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    main(sys.argv[1])
