"""Settings of `ConvNetClassifier` that have proven themselves, to use, to read and to change.

Each is a dict of constructor parameters, `ConvNetClassifier(**recipes.fast)`, that names all of
what decides on the network and its training: what a later version has as defaults changes nothing.
How accurate they are, and how long they take, is in the documentation, on the page about recipes.
"""

from typing import Any

from skcnn.augmentation import CutMix, Shift

__all__ = ["accurate", "fast", "lesson"]

#: The network and the training of a lecture for ecologists: four convolutions, a dense layer,
#: RMSprop at a constant rate. Right for comparisons with a textbook, and with nothing else.
lesson: dict[str, Any] = {
    "filters": (32, 64, 128, 256),
    "convs_per_block": 1,
    "kernel_size": 3,
    "stem": None,
    "pool": "max",
    "pool_size": 2,
    "pool_after": "last",
    "activation": "relu",
    "normalization": None,
    "residual": False,
    "symmetry": None,
    "dense_units": 512,
    "dropout": 0.5,
    "head": "flatten",
    "init": "uniform",
    "augment": None,
    "progressive_resizing": None,
    "optimizer": "rmsprop",
    "lr": 0.001,
    "bias_lr_factor": 1.0,
    "lr_schedule": None,
    "weight_decay": 0.0,
    "weight_averaging": 0.0,
    "label_smoothing": 0.0,
    "max_epochs": 30,
    "batch_size": 128,
}

#: For minutes on a CPU: photographs of about 32x32 pixels, 12x12 at least, a few hundred of each
#: class. Where a mirror image would be another thing, as of letters, `symmetry` has to be None.
fast: dict[str, Any] = {
    "filters": (32, 128, 256),
    "convs_per_block": 3,
    "kernel_size": 3,
    "stem": "whitening",
    "pool": "max",
    "pool_size": 2,
    "pool_after": "last",
    "activation": "silu",
    "normalization": "batch",
    "residual": True,
    "symmetry": "mirror",
    "dense_units": None,
    "dropout": 0.0,
    "head": "average_max",
    "init": "dirac",
    "augment": Shift(1 / 16),
    "progressive_resizing": (0.75, 1.0),
    "optimizer": "muon",
    "lr": 0.1,
    "bias_lr_factor": 4.0,
    "lr_schedule": "onecycle",
    "weight_decay": 5e-4,
    "weight_averaging": 0.2,
    "label_smoothing": 0.2,
    "max_epochs": 12,
    "batch_size": "auto",
}

#: For a GPU, or many hours of a CPU: a network like that of `fast` with 15 times the parameters
#: and earlier pooling, more epochs, and a part of another image in three of four. Photographs of
#: 14x14 pixels at least.
accurate: dict[str, Any] = fast | {
    "filters": (128, 512, 1024),
    "pool_after": "first",
    "augment": (Shift(1 / 8), CutMix(0.75)),
    "progressive_resizing": (0.625, 0.75, 1.0),
    "bias_lr_factor": 1.0,
    "weight_averaging": 0.1,
    "max_epochs": 110,
}
