"""Random changes to training images."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skorch.dataset import Dataset

from skcnn._augment import AUGMENTATIONS, flip, shift
from skcnn._batches import Batches

CHANGES = pytest.mark.parametrize("change", AUGMENTATIONS.values(), ids=AUGMENTATIONS)
DTYPES = [torch.uint8, torch.float32, torch.int16]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def random_images(*shape, dtype=torch.uint8):
    return torch.randint(256, shape, generator=generator()).to(dtype)


@CHANGES
@given(
    shape=st.tuples(st.integers(0, 4), st.integers(1, 20), st.integers(1, 20), st.integers(1, 3)),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 1000),
)
def test_images_keep_their_shape_type_and_range(change, shape, dtype, seed):
    images = random_images(*shape, dtype=dtype)
    before = images.clone()
    changed = change(images, generator(seed))
    assert (changed.shape, changed.dtype, changed.device) == (shape, dtype, images.device)
    assert torch.equal(images, before)
    for one, other in zip(images, changed):
        # No colour appears that was not there.
        assert set(map(tuple, other.flatten(0, 1).tolist())) <= set(
            map(tuple, one.flatten(0, 1).tolist())
        )


@CHANGES
def test_each_image_is_drawn_for_on_its_own(change):
    images = random_images(1, 16, 16, 3).expand(64, -1, -1, -1)
    changed = change(images, generator())
    kinds = torch.unique(changed.flatten(1), dim=0)
    assert len(kinds) == 2 if change is flip else len(kinds) > 15


@CHANGES
def test_the_generator_decides(change):
    images = random_images(32, 16, 16, 3)
    first = change(images, generator(1))
    assert torch.equal(change(images, generator(1)), first)
    assert not torch.equal(change(images, generator(2)), first)
    drawing = generator(1)
    assert torch.equal(change(images, drawing), first)
    assert not torch.equal(change(images, drawing), first)


@CHANGES
def test_the_global_state_is_neither_read_nor_moved(change):
    images = random_images(8, 16, 16, 3)
    state = torch.random.get_rng_state()
    first = change(images, generator())
    assert torch.equal(torch.random.get_rng_state(), state)
    with torch.random.fork_rng():
        torch.manual_seed(12345)
        assert torch.equal(change(images, generator()), first)


def test_half_of_the_images_are_mirrored_left_to_right():
    images = random_images(2000, 2, 3, 2)
    changed = flip(images, generator())
    mirrored = torch.from_numpy(images.numpy()[:, :, ::-1].copy())
    is_mirrored = (changed == mirrored).flatten(1).all(1)
    is_same = (changed == images).flatten(1).all(1)
    assert torch.all(is_mirrored | is_same)
    assert 0.45 < is_mirrored.double().mean() < 0.55


def test_mirroring_twice_gives_the_image_back():
    images = random_images(50, 4, 5, 3)
    assert torch.equal(flip(flip(images, generator(3)), generator(3)), images)


@pytest.mark.parametrize(
    ("height", "width"), [(16, 16), (32, 9), (8, 24), (7, 7), (7, 16), (2, 2)], ids=str
)
def test_images_are_moved_by_up_to_an_eighth_and_reflected_at_the_edge(height, width):
    images = random_images(400, height, width, 3)
    changed = shift(images, generator()).numpy()
    up, left = height // 8, width // 8
    padded = np.pad(images.numpy(), ((0, 0), (up, up), (left, left), (0, 0)), mode="reflect")
    found = set()
    for y in range(2 * up + 1):
        for x in range(2 * left + 1):
            window = padded[:, y : y + height, x : x + width]
            same = (window == changed).all(axis=(1, 2, 3))
            found |= {(int(number), y, x) for number in np.flatnonzero(same)}
    # Each image is one of the windows, and each window comes about equally often.
    assert {number for number, _, _ in found} == set(range(400))
    moves = (2 * up + 1) * (2 * left + 1)
    counts = np.unique([(y, x) for _, y, x in found], axis=0, return_counts=True)[1]
    assert len(counts) == moves
    assert counts.min() > 400 / moves / 4


@CHANGES
def test_directions_are_drawn_independently_of_each_other(change):
    # One ramp along each side: what a shift does to one says nothing about the other.
    row, column = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    images = torch.stack([row, column], dim=-1).expand(500, -1, -1, -1)
    centre = change(images, generator())[:, 8, 8].double()
    if change is flip:
        assert torch.all(centre[:, 0] == 8)
        assert set(centre[:, 1].tolist()) == {7, 8}
    else:
        assert abs(torch.corrcoef(centre.T)[0, 1]) < 0.15


@pytest.mark.parametrize("shape", [(5, 1, 64, 1), (5, 64, 1, 1), (5, 1, 1, 3)], ids=str)
def test_rows_of_numbers_are_not_moved(shape):
    images = random_images(*shape)
    assert torch.equal(shift(images, generator()), images)


def add_one(images, generator):
    return images + 1


@pytest.mark.parametrize("training", [True, False], ids=["training", "validation"])
def test_only_training_batches_are_changed(training, images):
    batches = Batches(
        Dataset(images, np.arange(60)),
        32,
        device=torch.device("cpu"),
        generator=generator() if training else None,
        augment=[add_one, add_one],
    )
    for batch, rows in batches:
        expected = torch.tensor(images)[rows] + (2 if training else 0)
        assert torch.equal(batch, expected)
