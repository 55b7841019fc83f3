"""Whole images and tiles through a network that answers for each pixel."""

import numpy as np
import pytest
from _squares import MASKS, MASKS_NEW, X_NEW, X, small, squares
from torch import nn

from skcnn._engine._pixel_inference import PixelInference


@pytest.fixture(scope="module")
def fitted():
    return small().fit(X, MASKS)


def test_tiles_say_what_the_whole_image_says(fitted):
    images, _ = squares(2, (150, 201))
    whole = fitted.predict_proba(images, tile_size=None)
    tiled = fitted.predict_proba(images, tile_size=64)
    np.testing.assert_allclose(tiled, whole, atol=1e-5)
    np.testing.assert_array_equal(fitted.predict(images, tile_size=64), fitted.predict(images))


def test_networks_that_see_everything_are_blended():
    class Gated(nn.Module):
        def __init__(self, n_channels, n_outputs):
            super().__init__()
            self.conv = nn.Conv2d(n_channels, n_outputs, 3, padding=1)
            self.gate = nn.Conv2d(n_channels, n_outputs, 1)

        def forward(self, x):
            return self.conv(x) * self.gate(x.mean((2, 3), keepdim=True)).exp()

    seg = small(Gated, max_epochs=8).fit(X, MASKS)
    assert seg.predict(X_NEW).shape == MASKS_NEW.shape
    with pytest.raises(ValueError, match="Resize the images"):
        seg.predict(squares(1, (100, 90))[0])


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_memory_map_is_read_tile_by_tile(fitted, tmp_path, monkeypatch, dtype):
    images, _ = squares(1, (300, 260))
    path = tmp_path / "large.npy"
    np.save(path, images.astype(dtype))
    mapped = np.load(path, mmap_mode="r")
    largest = []
    run = PixelInference.run

    def spy(self, images, finish):
        largest.append(np.prod(images.shape[:2]))
        return run(self, images, finish)

    monkeypatch.setattr(PixelInference, "run", spy)
    predicted = fitted.predict(mapped, tile_size=100)
    assert len(largest) == 9
    assert max(largest) <= (100 + 2 * 40) ** 2
    monkeypatch.undo()
    np.testing.assert_array_equal(predicted, fitted.predict(images))
