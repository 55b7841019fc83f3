"""Where decoded images are found: new ones, and those of earlier processes."""

import numpy as np
import pytest
from _image_cache import images, keys, open_cache
from numpy.testing import assert_array_equal

from skcnn._data import _cache_index


def test_keys_that_share_their_first_half_differ(tmp_path):
    both = keys(1, 2)
    both["high"] = 5
    writer = open_cache(tmp_path)
    writer.write(both[:1], images(1))
    assert_array_equal(open_cache(tmp_path).has(both), [True, False])


@pytest.mark.parametrize("limit", [0, 1, 5, 1000])
def test_many_new_images_are_found_before_and_after_they_join_the_index(
    limit, tmp_path, monkeypatch
):
    monkeypatch.setattr(_cache_index, "_MAX_FRESH", limit)
    X = images(30)
    writer = open_cache(tmp_path)
    for start in range(0, 30, 3):
        numbers = keys(*range(start, start + 3))
        writer.write(numbers, X[start : start + 3])
        assert writer.has(keys(*range(start + 3))).all()
        assert not writer.has(keys(start + 3)).any()
    pixels = np.zeros_like(X)
    assert writer.read(keys(*range(30)), pixels).all()
    assert_array_equal(pixels, X)
