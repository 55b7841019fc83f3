"""Random changes to training images."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from skorch.dataset import Dataset

from skcnn._data._loader import Batches
from skcnn.augmentation import (
    AUGMENTATIONS,
    Color,
    CutMix,
    Cutout,
    Flip,
    MixUp,
    Shift,
)

CHANGES = pytest.mark.parametrize(
    "change", [kind() for kind in AUGMENTATIONS.values()], ids=AUGMENTATIONS
)
GEOMETRIC = pytest.mark.parametrize("change", [Flip(), Shift()], ids=["flip", "shift"])
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


@GEOMETRIC
@given(
    shape=st.tuples(st.integers(0, 4), st.integers(1, 20), st.integers(1, 20), st.integers(1, 3)),
    seed=st.integers(0, 1000),
)
def test_no_color_appears_where_pixels_only_move(change, shape, seed):
    images = random_images(*shape)
    for one, other in zip(images, change(images, generator(seed))):
        assert set(map(tuple, other.flatten(0, 1).tolist())) <= set(
            map(tuple, one.flatten(0, 1).tolist())
        )


@CHANGES
def test_each_image_is_drawn_for_on_its_own(change):
    # Mixing needs two different images.
    images = random_images(2, 16, 16, 3).repeat(32, 1, 1, 1)
    changed = change(images, generator())
    kinds = torch.unique(changed.flatten(1), dim=0)
    assert len(kinds) == 4 if change == Flip() else len(kinds) > 15


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
    changed = Flip()(images, generator())
    mirrored = torch.from_numpy(images.numpy()[:, :, ::-1].copy())
    is_mirrored = (changed == mirrored).flatten(1).all(1)
    is_same = (changed == images).flatten(1).all(1)
    assert torch.all(is_mirrored | is_same)
    assert 0.45 < is_mirrored.double().mean() < 0.55


def test_mirroring_twice_gives_the_image_back():
    images = random_images(50, 4, 5, 3)
    assert torch.equal(Flip()(Flip()(images, generator(3)), generator(3)), images)


@pytest.mark.parametrize(
    ("height", "width"), [(16, 16), (32, 9), (8, 24), (7, 7), (7, 16), (2, 2)], ids=str
)
def test_images_are_moved_by_up_to_an_eighth_and_reflected_at_the_edge(height, width):
    images = random_images(400, height, width, 3)
    changed = Shift()(images, generator()).numpy()
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


@GEOMETRIC
def test_directions_are_drawn_independently_of_each_other(change):
    # One ramp along each side shows how far an image was moved along it.
    row, column = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    images = torch.stack([row, column], dim=-1).expand(500, -1, -1, -1)
    center = change(images, generator())[:, 8, 8].double()
    if change == Flip():
        assert torch.all(center[:, 0] == 8)
        assert set(center[:, 1].tolist()) == {7, 8}
    else:
        assert abs(torch.corrcoef(center.T)[0, 1]) < 0.15


@pytest.mark.parametrize("shape", [(5, 1, 64, 1), (5, 64, 1, 1), (5, 1, 1, 3)], ids=str)
@pytest.mark.parametrize("change", [Flip(1), Flip(1, vertical=True), Shift(0.9)], ids=repr)
def test_rows_of_numbers_are_not_moved(change, shape):
    images = random_images(*shape)
    assert torch.equal(change(images, generator()), images)


@pytest.mark.parametrize(
    "change",
    [Flip(0), Shift(0), Shift(0.1), Cutout(0), Color(0, 0, 0), CutMix(0), MixUp(1e-6)],
    ids=repr,
)
def test_without_strength_nothing_changes(change):
    images = random_images(40, 8, 8, 3)
    changed = change(images, generator())
    # With a tiny alpha, each mixture consists almost entirely of one of the two images.
    rows = {tuple(image.flatten().tolist()) for image in images}
    same = [tuple(image.flatten().tolist()) in rows for image in changed]
    assert all(same)
    if not isinstance(change, MixUp):
        assert torch.equal(changed, images)


def test_images_can_be_mirrored_top_to_bottom():
    images = random_images(20, 3, 4, 1)
    assert torch.equal(Flip(1, vertical=True)(images, generator()), images.flip(1))
    assert torch.equal(Flip(1)(images, generator()), images.flip(2))


def test_flip_probability_is_the_fraction_of_mirrored_images():
    images = random_images(2000, 2, 3, 2)
    mirrored = (Flip(0.2)(images, generator()) != images).flatten(1).any(1)
    assert 0.16 < mirrored.double().mean() < 0.24


@pytest.mark.parametrize(("fraction", "most"), [(0.25, 4), (0.3, 4), (0.5, 8)])
def test_shift_fraction_limits_the_distance(fraction, most):
    ramp = torch.arange(16.0).view(1, 16, 1, 1).expand(500, 16, 16, 1)
    moved = Shift(fraction)(ramp, generator())[:, 8, 8, 0] - 8
    assert (moved.min(), moved.max()) == (-most, min(most, 7))


@pytest.mark.parametrize(("fraction", "side"), [(0.29, 100), (0.57, 100), (0.58, 50), (0.1, 30)])
def test_shifts_reach_all_of_their_fraction(fraction, side):
    images = torch.zeros(2000, side, 2, 1)
    rows, _ = Shift(fraction).draw(images, generator())
    # The first row comes from as many pixels away as the image is moved.
    assert rows[:, 0].max() == round(fraction * side)


def test_a_square_of_an_image_is_covered_by_its_mean_color():
    images = random_images(300, 16, 16, 3)
    covered = Cutout(0.5)(images, generator())
    mean = images.float().mean((1, 2), keepdim=True).round().to(torch.uint8)
    changed = (covered != images).any(3)
    assert torch.equal(covered, torch.where(changed[..., None], mean.expand_as(images), images))
    sides = [changed.any(axis).sum(1) for axis in (1, 2)]
    # Eight pixels, or as many of them as are within the image.
    for side in sides:
        assert side.max() == 8
        assert side.min() >= 3
    assert (changed.flatten(1).sum(1) <= sides[0] * sides[1]).all()
    assert changed.any(0).all()


def test_color_changes_by_at_most_the_parameters():
    images = torch.full((500, 4, 4, 3), 100, dtype=torch.uint8)
    brighter = Color(0.3, 0, 0)(images, generator())
    assert (brighter == brighter[:, :1, :1, :1]).all()
    assert (brighter.min(), brighter.max()) == (70, 130)
    # Without contrast there is none to change, without color no saturation.
    assert torch.equal(Color(0, 0.5, 0.5)(images, generator()), images)
    pixels = torch.rand(200, 6, 6, 3)
    contrast = Color(0, 0.5, 0)(pixels, generator())
    torch.testing.assert_close(contrast.mean((1, 2, 3)), pixels.mean((1, 2, 3)))
    ratio = contrast.std((1, 2, 3)) / pixels.std((1, 2, 3))
    assert 0.5 <= ratio.min() < 0.6
    assert 1.4 < ratio.max() <= 1.5
    saturation = Color(0, 0, 0.5)(pixels, generator())
    torch.testing.assert_close(saturation.mean(3), pixels.mean(3))
    gray = torch.rand(50, 6, 6, 1)
    torch.testing.assert_close(Color(0, 0, 0.5)(gray, generator()), gray)


def test_bright_pixels_stay_in_their_type():
    images = torch.full((100, 2, 2, 1), 250, dtype=torch.uint8)
    changed = Color(0.5, 0, 0)(images, generator())
    assert changed.max() == 255
    assert changed.min() < 140


def test_mixup_blends_both_images_in_the_fractions_it_returns():
    images = torch.rand(200, 4, 4, 3)
    mixed, partner, fraction_own = MixUp(1.0).mix(images, generator())
    own = fraction_own.view(-1, 1, 1, 1)
    torch.testing.assert_close(mixed, own * images + (1 - own) * images[partner])
    assert sorted(partner.tolist()) == list(range(200))
    # Beta(1, 1) is the uniform distribution.
    assert np.quantile(fraction_own, [0.25, 0.5, 0.75]) == pytest.approx(
        [0.25, 0.5, 0.75], abs=0.1
    )


def test_mixup_fractions_follow_the_beta_distribution():
    fractions = MixUp(0.2).mix(torch.zeros(5000, 1, 1, 1), generator())[2].double().numpy()
    result = stats.kstest(fractions, stats.beta(0.2, 0.2).cdf)
    assert result.pvalue > 0.01


def test_cutmix_fraction_is_the_area_that_is_left():
    images = torch.arange(400.0).view(-1, 1, 1, 1).expand(400, 8, 10, 1)
    mixed, partner, fraction_own = CutMix(0.7).mix(images, generator())
    own = (mixed == images) & (partner != torch.arange(400)).view(-1, 1, 1, 1)
    others = mixed == images[partner]
    assert (own | others).all()
    moved = partner != torch.arange(400)
    torch.testing.assert_close(own.float().mean((1, 2, 3))[moved], fraction_own[moved])
    assert 0.2 < (fraction_own == 1).double().mean() < 0.5
    assert fraction_own.min() < 0.2


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
    for batch, rows, *_ in batches:
        expected = torch.tensor(images)[rows] + (2 if training else 0)
        assert torch.equal(batch, expected)
