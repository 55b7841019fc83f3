"""Augmentations that move pixels, of images and of their masks."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from skcnn.augmentation import AUGMENTATIONS, Flip, GeometricAugmentation, Shift

DTYPES = [
    torch.bool,
    torch.uint8,
    torch.uint16,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.float32,
    torch.float64,
]

sides = st.integers(1, 12)
augmentations = st.one_of(
    st.builds(Flip, st.floats(0, 1), st.booleans()),
    st.builds(Shift, st.floats(0, 0.99)),
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def coordinates(n, height, width):
    """Images whose channels are the number of the image, the row and the column."""
    axes = torch.meshgrid(
        torch.arange(n), torch.arange(height), torch.arange(width), indexing="ij"
    )
    return torch.stack(axes, dim=-1)


def test_flip_and_shift_are_geometric():
    geometric = {
        kind for kind in AUGMENTATIONS.values() if issubclass(kind, GeometricAugmentation)
    }
    assert geometric == {Flip, Shift}


@given(change=augmentations, n=st.integers(0, 5), height=sides, width=sides, seed=st.integers(0))
def test_an_image_and_its_mask_are_moved_alike(change, n, height, width, seed):
    images = coordinates(n, height, width).to(torch.uint8)
    # One label for each place of each image.
    masks = torch.arange(n * height * width).view(n, height, width, 1)
    drawn = change.draw(images, generator(seed % 2**32))
    moved, moved_masks = change.apply(images, drawn), change.apply(masks, drawn)
    assert (moved_masks.shape, moved_masks.dtype) == (masks.shape, masks.dtype)
    number, row, column = moved.long().unbind(-1)
    assert torch.equal(moved_masks[..., 0], (number * height + row) * width + column)
    assert torch.equal(number, images[..., 0].long())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("change", [Flip(1), Flip(1, vertical=True), Shift(0.4)], ids=repr)
def test_apply_keeps_labels_of_any_dtype(change, dtype):
    images = coordinates(6, 5, 7).to(torch.uint8)
    labels = torch.tensor([0, 1]) if dtype == torch.bool else torch.tensor([0, 1, 100, 255])
    masks = labels[torch.randint(len(labels), (6, 5, 7, 1), generator=generator())]
    drawn = change.draw(images, generator())
    moved = change.apply(masks.to(dtype), drawn)
    assert moved.dtype == dtype
    assert torch.equal(moved.long(), change.apply(masks, drawn))
    assert set(moved.flatten().tolist()) <= set(labels.tolist())


@given(change=augmentations, n=st.integers(0, 5), height=sides, width=sides, seed=st.integers(0))
def test_a_call_draws_and_applies(change, n, height, width, seed):
    images = coordinates(n, height, width)
    used, expected = generator(seed % 2**32), generator(seed % 2**32)
    changed = change(images, used)
    assert torch.equal(changed, change.apply(images, change.draw(images, expected)))
    assert torch.equal(used.get_state(), expected.get_state())


@given(
    probability=st.floats(0, 1),
    vertical=st.booleans(),
    height=sides,
    width=sides,
    seed=st.integers(0),
)
def test_flip_applied_twice_gives_the_image_back(probability, vertical, height, width, seed):
    images = coordinates(4, height, width)
    flip = Flip(probability, vertical)
    drawn = flip.draw(images, generator(seed % 2**32))
    assert torch.equal(flip.apply(flip.apply(images, drawn), drawn), images)


@given(change=augmentations, height=sides, width=sides, value=st.integers(0, 255))
def test_constant_images_stay_as_they_are(change, height, width, value):
    images = torch.full((3, height, width, 2), value, dtype=torch.uint8)
    assert torch.equal(change(images, generator()), images)


@pytest.mark.parametrize("change", [Flip(1), Shift(0.4)], ids=repr)
def test_draw_reads_the_shape_of_images_alone(change):
    images = coordinates(6, 5, 7)
    drawn = change.draw(images, generator())
    same = change.draw(torch.zeros(6, 5, 7, 1, dtype=torch.uint8), generator())
    assert torch.equal(change.apply(images, drawn), change.apply(images, same))


@pytest.mark.parametrize("change", [Flip(1), Shift(0.4)], ids=repr)
@pytest.mark.parametrize("shape", [(5, 1, 64, 1), (5, 64, 1, 1), (5, 1, 1, 3)], ids=str)
def test_rows_of_numbers_draw_nothing(change, shape):
    used = generator()
    assert change.draw(torch.zeros(shape), used) is None
    assert torch.equal(used.get_state(), generator().get_state())


@pytest.mark.parametrize("change", [Flip(1), Shift(0.4)], ids=repr)
@pytest.mark.parametrize("shape", [(6, 4, 7, 1), (6, 5, 8, 1), (5, 5, 7, 1), (6, 5, 7)], ids=str)
def test_apply_refuses_masks_of_another_size(change, shape):
    drawn = change.draw(coordinates(6, 5, 7), generator())
    with pytest.raises(ValueError, match=r"apply got .* Expected \(6, 5, 7\) and channels") as e:
        change.apply(torch.zeros(shape), drawn)
    assert type(change).__name__ in str(e.value)
    assert str(shape) in str(e.value)
