"""Torch modules as augmentations."""

import pickle

import numpy as np
import pytest
import torch
from torch import nn

from skcnn import ConvNetClassifier
from skcnn.augmentation import as_augmentation


def generator():
    return torch.Generator()


class Darken(nn.Module):
    """An augmentation like those of kornia: float images from 0 to 1, channels first."""

    def forward(self, images):
        assert images.shape[1:] == (3, 4, 5)
        assert images.dtype == torch.float32
        assert self.training
        assert 0 <= images.min() <= images.max() <= 1
        return images * 0.5


@pytest.mark.parametrize(("dtype", "largest"), [(torch.uint8, 255), (torch.float32, 1)])
def test_a_module_gets_images_as_it_expects_them(dtype, largest):
    images = (torch.rand(6, 4, 5, 3) * largest).to(dtype)
    before = images.clone()
    changed = as_augmentation(Darken().eval())(images, generator())
    assert changed.dtype == dtype
    torch.testing.assert_close(
        changed.float(), images.float() / 2, rtol=0, atol=0.51 * largest / 255
    )
    assert torch.equal(images, before)


@pytest.mark.parametrize(
    ("module", "got"),
    [
        (nn.Flatten(), r"\(6, 60\)"),
        (nn.AdaptiveMaxPool2d((4, 5), return_indices=True), "tuple"),
    ],
    ids=["other shape", "tuple"],
)
def test_a_module_must_keep_the_shape(module, got):
    images = torch.randint(256, (6, 4, 5, 3), dtype=torch.uint8)
    assert torch.equal(as_augmentation(nn.Identity())(images, generator()), images)
    with pytest.raises(ValueError, match=f"{type(module).__name__} in augment= returned {got}"):
        as_augmentation(module)(images, generator())


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 255.0), (-1.0, 1.0), (0.0, 1.001), (0.0, float("nan"))], ids=str
)
def test_a_module_refuses_float_images_of_another_range(low, high):
    images = torch.full((6, 4, 5, 3), 0.5)
    images[0, 0, 0, 0], images[-1, -1, -1, -1] = low, high
    with pytest.raises(ValueError, match="expects values from 0 to 1") as caught:
        as_augmentation(nn.Identity())(images, generator())
    for part in ("Identity in augment=", "Pass images as uint8", "or scale float images"):
        assert part in str(caught.value)
    if high == high:
        assert f"from {low:.6g} to {high:.6g}" in str(caught.value)


def test_a_module_checks_the_range_in_the_first_batch_alone(monkeypatch):
    calls = []
    aminmax = torch.aminmax
    monkeypatch.setattr(torch, "aminmax", lambda images: calls.append(0) or aminmax(images))
    augmentation = as_augmentation(nn.Identity())
    for _ in range(3):
        augmentation(torch.rand(6, 4, 5, 3), generator())
    assert len(calls) == 1
    as_augmentation(nn.Identity())(torch.zeros(6, 4, 5, 3, dtype=torch.uint8), generator())
    assert len(calls) == 1


def test_a_module_of_the_user_stays_as_it_is():
    module = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout()).eval()
    state = {name: value.clone() for name, value in module.state_dict().items()}
    augmentation = as_augmentation(module)
    images = torch.rand(6, 4, 5, 3)
    assert not torch.equal(augmentation(images, generator()), images)
    assert not any(part.training for part in module.modules())
    for name, value in module.state_dict().items():
        assert torch.equal(value, state[name])


def test_a_module_draws_from_the_global_generator():
    images = torch.rand(6, 4, 5, 3)
    augmentation = as_augmentation(nn.Dropout())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        first = augmentation(images, generator())
        assert not torch.equal(augmentation(images, generator()), first)
        torch.manual_seed(0)
        assert torch.equal(augmentation(images, generator()), first)


def test_a_module_can_be_pickled_and_printed():
    augmentation = as_augmentation(Darken())
    images = torch.rand(6, 4, 5, 3)
    twin = pickle.loads(pickle.dumps(augmentation))
    assert torch.equal(twin(images, generator()), augmentation(images, generator()))
    assert repr(augmentation) == "ModuleAugmentation(Darken())"


def test_fit_refuses_float_images_that_a_module_cannot_read():
    rng = np.random.RandomState(0)
    X, y = rng.uniform(0, 255, size=(20, 8, 8, 3)), np.arange(20) % 2
    clf = ConvNetClassifier(filters=4, max_epochs=1, augment=nn.Identity(), random_state=0)
    with pytest.raises(ValueError, match="expects values from 0 to 1"):
        clf.fit(X, y)
    clf.fit(X / 255, y)
    clf.fit(X.astype(np.uint8), y)
