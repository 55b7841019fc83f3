"""Easy images and small networks that several of the files with tests of the estimator share."""

import inspect
import threading

import numpy as np
import torch
from skorch.callbacks import Callback
from skorch.helper import predefined_split

from skcnn import ConvNetClassifier, ConvNetMultiTask, ConvNetRegressor
from skcnn._data._dataset import ImageDataset
from skcnn._engine._fit import build_network
from skcnn._engine._net import TrainedNet
from skcnn._engine._predict import PredictionBatching, run_images
from skcnn._targets import ClassTarget
from skcnn.networks import ConvBlocks


def let_threads_meet_in_pyplot(monkeypatch):
    """Have threads that make figures look at the same time for the number of a new one."""
    from matplotlib import pyplot as plt

    numbers, inside = plt.get_fignums, threading.Barrier(2)

    def slow_numbers():
        found = numbers()
        try:
            inside.wait(0.2)
        except threading.BrokenBarrierError:
            inside.reset()
        return found

    monkeypatch.setattr(plt, "get_fignums", slow_numbers)


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


# Flat parameters of the network: void beside `module`.
NETWORK = {
    "filters": (8, 16),
    "convs_per_block": 1,
    "pool": "max",
    "activation": "relu",
    "normalization": "batch",
    "residual": False,
    "global_pool": "average",
}


# Parameters of the network that have no flat shorthand.
ONLY_IN_BLOCKS = {"stem", "pool_after", "symmetry", "init"}


def small_net(estimator=ConvNetClassifier, **parameters):
    """A network that learns the stripes within about a tenth of a second.

    It names all that the tests count on, whatever the defaults of the class are.
    """
    defaults = {
        **(NETWORK if parameters.get("module") is None else {}),
        "optimizer": "sgd",
        "lr_schedule": "onecycle",
        **({} if estimator is ConvNetRegressor else {"label_smoothing": 0.1}),
        "max_epochs": 6,
        "batch_size": 16,
        "lr": 0.1,
        "augment": None,
        "device": "cpu",
        "precision": "float32",
        "random_state": 0,
    }
    parameters = {**defaults, **parameters}
    if parameters.keys() & ONLY_IN_BLOCKS:
        names = inspect.signature(ConvBlocks).parameters
        blocks = {name: parameters.pop(name) for name in names if name in parameters}
        parameters["module"] = ConvBlocks(**blocks)
    return estimator(**parameters)


def small_regressor(**parameters):
    """As `small_net`, for numbers."""
    return small_net(ConvNetRegressor, **parameters)


def small_multi_task(tasks=None, **parameters):
    """As `small_net`, for several questions: by default for one, which any y answers."""
    tasks = {"stripes": "classification"} if tasks is None else tasks
    return small_net(ConvNetMultiTask, tasks=tasks, **parameters)


# Estimators that the tests of bad input, and others, run on.
NETS = {"classifier": small_net, "regressor": small_regressor, "tasks": small_multi_task}


class Spy(Callback):
    """Notes which data the net was trained and validated with."""

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        self.training_, self.validation_ = dataset_train, dataset_valid


# The labels of the fixture `images`.
CODES = np.arange(60) % 3


def small_blocks(**parameters):
    """A specification with few layers, whatever the defaults of the class are."""
    defaults = {
        "filters": (4,),
        "convs_per_block": 1,
        "activation": "relu",
        "normalization": None,
        "residual": False,
        "global_pool": "average",
    }
    return ConvBlocks(**{**defaults, **parameters})


def make_net(seed=0, network=None, label_smoothing=0.0, **options):
    """A net whose initial weights the seed decides, on color images of 8x8 pixels."""
    options = {
        "optimizer": torch.optim.SGD,
        "lr": 0.1,
        "batch_size": 16,
        "max_epochs": 2,
        "batching": PredictionBatching(25),
        "device": "cpu",
        **options,
    }
    net = TrainedNet(
        build_network,
        target=ClassTarget(np.arange(3), label_smoothing=label_smoothing),
        module__spec=small_blocks(**(network or {})),
        module__image_shape=(8, 8, 3),
        module__n_outputs=3,
        module__measured={"mean": [100.0] * 3, "scale": [70.0] * 3},
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


def outputs_of(net, images, *, features=False, **batching):
    """Outputs of a net, or features, with a batching of one's own where one is given."""
    batching = PredictionBatching(**batching) if batching else net.batching
    function = net.module_.eval()
    function = function.features if features else function
    return run_images(function, images, torch.device(net.device), batching)


CLASSES = np.array(["ant", "bee", "fly", "moth"])


def draw(n, seed, concentration=0.4, weights=(1, 1, 1, 1)):
    """Labels, and the probabilities that they were drawn from."""
    random = np.random.default_rng(seed)
    proba = random.dirichlet(concentration * np.array(weights), size=n)
    proba = np.clip(proba, 1e-9, None)
    proba /= proba.sum(axis=1, keepdims=True)
    codes = (proba.cumsum(axis=1) < random.random((n, 1))).sum(axis=1)
    return CLASSES[np.minimum(codes, 3)], proba


def optimizer_with(*rates, kind=torch.optim.SGD, **options):
    """An optimizer of one parameter per learning rate, each in a group of its own."""
    groups = [{"params": [torch.nn.Parameter(torch.ones(2))], "lr": rate} for rate in rates]
    return kind(groups, **options)
