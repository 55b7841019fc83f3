"""Filters of a whitening stem."""

import numpy as np
import pytest
import torch

from skcnn.networks import _whitening
from skcnn.networks._whitening import stem_window, whitening_filters


def correlated(*shape):
    """Images with correlated neighboring pixels, as in photographs."""
    images = np.random.RandomState(0).normal(size=shape)
    images = images + np.roll(images, 1, 1) + np.roll(images, 1, 2) + images.mean(3, keepdims=True)
    return (images * 30 + 120).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_whitening_responses_are_uncorrelated_with_unit_variance(channels):
    images = correlated(300, 12, 10, channels)
    mean, scale = images.mean((0, 1, 2)), images.std((0, 1, 2))
    filters = whitening_filters(images, mean, scale)
    n_values = 4 * channels
    assert filters.shape == (2 * n_values, channels, 2, 2)
    np.testing.assert_array_equal(filters[n_values:], -filters[:n_values])
    pixels = torch.from_numpy((images - mean) / scale).float().permute(0, 3, 1, 2)
    responses = torch.nn.functional.conv2d(pixels, torch.from_numpy(filters[:n_values]))
    rows = responses.permute(1, 0, 2, 3).flatten(1)
    covariance = rows @ rows.T / rows.shape[1]
    torch.testing.assert_close(covariance, torch.eye(n_values), rtol=0, atol=0.02)


def test_whitening_filters_mirrored_contain_their_mirror_images():
    images = correlated(300, 12, 10, 3)
    filters = whitening_filters(images, [120] * 3, [60] * 3, mirrored=True)
    distances = np.abs(filters[:, None, :, :, ::-1] - filters[None]).max((2, 3, 4))
    assert (np.sort(distances.min(1)) < 1e-3).all()
    assert sorted(distances.argmin(1)) == list(range(24))
    plain = whitening_filters(images, [120] * 3, [60] * 3)
    assert np.abs(plain[:, None, :, :, ::-1] - plain[None]).max((2, 3, 4)).min(1).max() > 0.01


def test_whitening_filters_of_constant_images_are_finite():
    filters = whitening_filters(np.full((20, 6, 6, 3), 7, np.uint8), [7] * 3, [1] * 3)
    assert np.isfinite(filters).all()
    assert np.abs(filters).max() < 50


def test_whitening_filters_use_a_sample_of_many_images():
    images = correlated(6000, 4, 4, 1)
    filters = whitening_filters(images, [120], [60])
    sample = whitening_filters(images[::3], [120], [60])
    np.testing.assert_allclose(filters, sample, atol=1e-5)


def test_whitening_filters_read_large_images_in_chunks(monkeypatch):
    images = correlated(200, 12, 10, 3)
    expected = whitening_filters(images, [120] * 3, [60] * 3)
    monkeypatch.setattr(_whitening, "_CHUNK_PIXELS", 12 * 10 * 7)
    filters = whitening_filters(images, [120] * 3, [60] * 3)
    # The sign of a filter is arbitrary: each is there with both signs.
    np.testing.assert_allclose(np.abs(filters), np.abs(expected), rtol=1e-4, atol=1e-4)

    read = []

    class Recorded:
        def __len__(self):
            return len(images)

        def __getitem__(self, rows):
            taken = images[rows]
            read.append(len(taken))
            return taken

    monkeypatch.setattr(_whitening, "_MIN_IMAGES", 20)
    monkeypatch.setattr(_whitening, "_MAX_PIXELS", 1)
    whitening_filters(Recorded(), [120] * 3, [60] * 3)
    assert max(read) == 7
    assert sum(read[1:]) == 20


@pytest.mark.parametrize("shape", [(1, 9, 2), (9, 1, 2), (1, 1, 2)], ids=str)
def test_stem_window_is_one_pixel_along_sides_of_one_pixel(shape):
    images = correlated(50, *shape)
    filters = whitening_filters(images, [120] * 2, [60] * 2)
    window = stem_window(shape)
    assert window == tuple(min(2, side) for side in shape[:2])
    assert filters.shape == (4 * window[0] * window[1], 2, *window)
