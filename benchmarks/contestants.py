"""The lesson's network and its training, in four ways: skcnn, skorch, Keras, a loop by hand.

Each class is given images, trains for some epochs when called, and scores the images for
validation after each epoch. They differ in nothing but how it is done.
"""

import os

import numpy as np
import torch
from skorch import NeuralNetClassifier
from skorch.dataset import Dataset
from skorch.helper import predefined_split
from torch import nn

from skcnn import ConvNetClassifier, recipes

LESSON = recipes.lesson

BATCH_SIZE = LESSON["batch_size"]
FILTERS = LESSON["module"].filters
N_TRAINING = 24_400
# What one image takes through the network and back, in floating-point operations.
FLOPS = 93.0e6


def lesson_data(X, y):
    """Images and labels to train on, and the rest for validation, as the lesson splits them."""
    cut = min(N_TRAINING, int(0.8 * len(X)))
    return X[:cut], y[:cut], X[cut:], y[cut:]


class Skcnn:
    """ConvNetClassifier, going on from the weights it has unless `fresh`."""

    def __init__(self, data, device, *, fresh=False, **parameters):
        self.data = data
        parameters = {**LESSON, "random_state": 0, "device": device, **parameters}
        self.clf = ConvNetClassifier(**parameters, warm_start=not fresh)

    def __call__(self, epochs):
        X, y, X_val, y_val = self.data
        self.clf.set_params(max_epochs=epochs).fit(X, y, X_val=X_val, y_val=y_val)


def network(side=32, n_classes=61):
    """The lesson's network, as a textbook on PyTorch writes it down."""
    layers, channels = [], 3
    for width in FILTERS:
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        channels = width
    n_features = channels * (side // 2 ** len(FILTERS)) ** 2
    dense = nn.Linear(n_features, 512)
    head = [nn.Flatten(), nn.Dropout(0.5), dense, nn.ReLU(), nn.Linear(512, n_classes)]
    return nn.Sequential(*layers, *head)


def optimizer_of(model):
    """RMSprop with the settings that Keras has."""
    return torch.optim.RMSprop(model.parameters(), lr=1e-3, alpha=0.9, eps=1e-7)


class Skorch:
    """A NeuralNetClassifier on float images with the channels first, as its guide shows it."""

    def __init__(self, data, device):
        X, y, X_val, y_val = data
        self.X, X_val = (
            np.ascontiguousarray(images.transpose(0, 3, 1, 2), dtype=np.float32) / 255
            for images in (X, X_val)
        )
        self.y = y
        self.net = NeuralNetClassifier(
            network,
            criterion=nn.CrossEntropyLoss,
            optimizer=torch.optim.RMSprop,
            optimizer__alpha=0.9,
            optimizer__eps=1e-7,
            lr=1e-3,
            batch_size=BATCH_SIZE,
            iterator_train__shuffle=True,
            train_split=predefined_split(Dataset(X_val, y_val)),
            device=device,
            verbose=0,
        ).initialize()

    def __call__(self, epochs):
        self.net.set_params(max_epochs=epochs)
        self.net.partial_fit(self.X, self.y)


class ByHand:
    """A loop over whole batches of images that lie on the device."""

    def __init__(self, data, device, *, precision):
        self.tensors = [torch.from_numpy(array).to(device) for array in data]
        self.device = torch.device(device)
        self.precision = getattr(torch, precision)
        self.model = network().to(device, memory_format=torch.channels_last)
        self.optimizer = optimizer_of(self.model)

    def __call__(self, epochs):
        X, y, X_val, y_val = self.tensors
        for _ in range(epochs):
            self.model.train()
            order = torch.randperm(len(X)).to(self.device)
            losses = [self.step(X[rows], y[rows]) for rows in order.split(BATCH_SIZE)]
            self.model.eval()
            with torch.inference_mode():
                hits = [
                    (self.model(self.standardize(images)).argmax(1) == labels).sum()
                    for images, labels in zip(X_val.split(256), y_val.split(256))
                ]
            float(torch.stack(losses).mean()), int(sum(hits))

    def step(self, images, labels):
        self.optimizer.zero_grad()
        low = self.precision != torch.float32
        with torch.autocast(self.device.type, dtype=self.precision, enabled=low):
            logits = self.model(self.standardize(images))
        loss = nn.functional.cross_entropy(logits.float(), labels)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    @staticmethod
    def standardize(images):
        return (images.float() / 255).permute(0, 3, 1, 2)


class Keras:
    """A Sequential model on TensorFlow, as the lecture builds it in R."""

    def __init__(self, data, device):
        os.environ.setdefault("KERAS_BACKEND", "tensorflow")
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        import keras

        X, self.y, X_val, y_val = data
        self.X, X_val = (images.astype(np.float32) / 255 for images in (X, X_val))
        self.validation = X_val, y_val
        layers = keras.layers
        body = []
        for width in FILTERS:
            body += [
                layers.Conv2D(width, 3, padding="same", activation="relu"),
                layers.MaxPooling2D(2),
            ]
        self.model = keras.Sequential(
            [
                keras.Input((32, 32, 3)),
                *body,
                layers.Flatten(),
                layers.Dropout(0.5),
                layers.Dense(512, activation="relu"),
                layers.Dense(61, activation="softmax"),
            ]
        )
        self.model.compile("rmsprop", "sparse_categorical_crossentropy", metrics=["accuracy"])

    def __call__(self, epochs):
        self.model.fit(
            self.X,
            self.y,
            epochs=epochs,
            batch_size=BATCH_SIZE,
            validation_data=self.validation,
            verbose=0,
        )
