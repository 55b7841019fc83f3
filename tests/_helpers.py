"""Easy images and small networks that several of the files with tests of the estimator share."""

import numpy as np
from skorch.callbacks import Callback

from skcnn import ConvNetClassifier


def stripes(n=120, n_classes=3, size=8, channels=3, seed=0, noise=40):
    """Striped images: the class is the direction, and where the stripes lie is left to chance."""
    rng = np.random.RandomState(seed)
    y = rng.permutation(np.arange(n) % n_classes)
    row, column = np.mgrid[:size, :size]
    along = np.stack([row, column, row + column])[y]
    phase = rng.randint(4, size=n)[:, None, None]
    light = np.where((along + phase) // 2 % 2, 180.0, 75.0)[..., None]
    pixels = light + noise * rng.standard_normal((n, size, size, channels))
    return pixels.clip(0, 255).astype(np.uint8), y


def small_net(**parameters):
    """A network that learns the stripes within about a tenth of a second.

    It says itself what the tests count on, whatever the defaults of the class are.
    """
    defaults = {
        "filters": (8, 16),
        "convs_per_block": 1,
        "pool": "max",
        "activation": "relu",
        "normalization": "batch",
        "residual": False,
        "head": "average",
        "optimizer": "sgd",
        "lr_schedule": "onecycle",
        "label_smoothing": 0.1,
        "max_epochs": 6,
        "batch_size": 16,
        "lr": 0.1,
        "augment": None,
        "device": "cpu",
        "precision": "float32",
        "random_state": 0,
    }
    return ConvNetClassifier(**{**defaults, **parameters})


class Spy(Callback):
    """Notes which data the net was trained and validated with."""

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        self.training_, self.validation_ = dataset_train, dataset_valid
