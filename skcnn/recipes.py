"""Proven settings of `ConvNetClassifier`, to use, to read and to change.

Each is a dict of constructor parameters, `ConvNetClassifier(**recipes.fast)`, that names every
parameter of the network and its training: the defaults of a later version change nothing. The
documentation has their accuracy and training time, on the page about recipes. To change the
network of a recipe, set parameters of its specification; the recipe itself stays as it is::

    ConvNetClassifier(**recipes.fast).set_params(module__filters=(32, 64))
"""

from typing import Any

from skcnn.augmentation import CutMix, Flip, Shift
from skcnn.networks import CompactTransformer, ConvBlocks
from skcnn.optimizers import Muon

__all__ = ["accurate", "fast", "few", "laptop", "lesson", "transformer"]

#: The baseline from a lecture for ecologists: four convolutions, a dense layer, RMSprop at a
#: constant learning rate. Use it to compare with a textbook network.
lesson: dict[str, Any] = {
    "module": ConvBlocks(
        filters=(32, 64, 128, 256),
        convs_per_block=1,
        kernel_size=3,
        stem=None,
        pool="max",
        pool_size=2,
        pool_after="last",
        activation="relu",
        normalization=None,
        residual=False,
        symmetry=None,
        dense_units=512,
        dropout=0.5,
        global_pool=None,
        init="uniform",
    ),
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

_FAST_BLOCKS: dict[str, Any] = {
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
    "global_pool": "average_max",
    "init": "dirac",
}

#: For minutes on a CPU: photographs of about 32x32 pixels, at least 12x12, a few hundred per
#: class. Set ``module__symmetry=None`` where a mirror image has another label, as letters do.
fast: dict[str, Any] = {
    "module": ConvBlocks(**_FAST_BLOCKS),
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

#: For CPUs on which bfloat16 is not fast, as in most laptops, in about a third of the time of
#: `fast`: earlier pooling, fewer epochs, no shifts. Photographs of at least 12x12 pixels.
laptop: dict[str, Any] = fast | {
    "module": ConvBlocks(**_FAST_BLOCKS | {"pool_after": "first"}),
    "augment": None,
    "bias_lr_factor": 16.0,
    "max_epochs": 10,
}

#: For 10 to 100 images per class, with no pretrained network: the network of `fast`, with larger
#: shifts and many more steps. Images of at least 12x12 pixels.
few: dict[str, Any] = fast | {
    "module": ConvBlocks(**_FAST_BLOCKS),
    "augment": Shift(1 / 8),
    "max_epochs": 40,
    "batch_size": 16,
}

#: For a GPU, or many hours on a CPU: the network of `fast` with 15 times the parameters and
#: earlier pooling, more epochs, and CutMix in three of four images. Photographs of at least
#: 14x14 pixels.
accurate: dict[str, Any] = fast | {
    "module": ConvBlocks(**_FAST_BLOCKS | {"filters": (128, 512, 1024), "pool_after": "first"}),
    "augment": (Shift(1 / 8), CutMix(0.75)),
    "progressive_resizing": (0.625, 0.75, 1.0),
    "bias_lr_factor": 1.0,
    "weight_averaging": 0.1,
    "max_epochs": 110,
}

#: A compact transformer of less than a million parameters, for minutes on a CPU. Use it to learn
#: about attention; `fast` is more accurate. Set ``augment=Shift(1 / 8)`` where a mirror image has
#: another label.
transformer: dict[str, Any] = {
    "module": CompactTransformer(
        depth=6,
        width=128,
        heads=4,
        mlp_ratio=2.0,
        tokenizer_layers=3,
        kernel_size=3,
        dropout=0.0,
        attention_dropout=0.1,
        stochastic_depth=0.05,
    ),
    "augment": (Flip(), Shift(1 / 8)),
    "progressive_resizing": (0.625, 0.75, 1.0),
    "optimizer": Muon(
        momentum=0.9,
        sgd_momentum=0.9,
        n_iterations=3,
        dtype="float32",
        batched=False,
        head_lr_factor=5.0,
    ),
    "lr": 0.02,
    "bias_lr_factor": 5.0,
    "lr_schedule": "onecycle",
    "weight_decay": 1e-3,
    "weight_averaging": 0.2,
    "label_smoothing": 0.1,
    "max_epochs": 24,
    "batch_size": "auto",
}
