"""Easy images and small networks that several of the files with tests of the estimator share."""

import numpy as np
import torch
from skorch.callbacks import Callback
from skorch.helper import predefined_split

from skcnn import ConvNetClassifier
from skcnn._data._dataset import ImageDataset
from skcnn._engine._net import ClassifierNet
from skcnn._engine._predict import PredictionBatching, run_images
from skcnn.networks._conv_blocks import build_network


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


# The labels of the fixture `images`.
CODES = np.arange(60) % 3


def make_net(seed=0, network=None, **options):
    """A net whose initial weights the seed decides, on images of 8x8 pixels in colour."""
    network = {"filters": (4,), "normalization": None, "head": "average"} | (network or {})
    options = {
        "optimizer": torch.optim.SGD,
        "criterion__reduction": "none",
        "lr": 0.1,
        "batch_size": 16,
        "max_epochs": 2,
        "plan": PredictionBatching(25),
        "device": "cpu",
        **options,
    }
    net = ClassifierNet(
        build_network,
        module__image_shape=(8, 8, 3),
        module__n_classes=3,
        module__mean=[100.0] * 3,
        module__scale=[70.0] * 3,
        **{f"module__{name}": value for name, value in network.items()},
        **options,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return net.initialize()


def train(net, images, weight=None, validation=None, seed=1):
    """Train a net on all of the images; some may be watched as well."""
    if validation is not None:
        net.set_params(train_split=predefined_split(validation))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return net.partial_fit(ImageDataset(images, CODES[: len(images)], weight), None)


def logits_of(net, images):
    with torch.inference_mode():
        return net.module_.eval()(torch.tensor(images))


def outputs_of(net, images, layer=None, **plan):
    """What predictions are made from, by a plan of one's own where one is given."""
    plan = PredictionBatching(**plan) if plan else net.plan
    return run_images(net.module_, images, torch.device(net.device), plan, layer)
