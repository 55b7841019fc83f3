"""Batches that a device has too little memory for, in training and prediction."""

import warnings

import numpy as np
import pytest
import torch
from _helpers import small_net, small_regressor, stripes
from hypothesis import given
from hypothesis import strategies as st
from skorch.callbacks import Callback
from torch import nn

from skcnn import ConvNetMultiTask, ConvNetSegmenter
from skcnn._engine._parts import BatchParts

X, Y = stripes(60)
SHORT = "CUDA out of memory. Tried to allocate 2 GiB"


class Memory(nn.Module):
    """Passes images on, up to so many at once."""

    most, trained, refused = 0, [], []

    def forward(self, x):
        trains = self.training and torch.is_grad_enabled()
        if len(x) > Memory.most:
            if trains:
                Memory.refused.append(len(x))
            raise torch.OutOfMemoryError(SHORT)
        if trains:
            Memory.trained.append(len(x))
        return x


def network(n_channels, n_outputs):
    # Memory runs out in the middle of the network.
    return nn.Sequential(
        nn.Conv2d(n_channels, 6, 3),
        nn.SiLU(),
        Memory(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(24, n_outputs),
    )


def pixels(n_channels, n_outputs):
    return nn.Sequential(Memory(), nn.Conv2d(n_channels, n_outputs, 3, padding=1))


class Outputs(Callback):
    """Asks for each batch, and keeps the number of its outputs."""

    def on_batch_end(self, net, y_pred=None, training=None, **kwargs):
        self.sizes_ = [*getattr(self, "sizes_", []), len(y_pred)]


def fit(most, make, y, **options):
    Memory.most, Memory.trained, Memory.refused = most, [], []
    X_val = {"X_val": X[:20], "y_val": y[:20]}
    return make().fit(X, y, **X_val, **options)


def of_pixels():
    masks = {"batch_size": 16, "max_epochs": 2, "device": "cpu", "precision": "float32"}
    return ConvNetSegmenter(module=pixels, random_state=0, **masks)


OWN = {"module": network, "optimizer": "adamw", "lr": 0.01, "max_epochs": 2}
COUNTS = np.where(np.arange(60) % 4 == 0, np.nan, Y)
CASES = {
    "plain": (lambda: small_net(**OWN), Y, {}),
    "augmented": (
        lambda: small_net(**OWN, augment=("flip", "shift", "mixup", "cutmix")),
        Y,
        {"sample_weight": np.linspace(0.1, 2, 60)},
    ),
    "hooks": (lambda: small_net(**OWN, callbacks=[Outputs()], class_weight="balanced"), Y, {}),
    "float16": (lambda: small_net(**OWN, precision="float16"), Y, {}),
    "numbers": (lambda: small_regressor(**OWN, loss="absolute_error"), Y + 0.5, {}),
    "questions": (
        lambda: small_net(
            ConvNetMultiTask, tasks={"kind": "classification", "count": "squared_error"}, **OWN
        ),
        np.c_[Y, COUNTS],
        {},
    ),
    "masks": (of_pixels, (X[..., 0] > 130).astype(int), {}),
}


@pytest.mark.parametrize(
    ("case", "most", "found", "refused"),
    [("plain", 3, 2, [16, 8, 4]), *((case, 8, 8, [16]) for case in CASES)],
)
def test_a_step_in_parts_is_the_step_of_the_whole_batch(case, most, found, refused):
    make, y, options = CASES[case]
    whole = fit(60, make, y, **options)
    assert Memory.refused == []
    with pytest.warns(UserWarning, match=rf"batch of 16 images.*set batch_size={found}") as seen:
        parts = fit(most, make, y, **options)
    assert len(seen) == 1
    # What was found is kept: only the first batch is tried as a whole.
    assert Memory.refused == refused
    assert max(Memory.trained) <= most
    assert sum(Memory.trained) == 60 * whole.n_iter_
    rough = case == "float16"
    close = {"rtol": 2e-2, "atol": 2e-3} if rough else {"rtol": 1e-5, "atol": 1e-5}
    for one, other in zip(parts.module_.parameters(), whole.module_.parameters()):
        torch.testing.assert_close(one, other, **close)
    for name in ("train_loss", "valid_loss"):
        expected = whole.history_[name]
        np.testing.assert_allclose(parts.history_[name], expected, rtol=1e-2 if rough else 1e-4)
    same = np.isclose(parts.predict(X).astype(float), whole.predict(X).astype(float), rtol=1e-3)
    assert same.mean() > 0.98


def test_callbacks_see_whole_batches():
    with pytest.warns(UserWarning, match="too little memory"):
        clf = fit(
            8, lambda: small_net(**OWN | {"max_epochs": 1}, callbacks=[("seen", Outputs())]), Y
        )
    assert dict(clf.net_.callbacks)["seen"].sizes_ == [16, 16, 16, 12, 20]


def test_the_images_to_be_normalized_together_are_two_at_least():
    def normalized(n_channels, n_outputs):
        return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.BatchNorm1d(12), Memory())

    def make():
        return small_net(
            module=lambda n_channels, n_outputs: nn.Sequential(
                normalized(n_channels, n_outputs), nn.Linear(12, n_outputs)
            ),
            max_epochs=1,
        )

    with pytest.warns(UserWarning, match="set batch_size=2"):
        fit(3, make, Y)
    with pytest.raises(MemoryError, match="too little memory"):
        fit(1, make, Y)


def test_an_image_that_is_too_large_by_itself_is_an_error():
    Memory.most = 60
    clf = small_net(**OWN).fit(X, Y)
    Memory.most = 0
    for call in (clf.predict, clf.transform):
        with pytest.raises(MemoryError, match=r"too little memory\. Pass fewer images"):
            call(X)


@pytest.mark.parametrize("flip", [False, True])
def test_predictions_are_made_in_parts_without_a_word(flip):
    Memory.most = 60
    clf = small_net(**OWN, test_time_flip=flip).fit(X, Y)
    expected = clf.predict_proba(X), clf.transform(X)
    Memory.most = 7
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = clf.predict_proba(X), clf.transform(X)
    for one, other in zip(found, expected):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_other_errors_are_raised_at_once():
    calls = []

    def compute(slices):
        calls.append(slices)
        raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape mismatch"):
        BatchParts().run(compute, 16)
    assert len(calls) == 1


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."),
        RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB)"),
    ],
    ids=["cpu", "mps"],
)
def test_each_device_has_its_own_words_for_it(error):
    def compute(slices):
        if len(slices) < 4:
            raise error
        return slices

    assert BatchParts().run(compute, 10) == [slice(0, 2), slice(2, 5), slice(5, 7), slice(7, 10)]


def test_the_memory_of_a_failed_call_is_free_in_the_next():
    class Large:
        alive = 0

        def __init__(self):
            Large.alive += 1

        def __del__(self):
            Large.alive -= 1

    def compute(slices):
        assert Large.alive == 0
        activations = Large()
        if len(slices) < 8:
            raise torch.OutOfMemoryError(SHORT)
        return activations

    BatchParts().run(compute, 16)


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 3))
def test_parts_cover_the_batch_and_are_alike(n, most, smallest):
    parts = BatchParts(smallest)
    parts.most = max(most, smallest)
    slices = parts.slices(n)
    rows = np.concatenate([np.arange(n)[part] for part in slices])
    np.testing.assert_array_equal(rows, np.arange(n))
    sizes = [part.stop - part.start for part in slices]
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= min(n, smallest)
    assert max(sizes) <= max(parts.most, 2 * smallest - 1)
