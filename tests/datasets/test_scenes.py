"""make_scenes: what is in the images is what the tables say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from skcnn.datasets import make_scenes
from skcnn.datasets._drawing import outline_table
from skcnn.datasets._species import SPECIES


@settings(max_examples=15, deadline=None)
@given(
    n_samples=st.integers(1, 12),
    n_kinds=st.integers(1, 20),
    image_size=st.integers(8, 48),
    count=st.tuples(st.integers(0, 3), st.integers(3, 9)),
    length=st.tuples(st.floats(3, 9), st.floats(9, 60)),
    difficulty=st.floats(0, 1),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_parameters(n_samples, n_kinds, image_size, count, length, difficulty, seed):
    parameters = {
        "n_samples": n_samples,
        "n_kinds": n_kinds,
        "image_size": image_size,
        "count": count,
        "length": length,
        "difficulty": difficulty,
    }
    before = np.random.get_state()[1].copy()
    scenes = make_scenes(**parameters, random_state=seed)
    assert scenes.data.shape == (n_samples, image_size, image_size, 3)
    assert (scenes.data.dtype, scenes.masks.dtype) == (np.uint8, np.uint8)
    assert count[0] <= scenes.count.min() <= scenes.count.max() <= count[1]
    assert scenes.kinds.shape == (n_samples, n_kinds)
    organisms = scenes.organisms
    per_image = np.bincount(organisms["image"], minlength=n_samples)
    np.testing.assert_array_equal(per_image, scenes.count)
    np.testing.assert_array_equal(scenes.kinds.sum(axis=1), scenes.count)
    assert organisms["length"].between(*length).all()
    half = np.minimum(organisms["length"], image_size) / 2
    for axis in "xy":
        assert organisms[axis].between(half, image_size - half).all()
    again = make_scenes(**parameters, random_state=seed)
    assert scenes.data.tobytes() == again.data.tobytes()
    assert scenes.masks.tobytes() == again.masks.tobytes()
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_masks_show_as_many_organisms_as_there_are():
    scenes = make_scenes(40, count=(0, 6), length=(10, 14), n_kinds=1, random_state=0)
    found = [ndimage.label(mask, np.ones((3, 3)))[1] for mask in scenes.masks]
    # Two of them may touch.
    assert np.mean(found == scenes.count) > 0.8
    assert np.abs(found - scenes.count).max() <= 2


def test_masks_show_kinds_at_their_places():
    scenes = make_scenes(30, count=(1, 1), length=(16, 30), n_kinds=5, random_state=0)
    for mask, organism in zip(scenes.masks, scenes.organisms.itertuples()):
        assert set(np.unique(mask)) == {0, organism.kind + 1}
        rows, columns = mask.nonzero()
        away = np.hypot(columns + 0.5 - organism.x, rows + 0.5 - organism.y)
        # The farthest pixel is at the farthest tip, which may be thinner than a pixel.
        assert organism.length / 2 - 3 < away.max() < organism.length / 2 + 1


def test_an_image_shows_a_subset_of_the_kinds():
    kinds = make_scenes(60, count=(20, 30), n_kinds=4, random_state=0).kinds > 0
    assert kinds.any(axis=0).all()
    assert len(np.unique(kinds, axis=0)) > 8


def test_organisms_differ_from_the_background_in_both_directions():
    scenes = make_scenes(60, count=(3, 8), random_state=0)
    gray = scenes.data.mean(axis=3)
    contrast = [g[m > 0].mean() - g[m == 0].mean() for g, m in zip(gray, scenes.masks)]
    assert np.min(np.abs(contrast)) > 8
    assert 0.3 < np.mean(np.array(contrast) > 0) < 0.7


def test_organisms_have_the_same_size_in_images_of_any_size():
    areas = []
    for size in (48, 96):
        scenes = make_scenes(20, image_size=size, count=(5, 5), n_kinds=1, random_state=0)
        areas.append((scenes.masks > 0).sum() / scenes.count.sum())
    assert areas[1] == pytest.approx(areas[0], rel=0.15)


def test_a_kind_is_the_species_of_that_number():
    scenes = make_scenes(100, count=(1, 1), length=(40, 40), n_kinds=5, random_state=0)
    kinds = scenes.organisms["kind"].to_numpy()
    for number, species in enumerate(SPECIES[:5]):
        radius = outline_table([species.outline]).radius[0]
        area = np.pi * np.mean(radius**2) / species.slenderness * 20**2
        painted = (scenes.masks[kinds == number] > 0).sum(axis=(1, 2))
        assert painted.mean() == pytest.approx(area, rel=0.05)


BAD = {
    "negative count": ({"count": (-1, 3)}, r"count=\(-1, 3\).*from 0"),
    "reversed": ({"count": (5, 3)}, "count=.*not a range"),
    "fractions of organisms": ({"count": (0, 2.5)}, "whole numbers"),
    "one number": ({"length": (5,)}, "length=.*not a range"),
    "words": ({"length": ("a", "b")}, "length=.*not a range"),
    "too short": ({"length": (1, 5)}, "from 3"),
    "endless": ({"length": (5, np.inf)}, "not a range"),
    "no samples": ({"n_samples": 0}, "'n_samples' parameter of make_scenes"),
    "kinds": ({"n_kinds": 21}, "'n_kinds' parameter of make_scenes"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_values_are_refused(case):
    parameters, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        make_scenes(**parameters)
